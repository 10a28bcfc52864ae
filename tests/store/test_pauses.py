"""Pauses: paused minutes do not run, are recorded once, and are not caught up."""

import logging
from datetime import timedelta

import pytest
from pyramid.config import Configurator
from sqlalchemy import text, update

from pyramid_cron.claims import Pause
from pyramid_cron.errors import Unavailable
from pyramid_cron.events import ITaskMissed, ITaskPaused, ITaskResumed
from pyramid_cron.schedules.clock import MINUTE, now
from pyramid_cron.store.actions import Actions
from pyramid_cron.store.pauses import Pauses
from pyramid_cron.store.schema import audit
from pyramid_cron.store.schema import pauses as stored
from pyramid_cron.testing import tick

pytestmark = pytest.mark.each_database

# some minutes ago, because the store refuses minutes of the future
START = now().replace(second=0, microsecond=0) - timedelta(hours=2)


@pytest.fixture
def make_app(url):
    """Return a function that makes an application with a task for each minute.

    It returns the registry, the minutes for which the task ran, and the events.
    """

    def make(**settings):
        config = Configurator(settings={'cron.store': url, 'cron.app': 'test', 'cron.timezone': 'UTC', **settings})
        config.include('pyramid_cron')
        ran = []
        config.add_cron_task(lambda system: ran.append(system['scheduled_for']), min='*', name='task')
        events = []
        for interface in (ITaskPaused, ITaskResumed, ITaskMissed):
            config.add_subscriber(events.append, interface)
        config.commit()
        registries.append(config.registry)
        return config.registry, ran, events

    registries = []
    yield make
    for registry in registries:
        registry['cron_store'].database.engine.dispose()


def history(registry):
    with registry['cron_store'].database.engine.begin() as connection:
        query = text('SELECT scheduled_for, outcome, reason FROM cron_runs ORDER BY scheduled_for')
        return [(str(row[0])[11:16], row[1], row[2]) for row in connection.execute(query)]


def at(minutes):
    return START + minutes * MINUTE


def began(registry, minutes):
    """Date the pauses back to a minute, in place of the present one."""
    with registry['cron_store'].database.engine.begin() as connection:
        connection.execute(update(stored).values(since=at(minutes)))


def shown(minutes):
    return f'{at(minutes):%H:%M}'


@pytest.mark.slow
def test_a_paused_minute_is_recorded_once_and_skipped(make_app, caplog):
    caplog.set_level(logging.INFO, 'pyramid_cron')
    registry, ran, _ = make_app()
    store = registry['cron_store']
    tick(registry, at(0))
    store.pause(['task'], reason='the disk is full', until=at(3), requested_by='ada')
    began(registry, 1)
    report = tick(registry, at(1))
    assert [(task.outcome, task.reason) for task in report.tasks] == [('paused', 'paused by ada: the disk is full')]
    assert str(report) == 'ok'
    tick(registry, at(1))
    tick(registry, at(2))
    # it ends by itself, and the minutes until then are not caught up
    tick(registry, at(3))
    assert ran == [at(0), at(3)]
    assert history(registry) == [
        (shown(0), 'ok', None),
        (shown(1), 'paused', 'paused by ada: the disk is full'),
        (shown(2), 'paused', 'paused by ada: the disk is full'),
        (shown(3), 'ok', None),
    ]


@pytest.mark.slow
def test_a_paused_minute_without_a_tick_is_not_missed(make_app):
    registry, ran, events = make_app()
    tick(registry, at(0))
    registry['cron_store'].pause(['task'], reason='maintenance', until=at(3))
    began(registry, 1)
    tick(registry, at(4))
    assert ran == [at(0), at(4)]
    assert [row[1] for row in history(registry)] == ['ok', 'paused', 'paused', 'missed', 'ok']
    assert [getattr(event, 'minutes', None) for event in events] == [None, (at(3),)]


@pytest.mark.slow
def test_a_minute_before_a_pause_is_missed_and_not_paused(make_app):
    """An outage is not hidden by a pause that a person sets because of it."""
    registry, ran, events = make_app()
    tick(registry, at(0))
    registry['cron_store'].pause(['*'], reason='maintenance')
    began(registry, 3)
    tick(registry, at(4))
    assert ran == [at(0)]
    assert [row[1] for row in history(registry)] == ['ok', 'missed', 'missed', 'paused', 'paused']
    assert [getattr(event, 'minutes', None) for event in events] == [None, (at(1), at(2))]


@pytest.mark.slow
def test_a_replaced_pause_keeps_its_beginning(make_app):
    registry, ran, _ = make_app()
    tick(registry, at(0))
    store = registry['cron_store']
    store.pause(['task'], reason='maintenance')
    began(registry, 1)
    store.pause(['task'], reason='it takes longer')
    tick(registry, at(3))
    assert ran == [at(0)]
    assert [row[1] for row in history(registry)] == ['ok', *['paused'] * 3]


