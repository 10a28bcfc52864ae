"""The tables of the store. Instants are kept in UTC without a zone, leases in seconds of the database's own clock."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Connection,
    DateTime,
    Dialect,
    Double,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    TypeDecorator,
    insert,
)
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

#: what an application's Alembic adds to its own, see docs/store.rst
metadata = MetaData()


class Instant(TypeDecorator[datetime]):
    """An aware datetime, kept in UTC and without its zone, which not every database has."""

    impl = DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(timezone.utc).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=timezone.utc)


class database_clock(GenericFunction[float]):
    """What the database's clock says now, in seconds since 1970."""

    type = Float()
    inherit_cache = True


@compiles(database_clock)
def _clock_of_sqlite(element: Any, compiler: Any, **options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


@compiles(database_clock, 'postgresql')
def _clock_of_postgresql(element: Any, compiler: Any, **options: Any) -> str:
    # not CURRENT_TIMESTAMP, which stands still in a transaction
    return 'extract(epoch FROM clock_timestamp())::double precision'


@compiles(database_clock, 'mysql', 'mariadb')
def _clock_of_mysql(element: Any, compiler: Any, **options: Any) -> str:
    return 'unix_timestamp(sysdate(6))'


APP, NAME, ID = String(100), String(255), String(36)

# one row for each task, which alone decides whether the task may run
tasks = Table(
    'cron_tasks',
    metadata,
    Column('app', APP, primary_key=True),
    Column('task', NAME, primary_key=True),
    # what it was known to be due at, before and from the minute of the last change on
    Column('schedule', Text, nullable=False),
    Column('schedule_before', Text),
    Column('changed', Instant),
    # nothing is owed from before it was first deployed
    Column('since', Instant, nullable=False),
    # the newest minute that it was begun for or passed over, and that of the end of its last run: later ones are owed
    Column('last_minute', Instant),
    Column('busy_until', Instant),
    Column('attempt', Integer, nullable=False, default=0),
    # why last_minute is to be run once more: 'failed', 'lost', 'unsent', or null if it is not
    Column('again', String(8)),
    # the fencing token of the run in progress, null if there is none, the process that has it, and when it began by the
    # database's clock, which MySQL rounds to minutes in a Float
    Column('run_id', ID),
    Column('process', ID),
    Column('began', Double),
    # what it was handed over for, until it begins: process has it while it is sent, and nobody afterwards
    Column('queued', ID),
    # whether the run in progress commits with its record: then what died has had no effect
    Column('transactional', Boolean, nullable=False, default=False),
)

# not in the rows of the tasks: under REPEATABLE READ an application's own transaction, which updates such a row at its
# end, would fail if somebody had paused the task meanwhile
pauses = Table(
    'cron_pauses',
    metadata,
    Column('app', APP, primary_key=True),
    Column('task', NAME, primary_key=True),
    # minutes before it are not run, nor caught up afterwards
    Column('until', Instant, nullable=False),
    Column('reason', Text, nullable=False),
    Column('requested_by', NAME),
)

processes = Table(
    'cron_processes',
    metadata,
    Column('id', ID, primary_key=True),
    Column('host', NAME, nullable=False),
    Column('pid', Integer, nullable=False),
    # where pid means something, and when that process began there; null where neither can be told
    Column('place', NAME),
    Column('born', String(40)),
    Column('lease_until', Double, nullable=False),
)

ticks = Table(
    'cron_ticks',
    metadata,
    Column('app', APP, primary_key=True),
    Column('last_minute', Instant, nullable=False),
    Column('minute_before', Instant),
)

# minutes of which none had a tick, the first and the last of them
gaps = Table(
    'cron_gaps',
    metadata,
    Column('app', APP, primary_key=True),
    Column('first', Instant, primary_key=True),
    Column('last', Instant, nullable=False),
)

# what happened; nothing is ever decided by it
runs = Table(
    'cron_runs',
    metadata,
    Column('id', ID, primary_key=True),
    Column('app', APP, nullable=False),
    Column('task', NAME, nullable=False),
    Column('scheduled_for', Instant),
    Column('attempt', Integer, nullable=False),
    Column('trigger', String(20), nullable=False),
    # who asked for it by name
    Column('requested_by', NAME),
    Column('host', NAME),
    Column('pid', Integer),
    Column('started', Instant, nullable=False),
    Column('finished', Instant),
    Column('outcome', String(20), nullable=False),
    Column('seconds', Float),
    Column('reason', Text),
    Column('error', NAME),
    Column('traceback', Text),
    Index('cron_runs_by_task', 'app', 'task', 'started'),
    Index('cron_runs_by_start', 'app', 'started'),
    Index('cron_runs_by_end', 'finished'),
)

# the INSERT of databases that can do something else with a row whose key is taken
UPSERTS: dict[str, Any] = {'postgresql': postgresql.insert, 'sqlite': sqlite.insert}


def insert_new(connection: Connection, table: Table) -> Any:
    """Return an INSERT that leaves out rows whose key is taken, if only a moment ago by another process."""
    upsert = UPSERTS.get(connection.dialect.name)
    if upsert is not None:
        return upsert(table).on_conflict_do_nothing()
    return insert(table).prefix_with('IGNORE', dialect='mysql').prefix_with('IGNORE', dialect='mariadb')
