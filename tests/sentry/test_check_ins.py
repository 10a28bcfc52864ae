"""The check-ins of runs: the table of docs/sentry.rst, and the envelopes of real ticks."""

import logging
from datetime import datetime, timezone
from types import SimpleNamespace

import pytest
from pyramid.config import Configurator
from sqlalchemy import update

from pyramid_cron import Skip, perform
from pyramid_cron.events import TaskFinished
from pyramid_cron.sentry.check_ins import NOT_INITIALIZED, status_of
from pyramid_cron.store.schema import processes, tasks
from pyramid_cron.testing import tick
from tests.support.sentry import application, initialized
from tests.support.servers import INSTANT
from tests.test_docs import rows

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=timezone.utc)


@pytest.fixture
def sentry():
    with initialized() as sentry:
        yield sentry


def finished(outcome, **more):
    return TaskFinished(None, SimpleNamespace(name='task'), NOON, outcome, 1.0, None, **more)


ENDS = {
    'The task returns': [finished('ok')],
    'The task fails, or cannot begin or be enqueued': [finished('failed', is_fault=True), finished('failed')],
    'The task fails and is tried again': [finished('failed', will_retry=True)],
    'The task is stopped by a person, or raises ``Skip``': [
        finished('stopped'),
        finished('skipped', raised_skip=True),
    ],
    'The task is stopped and goes on at the next tick': [finished('stopped', will_retry=True)],
    'The task is paused': [finished('paused')],
    'The task is skipped: it has run already, is still running, or no time is left': [finished('skipped')],
    'The task is enqueued': [finished('queued')],
    'The task is missed': [finished('missed'), finished('lost', is_fault=True)],
    'The task is stuck, or its row is locked': [finished('stuck', is_fault=True), finished('locked', is_fault=True)],
}
BY_TICKS = ['The task begins', 'The process of the run dies (``lost``)']
TABLE = rows('sentry', 'What is sent')


def test_the_table_has_each_event():
    assert sorted(what for what, _ in TABLE) == sorted([*ENDS, *BY_TICKS])


@pytest.mark.parametrize(('what', 'shown'), [row for row in TABLE if row[0] not in BY_TICKS])
def test_each_end_has_the_status_of_the_table(what, shown):
    for event in ENDS[what]:
        status = status_of(event)
        assert shown.startswith('none' if status is None else f'``{status}``')


def fail(system):
    raise LookupError('bad')


def skip(system):
    raise Skip


def test_begin_and_end_are_one_check_in(sentry):
    tick(application(print, fail, skip).registry, NOON)
    assert sentry.statuses == [
        ('task-0', 'in_progress'),
        ('task-0', 'ok'),
        ('task-1', 'in_progress'),
        ('task-1', 'error'),
        ('task-2', 'in_progress'),
        ('task-2', 'ok'),
    ]
    begin, end, *others = sentry.check_ins
    assert begin['check_in_id'] == end['check_in_id']
    assert begin['check_in_id'] not in [item['check_in_id'] for item in others]
    assert begin['monitor_config']['schedule'] == {'type': 'crontab', 'value': '0 * * * *'}
    assert begin['monitor_config']['timezone'] == 'UTC'
    assert end['duration'] >= 0
    assert 'monitor_config' not in end


def test_without_a_store_each_server_has_a_check_in_of_its_own(sentry):
    for _ in range(2):
        tick(application(print).registry, NOON)
    ids = [item['check_in_id'] for item in sentry.check_ins]
    assert (ids[0], ids[2]) == (ids[1], ids[3])
    assert ids[0] != ids[2]


def test_a_task_without_a_monitor_sends_nothing(sentry):
    tick(application(print, fail, **{'cron.sentry_monitors': '* = off'}).registry, NOON)
    assert sentry.check_ins == []


@pytest.fixture
def start(servers):
    """Return a function that starts a server with Sentry."""

    def include(config):
        config.include('pyramid_cron')
        config.include('pyramid_cron.sentry')

    return lambda **settings: servers.start(include=include, **settings)


@pytest.mark.slow
def test_attempts_on_two_servers_are_one_check_in(start, sentry):
    one, other = (start().add(body=fail, retries=1) for _ in range(2))
    one.tick(0)
    other.tick(1)
    assert [status for _, status in sentry.statuses] == ['in_progress', 'in_progress', 'error']
    assert len({item['check_in_id'] for item in sentry.check_ins}) == 1
    one.tick(5)
    assert len({item['check_in_id'] for item in sentry.check_ins}) == 2


def test_another_server_ends_the_check_in_of_a_lost_run(start, servers, sentry):
    other = start().add()
    seen = []

    def vanish(system):
        # as far as the other server sees
        servers.execute(update(processes).values(host='elsewhere', boot_and_pidns='another boot', lease_until=0.0))
        other.tick(1)
        seen.extend(sentry.check_ins)

    start().add(body=vanish).tick(0)
    begin, lost = seen
    assert (begin['status'], lost['status']) == ('in_progress', 'error')
    assert begin['check_in_id'] == lost['check_in_id']


def test_a_lost_run_that_runs_once_more_goes_on(start, servers, sentry):
    server = start().add()
    server.tick(0)
    servers.hold(lease_until=0.0)
    servers.change(transactional=True)
    server.tick(1)
    assert [status for _, status in sentry.statuses] == ['in_progress', 'ok', 'in_progress', 'ok']


