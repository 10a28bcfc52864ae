"""The five fields of a schedule: their values, the parser of crontab syntax, and the way back to text.

A set of values is a bit mask: bit ``v`` is set for the value ``v``. In masks the days of the week are Python's, 0 is
Monday; only the text of a crontab line counts them from Sunday. The last day of a month and its second Friday have bits
above those of the values: ``relative_days.py``.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Iterator
from itertools import islice, pairwise
from typing import NamedTuple

from pyramid_cron.errors import CronError
from pyramid_cron.schedules import hints, relative_days
from pyramid_cron.schedules.relative_day_hints import for_number_after_nth, for_numbered_days
from pyramid_cron.schedules.relative_days import DAY_NAMES

FieldValue = int | Iterable[int] | str

# an iterable longer than this is a mistake, or endless
MOST_VALUES = 1000

# a star, or a first and a last value; then a step
ELEMENT = r'(?:(\*)|([0-9]+|[a-z]{3})(?:-([0-9]+|[a-z]{3}))?)(?:/([0-9]+))?'


class _LeftOut(str):
    """The default of an argument, a text of its own so that an equal text written by a caller is another object."""

    __slots__ = ()


LEFT_OUT = _LeftOut('*')
NO_LINE = _LeftOut()


class ScheduleWarning(UserWarning):
    """A schedule is accepted, but probably is not the intended one."""


class ScheduleError(CronError, ValueError):
    """A schedule is refused; the message shows the field, the value and the allowed values."""


class Field(NamedTuple):
    """One of the five fields.

    :param name: its keyword argument.
    :param low: its smallest value.
    :param high: its largest value.
    :param names: the names of its values in crontab(5), from ``low`` on.
    :param note: the meaning of its numbers, for a message, where readers may expect another one.
    :param forms: its relative days, for a message.
    """

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    note: str = ''
    forms: str = ''

    @property
    def every(self) -> int:
        """The mask of all values."""
        return (2 << self.high) - (1 << self.low)

    @property
    def allowed(self) -> str:
        """The allowed values, for a message."""
        named = f', names {self.names[0]} to {self.names[-1]}' if self.names else ''
        return f'integers from {self.low} to {self.high}{self.note}{named}{self.forms}'

    def mask(self, values: Iterable[int]) -> int:
        """Return the mask of ``values`` without those that are out of range."""
        return sum(1 << value for value in set(values) if self.low <= value <= self.high)


def bits(mask: int) -> Iterator[int]:
    """Yield the values of a mask, in order."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


MONTH_NAMES = ('jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec')

MIN = Field('min', 0, 59)
HOUR = Field('hour', 0, 23)
DAY = Field('day', 1, 31, forms=", 'last' and 'last-weekday'")
CRONTAB_DAY = Field('day', 1, 31, forms=', L (the last) and LW (the last weekday)')
MONTH = Field('month', 1, 12, MONTH_NAMES)
DOW = Field('dow', 0, 6, note=' (0 is Monday, 6 is Sunday)')
CRONTAB_DOW = Field(
    'dow', 0, 7, DAY_NAMES, ' (0 and 7 are Sunday)', ', forms such as 5#2 (the second Friday) and 5L (the last one)'
)
NAMED_DOW = Field('dow', 0, 7, DAY_NAMES)
FIELDS = (MIN, HOUR, DAY, MONTH, DOW)

RELATIVE_DAYS = {
    DAY: relative_days.KEYWORD_DAYS,
    CRONTAB_DAY: relative_days.LINE_DAYS,
    NAMED_DOW: relative_days.KEYWORD_WEEKDAYS,
    CRONTAB_DOW: relative_days.LINE_WEEKDAYS,
}


def read_numbers(field: Field, value: int | Iterable[int], advice: list[str]) -> int:
    """Return the mask of an integer or an iterable of integers, which is read once.

    :param advice: receives a sentence if some of the values can never match.
    :raises ScheduleError: for another type, for no value, and if no value can match.
    """
    if value is None:
        raise error(field, value, hints.for_none(field.name, 'every value is meant'))
    if isinstance(value, (bytes, bytearray)):
        raise error(field, value, 'is bytes')
    items: list[int] = []
    try:
        items += islice(value, MOST_VALUES + 1) if isinstance(value, Iterable) else [value]
        numbers = [_integer(item) for item in items]
    except TypeError as exc:
        hint = hints.for_texts(field, items)
        raise error(field, value, f'is not an integer or an iterable of integers: {exc}{hint}') from exc
    if len(numbers) > MOST_VALUES:
        raise error(field, value, f'holds more than {MOST_VALUES} values')
    mask = field.mask(numbers)
    impossible = sorted({number for number in numbers if not field.low <= number <= field.high})
    if not mask:
        raise error(field, value, 'can never match' if impossible else 'is empty and can never match')
    if impossible:
        advice.append(
            f'{field.name}={value!r} can never match {", ".join(map(str, impossible))}, '
            f'only {field.allowed}{hints.for_range(field, value)}'
        )
    return mask


def _integer(item: int) -> int:
    # True is an int, but hardly intended as minute 1
    if isinstance(item, bool):
        raise TypeError(f'{item!r} is a bool')
    return operator.index(item)


