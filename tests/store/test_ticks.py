"""Ticks: the newest minute that had one, and the gaps between them."""

from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy import create_engine, insert, select
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from pyramid_cron import Task
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.migrations import upgrade
from pyramid_cron.store.registered_tasks import RegisteredTasks
from pyramid_cron.store.schema import gaps, tasks, ticks
from pyramid_cron.store.task_rows import TaskStates
from pyramid_cron.store.ticks import LAST_MINUTE, Gap, Ticks
from tests.support.rows import Rows
from tests.support.servers import INSTANT

pytestmark = pytest.mark.each_database

AHEAD = datetime(2100, 1, 1, tzinfo=timezone.utc)


class Plain(SQLiteDialect_pysqlite):
    """SQLite under a name that is not known, for the statements that any database understands."""

    name = 'plain'
    supports_statement_cache = True


@pytest.fixture(params=['known', 'plain'])
def connection(request, engine, url):
    """A connection to the database, once known and, if it is SQLite, once under a name that is not known."""
    if request.param == 'plain':
        registry.register('plain', __name__, 'Plain')
        registry.impls['plain'] = lambda: Plain
        engine = create_engine(url.replace('sqlite:', 'plain:'))
    with engine.begin() as plain:
        yield StoreConnection(plain, 'app')
    engine.dispose()


def at(minute):
    return INSTANT + minute * MINUTE


def record(connection, minute):
    tick = Ticks(connection).record(at(minute), 60)
    return tick.last, tick.before, tick.attention


def test_a_tick_is_recorded_with_the_one_before(connection):
    assert Ticks(connection).state() is None
    assert [record(connection, minute) for minute in (0, 1, 1, 5, 3)] == [
        (at(0), None, False),
        (at(1), at(0), False),
        (at(1), at(0), False),
        (at(5), at(1), False),
        (at(5), at(1), False),
    ]
    assert Ticks(connection).state().last == at(5)
    assert connection.scalars(connection.select(ticks, LAST_MINUTE)) == [at(5)]
    clock = Ticks(connection).record(at(6), 60).clock
    assert abs(clock - datetime.now(timezone.utc).timestamp()) < 5


@pytest.mark.slow
@pytest.mark.parametrize('first', [True, False])
def test_a_minute_far_ahead_is_not_recorded(connection, first):
    if not first:
        record(connection, 0)
    tick = Ticks(connection).record(AHEAD, 60)
    assert (tick.last, tick.before, tick.attention) == (AHEAD, None, False)
    assert AHEAD.timestamp() - tick.clock > 60
    assert connection.scalars(connection.select(ticks, ticks.c.last_minute)) == ([] if first else [at(0)])


def test_a_minute_a_little_ahead_is_recorded(connection):
    soon = datetime.now(timezone.utc) + timedelta(seconds=30)
    assert Ticks(connection).record(soon, 60).last == soon
    assert Ticks(connection).state().last == soon


@pytest.mark.slow
@pytest.mark.parametrize(
    ('values', 'attention'),
    [
        ({}, False),
        ({'run_id': 'x'}, True),
        ({'retry_reason': 'failed'}, True),
        ({'run_id': 'x', 'app': 'other'}, False),
        ({'retry_reason': 'failed', 'app': 'other'}, False),
    ],
)
def test_a_tick_finds_claimed_and_repeated_tasks(connection, values, attention):
    row = {'app': 'app', 'task': 'task', 'schedule': '', 'first_seen': at(0), 'attempt': 0, 'transactional': False}
    connection.execute(insert(tasks).values(row | values))
    assert record(connection, 0) == (at(0), None, attention)
    assert record(connection, 1) == (at(1), at(0), attention)


def test_the_last_tick_before_a_minute_is_found(connection):
    stored = Ticks(connection)
    assert stored.last_before(at(9)) is None
    record(connection, 0)
    assert [stored.last_before(at(minute)) for minute in (0, 1)] == [None, at(0)]
    record(connection, 5)
    assert [stored.last_before(at(minute)) for minute in (0, 1, 5, 6)] == [None, at(0), at(0), at(5)]


@pytest.mark.slow
def test_a_gap_is_recorded_once(connection):
    stored = Ticks(connection)
    assert stored.record_gap(at(1), at(2))
    assert not stored.record_gap(at(1), at(3))
    assert stored.record_gap(at(5), at(9))
    assert stored.gaps(9) == [Gap(at(5), at(9)), Gap(at(1), at(2))]
    assert stored.gaps(1) == [Gap(at(5), at(9))]
    assert stored.gaps(9, at(2)) == [Gap(at(5), at(9)), Gap(at(1), at(2))]
    assert stored.gaps(9, at(3)) == [Gap(at(5), at(9))]
    of_minutes = {minute: stored.gap_at(at(minute)) for minute in (0, 1, 2, 3, 5, 7, 9, 10)}
    none, first, second = None, Gap(at(1), at(2)), Gap(at(5), at(9))
    assert list(of_minutes.values()) == [none, first, first, none, second, second, second, none]


