"""The most minutes from one run of a schedule to the next."""

import pytest

from pyramid_cron.schedules.gaps import longest_gap
from pyramid_cron.schedules.schedule import Schedule

DAY, MANY = 1440, 10**9


@pytest.mark.parametrize(
    ('line', 'gap'),
    [
        ('* * * * *', 1),
        ('*/5 * * * *', 5),
        ('0,20 * * * *', 40),
        ('0 9-17 * * *', 16 * 60),
        ('*/10 * * * mon-fri', 2 * DAY + 10),
        ('* * 1-15 * *', 16 * DAY + 1),
        ('0 3 * * *', DAY),
        ('0 0 1 * *', 31 * DAY),
        ('0 0 1 1 *', 366 * DAY),
        # once in these years
        ('0 0 29 2 *', None),
        # a day with two runs
        ('0 0,12 29 2 *', 720),
    ],
)
def test_the_longest_gap_is_found_in_the_day_or_between_days(line, gap):
    assert longest_gap(Schedule.from_line(line), MANY) == gap


def test_a_gap_that_is_long_enough_is_not_measured():
    assert longest_gap(Schedule.from_line('0 3 * * *'), DAY + 1) == DAY
    assert longest_gap(Schedule.from_line('0 3 * * *'), DAY) is None
    assert longest_gap(Schedule.from_line('*/5 * * * *'), 5) is None
