"""Reaping: runs of dead processes, and enqueued runs that no worker has begun in time."""

import pytest
from sqlalchemy import delete, update

from pyramid_cron.claims import ByHand
from pyramid_cron.events import ITaskMissed
from pyramid_cron.reports import TaskReport
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.liveness import GONE, PidNamespace
from pyramid_cron.store.reap import Lost, Reaper
from pyramid_cron.store.schema import processes, runs
from tests.support.servers import INSTANT


def reaper(server):
    claims = server.claims
    return Reaper(claims.database, claims.options, lambda: claims.own.process.namespace, claims._late)


def test_a_named_run_reaps_a_dead_process(servers, warnings):
    server = servers.start(window='10e9').add(min=0)
    server.tick(0)
    servers.hold()
    assert server.tick(1, names=['task']).tasks[0].reason.startswith('still running: process 4711 on elsewhere')
    servers.execute(update(processes).values(lease_until=0.0))
    assert [task.outcome for task in server.tick(1, names=['task']).tasks] == ['ok']
    assert servers.history('outcome')[-2:] in (['lost', 'ok'], ['ok', 'lost'])


@pytest.mark.slow
def test_minutes_with_a_tick_during_a_lost_run_are_skipped(servers, warnings):
    first = servers.start().add(min='*')
    first.tick(0)
    servers.hold()
    first.tick(1)
    first.tick(2)
    assert servers.minutes('skipped') == [('task', 1), ('task', 2)]
    servers.execute(update(processes).values(lease_until=0.0))
    first.tick(3)
    assert first.ran == [('task', 0), ('task', 3)]
    assert servers.minutes('missed') == []


def test_a_lost_run_is_reported_with_its_process(servers, warnings):
    server = servers.start().add()
    server.tick(0)
    servers.hold(lease_until=0.0)
    report = server.tick(1)
    process = 'process 4711 on elsewhere, since 2020-11-23 02:00:00+00:00'
    assert [(task.name, task.outcome, task.reason) for task in report.tasks] == [('task', 'lost', process)]
    assert str(report) == f'fail: 1 of 1 tasks was lost: task ({process})'
    assert warnings() == [f'task task was lost: its process is dead or has not renewed its lease: {process}']
    assert servers.history('id', 'outcome', 'reason')[-1] == ('other', 'lost', process)
    # one server reports it, and it does not run again
    assert not servers.start().add().tick(1).failed
    assert servers.row()['run_id'] is None
    assert server.ran == [('task', 0)]


def test_a_lost_run_without_commits_is_repeated(servers, warnings):
    server = servers.start().add()
    server.tick(0)
    servers.hold(lease_until=0.0)
    servers.change(transactional=True)
    report = server.tick(1)
    assert [(task.name, task.outcome) for task in report.tasks] == [('task', 'ok')]
    assert server.ran == [('task', 0), ('task', 0)]
    assert servers.history('outcome', 'attempt')[-1] == ('ok', 2)
    (warning,) = warnings()
    assert warning.endswith('nothing of it was committed, and it is to run once more')


def test_a_lost_run_begins_three_times_at_most(servers, warnings):
    server = servers.start().add()
    server.tick(0)
    servers.hold(lease_until=0.0)
    servers.change(transactional=True, attempt=3)
    report = server.tick(1)
    assert [(task.name, task.outcome) for task in report.tasks] == [('task', 'lost')]
    assert server.ran == [('task', 0)]


def test_a_retry_that_is_too_late_is_cancelled(servers, warnings):
    server = servers.start().add()
    server.tick(0)
    servers.change(retry_reason='lost', attempt=1)
    other = servers.start().add(min=0)
    for application in (other, other):
        application.tick(6)
    assert other.ran == []
    assert [warning for warning in warnings() if 'no tick' not in warning] == [
        'task task was missed and does not run for 2020-11-23 02:00+00:00'
    ]
    assert servers.row()['retry_reason'] is None


@pytest.mark.slow
def test_a_newer_minute_replaces_a_lost_run(servers, warnings):
    server = servers.start().add()
    server.tick(0)
    servers.hold(lease_until=0.0)
    servers.change(transactional=True)
    server.tick(5)
    assert server.ran == [('task', 0), ('task', 5)]
    assert servers.row()['retry_reason'] is None


