"""Registration: new tasks, changed schedules, tasks that are back, and those that no process registers."""

import pytest
from sqlalchemy import select

from pyramid_cron.events import ITaskUnregistered
from pyramid_cron.reports import TaskReport
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store import registration
from pyramid_cron.store.schema import tasks
from tests.support.problems import task_problems
from tests.support.servers import INSTANT
from tests.support.statements import GONE


def test_a_new_task_owes_no_earlier_minute(servers, server, warnings):
    server.tick(1)
    assert server.ran == []
    server.tick(5)
    assert server.ran == [('task', 5)]
    # a task that comes later, to a store that has been there for long
    later = servers.start(catch_up='86400').add().add('new', min='*/2')
    later.tick(7)
    assert later.ran == []
    later.tick(8)
    assert later.ran == [('new', 8)]
    assert servers.minutes('missed') == []


def test_a_new_task_runs_in_its_first_minute(server):
    server.tick(0)
    assert server.ran == [('task', 0)]


def test_a_deploy_at_noon_loses_no_noon_run(servers):
    servers.start().add(min=0).tick(-1)
    after = servers.start().add(min=0)
    after.tick(1)
    assert after.ran == [('task', 0)]


def test_minutes_of_a_new_schedule_alone_are_not_missed(servers):
    servers.start().add(min=30).tick(-2)
    new = servers.start().add(min=0)
    new.tick(2)
    assert new.ran == []
    assert servers.minutes('missed') == []
    new.tick(60)
    assert new.ran == [('task', 60)]


def test_a_minute_of_both_schedules_is_caught_up(servers):
    servers.start().add(min=(0, 30)).tick(-2)
    new = servers.start().add(min='*/20')
    new.tick(2)
    assert new.ran == [('task', 0)]


def test_another_time_zone_is_another_schedule(servers):
    servers.start().add(min=0, hour=4, timezone='Europe/Berlin').tick(-2)
    new = servers.start().add(min=0, hour=2)
    new.tick(2)
    assert new.ran == []


@pytest.mark.slow
def test_a_new_schedule_counts_from_its_first_minute(servers):
    servers.start().add(min=30).tick(-2)
    new = servers.start().add(min=0)
    new.tick(0)
    assert new.ran == [('task', 0)]


@pytest.mark.slow
def test_a_schedule_changed_back_owes_nothing_between(servers):
    old, new = servers.start().add(min='*/10'), servers.start().add(min=59)
    old.tick(-10)
    new.tick(-1)
    again = servers.start().add(min='*/10')
    again.tick(2)
    assert again.ran == []
    again.tick(10)
    assert again.ran == [('task', 10)]


@pytest.mark.slow
def test_two_servers_with_different_schedules_run_each_minute_once(servers, warnings):
    old, new = servers.start().add(min='*/2'), servers.start().add(min='*/3')
    for minute in range(-1, 13):
        old.tick(minute)
        new.tick(minute)
    ran = [minute for _, minute in old.ran + new.ran]
    assert sorted(ran) == sorted({*range(0, 13, 2), *range(0, 13, 3)})
    assert warnings() == []


def test_a_new_schedule_waits_for_a_run_in_progress(servers, warnings):
    server = servers.start().add()
    server.tick(0)
    before = servers.row()['schedule']
    servers.hold()
    new = servers.start().add(min='*/7')
    new.tick(1)
    assert servers.row()['schedule'] == before
    servers.change(run_id=None)
    servers.start().add(min='*/7').tick(2)
    assert servers.row()['schedule'] != before


def test_a_renamed_task_is_new(servers):
    servers.start().add('before', min=0).tick(-60)
    renamed = servers.start().add('after', min=0)
    renamed.tick(2)
    assert renamed.ran == []
    renamed.tick(60)
    assert renamed.ran == [('after', 60)]
    assert servers.minutes('missed') == []


def test_two_processes_register_a_task_once(servers):
    first, second = (servers.start().add() for _ in range(2))

    with second.overtaken(of=tasks, kind='insert', by=lambda: first.tick(0)):
        report = second.tick(0)
    assert str(report) == 'ok: 1 of 1 tasks already run for 02:00'
    assert first.ran == [('task', 0)]


