"""Backfills: their claims, their ends, and what they make good and leave alone."""

import threading

import pytest
import zope.sqlalchemy
from pyramid_tm import explicit_manager
from sqlalchemy import Column, Integer, MetaData, Table, create_engine, delete, insert, update
from sqlalchemy.orm import sessionmaker
from webtest import TestApp

from pyramid_cron import Skip, Task
from pyramid_cron.errors import Unavailable
from pyramid_cron.events import ITaskRecovered
from pyramid_cron.outcomes import ALREADY_OK, NO_RECORD, STILL_OWED
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.backfill import CLAIMED_MEANWHILE, was_ok, why_not_past
from pyramid_cron.store.schema import processes, runs, tasks
from pyramid_cron.store.task_state import TaskState
from tests.support.enqueueing import Queue, begin
from tests.support.problems import task_problems
from tests.support.servers import INSTANT

# a history in which the minutes of these tests are kept
KEPT = '100000'
LAST_RESULT = 'last_outcome', 'last_outcome_for', 'last_error', 'failures_in_a_row'
OWED = 'last_minute', 'next_due', 'attempt', 'retry_reason', 'busy_until', 'last_success_for'

EFFECTS = Table('effects_of_backfills', MetaData(), Column('id', Integer, primary_key=True), Column('minute', Integer))


class Fails:
    """The body of a task that fails for some minutes."""

    def __init__(self, *minutes):
        self.minutes = list(minutes)

    def __call__(self, system):
        if (system['scheduled_for'] - INSTANT) / MINUTE in self.minutes:
            raise LookupError('no paper')


def kinds(server):
    return [problem.kind for problem in task_problems(server.registry)]


def entries(servers, minute, *columns):
    """Return columns of the entries for a minute, in the order in which they began."""
    return [
        tuple(row[column] for column in columns)
        for row in sorted(servers.rows(runs), key=lambda row: row['attempt'])
        if row['scheduled_for'] == INSTANT + minute * MINUTE
    ]


def miss(servers, server, *minutes):
    """Let ticks pass that record minutes as missed, the last of which is 5 minutes before the last tick."""
    server.tick(0)
    server.tick(minutes[-1] + 5)
    assert [minute for _, minute in servers.minutes('missed')] == list(minutes)


@pytest.fixture
def one(servers):
    """A server with a task that catches up nothing."""
    return servers.start(catch_up='0', keep_history=KEPT).add(min='*/5')


@pytest.mark.slow
@pytest.mark.each_database
def test_a_missed_minute_is_made_good(servers, one):
    miss(servers, one, 5)
    before = {name: servers.row()[name] for name in OWED}
    report = one.backfill(5)
    assert (report.outcome, report.attempt, report.scheduled_for) == ('ok', 1, INSTANT + 5 * MINUTE)
    assert one.ran == [('task', 0), ('task', 10), ('task', 5)]
    assert entries(servers, 5, 'outcome', 'trigger', 'requested_by', 'made_good_by', 'not_good') == [
        ('missed', 'none', None, 'ada', None),
        ('ok', 'backfill', 'ada', None, None),
    ]
    row = servers.row()
    assert {name: row[name] for name in OWED} == before
    assert (row['run_id'], row['process']) == (None, None)


@pytest.mark.slow
@pytest.mark.each_database
def test_a_minute_that_was_ok_is_left_alone_unless_again(servers, one):
    one.tick(0)
    report = one.backfill(0)
    assert (report.outcome, report.reason, servers.row()['run_id']) == ('skipped', ALREADY_OK, None)
    assert len(servers.history()) == 1
    assert one.backfill(0, again=True).attempt == 2
    assert one.ran == [('task', 0), ('task', 0)]


