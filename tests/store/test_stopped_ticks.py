"""Ticks that have stopped, and come again: each reported once over all servers."""

import pytest
from sqlalchemy import update

from pyramid_cron.events import ITicksResumed
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.schema import ticks
from pyramid_cron.store.stopped_ticks import last_tick, mark_resumed, mark_stopped
from pyramid_cron.store.ticks import Ticks
from tests.support.servers import INSTANT

pytestmark = pytest.mark.each_database


def at(minute):
    return INSTANT + minute * MINUTE


@pytest.fixture
def subscribed(servers):
    """Return a function that starts a server with a task, and the list that receives its events."""
    events = []

    def start():
        return servers.start(include=lambda config: config.add_subscriber(events.append, ITicksResumed)).add()

    return start, events


def stopped_after(servers):
    return servers.rows(ticks)[0]['stopped_after']


def test_without_a_tick_there_is_no_last_one(connection):
    assert last_tick(connection) is None
    assert not mark_stopped(connection, at(0))


def test_the_last_tick_has_its_age_by_the_clock_of_the_database(connection):
    Ticks(connection).record(connection.now() - 5 * MINUTE, 60)
    assert last_tick(connection).seconds == pytest.approx(300, abs=5)


def test_one_process_reports_that_ticks_have_stopped(connection):
    Ticks(connection).record(at(0), 60)
    assert not last_tick(connection).is_reported
    assert [mark_stopped(connection, at(0)) for _ in range(3)] == [True, False, False]
    assert last_tick(connection).is_reported


def test_a_tick_that_comes_first_prevents_the_report(connection):
    Ticks(connection).record(at(0), 60)
    Ticks(connection).record(at(1), 60)
    assert not mark_stopped(connection, at(0))


def test_a_second_stop_is_reported_without_a_resumption(connection):
    """The tick between them came to a server with older code, which does not know the column."""
    Ticks(connection).record(at(0), 60)
    assert mark_stopped(connection, at(0))
    Ticks(connection).record(at(1), 60)
    assert not last_tick(connection).is_reported
    assert mark_stopped(connection, at(1))


def test_one_process_reports_that_ticks_come_again(connection):
    Ticks(connection).record(at(0), 60)
    mark_stopped(connection, at(0))
    assert [mark_resumed(connection, at(0)) for _ in range(2)] == [True, False]


def test_other_applications_are_left_alone(engine):
    for app in ('one', 'two'):
        with engine.begin() as plain:
            Ticks(StoreConnection(plain, app)).record(at(0), 60)
    with engine.begin() as plain:
        assert mark_stopped(StoreConnection(plain, 'one'), at(0))
        assert not last_tick(StoreConnection(plain, 'two')).is_reported
        assert not mark_resumed(StoreConnection(plain, 'two'), at(0))


def stop(servers, minute=0):
    with servers.begin() as connection:
        assert mark_stopped(connection, at(minute))


@pytest.mark.slow
def test_the_next_tick_reports_that_ticks_come_again(servers, subscribed, warnings):
    start, events = subscribed
    one, two = start(), start()
    one.tick(0)
    two.tick(0)
    stop(servers)
    warnings()
    one.tick(7)
    two.tick(7)
    [event] = events
    assert (event.last_tick, event.minute) == (at(0), at(7))
    assert 'ticks come again: none had come since 2020-11-23 02:00+00:00' in warnings()
    assert stopped_after(servers) is None


@pytest.mark.slow
def test_a_tick_for_an_earlier_minute_is_no_resumption(servers, subscribed):
    start, events = subscribed
    server = start()
    server.tick(10)
    stop(servers, 10)
    server.tick(3)
    assert events == []
    assert stopped_after(servers) == at(10)


@pytest.mark.slow
def test_a_tick_that_cannot_record_the_resumption_does_its_work(servers, subscribed):
    start, events = subscribed
    server = start()
    server.tick(0)
    stop(servers)
    with server.outage(of=ticks, kind='update', sets='stopped_after') as failed:
        assert str(server.tick(5)) == 'ok'
    assert failed
    assert events == []
    server.tick(6)
    [event] = events
    assert (event.last_tick, event.minute) == (at(0), at(6))


@pytest.mark.slow
def test_a_tick_that_finds_nothing_to_report_costs_no_statement(servers, server):
    server.tick(0)
    server.tick(1)
    with server.executed() as statements:
        server.tick(2)
    assert len(statements) == servers.statements_of_a_quiet_tick


@pytest.mark.slow
def test_a_tick_that_is_taken_back_is_a_resumption(servers, subscribed):
    start, events = subscribed
    server = start()
    server.tick(0)
    future = INSTANT.replace(year=2100)
    servers.execute(update(ticks).values(last_minute=future, stopped_after=future))
    server.tick(1)
    assert [event.last_tick for event in events] == [future]


@pytest.mark.slow
def test_of_two_ticks_at_once_one_reports(servers, subscribed):
    start, events = subscribed
    server = start()
    server.tick(0)
    stop(servers)

    def resume():
        with servers.begin() as connection:
            assert mark_resumed(connection, at(0))

    with server.overtaken(of=ticks, sets='stopped_after', by=resume):
        server.tick(1)
    assert events == []
