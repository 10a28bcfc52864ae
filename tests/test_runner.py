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
from pyramid_cron.claims import Claimed, Found
from pyramid_cron.errors import EngineNotAnswering, Unavailable
from pyramid_cron.events import ITaskFinished, ITaskStarted
from pyramid_cron.isolation import OF_COMMANDS, OF_SERVERS
from pyramid_cron.memory_claims import MemoryClaims, MemoryRun
from pyramid_cron.not_claimed import NotClaimed
from pyramid_cron.orders import Order
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.settings import Settings
from pyramid_cron.tasks import Tasks

INSTANT = datetime(2026, 11, 23, 9, 8, tzinfo=timezone.utc)


class Clock:
    """A monotonic clock that stands still unless a test moves it."""

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
        self.registry['cron_claims'] = MemoryClaims(self.clock)
        self.request = DummyRequest()
        self.request.registry = self.registry
        self.ran = []

    def add(self, name, body=lambda system: None, **options):
        def f(system):
            self.ran.append(name)
            return body(system)

        self.registry['cron_tasks'].add(name, Task(f, name=name, **options))

    def run(self, window=60, later=0, instant=INSTANT, zone=None, **options):
        settings = {'cron.window': str(window), **({} if zone is None else {'cron.timezone': zone.key})}
        self.registry['cron_settings'] = Settings.parse(settings)
        order = Order(self.registry, instant + later * MINUTE, monotonic=self.clock, **options)
        return runner.run(self.request, order)

    def spend(self, seconds):
        def body(system):
            self.clock.now += seconds

        return body


@pytest.fixture
def app():
    return Application()


def fail(system):
    raise LookupError('the message stays in the log')


def outcomes(report):
    return [(task.name, task.outcome) for task in report.tasks]


def test_only_due_tasks_run(app):
    app.add('due', min=8)
    app.add('not due', min=9)
    assert outcomes(app.run()) == [('due', 'ok')]
    assert app.ran == ['due']


def test_each_task_gets_minutes_in_its_time_zone(app):
    seen = []
    for name, zone in (('a', 'Asia/Tokyo'), ('b', 'America/New_York'), ('c', 'Asia/Tokyo')):
        app.add(name, lambda system: seen.append(str(system['scheduled_for'].tzinfo)), timezone=zone)
    app.run()
    assert seen == ['Asia/Tokyo', 'America/New_York', 'Asia/Tokyo']


def test_normal_tasks_run_in_order_and_idle_ones_after_them(app):
    app.add('idle 1', idle=True)
    app.add('normal 1')
    app.add('idle 2', idle=True)
    app.add('normal 2')
    app.run()
    assert app.ran == ['normal 1', 'normal 2', 'idle 1', 'idle 2']


class LateRun(MemoryRun):
    """A run for a minute that is over, in its third attempt."""

    attempt = 3


class UnclaimableRun(MemoryRun):
    """A run whose claim fails, because the store is away."""

    def claim(self):
        raise Unavailable('the store is away') from OSError('gone')


class FailingRun(MemoryRun):
    """A run whose claim or release raises something."""

    def claim(self):
        self._claims.fail('claim')
        return super().claim()

    def release(self, report, is_last=False):
        self._claims.fail('release')
        return super().release(report)


class Failing(MemoryClaims):
    """Claims of which a step raises an exception, once."""

    def __init__(self, clock, step, exc):
        super().__init__(clock)
        self.left = {step: exc}

    def due(self, tasks, instant, trigger):
        return Found([FailingRun(self, run.task, run.minute) for run in self.runs(tasks.due(instant), instant)])

    def fail(self, step):
        if step in self.left:
            raise self.left.pop(step)


@pytest.mark.parametrize('exc', [LookupError('no luck'), GeneratorExit('no luck')], ids=repr)
@pytest.mark.parametrize(
    ('step', 'ran', 'text'),
    [
        ('claim', ['second'], 'task first does not run: no luck'),
        ('release', ['first', 'second'], 'the end of task first could not be recorded'),
    ],
)
def test_a_step_that_raises_is_a_failure_of_its_task(app, caplog, exc, step, ran, text):
    app.registry['cron_claims'] = Failing(app.clock, step, exc)
    app.add('first')
    app.add('second')
    report = app.run()
    assert outcomes(report) == [('first', 'failed'), ('second', 'ok')]
    assert report.tasks[0].exception is exc
    assert app.ran == ran
    (record,) = (record for record in caplog.records if record.getMessage() == text)
    assert record.exc_info[1] is exc