@pytest.mark.slow
def test_the_last_result_is_good_again_if_it_is_about_the_minute(servers):
    body = Fails(0, 5)
    one = servers.start(keep_history=KEPT).add(body=body)
    one.tick(0)
    one.tick(5)
    assert kinds(one) == ['failed']
    body.minutes.remove(0)
    # the last failure is another one
    assert one.backfill(0).outcome == 'ok'
    assert (kinds(one), servers.row()['failures_in_a_row']) == (['failed'], 2)
    assert one.backfill(5).outcome == 'failed'
    assert (kinds(one), servers.row()['failures_in_a_row']) == (['failed'], 3)
    body.minutes.remove(5)
    assert one.backfill(5).attempt == 3
    assert kinds(one) == []
    assert [servers.row()[name] for name in LAST_RESULT] == ['ok', INSTANT + 5 * MINUTE, None, 0]
    assert servers.row()['last_success_at'] is not None
    with one.store.queries() as queries:
        assert queries.past_runs(9, faults=True) == []
        assert [run.made_good_by for run in queries.past_runs(9)] == [None, 'ada', None, 'ada', 'ada']


def test_a_failed_backfill_does_not_hide_a_newer_problem(servers):
    one = servers.start(keep_history=KEPT).add(body=Fails(0, 5))
    one.tick(0)
    one.tick(5)
    one.backfill(0)
    assert servers.row()['last_outcome_for'] == INSTANT + 5 * MINUTE


def test_attempts_to_make_a_minute_good_count_as_one_failure(servers):
    one = servers.start(keep_history=KEPT).add(body=Fails(0), retries=3)
    one.tick(0)
    for _ in range(2):
        one.backfill(0)
        # it is still to be tried again
        assert (servers.row()['failed_runs'], servers.row()['will_retry']) == (1, True)
    one.backfill(-5)
    assert servers.row()['will_retry'] is True


def test_a_failure_after_a_success_is_not_tried_again(servers):
    body = Fails(0, -5)
    one = servers.start(keep_history=KEPT).add(body=body, retries=3)
    one.tick(0)
    body.minutes.remove(0)
    one.tick(1)
    one.backfill(-5)
    row = servers.row()
    assert (row['last_outcome'], row['failed_runs'], row['will_retry']) == ('failed', 1, False)


def test_the_recovery_of_a_task_is_reported_once_it_is_good(servers):
    body, recovered = Fails(0, 5), []
    one = servers.start(keep_history=KEPT).add(body=body)
    one.config.add_subscriber(recovered.append, ITaskRecovered)
    one.tick(0)
    one.tick(5)
    body.minutes.clear()
    one.backfill(0)
    assert recovered == []
    one.backfill(5)
    assert [event.name for event in recovered] == ['task']


@pytest.mark.slow
@pytest.mark.parametrize('tolerate', [0, 1])
def test_the_recovery_of_a_task_is_reported_after_a_backfill_that_skips(servers, tolerate):
    raised, recovered = [LookupError, LookupError, Skip, None], []

    def body(system):
        error = raised.pop(0)
        if error is not None:
            raise error

    one = servers.start(keep_history=KEPT).add(body=body, tolerate=tolerate)
    one.config.add_subscriber(recovered.append, ITaskRecovered)
    one.tick(0)
    one.tick(5)
    assert kinds(one) == ['failed']
    assert one.backfill(5).outcome == 'skipped'
    assert (kinds(one), recovered) == ([], [])
    one.tick(10)
    assert [event.name for event in recovered] == ['task']


def test_no_recovery_is_reported_of_an_attempt_that_was_to_be_tried_again(servers):
    raised, recovered = [LookupError, Skip, None], []

    def body(system):
        error = raised.pop(0)
        if error is not None:
            raise error

    one = servers.start(keep_history=KEPT).add(body=body, retries=(180,))
    one.config.add_subscriber(recovered.append, ITaskRecovered)
    one.tick(0)
    assert one.backfill(0).outcome == 'skipped'
    row = servers.row()
    assert (row['failed_runs'], row['failed_since'], row['will_retry']) == (0, None, False)
    one.tick(5)
    assert (servers.row()['last_outcome'], recovered) == ('ok', [])


