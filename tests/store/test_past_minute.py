"""Why a task does not run for a minute: it has run, or what became of the minute."""

from datetime import timedelta

import pytest
from sqlalchemy import delete, update

from pyramid_cron import Skip, TaskReport, perform
from pyramid_cron.claims import ByHand
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.past_minute import why_without_record
from pyramid_cron.store.schema import pauses, runs
from tests.support.servers import INSTANT

pytestmark = pytest.mark.each_database

TOO_OLD = 'it is too old, and there is no record of it'


def again(server, minute=0):
    """Return the outcome and the reason of a second tick for a minute."""
    [task] = server.tick(minute).tasks
    return task.outcome, task.reason


def fail(system):
    raise LookupError


def skip(system):
    raise Skip('no new file')


@pytest.mark.slow
@pytest.mark.parametrize('body', [print, fail, skip])
@pytest.mark.parametrize('later', [[], [5]], ids=['newest', 'older'])
def test_a_minute_that_began_has_already_run(servers, body, later):
    server = servers.start().add(body=body)
    for minute in (0, *later):
        server.tick(minute)
    assert again(server) == ('skipped', 'already run')


@pytest.mark.slow
def test_a_run_in_progress_has_already_begun(servers, server):
    server.tick(0)
    servers.hold()
    servers.change(last_outcome=None, last_outcome_for=None)
    assert again(servers.start().add()) == ('skipped', 'already run')


@pytest.mark.slow
@pytest.mark.parametrize('later', [[], [10]], ids=['newest', 'older'])
def test_a_missed_minute_was_missed(server, later):
    server.tick(-1)
    for minute in (6, *later):
        server.tick(minute)
    assert again(server) == ('skipped', 'it was missed: no tick came in time')


def test_a_missed_minute_was_missed_while_another_run_goes_on(servers):
    server = servers.start().add(min=0)
    server.tick(-1)
    server.tick(6)
    servers.hold()
    # it was requested by name
    servers.execute(update(runs).where(runs.c.id == 'other').values(scheduled_for=None))
    assert again(server) == ('skipped', 'it was missed: no tick came in time')


def test_a_lost_run_was_lost(servers):
    server = servers.start().add(min=0)
    server.tick(0)
    # in place of its run, that of a process which dies
    servers.execute(delete(runs))
    servers.hold(lease_until=0.0)
    server.tick(1)
    outcome, reason = again(server)
    assert (outcome, reason.partition(',')[0]) == ('skipped', 'it was lost: process 4711 on elsewhere')


@pytest.mark.slow
def test_a_missed_minute_without_a_record_was_missed(servers):
    server = servers.start().add(min=0)
    server.tick(-1)
    server.tick(6)
    servers.execute(delete(runs))
    assert again(server) == ('skipped', 'it was missed')


@pytest.mark.slow
def test_a_paused_minute_was_paused(servers, server):
    server.tick(-1)
    server.store.pause(['task'], reason='the disk is full', requested_by='ada', until=INSTANT + MINUTE)
    servers.paused_from(-1)
    server.tick(0)
    assert again(server) == ('paused', 'paused by ada: the disk is full')
    servers.execute(delete(pauses))
    assert again(server) == ('skipped', 'it was paused by ada: the disk is full')


def test_a_minute_that_ran_before_a_pause_has_already_run(server):
    server.tick(0)
    server.store.pause(['task'], reason='the disk is full', requested_by='ada')
    assert again(server) == ('skipped', 'already run')


@pytest.mark.slow
def test_a_minute_during_a_run_was_skipped(servers, server):
    server.tick(0)
    servers.hold()
    server.tick(5)
    servers.change(run_id=None, busy_until=INSTANT + 5 * MINUTE)
    server.tick(10)
    outcome, reason = again(server, 5)
    assert (outcome, reason.partition(': process')[0]) == ('skipped', 'it was skipped: still running')


def test_a_minute_before_the_task_was_not_owed(server):
    server.tick(1)
    assert again(server) == ('skipped', 'the first tick with the task came after 2020-11-23 02:00+00:00')


