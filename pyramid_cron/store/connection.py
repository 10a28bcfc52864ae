"""A connection together with the application whose rows are meant: the only way to the store's tables.

Nothing else in this package builds a SELECT, INSERT, UPDATE or DELETE, so that no statement can forget the application.
A join or a subquery is written with :meth:`StoreConnection.same_task`, which compares the application as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timezone
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Delete,
    Exists,
    FromClause,
    Select,
    Table,
    Update,
    and_,
    delete,
    exists,
    insert,
    literal,
    select,
    true,
    update,
)

from pyramid_cron.scrub import DEFAULT_SCRUBBER, Scrubber
from pyramid_cron.store.dialects import Dialect, database_clock, dialect_of, skips_locked
from pyramid_cron.store.errors import unavailable
from pyramid_cron.store.schema import processes
from pyramid_cron.store.storable import scrubbed_by
from pyramid_cron.store.time_limit import limited

# or else the count of an INSERT is not known
COUNTED = {'preserve_rowcount': True}


class StoreConnection:
    """A connection that reads and changes the rows of one application.

    :param connection: a connection to the database of the store.
    :param app: the name of the application.
    :param scrub: scrubs the texts that are stored, see :meth:`.Database.scoped`.
    """

    __slots__ = ('_connection', '_scrub', 'app')

    def __init__(self, connection: Connection, app: str, scrub: Scrubber = DEFAULT_SCRUBBER) -> None:
        self._connection = connection
        self.app = app
        self._scrub = scrub

    @property
    def dialect(self) -> Dialect:
        """The differences of the database."""
        return dialect_of(self._connection.dialect.name)

    @property
    def skips_locked(self) -> bool:
        """Whether rows that other transactions have locked can be skipped."""
        return skips_locked(self._connection.dialect)

    @property
    def driver_connection(self) -> Any:
        """The driver's own connection, for an engine that writes its job on it."""
        return self._connection.connection.driver_connection

    def limited(self) -> AbstractContextManager[None]:
        """Return a context manager that limits how long the driver's connection waits for the database."""
        return limited(self._connection)

    def of_app(self, table: FromClause) -> ColumnElement[bool]:
        """Return the condition that a row belongs to the application. Processes belong to none."""
        return true() if table is processes else table.c.app == self.app

    @staticmethod
    def same_task(one: FromClause, other: FromClause) -> ColumnElement[bool]:
        """Return the condition that two rows belong to the same task of the same application."""
        return and_(one.c.app == other.c.app, one.c.task == other.c.task)

    def select(self, table: FromClause, *columns: Any) -> Select[Any]:
        """Return a SELECT of columns, or expressions, from the application's rows of a table."""
        return select(*columns).select_from(table).where(self.of_app(table))

    def select_new(self, *values: Any) -> Select[Any]:
        """Return a SELECT of the application's name and of values, from no table: for an INSERT with a condition."""
        return select(literal(self.app), *values)

    def exists(self, table: FromClause) -> Exists:
        """Return the condition that the application has such a row."""
        return exists().where(self.of_app(table))

    def update(self, table: Table) -> Update:
        """Return an UPDATE of the application's rows of a table."""
        return update(table).where(self.of_app(table))

    def delete(self, table: Table) -> Delete:
        """Return a DELETE of the application's rows of a table."""
        return delete(table).where(self.of_app(table))

    def insert(self, table: Table) -> Any:
        """Return an INSERT of a row of the application."""
        return self._with_app(insert(table), table)

    def insert_new(self, table: Table) -> Any:
        """Return an INSERT of rows of the application that skips those whose key exists."""
        return self._with_app(self.dialect.insert_new(table), table)

    def _with_app(self, statement: Any, table: Table) -> Any:
        return statement if table is processes else statement.values(app=self.app)

    def in_any_application(self, table: Table) -> Exists:
        """Return the condition that any application has such a row: for processes, which several of them can share."""
        return exists().select_from(table)

    def execute(self, statement: Any, values: dict[str, Any] | Sequence[dict[str, Any]] | None = None) -> int:
        """Execute an INSERT, UPDATE or DELETE, and return how many rows it has changed.

        :param values: values of its columns by their names, or a sequence of these, one for each row of an INSERT.
        :raises Unavailable: for any error of the database.
        """
        return int(self._execute(statement, values, execution_options=COUNTED).rowcount)

    def rows(self, statement: Any) -> Sequence[Any]:
        """Return the rows of a SELECT, or of another statement that returns some.

        :raises Unavailable: for any error of the database, and for a value that cannot be read.
        """
        result = self._execute(statement)
        try:
            rows: Sequence[Any] = result.all()
        except Exception as exc:
            raise unavailable(exc, self._connection.invalidated) from exc
        return rows

    def _execute(self, *arguments: Any, **options: Any) -> Any:
        try:
            with scrubbed_by(self._scrub):
                return self._connection.execute(*arguments, **options)
        except Exception as exc:
            raise unavailable(exc, self._connection.invalidated) from exc

    def scalar(self, statement: Any) -> Any:
        """Return the first column of the first row, ``None`` if there is none."""
        return next(iter(self.scalars(statement)), None)

    def scalars(self, statement: Any) -> list[Any]:
        """Return the first column of all rows."""
        return [row[0] for row in self.rows(statement)]

    def clock(self) -> float:
        """Return the time by the database's clock, in seconds since 1970."""
        return float(self.scalar(select(database_clock())))

    def now(self) -> datetime:
        """Return the same as an instant."""
        return datetime.fromtimestamp(self.clock(), timezone.utc)
