"""Hints about days of the week with a digit, last days and n-th days: both ways to count, and the form to write.

They are texts for :mod:`.hints`. Quartz, croniter, fugit and APScheduler have other forms, some with another meaning.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from pyramid_cron.schedules.relative_days import DAY_NAMES, WEEKDAYS

if TYPE_CHECKING:
    from pyramid_cron.schedules.fields import Field

LAST_DAY = "the last day of the month is day='last', or L as the day of the month in a line"
LAST_WEEKDAY = "the last day from Monday to Friday is day='last-weekday', or LW as the day of the month in a line"

# patterns in lower case; a number is crontab's
NAME = f'(?:{"|".join(DAY_NAMES)})'
LAST_OF_NAME = rf'({NAME}|[0-7])[a-z]*?(?:#?l|#last|#-1|[ -]last)|(?:l|last[ -]?)({NAME})[a-z]*|l([0-7])'
NTH_OF_NAME = rf'({NAME}|[0-7])[a-z]*#([0-9]+)'
NTH_IN_WORDS = rf'([1-5])(?:st|nd|rd|th)[ -]?({NAME})[a-z]*'
NTH_OF_RANGE = rf'({NAME}|[0-7])-({NAME}|[0-7])#([1-5])'
BEFORE_LAST = r'l(?:ast)?-([0-9]|1[0-9]|2[0-7])'
UNTIL_LAST = r'([0-9]+)-l(?:ast)?'
LIMITED = r'(?:lw?|last(?:-weekday)?|[0-7]l|\w+#\w+)[-/].*'


def for_relative_day(field: Field, element: str) -> str | None:
    """Return how to write a last or an n-th day, ``None`` for an element that is neither.

    :param element: an element that is not the syntax of ``field``, in lower case.
    """
    if element in ('l', 'last'):
        # Quartz counts the days of the week from 1, and means the last one, 7
        quartz = 'L alone is Saturday for Quartz: write sat for that; ' if field.name == 'dow' else ''
        friday = f'; {_form(5, "last")}' if field.name == 'dow' else ''
        return f'{quartz}{LAST_DAY}{friday}'
    if re.fullmatch('lw|wl|last[ -]?weekday', element):
        return LAST_WEEKDAY
    if match := re.fullmatch(UNTIL_LAST, element):
        return f'write {match[1]}-31'
    if match := re.fullmatch(BEFORE_LAST, element):
        possible = f'{28 - int(match[1])}-{31 - int(match[1])}'
        return f'let the task run on the days {possible}, and check in the task how many days of the month are left'
    if match := re.fullmatch(NTH_OF_RANGE, element):
        first, last = _number(match[1]), _number(match[2])
        days = range(first, last + (1 if first <= last else 8))
        return f'write {",".join(f"{DAY_NAMES[day % 7]}#{match[3]}" for day in days)}'
    if match := re.fullmatch(LAST_OF_NAME, element):
        return _form(_number(match[1] or match[2] or match[3]), 'last')
    if match := re.fullmatch(NTH_IN_WORDS, element):
        return _form(_number(match[2]), match[1])
    if match := re.fullmatch(NTH_OF_NAME, element):
        number, nth = _number(match[1]), int(match[2])
        if not 1 <= nth <= 5:
            return f'no month has a {WEEKDAYS[number - 1]} of that number; write 1 to 5'
        return _form(number, str(nth))
    if re.fullmatch(LIMITED, element):
        return 'a last or an n-th day has no range and no step'
    return 'write a day, # and 1 to 5, such as fri#2' if '#' in element else None


def _form(number: int, nth: str) -> str:
    """Return how to write an n-th or last day of the week.

    :param number: crontab's number of the day, 0 for Sunday.
    :param nth: 1 to 5, or ``last``.
    """
    line = f'{number}L' if nth == 'last' else f'{number}#{nth}'
    which = f'the last {WEEKDAYS[number - 1]} of the month is ' if nth == 'last' else 'write '
    return f"{which}dow='{DAY_NAMES[number]}#{nth}', or {line} as the day of the week in a line"


def _number(day: str) -> int:
    """Return crontab's number of a day of the week by its name or by that number, 0 for Sunday."""
    return int(day) % 7 if day.isdigit() else DAY_NAMES.index(day)


def for_numbered_days(text: str) -> str:
    """Return why a text of ``dow`` has no digits for days, and what to write."""
    if match := re.fullmatch(NTH_IN_WORDS, text.lower()):
        return f"is written '{match[2]}#{match[1]}'"
    why = 'has a digit, and Python and crontab number the days differently'
    if match := re.search('([a-z]{3})#([1-5]),([1-5])(?:,|$)', text.lower()):
        return f'{why}; write {match[1]}#{match[2]},{match[1]}#{match[3]} for two days of one name'
    plain = "write an integer without quotes (0 is Monday) or names, as in 'mon,wed'"
    match = re.search('(?<![#/0-9])([0-6])(#[1-5]|#last|l)?(?![0-9])', text.lower())
    if match is None:
        return f'{why}; {plain}'
    number = int(match[1])
    why = f'{why}: {number} is {WEEKDAYS[number]} for Python and {WEEKDAYS[number - 1]} for crontab'
    if match[2] is None:
        return f'{why}; {plain}'
    form = match[2].replace('#last', 'l').replace('l', '#last')
    return f"{why}; write '{DAY_NAMES[(number + 1) % 7]}{form}' or '{DAY_NAMES[number]}{form}'"


def for_number_after_nth(text: str) -> list[str]:
    """Return advice for numbers in a crontab line that are days, and may be intended as the n of an n-th day."""
    return [
        f'dow has {later!r} after {earlier!r}, which is every {WEEKDAYS[int(later) - 1]}; '
        f'write {earlier.partition("#")[0]}#{later} if that is meant'
        for earlier, later in pairwise(text.split(','))
        if '#' in earlier and re.fullmatch('[1-5]', later)
    ]