@pytest.mark.slow
@pytest.mark.parametrize('name', ['failing', '*'])
def test_a_paused_task_is_not_retried_until_the_end(make_app, name):
    registry, _, _ = make_app()
    tries = []

    def fail(system):
        tries.append(system['scheduled_for'])
        raise LookupError

    config = Configurator(registry=registry, autocommit=True)
    config.add_cron_task(fail, cron=f'{START.minute} * * * *', name='failing', retries=5)
    tick(registry, at(0))
    registry['cron_store'].pause([name], reason='it fails', until=at(3))
    for minutes in (1, 2):
        tick(registry, at(minutes))
    assert tries == [at(0)]
    tick(registry, at(3))
    assert tries == [at(0), at(0)]


@pytest.mark.slow
def test_a_pause_lasts_until_it_is_ended(make_app, caplog):
    registry, ran, events = make_app()
    store = registry['cron_store']
    tick(registry, at(0))
    store.pause(['task'], reason='why', requested_by='ada')
    store.pause(['task'], reason='better known now')
    assert store.paused() == {'task': Pause(None, 'better known now', None)}
    assert store.resume(['task', 'another'], requested_by='bob') == ['task']
    assert store.resume(['task']) == []
    assert store.paused() == {}
    # the minutes until then stay skipped, and the next one does not
    tick(registry, at(1))
    assert ran == [at(0)]
    tick(registry, now() + MINUTE)
    assert len(ran) == 2
    paused, again, resumed = events[:3]
    assert (paused.name, paused.until, paused.reason, paused.requested_by) == ('task', None, 'why', 'ada')
    assert (again.reason, again.requested_by) == ('better known now', None)
    assert (resumed.name, resumed.requested_by) == ('task', 'bob')
    assert 'task task is paused by ada: why' in caplog.messages
    assert 'task task is resumed by bob' in caplog.messages


def test_only_a_task_with_a_row_is_paused(make_app):
    registry, _, _ = make_app()
    with pytest.raises(LookupError, match=r"the store has no task 'task', 'other': a task is in it from the"):
        registry['cron_store'].pause(['task', 'other'], reason='why')


@pytest.mark.slow
def test_a_paused_task_runs_by_name(make_app):
    registry, ran, _ = make_app()
    tick(registry, at(0))
    registry['cron_store'].pause(['task'], reason='why')
    assert str(tick(registry, at(1), names=['task'])) == 'ok'
    assert len(ran) == 2


@pytest.mark.slow
def test_a_pause_concerns_one_application(make_app):
    registry, _, _ = make_app()
    other, ran, _ = make_app(**{'cron.app': 'other'})
    for one in (registry, other):
        tick(one, at(0))
    registry['cron_store'].pause(['task'], reason='why')
    assert other['cron_store'].paused() == {}
    tick(other, at(1))
    assert ran == [at(0), at(1)]


@pytest.mark.slow
def test_pauses_in_force_are_returned_in_order(servers):
    servers.start().add('one').add('two').add('three').tick()
    with servers.begin() as connection:
        pauses = Pauses(connection)
        for name, until in (('two', None), ('one', START + MINUTE), ('three', START)):
            pauses.pause([name], Pause(until, 'why', 'ada'), START - MINUTE)
        assert pauses.in_force(START) == {
            'one': Pause(START + MINUTE, 'why', 'ada'),
            'two': Pause(None, 'why', 'ada'),
        }
        assert pauses.resume(['two', 'one', 'three', 'none'], START) == ['one', 'two']
        assert pauses.in_force(START) == {}
    assert {row['task']: row['until'] for row in servers.rows(stored)} == dict.fromkeys(('one', 'two', 'three'), START)
    assert {row['since'] for row in servers.rows(stored)} == {START - MINUTE}


@pytest.mark.slow
def test_a_refused_pause_changes_no_task(servers):
    server = servers.start().add()
    server.tick()
    with pytest.raises(LookupError):
        server.store.pause(['task', 'none'], reason='why')
    assert servers.rows(stored) == []


# all tasks


def names(registry, *added):
    """Register tasks as a deploy does, and return the names of those that run."""
    ran = []
    config = Configurator(registry=registry, autocommit=True)
    for name in added:
        config.add_cron_task(lambda system, name=name: ran.append(name), min='*', name=name)
    return ran


