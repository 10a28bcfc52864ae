"""The end of a run: written again while the database is away, or later, and refused to a fenced process."""

import logging
from datetime import datetime, timezone

import pytest
from sqlalchemy import delete

from pyramid_cron import ScheduleWarning, Skip, TaskReport
from pyramid_cron.errors import Unavailable
from pyramid_cron.monitoring.problems import find_problems
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store import Fenced
from pyramid_cron.store.schema import runs, tasks
from tests.support.problems import task_problems
from tests.support.servers import INSTANT
from tests.support.statements import GONE

REPORT = TaskReport('task', 'ok', 1.5)
# the statement that releases the row of a task
END = {'of': tasks, 'kind': 'update', 'sets': 'busy_until'}


def test_the_end_of_a_run_is_written_repeatedly(servers, server, warnings):
    with server.outage(**END, times=5) as tried:
        assert str(server.tick()) == 'ok'
    assert len(tried) == 5
    assert server.clock.now == pytest.approx(1000 + 5 * 0.3)
    assert servers.history() == ['ok']
    assert warnings() == []


@pytest.mark.slow
def test_a_later_tick_writes_an_unwritten_end(servers, warnings):
    server, other = (servers.start(window='10e9').add(min='*') for _ in range(2))
    with server.outage(**END):
        assert str(server.tick()) == 'ok'
    assert server.clock.now < 1000 + 5
    assert warnings() == [f'the end of task task cannot be recorded yet: {GONE}']
    # until then the run goes on for everybody else
    assert other.tick(1).tasks[0].reason.startswith('still running')
    server.clock.now += 60 * 10
    server.tick(10)
    assert servers.minutes('ok') == [('task', 0), ('task', 10)]
    # it was not running all the time
    assert servers.minutes('missed') == [('task', minute) for minute in range(1, 10)]
    assert warnings()[-1].startswith('task task was missed')


def beating(server):
    return not server.claims.own.heartbeat.is_idle


def test_the_heart_beats_until_the_end_is_written(servers, server, warnings):
    """No other process writes the end of a run for a living one, and its own next tick may be long in coming."""
    server.tick(-1)
    assert not beating(server)
    with server.outage(**END):
        server.tick()
    assert beating(server)
    server.claims.own.heartbeat.beat()
    assert servers.history() == ['ok']
    assert servers.row()['run_id'] is None
    assert not beating(server)


def test_the_heart_beats_until_an_interrupt_is_written(servers, warnings):
    def body(system):
        raise KeyboardInterrupt

    server = servers.start().add(body=body)
    with server.outage(**END), pytest.raises(KeyboardInterrupt):
        server.tick()
    assert beating(server)
    server.claims.own.heartbeat.beat()
    assert servers.history() == ['lost']
    assert not beating(server)


def test_the_heart_beats_until_a_doubtful_claim_is_released(servers, server, warnings):
    server.tick(-1)
    (run,) = server.runs()
    with server.commit_fails(after=True), pytest.raises(Unavailable):
        run.claim()
    assert beating(server)
    server.claims.own.heartbeat.beat()
    assert servers.row()['run_id'] is None
    assert not beating(server)


def test_two_threads_write_an_unwritten_end(servers, server):
    with server.outage(**END):
        server.tick()
    with server.overtaken(**END, by=server.claims._beat):
        server.claims._beat()
    assert servers.history() == ['ok']
    assert servers.row()['run_id'] is None


@pytest.mark.slow
def test_an_unwritten_end_of_a_dead_process_is_lost(servers, server, warnings):
    with server.outage(**END):
        server.tick()
    servers.change(process='none')
    assert servers.start().add().tick(1).tasks[0].outcome == 'lost'
    # should it still come, it changes nothing
    server.tick(2)
    assert servers.history() == ['lost']


def test_an_end_whose_answer_is_lost_is_no_failure(servers, server, warnings):
    server.tick(-1)
    (run,) = server.runs()
    run.claim()
    with server.commit_fails(after=True):
        report = run.release(REPORT)
    assert servers.history() == ['ok']
    assert servers.row()['run_id'] is None
    assert report == REPORT
    assert warnings() == []


def test_a_fenced_run_has_failed(servers, warnings):
    server = servers.start().add(body=lambda system: servers.change(run_id='other'))
    report = server.tick()
    assert [(task.outcome, type(task.exception)) for task in report.tasks] == [('failed', Fenced)]
    assert warnings() == ['task task: the run was taken over by another process, which took this one for dead']
    assert servers.row()['run_id'] == 'other'


def test_a_fenced_run_that_failed_is_not_ended_twice(servers, warnings):
    def body(system):
        servers.change(run_id='other')
        raise ValueError

    server = servers.start().add(body=body)
    assert server.tick().failed
    assert servers.row()['run_id'] == 'other'


