"""Minutes one after another, and whether a schedule is due in one of them."""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pyramid_cron.schedules import clock
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.schedules.schedule import Schedule
from pyramid_cron.schedules.spans import MOST_DAYS, Span

BERLIN, LORD_HOWE = ZoneInfo('Europe/Berlin'), ZoneInfo('Australia/Lord_Howe')
# a Monday, and the day before the clocks go forward in Berlin
MONDAY, BEFORE_CHANGE = datetime(2026, 6, 1, tzinfo=timezone.utc), datetime(2026, 3, 28, 12, tzinfo=timezone.utc)
LINES = (
    '* * * * *',
    '7-59/20 * * * *',
    '30 2 * * *',
    '0 12 * * 3',
    '59 23 3 * *',
    '0 0 1 1 *',
    '0 0 29 2 1',
    '15 2 1 * 0',
)


def is_due(schedule, zone, first, last):
    """Return whether a schedule is due in a minute from one to another, with a look at each of them."""
    minutes = (first + number * MINUTE for number in range((last - first) // MINUTE + 1))
    return any(schedule.is_due(clock.wall_minutes(minute, zone)) for minute in minutes)


@pytest.mark.parametrize(
    ('line', 'first', 'last', 'due'),
    [
        ('30 2 * * *', '02:30', '02:30', True),
        ('30 2 * * *', '02:31', '02:35', False),
        ('30 2 * * *', '02:25', '02:29', False),
        ('0 0 * * *', '23:59', '24:00', True),
        ('0 0 * * *', '00:01', '23:59', False),
        ('0 12 * * 2', '00:00', '35:59', False),
        ('0 12 * * 2', '00:00', '36:00', True),
        ('0 12 8 * *', '00:00', '191:00', True),
        ('0 12 8 * *', '00:00', '179:59', False),
        ('0 12 * * 4', '00:00', '100:00', True),
        ('0 0 31 2 1', '01:00', '100:00', False),
    ],
)
def test_a_schedule_is_due_in_a_span(line, first, last, due):
    ends = [
        MONDAY + timedelta(hours=int(hours), minutes=int(minutes))
        for hours, _, minutes in (text.partition(':') for text in (first, last))
    ]
    assert Span(*ends).has_due(Schedule.from_line(line), timezone.utc) is due


@pytest.mark.slow
@given(
    st.sampled_from(LINES),
    st.sampled_from([BERLIN, LORD_HOWE, None, timezone.utc]),
    st.sampled_from([MONDAY, BEFORE_CHANGE, datetime(2026, 10, 24, 12, tzinfo=timezone.utc)]),
    st.integers(0, 4000),
    st.integers(0, 2 * MOST_DAYS // MINUTE),
)
@example('30 2 * * *', BERLIN, BEFORE_CHANGE, 13 * 60, 60)
@example('30 2 * * *', BERLIN, BEFORE_CHANGE, 12 * 60, 59)
@example('30 2 * * *', BERLIN, BEFORE_CHANGE, 2000, 2000)
def test_a_span_has_what_its_minutes_have(line, zone, begin, offset, length):
    first = begin + offset * MINUTE
    last = first + length * MINUTE
    schedule, span = Schedule.from_line(line), Span(first, last)
    assert span.has_due(schedule, zone) is is_due(schedule, zone, first, last)
    # another one of the same time zone, by what is known of it
    assert span.has_due(Schedule.from_line('0 * * * *'), zone) is is_due(
        Schedule.from_line('0 * * * *'), zone, first, last
    )
