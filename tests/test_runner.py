import logging
import logging.config
import os
import sys
import threading
from asyncio import CancelledError
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import greenlet
import pytest
from pyramid.registry import Registry
from pyramid.testing import DummyRequest

from pyramid_cron import Task, runner
from pyramid_cron.claims import Claims, Turn, Unavailable
from pyramid_cron.isolation import OF_COMMANDS, OF_SERVERS
from pyramid_cron.schedules.clock import MINUTE
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
        self.clock = Clock()
        self.registry['cron_claims'] = Claims(self.clock)
        self.request = DummyRequest()
        self.request.registry = self.registry
        self.ran = []

    def add(self, name, body=lambda system: None, **options):
        def f(system):
            self.ran.append(name)
            return body(system)

        self.registry['cron_tasks'].add(name, Task(f, name=name, **options))

    def run(self, window=60, later=0, **options):
        instant = INSTANT + later * MINUTE
        return runner.run(self.request, instant, window=window, monotonic=self.clock, **options)

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
    return [(task.name, task.outcome) for task in report.tasks]


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


class Away(Claims):
    """Claims that cannot tell whose turn some tasks are."""

    def __init__(self, clock, when):
        super().__init__(clock)
        self.when = when

    def turns(self, tasks, instant, trigger):
        turns = super().turns(tasks, instant, trigger)
        if self.when == 'looking':
            raise Unavailable('the store is away', turns[:1]) from OSError('gone')
        if self.when == 'late':
            return [Turn(turn.task, turn.minute - 2 * MINUTE, attempt=3) for turn in turns]
        return turns

    def claim(self, turn):
        if self.when == 'claiming' and turn.task.name == 'second':
            raise Unavailable('the store is away') from OSError('gone')
        return super().claim(turn)


def test_what_does_not_depend_on_what_cannot_be_told_runs_and_the_report_says_why_the_rest_did_not(app, caplog):
    app.registry['cron_claims'] = Away(app.clock, 'looking')
    app.add('first')
    app.add('second')
    report = app.run()
    assert (statuses(report), report.problem, report.failed) == ([('first', 'ok')], 'the store is away', True)
    assert f'run for {INSTANT.astimezone()}: the store is away' in caplog.text
    assert 'OSError: gone' in caplog.text


def test_a_run_of_which_nothing_can_be_told_reports_why(app):
    app.registry['cron_claims'] = Away(app.clock, 'looking')
    report = app.run(zone=ZoneInfo('UTC'))
    assert (report.tasks, report.problem) == ((), 'the store is away')


def test_a_task_whose_turn_cannot_be_told_fails_and_the_next_one_runs(app, caplog):
    app.registry['cron_claims'] = Away(app.clock, 'claiming')
    for name in ('first', 'second', 'third'):
        app.add(name)
    report = app.run()
    assert statuses(report) == [('first', 'ok'), ('second', 'failed'), ('third', 'ok')]
    assert isinstance(report.tasks[1].exception, Unavailable)
    assert app.ran == ['first', 'third']
    assert 'task second does not run: the store is away' in caplog.messages


def test_a_task_that_runs_late_is_told_its_minute_and_the_log_which_and_how_often(app, caplog):
    caplog.set_level(logging.INFO, 'pyramid_cron')
    app.registry['cron_claims'] = Away(app.clock, 'late')
    told = []
    app.add('late', lambda system: told.append(system['scheduled_for']), timezone='UTC')
    app.run()
    assert told == [INSTANT - 2 * MINUTE]
    assert 'task late begins, for 2026-11-23 09:06:00+00:00, attempt 3' in caplog.messages


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
            {'name': 'good', 'outcome': 'ok', 'seconds': 0.25},
            {'name': 'bad', 'outcome': 'failed', 'seconds': 1.5, 'exception': 'LookupError'},
            {'name': 'late', 'outcome': 'skipped', 'seconds': 0.0, 'reason': 'no time left'},
        ],
    }