def test_a_minute_before_a_changed_schedule_was_not_due(servers):
    servers.start().add(min=0).tick(0)
    server = servers.start().add(min=30)
    server.tick(40)
    because = 'it was not due then: the first tick with its present schedule came at 2020-11-23 02:40+00:00'
    assert again(server, 30) == ('skipped', because)
    # of a minute of the earlier schedule, and of one before that is known, nothing is known
    servers.change(first_seen=INSTANT - timedelta(days=1))
    assert why_without_record(server.store.states()['task'], INSTANT - timedelta(hours=1), None) == TOO_OLD
    servers.change(previous_schedule_from=INSTANT + 31 * MINUTE)
    assert again(server, 30) == ('skipped', TOO_OLD)


def test_an_old_minute_may_have_no_record(servers, server):
    server.tick(0)
    server.tick(5)
    servers.execute(delete(runs))
    assert again(server) == ('skipped', TOO_OLD)


def test_an_unsent_minute_is_tried_again(servers):
    def refuse(handover):
        raise OSError('the broker is away')

    server = servers.start().add(via=refuse)
    server.tick(0)
    assert again(server) == ('skipped', 'it could not be enqueued, and the next tick tries again')


@pytest.mark.slow
def test_the_tick_of_a_losing_server_takes_no_further_statement(servers):
    first, second = (servers.start().add(min='*') for _ in range(2))
    for minute in (0, 1):
        first.tick(minute)
        with second.executed() as statements:
            assert again(second, minute) == ('skipped', 'already run')
        assert not any(statement.matches(of=runs) for statement in statements)


@pytest.mark.slow
def test_a_second_delivery_has_already_run(servers):
    queue = []
    web = servers.start(catch_up=timedelta(days=10**5)).add(min=0, via=queue.append)
    web.tick(0)
    worker = servers.start(catch_up=timedelta(days=10**5)).add(min=0, via=queue.append)
    app = worker.config.make_wsgi_app()
    assert perform(app, queue[0].key).outcome == 'ok'
    report = perform(app, queue[0].key)
    assert (report.outcome, report.reason) == ('skipped', 'already run')


@pytest.mark.slow
def test_a_delivery_that_expired_was_missed(servers, caplog):
    queue = []
    web = servers.start(catch_up='60').add(min=0, via=queue.append)
    web.tick(0)
    worker = servers.start(catch_up='60').add(min=0, via=queue.append)
    app = worker.config.make_wsgi_app()
    assert perform(app, queue[0].key).outcome == 'missed'
    caplog.set_level('INFO', 'pyramid_cron')
    report = perform(app, queue[0].key)
    assert report.outcome == 'skipped'
    assert report.reason.startswith('it was missed: it came ')
    assert 'task task is skipped: it was missed: ' in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize(('began', 'reason'), [(True, 'already run'), (False, 'no worker began it in time')])
def test_a_second_delivery_by_name_knows_the_first(servers, began, reason):
    queue = []
    web = servers.start(catch_up='60').add(min=0, via=queue.append)
    web.ready()
    [run] = web.claims.named(web.registry['cron_tasks'], ['task'], ByHand(enqueue=True)).runs
    assert run.claim() is None
    run.engine.enqueue(run)
    run.release(TaskReport('task', 'queued'))
    if began:
        app = servers.start().add(min=0, via=queue.append).config.make_wsgi_app()
        assert perform(app, queue[0].key).outcome == 'ok'
    else:
        servers.change(started_at=1.0)
        web.tick(1)
        app = servers.start().add(min=0, via=queue.append).config.make_wsgi_app()
    report = perform(app, queue[0].key)
    assert (report.outcome, report.reason) == ('skipped', reason)


def test_a_minute_in_which_a_run_ended_is_not_owed(servers):
    server = servers.start(window='10e9').add(min='*')
    [run] = server.runs(0)
    run.claim()
    server.clock.sleep(65)
    run.release(TaskReport('task', 'ok', 65.0))
    assert again(server, 1) == ('skipped', 'the previous run went on until then')
