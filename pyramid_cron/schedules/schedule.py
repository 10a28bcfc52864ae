"""Schedules as plain values: parsed from fields or a crontab line, matched against minutes, expanded into runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import MAXYEAR, date, datetime, timedelta, timezone
from heapq import heappop, heappush
from typing import Any

from pyramid_cron.schedules import clock, dates, hints
from pyramid_cron.schedules.fields import (
    CRONTAB_DAY,
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
from pyramid_cron.schedules.relative_days import are_in, show_line

ONE_DAY = timedelta(days=1)
CALENDAR_ENDS = datetime.max.replace(tzinfo=timezone.utc)

# the nicknames of Debian's crontab(5) that stand for a time
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
    0 is Monday in ``dow``. The last day of a month, its second Friday and the like have bits above those of the values.
    ``either_day`` is true if a match of ``day`` or of ``dow`` is enough. ``interval`` is true if the minute or the hour
    starts with ``*``: an interval schedule follows the wall clock when the clocks change, and any other, a fixed-time
    schedule, runs once for each of its times on each of its days. Schedules are equal if the same minutes match by the
    same rule, however they were written: ``text`` is the schedule for people, and ``advice`` has warnings for its
    author.
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
        """Return the schedule of five field values, which must all match.

        A field is an integer, an iterable of integers (read once), or a text in the syntax of crontab(5).

        :param min: minutes, 0 to 59.
        :param hour: hours, 0 to 23.
        :param day: days of the month, 1 to 31, or ``last`` and ``last-weekday`` in a text.
        :param month: months, 1 to 12, or their names in a text.
        :param dow: days of the week as :meth:`datetime.date.weekday` counts them, 0 (Monday) to 6 (Sunday), or their
            names in a text, also as ``fri#2`` and ``fri#last``.
        :raises ValueError: for a field that can never match or has a wrong type, and for a date that does not exist.
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
        if not dates.date_exists(masks['day'], masks['dow'], bits(masks['month'])):
            others = ' and '.join(
                f'{name}={value!r}' for name, value in (('month', month), ('dow', dow)) if value is not LEFT_OUT
            )
            raise ScheduleError(f'day={day!r} with {others} is a date that does not exist: it would never match')
        left_out = [spec.name for spec, value in zip(FIELDS, values, strict=True) if value is LEFT_OUT]
        restricted = [spec.name for spec in FIELDS if masks[spec.name] != spec.every]
        hint = hints.for_left_out(left_out, restricted, once_an_hour=masks['min'].bit_count() == 1)
        if hint:
            advice.append(hint)
        return cls(
            **masks,
            interval='*' in (texts['min'][0], texts['hour'][0]),
            either_day=False,
            text=as_keywords(texts) if '*' not in (texts['day'][0], texts['dow'][0]) else show_line(texts.values()),
            advice=tuple(advice),
        )

    @classmethod
    def from_line(cls, line: str) -> Schedule:
        """Return the schedule of a crontab line without its command, or of a nickname such as ``@daily``.

        The line has its meaning for Debian's cron: 0 and 7 are Sunday, and a match of day-of-month or of day-of-week is
        enough if neither starts with ``*``. In addition it may have ``L`` and ``LW`` as days of the month, and ``5#2``
        and ``5L`` as days of the week.

        :param line: the five fields, separated by blanks, or the nickname.
        :raises ValueError: for a line that is not crontab(5) syntax, and for a line that would never run.
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
        for spec, text in zip((MIN, HOUR, CRONTAB_DAY, MONTH, CRONTAB_DOW), texts, strict=True):
            try:
                masks[spec.name] = parse(spec, text, advice)
            except ValueError as exc:
                raise ScheduleError(
                    f"cron={line!r}: {spec.name} {text!r} {exc}; allowed are '*' and {spec.allowed}"
                ) from None
        either_day = '*' not in (texts[2][0], texts[4][0])
        if not either_day and not dates.date_exists(masks['day'], masks['dow'], bits(masks['month'])):
            raise ScheduleError(f'cron={line!r} names a date that does not exist: it would never run')
        return cls(
            **masks,
            interval='*' in (texts[0][0], texts[1][0]),
            either_day=either_day,
            text=show_line(map(str.lower, texts)),
            advice=tuple(advice),
        )

    @classmethod
    def off(cls) -> Schedule:
        """Return the schedule that no minute matches; its text is ``off``."""
        return cls(0, 0, 0, 0, 0, interval=False, either_day=False, text='off')

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f'Schedule({self.text if self.crontab is None else repr(self.text)})'

    @property
    def is_off(self) -> bool:
        """Whether no minute matches."""
        return not self.min

    @property
    def crontab(self) -> str | None:
        """The crontab line of the same meaning, ``None`` if it is off, or if both ``day`` and ``dow`` are
        restricted and have to match.
        """
        return None if '=' in self.text or self.is_off else self.text

    @property
    def has_relative_days(self) -> bool:
        """Whether a day depends on the length of the month or on its weeks, such as the last day and ``fri#2``."""
        return are_in(self.day, self.dow)

    def is_due(self, minutes: clock.WallMinutes) -> bool:
        """Return whether the schedule is due at a tick that stands for ``minutes``."""
        return any(map(self.matches, minutes.interval if self.interval else minutes.fixed_time))

    def matches(self, wall: datetime) -> bool:
        """Return whether the wall-clock minute ``wall`` matches; a time zone of ``wall`` is ignored."""
        return bool(self.min >> wall.minute & 1 and self.hour >> wall.hour & 1) and self.matches_date(wall)

    def matches_date(self, day: date) -> bool:
        """Return whether a date matches."""
        return bool(self.month >> day.month & 1 and self._matching_days(day) >> day.day & 1)

    def first_minute(self, start: int) -> int | None:
        """Return the first matching minute of a matching date, counted from midnight, ``None`` if there is none.

        :param start: the minute from which on it is looked for.
        """
        return next(self._matching_minutes(start), None)

    def differences(self, wall: datetime) -> tuple[list[Field], list[Field]]:
        """Return the fields that keep a wall-clock minute from matching, and the fields that differ without effect.

        Only ``day`` or ``dow`` differs without effect, when a match of the other one is enough.
        """
        by_date, by_weekday = dates.days_by_field(self.day, self.dow, wall)
        matching = (
            self.min >> wall.minute,
            self.hour >> wall.hour,
            by_date >> wall.day,
            self.month >> wall.month,
            by_weekday >> wall.day,
        )
        differing = [spec for spec, bit in zip(FIELDS, matching, strict=True) if not bit & 1]
        unneeded = {DAY, DOW} if self._matching_days(wall) >> wall.day & 1 else set()
        return [spec for spec in differing if spec not in unneeded], [spec for spec in differing if spec in unneeded]

    def runs(self, after: datetime) -> Iterator[datetime]:
        """Yield the instants later than ``after`` at which the schedule is due, in order and in the zone of ``after``.

        The year 9998 is the last; a schedule for a date that never comes yields no instant.

        :param after: an aware datetime, or a naive one for the machine's local time.
        """
        if self.is_off:
            return
        zone, begin = after.tzinfo, clock.to_instant(after)
        # a heap of the instants around a change of the clocks, where one can be found before an earlier one
        found: list[datetime] = []
        # where the clocks go back over midnight, minutes of one date come after the first of the next
        for day in self._matching_dates(after.date() - ONE_DAY):
            midnight = datetime(day.year, day.month, day.day, tzinfo=timezone.utc)
            low, high = clock.offsets_around(day, zone)
            for minute in self._matching_minutes((begin + low - midnight) // clock.MINUTE + 1):
                wall = midnight + minute * clock.MINUTE
                if found:
                    # no later minute of the wall clock stands for an earlier instant than with the largest offset
                    yield from (clock.to_zone(instant, zone) for instant in _pop_before(found, wall - high))
                if low == high:
                    yield clock.to_zone(wall - low, zone)
                    continue
                ticks = clock.tick_instants(wall.replace(tzinfo=None), zone)
                for instant in ticks.interval if self.interval else ticks.fixed_time:
                    if instant > begin:
                        heappush(found, instant)
        yield from (clock.to_zone(instant, zone) for instant in _pop_before(found, CALENDAR_ENDS))

    def _matching_days(self, day: date) -> int:
        """Return the mask of the days that match in the month of ``day``, provided that the month matches."""
        by_date, by_weekday = dates.days_by_field(self.day, self.dow, day)
        return by_date | by_weekday if self.either_day else by_date & by_weekday

    def _matching_dates(self, start: date) -> Iterator[date]:
        """Yield the matching dates from ``start`` on."""
        for year in range(start.year, MAXYEAR):
            for month in bits(self.month):
                if (year, month) < (start.year, start.month):
                    continue
                days = self._matching_days(date(year, month, 1)) & dates.days_of_month(year, month)
                if (year, month) == (start.year, start.month):
                    days &= -1 << start.day
                for day in bits(days):
                    yield date(year, month, day)

    def _matching_minutes(self, start: int) -> Iterator[int]:
        """Yield the matching minutes of a day from ``start`` on, counted from midnight."""
        first_hour, first_minute = divmod(max(start, 0), 60)
        for hour in bits(self.hour & -1 << first_hour):
            for minute in bits(self.min & -1 << first_minute if hour == first_hour else self.min):
                yield 60 * hour + minute


def _pop_before(heap: list[datetime], end: datetime) -> Iterator[datetime]:
    """Pop the instants before ``end`` from a heap, and yield each once."""
    while heap and heap[0] < end:
        instant = heappop(heap)
        if instant not in heap[:1]:
            yield instant
