from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy import Float, select
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import CreateTable

from pyramid_cron.store import metadata
from pyramid_cron.store.schema import database_clock, gaps, insert_new, runs, ticks

pytestmark = pytest.mark.each_database

INSTANT = datetime(2020, 11, 23, 2, 0, 0, 123456, tzinfo=timezone.utc)


@pytest.mark.parametrize('hours', [0, -5, 5.5])
def test_an_instant_comes_back_in_utc_whatever_zone_it_had(servers, hours):
    zoned = INSTANT.astimezone(timezone(timedelta(hours=hours)))
    servers.execute(ticks.insert().values(app='app', last_minute=zoned))
    (row,) = servers.rows(ticks)
    assert row['last_minute'] == INSTANT
    assert row['last_minute'].tzinfo is timezone.utc
    assert row['minute_before'] is None


def test_the_databases_clock_counts_seconds_as_this_machine_does(servers):
    with servers.engine.connect() as connection:
        before = datetime.now(timezone.utc).timestamp()
        told = connection.scalar(select(database_clock()))
        after = datetime.now(timezone.utc).timestamp()
        assert isinstance(told, float)
        assert before - 0.01 <= told <= after + 0.01
        # it goes on within a transaction
        assert connection.scalar(select(database_clock())) >= told
    assert isinstance(database_clock().type, Float)


def test_mysql_keeps_fractions_of_a_second_and_tells_the_time_of_the_statement():
    assert 'DATETIME(6)' in str(CreateTable(runs).compile(dialect=mysql.dialect()))
    assert str(select(database_clock()).compile(dialect=mysql.dialect())).startswith(
        'SELECT unix_timestamp(sysdate(6))'
    )


def test_the_tables_are_named_for_the_package_so_that_they_can_live_beside_an_applications_own():
    assert sorted(metadata.tables) == [
        'cron_gaps',
        'cron_pauses',
        'cron_processes',
        'cron_runs',
        'cron_tasks',
        'cron_ticks',
    ]


def test_a_row_whose_key_is_taken_is_left_out(servers):
    with servers.engine.begin() as connection:
        for last in (1, 2):
            values = {'app': 'app', 'first': INSTANT, 'last': INSTANT + timedelta(minutes=last)}
            connection.execute(insert_new(connection, gaps).values(values))
    assert [row['last'] for row in servers.rows(gaps)] == [INSTANT + timedelta(minutes=1)]


def test_mysql_leaves_it_out_too():
    # the statement alone: what it does is MySQL's to know
    class Connection:
        dialect = mysql.dialect()

    text = str(insert_new(Connection(), gaps).compile(dialect=Connection.dialect))
    assert text.startswith('INSERT IGNORE INTO cron_gaps')