@pytest.mark.parametrize('step', ['claim', 'release'])
def test_a_step_that_ends_the_process_passes_through(app, step):
    app.registry['cron_claims'] = Failing(app.clock, step, KeyboardInterrupt())
    app.add('first')
    with pytest.raises(KeyboardInterrupt):
        app.run()


class Away(MemoryClaims):
    """Claims of a store that is away.

    :param when: ``'polling'``, ``'claiming'`` the task ``second``, or ``'late'``, if it was.
    """

    def __init__(self, clock, when):
        super().__init__(clock)
        self.when = when

    def due(self, tasks, instant, trigger):
        runs = self.runs(tasks.due(instant), instant)
        if self.when == 'polling':
            problem = Unavailable('the store is away')
            problem.__cause__ = OSError('gone')
            return Found(runs[:1], problem)
        if self.when == 'late':
            return Found([LateRun(self, run.task, run.minute - 2 * MINUTE) for run in runs])
        return Found([UnclaimableRun(self, run.task, run.minute) if run.task.name == 'second' else run for run in runs])


def test_runs_that_were_found_run_despite_a_problem(app, caplog):
    app.registry['cron_claims'] = Away(app.clock, 'polling')
    app.add('first')
    app.add('second')
    report = app.run()
    assert (outcomes(report), report.problem, report.failed) == ([('first', 'ok')], 'the store is away', True)
    assert f'run for {INSTANT.astimezone()}: the store is away' in caplog.text
    assert 'OSError: gone' in caplog.text


def test_a_run_without_tasks_reports_the_problem(app):
    app.registry['cron_claims'] = Away(app.clock, 'polling')
    report = app.run(zone=ZoneInfo('UTC'))
    assert (report.tasks, report.problem) == ((), 'the store is away')


def test_a_task_that_cannot_be_claimed_fails(app, caplog):
    app.registry['cron_claims'] = Away(app.clock, 'claiming')
    for name in ('first', 'second', 'third'):
        app.add(name)
    report = app.run()
    assert outcomes(report) == [('first', 'ok'), ('second', 'failed'), ('third', 'ok')]
    assert isinstance(report.tasks[1].exception, Unavailable)
    assert app.ran == ['first', 'third']
    assert 'task second does not run: the store is away' in caplog.messages


def test_a_late_run_is_logged_with_minute_and_attempt(app, caplog):
    caplog.set_level(logging.INFO, 'pyramid_cron')
    app.registry['cron_claims'] = Away(app.clock, 'late')
    seen = []
    app.add('late', lambda system: seen.append(system['scheduled_for']), timezone='UTC')
    app.run()
    assert seen == [INSTANT - 2 * MINUTE]
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
        assert set(system) == {
            'request',
            'registry',
            'time_left',
            'stopping',
            'scheduled_for',
            'since',
            'note',
            'progress',
        }
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
    assert outcomes(report) == [('normal', 'ok'), ('idle', 'ok'), ('too late', 'skipped')]
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
    assert outcomes(report) == [('first', 'failed'), ('second', 'ok'), ('third', 'failed')]
    assert isinstance(report.tasks[0].exception, LookupError)
    assert str(report) == 'fail: 2 of 3 tasks failed: first, third'


def test_a_run_without_failures_is_ok(app):
    assert str(app.run()) == 'ok'
    app.add('task')
    assert str(app.run()) == 'ok'


def test_a_report_has_seconds_and_no_messages(app):
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
def test_any_exception_in_a_thread_is_a_failure(app, exc, caplog):
    def end(system):
        raise exc

    app.add('ended', end)
    app.add('next')
    reports = []
    thread = threading.Thread(target=lambda: reports.append(app.run(exits=OF_SERVERS)))
    thread.start()
    thread.join()
    assert outcomes(reports[0]) == [('ended', 'failed'), ('next', 'ok')]
    assert isinstance(reports[0].tasks[0].exception, exc)
    assert exc.__name__ in caplog.text


class Elusive(Exception):
    """Raises when a traceback of it is to be shown."""

    @property
    def __class__(self):
        raise LookupError('it has no class')


