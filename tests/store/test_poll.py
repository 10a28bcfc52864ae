"""What a tick finds: first deployments, changed schedules, missed minutes, dead processes, gaps; and at which cost."""

import re
from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy import delete, update

from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.leases import Place
from pyramid_cron.store.schema import processes, runs, ticks

INSTANT = datetime(2020, 11, 23, 2, 0, tzinfo=timezone.utc)


def test_nothing_is_owed_from_before_a_task_was_first_deployed(servers, server, warnings):
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


def test_a_task_is_due_in_the_very_minute_of_its_first_deployment(server):
    server.tick(0)
    assert server.ran == [('task', 0)]


def test_a_minute_that_was_missed_is_caught_up_once_and_the_task_is_told_which_it_is(servers, caplog):
    first, second = (servers.start().add(min=0) for _ in range(2))
    first.tick(-1)
    caplog.set_level('INFO', 'pyramid_cron')
    report = second.tick(3)
    assert [(task.name, task.outcome) for task in report.tasks] == [('task', 'ok')]
    assert second.ran == [('task', 0)]
    assert 'task task begins, for 2020-11-23 02:00:00+00:00' in caplog.messages
    first.tick(3)
    first.tick(4)
    assert first.ran == []
    assert servers.history('scheduled_for', 'outcome', 'attempt') == [(INSTANT, 'ok', 1)]


@pytest.mark.parametrize(
    ('setting', 'own', 'late', 'ran'),
    [
        ({}, {}, 5, True),
        ({}, {}, 6, False),
        ({'catch_up': '600'}, {}, 10, True),
        ({'catch_up': '600'}, {}, 11, False),
        ({'catch_up': '600'}, {'catch_up': 60}, 2, False),
        ({'catch_up': '600'}, {'catch_up': 0}, 1, False),
        ({'catch_up': '0'}, {}, 1, False),
        ({'catch_up': '0'}, {'catch_up': timedelta(hours=1)}, 59, True),
    ],
)
def test_a_task_is_caught_up_for_as_long_as_it_says_or_the_setting(servers, warnings, setting, own, late, ran):
    server = servers.start(**setting).add(min=0, **own)
    server.tick(-1)
    server.tick(late)
    assert server.ran == ([('task', 0)] if ran else [])
    assert servers.minutes('missed') == ([] if ran else [('task', 0)])


def test_older_misses_are_recorded_once_each_with_one_warning_over_all_servers(servers, warnings):
    first, second = (servers.start().add('often').add('once', min=2) for _ in range(2))
    for server in (first, second):
        server.tick(0)
    assert warnings() == []
    for server in (first, second, first):
        server.tick(23)
    assert servers.minutes('missed') == [('often', 5), ('often', 10), ('often', 15), ('once', 2)]
    assert warnings() == [
        'no tick came from 2020-11-23 02:01+00:00 to 2020-11-23 02:22+00:00 (22 min)',
        'task once was missed and does not run for 2020-11-23 02:02+00:00',
        'task often was missed and does not run for 3 minutes from 2020-11-23 02:05+00:00 to 2020-11-23 02:15+00:00',
    ]
    # one of them is caught up all the same
    assert first.ran == [('often', 0), ('often', 20)]
    assert second.ran == []
    assert servers.history('task', 'outcome', 'reason', 'attempt')[1] == ('once', 'missed', 'nobody asked in time', 0)


def test_what_another_server_passes_over_at_the_same_time_is_told_once(servers, warnings):
    first, second = (servers.start().add(min=0) for _ in range(2))
    first.tick(-1)
    second.tick(-1)
    with second.overtaken(('SELECT cron_tasks.task', 'UPDATE cron_tasks'), lambda: first.tick(6)):
        second.tick(6)
    assert servers.minutes('missed') == [('task', 0)]
    assert len([told for told in warnings() if 'was missed' in told]) == 1


def test_a_deploy_at_noon_does_not_lose_the_noon_job(servers):
    servers.start().add(min=0).tick(-1)
    after = servers.start().add(min=0)
    after.tick(1)
    assert after.ran == [('task', 0)]


