"""Completes runs: records how they have ended, also if the database is away at that time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy import func

from pyramid_cron.errors import CronError, Unavailable
from pyramid_cron.expected import with_good_run
from pyramid_cron.outcomes import COMMITTED, FAILED, LOST, OK, QUEUED, STOPPED
from pyramid_cron.reports import TaskReport
from pyramid_cron.schedules import clock
from pyramid_cron.store import backfill
from pyramid_cron.store.circuit_breaker import NotAnswering
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.database import Database
from pyramid_cron.store.end_statement import end_at_once
from pyramid_cron.store.errors import Refused
from pyramid_cron.store.history import History
from pyramid_cron.store.joining import of_commit, of_end_apart
from pyramid_cron.store.last_result import of_end, of_failure, of_unsent
from pyramid_cron.store.late import Late
from pyramid_cron.store.live_outputs import KeptOutput, kept_output
from pyramid_cron.store.run import StoredRun
from pyramid_cron.store.run_end import Ending, RunEnd
from pyramid_cron.store.schema import tasks
from pyramid_cron.store.storable import ascii_if_refused
from pyramid_cron.store.task_claims import TaskClaims
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
        at_once, afterwards = None, None
        if run.backfill is not None and report.outcome in backfill.MAKE_GOOD:
            afterwards = partial(backfill.make_good, run=run)
        elif self._ends_at_once and has_history:
            at_once = partial(_end_at_once, run, ended, is_last)
        joined = of_end_apart(run.joined_session, report.outcome) if run.engine is None else None
        end = RunEnd.of(report)._replace(joined=joined, **kept_output(run.output, self._database.scrub)._asdict())
        ending = Ending(run.task.name, run.run_id, end, release, has_history, at_once, afterwards)
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
        """Record that a run has succeeded, or has ended because it was stopped, in the transaction of its task.

        :param seconds: how long it took.
        :return: whether the row was still its own.
        """
        end = RunEnd(OK, seconds) if run.stopped is None else RunEnd(STOPPED, seconds, run.stopped.reason)
        end = end._replace(joined=of_commit(run.joined_session))
        output = kept_output(run.output, self._database.scrub)
        if output.is_ascii:
            # what the database refuses would roll the task back
            end = end._replace(**output._asdict())
            run.written_output = output
        ended = self._monotonic()
        if self._ends_at_once and run.backfill is None and _end_at_once(run, ended, False, connection, end):
            return True
        if not _release(run, ended, connection, end, True):
            return False
        History(connection).end(run.run_id, **end._asdict())
        if end.outcome == OK:
            backfill.make_good(connection, run)
        return True

    def write_output(self, run: StoredRun) -> None:
        """Record what the commit of a task, which holds the end of its run, did not have of the output."""
        output = kept_output(run.output, self._database.scrub)
        if output == run.written_output:
            return
        try:
            ascii_if_refused(partial(self._write_output, run.run_id, output))
        except Unavailable as exc:
            log.warning('the output of task %s is not recorded: %s', run.task.name, exc)

    def _write_output(self, run_id: str, output: KeptOutput) -> None:
        with self._database.one_statement() as connection:
            History(connection).record_output(run_id, **output._asdict())

    def abandon(self, run: StoredRun, reason: str, has_begun: bool = True) -> None:
        """Queue the record of a run that will not end.

        :param has_begun: whether its task was called; otherwise the minute runs once more, transactional or not.
        """
        ended, run_id = self._monotonic(), run.run_id

        def release(connection: StoreConnection, end: RunEnd, wait: bool) -> bool:
            claims, task = TaskClaims(connection), run.task.name
            if run.backfill is not None:
                values = backfill.values_of_end(run, run.backfill.minute, end)
                return claims.release(task, run_id, wait, **values)
            values = of_failure(LOST, run.minute, clock.now())
            if run.minute is None:
                return claims.release(task, run_id, wait, **values)
            if has_begun:
                return claims.reap(task, run_id, **values, **_until(run, ended))
            return claims.release(task, run_id, wait, retry_reason=LOST, will_retry=True, **values)

        output = kept_output(run.output, self._database.scrub)
        end = RunEnd(LOST, ended - run.found_at, reason, **output._asdict())
        self.late.add(Ending(run.task.name, run_id, end, release))


def _release(run: StoredRun, ended: float, connection: StoreConnection, end: RunEnd, wait: bool) -> bool:
    """Release the row of the task of a run that has ended, see :data:`.Release`.

    :param ended: when it ended, on the monotonic clock.
    """
    claims = TaskClaims(connection)
    if end.outcome == QUEUED:
        return claims.mark_enqueued(run.task.name, run.run_id)
    return claims.release(run.task.name, run.run_id, wait, **_values(run, ended, end))


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
    if run.backfill is not None:
        return values | backfill.values_of_end(run, run.backfill.minute, end)
    will_retry = False
    if run.engine is None:
        values |= of_end(end, run.minute, clock.now(), run.attempt, run.state)
        if end.outcome == OK and run.state is not None:
            # as read before the claim: a length that another process has added since is lost, which matters little
            values['good_seconds'] = with_good_run(run.state.good_seconds, end.seconds)
        will_retry = end.outcome == FAILED and run.will_retry(ended)
        # of a stopped run as well, because servers with older code know no other word for it
        retry = FAILED if will_retry or (end.outcome == STOPPED and run.goes_on()) else None
        wait = run.task.retry_waits[run.attempt - 1] if will_retry and run.task.retry_waits else None
        if run.stopped is not None:
            values['stop_requested_by'] = run.stopped.requested_by
    else:
        values |= of_unsent(run.minute, clock.now(), end.error, end.reason)
        retry, wait = UNSENT, None
    if run.minute is not None:
        values |= {'retry_reason': retry, 'retry_wait': None if wait is None else wait.total_seconds()}
        if end.outcome == FAILED:
            values['will_retry'] = will_retry
    return values


def _until(run: StoredRun, ended: float) -> dict[str, Any]:
    """Return the values of a row that record until which minute a run lasted, in a process that has its task.

    The task does not owe the minutes up to then, unless the run was one by name or a backfill.
    """
    # the clocks of workers and commands are not that of the ticks, and an enqueued run may have waited for long
    if run.owed_minute is None:
        return {'last_seen': LAST_MINUTE_OR_SEEN}
    until = run.end_minute(ended) if run.enqueued_id is None else LAST_MINUTE
    return {'last_seen': until, 'busy_until': until}


def _corrected(run: StoredRun, report: TaskReport, recorded: str | None) -> TaskReport:
    """Return the report of a run whose row does not hold its fencing token any more.

    :param recorded: the outcome in the history.
    """
    if recorded == report.outcome:
        # an attempt before this one was committed, and only the database's answer was lost
        return report
    if recorded in COMMITTED:
        log.warning('task %s was committed, although the database did not confirm it', run.task.name)
        reason = run.stopped.reason if run.stopped is not None and recorded == STOPPED else None
        return TaskReport(run.task.name, recorded, report.seconds, reason)
    if isinstance(report.exception, Fenced):
        return report
    fenced = Fenced() if recorded is not None else Fenced(FORGOTTEN)
    log.error('task %s: %s', run.task.name, fenced)
    return TaskReport(run.task.name, FAILED, report.seconds, exception=fenced)