@pytest.mark.parametrize('exc', [SystemExit, CancelledError, GeneratorExit, KeyboardInterrupt])
def test_whatever_a_task_raises_in_a_thread_is_its_failure(app, exc, caplog):
    def end(system):
        raise exc

    app.add('ended', end)
    app.add('next')
    reports = []
    thread = threading.Thread(target=lambda: reports.append(app.run(exits=OF_SERVERS)))
    thread.start()
    thread.join()
    assert statuses(reports[0]) == [('ended', 'failed'), ('next', 'ok')]
    assert isinstance(reports[0].tasks[0].exception, exc)
    assert exc.__name__ in caplog.text


class Elusive(Exception):
    """Raises when a traceback of it is to be shown."""

    @property
    def __class__(self):
        raise LookupError('the class is not to be had')


def test_an_exception_that_cannot_be_shown_is_a_failure_like_any_other(app, caplog):
    def fail(system):
        raise Elusive

    app.add('elusive', fail)
    app.add('next')
    assert statuses(app.run()) == [('elusive', 'failed'), ('next', 'ok')]
    assert 'task elusive failed after 0.000 s: Elusive, which cannot be shown' in caplog.messages


def test_an_exit_is_a_failure_where_no_server_runs_in_the_main_thread(app):
    app.add('exiting', lambda system: sys.exit(0))
    app.add('next')
    assert statuses(app.run()) == [('exiting', 'failed'), ('next', 'ok')]


@pytest.mark.parametrize(
    ('ending', 'exits'), [(SystemExit, OF_SERVERS), (KeyboardInterrupt, OF_SERVERS), (KeyboardInterrupt, OF_COMMANDS)]
)
def test_what_ends_the_process_passes_through_and_leaves_nothing_claimed(app, ending, exits, caplog):
    def end(system):
        if len(app.ran) == 1:
            raise ending

    app.add('ended', end)
    app.add('next')
    app.add('last')
    with pytest.raises(ending):
        app.run(exits=exits)
    assert app.ran == ['ended']
    assert f'task ended: {ending.__name__} ends the run; not run: next, last' in caplog.text
    assert str(app.run()) == 'ok'
    assert app.ran == ['ended', 'ended', 'next', 'last']


def test_a_greenlet_exit_passes_through_in_any_thread(app, caplog):
    def end(system):
        raise greenlet.GreenletExit

    app.add('ended', end)
    raised = []

    def tick():
        try:
            app.run(exits=OF_SERVERS)
        except greenlet.GreenletExit as exc:
            raised.append(exc)

    thread = threading.Thread(target=tick)
    thread.start()
    thread.join()
    assert len(raised) == 1
    assert 'task ended: GreenletExit ends the run; not run: none' in caplog.text


def test_once_it_is_asked_to_stop_no_other_task_begins(app, caplog):
    for name in 'abc':
        app.add(name)
    report = runner.run(app.request, INSTANT, window=60, stop=lambda: app.ran == ['a'], monotonic=app.clock)
    assert statuses(report) == [('a', 'ok'), ('b', 'skipped'), ('c', 'skipped')]
    assert report.tasks[1].reason == 'stopping'
    assert 'task b is skipped: stopping' in caplog.messages


@pytest.fixture
def hanging(app):
    """A task that runs in a thread of its own until the test ends."""
    inside, leave = threading.Event(), threading.Event()

    def hang(system):
        inside.set()
        assert leave.wait(30)

    app.add('hanging', hang)
    first = threading.Thread(target=app.run)
    first.start()
    assert inside.wait(30)
    yield
    leave.set()
    first.join()


def test_a_task_that_is_still_running_is_skipped(app, hanging, caplog):
    app.add('other')
    report = app.run(later=1)
    assert statuses(report) == [('hanging', 'skipped'), ('other', 'ok')]
    assert report.tasks[0].reason == 'still running'
    assert ('pyramid_cron.runner', logging.WARNING, 'task hanging is skipped: still running') in caplog.record_tuples
    assert str(report) == 'ok'