def test_a_task_that_the_deploy_killed_does_not_lose_the_noon_job_either(servers, warnings):
    before = servers.start().add()
    before.tick(-5)
    before.tick(-1)
    # as it is left by a process that was killed at 01:59:50
    servers.hold(lease_until=0.0)
    after = servers.start().add()
    after.tick(1)
    assert after.ran == [('task', 0)]


def test_minutes_at_whose_ticks_a_task_was_found_running_are_not_owed_once_it_is_lost(servers, warnings):
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


def test_a_minute_that_only_the_new_schedule_has_was_not_missed(servers):
    servers.start().add(min=30).tick(-2)
    new = servers.start().add(min=0)
    new.tick(2)
    assert new.ran == []
    assert servers.minutes('missed') == []
    new.tick(60)
    assert new.ran == [('task', 60)]


def test_a_minute_that_both_schedules_have_is_caught_up(servers):
    servers.start().add(min=(0, 30)).tick(-2)
    new = servers.start().add(min='*/20')
    new.tick(2)
    assert new.ran == [('task', 0)]


def test_a_change_of_the_time_zone_is_a_change_of_the_schedule(servers):
    servers.start().add(min=0, hour=4, timezone='Europe/Berlin').tick(-2)
    new = servers.start().add(min=0, hour=2)
    new.tick(2)
    assert new.ran == []


def test_a_new_schedule_counts_from_the_very_minute_in_which_it_comes(servers):
    servers.start().add(min=30).tick(-2)
    new = servers.start().add(min=0)
    new.tick(0)
    assert new.ran == [('task', 0)]


def test_a_schedule_that_is_changed_and_changed_back_owes_nothing_of_the_time_between(servers):
    old, new = servers.start().add(min='*/10'), servers.start().add(min=59)
    old.tick(-10)
    new.tick(-1)
    again = servers.start().add(min='*/10')
    again.tick(2)
    assert again.ran == []
    again.tick(10)
    assert again.ran == [('task', 10)]


def test_two_servers_with_different_schedules_run_each_minute_once(servers, warnings):
    old, new = servers.start().add(min='*/2'), servers.start().add(min='*/3')
    for minute in range(-1, 13):
        old.tick(minute)
        new.tick(minute)
    ran = [minute for _, minute in old.ran + new.ran]
    assert sorted(ran) == sorted({*range(0, 13, 2), *range(0, 13, 3)})
    assert warnings() == []


def test_the_row_of_a_running_task_is_left_alone_by_a_new_schedule(servers, warnings):
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


def test_a_renamed_task_is_a_new_one(servers):
    servers.start().add('before', min=0).tick(-60)
    renamed = servers.start().add('after', min=0)
    renamed.tick(2)
    assert renamed.ran == []
    renamed.tick(60)
    assert renamed.ran == [('after', 60)]
    assert servers.minutes('missed') == []


def test_the_newest_five_hundred_minutes_of_a_long_outage_are_recorded(servers, warnings):
    server = servers.start().add(min='*')
    server.tick(0)
    server.tick(60 * 24 * 400)
    missed = servers.minutes('missed')
    assert missed == [('task', minute) for minute in range(60 * 24 * 400 - 499, 60 * 24 * 400)]
    assert len(warnings()) == 2
    assert server.ran[1:] == [('task', 60 * 24 * 400)]


def test_a_gap_is_recorded_once_and_told_once(servers, warnings):
    first, second = (servers.start().add(min=59) for _ in range(2))
    for minute in (-2, -1):
        first.tick(minute)
        second.tick(minute)
    assert servers.gaps() == []
    for server in (second, first, second):
        server.tick(7)
    second.tick(8)
    assert servers.gaps() == [(0, 6)]
    assert warnings() == ['no tick came from 2020-11-23 02:00+00:00 to 2020-11-23 02:06+00:00 (7 min)']