@pytest.mark.slow
def test_a_task_that_is_back_owes_nothing_of_its_absence(servers):
    with_it = servers.start().add('task', min=0).add('other', min=0)
    with_it.tick(0)
    without = servers.start().add('other', min=0)
    tick_each([without], range(1, 121))
    again = servers.start().add('task', min=0).add('other', min=0)
    tick_each([again], (121, 180))
    assert servers.minutes('missed') == []
    assert again.ran == [('task', 180), ('other', 180)]


def test_an_outage_of_a_day_is_no_absence(servers):
    server = servers.start(catch_up='60').add(min=0)
    server.tick(0)
    server.tick(3 * 60 + 5)
    assert servers.minutes('missed') == [('task', 60), ('task', 120), ('task', 180)]


def test_registrations_that_cannot_be_recorded_fail_no_tick(servers, warnings):
    server = servers.start().add(min=59)
    for minute in range(20):
        server.tick(minute)
    with server.outage(of=tasks, sets='last_seen', kind='update'):
        assert not server.tick(20).failed
    assert warnings()[-1] == f'it cannot be recorded which tasks are registered: {GONE}'


def tick_each(servers, minutes):
    """Let each server tick at each of the minutes."""
    for minute in minutes:
        for server in servers:
            server.tick(minute)


UNREGISTERED = (
    'task gone is unregistered: no process with a tick has had it since 2020-11-23 02:00+00:00; '
    'register it again, or register the task of another name with was=\'gone\', or run "pcron forget" for it'
)


@pytest.mark.slow
def test_an_unregistered_task_is_reported_once(servers, warnings):
    sent = []
    servers.start().add('gone', min=0).tick(0)
    pair = [
        servers.start(include=lambda config: config.add_subscriber(sent.append, ITaskUnregistered)).add(min=59)
        for _ in range(2)
    ]
    tick_each(pair, range(62))
    assert (sent, warnings()) == ([], [])
    tick_each(pair, range(62, 130))
    assert [(event.name, event.last_seen) for event in sent] == [('gone', INSTANT)]
    assert warnings() == [UNREGISTERED]


@pytest.mark.slow
def test_a_task_that_is_lost_again_is_reported_again(servers, warnings):
    servers.start().add('gone', min=0).tick(0)
    server = servers.start().add(min=59)
    tick_each([server], range(90))
    servers.start().add('gone', min=0).tick(90)
    assert warnings() == [UNREGISTERED]
    tick_each([server], range(91, 180))
    assert warnings() == [UNREGISTERED.replace('02:00', '03:30')]


@pytest.mark.slow
def test_an_application_without_tasks_reports_lost_ones(servers, warnings):
    servers.start().add('gone', min=0).tick(0)
    tick_each([servers.start()], range(90))
    assert warnings() == [UNREGISTERED]


@pytest.mark.slow
@pytest.mark.each_database
def test_an_outage_makes_no_task_unregistered(servers, warnings):
    first, second = servers.start().add('first', min=59), servers.start().add('second', min=59)
    # a task that is gone for forty minutes has twenty left after the outage
    servers.start().add('gone', min=0).tick(0)
    tick_each([first, second], range(41))
    warnings()
    for server in (first, second):
        server.tick(341)
        snapshot = server.store.snapshot()
        assert not any(state.is_unregistered(snapshot.ticks.before) for state in snapshot.states.values())
    tick_each([first, second], range(342, 362))
    state, before = first.store.states()['gone'], first.store.snapshot().ticks.before
    assert before == INSTANT + 360 * MINUTE
    assert not state.is_unregistered(before)
    assert state.is_unregistered(before + MINUTE)
    assert not any(line.startswith('task gone') for line in warnings())


def test_a_late_run_makes_no_task_unregistered(servers):
    server, other = servers.start(catch_up='86400').add(min=0), servers.start()
    server.tick(-1)
    server.tick(59)
    assert server.ran == [('task', 0)]
    other.tick(60)
    assert servers.row()['last_seen'] == INSTANT + 59 * MINUTE


