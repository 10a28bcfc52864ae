"""Stops on request: of runs in progress, by the next heartbeat of their process, and of queued runs."""

import json
from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy import delete

from pyramid_cron import Skip
from pyramid_cron.claims import Backfill, Delivery
from pyramid_cron.errors import Unavailable
from pyramid_cron.events import ITaskFinished
from pyramid_cron.monitoring.health import health_of
from pyramid_cron.orders import run_backfill, run_through
from pyramid_cron.store.schema import audit, processes, tasks
from pyramid_cron.store.stops import NotInProgress
from tests.support.enqueueing import begin
from tests.support.problems import task_problems
from tests.support.servers import INSTANT, MINUTE

pytestmark = pytest.mark.each_database


def stopping(server, seen, after=lambda system: None):
    """Return the body of a task that is stopped while it runs."""

    def body(system):
        seen.append(system['stopping']())
        server.store.stop('task', requested_by='ada')
        seen.append(system['stopping']())
        server.claims.own.heartbeat.beat()
        seen.append(system['stopping']())
        seen.append(system['time_left']())
        return after(system)

    return body


@pytest.fixture
def stopped(servers):
    """Return a function that runs a task which is stopped, and returns server, report and what the task saw."""

    def run(after=lambda system: None):
        server, seen = servers.start(), []
        server.add(body=stopping(server, seen, after))
        [report] = server.tick(0).tasks
        return server, report, seen

    return run


def problem_of(server):
    return next(iter(task_problems(server.registry)), None)


@pytest.mark.slow
def test_a_task_learns_of_a_stop_with_the_next_heartbeat(stopped, servers, warnings):
    _, report, seen = stopped()
    assert seen == [False, False, True, -1]
    assert (report.outcome, report.reason, report.excuse) == ('stopped', 'by ada', None)
    assert servers.history('outcome', 'reason') == [('stopped', 'by ada')]
    first, second = warnings()
    assert first == 'task task: its run is to end, a stop is requested by ada'
    assert second.startswith('task task is stopped by ada after ')


@pytest.mark.slow
def test_the_audit_has_which_user_has_stopped_which_task(stopped, servers):
    stopped()
    [entry] = servers.rows(audit)
    assert (entry['action'], entry['task'], entry['requested_by']) == ('stop requested', 'task', 'ada')


@pytest.mark.slow
def test_a_stopped_run_is_no_success_and_no_failure(servers, stopped):
    server, _, _ = stopped()
    row = servers.row()
    assert (row['last_outcome'], row['last_outcome_for'], row['stop_requested_by']) == ('stopped', INSTANT, 'ada')
    assert (row['run_id'], row['retry_reason'], row['last_success_for'], row['failures_in_a_row']) == (None,) * 4
    problem = problem_of(server)
    assert (problem.kind, problem.error, problem.minute, problem.is_fault) == ('stopped', 'by ada', INSTANT, False)
    assert str(health_of(server.registry)).endswith('stopped: task (by ada)')


@pytest.mark.slow
def test_a_stopped_run_does_not_move_since(servers):
    server, seen, since = servers.start(), [], []
    bodies = iter([lambda system: None, stopping(server, seen), lambda system: None])

    def body(system):
        since.append(system['since'])
        return next(bodies)(system)

    server.add(body=body)
    assert [server.tick(minute).tasks[0].outcome for minute in (0, 5, 10)] == ['ok', 'stopped', 'ok']
    assert since == [None, INSTANT, INSTANT]


@pytest.mark.slow
def test_an_earlier_failure_stays_until_a_run_succeeds(servers):
    server, seen = servers.start(), []

    def fail(system):
        raise ValueError

    bodies = iter([fail, stopping(server, seen)])
    server.add(body=lambda system: next(bodies)(system))
    server.tick(0)
    assert server.tick(5).tasks[0].outcome == 'stopped'
    assert problem_of(server).kind == 'failed'


@pytest.mark.slow
def test_the_request_does_not_reach_the_next_run(servers):
    server, seen = servers.start(), []

    def second(system):
        server.claims.own.heartbeat.beat()
        seen.append(system['stopping']())

    bodies = iter([stopping(server, []), second])
    server.add(body=lambda system: next(bodies)(system))
    server.tick(0)
    assert server.tick(5).tasks[0].outcome == 'ok'
    assert seen == [False]


