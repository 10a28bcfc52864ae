"""How far the effect of a run is one commit with its record: real sessions, by the whole application."""

import pytest
import zope.sqlalchemy
from sqlalchemy import Column, Integer, MetaData, String, Table, create_engine, insert, select
from sqlalchemy.orm import Session
from webtest import TestApp

from pyramid_cron import Skip
from pyramid_cron.store.schema import runs
from tests.support.servers import INSTANT

METADATA = MetaData()
EFFECTS = Table('joined_effects', METADATA, Column('id', Integer, primary_key=True), Column('what', String(50)))


@pytest.fixture
def start(servers):
    """Return a function that starts a server with one task, whose session pyramid_tm commits."""
    bind = create_engine(servers.url)
    METADATA.create_all(bind)
    with bind.begin() as connection:
        connection.execute(EFFECTS.delete())

    def session(request):
        made = Session(bind)
        zope.sqlalchemy.register(made, transaction_manager=request.tm)
        return made

    def setup(config):
        config.include('pyramid_tm')
        config.add_request_method(session, 'dbsession', reify=True)

    def started(body, **settings):
        server = servers.start(include=setup, **{'session': 'dbsession', **settings}).add('task', body, retries=1)
        server.ready()
        server.target = TestApp(server.config.make_wsgi_app())
        return server

    yield started
    bind.dispose()


def write(system):
    session = system['request'].dbsession
    session.execute(insert(EFFECTS).values(what='done'))
    zope.sqlalchemy.mark_changed(session)


def fails(system):
    write(system)
    raise RuntimeError


def skips(system):
    write(system)
    raise Skip('nothing')


def commits(system):
    write(system)
    system['request'].tm.commit()
    system['request'].tm.begin()


def commits_twice(system):
    commits(system)
    write(system)


def commits_and_fails(system):
    commits(system)
    raise RuntimeError


def nests(system):
    with system['request'].dbsession.begin_nested():
        write(system)


def reads(system):
    system['request'].dbsession.scalars(select(EFFECTS)).all()


def does_nothing(system):
    pass


@pytest.mark.slow
@pytest.mark.each_database
@pytest.mark.parametrize(
    ('body', 'outcome', 'joined'),
    [
        (write, 'ok', 'whole'),
        (nests, 'ok', 'whole'),
        (fails, 'failed', 'whole'),
        (skips, 'skipped', 'whole'),
        (commits, 'ok', 'partly'),
        (commits_twice, 'ok', 'partly'),
        (commits_and_fails, 'failed', 'partly'),
        (reads, 'ok', 'empty'),
        (does_nothing, 'ok', 'empty'),
    ],
)
def test_the_record_has_how_far_it_is_one_commit_with_the_effect(start, servers, body, outcome, joined):
    start(body).tick(0)
    assert servers.history('outcome', 'joined') == [(outcome, joined)]


@pytest.mark.slow
@pytest.mark.each_database
def test_a_run_without_a_session_of_its_own_is_apart(start, servers):
    start(write, session='dbsession').tick(0)
    servers.execute(runs.delete())
    servers.start().add('task').tick(5)
    assert servers.history('outcome', 'joined') == [('ok', 'apart')]


@pytest.mark.slow
@pytest.mark.each_database
def test_a_backfill_joins_as_well(start, servers):
    server = start(write, keep_history='100000', catch_up='0')
    server.tick(0)
    server.tick(15)
    server.backfill(5)
    assert servers.history('scheduled_for', 'outcome', 'joined')[1:3] == [
        (servers.history('scheduled_for')[1], 'missed', None),
        (servers.history('scheduled_for')[2], 'ok', 'whole'),
    ]


@pytest.mark.slow
@pytest.mark.each_database
@pytest.mark.parametrize(('transactional', 'joined'), [(True, 'whole'), (False, None)])
def test_a_lost_run_left_nothing_if_it_had_committed_nothing(servers, transactional, joined):
    server = servers.start().add()
    server.tick(0)
    servers.execute(runs.delete())
    servers.hold(lease_until=0)
    servers.change(transactional=transactional)
    server.tick(5)
    [(_, found)] = [row for row in servers.history('outcome', 'joined') if row[0] == 'lost']
    assert found == joined


@pytest.mark.each_database
def test_an_enqueued_run_has_no_word_until_it_has_run(web, servers):
    web.tick(0)
    assert servers.history('outcome', 'joined') == [('queued', None)]


@pytest.mark.slow
def test_the_previous_schedule_has_its_beginning(servers):
    servers.start().add().tick(0)
    servers.start().add(min='*/7').tick(7)
    row = servers.row()
    assert row['previous_schedule_from'] == row['first_seen']
    servers.start().add(min='*/11').tick(22)
    assert (servers.row()['previous_schedule_from'] - INSTANT).total_seconds() == 7 * 60
