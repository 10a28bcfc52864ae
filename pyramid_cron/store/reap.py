"""Reaps runs: ends those of dead processes as lost, and those that no worker has begun in time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple

from pyramid_cron.events import TaskLost, TaskMissed
from pyramid_cron.history_entries import BACKFILL
from pyramid_cron.outcomes import EXCUSED, LOST, MISSED, SKIPPED
from pyramid_cron.run_keys import write_key
from pyramid_cron.schedules import clock
from pyramid_cron.store import leases
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.database import Database
from pyramid_cron.store.decision import may_repeat_lost, owed_minutes
from pyramid_cron.store.history import History, WithoutRun
from pyramid_cron.store.joining import WHOLE
from pyramid_cron.store.last_result import of_backfill, of_failure, of_unbegun
from pyramid_cron.store.late import Late
from pyramid_cron.store.live_outputs import output_of_dead
from pyramid_cron.store.liveness import PidNamespace, ProcessState, is_dead
from pyramid_cron.store.options import Options
from pyramid_cron.store.run import minute_of_token
from pyramid_cron.store.run_end import Ending, RunEnd
from pyramid_cron.store.sending_again import why_unbegun
from pyramid_cron.store.task_claims import TaskClaims
from pyramid_cron.store.task_results import TaskResults
from pyramid_cron.store.task_rows import TaskStates
from pyramid_cron.store.task_state import TaskState
from pyramid_cron.store.texts import busy_reason, running_process
from pyramid_cron.store.ticks import Ticks
from pyramid_cron.tasks import Task

log = logging.getLogger(__name__)


class Lost(NamedTuple):
    """A run that was reaped.

    :param minute: the minute it was for, ``None`` for a run by name.
    :param will_retry: whether the minute is to run once more.
    :param excuse: why it is no alarm, see :class:`.Failing`; ``None`` if it is one.
    """

    minute: datetime | None
    will_retry: bool
    excuse: str | None = None


class Reaper:
    """Reaps runs.

    :param database: the database of the store.
    :param options: the settings of the store.
    :param namespace: returns the PID namespace of this process.
    :param late: keeps what of the history cannot be written yet.
    """

    def __init__(self, database: Database, options: Options, namespace: Callable[[], PidNamespace], late: Late) -> None:
        self._database = database
        self._late = late
        self._options = options
        self._namespace = namespace

    def reap(self, state: TaskState, task: Task | None, instant: datetime, now: float) -> tuple[TaskState, Lost | None]:
        """End the run of a task if its process is dead or if it has waited for a worker for too long.

        Minutes with a tick during the run, as it seemed, are skipped. Minutes without one are missed: the process may
        have died long before.

        :param task: the task, ``None`` if none of that name is registered here.
        :param instant: the minute of the tick.
        :param now: the time by the database's clock.
        :return: the state after that, and the run that was reaped here, ``None`` if none was.
        """
        if state.run_id is None:
            return state, None
        if state.is_enqueued:
            waits = timedelta(seconds=now - (state.started_at or now))
            if waits <= -clock.THREE_HOURS:
                self._restart_wait(state, state.run_id)
            if waits <= self._options.queue_timeout(task):
                return state, None
            with self._database.autocommit() as connection:
                why = why_unbegun(state, waits, History(connection).reason_of(state.run_id))
            return self.expire(state, task, instant, why), None
        process = state.process
        if process is not None and not is_dead(process, self._namespace().see(process)):
            self._limit_lease(state, process, now)
            return state, None
        return self._reap_dead(state, state.run_id, task, instant)

    def _restart_wait(self, state: TaskState, enqueued_id: str) -> None:
        with self._database.begin() as connection:
            restarted = TaskClaims(connection).restart_wait(state.task, enqueued_id)
        if restarted:
            log.warning(
                'task %s is %s, by a clock that was ahead: its wait for a worker begins now',
                state.task,
                busy_reason(state, self._options.zone),
            )

    def _limit_lease(self, state: TaskState, process: ProcessState, now: float) -> None:
        """Limit a lease that was taken by a clock that was ahead. A living process renews it in time."""
        lease = self._options.lease
        longest = lease + clock.THREE_HOURS.total_seconds()
        if process.lease_until is None or process.lease_until - now <= longest:
            return
        with self._database.begin() as connection:
            limited = leases.limit_leases(connection, lease, longest)
        if limited:
            log.warning(
                'a lease was taken by a clock that was ahead, and ends in %.0f s now: %s',
                lease,
                running_process(state, self._options.zone),
            )

    def _reap_dead(
        self, state: TaskState, run_id: str, task: Task | None, instant: datetime
    ) -> tuple[TaskState, Lost | None]:
        process = running_process(state, self._options.zone)
        with self._database.autocommit() as connection:
            minute, trigger = History(connection).request_of(run_id)
            output = output_of_dead(connection, state.task, run_id)
            until = None if task is None else Ticks(connection).last_before(instant)
        may_repeat = self._may_repeat(state, task, instant, until)
        end = RunEnd(LOST, reason=process, **output._asdict())
        if trigger == BACKFILL:
            end = end._replace(reason=f'a backfill is not repeated by itself: {process}')

        def release(connection: StoreConnection, end: RunEnd, wait: bool) -> bool:
            # the statement that changes the row comes first, for SQLite
            values = of_failure(LOST, minute, clock.now())
            if trigger == BACKFILL and minute is not None:
                values = of_backfill(end, minute, clock.now(), state)
            reaped = TaskClaims(connection).reap(state.task, run_id, may_repeat, **values)
            if reaped:
                row = TaskStates(connection).get(state.task) if state.transactional else None
                if row is not None and row.transactional:
                    # by the row as it is now: nothing of the run was committed
                    ending.end = ending.end._replace(joined=WHOLE)
                self._record_minutes_during_run(connection, state, task, until)
            return reaped

        ending = Ending(state.task, run_id, end, release)
        reaped, left = self._end(state, ending)
        if not reaped:
            return left, None
        # a run by name leaves the reason that was there; the minute is unknown if its record was deleted
        will_retry = left.retry_reason is not None and state.retry_reason is None
        failing, tolerate = left.failing(instant), 0 if task is None else task.tolerate
        # of a run by name, the row has whether the last run by schedule is repeated
        excuse = failing.excuse_of_attempt(tolerate) if will_retry else failing.excuse(tolerate)
        if trigger == BACKFILL:
            # what excuses the last failure of the task is not about this run
            excuse = None
        lost = Lost(minute, will_retry, excuse)
        log.log(
            logging.ERROR if excuse is None else logging.WARNING,
            'task %s was lost: its process is dead or has not renewed its lease: %s%s',
            state.task,
            process,
            _what_follows(lost, ending.end.joined),
        )
        host, pid = (None, None) if state.process is None else (state.process.host, state.process.pid)
        key = write_key(self._options.app, state.task, None if trigger == BACKFILL else minute, run_id)
        self._options.notify(TaskLost(state.task, minute, host, pid, lost.will_retry, excuse is None, key))
        return left, lost

    def expire(self, state: TaskState, task: Task | None, instant: datetime, reason: str) -> TaskState:
        """End a run that was enqueued and that no worker has begun in time, and return the state after that."""
        run_id = state.run_id
        if run_id is None:
            return state
        # of a run by name, handed_over_for is its token
        minute = None if state.handed_over_for == run_id else state.last_minute
        outcome = LOST if minute is None else MISSED

        past = minute_of_token(run_id) if minute is None else None

        def release(connection: StoreConnection, end: RunEnd, wait: bool) -> bool:
            now = clock.now()
            values = of_unbegun(minute, now) if past is None else of_backfill(end, past, now, state)
            expired = TaskClaims(connection).expire_enqueued(state.task, run_id, **values)
            if expired:
                self._record_minutes_during_run(connection, state, task, Ticks(connection).last_before(instant))
            return expired

        expired, left = self._end(state, Ending(state.task, run_id, RunEnd(outcome, reason=reason), release))
        if expired:
            log.warning('task %s was enqueued and does not run: %s', state.task, reason)
            if minute is not None:
                self._options.notify(TaskMissed(state.task, (minute,)))
        return left

    def _end(self, state: TaskState, ending: Ending) -> tuple[bool, TaskState]:
        """Write the end of a run, and return whether it was ended here, and the state of its task after that."""
        self._late.write_now(ending)
        with self._database.autocommit() as connection:
            return not ending.is_fenced, TaskStates(connection).get(state.task) or state

    def _may_repeat(self, state: TaskState, task: Task | None, instant: datetime, until: datetime | None) -> bool:
        """Return whether a lost run may run once more, which a newer minute of its task excludes.

        :param until: the newest tick before that of the minute ``instant``.
        """
        if task is None:
            # a process that has it registered decides
            return True
        busy = max((minute for minute in (state.busy_until, until) if minute is not None), default=None)
        return may_repeat_lost(task, replace(state, busy_until=busy), instant, self._options.grace(task))

    def _record_minutes_during_run(
        self, connection: StoreConnection, state: TaskState, task: Task | None, until: datetime | None
    ) -> None:
        if task is None or task.runs_each_minute:
            # it owes them
            return
        if until is not None:
            # those ticks have recorded them, unless they were killed before they could
            owed = owed_minutes(task, state, until)
            reason = busy_reason(state, self._options.zone)
            History(connection).record_without_run([WithoutRun(task.name, owed, SKIPPED, reason)])
            TaskResults(connection).extend_busy(task.name, until)


def _what_follows(lost: Lost, joined: str | None) -> str:
    """Return the end of the log line about a lost run."""
    if lost.will_retry:
        return '; nothing of it was committed, and it is to run once more'
    committed = '; nothing of it was committed, and it is not repeated' if joined == WHOLE else ''
    return f'{committed}{EXCUSED.get(lost.excuse, "")}'
