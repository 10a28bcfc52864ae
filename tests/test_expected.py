"""When a run is slow, and when it is stuck: as a rule, and at the ticks of applications with and without a store."""

import math
import re
import time
from datetime import datetime, timedelta, timezone

import pytest
from pyramid.config import Configurator
from pyramid.testing import DummyRequest

from pyramid_cron import Task, runner
from pyramid_cron.expected import GOOD_RUNS, Limits, limits_of, longest_of, parse_expect, with_good_run
from pyramid_cron.memory_claims import MemoryClaims
from pyramid_cron.orders import Order
from tests.support.problems import task_problems
from tests.support.servers import INSTANT, Clock


@pytest.mark.parametrize(
    ('options', 'longest', 'limits'),
    [
        ({'expect': 300}, None, (300, 600)),
        ({'expect': timedelta(minutes=5)}, 4000.0, (300, 600)),
        # not by the window
        ({'expect': 10}, 4000.0, (10, 20)),
        ({}, 180.0, (math.inf, 360)),
        ({}, 5.0, (math.inf, 60)),
        # with no past, when its next minute comes
        ({}, None, (math.inf, 299)),
        ({'min': '*'}, None, (math.inf, 60)),
        ({'min': 0, 'hour': 2}, None, (math.inf, 86399)),
        # never due again
        ({'cron': '0 0 1 1 *'}, None, (math.inf, 39 * 86400 - 7201)),
    ],
)
def test_a_run_is_slow_and_stuck_after(options, longest, limits):
    task = Task(print, **({'min': '*/5'} if 'cron' not in options else {}) | options, timezone='UTC')
    assert limits_of(task, longest, INSTANT + timedelta(seconds=1), 60.0) == Limits(*limits)


def test_a_task_that_is_never_due_again_has_the_window():
    class NeverDue(Task):
        def runs(self, after):
            return iter(())

    assert limits_of(NeverDue(print), None, INSTANT, 60.0) == Limits(math.inf, 60.0)


@pytest.mark.parametrize(('value', 'seconds'), [(1, 1.0), (0.5, 0.5), (timedelta(hours=1), 3600.0)])
def test_what_is_expected_is_a_length_of_time(value, seconds):
    assert parse_expect(value) == Task(print, expect=value).expect == seconds


@pytest.mark.parametrize('value', [0, -1, True, '60', timedelta(0), timedelta(days=367), math.nan, math.inf, []])
def test_what_else_is_refused(value):
    message = f'expect={value!r} is not how long a run takes: write seconds above 0, or a timedelta; 366 days at most'
    with pytest.raises(ValueError, match=re.escape(message)):
        Task(print, expect=value)


def test_the_last_thirty_lengths_are_kept():
    text = None
    for number in range(100):
        text = with_good_run(text, 1000 - number + 0.123456)
        assert longest_of(text) == pytest.approx(1000 - max(number - GOOD_RUNS + 1, 0), rel=0.01)
    assert len(text.split()) == GOOD_RUNS
    assert len(text) < 200


@pytest.mark.parametrize(('text', 'longest'), [(None, None), ('', None), ('1 20.5 3', 20.5), ('later: v2', None)])
def test_the_longest_of_what_can_be_read_counts(text, longest):
    assert longest_of(text) == longest


@pytest.mark.slow
@pytest.mark.each_database
def test_the_row_has_how_long_good_runs_took(servers):
    server = servers.start()
    server.next = None

    def body(system):
        if server.next is not None:
            raise server.next

    server.add(body=body)
    for minute in (0, 5, 10):
        server.tick(minute)
    assert len(servers.row()['good_seconds'].split()) == 3
    server.next = LookupError('no luck')
    server.tick(15)
    assert len(servers.row()['good_seconds'].split()) == 3


