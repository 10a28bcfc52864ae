"""The last result of a task, which stands on its row: the values that a run that has ended, or did not happen, sets."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Case, Integer, and_, bindparam, case, func, null

from pyramid_cron.outcomes import FAILED, LOST, MISSED, OK, SKIPPED, STOPPED
from pyramid_cron.reports import Failures, TaskReport
from pyramid_cron.store.acknowledgement_columns import failure_key
from pyramid_cron.store.dialects import NOW
from pyramid_cron.store.run_end import RunEnd
from pyramid_cron.store.schema import tasks
from pyramid_cron.store.task_state import TaskState

# expressions of one object each, for statements that are built once
# of attempts
ONE_FAILURE_MORE = func.coalesce(tasks.c.failures_in_a_row, 0) + 1
IS_FAULT = tasks.c.last_outcome.in_((FAILED, LOST))
_SUCCEEDED = tasks.c.last_outcome == OK
# what stands there after a success is that of the failures before it
_RUNS = case((_SUCCEEDED, 0), else_=func.coalesce(tasks.c.failed_runs, tasks.c.failures_in_a_row, 0))
ONE_RUN_MORE = _RUNS + 1
# the attempts of a run count once
ONE_RUN_MORE_IF_FIRST = case((tasks.c.attempt <= 1, _RUNS + 1), (_RUNS == 0, 1), else_=_RUNS)
SKIPPED_RUNS = bindparam('skipped_runs', type_=Integer())
SKIPPED_RUNS_MORE = _RUNS + SKIPPED_RUNS
# a skip replaces a success, and what stands there of the failures before that
_RUNS_AFTER_SUCCESS = case((_SUCCEEDED, 0), else_=tasks.c.failed_runs)
_SINCE_AFTER_SUCCESS = case((_SUCCEEDED, null()), else_=tasks.c.failed_since)
# of a run that has not failed, because a further attempt of it skips
ONE_RUN_LESS = case((tasks.c.failed_runs > 0, tasks.c.failed_runs - 1), else_=tasks.c.failed_runs)
# what a failure is acknowledged by, beside missed and lost ones: the class of its exception
THIS_FAILURE = bindparam('this_failure', type_=tasks.c.acknowledged_for.type)
ACKNOWLEDGED_IF_THE_SAME = case(
    (and_(tasks.c.last_outcome != OK, tasks.c.acknowledged_for == THIS_FAILURE), tasks.c.acknowledged_for), else_=null()
)
SINCE_FIRST_FAILURE = case((_SUCCEEDED, NOW), else_=func.coalesce(tasks.c.failed_since, NOW))


def _unless_fault(name: str) -> Case[Any]:
    """Return the value of a column that stays if the last result is a failed or lost run, or else is a parameter."""
    # true or false for all columns, also on MySQL, which assigns in the order of the columns, last_outcome first
    return case((IS_FAULT, tasks.c[name]), else_=bindparam(f'unless_fault_{name}', type_=tasks.c[name].type))


# one object for each, for statements that are built once
UNLESS_FAULT = {
    name: _unless_fault(name) for name in ('last_outcome', 'last_outcome_for', 'last_finished', 'last_seconds')
}


def of_end(
    end: RunEnd, minute: datetime | None, now: datetime, attempt: int = 1, before: TaskState | None = None
) -> dict[str, Any]:
    """Return the values for a run that has ended, with parameters of the expressions among them.

    :param minute: the minute it was for, ``None`` for a run by name.
    :param attempt: how many times it had begun for this minute.
    :param before: the row as the tick has found it, after the attempts before this one.
    """
    if end.outcome in (SKIPPED, STOPPED):
        return of_neither(end.outcome, minute, now, end.seconds, attempt, before)
    if end.outcome != OK:
        message = end.reason if end.error is not None else None
        return of_failure(end.outcome, minute, now, end.error, message) | {'last_seconds': end.seconds}
    return {
        'last_outcome': OK,
        'last_outcome_for': minute,
        'last_finished': now,
        'last_seconds': end.seconds,
        'last_success_at': now,
        **({} if minute is None else {'last_success_for': minute}),
        'failures_in_a_row': 0,
        'last_error': None,
        'last_message': None,
        'acknowledged_for': None,
    }


def of_neither(
    outcome: str,
    minute: datetime | None,
    now: datetime,
    seconds: float | None,
    attempt: int = 1,
    before: TaskState | None = None,
) -> dict[str, Any]:
    """Return the values for a run that ended with :exc:`.Skip` or was stopped: neither a success nor a failure.

    The parameters are those of :func:`of_end`.

    An earlier run that failed or was lost stays the last result until a run succeeds. A further attempt replaces the
    result of the attempts before it, unless a run before those has failed: the row knows the failure of the attempts
    only, which stays in place of that.
    """
    values = {'last_outcome': outcome, 'last_outcome_for': minute, 'last_finished': now, 'last_seconds': seconds}
    if attempt > 1:
        # computed here, because MySQL would compare the new number of runs in the columns after it
        runs = None if before is None else before.failed_runs
        unfailed = {'will_retry': False, 'failed_runs': ONE_RUN_LESS}
        if before is not None and before.is_bad and (runs or 0) > 1 and (before.failures_in_a_row or 0) >= attempt:
            return unfailed
        begins_anew = {'failed_since': None} if runs == 1 else {}
        return {**values, 'last_error': None, 'last_message': None, **unfailed, **begins_anew}
    return {
        **UNLESS_FAULT,
        **{f'unless_fault_{name}': value for name, value in values.items()},
        'failed_runs': _RUNS_AFTER_SUCCESS,
        'failed_since': _SINCE_AFTER_SUCCESS,
    }


def of_failure(
    outcome: str, minute: datetime | None, now: datetime, error: str | None = None, message: str | None = None
) -> dict[str, Any]:
    """Return the values for a run that has failed, was lost, or could not be enqueued.

    :param outcome: ``'failed'`` or ``'lost'``.
    :param minute: the minute it was for, ``None`` for a run by name.
    :param now: when that happened, or was found.
    :param error: the class of its exception.
    :param message: the first line of the message of that.
    """
    return {
        'last_outcome': outcome,
        'last_outcome_for': minute,
        'last_finished': now,
        'last_seconds': None,
        'last_error': error,
        'last_message': message,
        'failures_in_a_row': ONE_FAILURE_MORE,
        'failed_since': SINCE_FIRST_FAILURE,
        'acknowledged_for': ACKNOWLEDGED_IF_THE_SAME,
        THIS_FAILURE.key: failure_key(outcome, error),
        **({'failed_runs': ONE_RUN_MORE} if minute is None else {'failed_runs': ONE_RUN_MORE_IF_FIRST}),
    }


def of_backfill(end: RunEnd, minute: datetime, now: datetime, before: TaskState, tolerate: int = 0) -> dict[str, Any]:
    """Return the values for a run that was requested for a past minute.

    A problem of the last run stays if it concerns another minute. The newest minute that succeeded stays as well.

    :param before: the row as the claim has found it, in which no other process changes the last result meanwhile.
    :param tolerate: the argument ``tolerate`` of the task.
    """
    if end.outcome == STOPPED:
        # the minute is what it was before
        return {}
    succeeded = {'last_success_at': now} if end.outcome == OK else {}
    if before.last_outcome not in (None, OK, SKIPPED, STOPPED) and before.last_outcome_for != minute:
        return succeeded
    # a further attempt replaces the result of those before it
    values = of_end(end, None, now, attempt=2) | {'last_outcome_for': minute}
    if end.outcome == SKIPPED and before.has_alarmed(tolerate):
        # the next success ends the alarm
        del values['failed_runs']
    elif end.outcome == SKIPPED and before.is_bad and before.failed_runs == 1:
        values['failed_since'] = None
    if end.outcome in (FAILED, LOST):
        values['will_retry'] = before.retry_reason is not None
        if before.is_bad:
            # the minute counts already
            del values['failed_runs']
    return values


def of_missed(minute: datetime, number: int = 1) -> dict[str, Any]:
    """Return the values for a minute that was missed; those of the last run stay.

    :param number: how many were missed, up to this one.
    """
    return {
        'last_outcome': MISSED,
        'last_outcome_for': minute,
        'will_retry': False,
        'failed_runs': SKIPPED_RUNS_MORE,
        'failed_since': SINCE_FIRST_FAILURE,
        'acknowledged_for': ACKNOWLEDGED_IF_THE_SAME,
        SKIPPED_RUNS.key: number,
        THIS_FAILURE.key: failure_key(MISSED),
    }


def of_unbegun(minute: datetime | None, now: datetime) -> dict[str, Any]:
    """Return the values for an enqueued run that no worker has begun: missed, or lost if it was by name."""
    return of_failure(LOST, None, now) if minute is None else of_missed(minute)


def of_unsent(minute: datetime | None, now: datetime, error: str | None, message: str | None = None) -> dict[str, Any]:
    """Return the values for a run that could not be enqueued."""
    return of_failure(FAILED, minute, now, error, message)


def with_failures(report: TaskReport, before: TaskState, attempt: int, is_backfill: bool) -> TaskReport:
    """Return the report of a run that has ended, with the failures in a row that the row of its task then has.

    :param before: the row as the tick has found it.
    :param attempt: how many times the run had begun for its minute.
    :param is_backfill: whether it was requested for a past minute.
    """
    if report.outcome != FAILED:
        return report
    if is_backfill:
        # see of_backfill(): a failure stays, or counts the minute already
        attempt = 2 if before.is_bad else 1
    runs = before.failing_again(attempt, will_retry=False).runs
    return report._replace(failures=Failures(runs, last_success=before.last_success_at))
