"""Enqueued runs, from the tick to the worker: their claims, their deliveries and their ends."""

import logging
from datetime import timedelta

import pytest
from sqlalchemy import update

from pyramid_cron import TaskReport, perform
from pyramid_cron.claims import ByHand
from pyramid_cron.errors import Unavailable
from pyramid_cron.events import ITaskFinished, ITaskMissed, ITaskStarted
from pyramid_cron.orders import run_through
from pyramid_cron.run_keys import key_of, read_key, write_key
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store import Fenced
from pyramid_cron.store.run_records import find_record
from pyramid_cron.store.schema import processes, runs, tasks
from tests.support.enqueueing import LONG, Queue, begin
from tests.support.servers import INSTANT
from tests.support.statements import GONE


def outcomes(report):
    return [(task.name, task.outcome) for task in report.tasks]


def test_an_enqueued_run_waits_without_a_process(servers, web, queue):
    assert outcomes(web.tick(0)) == [('task', 'queued')]
    assert [handover.key for handover in queue] == ['app:task@2020-11-23T02:00Z']
    assert web.ran == []
    row = servers.row()
    assert (row['process'], row['handed_over_for'], row['last_minute']) == (None, '2020-11-23T02:00+00:00', INSTANT)
    assert servers.history('outcome', 'attempt', 'trigger') == [('queued', 1, 'request')]


def test_an_enqueued_run_is_recorded_where_it_ran(servers, web, worker, queue):
    web.tick(0)
    servers.execute(update(runs).values(host='elsewhere', pid=1))
    report = begin(worker, queue[0])
    assert (report.outcome, worker.ran, web.ran) == ('ok', [('task', 0)], [])
    assert servers.history('outcome', 'host', 'pid') == [
        ('ok', worker.claims.own.process.host, worker.claims.own.process.pid),
    ]
    row = servers.row()
    assert (row['run_id'], row['handed_over_for'], row['process']) == (None, None, None)


def test_a_worker_records_that_a_run_is_running(servers, web, queue):
    seen = []
    worker = servers.start(catch_up=LONG).add(body=lambda system: seen.extend(servers.history()), via=queue)
    web.tick(0)
    begin(worker, queue[0])
    assert seen == ['running']


def test_a_second_delivery_does_nothing(servers, web, worker, queue, warnings):
    web.tick(0)
    begin(worker, queue[0])
    warnings()
    report = begin(worker, queue[0])
    assert (report.outcome, report.reason) == ('skipped', 'already run')
    assert warnings() == []
    assert worker.ran == [('task', 0)]
    assert servers.history() == ['ok']


def test_one_of_two_workers_claims_a_delivery(servers, web, worker, queue):
    web.tick(0)
    other = servers.start(catch_up=LONG).add(via=queue)
    other.ready()
    with worker.overtaken(of=tasks, kind='update', sets='run_id', by=lambda: begin(other, queue[0])):
        report = begin(worker, queue[0])
    assert (report.outcome, report.reason) == ('skipped', 'already run')
    assert other.ran == [('task', 0)]
    assert worker.ran == []


def test_a_run_can_begin_before_its_enqueueing_ends(servers, worker):
    def send(handover):
        begin(worker, handover)

    web = servers.start(catch_up=LONG).add(via=send)
    assert outcomes(web.tick(0)) == [('task', 'queued')]
    assert worker.ran == [('task', 0)]
    assert servers.history() == ['ok']
    assert servers.row()['run_id'] is None


def test_a_run_that_began_is_not_enqueued_again(servers, worker):
    def send(handover):
        begin(worker, handover)
        raise TimeoutError

    web = servers.start(catch_up=LONG).add(via=send)
    assert outcomes(web.tick(0)) == [('task', 'failed')]
    assert servers.history() == ['ok']
    web.tick(1)
    assert worker.ran == [('task', 0)]


