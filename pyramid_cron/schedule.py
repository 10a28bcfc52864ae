"""When a task is due: five fields as plain values, without a clock and without Pyramid."""

from __future__ import annotations

import operator
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from pyramid_cron.clock import WallMinutes

FieldValue = int | Iterable[int] | str

# an iterable longer than this is a mistake, or endless
MOST_VALUES = 1000


class _LeftOut(str):
    """The ``'*'`` of an argument that was left out, told from one that was written."""

    __slots__ = ()


LEFT_OUT = _LeftOut('*')


class ScheduleWarning(UserWarning):
    """A schedule that is accepted, but probably not what was meant."""


class ScheduleError(ValueError):
    """A schedule that cannot be accepted; its text shows the field, the value and what is allowed."""


@dataclass(frozen=True)
class Field:
    """One of the five fields: its keyword, its smallest and its largest value, and a note on what they mean."""

    name: str
    low: int
    high: int
    note: str = ''

    @property
    def every(self) -> int:
        """The bit mask of all values."""
        return self.mask(range(self.low, self.high + 1))

    def mask(self, values: Iterable[int]) -> int:
        """Return the bit mask of ``values``, leaving out those that are out of range."""
        return sum(1 << value for value in set(values) if self.low <= value <= self.high)

    def error(self, value: object, why: str) -> ScheduleError:
        """Return the error that refuses ``value``."""
        return ScheduleError(
            f"{self.name}={value!r} {why}; allowed are '*' and integers from {self.low} to {self.high}{self.note}"
        )


MIN = Field('min', 0, 59)
HOUR = Field('hour', 0, 23)
DAY = Field('day', 1, 31)
MONTH = Field('month', 1, 12)
DOW = Field('dow', 0, 6, ' (0 is Monday, 6 is Sunday)')

# of a leap year
LAST_DAYS = {1: 31, 2: 29, 3: 31, 4: 30, 5: 31, 6: 30, 7: 31, 8: 31, 9: 30, 10: 31, 11: 30, 12: 31}


@dataclass(frozen=True, slots=True)
class Schedule:
    """The wall-clock minutes at which a task is due.

    ``min``, ``hour``, ``day``, ``month`` and ``dow`` are bit masks: bit ``v`` is set where the value ``v`` matches.
    ``interval`` tells a schedule whose minute or hour is ``'*'``, which follows the wall clock when the clocks change,
    from a fixed-time one, which keeps to once on each of its days (the rule is that of Debian's cron).
    ``advice`` holds sentences for whoever wrote the schedule.
    """

    min: int
    hour: int
    day: int
    month: int
    dow: int
    interval: bool
    advice: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def from_fields(
        cls,
        min: FieldValue = LEFT_OUT,
        hour: FieldValue = '*',
        day: FieldValue = '*',
        month: FieldValue = '*',
        dow: FieldValue = '*',
    ) -> Schedule:
        """Return the schedule of five field values, all of which have to match.

        :param min: minutes, 0 to 59; as every field an integer, an iterable of integers (read once), or ``'*'``.
        :param hour: hours, 0 to 23.
        :param day: days of the month, 1 to 31.
        :param month: months, 1 to 12.
        :param dow: days of the week as :meth:`datetime.date.weekday` counts them, 0 (Monday) to 6 (Sunday).
        :raises ScheduleError: for a field that can never match or has a wrong type, and for dates that do not exist.
        """
        advice: list[str] = []
        masks = {
            spec.name: _read(spec, value, advice)
            for spec, value in ((MIN, min), (HOUR, hour), (DAY, day), (MONTH, month), (DOW, dow))
        }
        if not _is_a_date(masks['day'], masks['month']):
            raise ScheduleError(f'day={day!r} with month={month!r} is a date that does not exist: it would never match')
        if min is LEFT_OUT and any(masks[spec.name] != spec.every for spec in (HOUR, DAY, MONTH, DOW)):
            advice.append(
                'min is left out, which makes it due in every minute that the other fields match; '
                "write min=0 for once an hour, or min='*' if every minute is meant"
            )
        return cls(**masks, interval=isinstance(min, str) or isinstance(hour, str), advice=tuple(advice))

    def is_due(self, minutes: WallMinutes) -> bool:
        """Tell whether a tick that stands for ``minutes`` is one to run at."""
        return any(map(self.matches, minutes.interval if self.interval else minutes.fixed_time))

    def matches(self, wall: datetime) -> bool:
        """Tell whether the wall-clock minute ``wall`` matches; its time zone, if it has one, is not looked at."""
        return bool(
            self.min >> wall.minute & 1
            and self.hour >> wall.hour & 1
            and self.day >> wall.day & 1
            and self.month >> wall.month & 1
            and self.dow >> wall.weekday() & 1
        )


def _read(spec: Field, value: FieldValue, advice: list[str]) -> int:
    """Return the mask of a field's value, adding to ``advice`` what is odd but accepted."""
    if isinstance(value, (str, bytes, bytearray)):
        if value == '*':
            return spec.every
        raise spec.error(value, 'is not understood')
    numbers = _integers(spec, value)
    mask = spec.mask(numbers)
    impossible = sorted({number for number in numbers if not spec.low <= number <= spec.high})
    if not mask:
        raise spec.error(value, 'can never match' if impossible else 'is empty and can never match')
    if impossible:
        advice.append(
            f'{spec.name}={value!r} can never match {", ".join(map(str, impossible))}, '
            f'only integers from {spec.low} to {spec.high}{spec.note}{_range_hint(spec, value)}'
        )
    return mask


def _integers(spec: Field, value: int | Iterable[int]) -> tuple[int, ...]:
    items = value if isinstance(value, Iterable) else (value,)
    try:
        numbers = tuple(_integer(item) for item in islice(items, MOST_VALUES + 1))
    except TypeError as exc:
        raise spec.error(value, f'is not an integer or an iterable of integers: {exc}') from exc
    if len(numbers) > MOST_VALUES:
        raise spec.error(value, f'holds more than {MOST_VALUES} values')
    return numbers


def _integer(item: int) -> int:
    # True is an int, but nobody means the minute 1 by it
    if isinstance(item, bool):
        raise TypeError(f'{item!r} is a bool')
    return operator.index(item)


def _range_hint(spec: Field, value: object) -> str:
    if isinstance(value, (tuple, list)) and len(value) in (2, 3) and value[0] <= spec.high < value[1]:
        arguments = ', '.join(map(str, value))
        return f'; these look like the arguments of range(): write {spec.name}=range({arguments}) if that is meant'
    return ''


def _is_a_date(days: int, months: int) -> bool:
    """Tell whether a year with 29 February has a date with one of these days and months (masks)."""
    first_day = (days & -days).bit_length() - 1
    return any(months >> month & 1 and first_day <= LAST_DAYS[month] for month in LAST_DAYS)
