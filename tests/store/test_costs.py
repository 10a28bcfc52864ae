"""What a tick costs: statements, round trips and waits for the disk, which do not depend on the machine."""

import logging

import pytest
import zope.sqlalchemy
from sqlalchemy import create_engine, text
from sqlalchemy.orm import sessionmaker
from webtest import TestApp

from pyramid_cron.store.migrations import upgrade
from tests.support.round_trips import relayed
from tests.support.servers import Server
from tests.support.statements import executed

#: minutes with ticks: the first ones open connections, register tasks, delete old records and prepare statements, and
#: after ten old records are deleted again
FIRST, TICKS = 6, 4


@pytest.fixture(scope='module')
def durable(start_postgresql):
    """A server that waits for the disk, and does so for nothing else but commits."""
    quiet = {'autovacuum': 'off', 'wal_writer_delay': '10s', 'checkpoint_timeout': '1h', 'bgwriter_delay': '10s'}
    return start_postgresql(fsync='on', synchronous_commit='on', **quiet)


@pytest.fixture
def relay(durable, engines):
    """A relay to a database with the tables, the URL that leads through it, and the one that does not."""
    with durable.database() as url:
        engine = engines(create_engine(url))
        upgrade(engine)
        with relayed(url) as (relay, through):
            yield relay, through, url


def server_of(url, due, **settings):
    settings = {name if '.' in name else f'cron.{name}': value for name, value in settings.items()}
    server = Server(url, settings)
    for number in range(due):
        server.add(f'task {number}', min='*')
    return server.add('rare', min=0, hour=0, day=1, month=1)


def trips_of(relay, server, ticks=TICKS):
    """Return the round trips of each tick, the first ones left out."""
    found = []
    for minute in range(FIRST + ticks):
        before = relay.trips
        assert str(server.tick(minute)) == 'ok'
        found.append(relay.trips - before)
    return found[FIRST:]


def syncs(*engines):
    """Return how often the server has waited for the disk, by what the connections of these engines have counted."""
    for engine in engines:
        with engine.connect().execution_options(isolation_level='AUTOCOMMIT') as connection:
            connection.execute(text('SELECT pg_stat_force_next_flush()'))
            found = connection.scalar(text('SELECT wal_sync FROM pg_stat_wal'))
    return found


@pytest.mark.slow
@pytest.mark.parametrize(('due', 'trips'), [(0, 1), (1, 3), (50, 101)])
def test_round_trips_of_a_tick(relay, due, trips):
    relay, through, _ = relay
    server = server_of(through, due)
    assert set(trips_of(relay, server)) == {trips}
    server.engine.dispose()


def with_session(url):
    """Return what includes the application's own session, and a list of the statements in its transactions."""
    own = create_engine(url)
    make_session = sessionmaker(own)

    def dbsession(request):
        session = make_session()
        zope.sqlalchemy.register(session, transaction_manager=request.tm)
        return session

    def include(config):
        config.include('pyramid_tm')
        config.add_request_method(dbsession, reify=True)

    return include, own


@pytest.mark.slow
def test_a_joined_run_costs_one_statement_in_its_transaction(relay):
    relay, through, url = relay
    include, own = with_session(url)
    settings = {'cron.session': 'dbsession', 'tm.manager_hook': 'pyramid_tm.explicit_manager'}
    server = Server(through, settings, include)

    def body(system):
        session = system['request'].dbsession
        session.execute(text('CREATE TABLE IF NOT EXISTS effects (at text)'))
        zope.sqlalchemy.mark_changed(session)

    server.add(body=body, min='*')
    server.ready()
    server.target = TestApp(server.config.make_wsgi_app())
    server.ready()
    # the tick, the claim, that the run is joined, and the end of the tick
    assert set(trips_of(relay, server)) == {4}
    with executed(own) as statements:
        server.tick(FIRST + TICKS)
    # the task's own, and the end of the run
    assert len(statements) == 2
    before = syncs(own, server.engine)
    for minute in range(FIRST + TICKS + 1, FIRST + 2 * TICKS + 1):
        server.tick(minute)
    # the claim, that the run is joined, and the task's own commit
    assert 3 * TICKS <= syncs(own, server.engine) - before <= 3 * TICKS + 3
    server.engine.dispose()
    own.dispose()


@pytest.mark.slow
@pytest.mark.parametrize('message', [None, 'in ascii', 'caf\xe9'])
def test_what_a_task_logs_costs_no_round_trip(relay, caplog, message):
    caplog.set_level('INFO', 'shop')
    relay, through, _ = relay
    server = Server(through, {})

    def body(system):
        if message is not None:
            system['note'](message)
            logging.getLogger('shop').info(message)
        system['progress'](1, 2)

    server.add(body=body, min='*')
    assert set(trips_of(relay, server)) == {3}
    server.engine.dispose()


@pytest.mark.slow
@pytest.mark.parametrize(('due', 'most'), [(0, 0), (1, 2), (3, 6)])
def test_a_tick_waits_for_the_disk_twice_for_each_run(relay, due, most):
    _, through, _ = relay
    server = server_of(through, due)
    for minute in range(FIRST):
        server.tick(minute)
    before = syncs(server.engine)
    for minute in range(FIRST, FIRST + TICKS):
        server.tick(minute)
    # the writer of the log may have waited now and then, too
    assert most * TICKS <= syncs(server.engine) - before <= most * TICKS + 3
    server.engine.dispose()


@pytest.mark.slow
def test_a_server_that_finds_all_taken_has_two_round_trips(relay):
    relay, through, url = relay
    first, second = server_of(url, 20), server_of(through, 20)
    found = []
    for minute in range(FIRST + TICKS):
        first.tick(minute)
        before = relay.trips
        assert str(second.tick(minute)).startswith('ok')
        found.append(relay.trips - before)
    assert set(found[FIRST:]) == {2}
    assert second.ran == []
    for server in (first, second):
        server.engine.dispose()


@pytest.mark.slow
@pytest.mark.each_server
def test_a_claim_passes_over_the_runs_of_others(servers):
    """The second server has read the rows before the first one claims: no task costs it a look of its own."""
    first, second = (servers.start() for _ in range(2))
    for server in (first, second):
        for number in range(40):
            server.add(f'task {number:02}', min='*')
    second.tick(0)
    polled = second.claims._poll.due

    def overtaken(tasks, work):
        found = polled(tasks, work)
        first.tick(1)
        return found

    second.claims._poll.due = overtaken
    with second.executed() as statements:
        report = second.tick(1)
    assert {task.reason for task in report.tasks} == {'already run'}
    assert {minute for _, minute in second.ran} == {0}
    if servers.engine.dialect.name == 'postgresql':
        # the tick, four claims that look at more and more runs, why these were not free, and the end of the tick
        assert len(statements) <= 8
