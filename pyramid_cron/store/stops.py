"""Stops on request: a queued run ends at once, and a run in progress when its task next calls ``stopping()``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func

from pyramid_cron.claims import Delivery
from pyramid_cron.errors import CronError
from pyramid_cron.outcomes import STOPPED
from pyramid_cron.run_keys import same_run
from pyramid_cron.schedules import clock
from pyramid_cron.stopping import StopRequest
from pyramid_cron.store.actions import Actions
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.history import History
from pyramid_cron.store.last_result import of_neither
from pyramid_cron.store.leases import request_stop
from pyramid_cron.store.run import minute_of_token
from pyramid_cron.store.schema import tasks
from pyramid_cron.store.task_claims import TaskClaims
from pyramid_cron.store.task_state import TaskState
from pyramid_cron.store.ticks import LAST_MINUTE

# what is in the audit
STOP_REQUESTED = 'stop requested'

BUSY_UNTIL = func.coalesce(LAST_MINUTE, tasks.c.busy_until)


class NotInProgress(CronError, ValueError):
    """A run cannot be stopped, because it is not in progress."""


class Changed(CronError):
    """A run has begun or ended since the row of its task was read."""


@dataclass(frozen=True)
class Stop:
    """What became of the request that a run ends.

    :param task: the name of the task.
    :param request: the request: an earlier one of the same run if there is one.
    :param was_queued: whether the run was queued, and has ended.
    :param is_new: whether there was none before it.
    :param lease_over: whether the lease of its process has expired, so that the process may be dead.
    """

    task: str
    request: StopRequest
    was_queued: bool = False
    is_new: bool = True
    lease_over: bool = False


def find_run(
    connection: StoreConnection, name: str, state: TaskState | None, run_id: str | None, delivery: Delivery | None
) -> TaskState:
    """Return the row of a task with a run in progress, or one that is queued.

    :param name: the name by which this process knows the task.
    :param state: its row, which may have another name; ``None`` if it has none.
    :param run_id: a fencing token of the run, such as that under which it was enqueued; ``None`` for any run.
    :param delivery: the minute or the token that it has to be for, ``None`` for any.
    :raises LookupError: for a task that has no row.
    :raises NotInProgress: if there is no such run.
    """
    if state is None:
        raise LookupError(f'the store has no task {name!r}')
    minute, token = (None, run_id) if delivery is None else (delivery.minute, delivery.token or run_id)
    if state.run_id is None or (token is not None and not same_run(state.run_id, token)):
        raise NotInProgress(_why_not(name, state))
    if minute is not None and minute != History(connection).request_of(state.run_id)[0]:
        raise NotInProgress(_why_not(name, state))
    return state


def _why_not(name: str, state: TaskState) -> str:
    if state.run_id is not None:
        return f'that run of task {name} is not in progress: another one is'
    if state.last_outcome is None:
        return f'task {name} is not running: it has not run yet'
    return f'task {name} is not running: its last run was {state.last_outcome}'


def stop_run(connection: StoreConnection, state: TaskState, requested_by: str | None) -> Stop:
    """End a queued run, or record that a run in progress is to end, with an entry of the audit.

    :param state: the row of its task, as :func:`find_run` has returned it.
    :raises Changed: if the run has begun or ended since.
    """
    run_id = str(state.run_id)
    if state.handed_over_for is None:
        return _request(connection, state, run_id, requested_by)
    # of a run by name, it is its token
    minute = None if state.handed_over_for == run_id else state.last_minute
    request = StopRequest(requested_by, clock.now())
    values: dict[str, Any] = {}
    if minute is not None or minute_of_token(run_id) is None:
        # a backfill leaves its minute as it was
        values = of_neither(STOPPED, minute, clock.now(), None, state.attempt if minute else 1, state)
        values |= {'stop_requested_by': requested_by}
    if minute is not None:
        # the ticks until now have recorded that it was still queued
        values['busy_until'] = BUSY_UNTIL
    if not TaskClaims(connection).expire_enqueued(state.task, run_id, **values):
        raise Changed
    reason = f'{request.reason}, before a worker began it'
    History(connection).end(run_id, outcome=STOPPED, seconds=None, reason=reason, error=None, traceback=None)
    Actions(connection).record(STOPPED, [state.task], requested_by=requested_by)
    return Stop(state.task, request, was_queued=True)


def _request(connection: StoreConnection, state: TaskState, run_id: str, requested_by: str | None) -> Stop:
    new = StopRequest(requested_by, clock.now())
    request = request_stop(connection, state.task, run_id, new)
    if request is None:
        raise Changed
    is_new = request is new
    if is_new:
        Actions(connection).record(STOP_REQUESTED, [state.task], requested_by=requested_by)
    lease_over = state.process is not None and state.process.lease_over
    return Stop(state.task, request, is_new=is_new, lease_over=lease_over)
