"""The arguments ``missed`` and ``catch_up``."""

import re
from datetime import timedelta

import pytest

from pyramid_cron.missed_minutes import advice, parse_catch_up, parse_missed
from pyramid_cron.schedules.schedule import Schedule


@pytest.mark.parametrize('value', ['newest', 'each'])
@pytest.mark.parametrize('catch_up', [None, timedelta(1)])
def test_the_newest_or_each_missed_minute_is_run(value, catch_up):
    assert parse_missed(value, catch_up) == value


@pytest.mark.parametrize('value', ['all', 'Each', None, True, 5, ['each']])
def test_another_value_is_refused(value):
    with pytest.raises(ValueError, match=re.escape(f"missed={value!r}: write missed='newest' to run once")):
        parse_missed(value, None)


def test_each_minute_needs_time_to_catch_up():
    assert parse_missed('newest', timedelta(0)) == 'newest'
    with pytest.raises(ValueError, match="missed='each' and catch_up=0: nothing is caught up"):
        parse_missed('each', timedelta(0))


@pytest.mark.parametrize(
    ('line', 'warned'), [('* * * * *', True), ('*/2 * * * *', False), ('* 9-17 * * *', False), ('0 3 * * *', False)]
)
def test_a_task_of_each_minute_never_catches_up(line, warned):
    found = list(advice(Schedule.from_line(line)))
    assert len(found) == warned
    assert all("missed='each': it is due each minute" in text for text in found)


@pytest.mark.parametrize(
    'catch_up', [-1, '-1', 'soon', True, timedelta(seconds=-1), float('nan'), 10**400, [5], timedelta.max]
)
def test_a_bad_catch_up_is_refused(catch_up):
    with pytest.raises(ValueError, match='is no time: write seconds, or a timedelta, and 0 for never'):
        parse_catch_up(catch_up)


@pytest.mark.parametrize(
    ('value', 'time'), [(0, timedelta(0)), ('90.5', timedelta(seconds=90.5)), (timedelta(hours=1), timedelta(hours=1))]
)
def test_the_time_to_catch_up_is_in_seconds(value, time):
    assert parse_catch_up(value) == time