@pytest.mark.slow
def test_a_failed_enqueueing_is_retried_at_the_next_tick(servers, web, worker, queue, warnings):
    queue.broken = ConnectionError('no broker')
    report = web.tick(0)
    assert report.failed
    assert str(report) == 'fail: 1 of 1 tasks failed: task'
    assert warnings() == ['task task could not be enqueued after 0.000 s']
    assert servers.history('outcome', 'error') == [('failed', 'ConnectionError')]
    # not within the minute, for which every server ticks
    assert [task.outcome for task in web.tick(0).tasks] == ['skipped']
    queue.broken = None
    [again] = web.tick(1).tasks
    assert (again.outcome, again.attempt) == ('queued', 2)
    assert begin(worker, queue[0]).outcome == 'ok'
    assert servers.history('outcome', 'attempt') == [('failed', 1), ('ok', 2)]


def test_a_failed_enqueueing_is_missed_after_catch_up(servers, queue, warnings):
    web = servers.start(catch_up='120').add(via=queue)
    queue.broken = ConnectionError()
    for minute in range(3):
        web.tick(minute)
    warnings()
    assert web.tick(3).tasks == ()
    assert warnings() == ['task task was missed and does not run for 2020-11-23 02:00+00:00']
    assert servers.history() == ['failed'] * 3


@pytest.mark.slow
def test_a_run_of_a_dead_server_is_enqueued_again(servers, web, worker, queue, warnings):
    [run] = web.runs(0)
    assert run.claim() is None
    run.engine.enqueue(run)
    # killed before it could record that
    servers.execute(update(processes).values(boot_and_pidns='another boot', lease_until=0.0))
    servers.start(catch_up=LONG).add(via=queue).tick(1)
    assert [handover.key for handover in queue] == ['app:task@2020-11-23T02:00Z'] * 2
    assert [begin(worker, handover).outcome for handover in queue] == ['ok', 'skipped']
    assert worker.ran == [('task', 0)]
    assert servers.history('outcome', 'attempt') == [('lost', 1), ('ok', 2)]
    assert warnings()[0].endswith('nothing of it was committed, and it is to run once more')


def test_a_waiting_run_is_an_overlap(servers, web, queue):
    web.tick(0)
    [report] = web.tick(5).tasks
    assert report.outcome == 'skipped'
    assert report.reason.startswith('still queued, since ')
    assert len(queue) == 1
    assert servers.minutes('skipped') == [('task', 5)]


@pytest.mark.slow
def test_a_run_in_a_worker_is_stuck_as_any_other(servers, web, queue):
    web.tick(0)
    servers.hold()
    servers.change(handed_over_for=None)
    [report] = web.tick(5).tasks
    assert report.outcome == 'stuck'
    assert report.reason.startswith('running for ')


def test_a_late_delivery_is_missed(servers, queue, warnings):
    web = servers.start(catch_up='300').add(via=queue)
    web.tick(0)
    report = begin(web, queue[0])
    assert report.outcome == 'missed'
    assert report.reason.startswith('it came ')
    assert web.ran == []
    assert servers.history('outcome', 'reason') == [('missed', report.reason)]
    assert servers.row()['run_id'] is None
    # and once more
    assert begin(web, queue[0]).outcome == 'skipped'


def test_a_run_that_failed_in_a_worker_is_retried(servers, queue):
    def fail(system):
        raise LookupError('no')

    # the worker looks at the clock: not due again before the next attempt
    once_a_year = {'hour': 2, 'min': 0, 'day': INSTANT.day, 'month': INSTANT.month}
    web, worker = (servers.start(catch_up=LONG).add(body=fail, via=queue, retries=1, **once_a_year) for _ in range(2))
    web.tick(0)
    report = begin(worker, queue.pop())
    assert (report.outcome, type(report.exception)) == ('failed', LookupError)
    assert [task.attempt for task in web.tick(1).tasks] == [2]
    assert begin(worker, queue.pop()).attempt == 2
    assert servers.history('outcome', 'attempt', 'error') == [
        ('failed', 1, 'LookupError'),
        ('failed', 2, 'LookupError'),
    ]
    assert web.tick(2).tasks == ()


