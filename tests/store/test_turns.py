from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.exc import OperationalError

from pyramid_cron import Task
from pyramid_cron.store.turns import Options, StoredTurn, in_a_line, still_running, whose

INSTANT = datetime(2020, 11, 23, 2, 0, tzinfo=timezone.utc)
ROW = {'began': INSTANT.timestamp(), 'pid': 7, 'host': 'web1', 'queued': None}


@pytest.mark.parametrize(('own', 'seconds'), [(None, 300), (0, 0), (60, 60), (timedelta(hours=1), 3600)])
def test_a_task_is_caught_up_for_as_long_as_it_says_or_else_the_setting(own, seconds):
    options = Options('app', timedelta(minutes=5), 90, timedelta(days=30))
    assert options.grace(Task(print, catch_up=own)) == timedelta(seconds=seconds)


def test_minutes_are_shown_in_the_time_zone_of_the_setting():
    options = Options('app', timedelta(), 90, timedelta(), None, ZoneInfo('Europe/Berlin'))
    assert options.shown(INSTANT) == '2020-11-23 03:00+01:00'


def test_who_holds_a_task_is_told_by_process_host_and_time_in_the_zone_of_the_setting():
    assert whose(ROW, timezone.utc) == 'process 7 on web1, since 2020-11-23 02:00:00+00:00'
    berlin = whose(ROW, ZoneInfo('Europe/Berlin'))
    assert berlin == 'process 7 on web1, since 2020-11-23 03:00:00+01:00'
    task = Task(print)
    assert still_running(task, ROW, timezone.utc, INSTANT.timestamp() + 90).seconds == 90
    assert still_running(task, ROW, ZoneInfo('Europe/Berlin'), 0.0).reason == f'still running: {berlin}'


def test_what_nobody_has_taken_is_queued():
    held = still_running(Task(print), {**ROW, 'queued': 'a minute'}, timezone.utc, INSTANT.timestamp())
    assert held.reason == 'still queued, since 2020-11-23 02:00:00+00:00'


def test_each_turn_has_a_token_of_its_own_and_is_committed_by_nobody_yet():
    first, second = (StoredTurn(Task(print), INSTANT) for _ in range(2))
    assert first.run_id != second.run_id
    assert not first.is_committed()


def test_an_error_is_told_in_a_line_and_without_its_statement():
    error = OperationalError('SELECT 1', {'password': 's3cr3t'}, Exception('gone\n  away'))
    assert in_a_line(error) == 'gone away'
    assert in_a_line(ValueError('no\nluck')) == 'no luck'
