"""Minutes at which tasks were due since the last tick."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyramid_cron.store.snapshot import Snapshot
    from pyramid_cron.store.task_state import TaskState
    from pyramid_cron.tasks import Task

# a tick may come at any second of its minute, and takes time to be recorded
LONGEST_SILENCE = timedelta(minutes=2)


def find_overdue(state: TaskState, task: Task, snapshot: Snapshot) -> datetime | None:
    """Return the oldest minute at which a task was due since the last tick, if there was time for another one.

    :return: ``None`` if there is none, while a run is in progress, queued or waits for its engine, during a pause, and
        if no process with a tick has the task.
    """
    ticks, now = snapshot.ticks, snapshot.now
    if ticks is None or state.is_claimed or state.waits_since is not None or state.is_paused(now):
        return None
    # only where there is a store
    from pyramid_cron.store.decision import first_owed, next_due

    end = now - LONGEST_SILENCE
    minute = first_owed(task, state, end)
    if minute is None or state.is_unregistered(ticks.before):
        return None
    # what it owes of the time before has problems of its own
    minute = max(minute, next_due(task, ticks.last))
    return minute if minute <= end else None
