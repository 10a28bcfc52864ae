"""Reads and changes of the store outside of runs."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from pyramid_cron.claims import Pause
from pyramid_cron.errors import Unavailable
from pyramid_cron.events import ITaskPaused, ITaskResumed
from pyramid_cron.schedules import clock
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.admin import Store
from pyramid_cron.store.schema import pauses, schema
from pyramid_cron.store.snapshot import Snapshot
from tests.support.clock import set_clock
from tests.support.servers import INSTANT


@pytest.fixture
def missing(servers, tmp_path):
    """A store without its file."""
    return servers.start(store=f'sqlite:///{tmp_path}/missing.sqlite').add().store


def test_a_snapshot_has_states_last_tick_and_time(servers, server):
    assert server.store.snapshot().last_tick is None
    server.tick(0)
    server.tick(3)
    snapshot = server.store.snapshot()
    assert set(snapshot.states) == {'task'}
    assert snapshot.states == server.store.states()
    assert snapshot.states['task'].last_outcome == 'ok'
    assert snapshot.last_tick == INSTANT + 3 * MINUTE
    assert abs(snapshot.now - clock.now()) < timedelta(seconds=5)


def test_a_snapshot_may_have_some_of_the_states(servers):
    server = servers.start().add().add('other').add('third')
    server.tick(1)
    assert set(server.store.snapshot().states) == {'task', 'other', 'third'}
    assert set(server.store.snapshot(['task', 'unknown']).states) == {'task'}
    server.store.pause(['*'], reason='why')
    assert server.store.snapshot(['unknown']).pause_of_all is not None


def test_queries_read_the_history(server):
    server.tick(0)
    with server.store.queries() as queries:
        assert [run.task for run in queries.past_runs(9)] == ['task']


def test_reading_a_missing_file_finds_nothing(missing, tmp_path):
    assert missing.states() == {}
    assert missing.paused() == {}
    snapshot = missing.snapshot()
    assert snapshot == Snapshot({}, None, snapshot.now)
    assert abs(snapshot.now - clock.now()) < timedelta(seconds=5)
    with missing.queries() as queries:
        assert queries is None
    assert list(tmp_path.glob('missing*')) == []


def test_without_a_database_nothing_is_changed(servers, tmp_path):
    store = servers.start(store=f'sqlite:///{tmp_path}/no/folder/store.sqlite').store
    assert store.paused() == {}
    for change in (lambda: store.pause(['task'], reason='why'), lambda: store.resume(['task'])):
        with pytest.raises(Unavailable, match=r'^the store is not available: unable to open database file$'):
            change()


def read_history(store):
    with store.queries() as queries:
        return queries.past_runs(9)


READS = [Store.states, Store.snapshot, Store.paused, read_history]


@pytest.mark.slow
@pytest.mark.parametrize('read', READS, ids=lambda read: read.__name__)
def test_reading_during_an_outage_is_unavailable(server, read):
    server.tick(0)
    with (
        server.outage() as failed,
        pytest.raises(Unavailable, match=r'^the store is not available: the database has gone$'),
    ):
        read(server.store)
    assert failed


@pytest.mark.parametrize('read', READS, ids=lambda read: read.__name__)
def test_reading_newer_tables_is_unavailable(servers, read):
    servers.execute(update(schema).values(version='2.0'))
    try:
        with pytest.raises(Unavailable, match=r'version 2\.0, which is newer'):
            read(servers.start().add().store)
    finally:
        servers.execute(update(schema).values(version='1.2'))


def test_pauses_and_their_ends_are_sent_and_logged(servers, warnings):
    sent = []

    def subscribe(config):
        for interface in (ITaskPaused, ITaskResumed):
            config.add_subscriber(sent.append, interface)

    server = servers.start(include=subscribe).add('one').add('two')
    server.tick(0)
    warnings()
    until = clock.now() + timedelta(hours=1)
    server.store.pause(['one', 'two'], reason='why', until=until, requested_by='ada')
    server.store.pause(['one'], reason='better known now')
    assert server.store.paused() == {'one': Pause(None, 'better known now', None), 'two': Pause(until, 'why', 'ada')}
    assert server.store.resume(['two', 'none'], requested_by='bob') == ['two']
    assert server.store.resume(['one', 'two']) == ['one']
    assert server.store.paused() == {}
    assert warnings() == [
        'task one is paused by ada: why',
        'task two is paused by ada: why',
        'task one is paused: better known now (before: paused by ada: why)',
        'task two is resumed by bob',
        'task one is resumed',
    ]
    assert [(event.name, event.until, event.reason, event.requested_by) for event in sent[:3]] == [
        ('one', until, 'why', 'ada'),
        ('two', until, 'why', 'ada'),
        ('one', None, 'better known now', None),
    ]
    assert [(event.name, event.requested_by) for event in sent[3:]] == [('two', 'bob'), ('one', None)]


def test_a_pause_during_an_outage_is_not_sent(servers, warnings):
    sent = []
    server = servers.start(include=lambda config: config.add_subscriber(sent.append, ITaskPaused)).add()
    server.tick(0)
    warnings()
    with server.outage(), pytest.raises(Unavailable, match='the store is not available'):
        server.store.pause(['task'], reason='why')
    assert (sent, warnings()) == ([], [])


def test_a_reason_is_one_line_without_control_characters(server):
    server.tick(0)
    server.store.pause(['task'], reason=' a\n\x1b[31m  \x00\udcff ')
    assert server.store.paused() == {'task': Pause(None, r'a \x1b[31m \x00\udcff', None)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ('reason', 'message'),
    [
        (' \n', 'the reason is empty: write why'),
        ('x' * 2**20, 'the reason has 1048576 characters: write 1000 at most'),
    ],
    ids=['empty', 'long'],
)
def test_a_reason_is_a_text_that_people_read(server, reason, message):
    server.tick(0)
    with pytest.raises(ValueError, match=message):
        server.store.pause(['task'], reason=reason)
    assert server.store.paused() == {}


@pytest.mark.slow
@pytest.mark.each_database
def test_a_forgotten_task_leaves_its_history(servers, warnings):
    server = servers.start().add().add('other')
    server.tick(0)
    server.store.pause(['task', 'other'], reason='why')
    warnings()
    server.store.forget('task', requested_by='ada')
    assert set(server.store.states()) == set(server.store.paused()) == {'other'}
    assert sorted(run.task for run in read_history(server.store)) == ['other', 'task']
    server.store.forget('other')
    assert warnings() == ['task task is forgotten by ada', 'task other is forgotten']
    with pytest.raises(LookupError, match=r"^the store has no task 'task'$"):
        server.store.forget('task')


def test_a_running_task_is_not_forgotten(servers, server):
    server.tick(0)
    servers.hold()
    with pytest.raises(ValueError, match=r'^task task has a run in progress: forget it when that has ended$'):
        server.store.forget('task')
    assert set(server.store.states()) == {'task'}


@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_a_pause_begins_and_ends_by_the_clock_of_the_database(servers):
    server = servers.start().add()
    server.tick(0)
    set_clock(server.engine, lambda: INSTANT)
    server.store.pause(['task'], reason='why')
    assert servers.rows(pauses)[0]['since'] < INSTANT + MINUTE
    assert server.store.resume(['task']) == ['task']
    assert servers.rows(pauses)[0]['until'] < INSTANT + MINUTE
    server.store.pause(['task'], reason='why', until=INSTANT + MINUTE)
    assert list(server.store.paused()) == ['task']
