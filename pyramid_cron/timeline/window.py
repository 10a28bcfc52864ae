"""The time that a timeline shows: a day or a night of a time zone, which may have 23 or 25 hours, or any other."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, tzinfo
from typing import NamedTuple

from pyramid_cron.errors import CronError
from pyramid_cron.schedules import clock
from pyramid_cron.task_summary import LOCAL_TIME
from pyramid_cron.times import parse_minute, parse_since, parse_until

MIDNIGHT, NOON = time(0), time(12)
ONE_DAY = timedelta(days=1)
LONGEST = timedelta(days=8)
# UTC offsets are multiples of it
QUARTER = timedelta(minutes=15)
# the first and the last day with windows that can be computed in any time zone
DAYS = date(1971, 1, 1), date(9990, 12, 31)


class WindowError(CronError, ValueError):
    """A time that cannot be shown. Its message names the text, and what is allowed."""


class Mark(NamedTuple):
    """A full hour on the wall clock.

    :param instant: the instant.
    :param wall: the wall-clock time.
    """

    instant: datetime
    wall: datetime


class Window(NamedTuple):
    """The time from one instant to another.

    :param first: the first instant, in UTC.
    :param end: the end, in UTC; it is not part of it.
    """

    first: datetime
    end: datetime

    @property
    def length(self) -> timedelta:
        return self.end - self.first

    def has(self, instant: datetime) -> bool:
        return self.first <= instant < self.end

    def share(self, instant: datetime) -> float:
        """Return the part of it before an instant, from 0 to 1."""
        return min(max((instant - self.first) / self.length, 0.0), 1.0)

    def hours(self, zone: tzinfo | None, every: int = 1) -> list[Mark]:
        """Return its full hours on the wall clock of a time zone; an hour that comes twice is there twice.

        :param every: leave out the hours that are no multiple of this.
        """
        marks = []
        # aligned, because it need not begin with a quarter of an hour
        instant = self.first + (clock.EPOCH - self.first) % QUARTER
        while instant < self.end:
            wall = clock.to_wall(instant, zone)
            if wall.minute == 0 and wall.hour % every == 0:
                marks.append(Mark(instant, wall))
            instant += QUARTER
        return marks

    def clock_change(self, zone: tzinfo | None) -> str:
        """Return a sentence about a change of the clocks in it, empty without one."""
        before, after = (clock.utc_offset(instant, zone) for instant in self)
        if before == after:
            return ''
        way = 'forward' if after > before else 'back'
        hours = f'{self.length / timedelta(hours=1):g}'
        return f'The clocks are put {way} in this time, which has {hours} hours.'

    def title(self, zone: tzinfo | None) -> str:
        """Return its ends with their dates, and the time zone."""
        first, end = (clock.to_wall(instant, zone) for instant in self)
        same_day = first.date() == end.date()
        until = f'{end:%H:%M}' if same_day else f'{end:%a %Y-%m-%d %H:%M}'
        return f'{first:%a %Y-%m-%d %H:%M} to {until}, {zone or LOCAL_TIME}'


def day_window(day: date, zone: tzinfo | None) -> Window:
    """Return a day of a time zone, from midnight to midnight."""
    return _between(day, MIDNIGHT, zone)


def night_window(day: date, zone: tzinfo | None) -> Window:
    """Return the night to a day: from noon of the day before to its noon."""
    return _between(day - ONE_DAY, NOON, zone)


def _between(day: date, at: time, zone: tzinfo | None) -> Window:
    first, end = (clock.to_instant(datetime.combine(each, at).replace(tzinfo=zone)) for each in (day, day + ONE_DAY))
    return Window(first, end)


def present_night(now: datetime, zone: tzinfo | None) -> date:
    """Return the day at the end of the present night: before noon that is today, and tomorrow afterwards."""
    wall = clock.to_wall(now, zone)
    return wall.date() if wall.time() < NOON else wall.date() + ONE_DAY


def parse_day(text: str) -> date:
    """Return the day that a text names.

    :raises WindowError: if the text is not a day.
    """
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise WindowError(f'{text!r} is not a day such as 2026-12-24') from None
    if not DAYS[0] <= day <= DAYS[1]:
        raise WindowError(f'{text!r} is not a day from {DAYS[0]} to {DAYS[1]}')
    return day


def parse_window(since: str | None, until: str | None, now: datetime, zone: tzinfo | None) -> Window:
    """Return the time between two texts; the present night if both are left out, and one day if one of them is.

    :param since: a time as for :func:`.parse_since`.
    :param until: a date and time, or as for :func:`.parse_until` after ``since``, or after the present without one.
    :raises pyramid_cron.times.TimeError: if a text is not a time.
    :raises WindowError: if the end is not after the beginning, or longer than eight days after it.
    """
    if since is None:
        if until is None:
            return night_window(present_night(now, zone), zone)
        end = _parse_end(until, now, now, zone)
        return Window(end - ONE_DAY, end)
    first = clock.minute_of(parse_since(since, now, zone))
    if until is None:
        return Window(first, first + ONE_DAY)
    end = _parse_end(until, first, now, zone)
    if not timedelta(0) < end - first <= LONGEST:
        raise WindowError(
            f'--until {until!r} is not after --since {since!r}, or later than {LONGEST.days} days after it'
        )
    return Window(first, end)


def _parse_end(text: str, first: datetime, now: datetime, zone: tzinfo | None) -> datetime:
    """Return the end that a text names: an instant, or the next such time after the beginning."""
    if text == 'now' or (text[:4].isdecimal() and text[4:5] == '-'):
        return parse_minute(text, now, zone)
    return parse_until(text, first, zone)
