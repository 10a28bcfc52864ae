"""Claims in the store: all processes that share a database agree on each run by the row of its task."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta, timezone
from functools import partial
from typing import Any

from pyramid_cron.alarm import Failing
from pyramid_cron.claims import RUN_HERE, Backfill, ByHand, Claimed, Delivery, Found
from pyramid_cron.errors import Unavailable
from pyramid_cron.history_entries import BACKFILL
from pyramid_cron.not_claimed import NotClaimed
from pyramid_cron.outcomes import COMMITTED, FAILED, LOCKED, OK, QUEUED
from pyramid_cron.reports import TaskReport
from pyramid_cron.schedules import clock
from pyramid_cron.store.claiming import Claiming
from pyramid_cron.store.complete import Completion
from pyramid_cron.store.database import Database
from pyramid_cron.store.failed_ticks import FailedTicks
from pyramid_cron.store.last_result import with_failures
from pyramid_cron.store.options import Options
from pyramid_cron.store.own_process import OwnProcess
from pyramid_cron.store.patience import Patience
from pyramid_cron.store.poll import Poll
from pyramid_cron.store.pruning import Pruning
from pyramid_cron.store.reap import Reaper
from pyramid_cron.store.requested_runs import RequestedRuns
from pyramid_cron.store.run import StoredRun
from pyramid_cron.store.run_outputs import RunOutputs
from pyramid_cron.store.run_sessions import RunSessions, end_session
from pyramid_cron.store.sending_again import SendingAgain
from pyramid_cron.store.storable import ascii_if_refused
from pyramid_cron.store.task_claims import TaskClaims
from pyramid_cron.store.task_results import TaskResults
from pyramid_cron.store.task_rows import TaskStates
from pyramid_cron.store.tick_work import TickWork
from pyramid_cron.store.ticks import Ticks
from pyramid_cron.store.unclaimed_runs import UnclaimedRuns
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
        self.monotonic = monotonic
        self._patience = Patience(monotonic, sleep)
        self._completion = Completion(database, monotonic, sleep)
        self.own = OwnProcess(options.lease, self._beat)
        self.outputs = RunOutputs(database, options.keep_log, options.zone)
        self._claiming = Claiming(database, options, self.own, self._completion, failed_ticks, self._patience)
        self._unclaimed = UnclaimedRuns(database, options, failed_ticks, self._claiming)
        make_run = partial(StoredRun, self)
        self._late = self._completion.late
        reaper = Reaper(database, options, lambda: self.own.process.namespace, self._late)
        self._poll = Poll(database, options, reaper, make_run, self._patience, self.failed_ticks, self._late)
        self._requested = RequestedRuns(database, options, reaper, make_run)
        self._sending_again = SendingAgain(database)
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

    def named(self, tasks: Tasks, names: Collection[str], by_hand: ByHand = RUN_HERE) -> Found:
        wanted = tasks.named(names)
        instant = clock.current_minute()

        def prepare() -> list[StoredRun]:
            self._requested.prepare(tasks, wanted)
            return [
                StoredRun(self, task, None, requested_by=by_hand.requested_by, engine=by_hand.engine_of(task))
                for task in wanted
            ]

        found = self._found(prepare, TickWork(instant), 'manual')
        return found._replace(finish=partial(self._pruning.after_run, instant))

    def backfill(self, tasks: Tasks, backfill: Backfill, by_hand: ByHand = RUN_HERE) -> Found:
        [task] = tasks.named([backfill.task])
        instant = clock.current_minute()

        def prepare() -> list[StoredRun]:
            self._requested.prepare(tasks, [task])
            engine = by_hand.engine_of(task)
            # one that is enqueued has a key of its own, which no message of a tick for that minute has
            minute = backfill.minute if engine is None else None
            return [StoredRun(self, task, minute, requested_by=by_hand.requested_by, engine=engine, backfill=backfill)]

        found = self._found(prepare, TickWork(instant), BACKFILL)
        return found._replace(finish=partial(self._pruning.after_run, instant))

    def delivered(self, tasks: Tasks, delivery: Delivery, catch_up: timedelta) -> Found:
        [task] = tasks.named([delivery.task])
        instant = clock.current_minute()
        found = self._found(lambda: [self._requested.delivered(task, delivery, instant)], TickWork(instant), 'queue')
        return found._replace(finish=partial(self._pruning.after_run, instant))

    def _found(self, find: Callable[[], list[StoredRun]], work: TickWork, trigger: str) -> Found:
        """Return the runs that a function finds, or why they could not be found."""
        self.database.breaker.close()
        began = self.monotonic()
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
        again = [run for run in runs if run.sent_after is not None]
        return Found([run for run in runs if run.sent_after is None] if again else runs, again=again)

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
            TaskClaims(connection).mark_all_enqueued({run.task.name: run.run_id for run in runs})
        self.own.heartbeat.end(len(runs))

    def claim_again(self, runs: Sequence[StoredRun]) -> Sequence[StoredRun]:
        """See :meth:`.SharedClaims.claim_again`."""
        return self._sending_again.claim(runs)

    def send_again_later(self, failed: Mapping[StoredRun, str]) -> None:
        """See :meth:`.SharedClaims.send_again_later`."""
        self._sending_again.give_back(failed)

    def joined(self, run: StoredRun, request: Any) -> AbstractContextManager[None]:
        """See :meth:`.Run.joined`."""
        return self._sessions.join(run, request, self.own.process.id)

    def release(self, run: StoredRun, report: TaskReport, is_last: bool = False) -> TaskReport:
        """See :meth:`.Run.release`."""
        try:
            report = end_session(run, report)
            # together with the claim it was either enqueued or not claimed
            enqueued = run.engine is not None and run.engine.within_claim and report.outcome == QUEUED
            if not enqueued and (report.outcome not in COMMITTED or not run.is_committed):
                report = self._completion.complete(run, report, is_last)
            elif not enqueued:
                self._completion.write_output(run)
        except BaseException:
            self._completion.abandon(run, 'its end could not be recorded')
            raise
        finally:
            self._end_heartbeat()
            self.outputs.end(run.run_id)
        if report.outcome == OK:
            return self._with_recovery(run, report)
        if run.state is None:
            return report
        return with_failures(report, run.state, run.attempt, run.backfill is not None)

    def _with_recovery(self, run: StoredRun, report: TaskReport) -> TaskReport:
        """Return the report of a success with the time since which the task had failed, if it is this run's to report.

        One process removes that time from the row, and it stays there if the process dies before: then the next success
        of the task finds it.
        """
        if run.state is not None and run.state.failed_since is None:
            return report
        try:
            with self.database.autocommit() as connection:
                row = TaskStates(connection).get(run.task.name)
                since = None if row is None else row.failed_since
                if row is None or since is None or not TaskResults(connection).recover(run.task.name):
                    return report
        except Unavailable as exc:
            log.warning('it cannot be recorded that task %s is well again: %s', run.task.name, exc)
            return report
        if row.failed_runs == 0 or not row.has_alarmed(run.task.tolerate):
            # a run has not failed if a further attempt of it has skipped
            return report
        return report._replace(failed_since=datetime.fromtimestamp(since, timezone.utc))

    def failing_again(self, run: StoredRun, will_retry: bool, error: str) -> Failing | None:
        """Return the failures of a task after one more, ``None`` if it has no row.

        The row is read again, because a user may have paused the task or acknowledged its failure during the run. While
        the store is not available, the row counts as the tick has found it.

        :param will_retry: whether the run is tried again for its minute.
        :param error: the class of the exception.
        """
        state, paused = run.state, False
        try:
            with self.database.autocommit() as connection:
                state = TaskStates(connection).get(run.task.name) or state
                if state is not None and state.paused_until is not None:
                    # by the clock by which health decides
                    paused = state.is_paused(connection.now())
        except Unavailable as exc:
            log.debug(
                'whether a user has paused task %s or acknowledged its failure is unknown: %s', run.task.name, exc
            )
        return None if state is None else state.failing_again(run.attempt, will_retry, error)._replace(paused=paused)

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
            self.outputs.end(run.run_id)

    def skip(self, run: StoredRun, reason: str) -> None:
        """See :meth:`.Run.skip`."""
        self._unclaimed.skip(run, reason)

    def wait(self, run: StoredRun, minute: datetime) -> NotClaimed | None:
        """See :meth:`.Run.wait`."""
        return self._unclaimed.wait(run, minute)

    def _beat(self) -> bool:
        """Renew the lease, read which runs are to end, and return whether an end is left that cannot be written yet."""
        self.database.breaker.close()
        self._late.write()
        self.database.breaker.close_if_locked()
        with self.database.begin() as connection:
            self.own.process.renew_and_read_stops(connection)
        self.outputs.write(self.own.process.id)
        return bool(self._late)
