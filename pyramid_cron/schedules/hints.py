"""Hints in messages: what to write instead of a schedule or time zone that is refused or probably not intended.

The decision to refuse is made elsewhere: the functions here return only text.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

from pyramid_cron.schedules.relative_day_hints import for_relative_day

if TYPE_CHECKING:
    from pyramid_cron.schedules.fields import Field

FIVE = 'five: minute, hour, day of month, month, day of week'

# forms of other schedulers and habits of people (patterns in lower case), with what to write instead: the first
# pattern found in an element that crontab(5) does not have becomes its message
UNSUPPORTED_SYNTAX = (
    (r':', 'the hour and the minute are two fields'),
    (r'^[a-z]{4,}(-|#|$)', 'names have three letters'),
    (r'^$', 'a value is missing'),
    (r'\s', 'write it without blanks'),
    (r'^@', 'pass a nickname as cron='),
    (r'\?', "write '*'"),
    (r'w$', 'the nearest weekday has to be found in the task'),
    (r'^h|~', 'pick a number'),
)
TWELVE_HOURS = r'([0-9]+) ?([ap])m\b'

# abbreviations that are no IANA names themselves, each with a place that uses it in winter or in summer
PLACES = {
    'CEST': 'Europe/Berlin',
    'BST': 'Europe/London',
    'MSK': 'Europe/Moscow',
    'EDT': 'America/New_York',
    'CST': 'America/Chicago',
    'CDT': 'America/Chicago',
    'MDT': 'America/Denver',
    'PST': 'America/Los_Angeles',
    'PDT': 'America/Los_Angeles',
    'IST': 'Asia/Kolkata',
    'JST': 'Asia/Tokyo',
    'AEST': 'Australia/Sydney',
    'AEDT': 'Australia/Sydney',
    'NZST': 'Pacific/Auckland',
    'NZDT': 'Pacific/Auckland',
}


def for_none(name: str, meant: str) -> str:
    """Return the usual origin of a ``None``, and when to leave the argument out.

    :param name: the argument.
    :param meant: what leaving it out means.
    """
    return f'is the value of an unset setting or environment variable; leave {name} out if {meant}'


def for_whole_line(text: str) -> str | None:
    """Return the message for a text of one field that is a whole crontab line, ``None`` for another text."""
    # in a list that is written with blanks each value ends with a comma
    if len(text.split()) < 5 or ', ' in text:
        return None
    return f'is a whole crontab line, not one field; write cron={" ".join(text.split())!r} and leave the fields out'


def for_texts(field: Field, items: Collection[object]) -> str:
    """Return how to write an iterable of texts as one text, empty if that would be refused too."""
    texts = [str(item) for item in items if isinstance(item, str) or type(item) is int]
    if len(texts) < len(items) or not any(isinstance(item, str) for item in items):
        return ''
    # a text of days of the week may have no digits for days, which the 2 of fri#2 is not
    if field.name == 'dow' and re.search('(?<!#)[0-9]', ','.join(texts)):
        return ''
    return f'; write {field.name}={",".join(texts)!r}'


def for_range(field: Field, value: object) -> str:
    """Return how to write a sequence that looks like the arguments of ``range()``, empty for another value."""
    if isinstance(value, (tuple, list)) and len(value) in (2, 3) and value[0] <= field.high < value[1]:
        arguments = ', '.join(map(str, value))
        return f'; these look like the arguments of range(): write {field.name}=range({arguments}) if that is meant'
    return ''


def for_unsupported_syntax(field: Field, element: str) -> str:
    """Return what to write instead of an element that is not crontab(5) syntax, such as ``L`` or ``9am``."""
    element = element.lower()
    if field.name == 'hour' and ':' not in element and re.search(TWELVE_HOURS, element):
        return f': write {re.sub(TWELVE_HOURS, _to_24_hours, element)}'
    hint = for_relative_day(field, element)
    if hint is None:
        hint = next((hint for pattern, hint in UNSUPPORTED_SYNTAX if re.search(pattern, element)), None)
    return '' if hint is None else f': {hint}'


def _to_24_hours(match: re.Match[str]) -> str:
    return str(int(match[1]) % 12 + (12 if match[2] == 'p' else 0))


def for_backwards(field: Field, first: int, last: int) -> str:
    """Return how to write a range that begins with the larger value."""
    if field.high == 7:
        listed = ','.join(dict.fromkeys(field.names[value % 7] for value in range(first, last + 8)))
        # Sunday may be written as 7 where days of the week have numbers
        return f'{listed} or {first}-7' if field.note and last == 0 and first < 7 else listed
    ends = [(first, field.high), (field.low, last)]
    return ','.join(str(low) if low == high else f'{low}-{high}' for low, high in ends)


def for_count(texts: list[str], nicknames: Collection[str]) -> str:
    """Return why a text without five fields is no crontab line, and what to write.

    :param texts: the parts of the text.
    :param nicknames: the nicknames that are allowed in place of five fields.
    """
    if len(texts) == 1 and texts[0].lower() in nicknames:
        return f'is written in lower case: {texts[0].lower()}'
    if len(texts) == 1:
        known = f'one of {", ".join(nicknames)}'
        if texts[0] == '@reboot':
            return (
                f'names no time: pyramid_cron does not know when a machine starts; allowed are five fields or {known}'
            )
        return f'has one field; allowed are five (minute, hour, day of month, month, day of week) or {known}'
    if not texts:
        return f'has no fields; it takes {FIVE}'
    hint = '; seconds, years and commands have no place in it' if len(texts) > 5 else ''
    return f'has {len(texts)} fields; it takes {FIVE}{hint}'


def for_left_out(left_out: Collection[str], restricted: Collection[str], once_an_hour: bool) -> str | None:
    """Return advice for a schedule that is due more often than most authors intend, ``None`` for another.

    :param left_out: the names of the fields that are left out.
    :param restricted: the names of the fields that do not match every value.
    :param once_an_hour: whether a single minute of an hour matches.
    """
    on_days = not {'day', 'month', 'dow'}.isdisjoint(restricted)
    if 'min' in left_out and 'hour' in left_out and on_days:
        return (
            'min and hour are left out, which makes it due in every minute of the days that match; '
            "write min=0, hour=0 for once a day, or min='*' if every minute is meant"
        )
    if 'min' in left_out and restricted:
        return (
            'min is left out, which makes it due in every minute that the other fields match; '
            "write min=0 for once an hour, or min='*' if every minute is meant"
        )
    # several minutes, such as '*/15', are written with the whole day in mind
    if 'hour' in left_out and on_days and once_an_hour:
        return (
            'hour is left out, which makes it due in every hour of the days that match; '
            "write hour=0 for once a day, or hour='*' if every hour is meant"
        )
    return None


def for_zone(value: str, zones: Collection[str]) -> str:
    """Return what to write instead of a text that is not the name of a time zone.

    :param zones: the names of all time zones.
    """
    # seldom needed, and slow to import
    import difflib

    # before a guess by the spelling, which would suggest UTC for UTC+1 and CET for CEST
    if value.upper() in PLACES or re.fullmatch('[A-Z]{3,5}', value):
        place = PLACES.get(value.upper(), 'Europe/Berlin')
        return f' but the abbreviation of an offset; write the IANA name of a place, such as {place}'
    offset = re.fullmatch(r'(?:UTC|GMT)? ?([+-])0?(\d{1,2})(?::?00)?(:?\d\d)?', value, re.IGNORECASE)
    if offset:
        sign, hours, minutes = offset.groups()
        # POSIX counts offsets to the west
        fixed = f'Etc/GMT{"-" if sign == "+" else "+"}{hours}'
        all_year = f'; {fixed}, with this sign, is that offset all year' if fixed in zones and not minutes else ''
        return f' but an offset; write the IANA name of a place, such as Europe/Berlin{all_year}'
    near = difflib.get_close_matches(value, zones, n=1, cutoff=0.7)
    return f'; is {near[0]} meant?' if near else '; write an IANA name such as Europe/Berlin'
