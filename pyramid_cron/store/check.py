"""Checks whether the store can be used: for ``pcron store check``."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from sqlalchemy import URL, Connection, false, inspect

from pyramid_cron.errors import Unavailable
from pyramid_cron.orders import NotRun
from pyramid_cron.printable import class_name
from pyramid_cron.schedules import clock
from pyramid_cron.scrub import Scrubbed
from pyramid_cron.store.admin import Store
from pyramid_cron.store.alembic_check import LINES, VERSION_TABLE, find_env, knows_store, shares_database
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.database import Database
from pyramid_cron.store.errors import one_line
from pyramid_cron.store.history import History
from pyramid_cron.store.migrations import VERSION, require_known, stored_version
from pyramid_cron.store.schema import metadata, runs
from pyramid_cron.store.schema_check import differences
from pyramid_cron.store.session import NotJoined
from pyramid_cron.store.session_check import SessionCheck
from pyramid_cron.store.sqlite_file import sqlite_file
from pyramid_cron.store.wrong_clock import MOST_AHEAD

# a character that encodings for one language lack, and MySQL's "utf8" as well
EMOJI = '\U0001f600'

# calls a function with a request that goes through the whole application
Through = Callable[[Callable[[Any], None]], None]


class Finding(NamedTuple):
    """One result of the check.

    :param subject: what was checked.
    :param text: what was found.
    :param ok: whether the store can be used with that.
    :param lines: what to add to ``env.py`` of Alembic.
    :param warns: whether it is a warning without such lines.
    """

    subject: str
    text: str
    ok: bool = True
    lines: tuple[str, ...] = ()
    warns: bool = False

    @property
    def status(self) -> str:
        """``'ok'``, ``'warn'`` for a store that can be used and has a risk, or ``'fail'``."""
        if not self.ok:
            return 'fail'
        return 'warn' if self.lines or self.warns else 'ok'


def check(store: Store, through: Through, config_uri: str) -> Iterator[Finding]:
    """Yield the findings.

    :param through: calls a function with a request of the application.
    :param config_uri: the configuration file of the application, which may name the folder of Alembic too.
    """
    session = store.options.session
    ready = yield from _of_database(store.database, config_uri)
    if session is None:
        yield Finding('session', 'cron.session is not set: a run that dies is reported as lost, and is not repeated')
    elif ready:
        yield _of_session(store, session, through)
    else:
        yield Finding('session', f'cron.session = {session} is not checked before there are tables')


def _of_database(database: Database, config_uri: str) -> Generator[Finding, None, bool]:
    """Yield what is found about the database, and return whether it can be used now."""
    url, file = database.engine.url, sqlite_file(database.engine.url)
    if file is not None and not file.exists():
        yield _of_new_file(file, database)
        return False
    try:
        began = time.monotonic()
        with database.engine.connect() as connection:
            scoped = database.scoped(connection)
            ahead = clock.now().timestamp() - scoped.clock()
            milliseconds = (time.monotonic() - began) * 1000
            version = '.'.join(map(str, connection.dialect.server_version_info or ()))
            yield Finding(
                'database', f'{_shown(url)}, {scoped.dialect.shown} {version}, answered in {milliseconds:.0f} ms'
            )
            if scoped.dialect.experimental:
                yield _of_experimental(scoped.dialect.shown)
            yield _of_clock(ahead)
            tables = _of_tables(connection, database)
            yield tables
            if shares_database(inspect(connection)):
                yield _of_alembic(find_env(config_uri))
            ready = tables.ok and stored_version(connection) is not None
        if ready:
            yield _of_writing(database)
            yield _of_texts(database)
    except Exception as exc:
        yield Finding('database', f'{_shown(url)}: {one_line(exc)}', ok=False)
        return False
    return ready


def _shown(url: URL) -> str:
    # drivers take passwords in the query too
    return url.set(query={}).render_as_string(hide_password=True)


def _of_new_file(file: Path, database: Database) -> Finding:
    if not os.access(file.parent, os.W_OK):
        return Finding('database', f'no file {file}, and this account cannot create one in {file.parent}', ok=False)
    if not database.creates_tables:
        return Finding('database', f'no file {file}, and cron.create_tables is false: create it with Alembic', ok=False)
    return Finding('database', f'no file {file} yet: the first tick creates it, with the tables')


def _of_tables(connection: Connection, database: Database) -> Finding:
    try:
        version = stored_version(connection)
        if version is not None:
            require_known(version)
    except Unavailable as exc:
        return Finding('tables', str(exc), ok=False)
    if version is None:
        names = ', '.join(table.name for table in metadata.sorted_tables)
        if database.creates_tables:
            return Finding('tables', f'not there yet: {names}; the first tick creates them (cron.create_tables)')
        text = f'not there: {names}; create them with Alembic, or set cron.create_tables = true'
        return Finding('tables', text, ok=False)
    shown = 'version ' + '.'.join(map(str, version))
    inspector = inspect(connection)
    found = [text for table in metadata.sorted_tables for text in differences(inspector, table, connection.dialect)]
    if not found:
        return Finding('tables', f'all {len(metadata.tables)} are there, {shown}')
    remedy = '"pcron store upgrade" adds what is missing, and sets the collation'
    if version < VERSION and database.creates_tables:
        remedy = 'the first tick upgrades them, and "pcron store upgrade" does it now'
    elif version < VERSION:
        remedy = '"pcron store upgrade" upgrades them, where Alembic makes them after a migration (docs/alembic.rst)'
    return Finding('tables', f'{shown}, not as they should be: {", ".join(found)}; {remedy}', ok=False)


def _of_alembic(env: Path | None) -> Finding:
    if env is not None and knows_store(env):
        return Finding('alembic', f'{env} names the tables of the store')
    if env is None:
        where = 'no env.py was found that names the tables of the store'
    else:
        where = f'{env} does not name the tables of the store'
    return Finding(
        'alembic',
        f'this database has a table {VERSION_TABLE}, and {where}: "alembic revision --autogenerate" would drop them; '
        'add these lines to env.py, or see docs/alembic.rst',
        lines=LINES,
    )


def _of_experimental(database: str) -> Finding:
    return Finding(
        'support',
        f'{database} is experimental: the tests that kill servers and break the database run on SQLite and PostgreSQL '
        'only',
        warns=True,
    )


def _of_clock(ahead: float) -> Finding:
    """Return what is found about the clocks.

    :param ahead: seconds that this machine's clock is ahead of the database's.
    """
    text = f"this machine's is {abs(ahead):.1f} s {'ahead of' if ahead >= 0 else 'behind'} the database's"
    if abs(ahead) <= MOST_AHEAD:
        return Finding('clock', text)
    return Finding('clock', f'{text}, which is more than {MOST_AHEAD} s: set one of them', ok=False)


def _of_writing(database: Database) -> Finding:
    """Write to each table, and commit a record and its deletion: what is rolled back does not reach a full disk."""
    try:
        with database.engine.begin() as connection:
            for table in metadata.sorted_tables:
                column = next(iter(table.columns))
                connection.execute(table.update().where(false()).values({column: column}))
            scoped, run_id = database.scoped(connection), uuid4().hex
            _write_record(scoped, run_id)
            scoped.execute(scoped.delete(runs).where(runs.c.id == run_id))
    except Exception as exc:
        return Finding('writing', f'it cannot be written: {one_line(exc.__cause__ or exc)}', ok=False)
    return Finding('writing', 'it can be written')


def _of_texts(database: Database) -> Finding:
    """Write a text of any language into the history, read it, and roll that back."""
    run_id = uuid4().hex
    try:
        with database.engine.connect() as connection:
            scoped = database.scoped(connection)
            _write_record(scoped, run_id, reason=Scrubbed(EMOJI))
            stored = scoped.scalar(scoped.select(runs, runs.c.reason).where(runs.c.id == run_id))
            connection.rollback()
        problem = None if stored == EMOJI else f'{EMOJI!a} is read back as {stored!a}'
    except Exception as exc:
        problem = one_line(exc.__cause__ or exc)
    if problem is None:
        return Finding('texts', 'all characters can be stored')
    return Finding(
        'texts',
        f'not all characters can be stored: {problem}; a text that has others is written with escapes, such as '
        r'\U0001f600, and a traceback that has some is left out: use an encoding of Unicode (UTF8, utf8mb4)',
    )


def _write_record(connection: StoreConnection, run_id: str, **values: Any) -> None:
    History(connection).begin(id=run_id, task='', attempt=0, trigger='none', **values)


def _of_session(store: Store, name: str, through: Through) -> Finding:
    """Check whether a run would commit together with its record, and roll all of it back."""
    try:
        with SessionCheck(store.database, name) as trial:
            through(trial)
        failure = trial.failure
    except Exception as exc:
        failure = exc
    if isinstance(failure, (NotJoined, NotRun)):
        return Finding('session', str(failure), ok=False)
    if failure is not None:
        text = f'cron.session = {name}: {class_name(failure)}: {one_line(failure)}'
        return Finding('session', text, ok=False)
    if trial.joined:
        return Finding('session', f'cron.session = {name} joins: what a task does there commits with its record')
    return Finding(
        'session',
        f'cron.session = {name} is not committed with the task: register it with zope.sqlalchemy where pyramid_tm is '
        'active, or commit it in what cron.transaction names',
        ok=False,
    )
