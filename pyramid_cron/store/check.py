"""Whether the store can be used: for ``pcron store check``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import URL, Connection, false, inspect, select, update
from sqlalchemy.exc import SQLAlchemyError

from pyramid_cron.orders import NotRun
from pyramid_cron.schedules import clock
from pyramid_cron.store.claims import StoreClaims
from pyramid_cron.store.database import Database, sqlite_file
from pyramid_cron.store.poll import MOST_AHEAD
from pyramid_cron.store.schema import database_clock, metadata, processes
from pyramid_cron.store.session import NotJoined
from pyramid_cron.store.session_check import Trial
from pyramid_cron.store.turns import in_a_line

# calls something with a request that goes through the whole application
Through = Callable[[Callable[[Any], None]], None]

NAMES = {'sqlite': 'SQLite', 'postgresql': 'PostgreSQL', 'mysql': 'MySQL', 'mariadb': 'MariaDB'}


class Finding(NamedTuple):
    """What was found out.

    :param subject: what it is about.
    :param text: what it is.
    :param ok: whether the store can be used with that.
    """

    subject: str
    text: str
    ok: bool = True


def check(claims: StoreClaims, through: Through) -> Iterator[Finding]:
    """Yield what is found out."""
    database, session = claims.database, claims.options.session
    ready = yield from _of_database(database)
    if session is None:
        yield Finding('session', 'cron.session is not set: a run that dies is reported as lost, and is not repeated')
    elif ready:
        yield _of_session(claims, session, through)
    else:
        yield Finding('session', f'cron.session = {session} is not tried before there are tables')


def _of_database(database: Database) -> Generator[Finding, None, bool]:
    """Yield what is found out about it, and return whether it can be used now."""
    url, file = database.engine.url, sqlite_file(database.engine.url)
    if file is not None and not file.exists():
        yield _of_new_file(file, database)
        return False
    try:
        began = time.monotonic()
        with database.engine.connect() as connection:
            now = connection.scalars(select(database_clock())).one()
            ahead = clock.now().timestamp() - now
            milliseconds = (time.monotonic() - began) * 1000
            dialect = connection.dialect
            version = '.'.join(map(str, dialect.server_version_info or ()))
            yield Finding(
                'database',
                f'{_shown(url)}, {NAMES.get(dialect.name, dialect.name)} {version}, answered in {milliseconds:.0f} ms',
            )
            yield _of_clock(ahead)
            tables = _of_tables(connection, database)
            yield tables
            ready = tables.ok and inspect(connection).has_table(processes.name)
        if ready:
            yield _of_writing(database)
    except SQLAlchemyError as exc:
        yield Finding('database', f'{_shown(url)}: {in_a_line(exc)}', ok=False)
        return False
    return ready


def _shown(url: URL) -> str:
    # drivers take passwords in the query too
    return url.set(query={}).render_as_string(hide_password=True)


def _of_new_file(file: Path, database: Database) -> Finding:
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
        return Finding('writing', f'it cannot be written: {in_a_line(exc)}', ok=False)
    return Finding('writing', 'it can be written')


def _of_session(claims: StoreClaims, name: str, through: Through) -> Finding:
    """Try whether a run would commit together with its record, and roll all of it back."""
    try:
        with Trial(claims.database, name) as trial:
            through(trial)
        failure = trial.failure
    except (NotRun, SQLAlchemyError) as exc:
        failure = exc
    if isinstance(failure, (NotJoined, NotRun)):
        return Finding('session', str(failure), ok=False)
    if failure is not None:
        text = f'cron.session = {name}: {type(failure).__name__}: {in_a_line(failure)}'
        return Finding('session', text, ok=False)
    if trial.joined:
        return Finding('session', f'cron.session = {name} joins: what a task does there commits with its record')
    return Finding(
        'session',
        f'cron.session = {name} is not committed with the task: register it with zope.sqlalchemy where pyramid_tm is '
        'active, or commit it in what cron.transaction names',
        ok=False,
    )
