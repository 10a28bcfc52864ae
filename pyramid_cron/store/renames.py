"""Tasks under another name: takes over the row, the pause and the history of a task that a deploy has renamed.

While servers of both sides of a deploy tick, the row has the name that the server of the last due minute knows: one row
decides about each minute, under whichever name it runs.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime

from pyramid_cron.errors import Unavailable
from pyramid_cron.schedules import clock
from pyramid_cron.store.actions import Actions
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.database import Database
from pyramid_cron.store.history import History
from pyramid_cron.store.pauses import Pauses
from pyramid_cron.store.registered_tasks import RegisteredTasks
from pyramid_cron.store.task_rows import TaskStates
from pyramid_cron.store.task_state import TaskState
from pyramid_cron.tasks import Task

log = logging.getLogger(__name__)


class _Overtaken(Exception):
    """Another process has changed one of the two rows, and the transaction has to be rolled back."""


def names_of(tasks: Iterable[Task]) -> list[str]:
    """Return the names that the rows of tasks may have: their own, and those that ``was=`` lists."""
    return [name for task in tasks for name in (task.name, *task.was)]


def load_renamed(
    connection: StoreConnection, wanted: Iterable[Task], states: Mapping[str, TaskState]
) -> Mapping[str, TaskState]:
    """Return the states of tasks, after those were added that a process with newer code has renamed.

    :param states: the states that were found by the names of :func:`names_of`.
    """
    missing = [task.name for task in wanted if task.name not in states]
    return {**states, **TaskStates(connection).renamed(missing)} if missing else states


def under_other_names(
    registered: Mapping[str, Task], states: Mapping[str, TaskState], before: datetime | None = None
) -> dict[str, TaskState]:
    """Return the rows that have another name of a task, by its name.

    :param registered: the tasks that the store keeps, by their names.
    :param before: the newest minute that had a tick before the present one.
    """
    found: dict[str, TaskState] = {}
    others = {name: state for name, state in states.items() if name not in registered}
    if not others:
        # as at most ticks, which need no look at all tasks
        return found
    by_former = {former: task.name for task in registered.values() for former in task.was}
    for name, state in others.items():
        own = by_former.get(name)
        if own is None and state.renamed_from in registered and not state.is_unregistered(before):
            own = state.renamed_from
        if own is not None:
            found[own] = state
    return found


class Renames:
    """Gives the rows of renamed tasks the names by which a process knows them.

    :param database: the database of the store.
    :param batch: how many runs of the history are renamed at once.
    :param batches: how often that is done for one name at a look at all tasks.
    """

    def __init__(self, database: Database, batch: int = 1000, batches: int = 5) -> None:
        self._database = database
        self._batch = batch
        self._batches = batches

    def take_over(self, task: Task, other: TaskState) -> TaskState | None:
        """Give a row the name of a task, together with its pause, and return the row that decides about the task.

        That is the other row while a run of it is in progress.

        :param other: the row under another name.
        :raises Locked: if one of the rows is locked.
        """
        if other.is_claimed:
            return other
        with self._database.autocommit() as connection:
            own = TaskStates(connection).get(task.name)
        try:
            with self._database.begin() as connection:
                registered = RegisteredTasks(connection)
                done = registered.rename(other, task.name) if own is None else registered.merge(own, other)
                if not done:
                    raise _Overtaken
                Pauses(connection).rename(other.task, task.name, clock.now())
        except _Overtaken:
            log.debug('the row of task %s, which was %s, has changed meanwhile', task.name, other.task)
        else:
            log.info('task %s has taken over the row and the pause of %s', task.name, other.task)
        with self._database.autocommit() as connection:
            states = TaskStates(connection)
            return states.get(task.name) or states.get(other.task)

    def take_over_history(self, tasks: Collection[Task]) -> None:
        """Rename some of the runs of the former names of tasks, the newest first."""
        former = [(name, task.name) for task in tasks for name in task.was]
        try:
            for old, new in former:
                with self._database.autocommit() as connection:
                    Actions(connection).rename(old, new)
                for _ in range(self._batches):
                    with self._database.begin() as connection:
                        if History(connection).rename(old, new, self._batch) < self._batch:
                            break
        except Unavailable as exc:
            log.warning('the history of renamed tasks cannot be taken over: %s', exc)
