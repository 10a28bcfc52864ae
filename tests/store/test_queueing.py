"""Runs that are handed over: who has them, who begins them, and what becomes of those that nobody does."""

import logging

import pytest
from sqlalchemy import delete, update

from pyramid_cron import perform
from pyramid_cron.claims import Unavailable
from pyramid_cron.events import ITaskFinished, ITaskMissed
from pyramid_cron.reports import TaskReport
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.complete import Fenced
from pyramid_cron.store.poll import UNKNOWN
from pyramid_cron.store.schema import processes, runs, tasks

from .conftest import INSTANT

# so long that a minute of the year 2020 is not too late
LONG = str(10 * 365 * 86400)


class Queue(list):
    """What was handed over, the first to come first."""

    broken = None

    def __call__(self, handover):
        if self.broken is not None:
            raise self.broken
        self.append(handover)


@pytest.fixture
def queue():
    return Queue()


@pytest.fixture
def web(servers, queue):
    """A server whose task is handed over."""
    return servers.start(catch_up=LONG).add(via=queue)


@pytest.fixture
def worker(servers, queue):
    """The application in a process of another machine, as far as the store can tell."""
    worker = servers.start(catch_up=LONG).add(via=queue)
    worker.ready()
    return worker


def begin(worker, handover):
    return perform(worker.config.make_wsgi_app(), handover.key)


def statuses(report):
    return [(task.name, task.outcome) for task in report.tasks]


def test_a_task_that_is_handed_over_waits_in_nobodys_hands(servers, web, queue):
    assert statuses(web.tick(0)) == [('task', 'handed over')]
    assert [handover.key for handover in queue] == ['app:task@2020-11-23T02:00Z']
    assert web.ran == []
    row = servers.row()
    assert (row['process'], row['queued'], row['last_minute']) == (None, '2020-11-23T02:00+00:00', INSTANT)
    assert servers.history('outcome', 'attempt', 'trigger') == [('queued', 1, 'request')]


def test_it_runs_where_it_is_delivered_and_its_record_says_where(servers, web, worker, queue):
    web.tick(0)
    servers.execute(update(runs).values(host='elsewhere', pid=1))
    report = begin(worker, queue[0])
    assert (report.outcome, worker.ran, web.ran) == ('ok', [('task', 0)], [])
    assert servers.history('outcome', 'host', 'pid') == [
        ('ok', worker.claims.process.host, worker.claims.process.pid),
    ]
    row = servers.row()
    assert (row['run_id'], row['queued'], row['process']) == (None, None, None)


def test_while_it_runs_the_record_says_so(servers, web, queue):
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


def test_of_two_that_take_it_at_once_one_has_it(servers, web, worker, queue):
    web.tick(0)
    other = servers.start(catch_up=LONG).add(via=queue)
    other.ready()
    with worker.overtaken('UPDATE cron_tasks SET run_id', lambda: begin(other, queue[0])):
        report = begin(worker, queue[0])
    assert (report.outcome, report.reason) == ('skipped', 'already run')
    assert other.ran == [('task', 0)]
    assert worker.ran == []


def test_it_can_begin_before_who_hands_it_over_knows_that_it_was(servers, worker):
    def send(handover):
        begin(worker, handover)

    web = servers.start(catch_up=LONG).add(via=send)
    assert statuses(web.tick(0)) == [('task', 'handed over')]
    assert worker.ran == [('task', 0)]
    assert servers.history() == ['ok']
    assert servers.row()['run_id'] is None


def test_what_was_sent_and_seems_not_to_be_is_not_sent_again(servers, worker):
    def send(handover):
        begin(worker, handover)
        raise TimeoutError

    web = servers.start(catch_up=LONG).add(via=send)
    assert statuses(web.tick(0)) == [('task', 'failed')]
    assert servers.history() == ['ok']
    web.tick(1)
    assert worker.ran == [('task', 0)]


