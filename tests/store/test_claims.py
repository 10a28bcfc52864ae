"""Claims in the store: which server runs a task, retries, outages, forks, and what is pruned."""

import contextlib
import logging
import os
import socket
import sys

import pytest
from pyramid.scripting import prepare
from sqlalchemy import event, select
from sqlalchemy.exc import OperationalError
from webtest import TestApp

from pyramid_cron import Skip, runner
from pyramid_cron.events import ITaskFinished, ITaskMissed, ITaskRecovered
from pyramid_cron.isolation import OF_SERVERS
from pyramid_cron.orders import Order
from pyramid_cron.reports import Failures
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.schema import processes, runs, tasks, ticks
from tests.support.problems import task_problems
from tests.support.servers import INSTANT
from tests.support.statements import GONE


def test_one_of_several_servers_runs_a_task(servers, warnings, caplog):
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


def test_applications_of_one_database_are_independent(servers):
    one, other = servers.start().add(), servers.start(app='other').add()
    for server in (one, other):
        assert server.tick().tasks[0].outcome == 'ok'
    assert sorted(servers.history('app', 'task')) == [('app', 'task'), ('other', 'task')]


def failing(times):
    failures = iter(range(times))

    def body(system):
        for _ in failures:
            raise ValueError('no luck')

    return body


def test_a_report_counts_the_failures_in_a_row(servers):
    server = servers.start().add(body=failing(2), min='*')
    counted = [server.tick(minute).tasks[0].failures for minute in range(3)]
    assert counted == [Failures(1), Failures(2), None]
    assert servers.row()['failures_in_a_row'] == 0


def claimed_run(server):
    """Return the run of a task that has failed once, as claimed for its next minute."""
    server.tick(0)
    (run,) = server.runs(5)
    assert run.claim() is None
    return run


@pytest.mark.slow
@pytest.mark.each_database
@pytest.mark.parametrize('excuse', ['paused', 'acknowledged'])
def test_a_failure_excused_during_its_run_is_no_alarm(servers, excuse, caplog):
    def body(system):
        if server.ran[-1] == ('task', 5):
            if excuse == 'paused':
                server.store.pause(['task'], reason='it fails')
            else:
                server.store.acknowledge(['task'], reason='it is known', requested_by='ada')
        raise LookupError('no luck')

    server, events = servers.start().add(body=body), []
    server.config.add_subscriber(events.append, ITaskFinished)
    server.tick(0)
    caplog.clear()
    [report] = server.tick(5).tasks
    assert (report.outcome, report.excuse, report.is_fault, events[-1].is_fault) == ('failed', excuse, False, False)
    assert [record.levelname for record in caplog.records if 'failed after' in record.getMessage()] == ['WARNING']
    # as in health
    assert [problem.word for problem in task_problems(server.registry) if problem.kind == 'failed'] == [excuse]


def test_a_pause_that_ends_during_a_run_is_no_excuse(servers):
    server = servers.start().add(body=failing(1))
    run = claimed_run(server)
    assert run.excuse('ValueError') is None
    server.store.pause(['task'], reason='it fails')
    assert run.excuse('ValueError') == 'paused'
    server.store.resume(['task'])
    assert run.excuse('ValueError') is None


def test_a_failure_in_an_outage_has_the_excuse_before_it(servers):
    server = servers.start().add(body=failing(1), tolerate=2)
    run = claimed_run(server)
    server.store.pause(['task'], reason='it fails')
    with server.outage(of=tasks, kind='select'):
        assert run.excuse('ValueError') == 'tolerated'
    assert run.excuse('ValueError') == 'paused'


def test_a_failure_after_a_success_shows_when_that_was(servers):
    outcomes = iter([None, ValueError('no luck')])

    def body(system):
        exc = next(outcomes)
        if exc is not None:
            raise exc

    server = servers.start().add(body=body, min='*')
    assert server.tick(0).tasks[0].failures is None
    succeeded = servers.row()['last_success_at']
    assert server.tick(1).tasks[0].failures == Failures(1, last_success=succeeded)
    # a run by name was found without its row
    outcomes = iter([ValueError('no luck')])
    (by_name,) = server.tick(2, ['task']).tasks
    assert (by_name.error, by_name.failures) == ('ValueError', None)


