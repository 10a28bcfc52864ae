"""Instants in the database: their zone, and rows of SQLite with something else in their place."""

from datetime import timedelta, timezone

import pytest
from sqlalchemy import create_engine, select

from pyramid_cron.store.schema import ticks
from tests.support.servers import INSTANT

PRECISE = INSTANT + timedelta(microseconds=123456)


@pytest.mark.parametrize('hours', [0, -5, 5.5])
def test_an_instant_returns_in_utc(servers, hours):
    zoned = PRECISE.astimezone(timezone(timedelta(hours=hours)))
    servers.execute(ticks.insert().values(app='app', last_minute=zoned))
    (row,) = servers.rows(ticks)
    assert row['last_minute'] == PRECISE
    assert row['last_minute'].tzinfo is timezone.utc
    assert row['minute_before'] is None


@pytest.mark.parametrize('value', ['yesterday', '', 7])
def test_a_row_of_sqlite_with_no_time_is_refused_with_the_remedy(value):
    engine = create_engine('sqlite://')
    with engine.begin() as connection:
        ticks.create(connection)
        connection.exec_driver_sql('INSERT INTO cron_ticks (app, last_minute) VALUES (?, ?)', ('app', value))
        with pytest.raises(ValueError, match=f'^a row has {value!r} in place of a time: correct the value, or delete'):
            connection.scalar(select(ticks.c.last_minute))
    engine.dispose()
