"""The connection to the store's database: a small pool of its own, and time limits for everything."""

from __future__ import annotations

import logging
import os
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyramid.exceptions import ConfigurationError
from pyramid.path import DottedNameResolver
from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url
from sqlalchemy.exc import SQLAlchemyError

from pyramid_cron.store.schema import metadata, runs
from pyramid_cron.tasks import dotted_path

log = logging.getLogger(__name__)

# seconds until a statement, a lock or a connection is given up
MOST_SECONDS = 4
# and until a transaction is rolled back in which nothing happens, because its process is frozen: others pass its locks
# by, and a process that is only slow must not lose its claim
MOST_SECONDS_IDLE = 10
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
        f'SET statement_timeout = {MOST_SECONDS * 1000}',
        f'SET lock_timeout = {MOST_SECONDS * 1000}',
        f'SET idle_in_transaction_session_timeout = {MOST_SECONDS_IDLE * 1000}',
    ],
    'mysql': [f'SET SESSION innodb_lock_wait_timeout = {MOST_SECONDS}'],
    'sqlite': ['PRAGMA synchronous = FULL'],
}
ATTEMPTS_TO_CREATE = 10

EXAMPLE = 'postgresql+psycopg://user@host/name'
# with a colon only behind a dot, so that it is not taken for the beginning of a URL
DOTTED_NAME = re.compile(r'\w+(\.\w+)*|\w+(\.\w+)+:\w+(\.\w+)*')


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
    for _ in range(ATTEMPTS_TO_CREATE - 1):
        try:
            _create_all(engine)
        except SQLAlchemyError:
            sleep(random.uniform(0.01, 0.1))
        else:
            return
    _create_all(engine)


def _create_all(engine: Engine) -> None:
    if engine.dialect.name == 'sqlite':
        with engine.connect() as connection:
            # readers and a writer do not wait for one another, and a commit is one write to the disk
            # closed at once: SQLite commits nothing while somebody, such as the debug toolbar, holds its answer open
            connection.exec_driver_sql('PRAGMA journal_mode = WAL').close()
    metadata.create_all(engine)


def make_engine(value: Any, registry: Any) -> Engine:
    """Return an engine for the setting ``cron.store``, with a pool that it shares with nobody.

    :param value: a URL of SQLAlchemy, an engine, a function ``(registry) -> Engine``, or the dotted name of one.
    :raises pyramid.exceptions.ConfigurationError: if it is none, without a word of a password that it holds.
    """
    if isinstance(value, URL) or (isinstance(value, str) and '://' in value):
        engine = _of_url(value)
    else:
        made = _made(_resolve(value) if isinstance(value, str) else value, registry)
        # an application whose own pool is used up must not keep the store from saying that it is alive
        engine = create_engine(made.url, pool=made.pool.recreate(), hide_parameters=True, **_isolation(made.url))
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


def _of_url(value: URL | str) -> Engine:
    try:
        url = make_url(value)
    except (SQLAlchemyError, ValueError):
        raise ConfigurationError(
            f'bad setting cron.store: it is no URL such as {EXAMPLE}; '
            'its port has to be a number, and in a password @ is written %40, / %2F and : %3A'
        ) from None
    options: dict[str, Any] = {'pool_size': 2, 'max_overflow': 3, 'pool_timeout': MOST_SECONDS}
    try:
        arguments = {**CONNECT_ARGS.get(url.get_backend_name(), {}), **CONNECT_ARGS.get(url.get_driver_name(), {})}
        return create_engine(
            url,
            connect_args={name: value for name, value in arguments.items() if name not in url.query},
            hide_parameters=True,
            **_isolation(url),
            **({} if _in_memory(url) else options),
        )
    except ImportError as exc:
        raise ConfigurationError(f'bad setting cron.store: {exc}; install the driver of {url.drivername}') from exc
    except SQLAlchemyError as exc:
        raise ConfigurationError(f'bad setting cron.store: {exc}') from None


def _resolve(name: str) -> Any:
    if not DOTTED_NAME.fullmatch(name):
        # perhaps a URL that is miswritten, which may hold a password
        raise ConfigurationError(
            f'bad setting cron.store: it is no URL such as {EXAMPLE}, and no dotted name of an engine or a function'
        )
    try:
        return DottedNameResolver().resolve(name)
    except Exception as exc:
        raise ConfigurationError(
            f'bad setting cron.store = {name!r}: no URL, and no name that resolves: {type(exc).__name__}: {exc}'
        ) from exc


def _made(value: Any, registry: Any) -> Engine:
    if isinstance(value, Engine):
        return value
    # by its type, because any other value may hold a password too
    if not callable(value):
        raise ConfigurationError(
            f'bad setting cron.store: a {type(value).__name__} is no URL, no engine of SQLAlchemy, '
            'and no function that returns one'
        )
    made = value(registry)
    if not isinstance(made, Engine):
        raise ConfigurationError(
            f'bad setting cron.store: {dotted_path(value)} returned a {type(made).__name__}, no engine of SQLAlchemy'
        )
    return made


def _isolation(url: URL) -> dict[str, str]:
    """Return what makes the store's transactions wait for one another's rows, where others would fail for them."""
    return {} if url.get_backend_name() == 'sqlite' else {'isolation_level': 'READ COMMITTED'}


def sqlite_file(url: URL) -> Path | None:
    """Return the file of a database, ``None`` if it is another kind of database, or is named in another way."""
    if url.get_backend_name() != 'sqlite' or url.database is None or url.database.startswith('file:'):
        return None
    return Path(url.database)


def _in_memory(url: URL) -> bool:
    name = url.database or ':memory:'
    return url.get_backend_name() == 'sqlite' and (':memory:' in name or url.query.get('mode') == 'memory')
