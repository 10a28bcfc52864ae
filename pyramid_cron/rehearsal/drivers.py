"""The drivers of databases: their functions ``connect``, replaced by functions that open held connections."""

from __future__ import annotations

import importlib
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from pyramid_cron.rehearsal import sqlite
from pyramid_cron.rehearsal.held import REHEARSAL

# drivers without held connections, each with its functions that open connections
OTHERS = {
    'MySQLdb': ('connect', 'Connect'),
    'aiomysql': ('connect',),
    'asyncpg': ('connect',),
    'cx_Oracle': ('connect',),
    'mariadb': ('connect',),
    'mysql.connector': ('connect',),
    'oracledb': ('connect', 'connect_async'),
    'pg8000': ('connect',),
    'pg8000.dbapi': ('connect',),
    'pymssql': ('connect',),
    'pyodbc': ('connect',),
}


class _Here(threading.local):
    """Whether this thread opens a connection that is held back."""

    opens = False


_here = _Here()


@contextmanager
def held_drivers() -> Iterator[None]:
    """Let the drivers that are installed open connections that can be held back, until the end of the ``with``.

    Connections that were open before are not held back, so it belongs before the application is loaded.
    """
    replaced: list[tuple[Any, str, Any]] = []

    def replace(owner: Any, name: str, value: Any) -> None:
        replaced.append((owner, name, vars(owner)[name]))
        setattr(owner, name, value)

    try:
        held = _opening(sqlite.connect(sqlite3.connect))
        for module in (sqlite3, sqlite3.dbapi2):
            replace(module, 'connect', held)
        if find_spec('psycopg') is not None:
            _replace_psycopg(replace)
        if find_spec('psycopg2') is not None:
            _replace_psycopg2(replace)
        if find_spec('pymysql') is not None:
            _replace_pymysql(replace)
        for module_name, names in OTHERS.items():
            _replace_other(replace, module_name, names)
        yield
    finally:
        for owner, name, value in reversed(replaced):
            setattr(owner, name, value)


def opens_held_connection() -> bool:
    """Return whether this thread is about to open a connection that is held back."""
    return _here.opens


def armed(connection: Any) -> Any:
    """Return a connection that is held back, prepared if a rehearsal is going on."""
    if REHEARSAL.findings is not None:
        connection.arm()
    return connection


def _opening(connect: Callable[..., Any]) -> Callable[..., Any]:
    def opening(*args: Any, **options: Any) -> Any:
        opens, _here.opens = _here.opens, True
        try:
            return connect(*args, **options)
        finally:
            _here.opens = opens

    return opening


def _replace_psycopg(replace: Callable[[Any, str, Any], None]) -> None:
    import psycopg

    from pyramid_cron.rehearsal.psycopg_driver import HeldPsycopg

    plain = vars(psycopg.Connection)['connect'].__func__
    classes: dict[type, Any] = {psycopg.Connection: HeldPsycopg}

    def connect(cls: type, *args: Any, **options: Any) -> Any:
        if not issubclass(cls, HeldPsycopg):
            cls = classes.setdefault(cls, type(f'Held{cls.__name__}', (HeldPsycopg, cls), {}))
        return armed(plain(cls, *args, **options))

    replace(psycopg.Connection, 'connect', classmethod(_opening(connect)))
    replace(psycopg, 'connect', psycopg.Connection.connect)
    replace(psycopg.AsyncConnection, 'connect', classmethod(_refusing('psycopg.AsyncConnection')))


def _replace_psycopg2(replace: Callable[[Any, str, Any], None]) -> None:
    import psycopg2

    from pyramid_cron.rehearsal.psycopg2_driver import PLAIN, HeldPsycopg2

    plain = psycopg2.connect
    classes: dict[type, Any] = {PLAIN: HeldPsycopg2}

    def connect(dsn: Any = None, connection_factory: Any = None, **options: Any) -> Any:
        factory = connection_factory or PLAIN
        if not isinstance(factory, type):
            return _refusing('psycopg2 with a function as connection_factory')()
        if not issubclass(factory, HeldPsycopg2):
            factory = classes.setdefault(factory, type(f'Held{factory.__name__}', (HeldPsycopg2, factory), {}))
        return armed(plain(dsn, connection_factory=factory, **options))

    replace(psycopg2, 'connect', _opening(connect))


def _replace_pymysql(replace: Callable[[Any, str, Any], None]) -> None:
    import pymysql

    from pyramid_cron.rehearsal.pymysql_driver import HeldPyMySQL

    # a class, which is the function connect as well
    held = type('HeldPyMySQL', (HeldPyMySQL,), {'connect': _opening(HeldPyMySQL.connect)})
    for name in ('connect', 'Connect', 'Connection'):
        replace(pymysql, name, held)
    replace(pymysql.connections, 'Connection', held)


def _replace_other(replace: Callable[[Any, str, Any], None], module_name: str, names: tuple[str, ...]) -> None:
    try:
        module = importlib.import_module(module_name) if find_spec(module_name.partition('.')[0]) else None
    except ImportError:
        module = None
    for name in names:
        if module is not None and name in vars(module):
            replace(module, name, _refusing(module_name, vars(module)[name]))


def _refusing(driver: str, connect: Callable[..., Any] | None = None) -> Callable[..., Any]:
    """Return a function that opens no connection while a rehearsal is going on, and remembers those before it."""

    def refusing(*args: Any, **options: Any) -> Any:
        findings = REHEARSAL.findings
        if findings is not None:
            raise findings.refuse(f'a connection of {driver}: its commits cannot be held back')
        REHEARSAL.not_held.add(driver)
        if connect is None:
            raise RuntimeError(f'{driver} cannot be held back')
        return connect(*args, **options)

    return refusing