@pytest.mark.slow
def test_a_failed_backfill_is_a_problem_where_there_was_none(servers):
    one = servers.start(keep_history=KEPT).add(body=Fails(-5))
    one.tick(0)
    assert one.backfill(-5).outcome == 'failed'
    assert kinds(one) == ['failed']
    assert one.backfill(-5).attempt == 2
    one.tick(5)
    assert kinds(one) == []


@pytest.mark.slow
@pytest.mark.each_database
def test_what_is_to_be_repeated_is_not_after_it_was_made_good(servers):
    body = Fails(0)
    one = servers.start(keep_history=KEPT, catch_up='3600').add(body=body, retries=3)
    one.tick(0)
    assert one.backfill(0).outcome == 'failed'
    assert (servers.row()['retry_reason'], servers.row()['attempt']) == ('failed', 1)
    body.minutes.clear()
    assert one.backfill(0).outcome == 'ok'
    assert servers.row()['retry_reason'] is None
    assert one.tick(1).tasks == ()
    assert len(one.ran) == 3


def test_a_retry_of_another_minute_stays(servers):
    one = servers.start(keep_history=KEPT).add(body=Fails(5), retries=3)
    one.tick(5)
    assert one.backfill(0).outcome == 'ok'
    assert servers.row()['retry_reason'] == 'failed'


@pytest.mark.slow
@pytest.mark.each_database
def test_a_minute_that_no_tick_has_come_to_is_left_to_the_ticks(servers, one):
    one.tick(0)
    report = one.backfill(5)
    assert (report.outcome, report.reason) == ('skipped', STILL_OWED)
    assert one.ran == [('task', 0)]


def test_a_minute_before_the_task_is_run(servers, one):
    one.tick(0)
    assert one.backfill(-60).outcome == 'ok'
    # of a task that no tick has seen
    assert one.ran[-1] == ('task', -60)
    assert servers.start(keep_history=KEPT).add('new').backfill(-60, name='new').outcome == 'ok'


def test_a_minute_during_a_run_is_past(servers, one):
    one.tick(0)
    servers.change(busy_until=INSTANT + 7 * MINUTE)
    assert one.backfill(5).outcome == 'ok'
    assert servers.row()['last_minute'] == INSTANT


def test_a_minute_without_a_record_is_run_only_again(servers):
    one = servers.start().add()
    one.tick(0)
    report = one.backfill(-5)
    assert (report.outcome, report.reason) == ('skipped', NO_RECORD)
    assert one.backfill(-5, again=True).outcome == 'ok'
    # and one that is known to have gone wrong without
    servers.execute(update(runs).where(runs.c.trigger == 'backfill').values(outcome='failed'))
    servers.change(last_outcome='failed')
    assert one.backfill(-5).outcome == 'ok'


@pytest.mark.slow
@pytest.mark.each_database
def test_the_row_knows_what_the_history_does_not(servers, one):
    one.tick(0)
    servers.execute(delete(runs))
    assert one.backfill(0).reason == ALREADY_OK
    assert one.backfill(-5).outcome == 'ok'
    servers.execute(delete(runs))
    assert one.backfill(-5).reason == ALREADY_OK


@pytest.mark.slow
@pytest.mark.each_database
def test_a_backfill_has_the_last_success_by_schedule_and_does_not_move_it(servers):
    seen = []
    one = servers.start(catch_up='0', keep_history=KEPT).add(body=lambda system: seen.append(system['since']))
    one.tick(0)
    one.backfill(-5)
    one.backfill(-10)
    one.tick(5)
    assert seen == [None, INSTANT, INSTANT, INSTANT]


def test_an_ok_run_by_name_is_not_about_a_minute():
    state = TaskState('task', '', INSTANT, last_outcome='ok', last_outcome_for=None)
    assert not was_ok(state, INSTANT)


