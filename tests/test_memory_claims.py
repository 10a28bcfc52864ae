import logging
import threading
from datetime import datetime, timedelta, timezone

import pytest

from pyramid_cron import Task
from pyramid_cron.claims import ByHand, Delivery
from pyramid_cron.memory_claims import MemoryClaims, MemoryRun
from pyramid_cron.not_claimed import NotClaimed
from pyramid_cron.reports import Failures, TaskReport
from pyramid_cron.schedules.clock import MINUTE, current_minute
from pyramid_cron.tasks import Tasks
from tests.support.threads import call_meanwhile

INSTANT = datetime(2026, 11, 23, 9, 8, tzinfo=timezone.utc)


@pytest.fixture
def task():
    return Task(lambda system: None, name='task')


def test_a_running_task_is_claimed_until_its_release(task):
    seconds = iter([100.0, 101.5, 200.0])
    claims = MemoryClaims(lambda: next(seconds))
    assert claims.claim(task, INSTANT) is None
    assert claims.claim(task, INSTANT + MINUTE) == NotClaimed('still running', 1.5, stuck_after=60.0)
    claims.release(task)
    assert claims.claim(task, INSTANT + MINUTE) is None


def test_a_minute_is_claimed_together_with_earlier_ones(task):
    claims = MemoryClaims()
    assert claims.claim(task, INSTANT) is None
    claims.release(task)
    assert claims.claim(task, INSTANT) == NotClaimed('already run', level=logging.INFO)
    for earlier in (1, 179):
        assert claims.claim(task, INSTANT - earlier * MINUTE).reason == 'it has run for a later minute'
    assert claims.claim(task, INSTANT + MINUTE) is None


def test_a_run_by_name_claims_no_minute(task):
    claims = MemoryClaims()
    assert claims.claim(task, None) is None
    assert claims.claim(task, None).reason == 'still running'
    claims.release(task)
    assert claims.claim(task, INSTANT) is None


def test_an_interrupted_run_releases_its_minute_alone(task):
    claims = MemoryClaims()
    for instant in (INSTANT, INSTANT + MINUTE):
        assert claims.claim(task, instant) is None
        claims.interrupt(task)
        assert claims.claim(task, instant) is None
        claims.release(task)
    assert claims.claim(task, INSTANT + MINUTE).reason == 'already run'
    assert claims.claim(task, None) is None
    claims.interrupt(task)
    assert claims.claim(task, INSTANT + MINUTE).reason == 'already run'


def test_an_interrupted_named_run_leaves_no_minute(task):
    claims = MemoryClaims()
    assert claims.claim(task, None) is None
    claims.interrupt(task)
    assert claims.claim(task, INSTANT) is None


def test_tasks_of_the_same_name_are_independent(task):
    claims = MemoryClaims()
    assert claims.claim(task, INSTANT) is None
    assert claims.claim(Task(lambda system: None, name='task'), INSTANT) is None


def test_a_clock_that_ran_ahead_is_not_believed(task, caplog):
    claims = MemoryClaims()
    claims.claim(task, INSTANT + timedelta(days=4000))
    claims.release(task)
    assert claims.claim(task, INSTANT) is None
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert 'the clock was set back' in caplog.text
    claims.release(task)
    assert claims.claim(task, INSTANT + MINUTE) is None


@pytest.mark.parametrize(('seconds', 'believed'), [(3 * 3600 - 1, False), (3 * 3600, True)])
def test_a_clock_set_back_three_hours_is_believed(task, seconds, believed):
    claims = MemoryClaims()
    claims.claim(task, INSTANT)
    claims.release(task)
    assert (claims.claim(task, INSTANT - timedelta(seconds=seconds)) is None) is believed


def test_other_tasks_run_while_the_log_is_written(task):
    claims, other, found = MemoryClaims(), Task(lambda system: None, name='other'), []

    class Slow(logging.Handler):
        def emit(self, record):
            thread = threading.Thread(target=lambda: found.append(claims.claim(other, INSTANT)), daemon=True)
            thread.start()
            thread.join(5)

    claims.claim(task, INSTANT + timedelta(days=1))
    claims.release(task)
    logger, handler = logging.getLogger('pyramid_cron.memory_claims'), Slow()
    logger.addHandler(handler)
    try:
        assert claims.claim(task, INSTANT) is None
        assert found == [None]
    finally:
        logger.removeHandler(handler)


def test_one_of_two_threads_claims_a_task(task):
    found, called, others = [], [], []

    def claim_meanwhile():
        found.append(claims.claim(task, INSTANT + MINUTE))

    def monotonic():
        # called between the look at the running tasks and the entry of this one
        if not called:
            called.append(True)
            others.append(call_meanwhile(claim_meanwhile))
        return 100.0

    claims = MemoryClaims(monotonic)
    found.append(claims.claim(task, INSTANT))
    others[0].join()
    assert sorted(found, key=lambda not_claimed: not_claimed is not None) == [
        None,
        NotClaimed('still running', 0.0, stuck_after=60.0),
    ]


