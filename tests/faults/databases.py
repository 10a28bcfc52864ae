"""The databases that faults befall, with what the harness does beside the servers."""

import os
import sqlite3
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg
from sqlalchemy import create_engine, make_url

from pyramid_cron.store.migrations import prepare_tables
from tests.kills.application import Base
from tests.support.databases import postgresql_server

# found before that of PostgreSQL, because it stands first in the search path
SIMULATED_CLOCK = """
CREATE SCHEMA simulated;
CREATE TABLE simulated.clock AS SELECT pg_catalog.clock_timestamp() AS minute, pg_catalog.clock_timestamp() AS set_at;
CREATE FUNCTION simulated.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
    SELECT minute + least(pg_catalog.clock_timestamp() - set_at, interval '59 s') FROM simulated.clock
$$;
ALTER DATABASE {name} SET search_path = simulated, pg_catalog, public;
"""
GRANTS = """
GRANT ALL ON SCHEMA simulated TO app;
GRANT ALL ON ALL TABLES IN SCHEMA simulated TO app;
GRANT ALL ON ALL SEQUENCES IN SCHEMA simulated TO app;
"""


class PostgreSQL:
    """A database of a PostgreSQL server, whose clock is a function of ours.

    :param server: a :class:`tests.support.postgresql.PostgreSQL`.
    :param url: the URL of an empty database, as its superuser.
    """

    def __init__(self, server, url):
        self.server = server
        self._name = make_url(url).database
        self.url = url.replace('cron@', 'app@')
        #: how the superuser connects, also while the database is read-only for all
        options = "connect_timeout=2 options='-c default_transaction_read_only=off'"
        self.admin = f'host={server.folder} user=cron dbname={self._name} {options}'
        server.execute('CREATE ROLE app LOGIN')
        self.execute(SIMULATED_CLOCK.format(name=self._name))
        make_tables(url)
        self.execute(GRANTS)

    def connect(self, **options):
        return psycopg.connect(self.admin, **options)

    def execute(self, statement):
        with self.connect(autocommit=True) as connection:
            connection.execute(statement)

    def rows(self, query):
        """Return what a query finds.

        :raises psycopg.OperationalError: if the database is away, or a table is locked.
        """
        with self.connect(autocommit=True) as connection:
            connection.execute('SET lock_timeout = 300')
            return connection.execute(query).fetchall()

    def set_time(self, minute, ahead=0.0):
        """Begin a minute, by a clock that is ahead of it by so many seconds."""
        shown = f"'{minute.isoformat()}'::timestamptz + interval '{ahead} s'"
        self.execute(f'UPDATE simulated.clock SET minute = {shown}, set_at = pg_catalog.clock_timestamp()')

    @contextmanager
    def hold(self, statement):
        """Execute a statement in a transaction, which stays open during the ``with``."""
        with closing(self.connect()) as connection:
            connection.execute(statement)
            yield

    def disconnect(self):
        """Terminate the connections of the servers."""
        self.execute("SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE usename = 'app'")

    def send(self, number):
        """Send a signal to all processes of the server."""
        first = int((self.server.folder / 'data' / 'postmaster.pid').read_text().split()[0])
        children = Path(f'/proc/{first}/task/{first}/children').read_text().split()
        for pid in [first, *map(int, children)]:
            # one that has lost its client ends as soon as it can
            with suppress(ProcessLookupError):
                os.kill(pid, number)


class SQLite:
    """A file, whose clock the processes replace."""

    admin = None

    def __init__(self, path):
        self.path = path
        self.url = f'sqlite:///{path}'
        make_tables(self.url)

    def _connect(self):
        return closing(sqlite3.connect(self.path, isolation_level=None, timeout=30))

    def execute(self, statement):
        with self._connect() as connection:
            connection.execute(statement)

    def rows(self, query):
        with self._connect() as connection:
            return connection.execute(query).fetchall()

    def set_time(self, minute, ahead=0.0):
        """Do nothing: the clock of SQLite is that of each process."""

    @contextmanager
    def hold(self, statement):
        """Execute a statement in a transaction, which stays open during the ``with``."""
        with self._connect() as connection:
            connection.execute('BEGIN IMMEDIATE')
            connection.execute(statement)
            yield


def make_tables(url):
    engine = create_engine(url)
    prepare_tables(engine, True)
    Base.metadata.create_all(engine)
    engine.dispose()


@contextmanager
def postgresql(folder):
    with postgresql_server(synchronous_commit='on') as server, server.database() as url:
        yield PostgreSQL(server, url)


@contextmanager
def sqlite(folder):
    yield SQLite(folder / 'store.sqlite')


DATABASES = {'postgresql': postgresql, 'sqlite': sqlite}