@pytest.mark.slow
def test_a_stop_that_a_task_does_not_notice_changes_nothing(servers):
    server = servers.start()

    def body(system):
        server.store.stop('task', requested_by='ada')
        server.claims.own.heartbeat.beat()

    server.add(body=body)
    assert server.tick(0).tasks[0].outcome == 'ok'
    assert servers.row()['last_outcome'] == 'ok'


@pytest.mark.slow
def test_a_stop_that_is_requested_after_the_end_is_not_recorded(server):
    server.tick(0)
    with pytest.raises(NotInProgress, match=r'^task task is not running: its last run was ok$'):
        server.store.stop('task')


def test_a_task_without_a_run_yet_is_not_running(server):
    server.tick(1)
    with pytest.raises(NotInProgress, match=r'^task task is not running: it has not run yet$'):
        server.store.stop('task')


def test_a_task_without_a_row_is_unknown(server):
    with pytest.raises(LookupError, match='the store has no task'):
        server.store.stop('other')


@pytest.mark.slow
def test_a_second_stop_is_the_first_one(servers):
    server, stops = servers.start(), []

    def body(system):
        stops.append(server.store.stop('task', requested_by='ada'))
        stops.append(server.store.stop('task', requested_by='bob'))

    server.add(body=body)
    server.tick(0)
    first, second = stops
    assert (first.is_new, second.is_new) == (True, False)
    assert second.request.requested_by == 'ada'
    assert abs(first.request.at - datetime.now(timezone.utc)) < timedelta(minutes=1)
    assert len(servers.rows(audit)) == 1


@pytest.mark.slow
def test_two_runs_of_a_process_are_stopped_one_by_one(servers):
    server, seen = servers.start(), []

    def inner(system):
        server.store.stop('inner')
        server.store.stop('task')
        server.claims.own.heartbeat.beat()
        seen.append(system['stopping']())

    def outer(system):
        server.tick(0, ['inner'])
        seen.append(system['stopping']())

    server.add('inner', inner, min='3').add(body=outer)
    server.tick(0)
    assert seen == [True, True]
    assert sorted(servers.history()) == ['stopped', 'stopped']


@pytest.mark.slow
def test_a_heartbeat_costs_no_statement_more(servers):
    server, counts = servers.start(), []

    def beat():
        with server.executed() as executed:
            server.claims.own.heartbeat.beat()
        return len(executed)

    def body(system):
        counts.append(beat())
        server.store.stop('task')
        counts.append(beat())
        counts.append(beat())

    server.add(body=body)
    server.tick(0)
    before, with_request, after = counts
    assert before == after == 1
    # with that for what is logged of it in the task
    assert with_request == 4


@pytest.mark.slow
def test_a_process_whose_row_was_deleted_has_one_again(servers):
    server = servers.start()

    def body(system):
        servers.execute(delete(processes))
        server.claims.own.heartbeat.beat()

    server.add(body=body)
    server.tick(0)
    assert len(servers.rows(processes)) == 1


@pytest.mark.slow
def test_a_run_without_a_row_of_its_process_cannot_be_stopped(servers):
    server, errors = servers.start(), []

    def body(system):
        servers.execute(delete(processes))
        with pytest.raises(NotInProgress) as caught:
            server.store.stop('task')
        errors.append(str(caught.value))

    server.add(body=body)
    server.tick(0)
    assert errors == ['task task begins and ends runs: look at it again']


@pytest.mark.slow
def test_a_run_that_ends_meanwhile_is_not_stopped(servers):
    server = servers.start().add()
    server.tick(0)
    servers.hold()
    with (
        server.overtaken(of=processes, kind='update', by=lambda: servers.change(run_id=None, process=None)),
        pytest.raises(NotInProgress, match='its last run was ok'),
    ):
        server.store.stop('task')


@pytest.mark.slow
def test_a_request_is_shown_where_the_run_is(servers):
    server, states, reasons = servers.start(), [], []

    def body(system):
        server.store.stop('task', requested_by='ada')
        states.append(server.store.states()['task'])
        reasons.append(server.tick(5).tasks[0].reason)

    server.add(body=body)
    server.tick(0)
    assert states[0].stop_request.requested_by == 'ada'
    assert '; stop requested by ada at ' in reasons[0]
    assert server.store.states()['task'].stop_request is None


