"""The connection to the store's database: a small pool of its own, and time limits for everything."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyramid.exceptions import ConfigurationError
from pyramid.path import DottedNameResolver
from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from pyramid_cron.store.schema import metadata, runs

log = logging.getLogger(__name__)

# seconds until a statement, a lock or a connection is given up
MOST_SECONDS = 4
# what a URL leaves to its driver, some of which would wait for ever
CONNECT_ARGS: dict[str, dict[str, Any]] = {
    'sqlite': {'timeout': MOST_SECONDS},
    # the last is of Linux, for a server that has gone without a word
    'psycopg': {'connect_timeout': MOST_SECONDS, 'tcp_user_timeout': MOST_SECONDS * 1000},
    'psycopg2': {'connect_timeout': MOST_SECONDS, 'tcp_user_timeout': MOST_SECONDS * 1000},
    'mysql': {'connect_timeout': MOST_SECONDS},
}
# of the server, for each session
LIMITS = {
    'postgresql': [
        f'SET {name} = {MOST_SECONDS * 1000}'
        # the last, so that a process that was frozen in a transaction holds its locks no longer than this
        for name in ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout')
    ],
    'mysql': [f'SET SESSION innodb_lock_wait_timeout = {MOST_SECONDS}'],
    'sqlite': ['PRAGMA synchronous = FULL'],
}
ATTEMPTS_TO_CREATE = 10


class Database:
    """The store's database, for any number of threads and for processes that were forked.

    :param engine: an engine that nobody else uses.
    :param create_tables: make the tables that are not there, on first use.
    """

    def __init__(self, engine: Engine, create_tables: bool) -> None:
        self.engine = engine
        self.creates_tables = create_tables
        self._ready = not create_tables
        self._process = os.getpid()
        self._lock = threading.Lock()

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """Give a connection with a transaction, which is committed at the end of the ``with``."""
        with self._prepared().begin() as connection:
            yield connection

    @contextmanager
    def autocommit(self) -> Iterator[Connection]:
        """Give a connection for statements that are each committed by the server itself.

        A process that is frozen between two of them holds no lock.
        """
        with self._prepared().connect().execution_options(isolation_level='AUTOCOMMIT') as connection:
            if self.engine.dialect.name != 'sqlite':
                yield connection
                return
            # what a tick writes is not worth waiting for a disk: lost with the machine, it makes a gap of a minute
            driver: Any = connection.connection.driver_connection
            driver.execute('PRAGMA synchronous = NORMAL')
            try:
                yield connection
            finally:
                driver.execute('PRAGMA synchronous = FULL')

    @contextmanager
    def reading(self) -> Iterator[Connection | None]:
        """Give a connection to look at what there is, or ``None`` if there are no tables: looking makes none.

        Whoever looks may be another account than that of the server, which could not write a file of theirs.
        """
        self._leave_parent()
        file = sqlite_file(self.engine.url)
        if file is not None and not file.exists():
            yield None
            return
        with self.engine.connect() as connection:
            yield connection if inspect(connection).has_table(runs.name) else None

    def _leave_parent(self) -> None:
        if self._process != os.getpid():
            # connections that a parent process has open are the parent's
            self._process = os.getpid()
            self.engine.dispose(close=False)

    def _prepared(self) -> Engine:
        self._leave_parent()
        if not self._ready:
            with self._lock:
                if not self._ready:
                    create_all(self.engine)
                    self._ready = True
        return self.engine


def create_all(engine: Engine, sleep: Callable[[float], object] = time.sleep) -> None:
    """Make the tables that are not there.

    Several processes that start at once see the same tables missing, and all but one of them fail at making some.
    """
    if engine.dialect.name == 'sqlite':
        with engine.connect() as connection:
            # readers and a writer do not wait for one another, and a commit is one write to the disk
            # closed at once: SQLite commits nothing while somebody, such as the debug toolbar, holds its answer open
            connection.exec_driver_sql('PRAGMA journal_mode = WAL').close()
    for attempt in range(ATTEMPTS_TO_CREATE):
        try:
            metadata.create_all(engine)
        except SQLAlchemyError:
            if attempt == ATTEMPTS_TO_CREATE - 1:
                raise
            sleep(random.uniform(0.01, 0.1))
        else:
            return


def make_engine(value: Any, registry: Any) -> Engine:
    """Return an engine for the setting ``cron.store``, with a pool that it shares with nobody.

    :param value: a URL of SQLAlchemy, an engine, a function ``(registry) -> Engine``, or the dotted name of one.
    :raises pyramid.exceptions.ConfigurationError: if it is none, without a word of a password that it holds.
    """
    url = None
    if isinstance(value, str):
        try:
            url = make_url(value)
        except ArgumentError:
            value = _resolve(value)
    if url is None:
        made = value if isinstance(value, Engine) else _call(value, registry)
        # an application whose own pool is used up must not keep the store from saying that it is alive
        engine = create_engine(made.url, pool=made.pool.recreate(), hide_parameters=True)
    else:
        arguments = {**CONNECT_ARGS.get(url.get_backend_name(), {}), **CONNECT_ARGS.get(url.get_driver_name(), {})}
        options: dict[str, Any] = {'pool_size': 2, 'max_overflow': 3, 'pool_timeout': MOST_SECONDS}
        try:
            engine = create_engine(
                url,
                connect_args={name: value for name, value in arguments.items() if name not in url.query},
                hide_parameters=True,
                **({} if _in_memory(url) else options),
            )
        except ImportError as exc:
            raise ConfigurationError(f'bad setting cron.store: {exc}; install the driver of {url.drivername}') from exc
        except SQLAlchemyError as exc:
            raise ConfigurationError(f'bad setting cron.store: {exc}') from None
    if _in_memory(engine.url):
        raise ConfigurationError(
            'bad setting cron.store: a database in memory is another one for each connection, and forgets; '
            'name a file, as in sqlite:///%(here)s/cron.sqlite, or leave the setting out'
        )
    limits = LIMITS.get(engine.dialect.name.replace('mariadb', 'mysql'), [])

    def limit(connection: Any, record: object) -> None:
        cursor = connection.cursor()
        for statement in limits:
            cursor.execute(statement)
        cursor.close()
        connection.commit()

    event.listen(engine, 'connect', limit)
    return engine


def _resolve(name: str) -> Any:
    if (':' in name and '.' not in name.partition(':')[0]) or '/' in name:
        # perhaps a URL, which may hold a password
        raise ConfigurationError(
            'bad setting cron.store: it is no URL such as postgresql+psycopg://user@host/name, '
            'and no dotted name of an engine or a function'
        )
    try:
        return DottedNameResolver().resolve(name)
    except Exception as exc:
        raise ConfigurationError(
            f'bad setting cron.store = {name!r}: no URL, and no name that resolves: {type(exc).__name__}: {exc}'
        ) from exc


def _call(function: Any, registry: Any) -> Engine:
    made = function(registry) if callable(function) else function
    if not isinstance(made, Engine):
        raise ConfigurationError(
            f'bad setting cron.store: {function!r} is no URL, no engine of SQLAlchemy and no function that returns one'
        )
    return made


def sqlite_file(url: URL) -> Path | None:
    """Return the file of a database, ``None`` if it is another kind of database, or is named in another way."""
    if url.get_backend_name() != 'sqlite' or url.database is None or url.database.startswith('file:'):
        return None
    return Path(url.database)


def _in_memory(url: URL) -> bool:
    return url.get_backend_name() == 'sqlite' and (
        url.database in (None, '', ':memory:') or 'mode=memory' in str(url.query) or url.query.get('mode') == 'memory'
    )
