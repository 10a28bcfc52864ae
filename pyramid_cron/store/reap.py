"""Reaps runs: ends those of dead processes as lost, and those that no worker has begun in time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from pyramid_cron.events import TaskLost, TaskMissed
from pyramid_cron.reports import LOST, MISSED, SKIPPED, duration
from pyramid_cron.schedules import clock
from pyramid_cron.store import leases
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.database import Database
from pyramid_cron.store.decision import owed_minutes
from pyramid_cron.store.history import History
from pyramid_cron.store.last_result import of_failure, of_unbegun
from pyramid_cron.store.late import Late
from pyramid_cron.store.liveness import PidNamespace, is_dead
from pyramid_cron.store.options import Options
from pyramid_cron.store.run_end import Ending, RunEnd
from pyramid_cron.store.task_rows import TaskStates
from pyramid_cron.store.task_state import ProcessState, TaskState
from pyramid_cron.store.texts import busy_reason, running_process
from pyramid_cron.store.ticks import Ticks
from pyramid_cron.tasks import Task

log = logging.getLogger(__name__)


class Lost(NamedTuple):
    """A run that was reaped.

    :param minute: the minute it was for, ``None`` for a run by name.
    :param will_retry: whether the minute is to run once more.
    """

    minute: datetime | None
    will_retry: bool


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
            return self.expire(state, task, instant, f'no worker began it in {duration(waits.total_seconds())}'), None
        process = state.process
        if process is not None and not is_dead(process, self._namespace().see(process)):
            self._limit_lease(state, process, now)
            return state, None
        return self._reap_dead(state, state.run_id, task, instant)

    def _restart_wait(self, state: TaskState, enqueued_id: str) -> None:
        with self._database.begin() as connection:
            restarted = TaskStates(connection).restart_wait(state.task, enqueued_id)
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
            minute = History(connection).minute_of(run_id)

        def release(connection: StoreConnection, end: RunEnd, wait: bool) -> bool:
            # the statement that changes the row comes first, for SQLite
            reaped = TaskStates(connection).reap(state.task, run_id, **of_failure(LOST, minute, clock.now()))
            if reaped:
                self._record_minutes_during_run(connection, state, task, instant)
            return reaped

        reaped, left = self._end(state, Ending(state.task, run_id, RunEnd(LOST, reason=process), release))
        if not reaped:
            return left, None
        # a run by name leaves the reason that was there; the minute is unknown if its record was deleted
        lost = Lost(minute, left.retry_reason is not None and state.retry_reason is None)
        log.log(
            logging.WARNING if lost.will_retry else logging.ERROR,
            'task %s was lost: its process is dead or has not renewed its lease: %s%s',
            state.task,
            process,
            '; nothing of it was committed, and it is to run once more' if lost.will_retry else '',
        )
        host, pid = (None, None) if state.process is None else (state.process.host, state.process.pid)
        self._options.notify(TaskLost(state.task, minute, host, pid, lost.will_retry))
        return left, lost

    def expire(self, state: TaskState, task: Task | None, instant: datetime, reason: str) -> TaskState:
        """End a run that was enqueued and that no worker has begun in time, and return the state after that."""
        run_id = state.run_id
        if run_id is None:
            return state
        # of a run by name, handed_over_for is its token
        minute = None if state.handed_over_for == run_id else state.last_minute
        outcome = LOST if minute is None else MISSED

        def release(connection: StoreConnection, end: RunEnd, wait: bool) -> bool:
            expired = TaskStates(connection).expire_enqueued(state.task, run_id, **of_unbegun(minute, clock.now()))
            if expired:
                self._record_minutes_during_run(connection, state, task, instant)
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

    def _record_minutes_during_run(
        self, connection: StoreConnection, state: TaskState, task: Task | None, instant: datetime
    ) -> None:
        until = Ticks(connection).last_before(instant)
        if until is not None and task is not None:
            # those ticks have recorded them, unless they were killed before they could
            owed = owed_minutes(task, state, until)
            reason = busy_reason(state, self._options.zone)
            History(connection).record_without_run(task.name, owed, SKIPPED, reason)
            TaskStates(connection).extend_busy(task.name, until)