@pytest.mark.slow
def test_a_stuck_run_shows_the_request(servers):
    server = servers.start().add()
    server.tick(0)
    servers.hold()
    stop = server.store.stop('task', requested_by='ada')
    assert (stop.is_new, stop.lease_over) == (True, False)
    problem = problem_of(server)
    assert str(problem).endswith(', stop requested by ada')
    assert 'stop requested by ada' in str(health_of(server.registry))


@pytest.mark.slow
def test_a_process_that_may_be_dead_is_reported_with_the_stop(servers):
    server = servers.start().add()
    server.tick(0)
    servers.hold(lease_until=1.0)
    assert server.store.stop('task').lease_over


@pytest.mark.slow
def test_a_process_of_an_older_version_ignores_the_request(servers):
    """Renew the lease as it did before there were requests."""
    server = servers.start().add()
    server.tick(0)
    servers.hold()
    server.store.stop('task', requested_by='ada')
    with servers.begin() as connection:
        process = server.claims.own.process
        process.id = 'stranger'
        process.renew(connection)
    assert server.store.states()['task'].stop_request.requested_by == 'ada'


@pytest.mark.slow
def test_a_request_waits_for_a_database_that_is_away(servers):
    server, seen = servers.start(), []

    def body(system):
        server.store.stop('task')
        with server.outage(of=processes):
            server.claims.own.heartbeat.beat()
        seen.append(system['stopping']())
        server.claims.own.heartbeat.beat()
        seen.append(system['stopping']())

    server.add(body=body)
    server.tick(0)
    assert seen == [False, True]


@pytest.mark.slow
def test_a_stop_without_the_database_is_reported(servers):
    server = servers.start().add()
    server.tick(0)
    servers.hold()
    with server.outage(of=processes), pytest.raises(Unavailable):
        server.store.stop('task')
    assert servers.rows(audit) == []


@pytest.mark.slow
def test_a_stopped_run_with_retries_goes_on_at_the_next_tick(servers):
    server, seen = servers.start(), []
    bodies = iter([stopping(server, seen), stopping(server, seen), stopping(server, seen), lambda system: None])
    server.add(body=lambda system: next(bodies)(system), retries=1, min='0')
    [first] = server.tick(0).tasks
    assert (first.outcome, first.excuse) == ('stopped', 'retrying')
    assert 'next attempt at 02:01' in str(health_of(server.registry))
    # within its minute, for which each server ticks, it does not
    assert server.tick(0).tasks[0].outcome == 'skipped'
    # a stop uses up no retry
    assert [server.tick(minute).tasks[0].outcome for minute in (1, 2, 3)] == ['stopped', 'stopped', 'ok']
    assert servers.history('outcome', 'attempt') == [('stopped', 1), ('stopped', 2), ('stopped', 3), ('ok', 4)]
    assert servers.row()['last_success_for'] == INSTANT
    assert server.tick(4).tasks == ()


@pytest.mark.slow
def test_a_stopped_run_does_not_wait_as_a_failed_one_does(servers):
    server, seen = servers.start(), []
    bodies = iter([stopping(server, seen), lambda system: None])
    server.add(body=lambda system: next(bodies)(system), retries=(600,), min='0')
    server.tick(0)
    assert server.tick(1).tasks[0].outcome == 'ok'


@pytest.mark.slow
def test_a_newer_minute_is_not_kept_waiting(servers):
    server, seen = servers.start(), []
    server.add(body=stopping(server, seen, lambda system: server.clock.sleep(240)), retries=1)
    [report] = server.tick(0).tasks
    assert (report.outcome, report.excuse) == ('stopped', None)


@pytest.mark.slow
def test_each_missed_minute_goes_on_before_the_next(servers):
    server, seen = servers.start(), []
    bodies = iter([stopping(server, seen), *[lambda system: None] * 2])
    server.add(body=lambda system: next(bodies)(system), retries=1, min='*/2', missed='each')
    assert server.tick(0).tasks[0].excuse == 'retrying'
    server.tick(1)
    server.tick(2)
    assert server.ran == [('task', 0), ('task', 0), ('task', 2)]


