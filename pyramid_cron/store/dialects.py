"""Differences between SQLite, PostgreSQL and MySQL or MariaDB, as far as the store meets them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

from sqlalchemy import DateTime, Float, Text, insert
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import GenericFunction

# seconds until a statement, a lock or a connection is given up
MOST_SECONDS = 4
# and until a transaction is rolled back in which nothing happens because its process is frozen: other processes skip
# its locks, and a process that is only slow must not lose its claim
MOST_SECONDS_IDLE = 10


# compared and hashed as one object: there is one of each kind
@dataclass(frozen=True, eq=False)
class Dialect:
    """What one kind of database does differently.

    :param shown: its name for people.
    :param experimental: whether the tests that kill servers and break the database do not run on it.
    :param session_limits: statements that are executed on each new connection.
    :param connect_args: arguments of the driver, such as how long it waits, by the driver or the database's name.
    :param isolation_level: that of the store's transactions, ``None`` for the database's only one. With READ COMMITTED
        a transaction waits for the row of another one; with a stricter level it would fail.
    :param insert: its INSERT.
    :param has_upsert: whether that can skip or update a row with a key that exists.
    :param skips_locked_since: the version from which on a row that another transaction has locked can be skipped, empty
        for none. A process that is frozen in its claim, or in the commit of its task, then makes no other process wait.
    :param has_arrays: whether a parameter can be a list of values.
    :param has_writing_ctes: whether one statement can change rows of several tables, in its WITH. A tick, a claim and
        the end of a run are then one statement each, and one round trip.
    :param has_lateral: whether a subquery in FROM can refer to the tables before it.
    :param has_partial_indexes: whether an index can be limited to some of the rows.
    :param rolls_back_schema: whether a rollback undoes changes of the schema, which otherwise commit by themselves.
    :param read_only_errors: codes of errors by which a server refuses to write, such as a primary that has become a
        replica. A new connection may lead to another server.
    :param upgrade_settings: statements that an upgrade of the tables begins with: it may take longer than a tick may.
    """

    shown: str
    experimental: bool = True
    session_limits: tuple[str, ...] = ()
    connect_args: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    isolation_level: str | None = 'READ COMMITTED'
    insert: Callable[[Any], Any] = insert
    has_upsert: bool = False
    skips_locked_since: tuple[int, ...] = ()
    has_arrays: bool = False
    has_writing_ctes: bool = False
    has_lateral: bool = False
    has_partial_indexes: bool = True
    rolls_back_schema: bool = False
    read_only_errors: tuple[str | int, ...] = ()
    upgrade_settings: tuple[str, ...] = ()

    def insert_new(self, table: Any) -> Any:
        """Return an INSERT that skips rows whose key exists, even if another process has made it a moment ago."""
        if self.has_upsert:
            return self.insert(table).on_conflict_do_nothing()
        # for another database it is a plain INSERT, which fails in the rare case
        return insert(table).prefix_with('IGNORE', dialect='mysql').prefix_with('IGNORE', dialect='mariadb')


SQLITE = Dialect(
    'SQLite',
    experimental=False,
    session_limits=('PRAGMA synchronous = FULL',),
    connect_args={'sqlite': {'timeout': MOST_SECONDS}},
    isolation_level=None,
    insert=sqlite.insert,
    has_upsert=True,
)
# tcp_user_timeout is of Linux, for a server that has disappeared from the network; the encoding, for a database without
# one (SQL_ASCII), of which psycopg returns bytes
LIBPQ = {'connect_timeout': MOST_SECONDS, 'tcp_user_timeout': MOST_SECONDS * 1000, 'client_encoding': 'utf8'}
POSTGRESQL = Dialect(
    'PostgreSQL',
    experimental=False,
    session_limits=(
        # a value that lacks its type would be read in the zone of the server
        "SET TIME ZONE 'UTC'",
        f'SET statement_timeout = {MOST_SECONDS * 1000}',
        f'SET lock_timeout = {MOST_SECONDS * 1000}',
        f'SET idle_in_transaction_session_timeout = {MOST_SECONDS_IDLE * 1000}',
        # SQLAlchemy sets the isolation level of transactions that it begins, and none of a statement in autocommit
        "SET default_transaction_isolation = 'read committed'",
    ),
    connect_args={'psycopg': LIBPQ, 'psycopg2': LIBPQ},
    insert=postgresql.insert,
    has_upsert=True,
    skips_locked_since=(9, 5),
    has_arrays=True,
    has_writing_ctes=True,
    has_lateral=True,
    rolls_back_schema=True,
    read_only_errors=('25006',),
    upgrade_settings=('SET LOCAL statement_timeout = 0',),
)
MYSQL = Dialect(
    'MySQL',
    session_limits=(
        f'SET SESSION innodb_lock_wait_timeout = {MOST_SECONDS}',
        f'SET SESSION lock_wait_timeout = {MOST_SECONDS}',
    ),
    connect_args={
        'mysql': {'connect_timeout': MOST_SECONDS},
        'mariadb': {'connect_timeout': MOST_SECONDS},
        # a second longer than the limits above, which name the reason
        'pymysql': {'read_timeout': MOST_SECONDS + 1, 'write_timeout': MOST_SECONDS + 1},
        # without it mysqlclient takes what its library was built with
        'mysqldb': {'charset': 'utf8mb4'},
    },
    # read_only, super_read_only, a read-only transaction; and a node of Galera that has left its cluster
    read_only_errors=(1290, 1836, 1792, 1047),
    skips_locked_since=(8, 0, 1),
    has_partial_indexes=False,
)
MARIADB = replace(MYSQL, shown='MariaDB', skips_locked_since=(10, 6))
BY_NAME = {'sqlite': SQLITE, 'postgresql': POSTGRESQL, 'mysql': MYSQL, 'mariadb': MARIADB}


@cache
def dialect_of(name: str) -> Dialect:
    """Return the differences of a database by SQLAlchemy's name of it; one that is not known here has none."""
    return BY_NAME.get(name) or Dialect(name, has_partial_indexes=False)