def test_an_exception_that_cannot_be_shown_is_a_failure(app, caplog):
    def fail(system):
        raise Elusive

    app.add('elusive', fail)
    app.add('next')
    assert outcomes(app.run()) == [('elusive', 'failed'), ('next', 'ok')]
    assert 'task elusive failed after 0.000 s: Elusive, which cannot be shown' in caplog.messages


def test_a_first_tick_without_due_tasks_enables_the_log(app):
    runner.enable_loggers.cache_clear()
    runner.log.disabled = True
    try:
        app.run()
        assert not runner.log.disabled
    finally:
        runner.log.disabled = False


class Unbound:
    """A proxy for an object that is not there."""

    @property
    def __class__(self):
        raise RuntimeError('there is no object')


def test_a_result_that_has_no_class_is_no_failure(app):
    app.add('proxy', lambda system: Unbound())
    assert outcomes(app.run()) == [('proxy', 'ok')]


def test_a_command_reports_an_exit_as_failure(app):
    app.add('exiting', lambda system: sys.exit(0))
    app.add('next')
    assert outcomes(app.run()) == [('exiting', 'failed'), ('next', 'ok')]


@pytest.mark.parametrize(
    ('ending', 'exits'), [(SystemExit, OF_SERVERS), (KeyboardInterrupt, OF_SERVERS), (KeyboardInterrupt, OF_COMMANDS)]
)
def test_the_end_of_the_process_releases_its_claims(app, ending, exits, caplog):
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


def exit_at_end(app):
    """Let a subscriber of the ends of tasks raise SystemExit."""
    app.registry.registerHandler(lambda event: sys.exit(), (ITaskFinished,))


def test_an_exit_in_a_subscriber_is_of_no_task(app, caplog):
    exit_at_end(app)
    app.add('first')
    app.add('next')
    with pytest.raises(SystemExit):
        app.run(exits=OF_SERVERS)
    assert app.ran == ['first']
    assert 'outside of a task: SystemExit ends the run; not run: next' in caplog.messages


class NeverFree:
    """Claims of which no run is free, for a reason or, if that is ``None``, until the process is interrupted."""

    def __init__(self, reason=None):
        self.reason = reason

    def claim_first(self, runs):
        return Claimed([], list(runs))

    def why_not_free(self, runs):
        if self.reason is None:
            raise KeyboardInterrupt
        return [NotClaimed(self.reason) for _ in runs]


@pytest.mark.parametrize(('reason', 'exc'), [(None, KeyboardInterrupt), ('held', SystemExit)])
def test_an_exit_names_runs_that_were_not_free(app, caplog, reason, exc):
    exit_at_end(app)
    app.registry['cron_claims'] = Contended(app.clock, NeverFree(reason))
    app.add('first')
    app.add('next')
    with pytest.raises(exc):
        app.run(exits=OF_SERVERS)
    assert f'outside of a task: {exc.__name__} ends the run; not run: first, next' in caplog.messages


class Free:
    """Claims of which all runs are free."""

    def claim_all(self, runs):
        return Claimed(list(runs), [])

    def mark_enqueued(self, runs):
        pass


def test_an_exit_names_no_run_that_is_enqueued(app, caplog):
    exit_at_end(app)
    app.registry['cron_claims'] = Contended(app.clock, Free())
    engine = Engine()
    for name in ('first', 'second'):
        app.add(name)
    for task in app.registry['cron_tasks']:
        task.engine = engine
    with pytest.raises(SystemExit):
        app.run(exits=OF_SERVERS)
    assert engine.enqueued == ['first', 'second']
    assert 'outside of a task: SystemExit ends the run; not run: none' in caplog.messages


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


def test_no_task_begins_after_a_stop(app, caplog):
    for name in 'abc':
        app.add(name)
    report = app.run(stop=lambda: app.ran == ['a'])
    assert outcomes(report) == [('a', 'ok'), ('b', 'skipped'), ('c', 'skipped')]
    assert report.tasks[1].reason == 'stopping'
    assert 'task b is skipped: stopping' in caplog.messages


class FreeAfterwards:
    """Claims of which no run is free at first, and each is free afterwards."""

    def claim_first(self, runs):
        return Claimed([], list(runs))

    def why_not_free(self, runs):
        return [None] * len(runs)