def test_a_send_that_fails_is_a_failure_and_is_tried_again_at_the_next_tick(servers, web, worker, queue, warnings):
    queue.broken = ConnectionError('no broker')
    report = web.tick(0)
    assert report.failed
    assert str(report) == 'fail: 1 of 1 tasks failed: task'
    assert warnings() == ['task task could not be handed over after 0.000 s']
    assert servers.history('outcome', 'error') == [('failed', 'ConnectionError')]
    # not within the minute, in which every server asks
    assert [task.outcome for task in web.tick(0).tasks] == ['skipped']
    queue.broken = None
    [again] = web.tick(1).tasks
    assert (again.outcome, again.attempt) == ('handed over', 2)
    assert begin(worker, queue[0]).outcome == 'ok'
    assert servers.history('outcome', 'attempt') == [('failed', 1), ('ok', 2)]


def test_a_send_that_fails_is_given_up_when_it_is_too_late(servers, queue, warnings):
    web = servers.start(catch_up='120').add(via=queue)
    queue.broken = ConnectionError()
    for minute in range(3):
        web.tick(minute)
    warnings()
    assert web.tick(3).tasks == ()
    assert warnings() == ['task task was missed and does not run for 2020-11-23 02:00+00:00']
    assert servers.history() == ['failed'] * 3


def test_a_server_that_dies_while_it_sends_has_another_one_hand_over_again(servers, web, worker, queue, warnings):
    [turn] = web.turns(0)
    assert web.claims.claim(turn) is None
    turn.engine.enqueue(turn)
    # killed before it could say that it has sent
    servers.execute(update(processes).values(place='another boot', lease_until=0.0))
    servers.start(catch_up=LONG).add(via=queue).tick(1)
    assert [handover.key for handover in queue] == ['app:task@2020-11-23T02:00Z'] * 2
    assert [begin(worker, handover).outcome for handover in queue] == ['ok', 'skipped']
    assert worker.ran == [('task', 0)]
    assert servers.history('outcome', 'attempt') == [('lost', 1), ('ok', 2)]
    assert warnings()[0].endswith('nothing of it was committed, and it is to run once more')


def test_while_it_waits_it_is_not_handed_over_for_another_minute(servers, web, queue):
    web.tick(0)
    [report] = web.tick(5).tasks
    assert report.outcome == 'skipped'
    assert report.reason.startswith('still queued, since ')
    assert len(queue) == 1
    assert servers.minutes('skipped') == [('task', 5)]


def test_a_run_elsewhere_may_take_longer_than_a_request_and_is_not_stuck(servers, web, queue):
    web.tick(0)
    servers.hold()
    servers.change(queued=None)
    [report] = web.tick(5).tasks
    assert report.outcome == 'skipped'
    assert report.reason.startswith('still running: process 4711 on elsewhere')


def test_what_nobody_takes_in_time_is_missed(servers, queue, warnings):
    missed = []
    web = servers.start(catch_up='300').add(via=queue)
    web.config.add_subscriber(missed.append, ITaskMissed)
    web.tick(0)
    servers.change(began=servers.row()['began'] - 290)
    web.tick(1)
    assert servers.history() == ['queued']
    servers.change(began=servers.row()['began'] - 20)
    web.tick(2)
    assert warnings() == ['task task was handed over, and does not run: nobody took it in 5 min']
    assert servers.history('outcome', 'reason') == [('missed', 'nobody took it in 5 min')]
    assert [(event.name, event.minutes) for event in missed] == [('task', (INSTANT,))]
    assert servers.row()['run_id'] is None
    web.tick(5)
    assert len(queue) == 2


def test_minutes_that_were_due_while_it_waited_in_vain_are_skipped(servers, queue):
    web = servers.start(catch_up='300').add(via=queue)
    web.tick(0)
    web.tick(5)
    servers.change(began=servers.row()['began'] - 400)
    web.tick(7)
    assert servers.minutes('missed') == [('task', 0)]
    assert servers.minutes('skipped') == [('task', 5)]
    assert len(queue) == 1


def test_a_delivery_that_comes_too_late_is_dropped_and_recorded(servers, queue, warnings):
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


def test_what_two_servers_give_up_at_once_is_given_up_once(servers, queue, warnings):
    first, second = (servers.start(catch_up='300').add(via=queue) for _ in range(2))
    first.tick(0)
    servers.change(began=servers.row()['began'] - 400)
    row = {**servers.row(), **dict.fromkeys(('host', 'pid', 'place', 'born', 'lease_over'))}
    now = row['began'] + 400
    for server in (first, second):
        left, _ = server.claims._look.released(row, server.task(), INSTANT, now)
        assert left['run_id'] is None
    assert servers.history() == ['missed']
    assert warnings() == ['task task was handed over, and does not run: nobody took it in 6 min']


