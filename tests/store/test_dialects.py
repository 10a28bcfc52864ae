"""Differences of databases: their clocks, their INSERT, and one that is not known."""

from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy import Float, select
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.dialects import BY_NAME, MARIADB, MYSQL, POSTGRESQL, SQLITE, database_clock, dialect_of
from pyramid_cron.store.schema import gaps
from tests.faults.catalogue import FAULTS
from tests.support.servers import INSTANT

pytestmark = pytest.mark.each_database


def test_the_databases_clock_counts_seconds(servers):
    with servers.engine.connect() as connection:
        before = datetime.now(timezone.utc).timestamp()
        seconds = connection.scalar(select(database_clock()))
        after = datetime.now(timezone.utc).timestamp()
        assert isinstance(seconds, float)
        assert before - 0.01 <= seconds <= after + 0.01
    assert isinstance(database_clock().type, Float)


# that of SQLite counts milliseconds
@pytest.mark.parametrize('engine', ['postgresql'], indirect=True)
def test_the_databases_clock_moves_within_a_transaction(connection):
    first = connection.clock()
    assert connection.clock() > first


def test_a_row_of_an_existing_key_is_skipped(servers):
    with servers.begin() as connection:
        for last in (1, 2):
            values = {'first_minute': INSTANT, 'last_minute': INSTANT + timedelta(minutes=last)}
            connection.execute(connection.insert_new(gaps).values(values))
    assert servers.gaps() == [(0, 1)]


# of the databases that are not in each run of the tests, by what SQLAlchemy makes of it
@pytest.mark.parametrize(
    ('dialect', 'begin', 'end'),
    [
        (sqlite, 'INSERT INTO', 'ON CONFLICT DO NOTHING'),
        (postgresql, 'INSERT INTO', 'ON CONFLICT DO NOTHING'),
        (mysql, 'INSERT IGNORE INTO', ')'),
    ],
)
def test_each_database_has_an_insert_that_skips(dialect, begin, end):
    made = dialect.dialect()
    statement = str(dialect_of(made.name).insert_new(gaps).compile(dialect=made))
    assert statement.startswith(f'{begin} cron_gaps')
    assert statement.endswith(end)


def test_the_clock_of_mysql_is_that_of_the_statement():
    assert str(select(database_clock()).compile(dialect=mysql.dialect())).startswith(
        'SELECT unix_timestamp(sysdate(6))'
    )


def test_databases_are_known_by_name():
    assert [dialect_of(name) for name in BY_NAME] == [SQLITE, POSTGRESQL, MYSQL, MARIADB]
    assert [dialect_of(name).shown for name in BY_NAME] == ['SQLite', 'PostgreSQL', 'MySQL', 'MariaDB']


def test_databases_without_faults_and_kills_in_the_tests_are_experimental():
    assert {name for name, dialect in BY_NAME.items() if not dialect.experimental} == FAULTS.keys()


@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_an_unknown_database_has_no_differences(servers):
    unknown = dialect_of('plain')
    assert unknown.shown == 'plain'
    assert unknown.experimental
    assert (unknown.has_upsert, unknown.session_limits, dict(unknown.connect_args)) == (False, (), {})
    assert not any([unknown.skips_locked_since, unknown.has_lateral, unknown.has_partial_indexes])
    # its INSERT is a plain one, which fails for a key that exists
    values = {'app': 'app', 'first_minute': INSTANT, 'last_minute': INSTANT}
    servers.execute(unknown.insert_new(gaps).values(values))
    with pytest.raises(IntegrityError):
        servers.execute(unknown.insert_new(gaps).values(values))


def test_a_connection_uses_the_differences_of_its_database(servers):
    with servers.begin() as connection:
        assert connection.dialect is BY_NAME[servers.engine.dialect.name]
        assert isinstance(connection, StoreConnection)