@pytest.mark.slow
@pytest.mark.each_database
def test_a_task_in_progress_is_not_run_beside_itself(servers):
    one = servers.start(keep_history=KEPT, window='10e9').add()
    one.tick(0)
    servers.hold()
    report = one.backfill(-5)
    assert (report.outcome, report.reason.partition(':')[0]) == ('skipped', 'still running')


def test_a_task_that_was_claimed_at_that_moment_may_be_free_now():
    state = TaskState('task', '', INSTANT - MINUTE, last_minute=INSTANT)
    task = Task(print, name='task')
    assert why_not_past(task, state, INSTANT) == CLAIMED_MEANWHILE
    assert why_not_past(task, state, INSTANT + MINUTE).reason == STILL_OWED
    assert why_not_past(task, None, INSTANT) == CLAIMED_MEANWHILE


@pytest.mark.slow
@pytest.mark.each_database
def test_two_backfills_at_once_run_a_minute_once(servers):
    begun, go_on = threading.Event(), threading.Event()

    def body(system):
        if (system['scheduled_for'] - INSTANT) / MINUTE == -5:
            begun.set()
            assert go_on.wait(10)

    one, other = (servers.start(keep_history=KEPT).add(body=body) for _ in range(2))
    one.tick(0)
    other.ready()
    first = []
    thread = threading.Thread(target=lambda: first.append(one.backfill(-5)))
    thread.start()
    assert begun.wait(10)
    # a tick finds it claimed, and records that
    assert [task.outcome for task in other.tick(5).tasks] == ['skipped']
    assert other.backfill(-5).reason.startswith('still running')
    go_on.set()
    thread.join()
    assert [report.outcome for report in first] == ['ok']
    assert other.backfill(-5).reason == ALREADY_OK
    # and is caught up
    assert [task.outcome for task in other.tick(6).tasks] == ['ok']
    assert sorted([*one.ran, *other.ran]) == [('task', -5), ('task', 0), ('task', 5)]


@pytest.mark.slow
@pytest.mark.each_database
def test_a_backfill_of_a_dead_process_is_lost_and_not_repeated(servers, one, warnings):
    one.tick(0)
    servers.hold(lease_until=0.0)
    late = INSTANT - 5 * MINUTE
    servers.execute(update(runs).where(runs.c.id == 'other').values(trigger='backfill', scheduled_for=late))
    report = one.tick(1)
    assert [(task.outcome, task.scheduled_for) for task in report.tasks] == [('lost', None)]
    reason = 'a backfill is not repeated by itself: process 4711 on elsewhere, since 2020-11-23 02:00:00+00:00'
    assert entries(servers, -5, 'outcome', 'reason') == [('lost', reason)]
    assert (servers.row()['retry_reason'], kinds(one)) == (None, ['lost'])
    assert one.tick(2).tasks == ()
    assert one.backfill(-5).outcome == 'ok'
    assert kinds(one) == []


def test_a_lost_backfill_has_no_excuse_of_another_failure(servers):
    one = servers.start(keep_history=KEPT).add(body=Fails(0))
    one.tick(0)
    one.store.acknowledge(['task'], reason='known')
    servers.hold(lease_until=0.0)
    late = INSTANT - 5 * MINUTE
    servers.execute(update(runs).where(runs.c.id == 'other').values(trigger='backfill', scheduled_for=late))
    [lost] = one.tick(1).tasks
    assert (lost.outcome, lost.excuse) == ('lost', None)


def test_a_lost_backfill_does_not_hide_a_newer_problem(servers):
    one = servers.start(keep_history=KEPT).add(body=Fails(0))
    one.tick(0)
    servers.hold(lease_until=0.0)
    late = INSTANT - 5 * MINUTE
    servers.execute(update(runs).where(runs.c.id == 'other').values(trigger='backfill', scheduled_for=late))
    one.tick(1)
    assert servers.row()['last_outcome'] == 'failed'