def test_a_task_that_was_removed_does_not_stay_queued(servers, web, queue):
    web.tick(0)
    servers.change(began=servers.row()['began'] - 400)
    servers.start(catch_up='300').add('other').tick(1)
    assert servers.history()[0] == 'missed'
    assert servers.row()['run_id'] is None


def test_what_failed_elsewhere_is_handed_over_again_if_it_has_retries(servers, queue):
    def fail(system):
        raise LookupError('no')

    web, worker = (servers.start(catch_up=LONG).add(body=fail, via=queue, retries=1) for _ in range(2))
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


def test_a_worker_that_dies_is_lost(servers, web, worker, queue, warnings):
    def look_after():
        servers.execute(update(processes).values(place='another boot', lease_until=0.0))
        web.tick(1)

    web.tick(0)
    dying = servers.start(catch_up=LONG).add(body=lambda system: look_after(), via=queue)
    report = begin(dying, queue[0])
    # it goes on, as one that was only frozen
    assert (report.outcome, type(report.exception)) == ('failed', Fenced)
    assert servers.history() == ['lost']
    assert len(queue) == 1


def test_the_end_of_a_worker_leaves_its_run_lost(servers, web, queue):
    def interrupt(system):
        raise KeyboardInterrupt

    web.tick(0)
    worker = servers.start(catch_up=LONG).add(body=interrupt, via=queue)
    with pytest.raises(KeyboardInterrupt):
        begin(worker, queue[0])
    assert servers.history() == ['lost']
    assert servers.row()['run_id'] is None


def test_time_left_has_no_end_and_the_minute_is_that_of_the_tick(servers, queue):
    seen = []
    web, worker = (servers.start(catch_up=LONG).add(body=seen.append, via=queue) for _ in range(2))
    web.tick(0)
    begin(worker, queue[0])
    [system] = seen
    assert system['time_left']() == float('inf')
    assert system['scheduled_for'] == INSTANT
    assert system['request'].registry is system['registry']
    assert system['registry'] is worker.registry


def test_events_tell_of_both_sides(servers, queue):
    told = []
    web, worker = (servers.start(catch_up=LONG).add(via=queue) for _ in range(2))
    for server in (web, worker):
        server.config.add_subscriber(lambda event: told.append(event.outcome), ITaskFinished)
    web.tick(0)
    begin(worker, queue[0])
    assert told == ['handed over', 'ok']


def test_by_name_it_runs_here_unless_it_is_to_be_handed_over(servers, web, worker, queue):
    assert statuses(web.tick(0, ['task'])) == [('task', 'ok')]
    assert queue == []
    claims = web.claims
    [turn] = claims.named(web.registry['cron_tasks'], ['task'], 'root', enqueue=True)
    assert claims.claim(turn) is None
    turn.engine.enqueue(turn)
    assert claims.release(turn, report_of('handed over')).outcome == 'handed over'
    [handover] = queue
    assert handover.key == f'app:task@{turn.run_id}'
    assert servers.row()['queued'] == turn.run_id
    # that of another run
    assert perform(worker.config.make_wsgi_app(), 'app:task@2020-11-23T02:00Z').outcome == 'skipped'
    assert begin(worker, handover).outcome == 'ok'
    assert servers.history('trigger', 'requested_by', 'outcome')[-1] == ('manual', 'root', 'ok')
    assert servers.row()['last_minute'] is None


def report_of(outcome, exception=None):
    return TaskReport('task', outcome, exception=exception)


def hand_over_by_name(server):
    [turn] = server.claims.named(server.registry['cron_tasks'], ['task'], enqueue=True)
    assert server.claims.claim(turn) is None
    return turn


def test_by_name_what_cannot_be_sent_has_failed_and_is_not_sent_again(servers, web, queue):
    turn = hand_over_by_name(web)
    web.claims.release(turn, report_of('failed', ConnectionError()))
    assert servers.history('outcome', 'error') == [('failed', 'ConnectionError')]
    assert (servers.row()['run_id'], servers.row()['again']) == (None, None)