@pytest.mark.slow
def test_a_pause_of_all_holds_for_a_task_that_is_deployed_meanwhile(make_app):
    registry, ran, _ = make_app()
    tick(registry, at(0))
    registry['cron_store'].pause(['*'], reason='the database moves', until=at(3), requested_by='ada')
    began(registry, 1)
    new = names(registry, 'new')
    report = tick(registry, at(1))
    reason = 'paused with all tasks by ada: the database moves'
    assert [(task.name, task.outcome, task.reason) for task in report.tasks] == [
        ('task', 'paused', reason),
        ('new', 'paused', reason),
    ]
    assert str(report) == 'ok'
    # nothing is made up
    tick(registry, at(3))
    assert (ran, new) == ([at(0), at(3)], ['new'])
    assert history(registry) == [
        (shown(0), 'ok', None),
        *[(shown(1), 'paused', reason)] * 2,
        *[(shown(2), 'paused', reason)] * 2,
        *[(shown(3), 'ok', None)] * 2,
    ]


@pytest.mark.slow
def test_a_pause_of_all_holds_before_the_first_tick(make_app):
    registry, ran, events = make_app()
    registry['cron_store'].pause(['*'], reason='not yet')
    assert [task.outcome for task in tick(registry, at(0)).tasks] == ['paused']
    assert ran == []
    assert [event.name for event in events] == ['*']


@pytest.mark.slow
def test_a_pause_of_one_task_outlasts_that_of_all(make_app):
    registry, ran, _ = make_app()
    others = names(registry, 'other')
    tick(registry, at(0))
    store = registry['cron_store']
    store.pause(['task'], reason='its own', requested_by='bob')
    store.pause(['*'], reason='of all', until=at(2))
    # that which ends last is shown
    assert {task.name: task.reason for task in tick(registry, at(1)).tasks} == {
        'task': 'paused by bob: its own',
        'other': 'paused with all tasks: of all',
    }
    tick(registry, at(2))
    assert (ran, others) == ([at(0)], ['other', 'other'])
    assert store.resume(['*']) == []
    assert list(store.paused()) == ['task']


@pytest.mark.slow
def test_the_end_of_a_pause_of_all_leaves_the_pause_of_a_task(make_app):
    registry, _, _ = make_app()
    tick(registry, at(0))
    store = registry['cron_store']
    store.pause(['*'], reason='of all')
    store.pause(['task'], reason='its own', until=at(5))
    assert [task.reason for task in tick(registry, at(1)).tasks] == ['paused with all tasks: of all']
    assert store.resume(['*'], requested_by='ada') == ['*']
    assert store.resume(['*']) == []
    assert [pause._replace(since=None) for pause in store.states()['task'].pauses_at(at(4))] == [
        # minutes until now were those of both
        Pause(store.states()['task'].pause_of_all.until, 'of all', None, True),
        Pause(at(5), 'its own', None),
    ]


@pytest.mark.slow
def test_a_pause_returns_what_it_replaces(make_app):
    registry, _, _ = make_app()
    tick(registry, at(0))
    store = registry['cron_store']
    assert store.pause(['task', '*'], reason='first', requested_by='ada') == {}
    assert store.pause(['*'], reason='second', until=at(1)) == {'*': Pause(None, 'first', 'ada', True)}
    # one that is over is not replaced
    assert store.pause(['*'], reason='third') == {}
    assert store.pause(['task'], reason='second') == {'task': Pause(None, 'first', 'ada')}


@pytest.mark.slow
def test_a_pause_of_all_concerns_one_application(make_app):
    registry, _, _ = make_app()
    other, ran, _ = make_app(**{'cron.app': 'other'})
    tick(registry, at(0))
    tick(other, at(0))
    registry['cron_store'].pause(['*'], reason='why')
    tick(other, at(1))
    assert ran == [at(0), at(1)]


@pytest.mark.slow
def test_who_paused_resumed_and_forgot_is_recorded(servers):
    server = servers.start().add().add('other')
    server.tick()
    until = now().replace(microsecond=0) + timedelta(days=1)
    server.store.pause(['task', '*'], reason='why', until=until, requested_by='ada')
    server.store.resume(['task', 'other'], requested_by='bob')
    server.store.forget('other', requested_by='eve')
    with servers.begin() as connection:
        found = Actions(connection).newest(9)
    shown = [(entry.task, entry.action, entry.requested_by, entry.reason, entry.until) for entry in found]
    assert shown[:2] == [('other', 'forgotten', 'eve', None, None), ('task', 'resumed', 'bob', None, None)]
    assert sorted(shown[2:]) == [(name, 'paused', 'ada', 'why', until) for name in ('*', 'task')]


@pytest.mark.slow
def test_a_pause_that_fails_leaves_no_entry(servers):
    server = servers.start().add()
    server.tick()
    with server.outage(of=audit, kind='insert'), pytest.raises(Unavailable):
        server.store.pause(['task'], reason='why')
    assert (servers.rows(stored), servers.rows(audit)) == ([], [])
