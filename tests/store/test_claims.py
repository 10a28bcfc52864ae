"""Several servers of one database: whose turn a task is, what is caught up, tried again and told."""

import logging
import os
import re
import socket
import sys
from datetime import datetime, timedelta, timezone

import pytest
from pyramid.scripting import prepare
from sqlalchemy import column, func, insert, select, table, update
from webtest import TestApp

from pyramid_cron import TaskReport
from pyramid_cron.claims import Unavailable
from pyramid_cron.isolation import OF_SERVERS
from pyramid_cron.runner import run
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.schema import gaps, processes, runs

INSTANT = datetime(2020, 11, 23, 2, 0, tzinfo=timezone.utc)


def test_of_any_number_of_servers_one_runs_a_task_and_the_others_say_nothing(servers, warnings, caplog):
    first, second = (servers.start().add() for _ in range(2))
    assert str(first.tick()) == 'ok'
    caplog.clear()
    report = second.tick()
    assert [(task.outcome, task.reason) for task in report.tasks] == [('skipped', 'already run')]
    assert str(report) == 'ok: 1 of 1 tasks already run for 02:00'
    (silent,) = [record for record in caplog.records if 'already run' in record.getMessage()]
    assert silent.levelno == logging.DEBUG
    assert warnings() == []
    assert (first.ran, second.ran) == ([('task', 0)], [])
    assert servers.history() == ['ok']


def test_the_loser_of_a_claim_is_as_silent_as_one_that_came_later(servers, warnings):
    first, second = (servers.start().add() for _ in range(2))
    # both have looked before one of them claims
    (mine,), (theirs,) = first.turns(), second.turns()
    assert mine.held is None
    assert theirs.held is None
    assert first.claims.claim(mine) is None
    held = second.claims.claim(theirs)
    assert (held.reason, held.level) == ('already run', logging.DEBUG)
    assert warnings() == []


def test_applications_of_one_database_do_not_know_each_other(servers):
    one, other = servers.start().add(), servers.start(app='other').add()
    for server in (one, other):
        assert server.tick().tasks[0].outcome == 'ok'
    assert sorted(servers.history('app', 'task')) == [('app', 'task'), ('other', 'task')]


def test_a_store_leaves_tasks_that_are_not_durable_to_each_process(servers):
    first, second = (servers.start().add().add('free', min='*/5', store=False) for _ in range(2))
    assert [task.name for task in first.tick().tasks] == ['task', 'free']
    second.tick()
    assert second.ran == [('free', 0)]
    assert str(second.tick()) == 'ok: 2 of 2 tasks already run for 02:00'
    assert servers.history('task', 'outcome') == [('task', 'ok')]
    # by its name too, and in the order that was asked for
    assert [task.name for task in second.tick(names=['free', 'task']).tasks] == ['free', 'task']


def failing(times):
    failures = iter(range(times))

    def body(system):
        for _ in failures:
            raise ValueError('no luck')

    return body


def test_a_failed_run_is_tried_again_at_the_ticks_that_follow_and_no_more_often_than_it_may(servers, caplog):
    caplog.set_level('INFO', 'pyramid_cron')
    server = servers.start().add(body=failing(9), min=0, retries=2)
    reports = [server.tick(minute) for minute in range(5)]
    assert [report.failed for report in reports] == [True, True, True, False, False]
    assert server.ran == [('task', 0)] * 3
    assert 'task task begins, for 2020-11-23 02:00:00+00:00, attempt 3' in caplog.messages
    assert servers.history('outcome', 'attempt', 'error') == [
        ('failed', 1, 'ValueError'),
        ('failed', 2, 'ValueError'),
        ('failed', 3, 'ValueError'),
    ]


def test_a_retry_that_succeeds_is_the_last(servers):
    server = servers.start().add(body=failing(1), min=0, retries=5)
    for minute in range(4):
        server.tick(minute)
    assert servers.history('outcome', 'attempt') == [('failed', 1), ('ok', 2)]


def test_a_task_without_retries_is_not_tried_again(servers):
    server = servers.start().add(body=failing(9), min=0)
    server.tick(0)
    server.tick(1)
    assert len(server.ran) == 1


def test_a_retry_makes_way_for_the_next_minute_which_has_all_its_attempts(servers):
    server = servers.start().add(body=failing(9), min='*/2', retries=2)
    for minute in range(4):
        server.tick(minute)
    assert servers.history('scheduled_for', 'attempt') == [
        (INSTANT, 1),
        (INSTANT, 2),
        (INSTANT + 2 * MINUTE, 1),
        (INSTANT + 2 * MINUTE, 2),
    ]