@pytest.mark.slow
@pytest.mark.each_database
def test_an_interrupted_backfill_is_lost_and_not_repeated(servers):
    def body(system):
        if (system['scheduled_for'] - INSTANT) / MINUTE == -5:
            raise KeyboardInterrupt

    one = servers.start(keep_history=KEPT).add(body=body)
    one.tick(0)
    with pytest.raises(KeyboardInterrupt):
        one.backfill(-5)
    assert entries(servers, -5, 'outcome', 'reason') == [('lost', 'its process was ended during the run')]
    assert (servers.row()['retry_reason'], servers.row()['run_id'], kinds(one)) == (None, None, ['lost'])


@pytest.mark.slow
@pytest.mark.each_database
def test_a_claim_without_an_answer_is_given_back(servers, one):
    one.tick(0)
    with one.commit_fails(after=True), pytest.raises(Unavailable):
        one.backfill(-5)
    # nor is one that the database has never got
    with one.outage(times=1, of=tasks, kind='update', sets='transactional'), pytest.raises(Unavailable):
        one.backfill(-10)
    one.claims.own.heartbeat.begin()
    one.claims._beat()
    one.claims.own.heartbeat.end()
    assert (servers.row()['run_id'], servers.row()['retry_reason']) == (None, None)


@pytest.mark.slow
@pytest.mark.each_database
def test_a_paused_task_is_run(servers, one):
    one.tick(0)
    one.store.pause(['task'], reason='the disk is full')
    servers.paused_from(1)
    one.tick(5)
    assert servers.minutes('paused') == [('task', 5)]
    assert one.backfill(5).outcome == 'ok'
    # it was no fault
    assert entries(servers, 5, 'outcome', 'made_good_by')[0] == ('paused', None)


def test_an_idle_task_is_run(servers):
    one = servers.start(keep_history=KEPT).add(idle=True)
    one.tick(0)
    assert one.backfill(-5).outcome == 'ok'
    late = servers.start(keep_history=KEPT, window='0.0000001').add(idle=True)
    assert late.backfill(-10).reason == 'no time left'
    assert entries(servers, -10, 'outcome') == []


@pytest.mark.slow
@pytest.mark.each_database
def test_a_task_that_finds_nothing_to_do_makes_good(servers):
    def body(system):
        if (system['scheduled_for'] - INSTANT) / MINUTE in wanted:
            raise wanted[(system['scheduled_for'] - INSTANT) / MINUTE]

    wanted = {5: LookupError()}
    one = servers.start(keep_history=KEPT).add(body=body, retries=1)
    one.tick(0)
    one.tick(5)
    wanted[5] = Skip('no new file')
    report = one.backfill(5)
    assert (report.outcome, report.reason) == ('skipped', 'no new file')
    assert entries(servers, 5, 'outcome', 'made_good_by') == [('failed', 'ada'), ('skipped', None)]
    assert (servers.row()['retry_reason'], kinds(one)) == (None, [])
    # which is not the same as ok
    wanted.clear()
    assert one.backfill(5).outcome == 'ok'


def test_an_enqueued_task_is_run_here(servers):
    sent = []
    one = servers.start(keep_history=KEPT).add(via=sent.append)
    one.tick(0)
    servers.execute(update(tasks).values(run_id=None, handed_over_for=None))
    assert one.backfill(-5).outcome == 'ok'
    assert len(sent) == 1


@pytest.mark.slow
@pytest.mark.each_database
def test_the_end_is_written_when_the_database_is_back(servers, one):
    miss(servers, one, 5)
    with one.outage(times=1, of=tasks, kind='update', sets='last_success_at'):
        assert one.backfill(5).outcome == 'ok'
    assert entries(servers, 5, 'outcome', 'made_good_by') == [('missed', 'ada'), ('ok', None)]