@pytest.mark.slow
def test_a_long_run_makes_no_task_unregistered(servers, warnings):
    server, other = servers.start(window='1e9').add(min=0, hour=2), servers.start().add('other', min='*')
    [run] = server.runs(0)
    assert run.claim() is None
    tick_each([other], range(120))
    assert not server.store.states()['task'].is_unregistered(INSTANT + 119 * MINUTE)
    server.clock.now += 120 * 60
    run.release(TaskReport('task', 'ok', 7200.0))
    assert servers.row()['last_seen'] == INSTANT + 120 * MINUTE
    assert warnings() == []


@pytest.mark.slow
def test_a_removed_task_in_a_dead_process_is_reported_later(servers, warnings):
    servers.start().add('gone', min=0).tick(0)
    server = servers.start().add(min=59)
    tick_each([server], range(5))
    servers.hold('gone', lease_until=0.0)
    servers.change('gone', last_seen=INSTANT - 90 * MINUTE)
    server.tick(5)
    assert [line.partition(':')[0] for line in warnings()] == ['task gone was lost']
    tick_each([server], range(6, 21))
    assert [line.partition(':')[0] for line in warnings()] == ['task gone is unregistered']


@pytest.mark.slow
def test_a_report_that_two_servers_begin_is_made_once(servers, warnings):
    servers.start().add('gone', min=0).tick(0)
    first, second = servers.start(), servers.start()
    for minute in range(62):
        first.tick(minute)
    with second.overtaken(of=tasks, kind=('lock', 'update'), by=lambda: servers.start().tick(62)):
        second.tick(62)
    assert warnings() == [UNREGISTERED]


OFF = {'cron.schedules': {'task': 'off'}}


@pytest.mark.slow
def test_a_task_that_is_off_owes_nothing(servers, warnings):
    servers.start().add(min=0).tick(-1)
    off = servers.start(**OFF).add(min=0)
    for minute in range(121):
        off.tick(minute)
    assert off.ran == []
    assert servers.history() == []
    assert off.store.states()['task'].next_due.year == 9999
    # it is registered all the time
    assert warnings() == []


def test_a_task_that_is_new_and_off_has_a_row(servers):
    off = servers.start(**OFF).add(min=0)
    off.tick(0)
    state = off.store.states()['task']
    assert (off.ran, state.next_due.year, state.last_minute) == ([], 9999, None)


@pytest.mark.slow
@pytest.mark.each_database
def test_a_task_that_is_on_again_owes_no_earlier_minute(servers):
    servers.start().add().tick(0)
    off = servers.start(**OFF).add()
    off.tick(4)
    off.tick(6)
    on = servers.start(catch_up='86400').add()
    on.tick(14)
    assert on.ran == []
    on.tick(15)
    assert on.ran == [('task', 15)]
    assert servers.minutes('missed') == []


def test_a_task_that_is_on_again_in_a_due_minute_runs(servers):
    servers.start(**OFF).add().tick(0)
    on = servers.start().add()
    on.tick(5)
    assert on.ran == [('task', 5)]


def fail(system):
    raise LookupError


@pytest.mark.slow
@pytest.mark.each_database
@pytest.mark.parametrize('while_off', [True, False])
def test_a_run_from_before_is_not_repeated(servers, while_off):
    servers.start().add(body=fail, retries=2).tick(0)
    off = servers.start(**OFF).add(retries=2)
    assert off.store.states()['task'].retry_reason == 'failed'
    if while_off:
        off.tick(1)
        assert off.store.states()['task'].retry_reason is None
        off.tick(2)
    else:
        # the row of the task is as the servers left it that did not know of the retry
        off.tick(1)
        servers.change(retry_reason='failed')
        off.tick(2)
        on = servers.start().add(retries=2)
        on.tick(3)
        assert on.ran == []
        assert on.store.states()['task'].retry_reason is None
    assert off.ran == []


