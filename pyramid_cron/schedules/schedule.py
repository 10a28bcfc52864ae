"""When a task is due: a schedule as a plain value, without a clock and without Pyramid."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import MAXYEAR, date, datetime, timedelta, timezone
from heapq import heappop, heappush
from typing import Any

from pyramid_cron.schedules import clock, hints
from pyramid_cron.schedules.fields import (
    CRONTAB_DOW,
    DAY,
    DOW,
    FIELDS,
    HOUR,
    LEFT_OUT,
    MIN,
    MONTH,
    Field,
    FieldValue,
    ScheduleError,
    as_keywords,
    bits,
    parse,
    read_numbers,
    read_text,
    write,
)

ONE_DAY = timedelta(days=1)
LEAP_YEAR = 2000
CALENDAR_ENDS = datetime.max.replace(tzinfo=timezone.utc)

# times a mask of days of the week, it repeats them for six weeks
SIX_WEEKS = sum(1 << 7 * week for week in range(6))

# those of Debian's crontab(5) that name a time
NICKNAMES = {
    '@hourly': '0 * * * *',
    '@daily': '0 0 * * *',
    '@midnight': '0 0 * * *',
    '@weekly': '0 0 * * 0',
    '@monthly': '0 0 1 * *',
    '@yearly': '0 0 1 1 *',
    '@annually': '0 0 1 1 *',
}


@dataclass(frozen=True, slots=True, repr=False)
class Schedule:
    """The wall-clock minutes at which a task is due.

    ``min``, ``hour``, ``day``, ``month`` and ``dow`` are bit masks: bit ``v`` is set where the value ``v`` matches, and
    0 is Monday in ``dow``. ``either_day`` is true if one of ``day`` and ``dow`` suffices. ``interval`` tells a schedule
    whose minute or hour starts with ``*``, which follows the wall clock when the clocks change, from a fixed-time one,
    which keeps to once on each of its days. Schedules are equal if the same minutes match by the same rule, however
    they were written: ``text`` is what people are shown, and ``advice`` holds sentences for whoever wrote it.
    """

    min: int
    hour: int
    day: int
    month: int
    dow: int
    interval: bool
    either_day: bool
    text: str = field(compare=False)
    advice: tuple[str, ...] = field(default=(), compare=False)

    @classmethod
    def from_fields(
        cls,
        min: FieldValue = LEFT_OUT,
        hour: FieldValue = LEFT_OUT,
        day: FieldValue = LEFT_OUT,
        month: FieldValue = LEFT_OUT,
        dow: FieldValue = LEFT_OUT,
    ) -> Schedule:
        """Return the schedule of five field values, all of which have to match.

        A field is an integer, an iterable of integers (read once), or a text in the syntax of crontab(5).

        :param min: minutes, 0 to 59.
        :param hour: hours, 0 to 23.
        :param day: days of the month, 1 to 31.
        :param month: months, 1 to 12, or their names in a text.
        :param dow: days of the week as :meth:`datetime.date.weekday` counts them, 0 (Monday) to 6 (Sunday), or their
            names in a text.
        :raises ScheduleError: for a field that can never match or has a wrong type, and for dates that do not exist.
        """
        advice: list[str] = []
        masks: dict[str, Any] = {}
        texts: dict[str, str] = {}
        values = min, hour, day, month, dow
        for spec, value in zip(FIELDS, values, strict=True):
            if isinstance(value, str):
                masks[spec.name], texts[spec.name] = read_text(spec, value, advice), value.lower()
            else:
                masks[spec.name] = read_numbers(spec, value, advice)
                texts[spec.name] = write(spec, masks[spec.name])
        if not _is_a_date(masks['day'], masks['month']):
            raise ScheduleError(f'day={day!r} with month={month!r} is a date that does not exist: it would never match')
        left_out = [spec.name for spec, value in zip(FIELDS, values, strict=True) if value is LEFT_OUT]
        restricted = [spec.name for spec in FIELDS if masks[spec.name] != spec.every]
        unmeant = hints.for_left_out(left_out, restricted, once_an_hour=masks['min'].bit_count() == 1)
        if unmeant:
            advice.append(unmeant)
        return cls(
            **masks,
            interval='*' in (texts['min'][0], texts['hour'][0]),
            either_day=False,
            text=as_keywords(texts) if '*' not in (texts['day'][0], texts['dow'][0]) else ' '.join(texts.values()),
            advice=tuple(advice),
        )

    @classmethod
    def from_line(cls, line: str) -> Schedule:
        """Return the schedule of a crontab line without its command, or of a nickname such as ``@daily``.

        The meaning is that of Debian's cron: 0 and 7 are Sunday, and one of day-of-month and day-of-week suffices if
        neither starts with ``*``.

        :raises ScheduleError: for what crontab(5) does not have, and for a line that would never run.
        """
        if line is None:
            raise ScheduleError(f'cron={line!r} {hints.for_none("cron", "the fields are the schedule")}')
        if not isinstance(line, str):
            raise ScheduleError(f'cron={line!r} is not the text of a crontab line')
        if '\n' in line or '\r' in line:
            raise ScheduleError(f'cron={line!r} has a line break in it; write one line')
        texts = NICKNAMES.get(line.strip(' \t'), line).replace('\t', ' ').split(' ')
        texts = [text for text in texts if text]
        if len(texts) != len(FIELDS):
            raise ScheduleError(f'cron={line!r} {hints.for_count(texts, NICKNAMES)}')
        advice: list[str] = []
        masks: dict[str, Any] = {}
        for spec, text in zip((MIN, HOUR, DAY, MONTH, CRONTAB_DOW), texts, strict=True):
            try:
                masks[spec.name] = parse(spec, text, advice)
            except ValueError as exc:
                raise ScheduleError(
                    f"cron={line!r}: {spec.name} {text!r} {exc}; allowed are '*' and {spec.allowed}"
                ) from None
        either_day = '*' not in (texts[2][0], texts[4][0])
        if not either_day and not _is_a_date(masks['day'], masks['month']):
            raise ScheduleError(f'cron={line!r} names a date that does not exist: it would never run')
        return cls(
            **masks,
            interval='*' in (texts[0][0], texts[1][0]),
            either_day=either_day,
            text=' '.join(texts).lower(),
            advice=tuple(advice),
        )

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f'Schedule({self.text if self.crontab is None else repr(self.text)})'

    @property
    def crontab(self) -> str | None:
        """The crontab line of the same meaning, ``None`` if ``day`` and ``dow`` both have to match."""
        return None if '=' in self.text else self.text

    def is_due(self, minutes: clock.WallMinutes) -> bool:
        """Tell whether a tick that stands for ``minutes`` is one to run at."""
        return any(map(self.matches, minutes.interval if self.interval else minutes.fixed_time))

    def matches(self, wall: datetime) -> bool:
        """Tell whether the wall-clock minute ``wall`` matches; its time zone, if it has one, is not looked at."""
        return bool(self.min >> wall.minute & 1 and self.hour >> wall.hour & 1) and self.matches_date(wall)

    def matches_date(self, day: date) -> bool:
        """Tell whether a date matches."""
        return bool(self.month >> day.month & 1 and self._days(day) >> day.day & 1)

    def differences(self, wall: datetime) -> tuple[list[Field], list[Field]]:
        """Return the fields that keep a wall-clock minute from matching, and those that differ and do not.

        Only one of the days is ever among the latter: the one of two that is not needed.
        """
        values = wall.minute, wall.hour, wall.day, wall.month, wall.weekday()
        differing = [
            spec for spec, value in zip(FIELDS, values, strict=True) if not getattr(self, spec.name) >> value & 1
        ]
        unneeded = {DAY, DOW} if self._days(wall) >> wall.day & 1 else set()
        return [spec for spec in differing if spec not in unneeded], [spec for spec in differing if spec in unneeded]

    def runs(self, after: datetime) -> Iterator[datetime]:
        """Yield the instants later than ``after`` at which a tick would be due, in order and in its time zone.

        They end with the year 9998; a schedule whose date never comes yields none.

        :param after: an aware datetime, or a naive one for the machine's local time.
        """
        zone, begin = after.tzinfo, clock.to_instant(after)
        # a heap of what comes while the clocks change, where an instant can be found before an earlier one
        found: list[datetime] = []
        # where the clocks go back over midnight, minutes of one date come after the first of the next
        for day in self._dates(after.date() - ONE_DAY):
            midnight = datetime(day.year, day.month, day.day, tzinfo=timezone.utc)
            low, high = clock.offsets_around(day, zone)
            for minute in self._minutes((begin + low - midnight) // clock.MINUTE + 1):
                wall = midnight + minute * clock.MINUTE
                if found:
                    # no later minute of the wall clock stands for an earlier instant than with the largest offset
                    yield from (clock.to_zone(instant, zone) for instant in _take(found, wall - high))
                if low == high:
                    yield clock.to_zone(wall - low, zone)
                    continue
                ticks = clock.ticks(wall.replace(tzinfo=None), zone)
                for instant in ticks.interval if self.interval else ticks.fixed_time:
                    if instant > begin:
                        heappush(found, instant)
        yield from (clock.to_zone(instant, zone) for instant in _take(found, CALENDAR_ENDS))

    def _days(self, day: date) -> int:
        """Return the mask of the days that match in the month of ``day``, if the month itself does."""
        first = (day.weekday() - day.day + 1) % 7
        of_week = (self.dow * SIX_WEEKS >> first) << 1
        return self.day | of_week if self.either_day else self.day & of_week

    def _dates(self, start: date) -> Iterator[date]:
        """Yield the matching dates from ``start`` on."""
        for year in range(start.year, MAXYEAR):
            for month in bits(self.month):
                if (year, month) < (start.year, start.month):
                    continue
                days = self._days(date(year, month, 1)) & _days_of_month(year, month)
                if (year, month) == (start.year, start.month):
                    days &= -1 << start.day
                for day in bits(days):
                    yield date(year, month, day)

    def _minutes(self, start: int) -> Iterator[int]:
        """Yield the matching minutes of a day from ``start`` on, counted from midnight."""
        first_hour, first_minute = divmod(max(start, 0), 60)
        for hour in bits(self.hour & -1 << first_hour):
            for minute in bits(self.min & -1 << first_minute if hour == first_hour else self.min):
                yield 60 * hour + minute


def _take(heap: list[datetime], end: datetime) -> Iterator[datetime]:
    """Take the instants before ``end`` from a heap, each once."""
    while heap and heap[0] < end:
        instant = heappop(heap)
        if instant not in heap[:1]:
            yield instant


def _is_a_date(days: int, months: int) -> bool:
    """Tell whether a leap year has a date with one of these days and months (masks)."""
    return any(days & _days_of_month(LEAP_YEAR, month) for month in bits(months))


def _days_of_month(year: int, month: int) -> int:
    """Return the mask of the days that a month has."""
    return (2 << monthrange(year, month)[1]) - 2