@pytest.mark.slow
def test_a_further_attempt_that_is_stopped_replaces_the_failure_before(servers):
    server, seen = servers.start(), []

    def fail(system):
        raise ValueError

    bodies = iter([fail, stopping(server, seen), lambda system: None])
    server.add(body=lambda system: next(bodies)(system), retries=1, min='0')
    assert [server.tick(minute).tasks[0].outcome for minute in (0, 1, 2)] == ['failed', 'stopped', 'ok']


@pytest.mark.slow
def test_subscribers_hear_of_a_stopped_run(servers):
    heard = []
    server = servers.start(include=lambda config: config.add_subscriber(heard.append, ITaskFinished))
    server.add(body=stopping(server, []), retries=1, min='0')
    server.tick(0)
    [event] = heard
    assert (event.outcome, event.reason, event.will_retry, event.is_fault) == ('stopped', 'by ada', True, False)


@pytest.mark.slow
def test_work_that_a_task_skips_when_it_is_stopped_is_stopped(stopped, servers):
    def skip(system):
        raise Skip

    _, report, _ = stopped(after=skip)
    assert (report.outcome, report.raised_skip) == ('stopped', False)
    assert servers.row()['last_outcome'] == 'stopped'


@pytest.mark.slow
def test_a_task_that_raises_when_it_is_stopped_has_failed(stopped, servers):
    def fail(system):
        raise ValueError

    _, report, _ = stopped(after=fail)
    assert report.outcome == 'failed'
    assert servers.row()['last_outcome'] == 'failed'


@pytest.mark.slow
def test_a_run_by_name_is_stopped_and_no_problem(servers):
    server, seen = servers.start(), []
    server.add(body=stopping(server, seen))
    [report] = server.tick(0, ['task']).tasks
    assert (report.outcome, report.reason) == ('stopped', 'by ada')
    assert servers.row()['last_outcome'] == 'stopped'
    assert problem_of(server) is None


@pytest.mark.slow
def test_a_stopped_backfill_leaves_its_minute_as_it_was(servers):
    server, seen = servers.start(), []

    def fail(system):
        raise ValueError

    bodies = iter([fail, stopping(server, seen)])
    server.add(body=lambda system: next(bodies)(system))
    server.tick(0)
    assert server.backfill(0).outcome == 'stopped'
    assert (servers.row()['last_outcome'], servers.row()['run_id']) == ('failed', None)
    assert servers.history('outcome', 'made_good_by') == [('failed', None), ('stopped', None)]


@pytest.mark.slow
def test_a_queued_run_ends_at_once(servers, web, worker, queue, warnings):
    web.tick(0)
    warnings()
    stop = web.store.stop('task', requested_by='ada')
    assert stop.was_queued
    assert warnings() == ['task task: its queued run is stopped by ada']
    row = servers.row()
    assert (row['last_outcome'], row['run_id'], row['handed_over_for'], row['retry_reason']) == ('stopped', *[None] * 3)
    assert servers.history('outcome', 'reason') == [('stopped', 'by ada, before a worker began it')]
    [entry] = servers.rows(audit)
    assert (entry['action'], entry['requested_by']) == ('stopped', 'ada')
    assert problem_of(web).kind == 'stopped'


@pytest.mark.slow
def test_the_late_delivery_of_a_stopped_run_does_nothing(servers, web, worker, queue):
    web.tick(0)
    web.store.stop('task', requested_by='ada')
    report = begin(worker, queue[0])
    assert (report.outcome, report.reason) == ('skipped', 'it was stopped: by ada, before a worker began it')
    assert worker.ran == []
    assert servers.history() == ['stopped']


@pytest.mark.slow
def test_minutes_during_the_wait_of_a_stopped_run_are_not_owed(servers, web, worker, queue):
    web.tick(0)
    web.tick(5)
    web.store.stop('task')
    assert web.tick(6).tasks == ()
    assert web.tick(10).tasks[0].outcome == 'queued'


