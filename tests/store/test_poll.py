"""Polling the store at a tick: deployments, minutes ahead, errors of single rows, and the cost of a tick."""

import re
from datetime import datetime, timezone

import pytest
from sqlalchemy import delete

from pyramid_cron.reports import TaskReport
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.errors import Locked
from pyramid_cron.store.schema import gaps, runs, tasks, ticks
from tests.support.servers import INSTANT
from tests.support.statements import GONE


@pytest.mark.slow
def test_a_run_killed_by_a_deploy_keeps_later_minutes(servers, warnings):
    before = servers.start().add()
    before.tick(-5)
    before.tick(-1)
    # the row as a process leaves it that was killed at 01:59:50
    servers.hold(lease_until=0.0)
    after = servers.start().add()
    after.tick(1)
    assert after.ran == [('task', 0)]


@pytest.mark.slow
def test_a_late_tick_makes_no_gap(servers, warnings):
    first, second = (servers.start().add(min='*') for _ in range(2))
    for minute in (0, 1, 2):
        first.tick(minute)
    report = second.tick(1)
    assert [task.reason for task in report.tasks] == ['already run']
    first.tick(3)
    assert servers.gaps() == []
    assert warnings() == []
    assert [minute for _, minute in first.ran + second.ran] == [0, 1, 2, 3]


def test_a_tick_with_nothing_due_takes_one_statement(server):
    server.tick(0)
    server.tick(1)
    with server.executed() as statements:
        # not within the five minutes for which it would be caught up
        for minute in (2, 3, 4):
            server.tick(minute)
    polls = [statement for statement in statements if statement.matches(of=tasks, kind='select')]
    # on PostgreSQL the tick is recorded by the same statement
    assert len([statement for statement in statements if statement not in polls or statement.parts]) == 3
    quiet = server.config.registry['cron_tasks']
    assert len(list(quiet)) == 1


def test_after_catch_up_a_tick_is_quiet(servers):
    server = servers.start().add(min=0)
    for minute in range(7):
        with server.executed() as statements:
            server.tick(minute)
    assert len(statements) == servers.statements_of_a_quiet_tick
    assert statements[0].matches(of=ticks)


@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_a_late_tick_without_due_tasks_takes_one_statement(servers):
    server = servers.start().add(min=0)
    for minute in (6, 20):
        server.tick(minute)
    with server.executed() as statements:
        server.tick(10)
    assert len(statements) == 1


@pytest.mark.slow
@pytest.mark.parametrize('first', [True, False])
def test_a_minute_ahead_of_the_database_is_refused(servers, warnings, first):
    server = servers.start().add(min='*').add('free', min='*', store=False)
    now = datetime.now(timezone.utc)
    if not first:
        server.tick(0)
        server.ran.clear()
    ahead = round((now - INSTANT) / MINUTE) + 180
    report = server.tick(ahead)
    assert report.failed
    assert re.search("is [23] h .* min ahead of the database's clock: set the clock of this machine", report.problem)
    assert server.ran == [('free', ahead)]
    assert [task.name for task in report.tasks] == ['free']
    # of the present for health, and of both where it is recorded why a minute was missed
    refused = INSTANT + ahead * MINUTE
    for minute, counted in ((now, True), (refused, False)):
        of_minute = server.claims.failed_ticks.reason(minute - MINUTE, minute + MINUTE, ahead=False)
        assert (of_minute == report.problem) == counted
    assert server.claims.failed_ticks.reason(refused, refused) == report.problem
    # a tick that comes in time is neither late nor after a gap
    warnings()
    server.tick(1)
    server.tick(2)
    assert [row['last_minute'] for row in servers.rows(ticks)] == [INSTANT + 2 * MINUTE]
    assert [warning for warning in warnings() if 'clock was set back' not in warning] == []
    assert servers.gaps() == []


def test_a_minute_slightly_ahead_of_the_database_runs(servers):
    server = servers.start().add(min='*')
    server.tick(int((datetime.now(timezone.utc) - INSTANT) / MINUTE) + 1)
    assert len(server.ran) == 1


