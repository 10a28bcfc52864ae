"""Reads the rows of tasks: all of them, or those that a tick or a run has to look at."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Select, or_

from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.dialects import Dialect
from pyramid_cron.store.schema import NEEDS_ATTENTION, tasks
from pyramid_cron.store.task_columns import is_named, of_names, select_states, state_of
from pyramid_cron.store.task_conditions import IS_OLDER, IS_TO_RETRY, THIS_MINUTE, THIS_TASK, may_owe, of_minute
from pyramid_cron.store.task_state import TaskState

# names that are a parameter each; for more it reads all rows
MOST_NAMES = 5000

SELECT_SUCCESS = StoreConnection.select(tasks, tasks.c.last_success_for).where(tasks.c.task == THIS_TASK)


class TaskStates:
    """The rows of an application's tasks as values.

    :param connection: a connection of the application.
    """

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection

    def load(self, names: Collection[str] | None = None, minute: datetime | None = None) -> dict[str, TaskState]:
        """Return the states of tasks by their names.

        :param names: tasks to return beside those that are claimed or are to run once more; ``None`` for all.
        :param minute: the minute of a tick, to return tasks as well that may owe it or one before.
        """
        if names is None or self._are_too_many(names):
            return self._states(select_states(), {})
        query = _select_wanted(self._connection.dialect, minute is not None)
        return self._states(query, of_names(names) | ({} if minute is None else of_minute(minute)))

    def load_behind(self, names: Collection[str], minute: datetime) -> dict[str, TaskState]:
        """Return the states of those of some tasks that have not begun for a minute, or are to run once more for it."""
        if self._are_too_many(names):
            return self.load()
        values = of_names(names) | {THIS_MINUTE.key: minute}
        return self._states(_select_behind(self._connection.dialect), values)

    def load_renamed_too(self, names: Collection[str]) -> dict[str, TaskState]:
        """Return the states that :meth:`load` returns for names, and those of tasks that had one of them before."""
        if self._are_too_many(names):
            return self.load()
        return self._states(_select_known(self._connection.dialect), of_names(names))

    def renamed(self, names: Collection[str]) -> dict[str, TaskState]:
        """Return the states of the tasks that had one of these names before their present ones."""
        return self._states(_select_renamed(self._connection.dialect), of_names(names))

    def get(self, name: str) -> TaskState | None:
        """Return the state of a task, ``None`` if it has none."""
        return self.load([name]).get(name)

    def last_success_for(self, task: str) -> datetime | None:
        """Return the newest minute of a scheduled run that succeeded, ``None`` without such a run."""
        found: datetime | None = self._connection.scalar(SELECT_SUCCESS, {THIS_TASK.key: task})
        return found

    def _are_too_many(self, names: Collection[str]) -> bool:
        return len(names) > MOST_NAMES and not self._connection.dialect.has_arrays

    def _states(self, query: Select[Any], values: dict[str, Any]) -> dict[str, TaskState]:
        return {state.task: state for state in map(state_of, self._connection.rows(query, values))}


@cache
def _select_wanted(dialect: Dialect, may_owe_too: bool) -> Select[Any]:
    conditions = [is_named(dialect), NEEDS_ATTENTION, *([may_owe()] if may_owe_too else [])]
    return select_states().where(or_(*conditions))


@cache
def _select_known(dialect: Dialect) -> Select[Any]:
    conditions = is_named(dialect), is_named(dialect, tasks.c.renamed_from), NEEDS_ATTENTION
    return select_states().where(or_(*conditions))


@cache
def _select_behind(dialect: Dialect) -> Select[Any]:
    return select_states().where(is_named(dialect), or_(IS_OLDER, IS_TO_RETRY))


@cache
def _select_renamed(dialect: Dialect) -> Select[Any]:
    return select_states().where(is_named(dialect, tasks.c.renamed_from))
