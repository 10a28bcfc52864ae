from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from pyramid_cron import Task
from pyramid_cron.store.options import Options

INSTANT = datetime(2020, 11, 23, 2, 0, tzinfo=timezone.utc)


@pytest.mark.parametrize(('own', 'seconds'), [(None, 300), (0, 0), (60, 60), (timedelta(hours=1), 3600)])
def test_catch_up_of_a_task_comes_first(own, seconds):
    options = Options('app', timedelta(minutes=5), 90, timedelta(days=30))
    assert options.grace(Task(print, catch_up=own)) == timedelta(seconds=seconds)


@pytest.mark.parametrize(('setting', 'seconds'), [(0, 60), (59, 60), (300, 300)])
def test_a_removed_task_waits_for_a_worker(setting, seconds):
    options = Options('app', timedelta(seconds=setting), 90, timedelta(days=30))
    assert options.queue_timeout(None) == timedelta(seconds=seconds)
    assert options.queue_timeout(Task(print)) == timedelta(seconds=seconds)


def test_minutes_are_shown_in_the_time_zone():
    options = Options('app', timedelta(), 90, timedelta(), None, ZoneInfo('Europe/Berlin'))
    assert options.shown(INSTANT) == '2020-11-23 03:00+01:00'


def test_events_are_dropped_without_a_registry():
    assert Options('app', timedelta(), 90, timedelta()).notify(object()) is None
