"""The time between one run of a schedule and the next."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise

from pyramid_cron.schedules.schedule import Schedule

MINUTES_OF_DAY = 1440
# four years, after which the dates of a calendar repeat, but for their days of the week
BEGIN, DAYS = date(2000, 1, 1), 1461


def longest_gap(schedule: Schedule, enough: int) -> int | None:
    """Return the most minutes of the wall clock from a run of a schedule to the next, within four years.

    :param enough: how many minutes do: more are not looked for, and ``None`` is returned.
    """
    minutes = _minutes_of_day(schedule)
    longest = max((later - earlier for earlier, later in pairwise(minutes)), default=0)
    last: int | None = None
    for number in range(DAYS):
        if longest >= enough:
            return None
        if schedule.matches_date(BEGIN + timedelta(days=number)):
            midnight = number * MINUTES_OF_DAY
            if last is not None:
                longest = max(longest, midnight + minutes[0] - last)
            last = midnight + minutes[-1]
    # a date that comes once, or never, in these years
    return longest or None


def _minutes_of_day(schedule: Schedule) -> list[int]:
    found: list[int] = []
    minute = schedule.first_minute(0)
    while minute is not None:
        found.append(minute)
        minute = schedule.first_minute(minute + 1)
    return found
