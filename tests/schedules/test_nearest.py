"""The newest due minute until another one."""

from datetime import datetime, timedelta, timezone

import pytest

from pyramid_cron import Task
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.schedules.nearest import newest_until, until


def instant(text):
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ('line', 'last', 'due'),
    [
        ('*/5 * * * *', '2020-11-23 02:05', '2020-11-23 02:05'),
        ('*/5 * * * *', '2020-11-23 02:09', '2020-11-23 02:05'),
        ('0 2 * * *', '2020-11-23 01:59', '2020-11-22 02:00'),
        ('0 2 29 2 *', '2023-03-01 00:00', '2020-02-29 02:00'),
        # 2100 has no such day
        ('0 2 29 2 *', '2104-02-29 01:59', '2096-02-29 02:00'),
    ],
)
def test_the_newest_due_minute_is_found(line, last, due):
    assert newest_until(instant(last), Task(print, cron=line, timezone='UTC').runs) == instant(due)


def test_a_minute_that_is_too_rare_is_not_looked_for():
    # the one before is in 2016
    rare = Task(print, min=0, hour=2, day=29, month=2, dow='mon', timezone='UTC')
    assert newest_until(instant('2025-01-01'), rare.runs) is None


def test_moments_are_instants_until_the_last():
    east, last = timezone(timedelta(hours=2)), instant('2020-11-23 02:05')
    moments = [(last + number * MINUTE).astimezone(east) for number in (-1, 0, 1)]
    found = list(until(last, moments))
    assert found == [last - MINUTE, last]
    assert {moment.tzinfo for moment in found} == {timezone.utc}
