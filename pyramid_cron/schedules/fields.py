"""One field of a schedule: which values it can have, and how they are read and written.

A set of values is a bit mask: bit ``v`` is set for the value ``v``. In masks the days of the week are Python's, 0 is
Monday; only the text of a crontab line counts them from Sunday.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Iterable, Iterator
from itertools import islice, pairwise
from typing import NamedTuple

from pyramid_cron.schedules import hints

FieldValue = int | Iterable[int] | str

# an iterable longer than this is a mistake, or endless
MOST_VALUES = 1000

# a star, or a first and a last value; a step
ELEMENT = r'(?:(\*)|([0-9]+|[a-z]{3})(?:-([0-9]+|[a-z]{3}))?)(?:/([0-9]+))?'


class _LeftOut(str):
    """What stands for an argument that was left out, told from the same text that was written."""

    __slots__ = ()


LEFT_OUT = _LeftOut('*')
NO_LINE = _LeftOut()


class ScheduleWarning(UserWarning):
    """A schedule that is accepted, but probably not what was meant."""


class ScheduleError(ValueError):
    """A schedule that cannot be accepted; its text shows the field, the value and what is allowed."""


class Field(NamedTuple):
    """One of the five fields.

    :param name: the keyword it is passed by.
    :param low: its smallest value.
    :param high: its largest value.
    :param names: names that crontab(5) has for its values, from ``low`` on.
    :param note: what its numbers mean, where that is not plain.
    """

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()
    note: str = ''

    @property
    def every(self) -> int:
        """The mask of all values."""
        return (2 << self.high) - (1 << self.low)

    @property
    def allowed(self) -> str:
        """What the field takes, for a message."""
        named = f', names {self.names[0]} to {self.names[-1]}' if self.names else ''
        return f'integers from {self.low} to {self.high}{self.note}{named}'

    def mask(self, values: Iterable[int]) -> int:
        """Return the mask of ``values``, leaving out those that are out of range."""
        return sum(1 << value for value in set(values) if self.low <= value <= self.high)


def bits(mask: int) -> Iterator[int]:
    """Yield the values of a mask, in order."""
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


MONTH_NAMES = ('jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec')
DAY_NAMES = ('sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat')

MIN = Field('min', 0, 59)
HOUR = Field('hour', 0, 23)
DAY = Field('day', 1, 31)
MONTH = Field('month', 1, 12, MONTH_NAMES)
DOW = Field('dow', 0, 6, note=' (0 is Monday, 6 is Sunday)')
CRONTAB_DOW = Field('dow', 0, 7, DAY_NAMES, ' (0 and 7 are Sunday)')
NAMED_DOW = Field('dow', 0, 7, DAY_NAMES)
FIELDS = (MIN, HOUR, DAY, MONTH, DOW)


def read_numbers(field: Field, value: int | Iterable[int], advice: list[str]) -> int:
    """Return the mask of an integer or an iterable of integers, which is read once.

    :param advice: gets a sentence for values that can never match beside ones that can.
    :raises ScheduleError: for another type, for no value, and if none can match.
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
    # True is an int, but nobody means the minute 1 by it
    if isinstance(item, bool):
        raise TypeError(f'{item!r} is a bool')
    return operator.index(item)


def read_text(field: Field, value: str, advice: list[str]) -> int:
    """Return the mask of a keyword's text: the syntax of crontab(5), with days of the week by name only.

    :param advice: gets a sentence for what is accepted but odd.
    :raises ScheduleError: for anything else.
    """
    whole_line = hints.for_whole_line(value)
    if whole_line:
        raise error(field, value, whole_line)
    if field is DOW and any(character.isdigit() for character in value):
        why = 'has a digit, and Python and crontab number the days differently'
        raise error(field, value, f"{why}; write an integer without quotes (0 is Monday) or names, as in 'mon,wed'")
    try:
        return parse(NAMED_DOW if field is DOW else field, value, advice)
    except ValueError as exc:
        raise error(field, value, str(exc)) from None