def test_a_tick_that_comes_late_makes_no_gap_and_runs_nothing_twice(servers, warnings):
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
    with server.statements() as statements:
        # not within the five minutes for which it would be caught up
        for minute in (2, 3, 4):
            server.tick(minute)
    looks = [statement for statement in statements if 'cron_tasks' in statement and 'INSERT' not in statement]
    assert len(statements) - len(looks) == 3
    quiet = server.config.registry['cron_tasks']
    assert len(list(quiet)) == 1


def test_once_a_task_cannot_be_caught_up_any_more_a_tick_takes_one_statement(servers):
    server = servers.start().add(min=0)
    for minute in range(7):
        with server.statements() as statements:
            server.tick(minute)
    assert len(statements) == 1
    assert statements[0].startswith('INSERT INTO cron_ticks')


@pytest.mark.parametrize('first', [True, False])
def test_a_minute_ahead_of_the_databases_clock_is_refused_and_not_kept(servers, warnings, first):
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
    # what comes in time is neither late nor after a gap
    warnings()
    server.tick(1)
    server.tick(2)
    assert [row['last_minute'] for row in servers.rows(ticks)] == [INSTANT + 2 * MINUTE]
    assert [told for told in warnings() if 'clock was set back' not in told] == []
    assert servers.gaps() == []


def test_a_minute_that_is_ahead_by_what_clocks_differ_by_is_believed(servers):
    server = servers.start().add(min='*')
    server.tick(int((datetime.now(timezone.utc) - INSTANT) / MINUTE) + 1)
    assert len(server.ran) == 1


def test_a_task_that_was_lost_is_reported_with_host_and_process(servers, warnings):
    server = servers.start().add()
    server.tick(0)
    servers.hold(lease_until=0.0)
    report = server.tick(1)
    whose = 'process 4711 on elsewhere, since 2020-11-23 02:00:00+00:00'
    assert [(task.name, task.outcome, task.reason) for task in report.tasks] == [('task', 'lost', whose)]
    assert str(report) == f'fail: 1 of 1 tasks was lost: task ({whose})'
    assert warnings() == [f'task task was lost: its process has ended or says nothing any more: {whose}']
    assert servers.history('id', 'outcome', 'reason')[-1] == ('other', 'lost', whose)
    # it is told by one server, and it does not run again
    assert not servers.start().add().tick(1).failed
    assert servers.row()['run_id'] is None
    assert server.ran == [('task', 0)]


def test_a_task_that_was_lost_runs_once_more_if_nothing_of_it_was_committed(servers, warnings):
    server = servers.start().add()
    server.tick(0)
    servers.hold(lease_until=0.0)
    servers.change(transactional=True)
    report = server.tick(1)
    assert [(task.name, task.outcome) for task in report.tasks] == [('task', 'ok')]
    assert server.ran == [('task', 0), ('task', 0)]
    assert servers.history('outcome', 'attempt')[-1] == ('ok', 2)
    (told,) = warnings()
    assert told.endswith('nothing of it was committed, and it is to run once more')


def test_a_task_that_kills_its_process_is_begun_three_times_at_most(servers, warnings):
    server = servers.start().add()
    server.tick(0)
    servers.hold(lease_until=0.0)
    servers.change(transactional=True, attempt=3)
    report = server.tick(1)
    assert [(task.name, task.outcome) for task in report.tasks] == [('task', 'lost')]
    assert server.ran == [('task', 0)]


def test_a_task_that_was_lost_too_long_ago_is_given_up_and_told(servers, warnings):
    server = servers.start().add()
    server.tick(0)
    servers.change(again='lost', attempt=1)
    other = servers.start().add(min=0)
    for application in (other, other):
        application.tick(6)
    assert other.ran == []
    assert [warning for warning in warnings() if 'no tick' not in warning] == [
        'task task was missed and does not run for 2020-11-23 02:00+00:00'
    ]
    assert servers.row()['again'] is None


def test_what_was_lost_makes_way_for_a_newer_minute(servers, warnings):
    server = servers.start().add()
    server.tick(0)
    servers.hold(lease_until=0.0)
    servers.change(transactional=True)
    server.tick(5)
    assert server.ran == [('task', 0), ('task', 5)]
    assert servers.row()['again'] is None