@pytest.mark.slow
def test_an_outage_is_shown_without_words_of_the_database(servers):
    for server in (servers.start().add(), servers.start().add().add('in this process', store=False)):
        with server.outage():
            report = server.tick()
        assert report.problem == GONE
        assert report.brief_problem == 'the store is not available: Exception'
    assert report.names('ok') == ['in this process']


def test_a_failed_run_is_retried_at_following_ticks(servers, caplog):
    caplog.set_level('INFO', 'pyramid_cron')
    server = servers.start().add(body=failing(9), min=0, retries=2)
    reports = [server.tick(minute) for minute in range(5)]
    assert [report.failed for report in reports] == [False, False, True, False, False]
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


def test_a_task_without_retries_runs_once(servers):
    server = servers.start().add(body=failing(9), min=0)
    server.tick(0)
    server.tick(1)
    assert len(server.ran) == 1


def test_the_next_minute_replaces_a_retry(servers):
    server = servers.start().add(body=failing(9), min='*/2', retries=2)
    for minute in range(4):
        server.tick(minute)
    assert servers.history('scheduled_for', 'attempt') == [
        (INSTANT, 1),
        (INSTANT, 2),
        (INSTANT + 2 * MINUTE, 1),
        (INSTANT + 2 * MINUTE, 2),
    ]


@pytest.mark.slow
def test_several_servers_retry_once_a_minute(servers):
    first, second, third = (servers.start().add(body=failing(9), min=0, retries=2) for _ in range(3))
    for minute in range(5):
        for server in (first, second, third):
            server.tick(minute)
    assert first.ran == [('task', 0)] * 3
    assert second.ran == third.ran == []


def test_a_retry_has_no_time_limit(servers):
    server = servers.start().add(body=failing(1), min=0, hour=2, retries=1)
    server.tick(0)
    server.tick(600)
    assert servers.history() == ['failed', 'ok']


def test_an_idle_task_without_time_left_is_skipped(servers, warnings):
    first, second = (servers.start(window='1e-9').add('idle', min=0, idle=True) for _ in range(2))
    report = first.tick(0)
    assert [(task.outcome, task.reason) for task in report.tasks] == [('skipped', 'no time left')]
    # neither another server nor the next minute runs it after all
    assert [task.reason for task in second.tick(0).tasks] == ['it was skipped: no time left']
    assert first.tick(1).tasks == second.tick(1).tasks == ()
    assert servers.history('outcome', 'reason') == [('skipped', 'no time left')]
    assert servers.minutes('missed') == []


def test_tasks_left_over_by_a_stop_run_later(servers):
    server = servers.start().add(min=0)
    server.ready()
    with prepare(registry=server.registry) as env:
        report = runner.run(env['request'], Order(server.registry, INSTANT, stop=lambda: True))
    assert [task.reason for task in report.tasks] == ['stopping']
    server.tick(1)
    assert server.ran == [('task', 0)]


def test_a_named_run_claims_no_minute(servers):
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


def test_a_skipped_named_run_is_not_recorded(servers):
    server = servers.start(window='1e-9').add('idle', min=0, idle=True)
    server.tick(-1)
    assert [task.reason for task in server.tick(-1, names=['idle']).tasks] == ['no time left']
    assert servers.row('idle')['last_minute'] is None
    assert servers.history() == []


def test_a_failed_named_run_is_not_retried(servers):
    server = servers.start().add(body=failing(9), min=0, retries=3)
    server.tick(1, names=['task'])
    server.tick(2)
    assert len(server.ran) == 1


def test_the_trigger_of_a_run_is_recorded(servers):
    server = servers.start().add(min='*')
    server.ready()
    app = TestApp(server.config.make_wsgi_app(), extra_environ={'REMOTE_ADDR': '127.0.0.1'})
    assert app.get('/cron').text == 'ok'
    assert servers.history('trigger', 'host', 'pid') == [('request', socket.gethostname(), os.getpid())]