def test_a_lost_run_is_reaped_once(servers, warnings):
    first, second = (servers.start().add() for _ in range(2))
    first.tick(0)
    servers.hold(lease_until=0.0)
    # both servers have read the row before one of them reaps
    state = first.store.states()['task']
    _, lost = reaper(first).reap(state, None, INSTANT, 0.0)
    assert lost == Lost(INSTANT, False)
    assert len(warnings()) == 1
    left, lost = reaper(second).reap(state, None, INSTANT, 0.0)
    assert (left.run_id, lost) == (None, None)
    assert warnings() == []


def test_a_process_with_a_lease_is_not_reaped(servers, warnings):
    server = servers.start().add(min='*')
    server.tick(0)
    servers.hold()
    report = server.tick(1)
    # no process has that number here
    assert PidNamespace.of_this_process().look(4711) == GONE
    assert [(task.outcome, task.reason) for task in report.tasks] == [
        ('stuck', report.tasks[0].reason),
    ]
    assert servers.row()['run_id'] == 'other'


@pytest.mark.slow
def test_the_lost_run_of_a_removed_task_is_reaped(servers, warnings):
    servers.start().add('gone').tick(0)
    servers.hold('gone', lease_until=0.0)
    servers.change('gone', transactional=True)
    server = servers.start().add(min=59)
    server.tick(1)
    assert servers.row('gone')['run_id'] is None
    for minute in range(2, 63):
        server.tick(minute)
    with server.executed() as statements:
        server.tick(63)
    assert len(statements) == servers.statements_of_a_quiet_tick


def test_a_run_that_no_worker_began_is_missed(servers, queue, warnings):
    missed = []
    web = servers.start(catch_up='300').add(via=queue)
    web.config.add_subscriber(missed.append, ITaskMissed)
    web.tick(0)
    servers.change(started_at=servers.row()['started_at'] - 290)
    web.tick(1)
    assert servers.history() == ['queued']
    servers.change(started_at=servers.row()['started_at'] - 20)
    web.tick(2)
    why = 'no worker began it in 5 min, though it was enqueued again'
    assert warnings()[-1] == f'task task was enqueued and does not run: {why}'
    assert servers.history('outcome', 'reason') == [('missed', why)]
    assert [(event.name, event.minutes) for event in missed] == [('task', (INSTANT,))]
    assert servers.row()['run_id'] is None
    web.tick(5)
    # and one again in between
    assert len(queue) == 3


@pytest.mark.slow
@pytest.mark.each_database
def test_a_wait_that_began_in_the_future_begins_now(servers, web, queue, warnings):
    web.tick(0)
    with servers.begin() as connection:
        now = connection.clock()
    servers.change(started_at=now + 4 * 3600)
    for minute in (1, 2):
        web.tick(minute)
    assert 0 <= servers.row()['started_at'] - now < 60
    (warning,) = warnings()
    assert warning.startswith('task task is still queued, since 20')
    assert warning.endswith('by a clock that was ahead: its wait for a worker begins now')


def test_a_wait_begins_anew_once(servers, queue, warnings):
    first, second = (servers.start(catch_up='300').add(via=queue) for _ in range(2))
    first.tick(0)
    began = servers.row()['started_at']
    servers.change(started_at=began + 4 * 3600)
    state = first.store.states()['task']
    for server in (first, second):
        server.ready()
        assert reaper(server).reap(state, server.task(), INSTANT, began) == (state, None)
    assert len(warnings()) == 1


@pytest.mark.slow
def test_minutes_due_while_a_run_waited_are_skipped(servers, queue):
    web = servers.start(catch_up='300').add(via=queue)
    web.tick(0)
    web.tick(5)
    servers.change(started_at=servers.row()['started_at'] - 400)
    web.tick(7)
    assert servers.minutes('missed') == [('task', 0)]
    assert servers.minutes('skipped') == [('task', 5)]
    assert len(queue) == 1


def test_a_waiting_run_expires_once(servers, queue, warnings):
    first, second = (servers.start(catch_up='300').add(via=queue) for _ in range(2))
    first.tick(0)
    servers.change(started_at=servers.row()['started_at'] - 400)
    state = first.store.states()['task']
    for server in (first, second):
        left, lost = reaper(server).reap(state, server.task(), INSTANT, state.started_at + 400)
        assert (left.run_id, lost) == (None, None)
    assert servers.history() == ['missed']
    assert warnings() == ['task task was enqueued and does not run: no worker began it in 6 min']