def test_minutes_during_a_run_are_not_owed(servers, warnings):
    server = servers.start().add(body=lambda system: server.clock.sleep(150), min='*')
    server.tick(0)
    server.tick(3)
    assert server.ran == [('task', 0), ('task', 3)]
    assert servers.minutes('missed') == []


def test_a_late_run_counts_from_its_tick(servers, warnings):
    server = servers.start().add(min='*')
    server.tick(0)
    server.clock.sleep(3600)
    server.tick(1)
    server.tick(2)
    assert [minute for _, minute in server.ran] == [0, 1, 2]


@pytest.mark.slow
@pytest.mark.parametrize('text', ['a\x00b', 'caf\udce9', 'x' * 20000], ids=['zero', 'surrogate', 'long'])
def test_any_text_of_an_exception_can_be_stored(servers, caplog, text):
    # what cannot be encoded cannot be sent with the report of this test either
    caplog.set_level(logging.CRITICAL + 1, 'pyramid_cron')

    def body(system):
        raise ValueError(text)

    server = servers.start().add(body=body)
    server.tick()
    ((outcome, error, kept),) = servers.history('outcome', 'error', 'traceback')
    assert (outcome, error) == ('failed', 'ValueError')
    assert kept.endswith({'a': 'a\\x00b\n', 'c': 'caf\\udce9\n', 'x': 'x' * 100 + '\n'}[text[0]])
    assert len(kept) <= 8000
    assert servers.row()['run_id'] is None
    assert server.clock.now == 1000


class Elusive(Exception):
    """Raises when a traceback of it is to be shown."""

    @property
    def __class__(self):
        raise LookupError('the class is not to be had')


def test_the_end_is_written_without_a_traceback(servers, warnings):
    def body(system):
        raise Elusive

    server = servers.start().add(body=body)
    assert server.tick().failed
    assert servers.history('outcome', 'error', 'traceback') == [('failed', 'Elusive', 'Elusive, which cannot be shown')]
    assert servers.row()['run_id'] is None
    assert server.clock.now == 1000


LAST = (
    'last_outcome',
    'last_outcome_for',
    'last_success_for',
    'failures_in_a_row',
    'last_error',
)


def last(servers):
    """Return the last result of the task, with minutes after INSTANT."""
    row = servers.row()
    values = [row[name] for name in LAST]
    return [round((value - INSTANT) / MINUTE) if isinstance(value, datetime) else value for value in values]


def test_the_end_of_a_run_sets_its_last_outcome(servers):
    failures = iter([False, True, True, False])

    def body(system):
        server.clock.sleep(1.5)
        if next(failures):
            raise LookupError

    server = servers.start().add(body=body)
    began = datetime.now(timezone.utc)
    seen = []
    for minute in (0, 5, 10, 15):
        server.tick(minute)
        seen.append(last(servers))
    assert seen == [
        ['ok', 0, 0, 0, None],
        ['failed', 5, 0, 1, 'LookupError'],
        ['failed', 10, 0, 2, 'LookupError'],
        ['ok', 15, 15, 0, None],
    ]
    row = servers.row()
    assert began <= row['last_finished'] == row['last_success_at'] <= datetime.now(timezone.utc)
    assert row['last_seconds'] > 0


@pytest.mark.slow
def test_a_failure_keeps_the_last_success(servers):
    server = servers.start().add()
    server.tick(0)
    succeeded = servers.row()['last_success_at']
    servers.start().add(body=lambda system: 1 / 0).tick(5)
    row = servers.row()
    assert row['last_success_at'] == succeeded < row['last_finished']


def test_a_named_run_sets_an_outcome_without_a_minute(servers):
    server = servers.start().add()
    server.tick(0)
    server.tick(1, names=['task'])
    assert last(servers) == ['ok', None, 0, 0, None]
    servers.start().add(body=lambda system: 1 / 0).tick(1, names=['task'])
    assert last(servers) == ['failed', None, 0, 1, 'ZeroDivisionError']


def test_outcome_and_history_are_one_transaction(servers, server, warnings):
    with server.outage(of=runs, kind='update'):
        server.tick(0)
    assert servers.history() == ['running']
    assert last(servers) == [None] * 5
    assert servers.row()['run_id'] is not None
    server.claims._beat()
    assert last(servers) == ['ok', 0, 0, 0, None]


def test_an_earlier_run_does_not_confirm_a_fenced_one(servers, warnings):
    bodies = iter([lambda: None, lambda: servers.change(run_id='other')])
    server = servers.start().add(body=lambda system: next(bodies)())
    assert not server.tick(0).failed
    # the history has a good run, which is another one
    (task,) = server.tick(5).tasks
    assert (task.outcome, type(task.exception)) == ('failed', Fenced)