# SQLite has no server
@pytest.mark.parametrize('engine', ['postgresql'], indirect=True)
def test_a_database_restart_between_ticks_costs_no_tick(servers, warnings):
    server = servers.start().add(min='*')
    server.tick(0)
    servers.end_connections()
    assert str(server.tick(1)) == 'ok'
    assert server.ran == [('task', 0), ('task', 1)]
    assert warnings() == []


@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_a_statement_that_fails_is_not_repeated(servers):
    server = servers.start().add(min='*')
    server.tick(0)
    # as after a time limit, whose repetition would be a second wait
    with server.outage(of=ticks, kind='insert', times=1):
        assert server.tick(1).problem is not None
    assert server.ran == [('task', 0)]


def test_a_tick_after_an_outage_catches_up(servers):
    server = servers.start().add(min=0)
    server.tick(-1)
    with server.outage():
        assert str(server.tick(0)) == f'fail: {GONE}'
        assert server.tick(0, names=['task']).problem is not None
    assert str(server.tick(1)) == 'ok'
    assert server.ran == [('task', 0)]


def test_an_outage_is_logged_with_its_traceback(servers, caplog):
    server = servers.start().add()
    with server.outage():
        server.tick(0)
    (record,) = [record for record in caplog.records if record.levelname == 'ERROR']
    assert record.exc_info[0] is OperationalError


def test_minutes_of_a_long_outage_are_missed(servers, warnings):
    server = servers.start().add(min=0)
    server.tick(-1)
    for minute in range(10):
        with server.outage():
            server.tick(minute)
    warnings()
    server.tick(10)
    assert servers.minutes('missed') == [('task', 0)]
    assert servers.gaps() == [(0, 9)]


def test_a_skip_does_not_need_the_database(servers, warnings):
    server = servers.start(window='1e-9').add('idle', min=0, idle=True)
    server.tick(-1)
    with server.outage(of=tasks, kind=('update', 'lock')):
        report = server.tick(0)
    assert [task.reason for task in report.tasks] == ['no time left']
    assert f'it cannot be recorded that task idle is skipped: {GONE}' in warnings()


@pytest.mark.parametrize('exc', [KeyboardInterrupt, SystemExit])
def test_a_run_interrupted_by_its_process_is_released(servers, warnings, exc):
    def stop(system):
        raise exc

    first, second = servers.start().add(body=stop, min=0), servers.start().add(min=0)
    first.ready()
    request = prepare(registry=first.registry)
    with request as env, pytest.raises(exc):
        runner.run(env['request'], Order(first.registry, INSTANT, exits=OF_SERVERS))
    assert servers.row()['run_id'] is None
    assert servers.history('outcome', 'reason') == [('lost', 'its process was ended during the run')]
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


def test_an_interrupted_run_is_released_after_an_outage(servers, warnings):
    def stop(system):
        server.away = server.outage()
        server.away.__enter__()
        raise KeyboardInterrupt

    server = servers.start().add(body=stop, min=0).add('free', body=lambda system: sys.exit(), store=False, min=1)
    with pytest.raises(KeyboardInterrupt):
        server.tick(0)
    server.away.__exit__(None, None, None)
    assert f'the end of task task cannot be recorded yet: {GONE}' in warnings()
    assert servers.row()['run_id'] is not None
    server.tick(2)
    assert servers.row()['run_id'] is None


def test_a_process_with_another_pid_was_forked(servers):
    # as in the next test, whose child process is not measured
    server = servers.start().add(min='*')
    server.tick(0)
    mine, pool = server.claims.own.process, server.engine.pool
    mine.pid = server.claims.database._process = 0
    server.tick(1)
    assert server.claims.own.process is not mine
    assert server.engine.pool is not pool
    # which is left open for the parent, here this very process
    pool.dispose()
    assert {row['id'] for row in servers.rows(processes)} == {mine.id, server.claims.own.process.id}


def test_a_forked_process_has_its_own_claims(servers):
    server = servers.start().add(min='*')
    server.tick(0)
    mine = server.claims.own.process
    assert server.claims.own.process is mine
    child = os.fork()
    if child == 0:
        code = 1
        try:
            server.tick(1)
            code = 0 if server.claims.own.process.id != mine.id and server.ran[-1] == ('task', 1) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    # the connections of the parent still work
    server.tick(2)
    assert {row['pid'] for row in servers.rows(processes)} == {os.getpid(), child}
    assert servers.history('pid') == [os.getpid(), child, os.getpid()]