def test_a_task_that_is_off_in_sentry_is_not_reported_as_lost(start, servers, sentry):
    server = start(sentry_monitors='* = off').add()
    server.tick(0)
    servers.hold(lease_until=0.0)
    server.tick(1)
    assert sentry.check_ins == []


def test_a_worker_sends_the_check_ins_of_its_run(sentry, tmp_path):
    keys = []
    config = Configurator(settings={'cron.store': f'sqlite:///{tmp_path}/cron.sqlite', 'cron.app': 'shop'})
    config.include('pyramid_cron')
    config.include('pyramid_cron.sentry')
    config.add_cron_task(
        fail, name='task', min='*', timezone='UTC', via=lambda handover: keys.append(handover.key), catch_up=3600
    )
    app = config.make_wsgi_app()
    now = datetime.now(timezone.utc).replace(second=0, microsecond=0)
    tick(app, now)
    assert sentry.check_ins == []
    perform(app, keys[0])
    assert [status for _, status in sentry.statuses] == ['in_progress', 'error']
    app.registry['cron_store'].database.engine.dispose()


def test_without_a_store_a_worker_sends_them_too(sentry):
    keys = []
    config = Configurator(settings={'cron.app': 'shop'})
    config.include('pyramid_cron')
    config.include('pyramid_cron.sentry')
    config.add_cron_task(print, name='task', min='*', timezone='UTC', via=lambda handover: keys.append(handover.key))
    app = config.make_wsgi_app()
    tick(app, datetime.now(timezone.utc))
    perform(app, keys[0])
    begin, end = sentry.check_ins
    assert begin['check_in_id'] == end['check_in_id']


def test_an_engine_that_takes_nothing_is_an_error(sentry):
    def refuse(handover):
        raise ConnectionError('the broker is away')

    config = Configurator(settings={'cron.app': 'shop'})
    config.include('pyramid_cron')
    config.include('pyramid_cron.sentry')
    config.add_cron_task(print, name='task', min=0, timezone='UTC', via=refuse)
    tick(config.make_wsgi_app().registry, NOON)
    assert sentry.statuses == [('task', 'error')]
    # the first that Sentry hears of it
    assert 'monitor_config' in sentry.check_ins[0]
    assert len(sentry.events) == 1


@pytest.mark.slow
def test_ids_differ_between_environments(tmp_path):
    ids = []
    for environment in ('staging', 'production', 'production'):
        path = tmp_path / f'{len(ids)}.sqlite'
        with initialized(environment=environment) as sentry:
            registry = application(print, **{'cron.store': f'sqlite:///{path}', 'cron.app': 'shop'}).registry
            tick(registry, INSTANT)
            registry['cron_store'].database.engine.dispose()
            ids.append(sentry.check_ins[0]['check_in_id'])
            assert sentry.check_ins[0]['environment'] == environment
    assert ids[0] != ids[1] == ids[2]


@pytest.mark.slow
def test_what_two_servers_cannot_begin_is_one_check_in(start, sentry):
    one, other = (start().add() for _ in range(2))
    one.tick(-5)
    sentry.items.clear()
    for server in (one, other):
        with server.outage(of=tasks, kind='update', sets='run_id'):
            server.tick(0)
    assert [status for _, status in sentry.statuses] == ['error', 'error']
    assert len({item['check_in_id'] for item in sentry.check_ins}) == 1


def test_a_backfill_has_a_check_in_of_its_own(start, servers, sentry):
    one, other = start(), start().add()
    bodies = [lambda system: None]

    def vanish(system):
        # as far as the other server sees
        servers.execute(update(processes).values(host='elsewhere', boot_and_pidns='another boot', lease_until=0.0))
        other.tick(1)

    one.add(body=lambda system: bodies[-1](system)).tick(0)
    one.backfill(0, again=True)
    bodies.append(vanish)
    one.backfill(0, again=True)
    ids = [item['check_in_id'] for item in sentry.check_ins]
    assert sentry.statuses[:4] == 2 * [('task', 'in_progress'), ('task', 'ok')]
    assert sentry.statuses[4:6] == [('task', 'in_progress'), ('task', 'error')]
    assert ids[0] == ids[1] != ids[2] == ids[3] != ids[4] == ids[5]
    assert len({*ids}) == 3


def test_an_error_of_the_sdk_is_logged_once(sentry, caplog):
    caplog.set_level(logging.DEBUG, 'pyramid_cron.sentry')
    app = application(print, fail)
    sentry.error = OSError('no room left')
    report = tick(app.registry, NOON)
    assert [task.outcome for task in report.tasks] == ['ok', 'failed']
    found = [record for record in caplog.records if record.name.startswith('pyramid_cron.sentry')]
    assert [record.levelname for record in found][:2] == ['WARNING', 'DEBUG']
    assert {record.getMessage() for record in found} == {'a check-in could not be sent to Sentry'}
    assert [record.levelname for record in found].count('WARNING') == 1
    sentry.error = None
    tick(app.registry, NOON.replace(hour=13))
    assert len(sentry.check_ins) == 4


def test_an_sdk_that_is_not_initialized_is_logged_once(caplog):
    tick(application(print, print).registry, NOON)
    assert caplog.messages.count(NOT_INITIALIZED) == 1