def test_a_retry_waits_for_another_minute_however_many_servers_there_are(servers):
    first, second, third = (servers.start().add(body=failing(9), min=0, retries=2) for _ in range(3))
    for minute in range(5):
        for server in (first, second, third):
            server.tick(minute)
    assert first.ran == [('task', 0)] * 3
    assert second.ran == third.ran == []


def test_a_retry_is_not_too_late_however_long_nobody_asked(servers):
    server = servers.start().add(body=failing(1), min=0, hour=2, retries=1)
    server.tick(0)
    server.tick(600)
    assert servers.history() == ['failed', 'ok']


def test_an_idle_task_for_which_no_time_was_left_is_passed_over(servers, warnings):
    first, second = (servers.start(window='1e-9').add('idle', min=0, idle=True) for _ in range(2))
    report = first.tick(0)
    assert [(task.outcome, task.reason) for task in report.tasks] == [('skipped', 'no time left')]
    # neither another server nor the next minute runs it after all
    assert [task.reason for task in second.tick(0).tasks] == ['already run']
    assert first.tick(1).tasks == second.tick(1).tasks == ()
    assert servers.history('outcome', 'reason') == [('skipped', 'no time left')]
    assert servers.minutes('missed') == []


def test_a_run_that_is_told_to_stop_leaves_its_tasks_to_the_next_tick(servers):
    server = servers.start().add(min=0)
    server.ready()
    with prepare(registry=server.registry) as env:
        report = run(env['request'], INSTANT, window=60, stop=lambda: True)
    assert [task.reason for task in report.tasks] == ['stopping']
    server.tick(1)
    assert server.ran == [('task', 0)]


def test_the_loser_to_a_run_that_still_goes_on_is_told_who_has_it(servers):
    first, second = (servers.start().add(min='*') for _ in range(2))
    (mine,) = first.turns(0)
    (theirs,) = second.turns(1)
    assert first.claims.claim(mine) is None
    held = second.claims.claim(theirs)
    assert re.fullmatch(rf'still running: process {os.getpid()} on \S+, since [-0-9]+ [:0-9]+\+00:00', held.reason)
    assert held.level == logging.WARNING
    assert 0 <= held.seconds < 60
    # who has the very same minute is nobody's business
    assert second.claims.claim(second.turns(1)[0]).reason == held.reason
    assert [turn.held.reason for turn in second.turns(0)] == ['already run']
    first.claims.release(mine, TaskReport('task', 'ok'))


def test_a_named_run_is_recorded_as_manual_and_claims_no_minute(servers):
    server = servers.start().add(min=0).add('other', min=0)
    server.tick(-1)
    report = server.tick(0, names=['other', 'task'])
    assert [(task.name, task.outcome) for task in report.tasks] == [('other', 'ok'), ('task', 'ok')]
    assert servers.row()['last_minute'] is None
    assert {*servers.history('trigger', 'scheduled_for', 'outcome', 'attempt')} == {('manual', None, 'ok', 1)}
    server.tick(0)
    assert len(server.ran) == 4
    with pytest.raises(LookupError, match='no cron task is named'):
        server.tick(0, names=['none'])


def test_a_named_idle_run_for_which_no_time_was_left_passes_nothing_over(servers):
    server = servers.start(window='1e-9').add('idle', min=0, idle=True)
    server.tick(-1)
    assert [task.reason for task in server.tick(-1, names=['idle']).tasks] == ['no time left']
    assert servers.row('idle')['last_minute'] is None
    assert servers.history() == []


def test_a_named_run_that_fails_is_not_tried_again(servers):
    server = servers.start().add(body=failing(9), min=0, retries=3)
    server.tick(1, names=['task'])
    server.tick(2)
    assert len(server.ran) == 1


def test_a_named_run_waits_for_nobody_and_takes_over_from_the_dead(servers, warnings):
    server = servers.start(window='10e9').add(min=0)
    server.tick(0)
    servers.hold()
    assert server.tick(1, names=['task']).tasks[0].reason.startswith('still running: process 4711 on elsewhere')
    servers.execute(update(processes).values(lease_until=0.0))
    assert [task.outcome for task in server.tick(1, names=['task']).tasks] == ['ok']
    assert servers.history('outcome')[-2:] in (['lost', 'ok'], ['ok', 'lost'])


def test_the_trigger_of_a_run_is_recorded(servers):
    server = servers.start().add(min='*')
    server.ready()
    app = TestApp(server.config.make_wsgi_app(), extra_environ={'REMOTE_ADDR': '127.0.0.1'})
    assert app.get('/cron').text == 'ok'
    assert servers.history('trigger', 'host', 'pid') == [('request', socket.gethostname(), os.getpid())]


# --- the database is away


