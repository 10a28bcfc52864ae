"""The database of the store: connections for threads and forked processes; the first use checks the tables."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, event

from pyramid_cron.printable import message
from pyramid_cron.scrub import DEFAULT_SCRUBBER, Scrubber
from pyramid_cron.store.circuit_breaker import CircuitBreaker
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.dialects import SQLITE, Dialect, dialect_of
from pyramid_cron.store.errors import database_errors, unavailable
from pyramid_cron.store.migrations import has_tables, prepare_tables
from pyramid_cron.store.sqlite_file import OpenFile, sqlite_file

log = logging.getLogger(__name__)


class Database:
    """The database of the store, for any number of threads and for processes that were forked.

    :param engine: an engine that nothing else uses.
    :param app: the name of the application.
    :param create_tables: create the tables, and upgrade older ones, at the first use.
    :param scrub: scrubs the texts that are stored.
    """

    def __init__(self, engine: Engine, app: str, create_tables: bool, scrub: Scrubber = DEFAULT_SCRUBBER) -> None:
        self.engine = engine
        self.app = app
        self.creates_tables = create_tables
        self.scrub = scrub
        self.breaker = CircuitBreaker()
        self._ready = self._readable = False
        self._process = os.getpid()
        self._lock = threading.Lock()
        self._file: OpenFile | None = None
        path = sqlite_file(engine.url)
        if path is not None:
            self._file = OpenFile(path)
            event.listen(engine, 'connect', self._file.opened)

    @property
    def dialect(self) -> Dialect:
        """The differences of the database."""
        return dialect_of(self.engine.dialect.name)

    def scoped(self, connection: Connection) -> StoreConnection:
        """Return a connection for the rows of the application, also one of the application's own session."""
        return StoreConnection(connection, self.app, self.scrub)

    @contextmanager
    def begin(self) -> Iterator[StoreConnection]:
        """Return a connection with a transaction, which is committed at the end of the ``with``.

        :raises Unavailable: for any error of the database.
        """
        with self.breaker.guard(), self._connected() as connection:
            with database_errors():
                transaction = connection.begin()
            yield self.scoped(connection)
            with database_errors(), transaction:
                # commits here, and rolls back if that fails
                pass

    @contextmanager
    def autocommit(self) -> Iterator[StoreConnection]:
        """Return a connection for statements that are each committed by the server itself.

        A process that is frozen between two of them holds no lock.

        :raises Unavailable: for any error of the database.
        """
        with self.breaker.guard(), self._connected(isolation_level='AUTOCOMMIT') as connection:
            if self.dialect is not SQLITE:
                yield self.scoped(connection)
                return
            # the row of a tick is not worth a wait for the disk: lost with the machine, it makes a gap of a minute
            driver: Any = connection.connection.driver_connection
            driver.execute('PRAGMA synchronous = NORMAL')
            try:
                yield self.scoped(connection)
            finally:
                # an exit within a statement has closed it
                if not connection.invalidated:
                    driver.execute('PRAGMA synchronous = FULL')

    @contextmanager
    def one_statement(self) -> Iterator[StoreConnection]:
        """Return a connection for one statement, which is committed, and waits for the disk, without a round trip more.

        :raises Unavailable: for any error of the database.
        """
        with self.begin() if self.dialect is SQLITE else self.autocommit() as connection:
            yield connection

    @contextmanager
    def reading(self) -> Iterator[StoreConnection | None]:
        """Return a connection to read what there is, or ``None`` if there are no tables: reading creates none.

        The reader may be another account than that of the server, which could not write a file that this one created.

        :raises Unavailable: for any error of the database, and if the tables are of another version.
        """
        self._leave_parent()
        with database_errors():
            self._leave_replaced_file()
        if self._file is not None and not self._file.path.exists():
            yield None
            return
        with _open(self.engine) as connection:
            if not self._readable:
                with database_errors():
                    self._readable = has_tables(connection, self.creates_tables)
            yield self.scoped(connection) if self._readable else None

    @contextmanager
    def _connected(self, **options: Any) -> Iterator[Connection]:
        with database_errors():
            engine = self._prepared()
        with _open(engine) as connection:
            try:
                if options:
                    connection.execution_options(**options)
            except Exception as exc:
                # PyMySQL sends a statement here, the errors of which SQLAlchemy does not see
                connection.invalidate()
                raise unavailable(exc, disconnected=True) from exc
            yield connection

    def _leave_parent(self) -> None:
        if self._process != os.getpid():
            # connections that a parent process has open are the parent's
            self._process = os.getpid()
            self.engine.dispose(close=False)

    def _leave_replaced_file(self) -> None:
        """Close the connections to a file that was replaced or removed, so that the tables are checked once more."""
        if self._file is None or not self._file.is_replaced():
            return
        with self._lock:
            # another thread may have done so
            if self._file.is_replaced():
                log.warning('cron.store: %s; runs in progress have no record in the new one', self._file.leave())
                self._ready = self._readable = False
                self.engine.dispose()

    def _prepared(self) -> Engine:
        self._leave_parent()
        self._leave_replaced_file()
        if not self._ready:
            with self._lock:
                if not self._ready:
                    prepare_tables(self.engine, self.creates_tables)
                    self._ready = True
        return self.engine


@contextmanager
def _open(engine: Engine) -> Iterator[Connection]:
    """Return a connection, which is dropped at the end of the ``with`` if its transaction cannot be rolled back."""
    with database_errors():
        connection = engine.connect()
    try:
        yield connection
    finally:
        try:
            connection.close()
        except Exception as exc:
            log.debug('a connection is dropped that cannot be rolled back: %s', message(exc))
