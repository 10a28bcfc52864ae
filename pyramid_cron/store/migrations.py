"""The version of the store's tables: checked at the first use, and brought up from older versions.

The steps are found by comparing the tables with ``schema.py``, so that an upgrade that was interrupted goes on.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Index,
    Inspector,
    MetaData,
    Table,
    func,
    insert,
    inspect,
    literal,
    select,
    update,
)
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.schema import CreateColumn, CreateIndex, CreateTable, DropIndex

from pyramid_cron.errors import Unavailable
from pyramid_cron.store.dialects import CHARSET, COLLATIONS, MOST_SECONDS, SQLITE, collation_of, dialect_of
from pyramid_cron.store.schema import (
    gaps,
    metadata,
    pauses,
    processes,
    runs,
    schema,
    tasks,
    wants_index,
)
from pyramid_cron.store.schema_check import wrong_collations
from pyramid_cron.store.time_limit import unlimited
from pyramid_cron.store.upgraded_rows import not_good_by_outcome, states_from_history

# major and minor: within a major version only nullable columns are added
VERSION = (1, 2)
# tables without a version, as they were before the first release
UNVERSIONED = (0, 0)

ATTEMPTS_TO_PREPARE = 10

# the columns of UNVERSIONED that have another name now
RENAMED: dict[Table, dict[str, str]] = {
    tasks: {
        'schedule_before': 'previous_schedule',
        'changed': 'schedule_changed_at',
        'since': 'first_seen',
        'again': 'retry_reason',
        'began': 'started_at',
        'queued': 'handed_over_for',
    },
    pauses: {'by': 'requested_by'},
    processes: {'place': 'boot_and_pidns', 'born': 'process_started'},
    gaps: {'first': 'first_minute', 'last': 'last_minute'},
    runs: {'by': 'requested_by', 'status': 'outcome'},
}
# the indexes of older versions that are not needed any more
_older = Table(runs.name, MetaData(), Column('finished'), Column('started'))
OBSOLETE = [Index('cron_runs_by_end', _older.c.finished), Index('cron_runs_not_good', _older.c.started)]


def has_tables(connection: Connection, creates_tables: bool) -> bool:
    """Return whether there are tables that this version can read.

    :param creates_tables: whether the first tick creates and upgrades them.
    :raises Unavailable: if they are of another version.
    """
    version = stored_version(connection)
    if version is None:
        return False
    require_known(version)
    if version < VERSION:
        raise Unavailable(_outdated(version, creates_tables))
    return True


def prepare_tables(
    engine: Engine,
    create: bool,
    sleep: Callable[[float], object] = time.sleep,
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    """Create or upgrade the tables, or check that another tool has.

    Processes that start at the same time find the same to do, and all but one of them fail at some of it.

    :param create: whether to create and upgrade them.
    :raises Unavailable: if the tables are missing or outdated and not to be changed here, or of a newer major version.
    """
    with engine.connect():
        # a database that is away fails here: a tick does not wait for it ten times
        pass
    # on MySQL, where each change of a table is a transaction of its own, the others take longer
    longer = int(collation_of(engine.dialect) is not None)
    for attempt in range(ATTEMPTS_TO_PREPARE - 1):
        began = monotonic()
        try:
            _prepare_tables(engine, create)
        except SQLAlchemyError:
            if monotonic() - began >= MOST_SECONDS:
                # nor for one that is locked or does not answer
                raise
            sleep(random.uniform(0.01, 0.1) * (1 + longer * attempt))
        else:
            return
    _prepare_tables(engine, create)


def _prepare_tables(engine: Engine, create: bool) -> None:
    with engine.connect() as connection:
        version = stored_version(connection)
    if version is not None:
        require_known(version)
        if version >= VERSION:
            return
    if not create:
        raise Unavailable(_outdated(version, create))
    upgrade(engine)


def upgrade(engine: Engine) -> None:
    """Create the tables, or bring them up to this version."""
    dialect = dialect_of(engine.dialect.name)
    if dialect is SQLITE:
        with engine.connect() as connection:
            # readers and a writer do not wait for one another, and a commit is one write to the disk
            # closed at once: SQLite commits nothing while an open cursor holds its answer, as the debug toolbar's does
            connection.exec_driver_sql('PRAGMA journal_mode = WAL').close()
    with engine.begin() as connection, unlimited(connection):
        for setting in dialect.upgrade_settings:
            connection.exec_driver_sql(setting)
        for statement in upgrade_statements(connection):
            connection.exec_driver_sql(statement)


def stored_version(connection: Connection) -> tuple[int, int] | None:
    """Return the version of the tables, ``None`` if there are none.

    :raises Unavailable: if it cannot be read.
    """
    inspector = inspect(connection)
    if not inspector.has_table(tasks.name):
        return None
    recorded = None
    if inspector.has_table(schema.name):
        recorded = connection.scalar(select(func.max(schema.c.version)))
    if recorded is not None:
        try:
            major, minor = map(int, recorded.split('.'))
        except ValueError:
            raise Unavailable(f'the version {recorded!r} of the tables in {schema.name} cannot be read') from None
        return major, minor
    # made by another tool, such as Alembic, or before there were versions
    return UNVERSIONED if any(_lacking_columns(inspector, table) for table in metadata.sorted_tables) else VERSION


def require_known(version: tuple[int, int]) -> None:
    """Raise :exc:`.Unavailable` for tables of a newer major version."""
    if version[0] > VERSION[0]:
        raise Unavailable(
            f'the tables of the store are of version {_shown(version)}, which is newer than this pyramid_cron knows '
            f'({_shown(VERSION)}): upgrade pyramid_cron here'
        )


def _outdated(version: tuple[int, int] | None, creates_tables: bool) -> str:
    if version is None:
        what = 'the tables of the store are missing'
    else:
        what = f'the tables of the store are of version {_shown(version)}, older than {_shown(VERSION)}'
    if creates_tables:
        return f'{what}: the first tick upgrades them'
    return f'{what}: apply what "pcron store upgrade CONFIG_URI --sql" prints, or set cron.create_tables = true'


def _shown(version: tuple[int, int]) -> str:
    return '.'.join(map(str, version))


def upgrade_statements(connection: Connection) -> Iterator[str]:
    """Yield the SQL statements that create the tables, or bring them up to this version; none if they are."""
    version = stored_version(connection)
    if version is not None and version > VERSION:
        return
    dialect, inspector = connection.dialect, inspect(connection)

    def compiled(element: Any) -> str:
        text = str(element.compile(dialect=dialect, compile_kwargs={'literal_binds': True})).strip()
        # SQLAlchemy chooses the collation by the URL
        return text.replace(COLLATIONS['mysql'], collation_of(dialect) or '')

    def of_table(table: Table) -> Iterator[str]:
        for ddl in _of_table(inspector, table, dialect):
            yield ddl if isinstance(ddl, str) else compiled(ddl)

    recorded = connection.scalar(select(func.max(schema.c.version))) if inspector.has_table(schema.name) else None
    yield from of_table(schema)
    if version == UNVERSIONED:
        # recorded first, so that an upgrade that is interrupted is known to be unfinished
        yield compiled(update(schema).values(version=_shown(UNVERSIONED)))
        yield compiled(insert(schema).from_select(['version'], _unless_recorded(UNVERSIONED)))
    for table in metadata.sorted_tables:
        if table is not schema:
            yield from of_table(table)
    if version == UNVERSIONED:
        yield compiled(states_from_history())
    if version is not None and version < (1, 1):
        yield compiled(not_good_by_outcome())
    if recorded != _shown(VERSION):
        yield compiled(update(schema).values(version=_shown(VERSION)))
        yield compiled(insert(schema).from_select(['version'], _unless_recorded(VERSION)))


def _unless_recorded(version: tuple[int, int]) -> Any:
    recorded = select(schema.c.version).exists()
    return select(literal(_shown(version))).where(~recorded)


def _of_table(inspector: Inspector, table: Table, dialect: Any) -> Iterator[Any]:
    """Yield DDL, as elements or as text, that creates a table or brings it up to this version."""
    if not inspector.has_table(table.name):
        yield CreateTable(table)
        for index in sorted(table.indexes, key=lambda index: str(index.name)):
            yield from _create_index(index, dialect)
        return
    quote = dialect.identifier_preparer.quote
    there = {column['name'] for column in inspector.get_columns(table.name)}
    renamed = {old: new for old, new in RENAMED.get(table, {}).items() if old in there and new not in there}
    for old, new in renamed.items():
        yield f'ALTER TABLE {quote(table.name)} RENAME COLUMN {quote(old)} TO {quote(new)}'
    for lacking in table.columns:
        if lacking.name not in there and lacking.name not in renamed.values():
            yield f'ALTER TABLE {quote(table.name)} ADD COLUMN {CreateColumn(lacking).compile(dialect=dialect)}'
    if wrong_collations(inspector, table, dialect):
        yield f'ALTER TABLE {quote(table.name)} CONVERT TO CHARACTER SET {CHARSET} COLLATE {collation_of(dialect)}'
    indexes = {index['name'] for index in inspector.get_indexes(table.name)}
    for obsolete in OBSOLETE:
        if obsolete.name in indexes and obsolete.table is not None and obsolete.table.name == table.name:
            yield DropIndex(obsolete)
    for index in sorted(table.indexes, key=lambda index: str(index.name)):
        if index.name not in indexes:
            yield from _create_index(index, dialect)


def _create_index(index: Index, dialect: Any) -> Iterator[Any]:
    if wants_index(index, dialect.name):
        yield CreateIndex(index)


def _lacking_columns(inspector: Inspector, table: Table) -> list[Column[Any]]:
    """Return the columns that a table lacks, all if there is no such table; the table of the version lacks none."""
    if table is schema:
        return []
    if not inspector.has_table(table.name):
        return list(table.columns)
    there = {found['name'] for found in inspector.get_columns(table.name)}
    return [wanted for wanted in table.columns if wanted.name not in there]