@pytest.mark.slow
@pytest.mark.each_database
def test_the_failure_of_a_run_that_is_not_repeated_any_more_is_a_fault(servers):
    servers.start().add(body=fail, min=0, retries=2).tick(0)
    servers.start(**OFF).add(min=0, retries=2).tick(1)
    on = servers.start().add(min=0, retries=2)
    on.tick(2)
    on.tick(3)
    assert on.ran == []
    assert [problem.word for problem in task_problems(on.registry)] == ['failed']


@pytest.mark.slow
@pytest.mark.each_database
def test_servers_with_and_without_the_task_run_it_once(servers):
    on, off = servers.start().add(), servers.start(**OFF).add()
    for minute in range(0, 12):
        on.tick(minute)
        off.tick(minute)
    assert (on.ran, off.ran) == ([('task', 0), ('task', 5), ('task', 10)], [])


def test_a_task_that_is_off_runs_by_name(servers):
    off = servers.start(**OFF).add()
    off.tick(0)
    off.tick(1, ['task'])
    assert len(off.ran) == 1
    off.tick(2)
    assert len(off.ran) == 1


def paths(servers):
    return {row['task']: row['callable'] for row in servers.rows(tasks)}


OF_SERVER = 'tests.support.servers.Server.add.<locals>.f'


@pytest.mark.slow
@pytest.mark.each_database
def test_the_function_of_a_task_is_recorded(servers, warnings):
    first = servers.start().add().add('other', min=0)
    first.tick(0)
    assert paths(servers) == {'task': OF_SERVER, 'other': OF_SERVER}
    # of a row that an earlier version has made
    servers.change('task', callable=None)
    servers.change('other', callable='shop.invoices')
    with first.executed() as executed:
        first.tick(5)
    assert paths(servers) == {'task': OF_SERVER, 'other': 'shop.invoices'}
    # another function is recorded when its task was seen long ago
    servers.start().add().add('other', min=0).tick(30)
    assert paths(servers) == {'task': OF_SERVER, 'other': OF_SERVER}
    with first.executed() as again:
        first.tick(35)
    assert len(again) < len(executed) + 1
    assert 'functions' not in ''.join(warnings())


def test_a_task_in_progress_keeps_its_function(servers):
    server = servers.start().add()
    server.tick(0)
    servers.change(callable=None)
    servers.hold()
    server.tick(5)
    assert paths(servers) == {'task': None}


def test_one_tick_records_some_functions(servers, monkeypatch):
    monkeypatch.setattr(registration, 'MOST_CALLABLES', 2)
    server = servers.start()
    for name in 'abc':
        server.add(name)
    server.tick(0)
    for name in 'abc':
        servers.change(name, callable=None)
    server.tick(5)
    assert sorted(map(str, paths(servers).values())) == ['None', OF_SERVER, OF_SERVER]
    server.tick(10)
    assert set(paths(servers).values()) == {OF_SERVER}


@pytest.mark.each_server
def test_a_row_that_is_locked_gets_its_function_later(servers):
    server = servers.start().add().add('other')
    server.tick(0)
    servers.change(callable=None)
    servers.change('other', callable=None)
    polled = server.store.states()
    with servers.engine.begin() as connection:
        row = select(tasks.c.task).where(tasks.c.app == 'app', tasks.c.task == 'task')
        connection.execute(row.with_for_update())
        of_server = registration.Registration(server.store.database, server.store.options)
        of_server.record_callables([server.task(), server.task('other')], polled, INSTANT, INSTANT + MINUTE)
    assert paths(servers) == {'task': None, 'other': OF_SERVER}


def test_functions_that_cannot_be_recorded_stop_no_tick(server, servers, warnings):
    server.tick(0)
    servers.change(callable=None)
    polled = server.store.states()
    with server.outage():
        of_server = registration.Registration(server.store.database, server.store.options)
        of_server.record_callables([server.task()], polled, INSTANT, INSTANT + MINUTE)
    assert 'the functions of tasks cannot be recorded: ' in ''.join(warnings())