@pytest.mark.slow
def test_more_than_a_hundred_due_tasks_run(servers):
    server = servers.start()
    for number in range(101):
        server.add(f'task {number}', min='*')
    server.tick(0)
    server.tick(1)
    assert len(server.ran) == 202


def test_runs_do_not_depend_on_the_history(servers):
    server = servers.start().add(min='*')
    for minute in (0, 1, 4, 4, 5):
        servers.execute(delete(runs))
        server.tick(minute)
    assert [minute for _, minute in server.ran] == [0, 1, 4, 5]


@pytest.mark.slow
def test_an_error_of_one_row_is_one_failed_task(servers, caplog):
    server = servers.start(catch_up='0').add('first', min=1).add('second', min='*').add('third', min='*')
    server.tick(0)
    # a minute is missed, and cannot be recorded for one of them
    with server.outage(of=tasks, kind='update', sets='last_outcome_for', times=1):
        report = server.tick(2)
    assert [(task.name, task.outcome) for task in report.tasks] == [
        ('first', 'failed'),
        ('second', 'ok'),
        ('third', 'ok'),
    ]
    assert str(report) == f'fail: 1 of 3 tasks failed: first ({GONE})'
    assert 'task first: its row cannot be handled' in caplog.text
    assert server.store.snapshot().ticks.problem == f'task first: {GONE}'
    assert not server.tick(3).failed
    assert server.store.snapshot().ticks[:3] == (INSTANT + 3 * MINUTE, INSTANT + 3 * MINUTE, None)


@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_an_unexpected_error_of_a_row_is_one_failed_task(servers, caplog):
    server = servers.start().add('first', min=0).add('second', min='*')
    server.tick(0)
    with servers.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE cron_tasks SET attempt = 'many', retry_reason = 'lost' WHERE task = 'first'")
    report = server.tick(1)
    assert [(task.name, task.outcome) for task in report.tasks] == [('first', 'failed'), ('second', 'ok')]
    assert report.tasks[0].reason.startswith('TypeError: ')
    assert 'task first: its row cannot be handled' in caplog.text


@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_a_row_under_another_name_is_one_failed_task(servers):
    with servers.engine.begin() as connection:
        ((table,),) = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = 'cron_tasks'").fetchall()
        connection.exec_driver_sql('DROP TABLE cron_tasks')
        # as another tool makes it that knows no binary collation
        connection.exec_driver_sql(table.replace('task VARCHAR(255)', 'task VARCHAR(255) COLLATE NOCASE'))
    servers.start().add('Report', min='*').tick(0)
    report = servers.start().add('report', min='*').add('other', min='*').tick(1)
    assert [(task.name, task.outcome) for task in report.tasks] == [('report', 'failed'), ('other', 'ok')]
    assert report.tasks[0].reason == 'its row was inserted and is not found: run "pcron store check"'


def test_a_row_of_a_removed_task_that_fails_is_a_problem(servers):
    servers.start().add('removed', min=1).tick(0)
    servers.change('removed', last_minute=INSTANT, retry_reason='lost')
    server = servers.start().add(min='*')
    with server.outage(of=tasks, kind='update', sets='retry_reason', times=1):
        assert not server.tick(30).failed
    assert server.store.snapshot().ticks.problem == f'task removed: {GONE}'


def meet_lock():
    raise Locked


@pytest.fixture
def with_lost_run(servers):
    """A server whose first tick finds a run of a dead process, and has more to change in the row of its task."""
    servers.start().add(min=0).tick(0)
    servers.hold(lease_until=0.0)
    return servers.start().add(min=30)


def test_a_lock_after_a_lost_run_keeps_its_report(with_lost_run, warnings):
    with with_lost_run.overtaken(of=tasks, kind='update', sets='schedule', by=meet_lock):
        report = with_lost_run.tick(1)
    assert [(task.name, task.outcome) for task in report.tasks] == [('task', 'lost')]