def test_a_run_of_a_dead_worker_is_lost(servers, web, worker, queue, warnings):
    def reap():
        servers.execute(update(processes).values(boot_and_pidns='another boot', lease_until=0.0))
        web.tick(1)

    web.tick(0)
    dying = servers.start(catch_up=LONG).add(body=lambda system: reap(), via=queue)
    report = begin(dying, queue[0])
    # it goes on, as a process does that was only frozen
    assert (report.outcome, type(report.exception)) == ('failed', Fenced)
    assert servers.history() == ['lost']
    assert len(queue) == 1


def test_a_run_of_an_interrupted_worker_is_lost(servers, web, queue):
    def interrupt(system):
        raise KeyboardInterrupt

    web.tick(0)
    worker = servers.start(catch_up=LONG).add(body=interrupt, via=queue)
    with pytest.raises(KeyboardInterrupt):
        begin(worker, queue[0])
    assert servers.history() == ['lost']
    assert servers.row()['run_id'] is None


def test_a_run_in_a_worker_has_no_time_limit(servers, queue):
    seen = []
    web, worker = (servers.start(catch_up=LONG).add(body=seen.append, via=queue) for _ in range(2))
    web.tick(0)
    begin(worker, queue[0])
    [system] = seen
    assert system['time_left']() == float('inf')
    assert system['scheduled_for'] == INSTANT
    assert system['request'].registry is system['registry']
    assert system['registry'] is worker.registry


def test_both_processes_send_events(servers, queue):
    outcomes_sent = []
    web, worker = (servers.start(catch_up=LONG).add(via=queue) for _ in range(2))
    for server in (web, worker):
        server.config.add_subscriber(lambda event: outcomes_sent.append(event.outcome), ITaskFinished)
    web.tick(0)
    begin(worker, queue[0])
    assert outcomes_sent == ['queued', 'ok']


@pytest.mark.slow
def test_a_named_run_is_enqueued_on_request(servers, web, worker, queue):
    assert outcomes(web.tick(0, ['task'])) == [('task', 'ok')]
    assert queue == []
    claims = web.claims
    [run] = claims.named(web.registry['cron_tasks'], ['task'], ByHand('root', enqueue=True)).runs
    assert claims.claim(run) is None
    run.engine.enqueue(run)
    assert claims.release(run, report_of('queued')).outcome == 'queued'
    [handover] = queue
    assert handover.key == f'app:task@{run.run_id}'
    assert servers.row()['handed_over_for'] == run.run_id
    # that of another run
    assert perform(worker.config.make_wsgi_app(), 'app:task@2020-11-23T02:00Z').outcome == 'failed'
    assert begin(worker, handover).outcome == 'ok'
    assert servers.history('trigger', 'requested_by', 'outcome')[-1] == ('manual', 'root', 'ok')
    assert servers.row()['last_minute'] is None


def run_by_name(web):
    run_through(web.config.make_wsgi_app(), web.registry, INSTANT, ['task'], enqueue=True)


def run_for_past_minute(web):
    web.ready()
    # its minute is older than the history, and may have been ok
    web.backfill(0, again=True, enqueue=True)


@pytest.mark.each_database
@pytest.mark.parametrize('run_by_hand', [run_by_name, run_for_past_minute])
def test_a_run_by_hand_keeps_its_key(servers, web, queue, run_by_hand):
    found, events = [], []

    def look():
        with web.store.database.reading() as connection:
            run = find_record(connection, read_key('app', handover.key), None).run
        found.append((run.outcome, key_of('app', run)))

    def body(system):
        look()
        assert not web.store.stop('task', delivery=read_key('app', handover.key)).was_queued
        # the button of a page that was loaded before
        assert not web.store.stop('task', run_id=queued['run_id']).is_new

    worker = servers.start(catch_up=LONG).add(body=body, via=queue)
    worker.config.add_subscriber(events.append, ITaskStarted)
    run_by_hand(web)
    [handover], queued = queue, servers.row()
    look()
    assert begin(worker, handover).outcome == 'ok'
    look()
    assert found == [(outcome, handover.key) for outcome in ('queued', 'running', 'ok')]
    assert [event.key for event in events] == [handover.key] * 2
    assert begin(worker, handover).reason == 'already run'


