"""The readings of the store that the status page shows. Without a store, they are empty."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from pyramid_cron.claims import Unavailable
from pyramid_cron.reports import PastRun
from pyramid_cron.tasks import Task

if TYPE_CHECKING:
    from pyramid_cron.monitoring.examine import Examination
    from pyramid_cron.store.queries import Missed
    from pyramid_cron.store.ticks import Gap

# how long a gap is shown
RECENT = timedelta(days=1)
MAX_RECENT = 200
# runs of a task in one strip, and on the page of the task
STRIP, HISTORY = 30, 50


class TasksState(NamedTuple):
    """The state of all tasks.

    :param has_store: whether there is a store.
    :param error: why it cannot be read.
    :param examination: the rows of the tasks and what is wrong with them, ``None`` without a store that can be read.
    :param outcomes: the outcomes of the last runs of each task by its name, the newest last.
    :param gaps: the recent minutes without a tick.
    """

    has_store: bool = False
    error: str | None = None
    examination: Examination | None = None
    outcomes: Mapping[str, Sequence[str]] = {}
    gaps: Sequence[Gap] = ()


class TaskHistory(NamedTuple):
    """The state and the history of one task.

    :param has_store: whether there is a store.
    :param error: why it cannot be read.
    :param examination: the row of the task and what is wrong with it, ``None`` without a store that can be read.
    :param entries: its runs and those that it missed, the newest first.
    """

    has_store: bool = False
    error: str | None = None
    examination: Examination | None = None
    entries: Sequence[PastRun | Missed | Gap] = ()


class MinuteRuns(NamedTuple):
    """The runs for one minute.

    :param has_store: whether there is a store.
    :param error: why it cannot be read.
    :param runs: the recorded runs of each task, by its name.
    :param stuck: the names of the tasks whose run in progress is stuck.
    """

    has_store: bool = False
    error: str | None = None
    runs: Mapping[str, Sequence[PastRun]] = {}
    stuck: Collection[str | None] = ()


def read_tasks(registry: Any, now: datetime) -> TasksState:
    """Read the state of all tasks."""
    store = registry['cron_store']
    if store is None:
        return TasksState()
    from pyramid_cron.monitoring.examine import examine

    try:
        state = TasksState(has_store=True, examination=examine(registry))
        with store.queries() as queries:
            if queries is None:
                return state
            return state._replace(outcomes=queries.strips(STRIP), gaps=queries.gaps(MAX_RECENT, now - RECENT))
    except Unavailable as exc:
        return TasksState(has_store=True, error=str(exc))


def read_task_history(registry: Any, task: Task, faults: bool) -> TaskHistory:
    """Read the state and the history of one task.

    :param faults: leave out runs that were neither lost nor failed nor missed.
    """
    store = registry['cron_store']
    if store is None:
        return TaskHistory()
    from pyramid_cron.monitoring.examine import examine
    from pyramid_cron.store.queries import in_order

    try:
        history = TaskHistory(has_store=True, examination=examine(registry, [task.name]))
        with store.queries() as queries:
            if queries is None:
                return history
            runs = queries.past_runs(HISTORY, [task.name], faults=faults)
            missed = queries.missed(HISTORY, [task.name])
    except Unavailable as exc:
        return TaskHistory(has_store=True, error=str(exc))
    return history._replace(entries=in_order(runs, missed, [], HISTORY)[::-1])


def read_minute(registry: Any, names: Collection[str], minute: datetime) -> MinuteRuns:
    """Read the runs of tasks for a minute at which they were due."""
    store = registry['cron_store']
    if store is None:
        return MinuteRuns()
    from pyramid_cron.monitoring.examine import examine

    runs: dict[str, list[PastRun]] = {}
    try:
        stuck = examine(registry).stuck
        with store.queries() as queries:
            for run in [] if queries is None else queries.for_minute(names, minute):
                runs.setdefault(run.task, []).append(run)
    except Unavailable as exc:
        return MinuteRuns(has_store=True, error=str(exc))
    return MinuteRuns(has_store=True, runs=runs, stuck=stuck)


def last_manual_run(registry: Any, name: str, since: datetime) -> datetime | None:
    """Return when a task last began to run by hand, ``None`` if it did not since an instant or there is no store.

    :raises Unavailable: if the store cannot be read.
    """
    store = registry['cron_store']
    if store is None:
        return None
    began: datetime | None
    with store.queries() as queries:
        began = None if queries is None else queries.by_hand_since(name, since)
    return began
