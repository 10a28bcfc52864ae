"""Reads the rows of tasks as they are, also from tables of an older minor version, and changes nothing.

A plan of a deploy is made by the new code, while the servers with the old code still use their tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Column, Connection, Select, inspect, null

from pyramid_cron.claims import Pause
from pyramid_cron.names import ALL_TASKS
from pyramid_cron.schedules import clock
from pyramid_cron.store.database import Database
from pyramid_cron.store.errors import database_errors
from pyramid_cron.store.migrations import VERSION, has_tables, require_known, stored_version
from pyramid_cron.store.pause_times import FOR_EVER, end_of
from pyramid_cron.store.schema import pauses, processes, tasks, ticks
from pyramid_cron.store.sqlite_file import sqlite_file
from pyramid_cron.store.task_columns import COLUMNS, select_states, state_of
from pyramid_cron.store.task_state import TaskState

Version = tuple[int, int]


class StoredTasks(NamedTuple):
    """The rows of an application's tasks.

    :param version: the version of the tables, ``None`` if there are none.
    :param states: the states of the tasks by their names.
    :param pauses: the pauses in force, by the names of their tasks; that of ``*`` is for all tasks.
    :param before: the newest minute that had a tick before the last one, ``None`` if there was none.
    :param now: the instant by the database's clock.
    """

    version: Version | None
    states: Mapping[str, TaskState]
    pauses: Mapping[str, Pause]
    before: datetime | None
    now: datetime

    @property
    def is_outdated(self) -> bool:
        """Whether the tables are missing, or older than those of this version."""
        return self.version is None or self.version < VERSION

    def pause_of(self, *names: str) -> Pause | None:
        """Return the pause that lasts longest, of those of a task with some names and that of all tasks."""
        found = [self.pauses[name] for name in (*names, ALL_TASKS) if name in self.pauses]
        return max(found, key=end_of, default=None)


def read_stored_tasks(database: Database) -> StoredTasks:
    """Return the rows of an application's tasks.

    :raises Unavailable: if the database is not available, and for tables of another major version.
    """
    with database_errors(), _connected(database) as plain:
        version = None if plain is None else stored_version(plain)
        if plain is None or version is None:
            return StoredTasks(None, {}, {}, None, clock.now())
        require_known(version)
        if version[0] < VERSION[0]:
            # raises, because their columns have other names
            has_tables(plain, database.creates_tables)
        connection = database.scoped(plain)
        now = connection.now()
        states = {state.task: state for state in map(state_of, connection.rows(_select_known(plain)))}
        columns = pauses.c.task, pauses.c.until, pauses.c.reason, pauses.c.requested_by
        paused = {
            task: Pause(None if until == FOR_EVER else until, reason, requested_by, task == ALL_TASKS)
            for task, until, reason, requested_by in connection.rows(connection.select(pauses, *columns))
            if until > now
        }
        before = connection.scalar(connection.select(ticks, ticks.c.minute_before))
        return StoredTasks(version, states, paused, before, now)


@contextmanager
def _connected(database: Database) -> Iterator[Connection | None]:
    """Return a connection, or ``None`` if the database is a file that does not exist yet."""
    file = sqlite_file(database.engine.url)
    if file is not None and not file.exists():
        yield None
        return
    with database.engine.connect() as connection:
        yield connection


def _select_known(connection: Connection) -> Select[Any]:
    """Return the SELECT of the states of all tasks, with NULL for the columns that the tables lack."""
    inspector = inspect(connection)
    there = {
        table: {column['name'] for column in inspector.get_columns(table.name)} for table in (tasks, processes, pauses)
    }

    def is_there(column: Any) -> bool:
        return not isinstance(column, Column) or column.table not in there or column.name in there[column.table]

    columns = [column if is_there(column) else null().label(column.name) for column in COLUMNS]
    return select_states().with_only_columns(*columns, maintain_column_froms=True)