def hold(servers, seconds, **values):
    """Let a process of another machine have run the task for so many seconds."""
    servers.hold()
    servers.change(started_at=time.time() - seconds, **values)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('options', 'good', 'seconds', 'stuck'),
    [
        ({'expect': 100}, None, 190, False),
        ({'expect': 100}, None, 210, True),
        ({}, '150 181 90', 350, False),
        ({}, '150 181 90', 370, True),
        ({'min': 0, 'hour': 2}, None, 4000, False),
        ({'min': 0, 'hour': 2}, None, 90000, True),
    ],
)
@pytest.mark.parametrize('minute', [1, 5])
def test_each_tick_reports_a_run_that_is_stuck(servers, warnings, minute, options, good, seconds, stuck):
    server = servers.start().add(**options)
    server.tick(0)
    hold(servers, seconds, good_seconds=good)
    warnings()
    report = server.tick(minute)
    (found,) = [task.outcome for task in report.tasks] or ['nothing']
    is_due = server.task().check(INSTANT + timedelta(minutes=minute))
    assert found == ('stuck' if stuck else 'skipped' if is_due else 'nothing')
    assert report.failed is stuck
    problems = [problem.kind for problem in task_problems(server.registry)]
    assert ('stuck' in problems) is stuck
    assert any('task task is stuck: running for ' in text for text in warnings()) is stuck
    # only a due minute is one that the task does not run for
    assert ('skipped' in servers.history()) is is_due


def test_a_run_of_a_paused_task_is_not_reported(servers):
    server = servers.start().add(expect=1)
    server.tick(0)
    hold(servers, 1000)
    server.store.pause(['task'], reason='it hangs')
    assert server.tick(1).tasks == ()
    [report] = server.tick(5).tasks
    assert (report.outcome, report.reason) == ('paused', 'paused: it hangs')
    (stuck, paused) = task_problems(server.registry)
    assert (stuck.kind, stuck.is_fault, paused.kind) == ('stuck', False, 'paused')


def test_a_run_that_waits_for_a_worker_is_not_stuck(servers):
    server = servers.start().add(expect=1)
    server.tick(0)
    hold(servers, 1000, handed_over_for='a minute')
    assert server.tick(1).tasks == ()


def test_a_run_that_takes_longer_than_expected_is_a_warning(servers, warnings):
    server = servers.start().add(body=lambda system: time.perf_counter(), expect=1e-9)
    assert not server.tick(0).failed
    (text,) = warnings()
    assert re.fullmatch(r'task task ended in 0\.\d{3} s, longer than its expect=1e-09', text)
    (problem,) = task_problems(server.registry)
    assert (problem.kind, problem.is_fault, str(problem)) == ('slow', False, 'slow: took 0 s, expected 0 s')


def test_a_run_in_progress_is_slow_before_it_is_stuck(servers):
    server = servers.start().add(expect=100)
    server.tick(0)
    hold(servers, 134)
    (problem,) = task_problems(server.registry)
    assert (problem.kind, problem.is_fault) == ('slow', False)
    assert re.fullmatch(r'slow: running for 2 min 1\d s, expected 100 s', str(problem))


@pytest.mark.parametrize(
    ('options', 'good', 'seconds', 'stuck'),
    [
        ({'expect': 100}, (), 190, False),
        ({'expect': 100}, (), 210, True),
        ({}, (150.0, 181.0, 90.0), 350, False),
        ({}, (150.0, 181.0, 90.0), 370, True),
        ({}, (), 90000, True),
    ],
)
@pytest.mark.parametrize('minute', [1, 5])
def test_without_a_store_it_is_the_same_in_its_process(minute, options, good, seconds, stuck):
    config, clock = Configurator(settings={'cron.timezone': 'UTC'}), Clock()
    config.include('pyramid_cron')
    config.add_cron_task(lambda system: clock.sleep(lengths.pop(0)), name='task', min='*/5', **options)
    config.commit()
    registry, lengths, request = config.registry, list(good), DummyRequest()
    claims = registry['cron_claims'] = MemoryClaims(clock)
    request.registry = registry
    [task] = registry['cron_tasks']

    def run(minute):
        return runner.run(request, Order(registry, INSTANT + timedelta(minutes=minute), monotonic=clock))

    for number in range(len(good)):
        assert not run(5 * (number - len(good))).failed
    assert claims.claim(task, INSTANT) is None
    clock.sleep(seconds)
    report = run(minute)
    found = [task.outcome for task in report.tasks]
    assert found == (['stuck'] if stuck else ['skipped'] if minute == 5 else [])
    assert report.failed is stuck


def test_the_window_is_that_of_the_settings():
    config = Configurator(settings={'cron.window': '7'})
    config.include('pyramid_cron')
    config.commit()
    assert config.registry['cron_claims'].window == 7.0


def test_the_present_is_when_a_run_began(servers):
    server = servers.start().add()
    server.tick(0)
    assert abs(server.store.states()['task'].started - datetime.now(timezone.utc)) < timedelta(minutes=1)
