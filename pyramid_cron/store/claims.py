"""Claims in the store: all processes that share a database agree on each run by the row of its task."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from pyramid_cron.claims import Claimed, Delivery, Found, NotClaimed, Unavailable
from pyramid_cron.reports import FAILED, LOCKED, OK, QUEUED, SKIPPED, TaskReport
from pyramid_cron.schedules import clock
from pyramid_cron.store.claiming import Claiming
from pyramid_cron.store.complete import Completion
from pyramid_cron.store.database import Database
from pyramid_cron.store.failed_ticks import FailedTicks
from pyramid_cron.store.history import History
from pyramid_cron.store.last_result import with_failures
from pyramid_cron.store.missed import notify_missed, skip_minutes
from pyramid_cron.store.options import Options
from pyramid_cron.store.own_process import OwnProcess
from pyramid_cron.store.patience import Patience
from pyramid_cron.store.poll import Poll
from pyramid_cron.store.pruning import Pruning
from pyramid_cron.store.reap import Reaper
from pyramid_cron.store.requested_runs import RequestedRuns
from pyramid_cron.store.run import StoredRun
from pyramid_cron.store.run_sessions import RunSessions, end_session
from pyramid_cron.store.storable import ascii_if_refused
from pyramid_cron.store.task_rows import TaskStates
from pyramid_cron.store.tick_work import TickWork
from pyramid_cron.store.ticks import Ticks
from pyramid_cron.tasks import Tasks

log = logging.getLogger(__name__)


class StoreClaims:
    """Claims in a database, see :class:`.Claims`.

    :param database: the database of the store.
    :param options: the settings of the store.
    :param failed_ticks: the ticks that fail in this process.
    :param monotonic: a monotonic clock in seconds.
    :param sleep: waits for so many seconds.
    """

    def __init__(
        self,
        database: Database,
        options: Options,
        failed_ticks: FailedTicks,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self.database = database
        self.options = options
        self.failed_ticks = failed_ticks
        self._monotonic = monotonic
        self._patience = Patience(monotonic, sleep)
        self._completion = Completion(database, monotonic, sleep)
        self.own = OwnProcess(options.lease, self._beat)
        self._claiming = Claiming(database, options, self.own, self._completion, failed_ticks, self._patience)
        make_run = partial(StoredRun, self)
        self._late = self._completion.late
        reaper = Reaper(database, options, lambda: self.own.process.namespace, self._late)
        self._poll = Poll(database, options, reaper, make_run, self._patience, self.failed_ticks, self._late)
        self._requested = RequestedRuns(database, options, reaper, make_run)
        self._pruning = Pruning(database, options.keep_history, monotonic, sleep)
        self._sessions = RunSessions(database, options, self._completion, monotonic)

    def due(self, tasks: Tasks, instant: datetime, trigger: str) -> Found:
        work = TickWork(instant)
        found = self._found(lambda: self._poll.due(tasks, work), work, trigger)
        if found.problem is not None:
            work.add_problem(str(found.problem))
        for run in found.runs:
            if run.not_claimed is not None and run.not_claimed.outcome in (FAILED, LOCKED):
                work.add_problem(f'task {run.task.name}: {run.not_claimed.reason}')
        work.prunes = work.prunes and bool(found.runs)
        return found if work.is_recorded else found._replace(finish=partial(self._finish, work))

    def _finish(self, work: TickWork) -> None:
        """Record that a tick has done its work, or what it could not do, and delete what is too old."""
        problem = work.problem
        if not work.is_recorded:
            self._record_finish(work, problem)
        if work.prunes and problem is None:
            self._pruning.after_run(work.minute)

    def _record_finish(self, work: TickWork, problem: str | None) -> None:
        if problem is not None:
            # health shows it from the memory of this process too
            problem = self.database.scrub(problem)
            present = work.minute_by_database
            self.failed_ticks.add(work.minute, problem, ahead=present is not None)
            if present is not None:
                self.failed_ticks.add(present, problem)
        # other processes need to know what this one could not do because of a lock
        self.database.breaker.close_if_locked()
        try:
            ascii_if_refused(partial(self._finish_tick, work.minute, problem))
        except Unavailable as exc:
            log.warning('it cannot be recorded that the tick for %s is done: %s', self.options.shown(work.minute), exc)

    def _finish_tick(self, minute: datetime, problem: str | None) -> None:
        with self.database.autocommit() as connection:
            Ticks(connection).finish(minute, problem)

    def named(
        self, tasks: Tasks, names: Collection[str], requested_by: str | None = None, enqueue: bool = False
    ) -> Found:
        wanted = tasks.named(names)
        instant = clock.current_minute()

        def prepare() -> list[StoredRun]:
            self._requested.prepare(tasks, wanted)
            return [
                StoredRun(self, task, None, requested_by=requested_by, engine=task.engine if enqueue else None)
                for task in wanted
            ]

        found = self._found(prepare, TickWork(instant), 'manual')
        return found._replace(finish=partial(self._pruning.after_run, instant))

    def delivered(self, tasks: Tasks, delivery: Delivery, catch_up: timedelta) -> Found:
        [task] = tasks.named([delivery.task])
        instant = clock.current_minute()
        found = self._found(lambda: [self._requested.delivered(task, delivery, instant)], TickWork(instant), 'queue')
        return found._replace(finish=partial(self._pruning.after_run, instant))

    def _found(self, find: Callable[[], list[StoredRun]], work: TickWork, trigger: str) -> Found:
        """Return the runs that a function finds, or why they could not be found."""
        self.database.breaker.close()
        began = self._monotonic()
        try:
            try:
                runs = self._written_and(find)
            except Unavailable as exc:
                if not exc.disconnected:
                    raise
                # it was idle while the database restarted, which does not have to cost a tick
                runs = self._written_and(find)
        except Unavailable as exc:
            return Found([], exc)
        for run in runs:
            run.work, run.found_at, run.trigger = work, began, trigger
        return Found(runs)

    def _written_and(self, find: Callable[[], list[StoredRun]]) -> list[StoredRun]:
        # only what holds a task: the heartbeat writes the history
        self._late.write(history=False)
        self.database.breaker.close_if_locked()
        return find()

    def claim(self, run: StoredRun) -> NotClaimed | None:
        """See :meth:`.Run.claim`."""
        return self._claiming.claim(run)

    def claim_first(self, runs: Iterable[StoredRun]) -> Claimed:
        """See :meth:`.SharedClaims.claim_first`."""
        return self._claiming.claim_first(runs)

    def claim_all(self, runs: Sequence[StoredRun]) -> Claimed:
        """See :meth:`.SharedClaims.claim_all`."""
        return self._claiming.claim_all(runs)

    def why_not_free(self, runs: Collection[StoredRun]) -> list[NotClaimed | None]:
        """See :meth:`.SharedClaims.why_not_free`."""
        return self._claiming.why_not_free(runs)

    def mark_enqueued(self, runs: Collection[StoredRun]) -> None:
        """See :meth:`.SharedClaims.mark_enqueued`."""
        with self.database.one_statement() as connection:
            TaskStates(connection).mark_all_enqueued({run.task.name: run.run_id for run in runs})
        self.own.heartbeat.end(len(runs))

    def joined(self, run: StoredRun, request: Any) -> AbstractContextManager[None]:
        """See :meth:`.Run.joined`."""
        return self._sessions.join(run, request, self.own.process.id)

    def release(self, run: StoredRun, report: TaskReport, is_last: bool = False) -> TaskReport:
        """See :meth:`.Run.release`."""
        try:
            report = end_session(run, report)
            # together with the claim it was either enqueued or not claimed
            enqueued = run.engine is not None and run.engine.within_claim and report.outcome == QUEUED
            if not enqueued and (report.outcome != OK or not run.is_committed):
                report = self._completion.complete(run, report, is_last)
        except BaseException:
            self._completion.abandon(run, 'its end could not be recorded')
            raise
        finally:
            self._end_heartbeat()
        return report if run.state is None else with_failures(report, run.state)

    def _end_heartbeat(self) -> None:
        """End the heartbeat of a run, after a beat that writes what is left: no other process does for a living one."""
        self.own.heartbeat.end(after_beat=bool(self._late))

    def interrupt(self, run: StoredRun) -> None:
        """See :meth:`.Run.interrupt`."""
        self._completion.abandon(run, 'its process was ended during the run')
        try:
            if run.joined_session is not None:
                run.joined_session.leave()
            self._late.write()
        finally:
            self._end_heartbeat()

    def skip(self, run: StoredRun, reason: str) -> None:
        """See :meth:`.Run.skip`."""
        if run.minute is None:
            return
        try:
            skipped = ascii_if_refused(partial(self._record_skipped, run, run.minute, reason))
        except Unavailable as exc:
            log.warning('it cannot be recorded that task %s is skipped: %s', run.task.name, exc)
        else:
            if skipped:
                notify_missed(self.options, run.task, run.decision.missed)

    def _record_skipped(self, run: StoredRun, minute: datetime, reason: str) -> bool:
        with self.database.begin() as connection:
            skipped = skip_minutes(connection, run.task, minute, run.decision, run.state, self.failed_ticks)
            if skipped:
                History(connection).record_without_run(run.task.name, [minute], SKIPPED, reason)
        return skipped

    def _beat(self) -> bool:
        """Renew the lease, and return whether the end of a run is left that cannot be written yet."""
        self.database.breaker.close()
        self._late.write()
        self.database.breaker.close_if_locked()
        with self.database.begin() as connection:
            self.own.process.renew(connection)
        return bool(self._late)