def test_a_tick_of_a_command_is_recorded(servers):
    server = servers.start().add()
    server.ready()
    server.target = TestApp(server.config.make_wsgi_app())
    server.tick(0)
    server.target = server.registry
    server.tick(5)
    server.tick(6, names=['task'])
    assert servers.history('trigger') == ['command', 'request', 'manual']


def test_a_skipped_run_records_the_minutes_before_it(servers, warnings):
    server = servers.start(window='1e-9').add('idle', min='*/2', idle=True)
    server.tick(-1)
    server.tick(4)
    assert servers.minutes('skipped') == [('idle', 4)]
    assert servers.minutes('missed') == [('idle', 0), ('idle', 2)]
    assert len([warning for warning in warnings() if 'was missed' in warning]) == 1
    row = servers.row('idle')
    assert (row['last_outcome'], row['last_outcome_for']) == ('missed', INSTANT + 2 * MINUTE)


def test_a_run_that_another_server_claimed_is_not_skipped(servers):
    server, other = servers.start(window='1e-9'), servers.start()
    for each in (server, other):
        each.add('idle', min=0, idle=True)
    server.tick(-1)
    with server.overtaken(of=tasks, kind=('lock', 'update'), by=lambda: other.tick(0)):
        server.tick(0)
    assert servers.history() == ['ok']


@pytest.mark.slow
def test_a_miss_that_another_server_found_is_not_sent(servers, warnings):
    server, other = servers.start(window='1e-9'), servers.start()
    for each in (server, other):
        each.add('idle', min='*/2', idle=True)
    server.tick(-1)
    with server.overtaken(of=tasks, kind='update', sets='retry_reason', by=lambda: other.tick(2)):
        server.tick(2)
    assert servers.minutes('missed') == [('idle', 0)]
    assert len([warning for warning in warnings() if 'was missed' in warning]) == 1


@pytest.fixture
def held(servers):
    """Return, for a ``with``, the transaction of a person that holds rows of tasks."""

    @contextlib.contextmanager
    def held(*names):
        with servers.engine.connect() as connection, connection.begin():
            # by the whole key: MariaDB locks each row that it looks at
            query = select(tasks.c.task).where(tasks.c.app == 'app', tasks.c.task.in_(names)).with_for_update()
            assert len(connection.execute(query).all()) == len(names)
            yield

    return held


# SQLite waits for a lock, for four seconds, and then fails
locking = pytest.mark.each_server


@pytest.mark.slow
@locking
def test_a_task_with_a_locked_row_runs_later(servers, held, warnings):
    server = servers.start().add(min=1).add('other', min='*')
    server.tick(0)
    with held('task'):
        report = server.tick(1)
        reason = 'another transaction holds its row in the store'
        assert [(task.outcome, task.reason) for task in report.tasks] == [('locked', reason), ('ok', None)]
        assert str(report) == f'fail: 1 of 2 tasks is locked: task ({reason})'
        assert f'task task is locked: {reason}' in warnings()
        assert server.tick(2).names('locked') == ['task']
        assert server.store.snapshot().ticks.problem == f'task task: {reason}'
        # by name too
        assert server.tick(2, ['task']).names('locked') == ['task']
    report = server.tick(3)
    assert not report.failed
    assert server.ran[-2:] == [('task', 1), ('other', 3)]
    assert server.store.snapshot().ticks.problem is None


@pytest.mark.slow
@locking
def test_a_row_locked_until_it_is_too_late_is_missed(servers, held):
    server = servers.start(catch_up='60').add(min=1)
    server.tick(0)
    with held('task'):
        for minute in (1, 2, 3, 4):
            assert server.tick(minute).names('locked') == ['task']
    assert not server.tick(5).failed
    (missed,) = (row for row in servers.rows(runs) if row['outcome'] == 'missed')
    assert missed['scheduled_for'] == INSTANT + MINUTE
    assert missed['reason'] == 'ticks failed: task task: another transaction holds its row in the store'