def error(field: Field, value: object, why: str) -> ScheduleError:
    """Return the error that refuses the value of a keyword."""
    names = ', names sun to sat' if field is DOW else ''
    return ScheduleError(f"{field.name}={value!r} {why}; allowed are '*' and {field.allowed}{names}")


def parse(field: Field, text: str, advice: list[str]) -> int:
    """Return the mask of a field's text in the syntax of crontab(5), with the meaning it has for Debian's cron.

    :param advice: gets a sentence for what is accepted but odd.
    :raises ValueError: saying why it is refused; so is what that cron takes by accident, or takes and never runs.
    """
    mask = 0
    for element in text.split(','):
        # what most fields of most lines are
        mask |= field.every if element == '*' else _element(field, element, advice)
    if field.high == CRONTAB_DOW.high:
        # Monday is 1 there and 0 in masks; 0 and 7 are Sunday there, which is 6 in masks
        mask = mask >> 1 | (mask & 1) << DOW.high
    return mask


def _element(field: Field, element: str, advice: list[str]) -> int:
    match = re.fullmatch(ELEMENT, element.lower())
    if match is None:
        hint = hints.for_element(field, element)
        raise ValueError(f'has {element!r}, which is not the syntax of crontab(5){hint}')
    star, first_text, last_text, step_text = match.groups()
    first, last, step = field.low, field.high, int(step_text or 1)
    if not star:
        first = _value(field, first_text)
        last = _value(field, last_text) if last_text else first
    if first > last:
        hint = 'begin with the smaller value' if step_text else f'write {hints.for_backwards(field, first, last)}'
        raise ValueError(f'has {match[0]!r}, which runs backwards; {hint}')
    if step_text:
        if not star and not last_text:
            raise ValueError(f'has {element!r}, a step without a range; write {first}-{field.high}/{step_text}')
        if step == 0:
            raise ValueError(f'has {element!r}, a step of 0')
        if step > last - first:
            advice.append(f'{field.name} has {element!r}, whose step leaves nothing but {first}')
    # without a step these are all bits from the first to the last
    return sum(1 << value for value in range(first, last + 1, step)) if step_text else (2 << last) - (1 << first)


def _value(field: Field, text: str) -> int:
    if text in field.names:
        return field.low + field.names.index(text)
    if not text.isdigit():
        known = f'its names are {", ".join(field.names)}' if field.names else 'it has no names'
        raise ValueError(f'has {text!r}; {known}')
    if not field.low <= int(text) <= field.high:
        raise ValueError(f'has {text}, which is out of range')
    return int(text)


def write(field: Field, mask: int) -> str:
    """Return a mask as the text of a crontab field that :func:`parse` reads; days of the week by their names."""
    values = list(bits(mask))
    if field is DOW:
        # the crontab's week begins with Sunday, so that a range cannot end there
        week = [(value + 1) % 7 for value in values]
        return ','.join('-'.join(DAY_NAMES[value] for value in ends) for ends in _runs(sorted(week)))
    steps = {later - earlier for earlier, later in pairwise(values)}
    if len(values) > 2 and len(steps) == 1 and steps != {1}:
        return f'{values[0]}-{values[-1]}/{steps.pop()}'
    return ','.join('-'.join(map(str, ends)) for ends in _runs(values))


def as_keywords(texts: dict[str, str]) -> str:
    """Return the texts of the five fields as the keywords that they are passed by, without those of no effect."""
    shown = {name: int(text) if text.isdigit() else text for name, text in texts.items()}
    return ', '.join(f'{name}={text!r}' for name, text in shown.items() if text != '*' or name in ('min', 'hour'))


def _runs(values: list[int]) -> list[tuple[int, ...]]:
    """Return ascending values as ranges (first, last), and those that stand alone as (value,)."""
    runs: list[tuple[int, ...]] = []
    for value in values:
        if runs and runs[-1][-1] == value - 1:
            runs[-1] = (runs[-1][0], value)
        else:
            runs.append((value,))
    return runs