@pytest.mark.parametrize(
    ('seconds', 'shown'), [(61, '61 s'), (12 * 60 + 40, '12 min'), (3 * 3600 + 12 * 60, '3 h 12 min')]
)
def test_a_task_that_runs_for_longer_than_the_window_is_stuck(app, hanging, caplog, seconds, shown):
    app.add('other')
    app.add('bad', fail)
    app.clock.now += seconds
    report = app.run(later=1)
    assert statuses(report) == [('hanging', 'stuck'), ('other', 'ok'), ('bad', 'failed')]
    assert str(report) == f'fail: 1 of 3 tasks failed: bad; 1 is stuck: hanging (running for {shown})'
    assert report.failed
    assert ('pyramid_cron.runner', logging.ERROR, f'task hanging is stuck: running for {shown}') in caplog.record_tuples
    assert report.as_dict()['tasks'][0] == {
        'name': 'hanging',
        'outcome': 'stuck',
        'seconds': 0.0,
        'reason': f'running for {shown}',
    }


def test_a_run_in_which_tasks_are_stuck_says_so(app, hanging):
    app.add('other')
    app.clock.now += 60.5
    report = app.run(later=1)
    assert str(report) == 'fail: 1 of 2 tasks is stuck: hanging (running for 60 s)'


def test_a_task_runs_once_for_a_minute(app, caplog):
    caplog.set_level(logging.INFO, 'pyramid_cron')
    app.add('first')
    app.run()
    app.add('second')
    report = app.run()
    assert statuses(report) == [('first', 'skipped'), ('second', 'ok')]
    assert report.tasks[0].reason == 'already run'
    assert str(report) == f'ok: 1 of 2 tasks already run for {INSTANT.astimezone():%H:%M}'
    assert not report.failed
    assert ('pyramid_cron.runner', logging.INFO, 'task first is skipped: already run') in caplog.record_tuples
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


def test_named_runs_are_for_no_minute(app):
    app.add('first')
    for _ in range(2):
        assert statuses(app.run(names=['first'])) == [('first', 'ok')]
    assert str(app.run()) == 'ok'


def test_a_task_that_requests_a_run_itself_is_skipped_in_it(app):
    inner = []
    app.add('outer', lambda system: inner.append(app.run(later=1)))
    assert statuses(app.run()) == [('outer', 'ok')]
    assert statuses(inner[0]) == [('outer', 'skipped')]


def test_a_task_that_configures_logging_silences_nobody(app, caplog):
    switched_off = logging.getLogger('pyramid_cron.transactions')
    switched_off.disabled = True
    configuration = {'version': 1, 'disable_existing_loggers': True, 'incremental': False}
    app.add('configuring', lambda system: logging.config.dictConfig(configuration))
    try:
        with caplog.at_level(logging.INFO, 'pyramid_cron'):
            app.run()
        assert switched_off.disabled
    finally:
        switched_off.disabled = False
        for logger in logging.root.manager.loggerDict.values():
            logger.disabled = False
    assert 'task configuring ended' in caplog.text


def test_a_task_that_disables_all_logging_silences_nobody(app, caplog):
    app.add('hushing', lambda system: logging.disable(logging.CRITICAL))
    try:
        with caplog.at_level(logging.INFO, 'pyramid_cron'):
            app.run()
    finally:
        logging.disable(logging.NOTSET)
    assert 'task hushing ended' in caplog.text


def test_a_task_that_forks_goes_on_in_its_own_process_only(app, tmp_path, caplog):
    children = []

    def fork(system):
        child = os.fork()
        if child:
            children.append(child)

    def write(system):
        (tmp_path / str(os.getpid())).touch()

    app.add('forking', fork)
    app.add('failing', lambda system: fork(system) or (children[1:] or fail(system)))
    app.add('exiting', lambda system: fork(system) or (children[2:] or sys.exit(3)))
    app.add('writing', write)
    process = os.getpid()
    report = app.run()
    # nobody but the process itself comes here
    assert os.getpid() == process
    assert report.names('ok') == ['forking', 'failing', 'exiting', 'writing']
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 1, 3]
    assert [path.name for path in tmp_path.iterdir()] == [str(process)]


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