class SharedRun(MemoryRun):
    """A run that other processes claim too."""

    @property
    def shared(self):
        return self._claims.of_all


class Contended(MemoryClaims):
    """Claims as of a store that other processes claim from."""

    def __init__(self, clock, of_all):
        super().__init__(clock)
        self.of_all = of_all

    def due(self, tasks, instant, trigger):
        found = self.runs(tasks.due(instant), instant)
        return Found([SharedRun(self, run.task, run.minute, engine=run.engine) for run in found])


def test_no_task_free_again_begins_after_a_stop(app):
    app.registry['cron_claims'] = Contended(app.clock, FreeAfterwards())
    for name in 'abc':
        app.add(name)
    report = app.run(stop=lambda: app.ran == ['a'])
    assert outcomes(report) == [('a', 'ok'), ('b', 'skipped'), ('c', 'skipped')]
    assert report.tasks[1].reason == 'stopping'


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
    assert outcomes(report) == [('hanging', 'skipped'), ('other', 'ok')]
    assert report.tasks[0].reason == 'still running'
    assert (
        'pyramid_cron.task_runner',
        logging.WARNING,
        'task hanging is skipped: still running',
    ) in caplog.record_tuples
    assert str(report) == 'ok'


@pytest.mark.parametrize(
    ('seconds', 'shown'), [(61, '61 s'), (12 * 60 + 40, '12 min 40 s'), (3 * 3600 + 12 * 60, '3 h 12 min')]
)
def test_a_task_that_runs_for_longer_than_the_window_is_stuck(app, hanging, caplog, seconds, shown):
    app.add('other')
    app.add('bad', fail)
    app.clock.now += seconds
    report = app.run(later=1)
    assert outcomes(report) == [('hanging', 'stuck'), ('other', 'ok'), ('bad', 'failed')]
    assert str(report) == f'fail: 1 of 3 tasks failed: bad; 1 is stuck: hanging (running for {shown})'
    assert report.failed
    assert (
        'pyramid_cron.task_runner',
        logging.ERROR,
        f'task hanging is stuck: running for {shown}',
    ) in caplog.record_tuples
    assert report.as_dict()['tasks'][0] == {
        'name': 'hanging',
        'outcome': 'stuck',
        'seconds': 0.0,
        'reason': f'running for {shown}',
    }


def test_a_run_with_a_stuck_task_fails(app, hanging):
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
    assert outcomes(report) == [('first', 'skipped'), ('second', 'ok')]
    assert report.tasks[0].reason == 'already run'
    assert str(report) == f'ok: 1 of 2 tasks already run for {INSTANT.astimezone():%H:%M}'
    assert not report.failed
    assert ('pyramid_cron.task_runner', logging.INFO, 'task first is skipped: already run') in caplog.record_tuples
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


def test_named_runs_are_for_no_minute(app):
    app.add('first')
    for _ in range(2):
        assert outcomes(app.run(names=('first',))) == [('first', 'ok')]
    assert str(app.run()) == 'ok'


def test_a_task_that_triggers_a_tick_is_skipped(app):
    inner = []
    app.add('outer', lambda system: inner.append(app.run(later=1)))
    assert outcomes(app.run()) == [('outer', 'ok')]
    assert outcomes(inner[0]) == [('outer', 'skipped')]


def test_a_task_that_configures_logging_silences_nothing(app, caplog):
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


def test_a_task_that_disables_logging_silences_nothing(app, caplog):
    app.add('hushing', lambda system: logging.disable(logging.CRITICAL))
    try:
        with caplog.at_level(logging.INFO, 'pyramid_cron'):
            app.run()
    finally:
        logging.disable(logging.NOTSET)
    assert 'task hushing ended' in caplog.text


def test_a_forked_task_continues_in_its_own_process(app, tmp_path, caplog):
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
    # only the process itself comes here
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


def test_a_task_that_returns_a_coroutine_has_failed(app):
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
            'the next one may have begun before its end',
        ),
    ]
    assert 'LookupError: the message stays in the log' in caplog.text


def test_a_run_with_nothing_due_is_logged_for_debugging(app, caplog):
    caplog.set_level(logging.INFO, 'pyramid_cron')
    app.run()
    assert caplog.records == []
    caplog.set_level(logging.DEBUG, 'pyramid_cron')
    app.run()
    assert [record.levelname for record in caplog.records] == ['DEBUG']


