"""The minutes of a span: those to run a task for, and those that are left alone."""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import insert

from pyramid_cron import Task
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.backfill_plan import MOST_MINUTES, Plan, TooMany, nearest_due, plan_backfill
from pyramid_cron.store.schedule_text import write_schedule
from pyramid_cron.store.schema import runs
from tests.support.filling import ran
from tests.support.servers import INSTANT

BERLIN = ZoneInfo('Europe/Berlin')
KEPT = '100000'


def plan(server, first, last, **options):
    found = plan_backfill(server.store, server.task(), INSTANT + first * MINUTE, INSTANT + last * MINUTE, **options)
    kinds = {'run': found.run, 'ok': found.ok, 'unknown': found.unknown, 'owed': found.owed}
    return {name: [(minute - INSTANT) / MINUTE for minute in minutes] for name, minutes in kinds.items()}


def change_schedule(servers, since=INSTANT - 120 * MINUTE):
    """Record that a task was due ten minutes past each hour from an instant until an hour before the first tick."""
    changed = {'previous_schedule': write_schedule(Task(print, 10)), 'schedule_changed_at': INSTANT - 60 * MINUTE}
    servers.change(first_seen=INSTANT - 600 * MINUTE, previous_schedule_from=since, **changed)


@pytest.mark.slow
@pytest.mark.each_database
def test_each_minute_is_of_one_kind(servers):
    server = servers.start(catch_up='0', keep_history=KEPT).add()
    server.tick(0)
    server.tick(15)
    assert plan(server, -5, 20) == {'run': [-5, 5, 10], 'ok': [0, 15], 'unknown': [], 'owed': [20]}
    assert plan(server, -5, 20, again=True) == {'run': [-5, 0, 5, 10, 15], 'ok': [], 'unknown': [], 'owed': [20]}
    server.backfill(5)
    assert plan(server, 5, 5)['ok'] == [5]
    assert plan(server, 6, 9) == {'run': [], 'ok': [], 'unknown': [], 'owed': []}
    assert Plan([INSTANT], [], [], [INSTANT - MINUTE]).due == [INSTANT - MINUTE, INSTANT]


def test_old_minutes_are_unknown_unless_they_are_recorded(servers):
    server = servers.start(catch_up='0').add()
    server.tick(0)
    server.tick(10)
    assert plan(server, -5, 10) == {'run': [5], 'ok': [0, 10], 'unknown': [-5], 'owed': []}
    assert plan(server, -5, -5, again=True)['run'] == [-5]


def test_the_row_may_know_that_a_minute_was_ok(servers):
    server = servers.start(keep_history=KEPT).add()
    server.tick(0)
    server.tick(5)
    servers.change(last_success_for=INSTANT)
    servers.execute(runs.delete())
    assert plan(server, 0, 5)['ok'] == [0, 5]


def test_without_a_store_that_has_tables_all_is_to_run(tmp_path, servers):
    server = servers.start(store=f'sqlite:///{tmp_path}/none.sqlite', keep_history=KEPT).add()
    assert plan(server, 0, 5)['run'] == [0, 5]


def test_a_changed_schedule_counts_since_its_change(servers):
    server = servers.start(keep_history=KEPT).add()
    server.tick(0)
    change_schedule(servers)
    assert plan(server, -120, -50)['run'] == [-110, -60, -55, -50]
    assert plan(server, -60, -55)['run'] == [-60, -55]
    assert plan(server, -120, -100)['run'] == [-110]


def test_a_schedule_counts_until_a_tick_has_seen_the_next(servers):
    servers.start(keep_history=KEPT).add(min=0).tick(0)
    # a deploy without a tick
    assert plan(servers.start(keep_history=KEPT).add(min=30), -120, -1)['run'] == [-120, -60]


def test_minutes_of_an_unknown_schedule_are_left_out(servers):
    server = servers.start(keep_history=KEPT).add()
    server.tick(0)
    change_schedule(servers)
    span = INSTANT - 240 * MINUTE, INSTANT - 121 * MINUTE
    found = plan_backfill(server.store, server.task(), *span)
    assert (found.due, found.unknown_until) == ([], INSTANT - 120 * MINUTE)
    # unless they are recorded
    servers.execute(insert(runs).values(ran('app', 'task', INSTANT - 200 * MINUTE, 'failed')))
    assert plan(server, -240, -121)['run'] == [-200]
    # a server of an older version does not record since when a schedule counted
    for values in ({'previous_schedule_from': None}, {'previous_schedule': 'of a version to come'}):
        change_schedule(servers)
        servers.change(**values)
        assert plan(server, -120, -55)['run'] == [-60, -55]
        unknown = plan_backfill(server.store, server.task(), INSTANT - 80 * MINUTE, INSTANT)
        assert unknown.unknown_until == INSTANT - 60 * MINUTE