def test_if_the_store_cannot_be_asked_nothing_runs_that_is_under_it_and_the_answer_says_why(servers, warnings):
    server = servers.start().add(min='*').add('free', min='*', store=False)
    server.ready()
    app = TestApp(server.config.make_wsgi_app(), extra_environ={'REMOTE_ADDR': '127.0.0.1'})
    with server.outage():
        answer = app.get('/cron', status=500, headers={'Accept': 'application/json'})
    assert answer.json['problem'] == 'the store cannot be asked: the database has gone'
    assert [task['name'] for task in answer.json['tasks']] == ['free']
    assert [name for name, _ in server.ran] == ['free']
    assert any('the store cannot be asked: the database has gone' in warning for warning in warnings())


# SQLite has no server
@pytest.mark.parametrize('engine', ['postgresql'], indirect=True)
def test_a_database_that_was_started_again_while_nobody_asked_calls_off_no_tick(servers, warnings):
    server = servers.start().add(min='*')
    server.tick(0)
    pid = column('pid')
    others = select(func.pg_terminate_backend(pid, 10000)).select_from(table('pg_stat_activity'))
    ended = servers.execute(
        others.where(column('datname') == func.current_database(), pid != func.pg_backend_pid())
    ).all()
    assert set(ended) == {(True,)}
    assert str(server.tick(1)) == 'ok'
    assert server.ran == [('task', 0), ('task', 1)]
    assert warnings() == []


def test_a_tick_after_an_outage_catches_up(servers):
    server = servers.start().add(min=0)
    server.tick(-1)
    with server.outage():
        assert str(server.tick(0)) == 'fail: the store cannot be asked: the database has gone'
        assert server.tick(0, names=['task']).problem is not None
    assert str(server.tick(1)) == 'ok'
    assert server.ran == [('task', 0)]


def test_what_was_due_in_a_long_outage_is_recorded_as_missed_after_it(servers, warnings):
    server = servers.start().add(min=0)
    server.tick(-1)
    for minute in range(10):
        with server.outage():
            server.tick(minute)
    warnings()
    server.tick(10)
    assert servers.minutes('missed') == [('task', 0)]
    assert servers.gaps() == [(0, 9)]


@pytest.mark.parametrize('committed', [False, True])
def test_a_claim_that_was_not_answered_is_no_run_and_is_made_again(servers, warnings, committed):
    first, second = (servers.start().add(min=0) for _ in range(2))
    first.tick(-1)
    (turn,) = first.turns(0)
    with first.commit_fails(after=committed), pytest.raises(Unavailable, match='the store cannot be asked'):
        first.claims.claim(turn)
    assert (servers.row()['run_id'] == turn.run_id) is committed
    # as soon as it can be told
    first.tick(1)
    second.tick(1)
    assert first.ran == [('task', 0)]
    assert servers.row()['run_id'] is None
    assert servers.history() == (['lost', 'ok'] if committed else ['ok'])


def test_a_task_that_cannot_be_claimed_fails_and_the_others_run(servers, warnings):
    server = servers.start().add('first', min='*').add('second', min='*')
    server.tick(0)
    with server.outage('UPDATE cron_tasks', times=1):
        report = server.tick(1)
    assert str(report) == 'fail: 1 of 2 tasks failed: first'
    assert server.ran[2:] == [('second', 1)]
    server.tick(2)
    assert servers.minutes('missed') == [('first', 1)]


def test_a_named_run_whose_claim_was_not_answered_does_not_run_later(servers, warnings):
    server = servers.start().add(min=0)
    server.tick(1)
    with server.commit_fails(after=True, times=3):
        server.tick(1, names=['task'])
    for minute in range(2, 5):
        server.tick(minute)
    assert server.ran == []
    assert servers.row()['run_id'] is None


def test_that_a_task_is_skipped_is_not_worth_an_answer_of_the_database(servers, warnings):
    server = servers.start(window='1e-9').add('idle', min=0, idle=True)
    server.tick(-1)
    with server.outage('UPDATE cron_tasks'):
        report = server.tick(0)
    assert [task.reason for task in report.tasks] == ['no time left']
    assert 'the store cannot be told that task idle is skipped: the database has gone' in warnings()


# --- the end of the process


@pytest.mark.parametrize('exc', [KeyboardInterrupt, SystemExit])
def test_a_run_that_the_end_of_its_process_stopped_is_released(servers, warnings, exc):
    def stop(system):
        raise exc

    first, second = servers.start().add(body=stop, min=0), servers.start().add(min=0)
    first.ready()
    request = prepare(registry=first.registry)
    with request as env, pytest.raises(exc):
        run(env['request'], INSTANT, window=60, exits=OF_SERVERS)
    assert servers.row()['run_id'] is None
    assert servers.history('outcome', 'reason') == [('lost', 'the end of its process was in its way')]
    # it may have committed something, and does not run once more
    assert second.tick(1).tasks == ()