def test_a_run_at_a_skipped_time_is_logged(app, caplog):
    caplog.set_level(logging.INFO, 'pyramid_cron')
    seen = []
    app.add('nightly', lambda system: seen.append(system['scheduled_for']), cron='30 2 * * *', timezone='Europe/Berlin')
    report = app.run(instant=datetime(2026, 3, 29, 1, tzinfo=timezone.utc), zone=ZoneInfo('Europe/Berlin'))
    assert seen == [datetime(2026, 3, 29, 3, tzinfo=ZoneInfo('Europe/Berlin'))]
    assert report.as_dict()['minute'] == '2026-03-29T03:00:00+02:00'
    assert 'task nightly begins, meant for 2026-03-29 02:30, which the clocks skipped' in caplog.messages


def test_a_task_gets_its_minute_in_its_time_zone(app):
    seen = []
    app.add('tokyo', lambda system: seen.append(system['scheduled_for']), timezone='Asia/Tokyo')
    app.run()
    assert [minute.isoformat() for minute in seen] == ['2026-11-23T18:08:00+09:00']


class Engine:
    """An engine that fails with an exception, perhaps after a wait, or has enqueued a run with its claim."""

    is_limited = False

    def __init__(self, exc=None, within_claim=False, broker=None, wait=lambda run: None):
        self.exc = exc
        self.within_claim = within_claim
        self.broker = broker
        self.wait = wait
        self.enqueued = []

    def __str__(self):
        return 'an engine'

    def key(self, run):
        return f'shop:{run.task.name}'

    def enqueue(self, run):
        self.wait(run)
        if self.exc is not None:
            raise self.exc
        self.enqueued.append(run.task.name)


def test_a_run_with_an_engine_is_enqueued(app, caplog):
    caplog.set_level(logging.INFO, 'pyramid_cron')
    app.add('task')
    [task] = app.registry['cron_tasks']
    task.engine = Engine()
    assert outcomes(app.run()) == [('task', 'queued')]
    assert task.engine.enqueued == ['task']
    assert app.ran == []
    assert 'task task is enqueued with an engine as shop:task' in caplog.messages


def test_a_run_enqueued_with_its_claim_is_not_enqueued_again(app):
    app.add('task')
    [task] = app.registry['cron_tasks']
    task.engine = Engine(within_claim=True)
    assert outcomes(app.run()) == [('task', 'queued')]
    assert task.engine.enqueued == []


def test_an_engine_that_fails_fails_the_run(app, caplog):
    app.add('task')
    [task] = app.registry['cron_tasks']
    task.engine = Engine(ConnectionError('no broker'))
    report = app.run()
    assert outcomes(report) == [('task', 'failed')]
    assert isinstance(report.tasks[0].exception, ConnectionError)
    assert 'task task could not be enqueued after 0.000 s' in caplog.messages


@pytest.mark.parametrize(('seconds', 'waits'), [(2, 2), (1, 3)])
def test_an_engine_is_waited_for_once(app, seconds, waits):
    for name, broker in (('one', 'a'), ('two', 'a'), ('three', 'b')):
        app.add(name)
        [task] = [task for task in app.registry['cron_tasks'] if task.name == name]
        task.engine = Engine(ConnectionError('no broker'), broker=broker, wait=app.spend(seconds))
    began = app.clock()
    reports = app.run().tasks
    assert [report.outcome for report in reports] == ['failed'] * 3
    assert app.clock() - began == seconds * waits
    refused = [report.name for report in reports if isinstance(report.exception, EngineNotAnswering)]
    assert refused == (['two'] if waits == 2 else [])


def test_an_engine_can_end_the_process(app):
    app.add('task')
    [task] = app.registry['cron_tasks']
    task.engine = Engine(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        app.run()
    task.engine = None
    assert outcomes(app.run()) == [('task', 'ok')]


def test_events_frame_each_task(app):
    sent = []
    # which the event of the end is too
    app.registry.registerHandler(lambda event: sent.append((type(event).__name__, event.task.name)), (ITaskStarted,))
    app.add('task')
    app.run()
    assert sent == [('TaskStarted', 'task'), ('TaskFinished', 'task')]
