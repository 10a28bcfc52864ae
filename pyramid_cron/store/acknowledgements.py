"""Acknowledged failures: a person knows of one, and it is no alarm until the task succeeds or fails otherwise."""

from __future__ import annotations

from pyramid_cron.alarm import Acknowledged
from pyramid_cron.store.acknowledgement_columns import failure_key
from pyramid_cron.store.actions import Actions
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.task_results import TaskResults
from pyramid_cron.store.task_state import TaskState

ACKNOWLEDGED = 'acknowledged'


def acknowledge(
    connection: StoreConnection,
    name: str,
    state: TaskState | None,
    reason: str,
    requested_by: str | None,
    joins_sessions: bool,
) -> str:
    """Record that the last failure of a task is acknowledged, and return which that is.

    :param name: the name by which this process knows the task.
    :param state: its row, which may have another name; ``None`` if it has none.
    :param joins_sessions: whether runs update the row in transactions of the application, which a change of the row
        during the run could make fail.
    :raises LookupError: for a task that has no row.
    :raises ValueError: if its last run has not failed, was not lost and was not missed, or if a run is in progress that
        may have joined a session.
    """
    if state is None:
        raise LookupError(f'the store has no task {name!r}')
    if not state.is_bad:
        raise ValueError(f'task {name} has no failure to acknowledge: its last run has not failed')
    if joins_sessions and state.is_claimed:
        raise ValueError(f'task {name} has a run in progress: acknowledge the failure when that has ended')
    acknowledged = Acknowledged(reason, requested_by, connection.now())
    if not TaskResults(connection).acknowledge(state, acknowledged, joins_sessions):
        raise ValueError(f'task {name} has begun or ended a run meanwhile: look at it again')
    Actions(connection).record(ACKNOWLEDGED, [state.task], requested_by=requested_by, reason=reason)
    return failure_key(state.last_outcome, state.last_error)