def read_text(field: Field, value: str, advice: list[str]) -> int:
    """Return the mask of the text of a keyword argument: crontab(5) syntax, with days of the week by name only.

    :param advice: receives a sentence for a text that is accepted but probably not intended.
    :raises ScheduleError: for any other text.
    """
    whole_line = hints.for_whole_line(value)
    if whole_line:
        raise error(field, value, whole_line)
    if field is DOW and any(map(str.isdigit, re.sub('#[^,]*', '', value))):
        raise error(field, value, for_numbered_days(value))
    try:
        return parse(NAMED_DOW if field is DOW else field, value, advice)
    except ValueError as exc:
        raise error(field, value, str(exc)) from None


def error(field: Field, value: object, why: str) -> ScheduleError:
    """Return the error for the value of a keyword argument.

    :param why: the reason, in words that follow the value.
    """
    names = ", names sun to sat, forms such as 'fri#2' and 'fri#last'" if field is DOW else ''
    return ScheduleError(f"{field.name}={value!r} {why}; allowed are '*' and {field.allowed}{names}")


def parse(field: Field, text: str, advice: list[str]) -> int:
    """Parse the text of a field in crontab(5) syntax into a mask, with its meaning for Debian's cron.

    :param advice: receives a sentence for a text that is accepted but probably not intended.
    :raises ValueError: with the reason, also for text that Debian's cron accepts by accident or never runs. Hints for
        the syntax of other schedulers (``W``, ``?``) are in :data:`.hints.UNSUPPORTED_SYNTAX`.
    """
    mask = relative = 0
    for element in text.split(','):
        # most fields of most lines are a star
        if element == '*':
            mask |= field.every
        elif match := re.fullmatch(ELEMENT, element.lower()):
            mask |= _values(field, element, match, advice)
        else:
            relative |= _relative_day(field, element)
    if field.high == CRONTAB_DOW.high:
        # in a crontab Monday is 1 and Sunday 0 or 7; in masks Monday is 0 and Sunday 6
        mask = mask >> 1 | (mask & 1) << DOW.high
    if not relative:
        return mask
    advice += for_number_after_nth(text)
    simplify = relative_days.simplify_weekdays if field.names else relative_days.simplify_days
    return simplify(mask | relative)


def _relative_day(field: Field, element: str) -> int:
    forms = RELATIVE_DAYS.get(field, {})
    if element.lower() not in forms:
        hint = hints.for_unsupported_syntax(field, element)
        raise ValueError(f'has {element!r}, which is not the syntax of crontab(5){hint}')
    return forms[element.lower()]


def _values(field: Field, element: str, match: re.Match[str], advice: list[str]) -> int:
    star, first_text, last_text, step_text = match.groups()
    first, last, step = field.low, field.high, int(step_text or 1)
    if not star:
        first = _parse_value(field, first_text)
        last = _parse_value(field, last_text) if last_text else first
    if first > last:
        hint = 'begin with the smaller value' if step_text else f'write {hints.for_backwards(field, first, last)}'
        raise ValueError(f'has {match[0]!r}, which runs backwards; {hint}')
    if step_text:
        if not star and not last_text:
            raise ValueError(f'has {element!r}, a step without a range; write {first}-{field.high}/{step_text}')
        if step == 0:
            raise ValueError(f'has {element!r}, a step of 0')
        if step > last - first:
            advice.append(f'{field.name} has {element!r}, a step that leaves nothing but {first}')
    # without a step: all bits from the first to the last
    return sum(1 << value for value in range(first, last + 1, step)) if step_text else (2 << last) - (1 << first)


def _parse_value(field: Field, text: str) -> int:
    if text in field.names:
        return field.low + field.names.index(text)
    if not text.isdigit():
        known = f'its names are {", ".join(field.names)}' if field.names else 'it has no names'
        raise ValueError(f'has {text!r}; {known}')
    if not field.low <= int(text) <= field.high:
        raise ValueError(f'has {text}, which is out of range')
    return int(text)


def write(field: Field, mask: int) -> str:
    """Return a mask as the text of a keyword argument, with days of the week by name."""
    elements = _write_values(field, list(bits(mask & field.every)))
    if mask > field.every:
        elements += relative_days.names(RELATIVE_DAYS[NAMED_DOW if field is DOW else field], mask)
    return ','.join(elements)


def _write_values(field: Field, values: list[int]) -> list[str]:
    if field is DOW:
        # the crontab's week begins with Sunday, so that a range cannot end there
        week = [(value + 1) % 7 for value in values]
        return ['-'.join(DAY_NAMES[value] for value in ends) for ends in _ranges(sorted(week))]
    steps = {later - earlier for earlier, later in pairwise(values)}
    if len(values) > 2 and len(steps) == 1 and steps != {1}:
        return [f'{values[0]}-{values[-1]}/{steps.pop()}']
    return ['-'.join(map(str, ends)) for ends in _ranges(values)]


def as_keywords(texts: dict[str, str]) -> str:
    """Return the texts of the five fields as keyword arguments, without those that restrict nothing."""
    values = {name: int(text) if text.isdigit() else text for name, text in texts.items()}
    return ', '.join(f'{name}={text!r}' for name, text in values.items() if text != '*' or name in ('min', 'hour'))


def _ranges(values: list[int]) -> list[tuple[int, ...]]:
    """Return ascending values as ranges (first, last), and a value without neighbours as (value,)."""
    ranges: list[tuple[int, ...]] = []
    for value in values:
        if ranges and ranges[-1][-1] == value - 1:
            ranges[-1] = (ranges[-1][0], value)
        else:
            ranges.append((value,))
    return ranges