def test_before_its_first_tick_a_task_has_its_first_schedule(servers):
    server = servers.start(keep_history=KEPT).add()
    server.tick(0)
    change_schedule(servers, since=INSTANT - 600 * MINUTE)
    assert plan(server, -720, -540)['run'] == [-710, -650, -590]
    assert plan_backfill(server.store, server.task(), INSTANT - 720 * MINUTE, INSTANT).unknown_until is None


def test_a_recorded_minute_was_due_whatever_the_schedule_is_now(servers):
    server = servers.start(keep_history=KEPT).add()
    server.tick(0)
    servers.execute(insert(runs).values(ran('app', 'task', INSTANT - 7 * MINUTE, 'failed')))
    assert plan(server, -7, -7)['run'] == [-7]


@pytest.mark.slow
def test_a_span_has_not_too_many_minutes(servers):
    server = servers.start(keep_history=KEPT).add(min='*')
    server.tick(0)
    assert len(plan(server, 1 - MOST_MINUTES, 0, again=True)['run']) == MOST_MINUTES
    with pytest.raises(TooMany, match='task was due more than 10000 times then: name a shorter span'):
        plan(server, -MOST_MINUTES, 0)


def utc(*when):
    return datetime(*when, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ('schedule', 'minute', 'nearest'),
    [
        ({'min': '*/5'}, utc(2020, 1, 1, 12, 2), (utc(2020, 1, 1, 12), utc(2020, 1, 1, 12, 5))),
        ({'min': 0, 'hour': 2}, utc(2020, 1, 1, 12), (utc(2020, 1, 1, 2), utc(2020, 1, 2, 2))),
        ({'min': 0, 'hour': 2, 'day': 29, 'month': 2}, utc(2022, 1, 1), (utc(2020, 2, 29, 2), utc(2024, 2, 29, 2))),
    ],
)
def test_the_nearest_minutes_are_found(servers, schedule, minute, nearest):
    server = servers.start().add(timezone='UTC', **schedule)
    server.ready()
    assert nearest_due(server.store, server.task(), minute) == nearest


def test_a_date_that_seldom_comes_is_not_looked_for_too_long(servers):
    # the 29th of February was a Monday in 2016, and is one in 2044
    server = servers.start().add(min=0, hour=2, day=29, month=2, dow='mon', timezone='UTC')
    server.ready()
    assert nearest_due(server.store, server.task(), utc(2026, 1, 1)) == (None, None)


def test_the_nearest_minutes_are_those_of_a_plan(servers):
    server = servers.start(keep_history=KEPT).add()
    server.tick(0)
    change_schedule(servers)
    nearest = nearest_due(server.store, server.task(), INSTANT - 90 * MINUTE)
    assert nearest == (INSTANT - 110 * MINUTE, INSTANT - 60 * MINUTE)
    assert nearest_due(server.store, server.task(), INSTANT - 110 * MINUTE)[0] == INSTANT - 650 * MINUTE


def test_a_minute_of_each_day_when_the_clocks_change(servers):
    server = servers.start(keep_history=KEPT).add(min=30, hour=2, timezone='Europe/Berlin')
    server.tick(0)
    night = datetime(2020, 3, 29, tzinfo=BERLIN)
    found = plan_backfill(server.store, server.task(), night, night + timedelta(hours=8))
    # the clocks skipped 02:30, and the first minute after that stands for it
    assert found.run == [utc(2020, 3, 29, 1)]
    night = datetime(2020, 10, 25, tzinfo=BERLIN)
    found = plan_backfill(server.store, server.task(), night, night + timedelta(hours=8))
    # which came twice, and runs once
    assert found.run == [utc(2020, 10, 25, 0, 30)]
    server = servers.start(keep_history=KEPT).add('each', min='*/30', timezone='Europe/Berlin')
    server.tick(0)
    span = utc(2020, 10, 25, 0, 30), utc(2020, 10, 25, 1, 30)
    assert len(plan_backfill(server.store, server.task('each'), *span).run) == 3
