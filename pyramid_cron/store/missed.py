"""Due minutes for which a task does not run: recorded, logged, and sent to subscribers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime

from pyramid_cron.events import TaskMissed
from pyramid_cron.reports import MISSED, PAUSED, SKIPPED
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.decision import Decision, busy_minutes
from pyramid_cron.store.failed_ticks import FailedTicks
from pyramid_cron.store.history import History
from pyramid_cron.store.last_result import of_missed
from pyramid_cron.store.options import Options
from pyramid_cron.store.task_rows import TaskStates, next_due
from pyramid_cron.store.task_state import TaskState
from pyramid_cron.store.texts import STILL_RUNNING, paused_reason
from pyramid_cron.tasks import Task

log = logging.getLogger(__name__)

NO_TICK_IN_TIME = 'no tick came in time'


def record_skipped(
    connection: StoreConnection, task: Task, decision: Decision, state: TaskState | None, failed_ticks: FailedTicks
) -> None:
    """Record the minutes that a decision skips, and those during the last run that no tick has recorded.

    :param state: the state that the decision was made by, ``None`` for a run by name, which skips none.
    :param failed_ticks: the ticks that failed in this process.
    """
    if state is None:
        return
    history = History(connection)
    history.record_without_run(task.name, busy_minutes(task, state), SKIPPED, STILL_RUNNING)
    if decision.missed:
        reason = failed_ticks.reason(decision.missed[0], decision.missed[-1])
        shown = NO_TICK_IN_TIME if reason is None else f'ticks failed: {reason}'
        history.record_without_run(task.name, decision.missed, MISSED, shown)
    if decision.paused and state.pause is not None:
        history.record_without_run(task.name, decision.paused, PAUSED, paused_reason(state.pause))


def skip_minutes(
    connection: StoreConnection,
    task: Task,
    minute: datetime,
    decision: Decision,
    state: TaskState | None,
    failed_ticks: FailedTicks,
) -> bool:
    """Record that a task does not run for a minute and for those before, and return whether no other process has."""
    result = of_missed(decision.missed[-1]) if decision.missed else {}
    new = TaskStates(connection).skip_to(task.name, minute, next_due=next_due(task, minute), **result)
    if new:
        record_skipped(connection, task, decision, state, failed_ticks)
    return new


def notify_missed(options: Options, task: Task, minutes: Sequence[datetime]) -> None:
    """Log, and send to subscribers once, that a task does not run for minutes, the earliest first."""
    if not minutes:
        return
    first, last = options.shown(minutes[0]), options.shown(minutes[-1])
    shown = first if len(minutes) == 1 else f'{len(minutes)} minutes from {first} to {last}'
    log.warning('task %s was missed and does not run for %s', task.name, shown)
    options.notify(TaskMissed(task.name, tuple(minutes)))
