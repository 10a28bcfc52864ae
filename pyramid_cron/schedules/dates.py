"""The dates of a month that masks of ``day`` and ``dow`` match, relative days included."""

from __future__ import annotations

import functools
from calendar import monthrange
from collections.abc import Iterable
from datetime import date

from pyramid_cron.schedules import relative_days
from pyramid_cron.schedules.relative_days import EVERY_WEEK, LAST_DAY, LAST_WEEKDAY

# a mask of days of the week times this repeats it for two weeks, and for six
TWO_WEEKS = 1 << 7 | 1
SIX_WEEKS = sum(1 << 7 * week for week in range(6))

LEAP_YEAR = 2000
COMMON_YEAR = 2001


def days_by_field(day: int, dow: int, of: date) -> tuple[int, int]:
    """Return the masks of the dates that each of two masks matches, which may have dates after the end of the month.

    :param day: the mask of days of the month.
    :param dow: the mask of days of the week.
    :param of: a date in the month.
    """
    first_weekday = (of.weekday() - of.day + 1) % 7
    # as in relative_days.are_in(), without its call
    if day < LAST_DAY and dow <= EVERY_WEEK:
        return day, (dow * SIX_WEEKS >> first_weekday) << 1
    return _relative_days_by_field(day, dow, first_weekday, monthrange(of.year, of.month)[1])


def days_of_month(year: int, month: int) -> int:
    """Return the mask of the dates of a month."""
    return (2 << monthrange(year, month)[1]) - 2


def date_exists(day: int, dow: int, months: Iterable[int]) -> bool:
    """Return whether some year has a date in one of the months that both masks match."""
    if not relative_days.are_in(day, dow):
        # each date falls on each day of the week
        return any(day & days_of_month(LEAP_YEAR, month) for month in months)
    # months of each length begin with each day of the week
    return any(
        by_date & by_weekday & days_of_month(year, month)
        for month in months
        for year in (LEAP_YEAR, COMMON_YEAR)
        for first_weekday in range(7)
        for by_date, by_weekday in [_relative_days_by_field(day, dow, first_weekday, monthrange(year, month)[1])]
    )


# each pair of masks has 28 kinds of months
@functools.lru_cache(maxsize=28 * 64)
def _relative_days_by_field(day: int, dow: int, first_weekday: int, length: int) -> tuple[int, int]:
    """Return the masks of the dates that each of two masks matches in a month of ``length`` days."""
    if day & LAST_WEEKDAY:
        weekday = (first_weekday + length - 1) % 7
        day |= 1 << length - max(weekday - 4, 0)
    if day & LAST_DAY:
        day |= 1 << length
    every, *nth, last = relative_days.rows(dow)
    found = (every * SIX_WEEKS >> first_weekday) << 1 | _week_from(first_weekday + length, last) << length - 6
    for week, row in enumerate(nth):
        found |= _week_from(first_weekday, row) << 7 * week + 1
    return day, found


def _week_from(first_weekday: int, row: int) -> int:
    """Return a mask of days of the week as a mask of the days of a week that begins with ``first_weekday``."""
    return row * TWO_WEEKS >> first_weekday % 7 & EVERY_WEEK
