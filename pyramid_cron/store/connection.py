"""A connection together with the application whose rows are meant: the only way to the store's tables.

Nothing else in this package builds a SELECT, INSERT, UPDATE or DELETE, so that no statement can forget the application.
A join or a subquery is written with :meth:`StoreConnection.same_task`, which compares the application as well.

The application is a parameter of each statement, with a value that the connection has. A statement that is executed
often is built once, by a function with :func:`functools.cache`, because to build it takes longer than to execute it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timezone
from functools import cache
from typing import Any

from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Delete,
    Exists,
    FromClause,
    Insert,
    Select,
    Table,
    Update,
    and_,
    bindparam,
    column,
    delete,
    exists,
    func,
    insert,
    select,
    true,
    union,
    update,
)

from pyramid_cron.scrub import DEFAULT_SCRUBBER, Scrubber
from pyramid_cron.store.dialects import Dialect, database_clock, dialect_of, skips_locked
from pyramid_cron.store.errors import unavailable
from pyramid_cron.store.schema import APP, processes
from pyramid_cron.store.storable import scrubbed_by
from pyramid_cron.store.time_limit import limited

# the name of the application in each statement
THIS_APP = bindparam('of_app', type_=APP)
NO_VALUES: dict[str, Any] = {}
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

    @staticmethod
    def of_app(table: FromClause) -> ColumnElement[bool]:
        """Return the condition that a row belongs to the application. Processes belong to none."""
        return true() if table is processes else table.c.app == THIS_APP

    @staticmethod
    def same_task(one: FromClause, other: FromClause) -> ColumnElement[bool]:
        """Return the condition that two rows belong to the same task of the same application."""
        return and_(one.c.app == other.c.app, one.c.task == other.c.task)

    @staticmethod
    def select(table: FromClause, *columns: Any) -> Select[Any]:
        """Return a SELECT of columns, or expressions, from the application's rows of a table."""
        return select(*columns).select_from(table).where(StoreConnection.of_app(table))

    @staticmethod
    def select_by_key(table: Table, *columns: Any) -> Select[Any]:
        """Return the same for a range of the primary key, by which SQLite then looks for the rows."""
        # without statistics it would look at all rows of the application
        return select(*columns).select_from(table).where(table.c.app + '' == THIS_APP)

    @staticmethod
    def select_new(*values: Any) -> Select[Any]:
        """Return a SELECT of the application's name and of values, from no table: for an INSERT with a condition."""
        return select(THIS_APP, *values)

    @staticmethod
    def union(*queries: Select[Any]) -> Any:
        """Return a FROM clause with the rows of several SELECTs, each of them once."""
        return union(*queries).subquery()

    @staticmethod
    def exists(table: FromClause) -> Exists:
        """Return the condition that the application has such a row."""
        return exists().where(StoreConnection.of_app(table))

    @staticmethod
    def update(table: Table) -> Update:
        """Return an UPDATE of the application's rows of a table."""
        return update(table).where(StoreConnection.of_app(table))

    @staticmethod
    def delete(table: Table) -> Delete:
        """Return a DELETE of the application's rows of a table."""
        return delete(table).where(StoreConnection.of_app(table))

    @staticmethod
    def insert(table: Table) -> Any:
        """Return an INSERT of a row of the application."""
        return _with_app(insert(table), table)

    @staticmethod
    def insert_selected(insert: Insert, source: FromClause, values: dict[str, Any]) -> Any:
        """Return an INSERT of a row for each of the application's rows of a FROM clause.

        :param insert: the INSERT of a table, without values.
        :param values: expressions by the names of the columns.
        """
        values = values if insert.table is processes else {'app': THIS_APP, **values}
        return insert.from_select(list(values), StoreConnection.select(source, *values.values()))

    def insert_new(self, table: Table) -> Any:
        """Return an INSERT of rows of the application that skips those whose key exists."""
        return _with_app(self.dialect.insert_new(table), table)

    def insert_all_new(self, table: Table, rows: Sequence[dict[str, Any]]) -> None:
        """Insert rows of the application, except rows with a key that exists.

        That is one statement where a parameter can be a list.

        :param rows: the values of the same columns each, at least one.
        """
        if self.dialect.has_arrays:
            statement = _insert_lists(self.dialect, table, tuple(rows[0]))
            self.execute(statement, of_lists({name: [row[name] for row in rows] for name in rows[0]}))
        else:
            self.execute(self.insert_new(table), rows)

    @staticmethod
    def in_any_application(table: Table) -> Exists:
        """Return the condition that any application has such a row: for processes, which several of them can share."""
        return exists().select_from(table)

    def execute(self, statement: Any, values: dict[str, Any] | Sequence[dict[str, Any]] = NO_VALUES) -> int:
        """Execute an INSERT, UPDATE or DELETE, and return how many rows it has changed.

        :param values: values of its columns and parameters by their names, or a sequence of these, one for each row of
            an INSERT.
        :raises Unavailable: for any error of the database.
        """
        return int(self._execute(statement, values, COUNTED).rowcount)

    def rows(self, statement: Any, values: dict[str, Any] = NO_VALUES) -> Sequence[Any]:
        """Return the rows of a SELECT, or of another statement that returns some.

        :param values: values of its parameters by their names.
        :raises Unavailable: for any error of the database, and for a value that cannot be read.
        """
        result = self._execute(statement, values)
        try:
            rows: Sequence[Any] = result.all()
        except Exception as exc:
            raise unavailable(exc, self._connection.invalidated) from exc
        return rows

    def _execute(
        self,
        statement: Any,
        values: dict[str, Any] | Sequence[dict[str, Any]],
        options: dict[str, Any] | None = None,
    ) -> Any:
        app = {THIS_APP.key: self.app}
        with_app = {**values, **app} if isinstance(values, dict) else [{**row, **app} for row in values]
        try:
            with scrubbed_by(self._scrub):
                return self._connection.execute(statement, with_app, execution_options=options)
        except Exception as exc:
            raise unavailable(exc, self._connection.invalidated) from exc

    def scalar(self, statement: Any, values: dict[str, Any] = NO_VALUES) -> Any:
        """Return the first column of the first row, ``None`` if there is none."""
        return next(iter(self.scalars(statement, values)), None)

    def scalars(self, statement: Any, values: dict[str, Any] = NO_VALUES) -> list[Any]:
        """Return the first column of all rows."""
        return [row[0] for row in self.rows(statement, values)]

    def clock(self) -> float:
        """Return the time by the database's clock, in seconds since 1970."""
        return float(self.scalar(select(database_clock())))

    def now(self) -> datetime:
        """Return the same as an instant."""
        return datetime.fromtimestamp(self.clock(), timezone.utc)


def lists(kinds: dict[str, Any]) -> Any:
    """Return a FROM clause with a row for each element of parameters that are lists, and its ``position`` from 1 on.

    :param kinds: the types of its columns by their names.
    """
    parameters = [bindparam(f'list_of_{name}', type_=ARRAY(kind)) for name, kind in kinds.items()]
    columns = [column(name, kind) for name, kind in kinds.items()]
    return func.unnest(*parameters).table_valued(*columns, with_ordinality='position', name='listed').render_derived()


def of_lists(values: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
    """Return the parameters of :func:`lists`."""
    return {f'list_of_{name}': list(column) for name, column in values.items()}


@cache
def _insert_lists(dialect: Dialect, table: Table, names: tuple[str, ...]) -> Any:
    listed = lists({name: table.c[name].type for name in names})
    new = StoreConnection.select_new(*(listed.c[name] for name in names)).select_from(listed)
    return dialect.insert_new(table).from_select(['app', *names], new)


def _with_app(statement: Any, table: Table) -> Any:
    return statement if table is processes else statement.values(app=THIS_APP)
