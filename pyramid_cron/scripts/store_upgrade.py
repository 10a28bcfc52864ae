"""The upgrade of the store's tables by ``pcron store upgrade``: done at once, or as a script of SQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, create_engine

from pyramid_cron.store.dialects import SQLITE, dialect_of
from pyramid_cron.store.errors import database_errors
from pyramid_cron.store.migrations import VERSION, has_tables, stored_version, upgrade, upgrade_statements
from pyramid_cron.store.sqlite_file import sqlite_file

# what upgrade() executes too; it stays in the file
WAL = 'PRAGMA journal_mode = WAL'


def upgrade_tables(engine: Engine) -> str:
    """Create the tables, or bring them up to this version, and return what was done.

    :raises Unavailable: if the tables are of a newer major version, or the database is not available.
    """
    with database_errors():
        # makes the file of a new database
        with engine.connect() as connection:
            version, statements = _plan(connection)
        if statements:
            upgrade(engine)
    return _summary(version, len(statements))


def upgrade_script(engine: Engine) -> str:
    """Return the SQL that does the same, for ``sqlite3``, ``psql`` or ``mariadb``, and change nothing.

    :raises Unavailable: if the tables are of a newer major version, or the database is not available.
    """
    with database_errors(), _reading(engine) as connection:
        version, statements = _plan(connection)
    if not statements:
        return f'-- {_summary(version, 0)}: nothing to do'
    if dialect_of(engine.dialect.name) is SQLITE:
        statements.insert(0, WAL)
    return '\n'.join([f'-- {_from_to(version)}', *(f'{_tidy(statement)};' for statement in statements)])


def _plan(connection: Connection) -> tuple[tuple[int, int] | None, list[str]]:
    """Return the version of the tables, and the statements that upgrade them."""
    version = stored_version(connection)
    if version is not None and version >= VERSION:
        # raises for a newer major version
        has_tables(connection, creates_tables=True)
    return version, list(upgrade_statements(connection))


@contextmanager
def _reading(engine: Engine) -> Iterator[Connection]:
    """Return a connection to the database, or to an empty one if it is a file that does not exist yet."""
    file = sqlite_file(engine.url)
    if file is None or file.exists():
        with engine.connect() as connection:
            yield connection
        return
    empty = create_engine('sqlite://')
    try:
        with empty.connect() as connection:
            yield connection
    finally:
        empty.dispose()


def _summary(version: tuple[int, int] | None, count: int) -> str:
    if not count:
        return f'the tables are of version {_shown(version)}'
    number = f'{count} statement{"" if count == 1 else "s"}'
    if version is None:
        return f'created the tables of version {_shown(VERSION)}: {number}'
    if version == VERSION:
        return f'completed the tables of version {_shown(VERSION)}: {number}'
    return f'upgraded from {_shown(version)} to {_shown(VERSION)}: {number}'


def _from_to(version: tuple[int, int] | None) -> str:
    if version is None:
        return f'creates the tables of the store, version {_shown(VERSION)}'
    if version == VERSION:
        return f'completes the tables of the store, version {_shown(VERSION)}'
    return f'upgrades the tables of the store from version {_shown(version)} to {_shown(VERSION)}'


def _shown(version: tuple[int, int] | None) -> str:
    return '.'.join(map(str, version or ()))


def _tidy(statement: str) -> str:
    """Return a statement without tabs, and without blanks at the ends of its lines."""
    return '\n'.join(line.rstrip() for line in statement.expandtabs(4).splitlines())
