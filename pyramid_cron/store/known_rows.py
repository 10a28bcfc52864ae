"""The rows of tasks by the names by which a process has the tasks registered, which a deploy may be about to change."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime

from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.renames import under_other_names
from pyramid_cron.store.task_rows import TaskStates
from pyramid_cron.store.task_state import TaskState
from pyramid_cron.store.ticks import Ticks
from pyramid_cron.tasks import Task


class KnownRows:
    """Finds the rows of registered tasks under their names, under those of ``was=``, and by ``renamed_from``.

    :param connection: a connection of the application.
    :param registered: the tasks that the store keeps, by their names.
    """

    def __init__(self, connection: StoreConnection, registered: Mapping[str, Task]) -> None:
        self._connection = connection
        self._registered = registered

    def load(self, names: Collection[str] | None = None) -> dict[str, TaskState]:
        """Return the rows as they are, by the names of the tasks here.

        :param names: the names of tasks with rows that have to be among them, ``None`` for all rows; a name that only
            the row has counts too.
        """
        states = self.read(names)
        may_be_gone = any(name not in self._registered and state.renamed_from for name, state in states.items())
        ticks = Ticks(self._connection).state() if may_be_gone else None
        found = rows_by_name(self._registered, states, None if ticks is None else ticks.before)
        # a caller may know a row by the name that it still has
        return {**{name: states[name] for name in names or () if name in states}, **found}

    def states(self, names: Collection[str] | None = None) -> dict[str, TaskState]:
        """Return states as :func:`states_by_name` does. The parameter is that of :meth:`load`."""
        return {name: _with_names(state, name, self._registered) for name, state in self.load(names).items()}

    def row_names(self, names: Collection[str]) -> dict[str, str]:
        """Return the names of the rows of those of some tasks that have one, by the names of the tasks here."""
        rows = self.load(names)
        return {name: rows[name].task for name in names if name in rows}

    def get(self, name: str) -> TaskState | None:
        """Return the row of a task as it is, ``None`` if it has none."""
        return self.load([name]).get(name)

    def read(self, names: Collection[str] | None = None) -> dict[str, TaskState]:
        """Return the rows by the names that they have, in one statement. The parameter is that of :meth:`load`."""
        if names is None:
            return TaskStates(self._connection).load()
        tasks = (self._registered.get(name) for name in names)
        former = [former for task in tasks if task is not None for former in task.was]
        return TaskStates(self._connection).load_renamed_too([*names, *former])


def rows_by_name(
    registered: Mapping[str, Task], states: Mapping[str, TaskState], before: datetime | None
) -> dict[str, TaskState]:
    """Return the rows as they are, by the names that a process has registered, or else by their own.

    Of two rows of one task, the one counts that stays when a tick merges them.

    :param registered: the tasks that the store keeps, by their names.
    :param before: the newest minute that had a tick before the last one.
    """
    others = under_other_names(registered, states, before)
    taken = {state.task for state in others.values()}
    found = {name: state for name, state in states.items() if name not in taken}
    for name, other in others.items():
        own = found.get(name)
        if own is None or own.last_minute is None:
            found[name] = other
    return found


def states_by_name(
    registered: Mapping[str, Task], states: Mapping[str, TaskState], before: datetime | None
) -> dict[str, TaskState]:
    """Return what :func:`rows_by_name` does, each state with the name of the task here and its other names."""
    rows = rows_by_name(registered, states, before)
    return {name: _with_names(state, name, registered) for name, state in rows.items()}


def _with_names(state: TaskState, name: str, registered: Mapping[str, Task]) -> TaskState:
    task = registered.get(name)
    if task is None:
        return state
    # a row that was renamed back has records under the name before
    others = dict.fromkeys([state.task, state.renamed_from, *task.was])
    names = tuple(other for other in others if other is not None and other not in registered)
    # a copy of each of many rows would take long
    return replace(state, task=name, other_names=names) if names else state
