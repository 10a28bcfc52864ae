"""Times that people type: a minute, one that is over, and one that is to come."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, tzinfo

from pyramid_cron.durations import format_length
from pyramid_cron.errors import CronError
from pyramid_cron.schedules import clock

YEARS = range(1970, 9999)

UNITS = {'w': 'weeks', 'd': 'days', 'h': 'hours', 'min': 'minutes', 'm': 'minutes'}

WEEKDAYS = ('monday', 'tuesday', 'wednesday', 'thursday', 'friday', 'saturday', 'sunday')
# numbers of weekdays by their names and the first three letters of these
BY_NAME = {name: number for number, day in enumerate(WEEKDAYS) for name in (day, day[:3])}

TIME_OF_DAY = '(?:[01]?[0-9]|2[0-3]):[0-5][0-9]'
# days that are relative to the present one
DAYS = {'yesterday': -1, 'today': 0, 'tomorrow': 1}
RELATIVE = re.compile(rf'(?:(?P<day>{"|".join([*DAYS, *BY_NAME])})\b)? ?(?P<time>{TIME_OF_DAY})?')

# of a moment, of one that has to come, and of one that is over
EXAMPLES = "'2026-12-24 00:00' or 02:00"
COMING_EXAMPLES = "'2026-12-24 00:00', 06:00, monday, 'tomorrow 06:00', 2d or 45m"
PAST_EXAMPLES = "'2026-12-24 00:00', 22:00, yesterday, monday, 'yesterday 22:00', 2d or 45m"


class TimeError(CronError, ValueError):
    """A text that is not a usable time. Its message begins with the text, so that a name can be put before it."""


def parse_minute(text: str, now: datetime, zone: tzinfo | None) -> datetime:
    """Return the minute that a text names, as an instant in UTC.

    :param text: a date and time, a time of today such as ``02:00``, one of another day such as ``yesterday 23:00`` or
        ``tomorrow 02:00``, or ``now``.
    :param now: the present instant.
    :param zone: the time zone of a time without an offset, ``None`` for the machine's.
    :raises TimeError: if the text is not a time.
    """
    if text == 'now':
        return clock.minute_of(now)
    found = RELATIVE.fullmatch(_normalized(text))
    # of a weekday it would not be clear whether it is the next or the last one
    if found is not None and found['time'] and found['day'] not in BY_NAME:
        day = clock.to_zone(now, zone).date() + timedelta(days=DAYS[found['day'] or 'today'])
        return _parse_of_day(day, found['time'], zone)
    return _parse_date_and_time(text, zone)


def parse_until(text: str, now: datetime, zone: tzinfo | None) -> datetime:
    """Return the coming minute that a text names, as an instant in UTC.

    A time of day, and a weekday with one or without, is the next such time: ``monday`` on a Monday is that in a week.
    A day without a time begins at midnight, or with the first minute after that if the clocks skip midnight. Days and
    weeks are those of the calendar, so that ``2d`` has the same time on the clock; hours and minutes pass.

    :param text: a date and time, a time of day, ``tomorrow``, ``today 18:00``, a weekday, or a length such as ``2d``.
    :param now: the present instant.
    :param zone: the time zone of all but a time with an offset, ``None`` for the machine's.
    :raises TimeError: if the text is not a time, or not one in the future.
    """
    minute = _parse_relative(text, now, zone, 1)
    if minute is None:
        minute = _parse_date_and_time(text.strip(), zone, COMING_EXAMPLES)
    if minute <= now:
        raise TimeError(f'{text.strip()!r} is not in the future: it is {_format_present(now, zone)}')
    return minute


def parse_past(text: str, now: datetime, zone: tzinfo | None) -> datetime:
    """Return the minute until now that a text names, as an instant in UTC, not before 1970.

    A time of day, and a weekday with one or without, is the last such time: at 00:30 ``23:00`` is that of yesterday. A
    day without a time begins at midnight, and lengths are taken from now, as in :func:`parse_until`.

    :param text: a date and time, a time of day, ``now``, ``today``, ``yesterday 22:00``, a weekday, or a length such as
        ``2d``.
    :param now: the present instant.
    :param zone: the time zone of all but a time with an offset, ``None`` for the machine's.
    :raises TimeError: if the text is not a time, or one in the future.
    """
    if _normalized(text) == 'now':
        return clock.minute_of(now)
    minute = _parse_relative(text, now, zone, -1)
    if minute is None:
        minute = _parse_date_and_time(text.strip(), zone, PAST_EXAMPLES)
    if minute > now:
        raise TimeError(f'{text.strip()!r} is in the future: it is {_format_present(now, zone)}')
    return max(minute, clock.EPOCH)


def format_until(until: datetime | None, now: datetime, zone: tzinfo | None, several: bool = False) -> str:
    """Return the end of something that holds from now on, with its offset and time zone, and how long that is.

    :param until: the end, ``None`` for what is to be resumed.
    :param several: whether that is several things.
    """
    if until is None:
        return f'until {"they are" if several else "it is"} resumed'
    at = clock.to_zone(until, zone)
    length = format_length(clock.minute_of(now), until)
    return f'until {at:%a %Y-%m-%d %H:%M} {clock.format_offset(at)} ({zone or "local time"}), in {length}'


def parse_since(text: str, now: datetime, zone: tzinfo | None) -> datetime:
    """Return the minute that a text names, which may be to come: as :func:`parse_minute`, or else :func:`parse_past`.

    :raises TimeError: if the text is not a time.
    """
    try:
        return parse_minute(text, now, zone)
    except TimeError:
        return parse_past(text, now, zone)


def _normalized(text: str) -> str:
    return ' '.join(text.lower().split())


def _format_present(now: datetime, zone: tzinfo | None) -> str:
    return f'{clock.to_zone(now, zone):%a %Y-%m-%d %H:%M} in {zone or "local time"}'


def _parse_relative(text: str, now: datetime, zone: tzinfo | None, direction: int) -> datetime | None:
    """Return the instant of a text that is relative to the present, ``None`` for any other.

    :param direction: 1 for the next such instant, -1 for the last one.
    """
    text = _normalized(text)
    length = re.fullmatch(r'([0-9]{1,5}) ?(w|d|h|min|m)', text)
    if length is not None:
        distance = direction * timedelta(**{UNITS[length[2]]: int(length[1])})
        return _at_distance(distance, length[2] in 'wd', now, zone)
    found = RELATIVE.fullmatch(text)
    if found is None or not text:
        return None
    day, time = found['day'], found['time']
    today = clock.to_zone(now, zone).date()
    if day in DAYS:
        return _parse_of_day(today + timedelta(days=DAYS[day]), time, zone)
    # days until the nearest one that may be meant, and from there to the one after it
    nearest, period = 0, 1
    if day in BY_NAME:
        nearest, period = direction * (direction * (BY_NAME[day] - today.weekday()) % 7), 7
    minute = _parse_of_day(today + timedelta(days=nearest), time, zone)
    if minute <= now if direction > 0 else minute > now:
        return _parse_of_day(today + timedelta(days=nearest + direction * period), time, zone)
    return minute


def _at_distance(length: timedelta, by_calendar: bool, now: datetime, zone: tzinfo | None) -> datetime:
    """Return the minute at a distance from the present one.

    :param by_calendar: whether that has the same time on the clock, or one as much later as the clocks skip there.
    """
    minute = clock.minute_of(now)
    if not by_calendar:
        return minute + length
    return clock.to_instant((clock.to_wall(minute, zone) + length).replace(tzinfo=zone))


def _parse_of_day(day: date, time: str | None, zone: tzinfo | None) -> datetime:
    """Return the instant of a time of day, or that at which the day begins."""
    if time is None:
        return clock.to_instant(datetime(day.year, day.month, day.day, tzinfo=zone))
    return _parse_date_and_time(f'{day} {time:0>5}', zone)


def _parse_date_and_time(text: str, zone: tzinfo | None, examples: str = EXAMPLES) -> datetime:
    try:
        # Python 3.10 does not read a Z
        moment = datetime.fromisoformat(f'{text[:-1]}+00:00' if text.endswith('Z') else text)
    except ValueError:
        raise TimeError(f'{text!r} is not a time such as {examples}') from None
    if moment.year not in YEARS:
        raise TimeError(f'{text!r} is not in the years {YEARS[0]} to {YEARS[-1]}')
    if moment.tzinfo is not None:
        return clock.minute_of(clock.to_instant(moment))
    wall = clock.minute_of(moment)
    instant = clock.to_instant(wall.replace(tzinfo=zone))
    if clock.to_wall(instant, zone) != wall:
        raise TimeError(f'{text!r} is a time that the clocks skip in {zone or "local time"}')
    return instant
