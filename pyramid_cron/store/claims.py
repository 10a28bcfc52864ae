"""Claims in the store: all processes that share a database agree on each run by the row of its task."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from pyramid_cron.claims import Delivery, Found, NotClaimed, Unavailable
from pyramid_cron.reports import FAILED, LOCKED, OK, QUEUED, SKIPPED, TaskReport
from pyramid_cron.schedules import clock
from pyramid_cron.store.acquire import NotSent, acquire, why_not_free
from pyramid_cron.store.circuit_breaker import CircuitOpen
from pyramid_cron.store.complete import Completion
from pyramid_cron.store.database import Database
from pyramid_cron.store.errors import Locked, Refused
from pyramid_cron.store.failed_ticks import FailedTicks
from pyramid_cron.store.history import History
from pyramid_cron.store.last_result import of_unsent, with_failures
from pyramid_cron.store.leases import Heartbeat, Process
from pyramid_cron.store.missed import notify_missed, skip_minutes
from pyramid_cron.store.options import Options
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
        make_run = partial(StoredRun, self)
        self._late = self._completion.late
        reaper = Reaper(database, options, lambda: self.process.namespace, self._late)
        self._poll = Poll(database, options, reaper, make_run, self._patience, self.failed_ticks, self._late)
        self._requested = RequestedRuns(database, options, reaper, make_run)
        self._pruning = Pruning(database, options.keep_history, monotonic)
        self._sessions = RunSessions(database, options, self._completion, monotonic)
        self._begin_process()

    def _begin_process(self) -> None:
        self._process = Process(self.options.lease)
        self._heartbeat = Heartbeat(self._beat, self.options.lease / 3)

    @property
    def process(self) -> Process:
        """This process; one that was forked is another."""
        if self._process.pid != os.getpid():
            self._begin_process()
        return self._process

    def due(self, tasks: Tasks, instant: datetime, trigger: str) -> Found:
        work = TickWork(instant)
        found = self._found(lambda: self._poll.due(tasks, work), work, trigger)
        if found.problem is not None:
            work.add_problem(str(found.problem))
        for run in found.runs:
            if run.not_claimed is not None and run.not_claimed.outcome in (FAILED, LOCKED):
                work.add_problem(f'task {run.task.name}: {run.not_claimed.reason}')
        return found if work.is_recorded else found._replace(finish=partial(self._finish, work, bool(found.runs)))

    def _finish(self, work: TickWork, prunes: bool) -> None:
        """Record that a tick has done its work, or what it could not do, and delete what is too old."""
        problem = work.problem
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
        if prunes and problem is None:
            self._pruning.after_run(work.minute)

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
        try:
            if not self._patience.call(partial(ascii_if_refused, partial(self._acquire, run))):
                with self.database.autocommit() as connection:
                    return why_not_free(connection, self.options, run, self._late)
        except NotSent as exc:
            self._record_not_sent(run, exc)
            raise Unavailable(str(exc), brief=exc.brief) from exc.__cause__
        except Locked as exc:
            run.work.add_problem(f'task {run.task.name}: {exc}')
            return NotClaimed(str(exc), level=logging.ERROR, outcome=LOCKED)
        except Unavailable as exc:
            run.work.add_problem(f'task {run.task.name}: {exc}')
            if not isinstance(exc, (CircuitOpen, Refused)):
                self._abandon_claim(run)
            raise
        except BaseException:
            self._abandon_claim(run)
            raise
        try:
            self._heartbeat.begin()
        except BaseException:
            self._completion.abandon(run, 'its heartbeat could not begin', has_begun=False)
            raise
        try:
            notify_missed(self.options, run.task, run.decision.missed)
        except BaseException:
            self._completion.abandon(run, 'it was interrupted before it began', has_begun=False)
            self._end_heartbeat()
            raise
        return None

    def _abandon_claim(self, run: StoredRun) -> None:
        # it may have been committed all the same, although the run has not begun
        self._completion.abandon(run, 'the database did not answer whether it was to begin', has_begun=False)
        self._heartbeat.begin()
        self._end_heartbeat()

    def _acquire(self, run: StoredRun) -> bool:
        with self.database.begin() as connection:
            return acquire(connection, self.process, run, self.failed_ticks)

    def _record_not_sent(self, run: StoredRun, exc: NotSent) -> None:
        """Record that a run could not be enqueued, whose claim is rolled back. The next tick finds it as missed."""
        minute = run.minute
        if minute is None:
            return
        task, error = run.task.name, TaskReport(run.task.name, FAILED, exception=exc.__cause__).error

        def record() -> None:
            with self.database.begin() as connection:
                TaskStates(connection).record_outcome(task, **of_unsent(minute, clock.now(), error))
                History(connection).record_without_run(task, [minute], FAILED, str(exc))

        try:
            ascii_if_refused(record)
        except Unavailable as failure:
            log.warning('it cannot be recorded that task %s was not enqueued: %s', task, failure)

    def joined(self, run: StoredRun, request: Any) -> AbstractContextManager[None]:
        """See :meth:`.Run.joined`."""
        return self._sessions.join(run, request, self.process.id)

    def release(self, run: StoredRun, report: TaskReport) -> TaskReport:
        """See :meth:`.Run.release`."""
        try:
            report = end_session(run, report)
            # together with the claim it was either enqueued or not claimed
            enqueued = run.engine is not None and run.engine.within_claim and report.outcome == QUEUED
            if not enqueued and (report.outcome != OK or not run.is_committed):
                report = self._completion.complete(run, report)
        except BaseException:
            self._completion.abandon(run, 'its end could not be recorded')
            raise
        finally:
            self._end_heartbeat()
        return report if run.state is None else with_failures(report, run.state)

    def _end_heartbeat(self) -> None:
        """End the heartbeat of a run, after a beat that writes what is left: no other process does for a living one."""
        self._heartbeat.end(after_beat=bool(self._late))

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
            self.process.renew(connection)
        return bool(self._late)