@pytest.fixture
def joined(servers):
    """Return a function that starts a server with a task that writes its minute into the database of the store."""
    engine = create_engine(servers.url)
    EFFECTS.metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(EFFECTS.delete())

    def session(request):
        session = sessionmaker(engine)()
        zope.sqlalchemy.register(session, transaction_manager=request.tm)
        return session

    def include(config):
        config.include('pyramid_tm')
        config.add_request_method(session, 'dbsession', reify=True)

    def start(body=lambda system: None):
        def work(system):
            minute = round((system['scheduled_for'] - INSTANT) / MINUTE)
            session = system['request'].dbsession
            session.execute(insert(EFFECTS).values(minute=minute))
            zope.sqlalchemy.mark_changed(session)
            body(system)

        settings = {'tm.manager_hook': explicit_manager, 'session': 'dbsession', 'keep_history': KEPT}
        server = servers.start(include=include, **settings).add(body=work)
        server.ready()
        server.target = TestApp(server.config.make_wsgi_app())
        return server

    yield start
    engine.dispose()


@pytest.mark.slow
@pytest.mark.each_database
def test_effect_record_and_what_is_made_good_commit_together(servers, joined):
    seen = []

    def body(system):
        # by another connection, while the task's transaction is open
        seen.append((servers.row()['transactional'], servers.row()['run_id'] is not None))

    one = joined(body)
    one.tick(0)
    one.tick(15)
    seen.clear()
    assert servers.minutes('missed') == [('task', 5), ('task', 10)]
    assert one.backfill(5).outcome == 'ok'
    # not to be repeated if its process dies
    assert seen == [(False, True)]
    assert [row['minute'] for row in servers.rows(EFFECTS)] == [0, 15, 5]
    assert entries(servers, 5, 'outcome', 'made_good_by') == [('missed', 'ada'), ('ok', None)]


@pytest.mark.slow
@pytest.mark.each_database
def test_a_joined_backfill_that_was_taken_over_commits_nothing(servers, joined):
    one = joined()
    one.tick(0)
    one.tick(15)
    begin = one.claims._sessions.join

    def join(run, request, process_id):
        # between its claim and its task
        servers.change(run_id='stolen')
        return begin(run, request, process_id)

    one.claims._sessions.join = join
    report = one.backfill(5)
    assert (report.outcome, report.error) == ('failed', 'Fenced')
    assert [row['minute'] for row in servers.rows(EFFECTS)] == [0, 15]
    assert entries(servers, 5, 'outcome', 'made_good_by')[0] == ('missed', None)
    servers.execute(delete(processes))


def test_a_backfill_of_an_unknown_task_is_an_error(one):
    one.ready()
    with pytest.raises(LookupError):
        one.backfill(name='other')


def test_a_task_outside_the_store_has_no_past(servers):
    one = servers.start().add(store=False)
    report = one.backfill(0)
    assert (report.outcome, report.reason) == ('failed', 'a run for a past minute needs a task that cron.store keeps')
    assert one.ran == []


@pytest.fixture
def queue():
    return Queue()


@pytest.fixture
def web(servers, queue):
    """A server with a task that is enqueued, and a tick that has recorded the minutes 5 and 10 as missed."""
    web = servers.start(catch_up='0', keep_history=KEPT).add(via=queue)
    web.tick(0)
    begin(web, queue.pop())
    miss_while_idle(servers, web)
    return web


def miss_while_idle(servers, web):
    with servers.engine.begin() as connection:
        connection.execute(delete(runs))
        connection.execute(update(tasks).values(last_minute=INSTANT, busy_until=INSTANT, first_seen=INSTANT - MINUTE))
        connection.execute(update(tasks).values(last_outcome='missed', last_outcome_for=INSTANT, failed_runs=1))


