"""Backfills: the claim of a run for a past minute on request, and its end. They move nothing of what the task owes."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from pyramid_cron.errors import CronError
from pyramid_cron.not_claimed import NotClaimed
from pyramid_cron.outcomes import ALREADY_OK, NO_RECORD, OK, SKIPPED, STILL_OWED
from pyramid_cron.schedules import clock
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.dialects import NOW
from pyramid_cron.store.history import History
from pyramid_cron.store.last_result import of_backfill
from pyramid_cron.store.leases import Process
from pyramid_cron.store.queries import Queries
from pyramid_cron.store.run import StoredRun
from pyramid_cron.store.run_end import RunEnd
from pyramid_cron.store.task_claims import TaskClaims
from pyramid_cron.store.task_rows import TaskStates
from pyramid_cron.store.task_state import TaskState
from pyramid_cron.tasks import Task

# outcomes that make a minute good; skipped: the task found nothing to do
MAKE_GOOD = (OK, SKIPPED)

WAS_OK = NotClaimed(ALREADY_OK, level=logging.INFO)
CLAIMED_MEANWHILE = NotClaimed('another process ran the task at that moment')


class LeftAlone(CronError):
    """A past minute for which a task does not run; its claim is rolled back.

    :param not_claimed: why.
    """

    def __init__(self, not_claimed: NotClaimed) -> None:
        super().__init__(not_claimed.reason)
        self.not_claimed = not_claimed


def claim_past(connection: StoreConnection, process: Process, run: StoredRun, keep_history: timedelta) -> bool:
    """Claim the task of a backfill, and return whether it was free.

    Whether the minute was ok is known only now: a run that has ended has released the task in the same transaction.

    :raises LeftAlone: if the minute was ok, or if that is not known.
    """
    backfill = run.backfill
    if backfill is None or not TaskClaims(connection).claim_past(
        run.task.name,
        backfill.minute,
        run.task.runs_each_minute,
        run_id=run.run_id,
        # as of a run by name: it is not enqueued again if this process dies
        process=process.id if run.engine is None else None,
        started_at=NOW,
        handed_over_for=None if run.engine is None else run.run_id,
    ):
        return False
    run.state = TaskStates(connection).get(run.task.name)
    run.since = None if run.state is None else run.state.last_success_for
    past = Queries(connection).became_of(run.task.name, backfill.minute, run.task.was)
    if not backfill.again:
        if any(entry.outcome == OK for entry in past) or (run.state and was_ok(run.state, backfill.minute)):
            raise LeftAlone(WAS_OK)
        if not past and is_forgotten(backfill.minute, keep_history):
            raise LeftAlone(NotClaimed(NO_RECORD))
    run.attempt = 1 + max((entry.attempt for entry in past), default=0)
    return True


def was_ok(state: TaskState, minute: datetime) -> bool:
    """Return whether a task was ok for a minute by its row, which may know it before the history does."""
    return state.last_success_for == minute or (state.last_outcome == OK and state.last_outcome_for == minute)


def is_forgotten(minute: datetime, keep_history: timedelta) -> bool:
    """Return whether the records of a minute may have been deleted already."""
    return clock.now() - minute > keep_history


def is_past(task: Task, state: TaskState, minute: datetime) -> bool:
    """Return whether no tick runs a task for a minute any more, unless it is to run once more."""
    return state.owed_after(task.runs_each_minute) >= minute


def why_not_past(task: Task, state: TaskState | None, minute: datetime) -> NotClaimed:
    """Return why a task that no run has claimed cannot be claimed for a past minute."""
    return NotClaimed(STILL_OWED) if state is not None and not is_past(task, state, minute) else CLAIMED_MEANWHILE


def values_of_end(run: StoredRun, minute: datetime, end: RunEnd) -> dict[str, Any]:
    """Return the values of the row of the task of a backfill that has ended.

    :param minute: its minute.
    """
    if run.state is None:
        return {}
    values = of_backfill(end, minute, clock.now(), run.state, run.task.tolerate)
    if end.outcome in MAKE_GOOD and run.state.last_minute == minute:
        # or else a tick would repeat what is made good
        values['retry_reason'] = None
    return values


def make_good(connection: StoreConnection, run: StoredRun) -> None:
    """Record that the minute of a backfill was ok in the end, in the entries of what went wrong for it."""
    if run.backfill is not None:
        History(connection).make_good([run.task.name, *run.task.was], run.backfill.minute, run.requested_by or '')
