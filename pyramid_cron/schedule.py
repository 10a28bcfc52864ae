"""When a task is due: a schedule as a plain value, without a clock and without Pyramid."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator
from datetime import MAXYEAR, date, datetime, time, timedelta, timezone
from typing import Any, NamedTuple

from pyramid_cron import clock
from pyramid_cron.fields import (
    CRONTAB_DOW,
    DAY,
    FIELDS,
    HOUR,
    LEFT_OUT,
    MIN,
    MONTH,
    FieldValue,
    ScheduleError,
    parse,
    read_numbers,
    read_text,
    write,
)

ONE_DAY = timedelta(days=1)
LEAP_YEAR = 2000

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


class Schedule(NamedTuple):
    """The wall-clock minutes at which a task is due.

    ``min``, ``hour``, ``day``, ``month`` and ``dow`` are bit masks: bit ``v`` is set where the value ``v`` matches, and
    0 is Monday in ``dow``. ``either_day`` is true if one of ``day`` and ``dow`` suffices. ``interval`` tells a schedule
    whose minute or hour starts with ``*``, which follows the wall clock when the clocks change, from a fixed-time one,
    which keeps to once on each of its days. ``text`` is the schedule in crontab terms, and ``advice`` holds sentences
    for whoever wrote it.
    """

    min: int
    hour: int
    day: int
    month: int
    dow: int
    interval: bool
    either_day: bool = False
    text: str = ''
    advice: tuple[str, ...] = ()

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
        for spec, value in zip(FIELDS, (min, hour, day, month, dow), strict=True):
            if isinstance(value, str):
                masks[spec.name], texts[spec.name] = read_text(spec, value, advice), value.lower()
            else:
                masks[spec.name] = read_numbers(spec, value, advice)
                texts[spec.name] = write(spec, masks[spec.name])
        if not _is_a_date(masks['day'], masks['month']):
            raise ScheduleError(f'day={day!r} with month={month!r} is a date that does not exist: it would never match')
        if min is LEFT_OUT and any(masks[spec.name] != spec.every for spec in FIELDS[1:]):
            advice.append(
                'min is left out, which makes it due in every minute that the other fields match; '
                "write min=0 for once an hour, or min='*' if every minute is meant"
            )
        # a crontab line of these two would be satisfied by either
        both_days = '*' not in (texts['day'][0], texts['dow'][0])
        return cls(
            **masks,
            interval='*' in (texts['min'][0], texts['hour'][0]),
            text=' '.join(texts.values()) + (' (day and day of week)' if both_days else ''),
            advice=tuple(advice),
        )

    @classmethod
    def from_line(cls, line: str) -> Schedule:
        """Return the schedule of a crontab line without its command, or of a nickname such as ``@daily``.

        The meaning is that of Debian's cron: 0 and 7 are Sunday, and one of day-of-month and day-of-week suffices if
        neither starts with ``*``.

        :raises ScheduleError: for what crontab(5) does not have, and for a line that would never run.
        """
        if not isinstance(line, str):
            raise ScheduleError(f'cron={line!r} is not the text of a crontab line')
        if '\n' in line or '\r' in line:
            raise ScheduleError(f'cron={line!r} has a line break in it; write one line')
        texts = NICKNAMES.get(line.strip(' \t'), line).replace('\t', ' ').split(' ')
        texts = [text for text in texts if text]
        if len(texts) != len(FIELDS):
            raise ScheduleError(f'cron={line!r} {_count_hint(texts)}')
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

    def __eq__(self, other: object) -> bool:
        """Tell whether the same minutes match by the same rule, however they were written."""
        return isinstance(other, Schedule) and self[:-2] == other[:-2]

    def __ne__(self, other: object) -> bool:
        # a tuple has one of its own, which would not follow from the above
        return not self == other

    def __hash__(self) -> int:
        return hash(self[:-2])

    def is_due(self, minutes: clock.WallMinutes) -> bool:
        """Tell whether a tick that stands for ``minutes`` is one to run at."""
        return any(map(self.matches, minutes.interval if self.interval else minutes.fixed_time))

    def matches(self, wall: datetime) -> bool:
        """Tell whether the wall-clock minute ``wall`` matches; its time zone, if it has one, is not looked at."""
        return bool(self.min >> wall.minute & 1 and self.hour >> wall.hour & 1) and self.matches_date(wall)

    def matches_date(self, day: date) -> bool:
        """Tell whether a date matches."""
        if not self.month >> day.month & 1:
            return False
        of_month, of_week = self.day >> day.day & 1, self.dow >> day.weekday() & 1
        return bool(of_month or of_week) if self.either_day else bool(of_month and of_week)

    def runs(self, after: datetime) -> Iterator[datetime]:
        """Yield the instants later than ``after`` at which a tick would be due, in order and in its time zone.

        They end with the year 9998; a schedule whose date never comes yields none.

        :param after: an aware datetime, or a naive one for the machine's local time.
        """
        zone, begin = after.tzinfo, clock.to_instant(after)
        pending: set[datetime] = set()
        # where the clocks go back over midnight, minutes of one date come after the first of the next
        for day in self._dates(after.date() - ONE_DAY):
            midnight = datetime.combine(day, time())
            offset = clock.steady_offset(day, zone)
            # no minute of this date or a later one is earlier; no offset is as large as a day
            earliest = midnight.replace(tzinfo=timezone.utc) - (ONE_DAY if offset is None else offset)
            ripe = sorted(instant for instant in pending if instant < earliest)
            pending.difference_update(ripe)
            yield from (clock.to_zone(instant, zone) for instant in ripe)
            if offset is not None:
                times = self._times(begin - earliest)
                yield from (clock.to_zone(earliest + since, zone) for since in times)
                continue
            for since in self._times():
                ticks = clock.ticks(midnight + since, zone)
                instants = ticks.interval if self.interval else ticks.fixed_time
                pending.update(instant for instant in instants if instant > begin)
        yield from (clock.to_zone(instant, zone) for instant in sorted(pending))

    def _dates(self, start: date) -> Iterator[date]:
        """Yield the matching dates from ``start`` on."""
        for year in range(start.year, MAXYEAR):
            for month in MONTH.values(self.month):
                if (year, month) >= (start.year, start.month):
                    days = (date(year, month, day) for day in range(1, monthrange(year, month)[1] + 1))
                    yield from (day for day in days if day >= start and self.matches_date(day))

    def _times(self, after: timedelta = timedelta(-1)) -> Iterator[timedelta]:
        """Yield the matching times of a day that are later than ``after``, as what has passed since midnight."""
        minutes = MIN.values(self.min)
        for hour in HOUR.values(self.hour):
            if timedelta(hours=hour + 1) > after:
                times = (timedelta(hours=hour, minutes=minute) for minute in minutes)
                yield from (since for since in times if since > after)


def _is_a_date(days: int, months: int) -> bool:
    """Tell whether a leap year has a date with one of these days and months (masks)."""
    first_day = DAY.values(days)[0]
    return any(first_day <= monthrange(LEAP_YEAR, month)[1] for month in MONTH.values(months))


def _count_hint(texts: list[str]) -> str:
    """Say why a line without five fields is none, and what to write."""
    if len(texts) == 1 and texts[0].lower() in NICKNAMES:
        return f'is written in lower case: {texts[0].lower()}'
    if len(texts) == 1:
        known = f'one of {", ".join(NICKNAMES)}'
        if texts[0] == '@reboot':
            return f'names no time: nothing is ever rebooted here; allowed are five fields or {known}'
        return f'has one field; allowed are five (minute, hour, day of month, month, day of week) or {known}'
    if not texts:
        return 'has no fields; it takes five: minute, hour, day of month, month, day of week'
    hint = '; seconds, years and commands have no place in it' if len(texts) > len(FIELDS) else ''
    return f'has {len(texts)} fields; it takes five: minute, hour, day of month, month, day of week{hint}'
