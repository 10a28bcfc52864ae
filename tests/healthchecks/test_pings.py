"""What is sent for each event: the table of docs/healthchecks.rst, and real ticks with a real server."""

from datetime import datetime, timezone

import pytest
from pyramid.config import Configurator

from pyramid_cron import Skip, Task
from pyramid_cron.events import TaskFinished, TaskLost, TaskStarted
from pyramid_cron.healthchecks.checks import Checks
from pyramid_cron.healthchecks.pings import Pings
from pyramid_cron.schedules.clock import MINUTE, current_minute
from pyramid_cron.settings import Settings
from pyramid_cron.store.errors import Locked
from pyramid_cron.testing import tick
from tests.support.http_service import running
from tests.test_docs import rows

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=timezone.utc)
AWAY = ConnectionError('the other side is down')


@pytest.fixture
def service():
    with running() as service:
        yield service


class Kept:
    """In place of a sender: keeps what would be sent."""

    def __init__(self):
        self.sent = []

    def send(self, make):
        self.sent.append(make())


@pytest.fixture
def pings():
    settings = Settings.parse({'cron.healthchecks_tasks': {'task': 'https://hc.example/uuid'}})
    registry = {'cron_settings': settings, 'cron_store': None}
    return Pings(registry, Checks(settings), Kept())


def finished(outcome, exception=None, reason=None, name='task', **more):
    seconds = 3.2 if outcome in ('ok', 'failed') else 0.0
    task = Task(print, name=name)
    return TaskFinished(None, task, NOON, outcome, seconds, exception, reason, key='app:task@minute', **more)


def lost(**more):
    return TaskLost('task', NOON, 'web1', 4711, **({'will_retry': False, 'is_fault': True} | more), key='key')


EVENTS = {
    'The task returns': [finished('ok')],
    'The task fails': [finished('failed', AWAY, is_fault=True)],
    'The task fails and is tried again': [finished('failed', AWAY, will_retry=True)],
    'The task fails, which is tolerated or acknowledged': [finished('failed', AWAY)],
    'The process of the run dies (``lost``)': [lost()],
    'The task is stopped by a person': [finished('stopped', reason='by ada')],
    'The task is stopped and goes on at the next tick': [finished('stopped', reason='by SIGTERM', will_retry=True)],
    'The task raises ``Skip``': [finished('skipped', reason='no new file', raised_skip=True)],
    'The task is paused': [finished('paused', reason='the bank is down')],
    'The task is stuck': [finished('stuck', reason='running for 41 min 12 s', is_fault=True)],
    'The row of the task is locked': [finished('locked', reason=str(Locked()), is_fault=True)],
    'The task is skipped: it has run already, is still running, or no time is left': [
        finished('skipped', reason='already run'),
        finished('skipped', reason='no time left'),
    ],
    'The task is enqueued': [finished('queued')],
    'The task is missed': [finished('missed'), finished('lost', is_fault=True)],
}
SIGNALS = {'success': '', '``/fail``': '/fail', '``/log``': '/log', '``/start``': '/start'}
TABLE = [row for row in rows('healthchecks', 'One check for each task') if row[0] != 'The task begins']


def test_the_table_has_each_event():
    assert [what for what, _ in TABLE] == list(EVENTS)


@pytest.mark.parametrize(('what', 'shown'), TABLE)
def test_each_event_sends_the_ping_of_the_table(pings, what, shown):
    for event in EVENTS[what]:
        (pings.lost if isinstance(event, TaskLost) else pings.finished)(event)
    if shown.startswith('none'):
        assert pings.sender.sent == []
        return
    [(url, body)] = pings.sender.sent
    signal, _, text = shown.partition(': ')
    assert url.partition('?')[0] == f'https://hc.example/uuid{SIGNALS[next(s for s in SIGNALS if shown.startswith(s))]}'
    assert f'``{body}``' in text
    assert signal


def test_a_lost_run_that_is_no_alarm_is_none_here(pings):
    pings.lost(lost(will_retry=True))
    pings.lost(lost(is_fault=False))
    pings.lost(TaskLost('task', None, None, None, False, True))
    assert [(url.partition('?')[0], body) for url, body in pings.sender.sent] == [
        ('https://hc.example/uuid/log', 'lost: process 4711 on web1 is dead and will be tried again'),
        ('https://hc.example/uuid', 'lost: process 4711 on web1 is dead, which is no alarm'),
        ('https://hc.example/uuid/fail', 'lost: its process is dead'),
    ]


