"""Whether the store can be used: for ``pcron store check``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, false, inspect, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import registry

from pyramid_cron import clock
from pyramid_cron.inprocess import NotRun
from pyramid_cron.store.claims import StoreClaims
from pyramid_cron.store.database import Database, sqlite_file
from pyramid_cron.store.joining import Joined, NotJoined, require_same_database, session_of
from pyramid_cron.store.leases import Process
from pyramid_cron.store.looking import MOST_AHEAD
from pyramid_cron.store.schema import database_clock, metadata, processes
from pyramid_cron.store.turns import in_a_line
from pyramid_cron.transactions import RunTransactions

NAMES = {'sqlite': 'SQLite', 'postgresql': 'PostgreSQL', 'mysql': 'MySQL', 'mariadb': 'MariaDB'}

# the name of the task in whose place the session is tried
TRIAL = 'pcron store check'


class Finding(NamedTuple):
    """What was found out.

    :param subject: what it is about.
    :param text: what it is.
    :param ok: whether the store can be used with that.
    """

    subject: str
    text: str
    ok: bool = True


def check(claims: StoreClaims, through: Callable[[Callable[[Any], None]], None]) -> Iterator[Finding]:
    """Yield what is found out, until something stands in the way of what comes after it.

    :param through: calls something with a request that goes through the whole application.
    """
    database, session = claims.database, claims.options.session
    url = database.engine.url.set(query={}).render_as_string(hide_password=True)
    try:
        file = sqlite_file(database.engine.url)
        if file is not None and not file.exists():
            yield _of_new_file(file, database)
            return
        began = time.monotonic()
        with database.engine.connect() as connection:
            now = connection.scalars(select(database_clock())).one()
            ahead = clock.now().timestamp() - now
            took = time.monotonic() - began
            version = '.'.join(map(str, connection.dialect.server_version_info or ()))
            name = NAMES.get(connection.dialect.name, connection.dialect.name)
            yield Finding('database', f'{url}, {name} {version}, answered in {took * 1000:.0f} ms')
            tables = _of_tables(connection, database)
            yield tables
            yield _of_clock(ahead)
            if not tables.ok or not inspect(connection).has_table(processes.name):
                return
        yield _of_writing(database)
    except SQLAlchemyError as exc:
        yield Finding('database', f'{url}: {in_a_line(exc)}', ok=False)
        return
    if session is None:
        yield Finding('session', 'cron.session is not set: a run that dies may have done its work, and is not repeated')
    else:
        yield _of_session(claims, session, through)


def _of_new_file(file: Any, database: Database) -> Finding:
    if not os.access(file.parent, os.W_OK):
        return Finding('database', f'no file {file}, and this account cannot make one in {file.parent}', ok=False)
    if not database.creates_tables:
        return Finding('database', f'no file {file}, and cron.create_tables is false: let Alembic make it', ok=False)
    return Finding('database', f'no file {file} yet: the first tick makes it, with the tables')


def _of_tables(connection: Connection, database: Database) -> Finding:
    inspector = inspect(connection)
    there = set(inspector.get_table_names())
    lacking = [table.name for table in metadata.sorted_tables if table.name not in there]
    for table in metadata.sorted_tables:
        if table.name in there:
            columns = {column['name'] for column in inspector.get_columns(table.name)}
            lacking += [f'{table.name}.{column.name}' for column in table.columns if column.name not in columns]
    if not lacking:
        return Finding('tables', f'all {len(metadata.tables)} are there')
    shown = ', '.join(lacking)
    if any('.' in name for name in lacking):
        return Finding('tables', f'not there: {shown}; another version made them: migrate or drop them', ok=False)
    if database.creates_tables:
        return Finding('tables', f'not there yet: {shown}; the first tick makes them (cron.create_tables)')
    text = f'not there: {shown}; let Alembic make them, or set cron.create_tables = true'
    return Finding('tables', text, ok=False)


def _of_clock(ahead: float) -> Finding:
    """:param ahead: seconds that this machine's clock is ahead of the database's."""
    text = f"this machine's is {abs(ahead):.1f} s {'ahead of' if ahead >= 0 else 'behind'} the database's"
    if abs(ahead) <= MOST_AHEAD:
        return Finding('clock', text)
    return Finding('clock', f'{text}, which is more than {MOST_AHEAD} s: set one of them', ok=False)


def _of_writing(database: Database) -> Finding:
    try:
        with database.engine.begin() as connection:
            for table in metadata.sorted_tables:
                column = next(iter(table.columns))
                connection.execute(update(table).where(false()).values({column: column}))
    except SQLAlchemyError as exc:
        return Finding('writing', f'this account may not write: {in_a_line(exc)}', ok=False)
    return Finding('writing', 'this account may write')


class _Row:
    """What the trial adds to the application's session."""

    def __init__(self, **values: Any) -> None:
        for name, value in values.items():
            setattr(self, name, value)


class _RolledBack(Exception):
    """Ends the trial once it has reached the commit."""


def _of_session(claims: StoreClaims, name: str, through: Callable[[Callable[[Any], None]], None]) -> Finding:
    """Try whether a run would commit together with its record, and roll all of it back."""
    process, other = Process(0), Process(0)
    reached: list[bool] = []
    raised: list[Exception] = []
    mapping = registry()
    mapping.map_imperatively(_Row, processes)

    def refuse(connection: Connection, seconds: float) -> None:
        renewed = connection.execute(update(processes).where(processes.c.id == process.id).values(lease_until=0))
        reached.append(renewed.rowcount == 1)
        raise _RolledBack

    def attempt(request: Any) -> None:
        transactions = RunTransactions(request)
        system = {
            'request': request,
            'registry': request.registry,
            'time_left': lambda: 0.0,
            'scheduled_for': clock.current_minute(),
        }
        joined: Joined | None = None
        try:
            with transactions.around(TRIAL, system):
                session = session_of(request, name)
                require_same_database(session, name, process.id)
                joined = Joined(session, refuse, lambda connection: None, time.monotonic)
                with joined:
                    # a session that nothing was added to is not committed
                    session.add(_Row(id=other.id, host=process.host, pid=process.pid, lease_until=0.0))
        except Exception as exc:
            raised.append(exc)
        finally:
            if joined is not None:
                joined.leave()
            transactions.finish()

    try:
        with claims.database.begin() as connection:
            process.renew(connection)
        through(attempt)
    except (NotRun, SQLAlchemyError) as exc:
        raised.append(exc)
    finally:
        mapping.dispose()
        with claims.database.begin() as connection:
            connection.execute(delete(processes).where(processes.c.id.in_([process.id, other.id])))
    if reached and reached[0]:
        return Finding('session', f'cron.session = {name} joins: what a task does there commits with its record')
    for failure in raised:
        told = str(failure) if isinstance(failure, NotJoined) else None
        return Finding('session', told or f'cron.session = {name}: {_shown(failure)}', ok=False)
    return Finding(
        'session',
        f'cron.session = {name} is not committed with the task: register it with zope.sqlalchemy where pyramid_tm is '
        'active, or commit it in what cron.transaction names',
        ok=False,
    )


def _shown(exc: Exception) -> str:
    return f'{type(exc).__name__}: {in_a_line(exc)}'
