"""Instants, wall-clock minutes and UTC offsets, and the rule for the minutes at which the clocks change.

An *instant* is an aware datetime in UTC, a *wall-clock minute* a naive datetime. A ``zone`` of ``None`` is the
machine's local time. Naive local datetimes and those of :mod:`zoneinfo` carry ``fold`` (PEP 495).
"""

from __future__ import annotations

import bisect
import functools
import os
import re
import time
from collections.abc import Mapping
from datetime import date, datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, NamedTuple

from pyramid_cron.schedules import hints

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
WALL_EPOCH = EPOCH.replace(tzinfo=None)

# Debian's cron handles a change of the clock as daylight saving time up to this size, and as a correction beyond it
THREE_HOURS = timedelta(hours=3)

# the variable that names the folder of time zones, and the folders of C libraries without it
TZDIR = 'TZDIR'
ZONE_FOLDERS = ('/usr/share/zoneinfo', '/usr/lib/zoneinfo', '/usr/share/lib/zoneinfo', '/etc/zoneinfo')
# UTC, under any name, as POSIX writes out a time zone
WRITTEN_UTC = re.compile('([A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)[+-]?0+(:0+)*')

# from the beginning of the day before until the end of the day after
AROUND_A_DAY = tuple(timedelta(hours=hours) for hours in range(-24, 49, 6))


def now() -> datetime:
    """Return the current instant, with its seconds."""
    return datetime.now(timezone.utc)


def minute_of(instant: datetime) -> datetime:
    """Return the beginning of the minute that contains ``instant``."""
    return instant.replace(second=0, microsecond=0)


def current_minute() -> datetime:
    """Return the beginning of the current minute, as an instant."""
    return minute_of(now())


class WallMinutes(NamedTuple):
    """The wall-clock minutes that one tick stands for, for interval schedules and for fixed-time schedules."""

    interval: tuple[datetime, ...]
    fixed_time: tuple[datetime, ...]

    @property
    def skipped(self) -> tuple[datetime, ...]:
        """The minutes of the gap that ended with this tick."""
        return self.fixed_time[:-1]