def test_minutes_of_an_interrupted_run_are_not_owed(servers, warnings):
    def stop(system):
        server.clock.sleep(150)
        raise KeyboardInterrupt

    server = servers.start().add(body=stop, min='*')
    with pytest.raises(KeyboardInterrupt):
        server.tick(0)
    other = servers.start().add(min='*')
    other.tick(3)
    assert other.ran == [('task', 3)]
    assert servers.minutes('missed') == []


def test_an_interrupted_run_is_released_later_if_the_database_does_not_answer(servers, warnings):
    def stop(system):
        server.away = server.outage()
        server.away.__enter__()
        raise KeyboardInterrupt

    server = servers.start().add(body=stop, min=0).add('free', body=lambda system: sys.exit(), store=False, min=1)
    with pytest.raises(KeyboardInterrupt):
        server.tick(0)
    server.away.__exit__(None, None, None)
    told = [warning for warning in warnings() if 'interrupted' in warning]
    assert told == ['the store cannot be told that task task was interrupted: the database has gone']
    assert servers.row()['run_id'] is not None
    server.tick(2)
    assert servers.row()['run_id'] is None


def test_an_interrupted_task_that_is_not_durable_is_released_in_the_process(servers):
    def stop(system):
        raise KeyboardInterrupt

    server = servers.start().add(body=stop, min='*', store=False)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            server.tick(0)


def test_a_process_of_another_number_than_before_was_forked(servers):
    # as in the next test, where nobody sees into the child
    server = servers.start().add(min='*')
    server.tick(0)
    mine, pool = server.claims.process, server.engine.pool
    mine.pid = server.claims.database._process = 0
    server.tick(1)
    assert server.claims.process is not mine
    assert server.engine.pool is not pool
    # which is left open for the parent, here this very process
    pool.dispose()
    assert {row['id'] for row in servers.rows(processes)} == {mine.id, server.claims.process.id}


def test_a_process_that_was_forked_is_another_one(servers):
    server = servers.start().add(min='*')
    server.tick(0)
    mine = server.claims.process
    assert server.claims.process is mine
    child = os.fork()
    if child == 0:
        code = 1
        try:
            server.tick(1)
            code = 0 if server.claims.process.id != mine.id and server.ran[-1] == ('task', 1) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    # the connections of the parent still work
    server.tick(2)
    assert {row['pid'] for row in servers.rows(processes)} == {os.getpid(), child}
    assert servers.history('pid') == [os.getpid(), child, os.getpid()]


# --- what is kept


def test_what_is_older_than_the_history_is_kept_is_removed_in_small_steps(servers):
    server = servers.start(keep_history='2').add(min='*')
    server.tick(0)
    server.tick(5)
    now = datetime.now(timezone.utc)
    old = {'app': 'app', 'task': 'task', 'attempt': 1, 'trigger': 'request', 'started': now, 'outcome': 'ok'}
    days = [*[3] * 600, 1]
    servers.execute(
        insert(runs).values([old | {'id': str(i), 'finished': now - timedelta(days=d)} for i, d in enumerate(days)])
    )
    assert len(servers.rows(runs)) == 2 + 601 + 4
    server.clock.sleep(59)
    server.tick(6)
    assert len(servers.rows(runs)) == 2 + 601 + 5
    for left in (2 + 101 + 6, 2 + 101 + 7):
        server.clock.sleep(60 if left == 109 else 30)
        server.tick(left)
    assert len(servers.rows(gaps)) == 0
    server.clock.sleep(60)
    server.tick(200)
    assert len([row for row in servers.rows(runs) if row['finished'] < now - timedelta(days=2)]) == 0


def test_processes_that_have_been_silent_for_long_are_forgotten(servers):
    server = servers.start().add(min='*').add('held', min=59)
    server.tick(0)
    silent = {'host': 'elsewhere', 'pid': 1, 'lease_until': 0.0}
    servers.execute(insert(processes).values([silent | {'id': 'silent'}, silent | {'id': 'holds'}]))
    server.clock.sleep(60)
    # found by the tick after this
    (turn,) = server.turns(1)
    server.claims.claim(turn)
    servers.change('held', run_id='other', process='holds', began=0.0)
    server.claims.release(turn, TaskReport('task', 'ok'))
    assert {row['id'] for row in servers.rows(processes)} == {server.claims.process.id, 'holds'}


def test_a_history_that_cannot_be_pruned_hurts_nobody(servers, warnings):
    server = servers.start().add(min='*')
    server.tick(0)
    server.clock.sleep(60)
    with server.outage('DELETE'):
        assert str(server.tick(1)) == 'ok'
    assert warnings() == ['the history cannot be pruned: the database has gone']