def test_an_error_after_a_lost_run_keeps_its_report(with_lost_run, warnings):
    with with_lost_run.outage(of=tasks, kind='update', sets='schedule'):
        report = with_lost_run.tick(1)
    assert [(task.name, task.outcome) for task in report.tasks] == [('task', 'lost'), ('task', 'failed')]


def test_a_lock_on_a_former_name_keeps_the_report(servers, warnings):
    servers.start().add('former', min=0).tick(0)
    servers.hold('former', lease_until=0.0)
    server = servers.start().add(min=0, was='former')
    with server.overtaken(of=tasks, kind='update', sets='renamed_from', by=meet_lock):
        report = server.tick(1)
    assert [(task.name, task.outcome) for task in report.tasks] == [('task', 'lost')]
    assert servers.row()['renamed_from'] == 'former'


def tick_before_and_after_gap(server, report):
    """Check that a tick has failed, and let a minute pass without a tick at which the task is due."""
    assert report.failed
    server.tick(1)
    server.tick(4)


def test_a_first_tick_that_fails_makes_no_minute_disappear(servers, warnings):
    server = servers.start(catch_up='0').add(min=2)
    with server.outage(of=tasks, kind='insert', times=1):
        report = server.tick(0)
    tick_before_and_after_gap(server, report)
    assert servers.minutes('missed') == [('task', 2)]


def test_a_schedule_is_recorded_after_an_error(servers, warnings):
    servers.start().add(min=30).tick(-1)
    server = servers.start(catch_up='0').add(min=2)
    with server.outage(of=tasks, kind='update', sets='schedule', times=1):
        report = server.tick(0)
    tick_before_and_after_gap(server, report)
    assert servers.minutes('missed') == [('task', 2)]


def test_a_failed_look_after_a_gap_is_repeated(servers, warnings):
    server = servers.start().add(min=30)
    server.tick(-3)
    with server.outage(of=tasks, kind='select', times=1):
        assert server.tick(0).failed
    looks = []
    for minute in (1, 2):
        with server.executed() as statements:
            server.tick(minute)
        looks.append(len(statements) > servers.statements_of_a_quiet_tick)
    assert looks == [True, False]


@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
@pytest.mark.parametrize(('failing', 'failed'), [({'of': gaps}, False), ({'of': tasks, 'kind': 'select'}, True)])
def test_a_gap_is_recorded_after_an_error(servers, warnings, failing, failed):
    server = servers.start(catch_up='0').add(min=2)
    server.tick(0)
    with server.outage(times=1, **failing):
        assert server.tick(150).failed == failed
    assert (f'a gap between ticks cannot be recorded yet: {GONE}' in warnings()) != failed
    assert servers.gaps() == []
    server.tick(153)
    assert servers.gaps() == [(1, 149), (151, 152)]
    assert servers.minutes('missed') == [('task', 2), ('task', 62), ('task', 122)]
    server.tick(154)
    assert len(servers.gaps()) == 2


@pytest.mark.slow
@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_what_a_killed_server_leaves_is_missed_at_the_next_tick(servers):
    first, second = (servers.start(catch_up='0').add('one', min=0).add('two', min=0) for _ in range(2))
    for server in (first, second):
        server.tick(-2)
        server.tick(-1)
    # it is killed after its first task
    claimed = first.runs(0)[0]
    assert claimed.claim() is None
    claimed.release(TaskReport('one', 'ok'))
    assert not second.tick(1).failed
    assert servers.minutes('missed') == [('two', 0)]
    assert servers.row('two')['last_outcome'] == 'missed'
    with second.executed() as statements:
        second.tick(2)
    assert len(statements) == 1


@pytest.mark.slow
@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_a_removed_task_costs_statements_for_an_hour(servers):
    servers.start().add('kept', min=59).add('removed', min=1).tick(0)
    server = servers.start().add('kept', min=59)
    counts = []
    for minute in range(64):
        with server.executed() as statements:
            server.tick(minute)
        counts.append(len(statements))
    assert counts[2] == 3
    assert counts[63] == 1
    assert 'removed' not in dict(server.ran)