@pytest.fixture
def tasks(task):
    tasks = Tasks()
    tasks.add('task', task)
    task.engine = 'an engine'
    return tasks


def test_runs_of_a_tick_are_enqueued(tasks, task):
    [run] = MemoryClaims().due(tasks, INSTANT, 'request').runs
    assert (run.task, run.minute, run.engine, run.attempt, run.token) == (task, INSTANT, 'an engine', 1, None)
    assert run.not_claimed is None


@pytest.mark.parametrize(('enqueue', 'engine'), [(True, 'an engine'), (False, None)])
def test_a_named_run_is_enqueued_on_request(tasks, enqueue, engine):
    [run] = MemoryClaims().named(tasks, ['task'], ByHand(enqueue=enqueue)).runs
    assert (run.minute, run.engine) == (None, engine)


def test_a_named_run_has_one_token_for_its_key(tasks):
    here, one, other = (MemoryClaims().named(tasks, ['task'], ByHand(enqueue=enqueue)).runs[0] for enqueue in (0, 1, 1))
    assert here.token is None
    assert one.token == one.token != other.token


def test_a_named_run_is_enqueued_with_another_engine(tasks, task):
    def engine_of():
        [run] = MemoryClaims().named(tasks, ['task'], ByHand(enqueue=True, engine='another')).runs
        return run.engine

    assert engine_of() == 'an engine'
    task.engine = None
    assert engine_of() == 'another'


def test_a_run_claims_and_releases_its_task(tasks):
    claims, report = MemoryClaims(), TaskReport('task', 'ok')
    [run] = claims.due(tasks, INSTANT, 'request').runs
    assert run.claim() is None
    assert run.claim().reason == 'still running'
    with run.joined(None):
        run.skip('nothing is recorded')
    assert run.release(report) is report
    assert run.claim().reason == 'already run'


def test_a_delivery_runs_here_and_claims_no_minute(tasks):
    claims, minute = MemoryClaims(), datetime.now(timezone.utc)
    for _ in range(2):
        [run] = claims.delivered(tasks, Delivery('task', minute), timedelta(minutes=5)).runs
        assert (run.minute, run.engine, run.not_claimed) == (None, None, None)
        assert run.claim() is None
        run.interrupt()


def test_a_late_delivery_does_not_run(tasks):
    [run] = MemoryClaims().delivered(tasks, Delivery('task', INSTANT - timedelta(days=4000)), timedelta(0)).runs
    assert run.not_claimed.outcome == 'missed'


def test_failures_in_a_row_are_counted_until_a_success(task):
    claims = MemoryClaims()

    def end(outcome, minute):
        run = MemoryRun(claims, task, minute)
        run.claim()
        return run.release(TaskReport('task', outcome)).failures

    assert end('ok', INSTANT) is None
    assert end('failed', INSTANT + MINUTE) == Failures(1, INSTANT + MINUTE)
    assert end('failed', INSTANT + 2 * MINUTE) == Failures(2, INSTANT + MINUTE)
    assert end('ok', None) is None
    assert end('failed', INSTANT + 3 * MINUTE) == Failures(1, INSTANT + 3 * MINUTE)


def test_a_failure_by_name_counts_from_now_on(task):
    run = MemoryRun(MemoryClaims(), task, None)
    run.claim()
    before = current_minute()
    failures = run.release(TaskReport('task', 'failed')).failures
    assert failures.number == 1
    assert before <= failures.first <= current_minute()


def test_a_skip_neither_counts_as_a_failure_nor_ends_a_row_of_them(task):
    claims = MemoryClaims()
    claims.with_failures(task, TaskReport('task', 'failed'), INSTANT)
    skipped = TaskReport('task', 'skipped', reason='no new file', raised_skip=True)
    assert claims.with_failures(task, skipped, INSTANT + MINUTE) == skipped
    report = claims.with_failures(task, TaskReport('task', 'failed'), INSTANT + 2 * MINUTE)
    assert report.failures == Failures(2, INSTANT)


def test_the_last_success_by_schedule_is_kept(task):
    claims = MemoryClaims()

    def end(run, outcome, **values):
        assert run.claim() is None
        before = run.since
        run.release(TaskReport('task', outcome, **values))
        return before

    tasks = Tasks()
    tasks.add('task', task)
    [named] = claims.named(tasks, ['task']).runs
    assert end(named, 'ok') is None
    assert end(MemoryRun(claims, task, INSTANT), 'ok') is None
    assert end(MemoryRun(claims, task, INSTANT + MINUTE), 'failed') == INSTANT
    assert end(MemoryRun(claims, task, INSTANT + 2 * MINUTE), 'skipped', raised_skip=True) == INSTANT
    [delivered] = claims.delivered(tasks, Delivery('task', current_minute()), timedelta(hours=1)).runs
    minute = delivered.owed_minute
    assert end(delivered, 'ok') == INSTANT
    assert end(named, 'ok') == minute


def test_no_run_waits_for_its_engine_without_a_store():
    run = MemoryRun(MemoryClaims(), Task(print), INSTANT)
    assert run.wait(INSTANT) is None
