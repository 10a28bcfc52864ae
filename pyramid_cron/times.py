"""Reading times that people type: a minute, or how long ago something was."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, tzinfo

from pyramid_cron.errors import CronError
from pyramid_cron.schedules import clock

YEARS = range(1970, 9999)

UNITS = {'d': 'days', 'h': 'hours', 'min': 'minutes'}


class TimeError(CronError, ValueError):
    """A text that is not a usable time. Its message begins with the text, so that a name can be put before it."""


def parse_minute(text: str, now: datetime, zone: tzinfo | None, *, future: bool = False) -> datetime:
    """Return the minute that a text names, as an instant in UTC.

    :param text: a date and time, a time of today such as ``02:00``, or ``now``.
    :param now: the present instant.
    :param zone: the time zone of a time without an offset, ``None`` for the machine's.
    :param future: require a time in the future; a time without a date that is over today is then one of tomorrow.
    :raises TimeError: if the text is not a time, or not one in the future where that is required.
    """
    time = re.fullmatch(r'([01]?[0-9]|2[0-3]):[0-5][0-9]', text)
    if text == 'now':
        minute = clock.minute_of(now)
    elif time is None:
        minute = _parse_date_and_time(text, zone)
    else:
        today = clock.to_zone(now, zone).date()
        minute = _parse_date_and_time(f'{today} {text:0>5}', zone)
        if future and minute <= now:
            minute = _parse_date_and_time(f'{today + timedelta(days=1)} {text:0>5}', zone)
    if future and minute <= now:
        raise TimeError(f'{text!r} is not in the future')
    return minute


def parse_since(text: str, now: datetime, zone: tzinfo | None) -> datetime:
    """Return the instant that a text names: a time as for :func:`parse_minute`, or a length before ``now``.

    :raises TimeError: if the text is neither.
    """
    length = re.fullmatch(r'([0-9]{1,5})\s*(d|h|min)', text)
    if length is None:
        return parse_minute(text, now, zone)
    return now - timedelta(**{UNITS[length[2]]: int(length[1])})


def _parse_date_and_time(text: str, zone: tzinfo | None) -> datetime:
    try:
        # Python 3.10 does not read a Z
        moment = datetime.fromisoformat(f'{text[:-1]}+00:00' if text.endswith('Z') else text)
    except ValueError:
        raise TimeError(f"{text!r} is not a time such as '2026-12-24 00:00' or 02:00") from None
    if moment.year not in YEARS:
        raise TimeError(f'{text!r} is not in the years {YEARS[0]} to {YEARS[-1]}')
    if moment.tzinfo is not None:
        return clock.minute_of(clock.to_instant(moment))
    wall = clock.minute_of(moment)
    instant = clock.to_instant(wall.replace(tzinfo=zone))
    if clock.to_wall(instant, zone) != wall:
        raise TimeError(f'{text!r} is a time that the clocks skip in {zone or "local time"}')
    return instant