def skips_locked(dialect: Any) -> bool:
    """Return whether rows that other transactions have locked can be skipped.

    :param dialect: SQLAlchemy's dialect of an engine that has connected.
    """
    name = 'mariadb' if _is_mariadb(dialect) else dialect.name
    since = dialect_of(name).skips_locked_since
    return bool(since) and (dialect.server_version_info or ()) >= since


def _is_mariadb(dialect: Any) -> bool:
    # a URL of MySQL can lead to MariaDB
    return getattr(dialect, 'is_mariadb', False)


# of an instant in UTC without its zone, which not every database has
INSTANT = DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb')
# of more than the 65,535 bytes of MySQL's TEXT
LONG_TEXT = Text().with_variant(mysql.MEDIUMTEXT(), 'mysql', 'mariadb')

# names compare by their bytes, as in the other databases. To utf8mb4_bin, a name with a blank at its end is the same
CHARSET = 'utf8mb4'
COLLATIONS = {'mysql': 'utf8mb4_0900_bin', 'mariadb': 'utf8mb4_nopad_bin'}
TABLE_OPTIONS: dict[str, Any] = {
    f'{name}_{option}': value
    for name, collation in COLLATIONS.items()
    for option, value in (('charset', CHARSET), ('collate', collation))
}


def collation_of(dialect: Any) -> str | None:
    """Return the collation of the tables, ``None`` for a database that always compares by bytes.

    :param dialect: SQLAlchemy's dialect of an engine that has connected.
    """
    return COLLATIONS.get('mariadb' if _is_mariadb(dialect) else dialect.name)


class database_clock(GenericFunction[float]):
    """The time by the database's clock, in seconds since 1970."""

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


#: one object, for statements that are built once
NOW = database_clock()