def test_old_gaps_are_pruned(connection):
    stored = Ticks(connection)
    for first in (1, 4, 9):
        stored.record_gap(at(first), at(first + 2))
    stored.prune(at(6))
    assert stored.gaps(9) == [Gap(at(9), at(11)), Gap(at(4), at(6))]


def test_minutes_are_independent_of_the_databases_zone(postgresql):
    engine = create_engine(postgresql)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {engine.url.database} SET timezone TO 'Asia/Tokyo'")
    engine.dispose()
    upgrade(engine)
    try:
        for minute in range(3):
            with engine.begin() as connection:
                last = record(StoreConnection(connection, 'app'), minute)
        assert last == (at(2), at(1), False)
        with engine.begin() as connection:
            stored = StoreConnection(connection, 'app')
            assert Ticks(stored).record_gap(at(0), at(0))
            assert list(connection.scalars(select(gaps.c.first_minute))) == [at(0)]
            Ticks(stored).finish(at(2), None)
            assert Ticks(stored).state().done == at(2)
            RegisteredTasks(stored).register([Task(print, name='task', timezone='UTC')], at(0))
            RegisteredTasks(stored).see_after_gap(at(1), at(30))
            assert TaskStates(stored).get('task').last_seen == at(30)
    finally:
        engine.dispose()


def quiet(connection, minute):
    """Record a tick with nothing due by the code, and return what is known of the ticks then."""
    Ticks(connection).record(at(minute), 60, nothing_due=True)
    return Ticks(connection).state()[:3]


def test_a_tick_with_nothing_to_do_is_done_at_once(connection):
    record(connection, 0)
    Ticks(connection).finish(at(0), 'locked')
    assert quiet(connection, 1) == (at(1), at(1), None)
    # by its own statement, and not for a minute that is not the next
    assert quiet(connection, 3) == (at(3), at(1), None)
    assert quiet(connection, 2) == (at(3), at(1), None)


def test_a_tick_with_work_is_not_done_at_once(connection):
    record(connection, 0)
    task_rows = Rows(connection)
    task_rows.registered.register([Task(print, name='task', min=3, timezone='UTC')], at(0))
    assert [quiet(connection, minute)[1] for minute in (1, 2)] == [at(1), at(2)]
    # owed, and then claimed
    assert record(connection, 3) == (at(3), at(2), True)
    assert quiet(connection, 4)[1] == at(2)
    task_rows.claims.claim('task', at(3), 1, run_id='mine', next_due=at(63))
    assert quiet(connection, 5)[1] == at(2)
    task_rows.claims.release('task', 'mine')
    assert quiet(connection, 6)[1] == at(6)


def test_a_row_is_not_looked_at_unless_it_was_seen(connection):
    task_rows = Rows(connection)
    task_rows.registered.register([Task(print, name='task', min=3, timezone='UTC')], at(0))
    assert [record(connection, minute)[2] for minute in (3, 59, 60)] == [True, True, False]
    task_rows.registered.see(['task'], at(60), AHEAD)
    assert record(connection, 61)[2] is True


def test_the_newest_tick_decides_about_the_problem(connection):
    ticks = Ticks(connection)
    record(connection, 0)
    ticks.finish(at(0), None)
    record(connection, 2)
    ticks.finish(at(2), 'locked')
    assert ticks.state()[:3] == (at(2), at(0), 'locked')
    # that of a minute before, which took long
    ticks.finish(at(1), None)
    assert ticks.state()[:3] == (at(2), at(1), 'locked')
    ticks.finish(at(1), 'another')
    assert ticks.state()[:3] == (at(2), at(1), 'locked')
    ticks.finish(at(2), None)
    ticks.finish(at(0), None)
    assert ticks.state()[:3] == (at(2), at(2), None)


def test_a_tick_that_was_taken_back_meanwhile_is_not_done(connection):
    stored = Ticks(connection)
    assert stored.take_back(stored.record(at(9), 60), at(1))
    stored.finish(at(9), None)
    assert stored.state() == (at(1), at(1), None, None)


def test_a_gap_keeps_why_its_ticks_failed(connection):
    stored = Ticks(connection)
    assert stored.record_gap(at(1), at(2))
    assert not stored.record_gap(at(1), at(2), 'away')
    assert not stored.record_gap(at(1), at(2), 'later')
    assert stored.record_gap(at(5), at(6), 'locked')
    assert stored.gaps(9) == [Gap(at(5), at(6), 'locked'), Gap(at(1), at(2), 'away')]
