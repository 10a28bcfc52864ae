"""Completes runs: records how they have ended, also if the database is away at that time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from pyramid_cron.claims import Unavailable
from pyramid_cron.errors import CronError
from pyramid_cron.reports import FAILED, LOST, OK, QUEUED, TaskReport
from pyramid_cron.schedules import clock
from pyramid_cron.store.circuit_breaker import NotAnswering
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.database import Database
from pyramid_cron.store.history import History
from pyramid_cron.store.last_result import of_failure, of_report, of_unsent
from pyramid_cron.store.run import StoredRun
from pyramid_cron.store.task_state import UNSENT, TaskStates
from pyramid_cron.store.ticks import Ticks

log = logging.getLogger(__name__)

# seconds for which a failed write is repeated, and between two attempts
REPEAT_FOR, REPEAT_INTERVAL = 4.0, 0.3

FORGOTTEN = 'the run has no record in the store any more, because its database was replaced or emptied meanwhile'

Write = Callable[[StoreConnection], Any]


class Fenced(CronError, RuntimeError):
    """Another process considered this one dead and reaped its run: its work must not be committed."""

    def __init__(self, text: str = 'the run was taken over by another process, which took this one for dead') -> None:
        super().__init__(text)


class Completion:
    """Records the ends of runs.

    :param database: the database of the store.
    :param monotonic: a monotonic clock in seconds.
    :param sleep: waits for so many seconds.
    """

    def __init__(self, database: Database, monotonic: Callable[[], float], sleep: Callable[[float], object]) -> None:
        self._database = database
        self._monotonic = monotonic
        self._sleep = sleep
        # what could not be written, in the order in which it has to be
        self._late: list[Write] = []

    def complete(self, run: StoredRun, report: TaskReport) -> TaskReport:
        """Record the end of a run in a transaction of its own; repeat that for a few seconds if it fails.

        :return: the report, corrected by the record of the store.
        """
        ended = self._monotonic()
        while True:
            try:
                with self._database.begin() as connection:
                    if self.write_end(connection, run, report, ended):
                        return report
                    recorded = History(connection).outcome_of(run.run_id)
                break
            except Unavailable as exc:
                if isinstance(exc, NotAnswering) or self._monotonic() - ended > REPEAT_FOR:
                    log.error('the end of task %s cannot be recorded yet: %s', run.task.name, exc)
                    self._late.append(lambda connection: self.write_end(connection, run, report, ended))
                    return report
                self._sleep(REPEAT_INTERVAL)
        return _corrected(run, report, recorded)

    def write_end(self, connection: StoreConnection, run: StoredRun, report: TaskReport, ended: float) -> bool:
        """Record the end of a run, and return whether the row still held its fencing token.

        :param ended: when it ended, on the monotonic clock.
        """
        values = self._busy_until(connection, run, ended)
        if run.engine is not None:
            self._write_end_of_enqueueing(connection, run, report, values)
            return True
        values |= of_report(report, run.minute, clock.now())
        if run.minute is not None:
            retry = report.outcome == FAILED and run.attempt <= run.task.retries
            values['retry_reason'] = FAILED if retry else None
        if not TaskStates(connection).release(run.task.name, run.run_id, **values):
            return False
        History(connection).end(run.run_id, report)
        return True

    def _busy_until(self, connection: StoreConnection, run: StoredRun, ended: float) -> dict[str, Any]:
        """Return the values of a row that record until which minute a run lasted; none for a run by name.

        The task does not owe the minutes up to then.
        """
        if run.minute is None:
            return {}
        if run.enqueued_id is not None:
            # the clock of a worker is not that of the ticks, and the run may have waited for long
            return {'busy_until': Ticks(connection).last_as_value()}
        return {'busy_until': _end_minute(run, ended)}

    def _write_end_of_enqueueing(
        self, connection: StoreConnection, run: StoredRun, report: TaskReport, values: dict[str, Any]
    ) -> None:
        """Record whether a run was enqueued, unless a worker has begun it already: then the row is the worker's."""
        states = TaskStates(connection)
        if report.outcome == QUEUED:
            states.mark_enqueued(run.task.name, run.run_id)
            return
        values |= of_unsent(run.minute, clock.now(), report.error)
        if run.minute is not None:
            values['retry_reason'] = UNSENT
        if states.release(run.task.name, run.run_id, **values):
            History(connection).end(run.run_id, report)

    def abandon(self, run: StoredRun, reason: str, has_begun: bool = True) -> None:
        """Queue the record of a run that will not end.

        :param has_begun: whether its task was called; otherwise the minute runs once more, transactional or not.
        """
        ended = self._monotonic()

        def write(connection: StoreConnection) -> None:
            states, task = TaskStates(connection), run.task.name
            values = of_failure(LOST, run.minute, clock.now())
            if run.minute is None:
                written = states.release(task, run.run_id, **values)
            elif has_begun:
                values |= self._busy_until(connection, run, ended)
                written = states.reap(task, run.run_id, **values)
            else:
                written = states.release(task, run.run_id, retry_reason=LOST, **values)
            if written:
                History(connection).end(run.run_id, TaskReport(task, LOST, ended - run.found_at, reason))

        self._late.append(write)

    @property
    def has_late(self) -> bool:
        """Whether there is something for :meth:`write_late`."""
        return bool(self._late)

    def write_late(self) -> None:
        """Write what could not be written when it happened."""
        while self._late:
            write = self._late[0]
            with self._database.begin() as connection:
                write(connection)
            # another thread may have written it too, which changes nothing
            with suppress(ValueError):
                self._late.remove(write)


def _end_minute(run: StoredRun, ended: float) -> datetime:
    """Return the minute in which a run ended, by the clock of its tick."""
    return clock.minute_of(run.work.minute + timedelta(seconds=ended - run.found_at))


def _corrected(run: StoredRun, report: TaskReport, recorded: str | None) -> TaskReport:
    """Return the report of a run whose row does not hold its fencing token any more.

    :param recorded: the outcome in the history.
    """
    if recorded == report.outcome:
        # an attempt before this one was committed, and only the database's answer was lost
        return report
    if recorded == OK:
        log.warning('task %s was committed, although the database did not confirm it', run.task.name)
        return TaskReport(run.task.name, OK, report.seconds)
    if isinstance(report.exception, Fenced):
        return report
    fenced = Fenced() if recorded is not None else Fenced(FORGOTTEN)
    log.error('task %s: %s', run.task.name, fenced)
    return TaskReport(run.task.name, FAILED, report.seconds, exception=fenced)