def test_a_failure_without_an_exception_has_its_reason(pings):
    pings.finished(finished('failed', reason='not enqueued here', is_fault=True))
    assert pings.sender.sent[0].body == 'failed after 3.2 s: not enqueued here'


def test_a_failure_without_a_message_has_its_class(pings):
    pings.finished(finished('failed', LookupError(), is_fault=True))
    assert pings.sender.sent[0].body == 'failed after 3.2 s: LookupError'


def test_begin_and_end_have_the_same_id(pings):
    pings.started(TaskStarted(None, Task(print, name='task'), NOON, key='app:task@minute'))
    pings.finished(finished('ok'))
    start, end = (url.partition('?')[2] for url, _ in pings.sender.sent)
    assert start == end
    assert start.startswith('rid=')


def test_a_task_without_a_check_sends_nothing(pings):
    pings.started(TaskStarted(None, Task(print, name='other'), NOON))
    pings.finished(finished('ok', name='other'))
    assert pings.sender.sent == []


def test_a_text_is_scrubbed(pings):
    pings._registry['cron_settings'] = Settings.parse({'cron.scrub': lambda text: text.replace('down', '***')})
    pings.finished(finished('failed', AWAY, is_fault=True))
    assert pings.sender.sent[0].body == 'failed after 3.2 s: ConnectionError: the other side is ***'


def fail(system):
    raise AWAY


def skip(system):
    raise Skip('no new file')


def application(service, *tasks, **settings):
    config = Configurator(settings={'cron.healthchecks': f'{service.url}/all', **settings})
    config.include('pyramid_cron')
    config.include('pyramid_cron.healthchecks')
    for number, f in enumerate(tasks):
        config.add_cron_task(f, name=f'task {number}', min=0)
    config.make_wsgi_app()
    return config.registry


def flush(registry):
    registry['cron_healthchecks'].sender.flush()


def test_each_tick_pings_the_check_of_the_whole(service):
    registry = application(service, fail)
    for minute in (59, 0):
        tick(registry, NOON.replace(minute=minute))
    tick(registry, NOON, ['task 0'])
    flush(registry)
    assert service.received == [('/all', 'ok'), ('/all/fail', 'fail: 1 of 1 tasks failed: task 0')]


def test_a_tick_pings_its_tasks(service):
    lines = {'*': f'{service.url}/{{slug}}'}
    registry = application(service, print, fail, skip, **{'cron.healthchecks_tasks': lines})
    tick(registry, NOON)
    flush(registry)
    paths = [path.partition('?')[0] for path in service.paths]
    assert paths == [
        '/task-0/start',
        '/task-0',
        '/task-1/start',
        '/task-1/fail',
        '/task-2/start',
        '/task-2',
        '/all/fail',
    ]
    assert service.received[5][1] == 'skipped: no new file'


@pytest.mark.slow
def test_a_tick_does_not_wait_for_a_host_that_hangs(service):
    service.released.clear()
    registry = application(service, print, **{'cron.healthchecks_timeout': '600'})
    assert str(tick(registry, NOON)) == 'ok'
    # it is not answered yet
    service.called.wait(600)
    assert len(service.received) == 1
    assert not service.released.is_set()


def test_with_a_store_the_whole_is_red_until_all_is_well(servers, service):
    def include(config):
        config.include('pyramid_cron')
        config.include('pyramid_cron.healthchecks')

    fails = iter([True, False])

    def body(system):
        if next(fails):
            raise AWAY

    server = servers.start(include=include, **{'healthchecks': f'{service.url}/all'})
    server.add(body=body, min='*')
    server.ready()
    now = current_minute()
    # the second tick finds nothing that is due
    for minute in (now - MINUTE, now - MINUTE, now):
        tick(server.registry, minute)
        flush(server.registry)
    assert service.paths == ['/all/fail', '/all/fail', '/all']
    assert 'failed: task' in service.received[1][1]
    assert service.received[2][1].startswith('ok, last tick ')