@pytest.mark.slow
def test_a_queued_run_by_name_ends_at_once(servers, web, worker, queue):
    web.ready()
    run_through(web.config.make_wsgi_app(), web.registry, INSTANT, ['task'], enqueue=True)
    web.store.stop('task', requested_by='ada', delivery=Delivery('task', None, servers.row()['run_id']))
    assert servers.row()['run_id'] is None
    report = begin(worker, queue[0])
    assert (report.outcome, report.reason) == ('skipped', 'it was stopped')


@pytest.mark.slow
def test_a_queued_backfill_leaves_its_minute_as_it_was(servers, web, queue):
    web.tick(0)
    web.store.stop('task')
    before = servers.row()
    wanted = Backfill('task', INSTANT)
    report = run_backfill(web.config.make_wsgi_app(), web.registry, wanted, enqueue=True)
    assert report.outcome == 'queued'
    assert web.store.stop('task', delivery=Delivery('task', INSTANT)).was_queued
    row = servers.row()
    assert {name: row[name] for name in before if name not in ('started_at', 'last_seen')} == {
        name: value for name, value in before.items() if name not in ('started_at', 'last_seen')
    }
    assert sorted(servers.history('outcome', 'trigger')) == [('stopped', 'backfill'), ('stopped', 'request')]


@pytest.mark.slow
def test_a_worker_that_begins_the_queued_run_meanwhile_is_to_end(servers, web, queue):
    seen = []
    worker = servers.start(catch_up=str(10 * 365 * 86400))

    def body(system):
        worker.claims.own.heartbeat.beat()
        seen.append(system['stopping']())

    worker.add(body=body, via=queue)
    web.tick(0)
    stops = []

    def stop(system):
        stops.append(web.store.stop('task', requested_by='ada'))
        body(system)

    worker.task().f = stop
    report = begin(worker, queue[0])
    assert not stops[0].was_queued
    assert (report.outcome, seen) == ('stopped', [True])


@pytest.mark.slow
def test_the_row_of_a_queued_run_that_changes_is_read_again(servers, web, queue):
    worker = servers.start(catch_up=str(10 * 365 * 86400)).add(via=queue)
    worker.ready()
    web.tick(0)
    first = 'update' if servers.engine.dialect.name == 'sqlite' else 'lock'
    with (
        web.overtaken(of=tasks, by=lambda: begin(worker, queue[0]), kind=first),
        pytest.raises(NotInProgress, match='its last run was ok'),
    ):
        web.store.stop('task')
    assert servers.history() == ['ok']


@pytest.mark.slow
def test_a_stopped_run_of_a_worker_is_enqueued_again_with_retries(servers, queue):
    server, seen = servers.start(catch_up=str(10 * 365 * 86400)), []
    bodies = iter([stopping(server, seen), lambda system: None])
    # by the present time, at which it ends, another minute may be due
    server.add(body=lambda system: next(bodies)(system), via=queue, retries=1, min='0', missed='each')
    server.tick(0)
    assert begin(server, queue[0]).outcome == 'stopped'
    assert server.tick(1).tasks[0].outcome == 'queued'
    assert queue[0].key == queue[1].key
    assert begin(server, queue[1]).outcome == 'ok'


@pytest.mark.slow
@pytest.mark.parametrize('only', [{'run_id': 'another'}, {'delivery': Delivery('task', INSTANT + MINUTE)}])
def test_another_run_is_not_stopped(servers, only):
    server = servers.start().add()
    server.tick(0)
    servers.hold()
    with pytest.raises(NotInProgress, match=r'^that run of task task is not in progress: another one is$'):
        server.store.stop('task', **only)
    assert servers.rows(processes)[-1]['stops'] is None


@pytest.mark.slow
@pytest.mark.parametrize('only', [{'run_id': 'other'}, {'delivery': Delivery('task', INSTANT)}])
def test_a_run_is_stopped_by_its_token_or_its_minute(servers, only):
    server = servers.start().add()
    server.tick(0)
    servers.hold()
    assert server.store.stop('task', **only).is_new


@pytest.mark.slow
def test_the_requests_of_a_process_are_a_text_in_its_row(servers):
    server = servers.start().add()
    server.tick(0)
    servers.hold()
    server.store.stop('task', requested_by='ada')
    [text] = [row['stops'] for row in servers.rows(processes) if row['id'] == 'stranger']
    assert [*json.loads(text)] == ['other']