def test_by_name_what_nobody_takes_is_lost(servers, queue):
    web = servers.start(catch_up='300').add(via=queue)
    web.claims.release(hand_over_by_name(web), report_of('handed over'))
    servers.change(began=servers.row()['began'] - 400)
    web.tick(1)
    assert servers.history('outcome', 'reason') == [('lost', 'nobody took it in 6 min')]


def test_by_name_the_end_of_its_process_leaves_nothing_behind(servers, web):
    turn = hand_over_by_name(web)
    web.claims.interrupt(turn)
    assert servers.history() == ['lost']
    assert (servers.row()['run_id'], servers.row()['again']) == (None, None)


def test_the_end_of_a_process_that_is_sending_has_another_hand_over_again(servers, web, queue):
    [turn] = web.turns(0)
    assert web.claims.claim(turn) is None
    web.claims.interrupt(turn)
    assert servers.row()['again'] == 'lost'
    web.tick(1)
    assert len(queue) == 1


def test_without_the_store_nothing_begins_and_it_is_to_be_delivered_again(servers, web, worker, queue):
    web.tick(0)
    with worker.outage('SELECT'), pytest.raises(Unavailable, match='the database has gone'):
        begin(worker, queue[0])
    with worker.outage('UPDATE cron_tasks', times=1), pytest.raises(Unavailable, match='the database has gone'):
        begin(worker, queue[0])
    assert worker.ran == []


def test_what_is_left_to_each_process_is_not_asked_of_the_store(servers, queue):
    web = servers.start(catch_up=LONG).add(via=queue, store=False)
    web.tick(0)
    assert servers.rows(tasks) == []
    assert begin(web, queue[0]).outcome == 'ok'
    assert begin(web, queue[0]).outcome == 'ok'
    assert web.ran == [('task', 0)] * 2


def test_a_delivery_of_a_task_that_the_store_does_not_know_does_nothing(servers, web, worker, queue):
    web.tick(0)
    servers.execute(delete(tasks))
    assert begin(worker, queue[0]).reason == UNKNOWN.reason


def test_a_minute_that_nobody_has_handed_over_does_not_run(web, worker):
    web.tick(0)
    report = perform(worker.config.make_wsgi_app(), 'app:task@2020-11-23T02:05Z')
    assert (report.outcome, report.reason) == ('skipped', UNKNOWN.reason)
    assert worker.ran == []


def test_a_pause_passes_over_what_would_be_handed_over(servers, web, queue):
    web.tick(0, ['task'])
    web.claims.pause(['task'], reason='no')
    assert [task.outcome for task in web.tick(5).tasks] == ['skipped']
    assert queue == []


def test_the_end_of_a_hand_over_is_written_when_the_database_is_back(servers, web, worker, queue):
    [turn] = web.turns(0)
    assert web.claims.claim(turn) is None
    turn.engine.enqueue(turn)
    with web.outage('UPDATE cron_tasks'):
        web.claims.release(turn, report_of('handed over'))
    assert servers.row()['process'] is not None
    web.tick(1)
    assert servers.row()['process'] is None
    assert begin(worker, queue[0]).outcome == 'ok'


def test_the_log_says_what_a_task_is_handed_over_to(web, caplog):
    caplog.set_level(logging.INFO, 'pyramid_cron')
    web.tick(0)
    assert f'task task is handed over to {Queue.__module__}.Queue' in caplog.messages
    assert caplog.messages[-1].endswith('0 ok, 0 failed, 0 skipped, 1 handed over')


def test_minutes_whose_ticks_came_while_it_ran_are_not_owed_and_others_are(servers, web, queue):
    worker = servers.start(catch_up=LONG).add(body=lambda system: web.tick(5), via=queue)
    web.tick(0)
    begin(worker, queue[0])
    assert servers.row()['busy_until'] == INSTANT + 5 * MINUTE
    # that of minute 10 did not come
    [report] = web.tick(11).tasks
    assert (report.outcome, report.scheduled_for) == ('handed over', INSTANT + 10 * MINUTE)
    assert servers.minutes('skipped') == [('task', 5)]