def wall_minutes(instant: datetime, zone: tzinfo | None) -> WallMinutes:
    """Return the wall-clock minutes that a tick at ``instant`` stands for: one, none, or those of a gap and its own.

    An interval schedule follows the wall clock. A fixed-time schedule runs once on each of its days: it ignores the
    second pass of a repeated hour, and the first minute after a gap stands for the skipped minutes as well. A change
    larger than daylight saving time is a correction of the clock, and both kinds follow the wall clock. (The rule of
    Debian's cron.)

    :param instant: the minute, aware.
    :param zone: the time zone, ``None`` for the machine's.
    """
    wall = wall_without_transition(instant, zone)
    if wall is not None:
        return WallMinutes((wall,), (wall,))
    # in UTC, because the subtraction below would follow the wall clock within one zone
    instant = instant.astimezone(timezone.utc)
    wall = to_wall(instant, zone)
    gap = wall - to_wall(instant - MINUTE, zone) - MINUTE
    fixed_time: tuple[datetime, ...] = (wall,)
    if wall.fold and instant - to_instant(wall.replace(tzinfo=zone, fold=0)) <= THREE_HOURS:
        fixed_time = ()
    elif timedelta(0) < gap < THREE_HOURS:
        fixed_time = tuple(wall - minutes * MINUTE for minutes in range(gap // MINUTE, -1, -1))
    return WallMinutes((wall,), fixed_time)


def wall_without_transition(instant: datetime, zone: tzinfo | None) -> datetime | None:
    """Return the wall-clock minute of ``instant`` if no change of the UTC offset is near, else ``None``.

    Without a change a tick stands for this minute alone. :func:`wall_minutes` covers the other instants, more slowly.
    """
    if zone is None:
        seconds = instant.timestamp()
        wall = datetime.fromtimestamp(seconds)
        return None if wall.fold or datetime.fromtimestamp(seconds - 60) + MINUTE != wall else wall
    since_epoch = instant - EPOCH
    wall_at_epoch = _wall_at_epoch(since_epoch.days, zone)
    return None if wall_at_epoch is None else wall_at_epoch + since_epoch


class TickInstants(NamedTuple):
    """The instants of the ticks that stand for one wall-clock minute, for interval and fixed-time schedules."""

    interval: tuple[datetime, ...]
    fixed_time: tuple[datetime, ...]


def tick_instants(wall: datetime, zone: tzinfo | None) -> TickInstants:
    """Return the instants of the ticks that stand for the wall-clock minute ``wall``: :func:`wall_minutes` reversed."""
    first, second = (to_instant(wall.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    if first == second:
        return TickInstants((first,), (first,))
    if first < second:
        # the minute occurs twice
        return TickInstants((first, second), (first, second) if second - first > THREE_HOURS else (first,))
    # the minute is skipped: read with the offset before the gap it is too late, with the one after it too early
    if first - second >= THREE_HOURS:
        return TickInstants((), ())
    minutes = range((first - second) // MINUTE + 1)
    before = utc_offset(second, zone)
    end = bisect.bisect_left(minutes, True, key=lambda minute: utc_offset(second + minute * MINUTE, zone) != before)
    return TickInstants((), (second + end * MINUTE,))


def utc_offset(instant: datetime, zone: tzinfo | None) -> timedelta:
    """Return the UTC offset of a time zone at an instant in UTC."""
    return to_wall(instant, zone) - instant.replace(tzinfo=None)


def format_offset(moment: datetime) -> str:
    """Return the UTC offset of an aware datetime as people write it, ``+01:00``; seconds are left out."""
    digits = f'{moment:%z}'
    return f'{digits[:3]}:{digits[3:5]}'


def offsets_around(day: date, zone: tzinfo | None) -> tuple[timedelta, timedelta]:
    """Return the smallest and the largest UTC offset from the day before ``day`` until the day after it."""
    # no cache for the machine's own time zone, which can be set to another, and for those of dateutil without a hash
    if zone is None or zone.__hash__ is None:
        return _offsets_around(day, zone)
    return _cached_offsets_around(day, zone)


def _offsets_around(day: date, zone: tzinfo | None) -> tuple[timedelta, timedelta]:
    # within a zone arithmetic is that of the wall clock; in seconds it takes a quarter of what datetimes take
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    before_utc = [since.total_seconds() - (midnight + since).timestamp() for since in AROUND_A_DAY]
    wall = midnight.replace(tzinfo=None) - WALL_EPOCH
    return wall + timedelta(seconds=min(before_utc)), wall + timedelta(seconds=max(before_utc))


# both caches have room for two days of all zones; the second one saves a tick most of its look-up
_cached_offsets_around = functools.lru_cache(maxsize=2048)(_offsets_around)


@functools.lru_cache(maxsize=2048)
def _wall_at_epoch(days: int, zone: tzinfo) -> datetime | None:
    """Return the wall-clock time of the epoch by the UTC offset of a day, ``None`` if the offset changes around it.

    :param days: the day as the days since the epoch, in UTC.
    """
    low, high = offsets_around(EPOCH.date() + timedelta(days), zone)
    return WALL_EPOCH + low if low == high else None


def to_instant(moment: datetime) -> datetime:
    """Return a moment in UTC; a naive one is the machine's local time."""
    # astimezone() takes a naive minute that the clocks skipped for an earlier one, against PEP 495
    return datetime.fromtimestamp(moment.timestamp(), timezone.utc)


def to_zone(instant: datetime, zone: tzinfo | None) -> datetime:
    """Return an instant in a time zone, ``None`` for the machine's."""
    return instant.astimezone(zone)


def to_wall(instant: datetime, zone: tzinfo | None) -> datetime:
    """Return the wall-clock time at an instant, naive and with its ``fold``."""
    if zone is None:
        return datetime.fromtimestamp(instant.timestamp())
    return instant.astimezone(zone).replace(tzinfo=None)


def unknown_local_zone(environ: Mapping[str, str]) -> str | None:
    """Return the value of ``TZ`` if it names no time zone; then the C library takes it for UTC, and reports no error.

    :param environ: the environment of the process, by which the C library has set its local time.
    """
    value = environ.get('TZ', '')
    name = value.removeprefix(':')
    if not name or not hasattr(time, 'tzset') or time.timezone or time.daylight or WRITTEN_UTC.fullmatch(name):
        return None
    folders = [environ[TZDIR]] if TZDIR in environ else ZONE_FOLDERS
    return None if any(os.path.isfile(os.path.join(folder, name)) for folder in folders) else value


def parse_zone(value: str | ZoneInfo) -> ZoneInfo:
    """Return the time zone that ``value`` is or names.

    :param value: a :class:`zoneinfo.ZoneInfo`, or an IANA name such as ``Europe/Berlin``.
    :raises ValueError: if no time zone has that name, or ``value`` has another type.
    """
    # slow to import, and only for an application that names a time zone
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

    if isinstance(value, ZoneInfo):
        return value
    if not isinstance(value, str):
        raise ValueError(f'{value!r} is neither the name of a time zone nor a zoneinfo.ZoneInfo')
    try:
        return ZoneInfo(value)
    except (OSError, ValueError, ZoneInfoNotFoundError):
        raise ValueError(f'{value!r} is not a time zone{hints.for_zone(value, available_timezones())}') from None
