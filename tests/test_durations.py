from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from pyramid_cron.durations import duration, format_length, format_range, format_seconds, run_duration

BERLIN = ZoneInfo('Europe/Berlin')


@pytest.mark.parametrize(
    ('number', 'text'),
    [
        (0.05, '0.050 s'),
        (0.999, '0.999 s'),
        (1, '1.0 s'),
        (1.26, '1.3 s'),
        (60, '60 s'),
        (75, '75 s'),
        (3720, '1 h 2 min'),
    ],
)
def test_short_runs_have_their_milliseconds(number, text):
    assert format_seconds(number) == text


@pytest.mark.parametrize(
    ('seconds', 'rough', 'exact'),
    [
        (0, '0 s', '0 s'),
        (119, '119 s', '119 s'),
        (120, '2 min', '2 min'),
        (134, '2 min', '2 min 14 s'),
        (3600, '1 h 0 min', '1 h 0 min'),
        (11525, '3 h 12 min', '3 h 12 min 5 s'),
    ],
)
def test_the_length_of_a_run_has_its_seconds(seconds, rough, exact):
    assert (duration(seconds), run_duration(seconds)) == (rough, exact)


@pytest.mark.parametrize(
    ('shortest', 'longest', 'text'),
    [
        (0.25, 0.25, '0.250 s'),
        (0.25, 1.5, '0.250 to 1.5 s'),
        (120, 180, '2 to 3 min'),
        (125, 180, '2 min 5 s to 3 min'),
        (120, 185, '2 min to 3 min 5 s'),
        (90, 3600, '90 s to 1 h 0 min'),
        (3600, 7200, '1 h 0 min to 2 h 0 min'),
    ],
)
def test_a_range_has_one_unit_where_one_is_enough(shortest, longest, text):
    assert format_range(shortest, longest) == text


@pytest.mark.parametrize(
    ('length', 'text'),
    [
        (timedelta(seconds=59), '0 min'),
        (timedelta(minutes=12), '12 min'),
        (timedelta(hours=3), '3 h'),
        (timedelta(hours=3, minutes=12), '3 h 12 min'),
        (timedelta(days=4, hours=12, minutes=5), '4 d 12 h'),
    ],
)
def test_a_length_of_days_has_no_minutes(length, text):
    start = datetime(2026, 11, 23, 9, 8, tzinfo=BERLIN)
    assert format_length(start, start + length) == text


def test_a_length_is_not_that_of_the_wall_clock():
    # Berlin's clocks are put forward at 02:00
    start, end = (datetime(2026, 3, 29, hour, tzinfo=BERLIN) for hour in (1, 4))
    assert format_length(start, end) == '2 h'
