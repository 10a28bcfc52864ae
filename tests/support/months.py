"""Months of the calendar, and their relative days found without the package."""

import calendar
from datetime import date

# more than 33 years, in which each kind of month but two comes
FIRST_YEAR, MONTHS = 2000, 400


def months(count=MONTHS):
    """Return the first days of months one after another."""
    return [date(FIRST_YEAR + number // 12, number % 12 + 1, 1) for number in range(count)]


def kinds_of_months():
    """Return the first day of a month for each length and each day of the week to begin with."""
    kinds = {}
    for first in months(28 * 12):
        kinds.setdefault(calendar.monthrange(first.year, first.month), first)
    assert len(kinds) == 4 * 7
    return list(kinds.values())


def last_day(year, month):
    """Return the last day of a month."""
    return max(calendar.Calendar().itermonthdays(year, month))


def last_weekday(year, month):
    """Return the last day of a month from Monday to Friday."""
    return max(day for week in calendar.monthcalendar(year, month) for day in week[:5])


def nth_weekday(year, month, weekday, number):
    """Return the n-th of the days of the week in a month, ``None`` if there are fewer.

    :param weekday: 0 is Monday.
    :param number: from 1 on, or -1 for the last one.
    """
    days = [week[weekday] for week in calendar.monthcalendar(year, month) if week[weekday]]
    return days[number - (number > 0)] if number <= len(days) else None
