"""The argument ``retries``."""

import re
from datetime import datetime, timedelta, timezone

import pytest

from pyramid_cron.retry_waits import advice, first_minute_after, parse_retries, shown
from pyramid_cron.schedules.schedule import Schedule

MINUTE = datetime(2026, 11, 30, 2, 0, tzinfo=timezone.utc)


def seconds(*numbers):
    return tuple(timedelta(seconds=number) for number in numbers)


@pytest.mark.parametrize(
    ('value', 'parsed'),
    [
        (0, (0, ())),
        (3, (3, ())),
        ((), (0, ())),
        ((60, 600, 3600), (3, seconds(60, 600, 3600))),
        ([0.5, timedelta(hours=1)], (2, seconds(0.5, 3600))),
        ((366 * 86400,), (1, seconds(366 * 86400))),
    ],
)
def test_retries_are_a_number_or_waits(value, parsed):
    assert parse_retries(value) == parsed


@pytest.mark.parametrize(
    'value',
    [
        -1,
        1.0,
        '2',
        None,
        True,
        timedelta(minutes=1),
        {60: 600},
        iter([60]),
        (60, -1),
        (60, '600'),
        (60, None),
        (True,),
        (float('nan'),),
        (float('inf'),),
        (10**400,),
        (366 * 86400 + 1,),
        (timedelta(-1),),
    ],
)
def test_other_retries_are_refused_with_what_is_allowed(value):
    with pytest.raises(ValueError, match=re.escape(f'retries={value!r}: write how many further attempts')):
        parse_retries(value)


@pytest.mark.parametrize(
    ('wait', 'minutes'), [(0, 1), (1, 1), (60, 1), (61, 2), (600, 10), (600.001, 11), (86400, 1440)]
)
def test_a_wait_lasts_until_a_tick_that_is_not_earlier(wait, minutes):
    assert first_minute_after(MINUTE, timedelta(seconds=wait)) == MINUTE + timedelta(minutes=minutes)


@pytest.mark.parametrize(
    ('line', 'retries', 'parts'),
    [
        ('0 3 * * *', (60, 600, 3600), None),
        ('0 3 * * *', 99, None),
        ('* * * * *', 0, None),
        ('* * * * *', 2, ['retries=2: attempt 2 never', 'needs 1 min after', 'after 1 min at the latest']),
        ('* * * * *', (), None),
        ('*/5 * * * *', (60, 60), None),
        # at the fifth minute the next one is due
        ('*/5 * * * *', (60, 180, 60), ['retries=(60, 180, 60): attempt 4 never', 'needs 5 min', 'after 5 min']),
        ('*/5 * * * *', (600,), ['retries=(600,): attempt 2 never', 'needs 10 min', 'after 5 min']),
        # on Friday evening there is time
        ('*/5 * * * mon-fri', (600,), None),
    ],
)
def test_attempts_that_never_begin_are_found(line, retries, parts):
    found = list(advice(Schedule.from_line(line), *parse_retries(retries)))
    assert len(found) == (parts is not None)
    assert all(part in found[0] for part in parts or ())


def test_the_value_is_shown_as_it_is_written():
    assert shown(*parse_retries([60, timedelta(minutes=1.5)])) == '(60, 90)'
    assert shown(3, ()) == '3'