def test_a_server_that_finds_a_lost_task_after_another_has_found_it_says_nothing(servers, warnings):
    first, second = (servers.start().add() for _ in range(2))
    first.tick(0)
    servers.hold(lease_until=0.0)
    lease_over = {**servers.row(), 'host': 'elsewhere', 'pid': 4711, 'place': None, 'born': None, 'lease_over': True}
    assert first.claims._look.released(lease_over, None, INSTANT, 0.0)[1]
    warnings()
    row, lost = second.claims._look.released(lease_over, None, INSTANT, 0.0)
    assert (row['run_id'], lost) == (None, False)
    assert warnings() == []


def test_a_task_of_another_machine_is_not_taken_over_while_its_lease_lasts(servers, warnings):
    server = servers.start().add(min='*')
    server.tick(0)
    servers.hold()
    report = server.tick(1)
    # its process has a number that is not in use here
    assert Place.here().born(4711) is None
    assert [(task.outcome, task.reason) for task in report.tasks] == [
        ('stuck', report.tasks[0].reason),
    ]
    assert servers.row()['run_id'] == 'other'


def test_a_task_that_is_gone_from_the_code_is_released_and_costs_nothing_later(servers, warnings):
    servers.start().add('gone').tick(0)
    servers.hold('gone', lease_until=0.0)
    servers.change('gone', transactional=True)
    server = servers.start().add(min=59)
    server.tick(1)
    assert servers.row('gone')['run_id'] is None
    server.tick(60 * 24 * 3)
    server.tick(60 * 24 * 3 + 1)
    with server.statements() as statements:
        server.tick(60 * 24 * 3 + 2)
    assert len(statements) == 1


def test_a_task_that_is_due_while_another_server_runs_it_is_skipped_and_the_holder_named(servers, warnings):
    server = servers.start(window='10e9').add(min='*')
    server.tick(0)
    servers.hold()
    report = server.tick(1)
    whose = 'process 4711 on elsewhere, since 2020-11-23 02:00:00+00:00'
    assert [(task.outcome, task.reason) for task in report.tasks] == [('skipped', f'still running: {whose}')]
    assert warnings() == [f'task task is skipped: still running: {whose}']
    assert servers.minutes('skipped') == [('task', 1)]
    # for the minute that it is being run for, it is nobody's business
    assert [task.reason for task in server.tick(0).tasks] == ['already run']
    assert warnings() == []


def test_a_task_that_another_server_runs_for_longer_than_the_window_is_stuck(servers, warnings):
    server = servers.start().add(min='*')
    server.tick(0)
    servers.hold()
    report = server.tick(1)
    assert report.failed
    assert [task.outcome for task in report.tasks] == ['stuck']
    assert report.tasks[0].reason.startswith('running for')


def test_a_skip_that_two_servers_record_at_once_is_recorded_once(servers, warnings):
    first, second = (servers.start(window='10e9').add(min='*') for _ in range(2))
    first.tick(0)
    servers.hold()

    second.tick(0)
    with second.overtaken('INSERT INTO cron_runs', lambda: first.tick(1)):
        report = second.tick(1)
    assert report.problem is None
    assert servers.minutes('skipped') == [('task', 1)]


def test_more_tasks_than_one_statement_names_are_asked_for_all_together(servers):
    server = servers.start()
    for number in range(101):
        server.add(f'task {number}', min='*')
    server.tick(0)
    server.tick(1)
    assert len(server.ran) == 202


def test_a_task_that_another_process_makes_known_at_the_same_time_is_known_once(servers):
    first, second = (servers.start().add() for _ in range(2))

    with second.overtaken('INSERT INTO cron_tasks', lambda: first.tick(0)):
        report = second.tick(0)
    assert str(report) == 'ok: 1 of 1 tasks already run for 02:00'
    assert first.ran == [('task', 0)]


def test_emptying_the_history_changes_nothing_that_runs(servers):
    server = servers.start().add(min='*')
    for minute in (0, 1, 4, 4, 5):
        servers.execute(delete(runs))
        server.tick(minute)
    assert [minute for _, minute in server.ran] == [0, 1, 4, 5]
