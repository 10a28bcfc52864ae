"""Completes runs: records how they have ended, also if the database is away at that time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import func

from pyramid_cron.claims import Unavailable
from pyramid_cron.errors import CronError
from pyramid_cron.reports import FAILED, LOST, OK, QUEUED, TaskReport
from pyramid_cron.schedules import clock
from pyramid_cron.store.circuit_breaker import NotAnswering
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.database import Database
from pyramid_cron.store.end_statement import end_at_once
from pyramid_cron.store.errors import Refused
from pyramid_cron.store.history import History
from pyramid_cron.store.last_result import of_end, of_failure, of_unsent
from pyramid_cron.store.late import Late
from pyramid_cron.store.run import StoredRun
from pyramid_cron.store.run_end import Ending, RunEnd
from pyramid_cron.store.schema import tasks
from pyramid_cron.store.task_rows import TaskStates
from pyramid_cron.store.task_state import UNSENT
from pyramid_cron.store.ticks import LAST_MINUTE

log = logging.getLogger(__name__)

# seconds for which a failed write is repeated, and between two attempts
REPEAT_FOR, REPEAT_INTERVAL = 4.0, 0.3

FORGOTTEN = 'the run has no record in the store any more, because its database was replaced or emptied meanwhile'

# there may be no tick yet
LAST_MINUTE_OR_SEEN = func.coalesce(LAST_MINUTE, tasks.c.last_seen)


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
        #: what could not be written when it happened
        self.late = Late(database, monotonic)
        self._ends_at_once = database.dialect.has_writing_ctes

    def complete(self, run: StoredRun, report: TaskReport, is_last: bool = False) -> TaskReport:
        """Record the end of a run: again for a few seconds while the database is away, and after that later.

        :param is_last: whether its tick has nothing else to do, which is then recorded too if one statement does both.
        :return: the report, corrected by the record of the store.
        """
        ended = self._monotonic()
        release = partial(_release, run, ended)
        has_history = run.engine is None or report.outcome != QUEUED
        at_once = partial(_end_at_once, run, ended, is_last) if self._ends_at_once and has_history else None
        ending = Ending(run.task.name, run.run_id, RunEnd.of(report), release, has_history, at_once)
        try:
            self._write_repeatedly(ending, ended)
        finally:
            # whatever was raised
            if not ending.is_done:
                self.late.add(ending)
        # of a run that was to be enqueued, the row may be that of its worker already
        return _corrected(run, report, ending.recorded) if ending.is_fenced and run.engine is None else report

    def _write_repeatedly(self, ending: Ending, ended: float) -> None:
        while True:
            try:
                self.late.write_now(ending)
                return
            except Unavailable as exc:
                if isinstance(exc, (NotAnswering, Refused)) or self._monotonic() - ended > REPEAT_FOR:
                    self.late.add(ending, str(exc))
                    return
            self._sleep(REPEAT_INTERVAL)

    def write_end(self, connection: StoreConnection, run: StoredRun, seconds: float) -> bool:
        """Record that a run has succeeded in the transaction of its task, and return whether the row was still its own.

        :param seconds: how long it took.
        """
        end = RunEnd(OK, seconds)
        ended = self._monotonic()
        if self._ends_at_once and _end_at_once(run, ended, False, connection, end):
            return True
        if not _release(run, ended, connection, end, True):
            return False
        History(connection).end(run.run_id, **end._asdict())
        return True

    def abandon(self, run: StoredRun, reason: str, has_begun: bool = True) -> None:
        """Queue the record of a run that will not end.

        :param has_begun: whether its task was called; otherwise the minute runs once more, transactional or not.
        """
        ended, run_id = self._monotonic(), run.run_id

        def release(connection: StoreConnection, end: RunEnd, wait: bool) -> bool:
            states, task = TaskStates(connection), run.task.name
            values = of_failure(LOST, run.minute, clock.now())
            if run.minute is None:
                return states.release(task, run_id, wait, **values)
            if has_begun:
                return states.reap(task, run_id, **values, **_until(run, ended))
            return states.release(task, run_id, wait, retry_reason=LOST, **values)

        end = RunEnd(LOST, ended - run.found_at, reason)
        self.late.add(Ending(run.task.name, run_id, end, release))


def _release(run: StoredRun, ended: float, connection: StoreConnection, end: RunEnd, wait: bool) -> bool:
    """Release the row of the task of a run that has ended, see :data:`.Release`.

    :param ended: when it ended, on the monotonic clock.
    """
    states = TaskStates(connection)
    if end.outcome == QUEUED:
        return states.mark_enqueued(run.task.name, run.run_id)
    return states.release(run.task.name, run.run_id, wait, **_values(run, ended, end))


def _end_at_once(run: StoredRun, ended: float, is_last: bool, connection: StoreConnection, end: RunEnd) -> bool:
    """Do the same together with the history, and with the end of the tick if this was its last run and all is done."""
    finishes = is_last and run.work.problem is None
    values, tick = _values(run, ended, end), run.work.minute if finishes else None
    done = end_at_once(connection, run.task.name, run.run_id, values, end, tick)
    run.work.is_recorded = run.work.is_recorded or (done and finishes)
    return done


def _values(run: StoredRun, ended: float, end: RunEnd) -> dict[str, Any]:
    """Return the values of the row of the task of a run that has ended, or that could not be enqueued."""
    values = _until(run, ended)
    if run.engine is None:
        values |= of_end(end, run.minute, clock.now())
        retry = FAILED if end.outcome == FAILED and run.attempt <= run.task.retries else None
    else:
        values |= of_unsent(run.minute, clock.now(), end.error)
        retry = UNSENT
    if run.minute is not None:
        values['retry_reason'] = retry
    return values


def _until(run: StoredRun, ended: float) -> dict[str, Any]:
    """Return the values of a row that record until which minute a run lasted, in a process that has its task.

    The task does not owe the minutes up to then, unless the run was one by name.
    """
    # the clocks of workers and commands are not that of the ticks, and an enqueued run may have waited for long
    if run.minute is None:
        return {'last_seen': LAST_MINUTE_OR_SEEN}
    until = _end_minute(run, ended) if run.enqueued_id is None else LAST_MINUTE
    return {'last_seen': until, 'busy_until': until}


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
