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
    return {name: [(minute - INSTANT) / MINUTE for minute in minutes] for name, minutes in found._asdict().items()}


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
    # until INSTANT - 60 it was due ten minutes past each hour
    servers.change(previous_schedule=write_schedule(Task(print, 10)), schedule_changed_at=INSTANT - 60 * MINUTE)
    assert plan(server, -120, -50)['run'] == [-110, -60, -55, -50]
    assert plan(server, -60, -55)['run'] == [-60, -55]
    assert plan(server, -120, -100)['run'] == [-110]
    servers.change(previous_schedule='of a version to come')
    assert plan(server, -70, -65)['run'] == [-70, -65]


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
    ('line', 'minute', 'nearest'),
    [
        ('*/5 * * * *', utc(2020, 1, 1, 12, 2), (utc(2020, 1, 1, 12), utc(2020, 1, 1, 12, 5))),
        ('0 2 * * *', utc(2020, 1, 1, 12), (utc(2020, 1, 1, 2), utc(2020, 1, 2, 2))),
        ('0 2 29 2 *', utc(2022, 1, 1), (utc(2020, 2, 29, 2), utc(2024, 2, 29, 2))),
    ],
)
def test_the_nearest_minutes_are_found(line, minute, nearest):
    assert nearest_due(Task(print, cron=line, timezone='UTC'), minute) == nearest


def test_a_date_that_seldom_comes_is_not_looked_for_too_long():
    # the 29th of February was a Monday in 2016, and is one in 2044
    task = Task(print, 0, 2, 29, 2, 'mon', timezone='UTC')
    assert nearest_due(task, utc(2023, 1, 1)) == (None, None)


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