def test_each_worker_has_a_token_of_its_own_for_one_key(servers, web, worker, queue):
    run_by_name(web)
    other = servers.start(catch_up=LONG).add(via=queue)
    delivery = read_key('app', queue[0].key)
    [first], [second] = (
        server.claims.delivered(server.registry['cron_tasks'], delivery, timedelta(0)).runs
        for server in (worker, other)
    )
    assert len({queue[0].key[-32:], first.run_id, second.run_id}) == 3
    assert {write_key('app', 'task', None, run.run_id) for run in (first, second)} == {queue[0].key}
    assert [worker.claims.claim(first), other.claims.claim(second).reason] == [None, 'already run']
    # nor does it end the run of the other one
    other.claims.interrupt(second)
    assert servers.row()['run_id'] == first.run_id
    worker.claims.interrupt(first)


def report_of(outcome, exception=None):
    return TaskReport('task', outcome, exception=exception)


def claim_by_name(server):
    [run] = server.claims.named(server.registry['cron_tasks'], ['task'], ByHand(enqueue=True)).runs
    assert run.claim() is None
    return run


def test_a_named_run_that_cannot_be_enqueued_has_failed(servers, web, queue):
    run = claim_by_name(web)
    run.release(report_of('failed', ConnectionError()))
    assert servers.history('outcome', 'error') == [('failed', 'ConnectionError')]
    assert (servers.row()['run_id'], servers.row()['retry_reason']) == (None, None)


def test_a_dead_named_enqueueing_repeats_no_minute(servers, web, worker, queue):
    web.tick(0)
    begin(worker, queue[0])
    claim_by_name(web)
    servers.execute(update(processes).values(boot_and_pidns='another boot', lease_until=0.0))
    web.tick(1)
    assert len(queue) == 1
    assert servers.row()['retry_reason'] is None


def test_a_named_run_that_no_worker_began_is_lost(servers, queue):
    events = []
    web = servers.start(catch_up='300', include=lambda config: config.add_subscriber(events.append, ITaskMissed)).add(
        via=queue
    )
    web.claims.release(claim_by_name(web), report_of('queued'))
    servers.change(started_at=servers.row()['started_at'] - 400)
    web.tick(1)
    assert servers.history('outcome', 'reason') == [('lost', 'no worker began it in 6 min')]
    # it has missed no minute
    assert events == []


def test_an_interrupted_named_enqueueing_is_lost(servers, web):
    run = claim_by_name(web)
    web.claims.interrupt(run)
    assert servers.history() == ['lost']
    assert (servers.row()['run_id'], servers.row()['retry_reason']) == (None, None)


def test_an_interrupted_enqueueing_is_retried(servers, web, queue):
    [run] = web.runs(0)
    assert run.claim() is None
    web.claims.interrupt(run)
    assert servers.row()['retry_reason'] == 'lost'
    web.tick(1)
    assert len(queue) == 1


def test_without_the_store_no_delivery_begins(servers, web, worker, queue):
    web.tick(0)
    with worker.outage(kind='select'), pytest.raises(Unavailable, match='the database has gone'):
        begin(worker, queue[0])
    with worker.outage(of=tasks, kind='update', times=1), pytest.raises(Unavailable, match='the database has gone'):
        begin(worker, queue[0])
    assert worker.ran == []


def test_a_paused_task_is_not_enqueued(servers, web, queue):
    web.tick(0, ['task'])
    web.store.pause(['task'], reason='no')
    servers.paused_from(0)
    assert [task.outcome for task in web.tick(5).tasks] == ['paused']
    assert queue == []


def test_the_end_of_enqueueing_is_recorded_after_an_outage(servers, web, worker, queue):
    [run] = web.runs(0)
    assert run.claim() is None
    run.engine.enqueue(run)
    with web.outage(of=tasks, kind='update'):
        run.release(report_of('queued'))
    assert servers.row()['process'] is not None
    web.tick(1)
    assert servers.row()['process'] is None
    assert begin(worker, queue[0]).outcome == 'ok'