@pytest.mark.slow
@pytest.mark.each_database
def test_a_backfill_is_enqueued_and_a_worker_runs_it(servers, web, queue):
    before = {name: servers.row()[name] for name in OWED}
    report = web.backfill(-5, enqueue=True)
    [handover] = queue
    assert (report.outcome, report.key) == ('queued', handover.key)
    assert servers.history('outcome', 'trigger', 'scheduled_for') == [('queued', 'backfill', INSTANT - 5 * MINUTE)]
    assert servers.row()['process'] is None
    assert web.backfill(-5, enqueue=True).reason.startswith('still queued, since ')
    worker = servers.start(catch_up='0', keep_history=KEPT).add(via=queue)
    ran = begin(worker, handover)
    assert (ran.outcome, ran.attempt) == ('ok', 1)
    assert worker.ran == [('task', -5)]
    assert servers.history('outcome', 'trigger', 'requested_by') == [('ok', 'backfill', 'ada')]
    assert {name: servers.row()[name] for name in OWED} == before
    again = begin(worker, handover)
    assert (again.outcome, again.reason) == ('skipped', 'already run')
    assert web.backfill(-5, enqueue=True).reason == ALREADY_OK
    assert web.backfill(-5, again=True, enqueue=True).outcome == 'queued'
    assert begin(worker, queue.pop()).attempt == 2


def test_a_backfill_by_a_worker_makes_its_minute_good(servers, web, queue):
    with servers.engine.begin() as connection:
        wrong = {'app': 'app', 'task': 'task', 'scheduled_for': INSTANT, 'started': INSTANT, 'attempt': 1}
        connection.execute(
            insert(runs).values(id='wrong', outcome='failed', not_good='fault', trigger='request', **wrong)
        )
    web.backfill(0, enqueue=True)
    assert begin(web, queue.pop()).attempt == 2
    assert entries(servers, 0, 'outcome', 'made_good_by', 'not_good') == [('failed', 'ada', None), ('ok', None, None)]


def test_a_backfill_that_cannot_be_enqueued_has_failed(servers, web, queue):
    queue.broken = ConnectionError('no broker')
    assert web.backfill(-5, enqueue=True).outcome == 'failed'
    assert servers.history('outcome', 'trigger', 'error') == [('failed', 'backfill', 'ConnectionError')]
    assert servers.row()['run_id'] is None
    # what was wrong with another minute stays
    assert (servers.row()['last_outcome'], servers.row()['retry_reason']) == ('missed', None)


def test_a_backfill_that_no_worker_takes_is_lost(servers, web, queue):
    web.backfill(-5, enqueue=True)
    with servers.engine.begin() as connection:
        connection.execute(update(tasks).values(started_at=1.0))
    web.tick(1)
    [(outcome, reason)] = servers.history('outcome', 'reason')
    assert outcome == 'lost'
    assert reason.startswith('no worker began it in ')
    row = servers.row()
    assert (row['run_id'], row['last_outcome'], row['last_minute']) == (None, 'missed', INSTANT)
    late = begin(web, queue.pop())
    assert (late.outcome, late.reason) == ('skipped', 'no worker began it in time')


def test_without_its_record_a_backfill_is_for_its_minute(servers, web, queue):
    web.backfill(-5, enqueue=True)
    with servers.engine.begin() as connection:
        connection.execute(delete(runs))
    assert begin(web, queue.pop()).outcome == 'ok'
    assert web.ran[-1] == ('task', -5)


def test_a_backfill_takes_another_engine_if_its_task_has_none(servers, queue):
    web, other = (servers.start(catch_up='0', keep_history=KEPT).add(**via) for via in ({}, {'via': queue}))
    web.tick(0)
    other.ready()
    report = web.backfill(0, again=True, enqueue=True, engine=other.task().engine)
    assert (report.outcome, report.key) == ('queued', queue[0].key)
    assert begin(web, queue[0]).outcome == 'ok'
    assert web.ran == [('task', 0)] * 2
