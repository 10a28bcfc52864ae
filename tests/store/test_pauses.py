import logging
from datetime import datetime, timedelta, timezone

import pytest
from pyramid.config import Configurator
from sqlalchemy import text

from pyramid_cron.claims import Claims, Pause, Unavailable
from pyramid_cron.events import ITaskMissed, ITaskPaused, ITaskResumed
from pyramid_cron.schedules.clock import MINUTE, now
from pyramid_cron.testing import tick

# some minutes ago, because the store believes no minute of the future
START = now().replace(second=0, microsecond=0) - timedelta(hours=2)


@pytest.fixture
def make_app(tmp_path):
    """Return a function that makes an application with a task for every minute, and the list of what it ran for."""

    def make(url=f'sqlite:///{tmp_path}/store.sqlite', **settings):
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
        registry['cron_claims'].database.engine.dispose()


def history(registry):
    with registry['cron_claims'].database.begin() as connection:
        query = text('SELECT scheduled_for, outcome, reason FROM cron_runs ORDER BY scheduled_for')
        return [(str(row[0])[11:16], row[1], row[2]) for row in connection.execute(query)]


def at(minutes):
    return START + minutes * MINUTE


def shown(minutes):
    return f'{at(minutes):%H:%M}'


def test_a_paused_task_does_not_run_and_its_minutes_are_recorded_once(make_app, caplog):
    caplog.set_level(logging.INFO, 'pyramid_cron')
    registry, ran, _ = make_app()
    claims = registry['cron_claims']
    tick(registry, at(0))
    claims.pause(['task'], reason='the disk is full', until=at(3), requested_by='ada')
    report = tick(registry, at(1))
    assert [(task.outcome, task.reason) for task in report.tasks] == [('skipped', 'paused by ada: the disk is full')]
    assert str(report) == 'ok'
    tick(registry, at(1))
    tick(registry, at(2))
    # it ends by itself, and what it was due at until then is not caught up
    tick(registry, at(3))
    assert ran == [at(0), at(3)]
    assert history(registry) == [
        (shown(0), 'ok', None),
        (shown(1), 'paused', 'paused by ada: the disk is full'),
        (shown(2), 'paused', 'paused by ada: the disk is full'),
        (shown(3), 'ok', None),
    ]


def test_what_was_paused_without_a_tick_is_not_caught_up_and_not_missed(make_app):
    registry, ran, events = make_app()
    tick(registry, at(0))
    registry['cron_claims'].pause(['task'], reason='maintenance', until=at(3))
    tick(registry, at(4))
    assert ran == [at(0), at(4)]
    assert [row[1] for row in history(registry)] == ['ok', 'paused', 'paused', 'missed', 'ok']
    assert [getattr(event, 'minutes', None) for event in events] == [None, (at(3),)]


def test_a_failed_run_is_not_tried_again_while_its_task_is_paused(make_app):
    registry, _, _ = make_app()
    tries = []

    def fail(system):
        tries.append(system['scheduled_for'])
        raise LookupError

    config = Configurator(registry=registry, autocommit=True)
    config.add_cron_task(fail, cron=f'{START.minute} * * * *', name='failing', retries=5)
    tick(registry, at(0))
    registry['cron_claims'].pause(['failing'], reason='it fails', until=at(2))
    for minutes in (1, 2):
        tick(registry, at(minutes))
    assert tries == [at(0), at(0)]


def test_a_pause_lasts_until_it_is_ended_and_both_are_told(make_app, caplog):
    registry, ran, events = make_app()
    claims = registry['cron_claims']
    tick(registry, at(0))
    claims.pause(['task'], reason='why', requested_by='ada')
    claims.pause(['task'], reason='better known now')
    assert claims.paused() == {'task': Pause(None, 'better known now', None)}
    assert claims.resume(['task', 'another'], requested_by='bob') == ['task']
    assert claims.resume(['task']) == []
    assert claims.paused() == {}
    # the minutes until then stay passed over, and the next one is not
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


def test_only_what_the_store_knows_can_be_paused(make_app):
    registry, _, _ = make_app()
    with pytest.raises(LookupError, match=r"no task 'task': it knows a task from the first tick on"):
        registry['cron_claims'].pause(['task'], reason='why')


def test_a_paused_task_runs_when_somebody_asks_for_it(make_app):
    registry, ran, _ = make_app()
    tick(registry, at(0))
    registry['cron_claims'].pause(['task'], reason='why')
    assert str(tick(registry, at(1), names=['task'])) == 'ok'
    assert len(ran) == 2


def test_another_application_is_another_matter(make_app):
    registry, _, _ = make_app()
    other, ran, _ = make_app(**{'cron.app': 'other'})
    for one in (registry, other):
        tick(one, at(0))
    registry['cron_claims'].pause(['task'], reason='why')
    assert other['cron_claims'].paused() == {}
    tick(other, at(1))
    assert ran == [at(0), at(1)]


def test_without_a_database_nothing_can_be_changed(make_app, tmp_path):
    registry, _, _ = make_app(url=f'sqlite:///{tmp_path}/no/folder/store.sqlite')
    assert registry['cron_claims'].paused() == {}
    with pytest.raises(Unavailable, match='the store cannot be asked'):
        registry['cron_claims'].resume(['task'])


def test_without_a_store_nothing_can_be_paused():
    claims = Claims()
    assert claims.paused() == {}
    for change in (lambda: claims.pause(['task'], reason='why'), lambda: claims.resume(['task'])):
        with pytest.raises(Unavailable, match=r'set cron\.store'):
            change()


def test_pauses_in_the_year_9999_are_for_ever_on_postgresql_too(make_app, postgresql):
    registry, _, _ = make_app(url=postgresql)
    tick(registry, at(0))
    registry['cron_claims'].pause(['task'], reason='why', requested_by='ada')
    assert registry['cron_claims'].paused() == {'task': Pause(None, 'why', 'ada')}
    assert tick(registry, datetime.now(timezone.utc)).tasks[0].reason == 'paused by ada: why'