def test_the_log_names_the_engine(web, caplog):
    caplog.set_level(logging.INFO, 'pyramid_cron')
    web.tick(0)
    key = 'app:task@2020-11-23T02:00Z'
    assert f'task task is enqueued with {Queue.__module__}.Queue as {key}' in caplog.messages
    assert caplog.messages[-1].endswith('0 ok, 0 failed, 0 skipped, 1 queued')


def test_minutes_with_ticks_during_a_run_are_not_owed(servers, web, queue):
    worker = servers.start(catch_up=LONG).add(body=lambda system: web.tick(5), via=queue)
    web.tick(0)
    begin(worker, queue[0])
    assert servers.row()['busy_until'] == INSTANT + 5 * MINUTE
    # that of minute 10 did not come
    [report] = web.tick(11).tasks
    assert (report.outcome, report.scheduled_for) == ('queued', INSTANT + 10 * MINUTE)
    assert servers.minutes('skipped') == [('task', 5)]


def test_a_run_that_is_not_enqueued_is_the_last_outcome(servers, web, queue):
    queue.broken = ConnectionError('no broker')
    web.tick(0)
    row = servers.row()
    assert (row['last_outcome'], row['last_outcome_for'], row['last_error']) == ('failed', INSTANT, 'ConnectionError')
    assert row['failures_in_a_row'] == 1


class EngineWithinClaim:
    """An engine that writes its job on the connection of the claim, and fails to do so."""

    within_claim, broker = True, 'queue'
    is_limited = False

    def enqueue_all(self, runs, connection):
        raise ConnectionError('no broker')


def test_a_claim_that_is_rolled_back_is_the_last_outcome(servers, warnings):
    web = servers.start().add()
    web.task().engine = EngineWithinClaim()
    (task,) = web.tick(0).tasks
    assert (task.outcome, str(task.exception)) == ('failed', 'it cannot be enqueued: ConnectionError: no broker')
    assert task.exception.brief == 'it cannot be enqueued: ConnectionError'
    row = servers.row()
    assert (row['last_outcome'], row['last_outcome_for'], row['last_error']) == ('failed', INSTANT, 'ConnectionError')
    assert (row['run_id'], row['last_minute'], row['failures_in_a_row']) == (None, None, 1)
    assert servers.history('outcome', 'attempt') == [('failed', 0)]
    # the minute is still to run
    web.task().engine = None
    assert [task.outcome for task in web.tick(1).tasks] == ['ok']


def test_an_outage_after_a_rolled_back_claim_is_logged(servers, warnings):
    web = servers.start().add()
    web.task().engine = EngineWithinClaim()
    with web.outage(of=tasks, kind='update', sets='last_outcome'):
        assert web.tick(0).failed
    assert f'it cannot be recorded that task task was not enqueued: {GONE}' in warnings()


def test_a_named_run_in_a_rolled_back_claim_is_not_recorded(servers):
    web = servers.start().add()
    web.task().engine = EngineWithinClaim()
    web.tick(-1)
    [run] = web.claims.named(web.registry['cron_tasks'], ['task'], ByHand(enqueue=True)).runs
    with pytest.raises(Unavailable, match='it cannot be enqueued'):
        run.claim()
    assert servers.history() == []
    assert servers.row()['last_outcome'] is None


@pytest.mark.slow
def test_a_run_that_failed_in_a_worker_is_repeated_after_its_wait(servers, queue):
    def fail(system):
        raise LookupError('no')

    # each missed minute: otherwise the worker, by its own clock, leaves out an attempt that the next hour comes before
    options = {'body': fail, 'via': queue, 'min': 0, 'retries': (600,), 'missed': 'each'}
    first, web = (servers.start(catch_up=catch_up).add(**options) for catch_up in (LONG, 60))
    first.tick(0)
    begin(first, queue.pop())
    assert web.tick(9).tasks == ()
    assert [task.attempt for task in web.tick(10).tasks] == [2]
    # its minute was years ago, and it was enqueued just now
    assert begin(web, queue.pop()).outcome == 'failed'
    assert servers.history('outcome', 'attempt') == [('failed', 1), ('failed', 2)]
