import logging
import threading
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest
from pyramid.registry import Registry
from pyramid.testing import DummyRequest

from pyramid_cron import Task, runner
from pyramid_cron.tasks import Tasks

INSTANT = datetime(2026, 11, 23, 9, 8, tzinfo=timezone.utc)


class Clock:
    """A monotonic clock that stands still until it is told to go on."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Application:
    """A registry of tasks, and a record of which ran."""

    def __init__(self):
        self.registry = Registry('test')
        self.registry['cron_tasks'] = Tasks()
        self.request = DummyRequest()
        self.request.registry = self.registry
        self.clock = Clock()
        self.ran = []

    def add(self, name, body=lambda system: None, **options):
        def f(system):
            self.ran.append(name)
            return body(system)

        self.registry['cron_tasks'].add(name, Task(f, name=name, **options))

    def run(self, window=60):
        return runner.run(self.request, INSTANT, window=window, monotonic=self.clock)

    def spend(self, seconds):
        def body(system):
            self.clock.now += seconds

        return body


@pytest.fixture
def app():
    return Application()


def fail(system):
    raise LookupError('the message stays in the log')


def statuses(report):
    return [(task.name, task.status) for task in report.tasks]


def test_only_what_is_due_runs(app):
    app.add('due', min=8)
    app.add('not due', min=9)
    assert statuses(app.run()) == [('due', 'ok')]
    assert app.ran == ['due']


def test_tasks_of_several_time_zones_are_each_told_the_minute_in_theirs(app):
    told = []
    for name, zone in (('a', 'Asia/Tokyo'), ('b', 'America/New_York'), ('c', 'Asia/Tokyo')):
        app.add(name, lambda system: told.append(str(system['scheduled_for'].tzinfo)), timezone=zone)
    app.run()
    assert told == ['Asia/Tokyo', 'America/New_York', 'Asia/Tokyo']


def test_normal_tasks_run_in_order_and_idle_ones_after_them(app):
    app.add('idle 1', idle=True)
    app.add('normal 1')
    app.add('idle 2', idle=True)
    app.add('normal 2')
    app.run()
    assert app.ran == ['normal 1', 'normal 2', 'idle 1', 'idle 2']


def test_each_task_gets_a_fresh_system(app):
    seen = []

    def spoil(system):
        seen.append(dict(system))
        system.clear()

    app.add('first', spoil)
    app.add('second', spoil)
    app.run()
    for system in seen:
        assert set(system) == {'request', 'registry', 'time_left', 'scheduled_for'}
        assert system['request'] is app.request
        assert system['registry'] is app.registry


def test_time_left_counts_down_from_the_window(app):
    left = []

    def look(system):
        left.append(system['time_left']())
        app.clock.now += 25

    for name in 'abcd':
        app.add(name, look)
    app.run(window=60)
    assert left == [60.0, 35.0, 10.0, -15.0]


def test_idle_tasks_run_only_while_time_is_left(app):
    app.add('normal', app.spend(59))
    app.add('idle', app.spend(1), idle=True)
    app.add('too late', idle=True)
    report = app.run(window=60)
    assert statuses(report) == [('normal', 'ok'), ('idle', 'ok'), ('too late', 'skipped')]
    assert report.tasks[-1].reason == 'no time left'
    assert app.ran == ['normal', 'idle']


def test_normal_tasks_run_even_when_no_time_is_left(app):
    app.add('slow', app.spend(100))
    app.add('next')
    app.run(window=60)
    assert app.ran == ['slow', 'next']


def test_a_failing_task_does_not_stop_the_next(app):
    app.add('first', fail)
    app.add('second', app.spend(2))
    app.add('third', fail, idle=True)
    report = app.run()
    assert app.ran == ['first', 'second', 'third']
    assert statuses(report) == [('first', 'failed'), ('second', 'ok'), ('third', 'failed')]
    assert isinstance(report.tasks[0].exception, LookupError)
    assert str(report) == 'fail: 2 of 3 tasks failed: first, third'


def test_a_run_without_failures_is_ok(app):
    assert str(app.run()) == 'ok'
    app.add('task')
    assert str(app.run()) == 'ok'


def test_the_report_tells_seconds_and_minute_but_no_messages(app):
    def slow_failure(system):
        app.clock.now += 1.5
        fail(system)

    app.add('good', app.spend(0.25))
    app.add('bad', slow_failure)
    app.add('late', idle=True)
    assert app.run(window=1).as_dict() == {
        'minute': INSTANT.astimezone().isoformat(),
        'seconds': 1.75,
        'tasks': [
            {'name': 'good', 'status': 'ok', 'seconds': 0.25},
            {'name': 'bad', 'status': 'failed', 'seconds': 1.5, 'exception': 'LookupError'},
            {'name': 'late', 'status': 'skipped', 'seconds': 0.0, 'reason': 'no time left'},
        ],
    }


@pytest.mark.parametrize('ending', [SystemExit, KeyboardInterrupt])
def test_what_is_no_error_passes_through_and_leaves_nothing_locked(app, ending, caplog):
    def end(system):
        if len(app.ran) == 1:
            raise ending

    app.add('ended', end)
    app.add('next')
    with pytest.raises(ending):
        app.run()
    assert app.ran == ['ended']
    assert f'task ended raised {ending.__name__}, which ends the run; not run: next' in caplog.text
    assert str(app.run()) == 'ok'
    assert app.ran == ['ended', 'ended', 'next']


def test_a_task_that_is_still_running_is_skipped(app, caplog):
    inside, leave = threading.Event(), threading.Event()

    def hang(system):
        inside.set()
        assert leave.wait(30)

    app.add('hanging', hang)
    app.add('other')
    first = threading.Thread(target=app.run)
    first.start()
    try:
        assert inside.wait(30)
        report = app.run()
    finally:
        leave.set()
        first.join()
    assert statuses(report) == [('hanging', 'skipped'), ('other', 'ok')]
    assert report.tasks[0].reason == 'still running'
    assert ('pyramid_cron.runner', logging.WARNING, 'task hanging is skipped: still running') in caplog.record_tuples
    assert statuses(app.run()) == [('hanging', 'ok'), ('other', 'ok')]


def test_a_task_that_requests_a_run_itself_is_skipped_in_it(app):
    inner = []
    app.add('outer', lambda system: inner.append(app.run()))
    assert statuses(app.run()) == [('outer', 'ok')]
    assert statuses(inner[0]) == [('outer', 'skipped')]


async def coroutine(): ...


async def asynchronous_generator():
    yield


class Awaitable:
    def __await__(self):
        yield


def test_a_task_that_returns_something_unstarted_has_failed(app):
    app.add('coroutine', lambda system: coroutine())
    app.add('generator', lambda system: (n for n in ()))
    app.add('asynchronous generator', lambda system: asynchronous_generator())
    app.add('awaitable', lambda system: Awaitable())
    app.add('value', lambda system: 5)
    report = app.run()
    assert report.names('failed') == ['coroutine', 'generator', 'asynchronous generator', 'awaitable']
    assert report.names('ok') == ['value']
    assert 'asyncio.run' in str(report.tasks[0].exception)


def test_a_run_and_its_tasks_are_logged(app, caplog):
    caplog.set_level(logging.INFO, 'pyramid_cron')
    app.add('slow', app.spend(61))
    app.add('bad', fail)
    app.add('late', idle=True)
    app.run(window=60)
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ('INFO', f'run for {INSTANT.astimezone()} begins, tasks due: 3'),
        ('INFO', 'task slow begins'),
        ('INFO', 'task slow ended in 61.000 s'),
        ('INFO', 'task bad begins'),
        ('ERROR', 'task bad failed after 0.000 s'),
        ('WARNING', 'task late is skipped: no time left'),
        ('INFO', f'run for {INSTANT.astimezone()} ended in 61.000 s: 1 ok, 1 failed, 1 skipped'),
        (
            'WARNING',
            f'run for {INSTANT.astimezone()} took 61.000 s, longer than its window of 60 s: '
            'the next one may have begun beside it',
        ),
    ]
    assert 'LookupError: the message stays in the log' in caplog.text


def test_a_run_with_nothing_due_is_logged_for_those_who_look_closely(app, caplog):
    caplog.set_level(logging.INFO, 'pyramid_cron')
    app.run()
    assert caplog.records == []
    caplog.set_level(logging.DEBUG, 'pyramid_cron')
    app.run()
    assert [record.levelname for record in caplog.records] == ['DEBUG']


def test_a_run_that_the_clocks_skipped_is_logged_with_the_minute_it_was_meant_for(app, caplog):
    caplog.set_level(logging.INFO, 'pyramid_cron')
    seen = []
    app.add('nightly', lambda system: seen.append(system['scheduled_for']), cron='30 2 * * *', timezone='Europe/Berlin')
    report = runner.run(
        app.request,
        datetime(2026, 3, 29, 1, tzinfo=timezone.utc),
        window=60,
        zone=ZoneInfo('Europe/Berlin'),
        monotonic=app.clock,
    )
    assert seen == [datetime(2026, 3, 29, 3, tzinfo=ZoneInfo('Europe/Berlin'))]
    assert report.as_dict()['minute'] == '2026-03-29T03:00:00+02:00'
    assert 'task nightly begins, meant for 2026-03-29 02:30, which the clocks skipped' in caplog.messages


def test_each_task_is_told_the_minute_in_its_own_time_zone(app):
    seen = []
    app.add('tokyo', lambda system: seen.append(system['scheduled_for']), timezone='Asia/Tokyo')
    app.run()
    assert [minute.isoformat() for minute in seen] == ['2026-11-23T18:08:00+09:00']