def test_problems_do_not_depend_on_the_history(servers):
    def found():
        snapshot = server.store.snapshot()
        return find_problems(snapshot, server.registry['cron_tasks'], 55.0), snapshot.states, snapshot.last_tick

    server = servers.start().add().add('bad', body=lambda system: 1 / 0).add('late', min=1, catch_up=0)
    server.tick(0)
    server.tick(6)
    server.ready()
    problems, *rows = found()
    assert {(problem.kind, problem.task) for problem in problems} >= {('failed', 'bad'), ('missed', 'late')}
    servers.execute(delete(runs))
    same, *after = found()
    assert [(problem.kind, problem.task, problem.since) for problem in same if problem.task] == [
        (problem.kind, problem.task, problem.since) for problem in problems if problem.task
    ]
    assert after == rows


def skip(system):
    raise Skip('no new file')


@pytest.mark.slow
@pytest.mark.each_database
def test_a_skip_ends_a_run_and_its_retries(servers, warnings):
    server = servers.start().add(body=skip, retries=3)
    assert str(server.tick(0)) == 'ok: 1 of 1 tasks skipped: task (no new file)'
    assert str(server.tick(1)) == 'ok'
    assert servers.history('outcome', 'reason', 'error') == [('skipped', 'no new file', None)]
    row = servers.row()
    assert (row['last_outcome'], row['retry_reason'], row['run_id'], row['failures_in_a_row']) == (
        'skipped',
        *[None] * 3,
    )
    assert server.store.snapshot().states['task'].last_seconds is not None
    assert find_problems(server.store.snapshot(), [server.task()], 300)[0].kind == 'no tick'
    assert warnings() == []


@pytest.mark.slow
@pytest.mark.each_database
def test_a_failure_is_shown_after_a_skip_until_a_success(servers):
    raised = [LookupError, Skip, Skip, None]

    def body(system):
        error = raised.pop(0)
        if error is not None:
            raise error

    server = servers.start().add(body=body, retries=1)
    server.tick(0)
    # the second attempt for the minute: it has not failed any more
    server.tick(1)
    assert servers.row()['last_outcome'] == 'skipped'
    assert servers.row()['failures_in_a_row'] == 1
    raised.insert(0, LookupError)
    raised.insert(1, LookupError)
    for minute in (5, 6, 10):
        server.tick(minute)
    row = servers.row()
    assert (row['last_outcome'], row['last_error'], row['failures_in_a_row']) == ('failed', 'LookupError', 3)
    server.tick(15)
    assert (servers.row()['last_outcome'], servers.row()['failures_in_a_row']) == ('ok', 0)


@pytest.mark.slow
@pytest.mark.each_database
def test_a_run_that_has_failed_is_shown_after_a_further_attempt_of_the_next_one_that_skips(servers):
    raised = [LookupError, LookupError, LookupError, Skip, None]

    def body(system):
        error = raised.pop(0)
        if error is not None:
            raise error

    server = servers.start().add(body=body, retries=1)
    for minute in (0, 1, 5, 6):
        server.tick(minute)
    assert servers.history() == ['failed', 'failed', 'failed', 'skipped']
    row = servers.row()
    assert (row['last_outcome'], row['last_error'], row['failed_runs']) == ('failed', 'LookupError', 1)
    assert (row['will_retry'], row['retry_reason']) == (False, None)
    assert [problem.word for problem in task_problems(server.registry)] == ['failed']
    server.tick(10)
    assert servers.row()['last_outcome'] == 'ok'


@pytest.mark.slow
@pytest.mark.each_database
def test_a_failed_run_is_repeated_after_its_waits(servers):
    def body(system):
        raise LookupError

    server = servers.start().add(body=body, min=0, retries=(60, 600, 1800))
    begun = []
    for minute in range(60):
        before = len(server.ran)
        server.tick(minute)
        begun += [minute] * (len(server.ran) - before)
        if minute == 1:
            assert servers.row()['retry_wait'] == 600.0
            assert server.store.snapshot().states['task'].retry_at == INSTANT + 11 * MINUTE
    assert begun == [0, 1, 11, 41]
    assert (servers.row()['retry_reason'], servers.row()['retry_wait']) == (None, None)
    assert servers.history('scheduled_for', 'attempt') == [(INSTANT, attempt) for attempt in (1, 2, 3, 4)]


@pytest.mark.slow
@pytest.mark.each_database
def test_the_next_minute_comes_before_a_long_wait(servers):
    def body(system):
        raise LookupError

    server = servers.start().add(body=body, retries=[3600])
    with pytest.warns(ScheduleWarning, match='attempt 2 never begins'):
        server.ready()
    for minute in range(11):
        server.tick(minute)
    assert [minute for _, minute in server.ran] == [0, 5, 10]


@pytest.mark.slow
@pytest.mark.each_database
def test_a_wait_of_no_seconds_is_written(servers):
    server = servers.start().add(body=raise_lookup_error, min=0, retries=(0, 600))
    server.tick(0)
    assert servers.row()['retry_reason'] == 'failed'
    assert servers.row()['retry_wait'] == 0


def raise_lookup_error(system):
    raise LookupError