@pytest.mark.slow
@locking
def test_a_lock_is_waited_for_once_in_a_tick(servers, held):
    names = [f'task {number}' for number in range(20)]
    server = servers.start()
    for name in names:
        server.add(name, min='*')
    server.tick(0)
    began = server.clock()
    with held(*names):
        assert server.tick(1).names('locked') == names
    assert server.clock() - began < 1.1


@locking
def test_a_skip_with_a_locked_row_is_logged(servers, held, warnings):
    server = servers.start(window='1e-9').add('idle', min='*', idle=True)
    server.tick(0)
    (run,) = server.runs(1)
    with held('idle'):
        run.skip('no time left')
    assert warnings()[-1].startswith('it cannot be recorded that task idle is skipped: another transaction holds')


def test_an_error_of_a_claim_is_a_problem_of_the_tick(servers):
    server = servers.start().add(min='*')
    server.tick(0)
    with server.outage(of=tasks, kind=('update', 'lock'), times=1):
        assert server.tick(1).failed
    assert server.store.snapshot().ticks.problem == f'task task: {GONE}'


def test_a_tick_that_cannot_be_recorded_is_remembered(servers, warnings):
    server = servers.start().add(min='*')
    server.tick(0)
    with server.outage(of=ticks):
        assert server.tick(1).failed
    assert warnings()[-1] == f'it cannot be recorded that the tick for 2020-11-23 02:01+00:00 is done: {GONE}'
    assert server.store.snapshot().ticks.problem == GONE
    assert server.tick(2)
    assert server.store.snapshot().ticks.problem is None


@pytest.mark.slow
@locking
def test_a_connection_lost_during_a_tick_costs_no_tick(servers):
    server = servers.start(catch_up='0').add('first', min=1).add('second', min='*')
    server.tick(0)
    # no gap, for which rows are locked as well
    servers.start().tick(1)
    with server.overtaken(of=tasks, kind='lock', by=servers.end_connections):
        assert str(server.tick(2)) == 'ok'
    assert servers.minutes('missed') == [('first', 1), ('second', 1)]
    assert server.ran[-1] == ('second', 2)


@pytest.mark.slow
@pytest.mark.parametrize('committed', [False, True])
def test_an_exit_within_a_claim_leaves_nothing_claimed(servers, server, committed):
    server.ready()

    def end(connection):
        if committed:
            connection.connection.dbapi_connection.commit()
        raise SystemExit

    (run,) = server.runs()
    event.listen(server.engine, 'commit', end)
    with pytest.raises(SystemExit):
        run.claim()
    event.remove(server.engine, 'commit', end)
    assert (servers.row()['run_id'] is not None) is committed
    assert server.claims.own.heartbeat._count == 0
    assert server.tick(0).names('ok') == ['task']


def test_an_exit_before_the_begin_of_a_run_repeats_it(servers):
    def end(missed):
        if ends:
            ends.pop()
            raise KeyboardInterrupt

    ends = [None]
    server = servers.start(include=lambda config: config.add_subscriber(end, ITaskMissed)).add(min='*')
    server.tick(0)
    with pytest.raises(KeyboardInterrupt):
        server.tick(20)
    assert server.claims.own.heartbeat._count == 0
    assert server.tick(20).tasks[0].attempt == 2
    assert server.ran == [('task', 0), ('task', 20)]


def test_an_interrupted_run_by_name_is_lost(servers, server):
    server.ready()
    (run,) = server.claims.named(server.registry['cron_tasks'], ['task']).runs
    run.claim()
    run.interrupt()
    assert servers.history('outcome', 'scheduled_for') == [('lost', None)]
    assert servers.row()['run_id'] is servers.row()['retry_reason'] is None


def test_no_recovery_is_reported_of_runs_that_have_not_failed(servers):
    raised, recovered = [LookupError, Skip, LookupError, Skip, None], []

    def body(system):
        error = raised.pop(0)
        if error is not None:
            raise error

    server = servers.start().add(body=body, retries=1)
    server.config.add_subscriber(recovered.append, ITaskRecovered)
    for minute in (0, 1, 5, 6):
        server.tick(minute)
    # as a version before this one has left it
    servers.change(failed_since=1.0)
    server.tick(10)
    assert (servers.row()['last_outcome'], servers.row()['failed_since'], recovered) == ('ok', None, [])
