"""The last result of a task, which stands on its row: the values that a run that has ended, or did not happen, sets."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import func

from pyramid_cron.reports import FAILED, LOST, MISSED, OK, Failures, TaskReport
from pyramid_cron.store.run_end import RunEnd
from pyramid_cron.store.schema import tasks
from pyramid_cron.store.task_state import TaskState

# one object, for statements that are built once
ONE_FAILURE_MORE = func.coalesce(tasks.c.failures_in_a_row, 0) + 1


def of_end(end: RunEnd, minute: datetime | None, now: datetime) -> dict[str, Any]:
    """Return the values for a run that has ended.

    :param minute: the minute it was for, ``None`` for a run by name.
    """
    if end.outcome != OK:
        return of_failure(end.outcome, minute, now, end.error) | {'last_seconds': end.seconds}
    return {
        'last_outcome': OK,
        'last_outcome_for': minute,
        'last_finished': now,
        'last_seconds': end.seconds,
        'last_success_at': now,
        **({} if minute is None else {'last_success_for': minute}),
        'failures_in_a_row': 0,
        'last_error': None,
    }


def of_failure(outcome: str, minute: datetime | None, now: datetime, error: str | None = None) -> dict[str, Any]:
    """Return the values for a run that has failed, was lost, or could not be enqueued.

    :param outcome: ``'failed'`` or ``'lost'``.
    :param minute: the minute it was for, ``None`` for a run by name.
    :param now: when that happened, or was found.
    :param error: the class of its exception.
    """
    return {
        'last_outcome': outcome,
        'last_outcome_for': minute,
        'last_finished': now,
        'last_seconds': None,
        'last_error': error,
        'failures_in_a_row': ONE_FAILURE_MORE,
    }


def of_missed(minute: datetime) -> dict[str, Any]:
    """Return the values for a minute that was missed; those of the last run stay."""
    return {'last_outcome': MISSED, 'last_outcome_for': minute}


def of_unbegun(minute: datetime | None, now: datetime) -> dict[str, Any]:
    """Return the values for an enqueued run that no worker has begun: missed, or lost if it was by name."""
    return of_failure(LOST, None, now) if minute is None else of_missed(minute)


def of_unsent(minute: datetime | None, now: datetime, error: str | None) -> dict[str, Any]:
    """Return the values for a run that could not be enqueued."""
    return of_failure(FAILED, minute, now, error)


def with_failures(report: TaskReport, before: TaskState) -> TaskReport:
    """Return the report of a run that has ended, with the failures in a row that the row of its task then has.

    :param before: the row as the tick has found it.
    """
    if report.outcome != FAILED:
        return report
    return report._replace(failures=Failures((before.failures_in_a_row or 0) + 1, last_success=before.last_success_at))