def test_the_waiting_run_of_a_removed_task_expires(servers, web, queue):
    web.tick(0)
    servers.change(started_at=servers.row()['started_at'] - 400)
    servers.start(catch_up='300').add('other').tick(1)
    assert servers.history()[0] == 'missed'
    assert servers.row()['run_id'] is None


@pytest.mark.slow
def test_a_lost_run_is_the_last_outcome(servers, server, warnings):
    server.tick(0)
    servers.hold(lease_until=0.0)
    server.tick(1)
    row = servers.row()
    assert (row['last_outcome'], row['last_outcome_for']) == ('lost', INSTANT)
    assert (row['failures_in_a_row'], row['last_error'], row['last_success_for']) == (1, None, INSTANT)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('names', 'outcome', 'minute', 'failures'), [(None, 'missed', INSTANT, None), (['task'], 'lost', None, 1)]
)
def test_an_expired_run_is_the_last_outcome(servers, queue, warnings, names, outcome, minute, failures):
    web = servers.start(catch_up='300').add(via=queue)
    if names is None:
        web.tick(0)
    else:
        [run] = web.claims.named(web.registry['cron_tasks'], names, ByHand(enqueue=True)).runs
        run.claim()
        run.release(TaskReport('task', 'queued'))
    servers.change(started_at=servers.row()['started_at'] - 400)
    web.tick(1)
    row = servers.row()
    assert (row['last_outcome'], row['last_outcome_for'], row['failures_in_a_row']) == (outcome, minute, failures)


def test_a_task_without_a_run_is_not_reaped(servers, server):
    server.tick(0)
    state = server.store.states()['task']
    assert reaper(server).reap(state, server.task(), INSTANT, 0.0) == (state, None)
    assert reaper(server).expire(state, server.task(), INSTANT, 'why') == state


def test_a_lost_run_is_repeated_without_its_history(servers, server, warnings):
    server.tick(0)
    servers.hold(lease_until=0.0)
    servers.change(transactional=True)
    servers.execute(delete(runs))
    (task,) = server.tick(1).tasks
    assert (task.outcome, task.attempt) == ('ok', 2)
    (warning,) = warnings()
    assert warning.endswith('nothing of it was committed, and it is to run once more')


def test_a_lost_named_run_keeps_the_retry(servers, warnings):
    server = servers.start().add(min=0, retries=1)
    server.tick(0)
    servers.change(retry_reason='failed')
    servers.hold(lease_until=0.0)
    servers.execute(runs.update().where(runs.c.id == 'other').values(scheduled_for=None))
    lost, retried = server.tick(1).tasks
    assert (lost.outcome, retried.outcome, retried.attempt) == ('lost', 'ok', 2)


def test_an_enqueued_run_waits_until_its_time_is_over(servers, queue):
    web = servers.start(catch_up='300').add(via=queue)
    web.tick(0)
    state = web.store.states()['task']
    for seconds, waits in ((300, True), (301, False)):
        left, _ = reaper(web).reap(state, web.task(), INSTANT + MINUTE, state.started_at + seconds)
        assert left.is_enqueued is waits


@pytest.mark.slow
@pytest.mark.each_database
def test_a_lease_of_the_future_is_taken_back(servers, warnings):
    server = servers.start(window='10e9').add(min='*')
    server.tick(0)
    servers.hold(lease_until=10.0**12)
    with servers.begin() as connection:
        now = connection.clock()
    for minute in (1, 2):
        assert [task.outcome for task in server.tick(minute).tasks] == ['skipped']
    (held,) = (row for row in servers.rows(processes) if row['id'] == 'stranger')
    assert 0 < held['lease_until'] - now < 100
    process = 'process 4711 on elsewhere, since 2020-11-23 02:00:00+00:00'
    limited = [warning for warning in warnings() if 'lease' in warning]
    assert limited == [f'a lease was taken by a clock that was ahead, and ends in 90 s now: {process}']


@pytest.mark.slow
def test_a_lease_of_the_future_is_taken_back_by_one_server(servers, warnings):
    one, other = (servers.start(window='10e9').add(min='*') for _ in range(2))
    one.tick(0)
    servers.hold(lease_until=10.0**12)
    with one.overtaken(of=processes, kind='update', by=lambda: other.tick(1)):
        one.tick(1)
    assert len([warning for warning in warnings() if 'lease' in warning]) == 1
