"""What time it is, and which wall-clock minutes a tick stands for when the clocks change.

An *instant* is an aware datetime in UTC, a *wall-clock minute* a naive datetime. A ``zone`` of ``None`` is the
machine's local time. Naive local datetimes and those of :mod:`zoneinfo` carry ``fold`` (PEP 495).
"""

from __future__ import annotations

import bisect
import functools
from datetime import date, datetime, timedelta, timezone, tzinfo
from typing import TYPE_CHECKING, NamedTuple

from pyramid_cron.schedules import hints

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
WALL_EPOCH = EPOCH.replace(tzinfo=None)

# Debian's cron takes a change of the clock as daylight saving time up to this size, and as a correction beyond it
THREE_HOURS = timedelta(hours=3)


# from the beginning of the day before until the end of the day after
AROUND_A_DAY = tuple(timedelta(hours=hours) for hours in range(-24, 49, 6))


def now() -> datetime:
    """Return the instant that it is, between two minutes as well."""
    return datetime.now(timezone.utc)


def minute_of(instant: datetime) -> datetime:
    """Return the instant at which the minute of ``instant`` began."""
    return instant.replace(second=0, microsecond=0)


def current_minute() -> datetime:
    """Return the instant at which the current minute began."""
    return minute_of(now())


class WallMinutes(NamedTuple):
    """The wall-clock minutes that one tick stands for, by the kind of schedule that asks."""

    interval: tuple[datetime, ...]
    fixed_time: tuple[datetime, ...]

    @property
    def skipped(self) -> tuple[datetime, ...]:
        """The minutes of the gap that has just ended."""
        return self.fixed_time[:-1]


def wall_minutes(instant: datetime, zone: tzinfo | None) -> WallMinutes:
    """Return the wall-clock minutes that a tick at ``instant`` stands for: one, none, or those of a gap and its own.

    An interval schedule follows the wall clock. A fixed-time one keeps to once on each of its days: it ignores the
    second pass of a repeated hour, and for it the first minute after a gap stands for the minutes skipped as well. A
    change by more than daylight saving time is one of the clock, and both follow it. (The rule of Debian's cron.)

    :param instant: the minute, aware.
    :param zone: the time zone, ``None`` for the machine's.
    """
    steady = steady_wall(instant, zone)
    if steady is not None:
        return WallMinutes((steady,), (steady,))
    # the minute before is taken from it below, which within one zone would be arithmetic of the wall clock
    instant = instant.astimezone(timezone.utc)
    wall = to_wall(instant, zone)
    gap = wall - to_wall(instant - MINUTE, zone) - MINUTE
    fixed_time: tuple[datetime, ...] = (wall,)
    if wall.fold and _offset(wall.replace(fold=0), zone) - _offset(wall, zone) <= THREE_HOURS:
        fixed_time = ()
    elif timedelta(0) < gap < THREE_HOURS:
        fixed_time = tuple(wall - minutes * MINUTE for minutes in range(gap // MINUTE, -1, -1))
    return WallMinutes((wall,), fixed_time)


def steady_wall(instant: datetime, zone: tzinfo | None) -> datetime | None:
    """Return the wall-clock minute of ``instant`` if it is all that a tick stands for: if the clocks are not changing.

    ``None`` says that :func:`wall_minutes` has to be asked, which is slower.
    """
    if zone is None:
        seconds = instant.timestamp()
        wall = datetime.fromtimestamp(seconds)
        return None if wall.fold or datetime.fromtimestamp(seconds - 60) + MINUTE != wall else wall
    since_epoch = instant - EPOCH
    origin = _origin_of_day(since_epoch.days, zone)
    return None if origin is None else origin + since_epoch


class Ticks(NamedTuple):
    """The instants whose ticks stand for one wall-clock minute, by the kind of schedule that asks."""

    interval: tuple[datetime, ...]
    fixed_time: tuple[datetime, ...]


def ticks(wall: datetime, zone: tzinfo | None) -> Ticks:
    """Return the instants whose ticks stand for the wall-clock minute ``wall``: :func:`wall_minutes` backwards."""
    first, second = (to_instant(wall.replace(tzinfo=zone, fold=fold)) for fold in (0, 1))
    if first == second:
        return Ticks((first,), (first,))
    if first < second:
        # the minute comes twice
        return Ticks((first, second), (first, second) if second - first > THREE_HOURS else (first,))
    # the minute is skipped: read with the offset before the gap it is too late, with the one after it too early
    if first - second >= THREE_HOURS:
        return Ticks((), ())
    minutes = range((first - second) // MINUTE + 1)
    before = _shift(second, zone)
    end = bisect.bisect_left(minutes, True, key=lambda minute: _shift(second + minute * MINUTE, zone) != before)
    return Ticks((), (second + end * MINUTE,))


def offsets_around(day: date, zone: tzinfo | None) -> tuple[timedelta, timedelta]:
    """Return the smallest and the largest UTC offset from the day before ``day`` until the day after it."""
    # the machine's own time zone is not remembered, because it can be set to another; those of dateutil have no hash
    if zone is None or zone.__hash__ is None:
        return _offsets_around(day, zone)
    return _known_offsets_around(day, zone)


def _offsets_around(day: date, zone: tzinfo | None) -> tuple[timedelta, timedelta]:
    # within a zone arithmetic is that of the wall clock; in seconds it takes a quarter of what datetimes take
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    before_utc = [since.total_seconds() - (midnight + since).timestamp() for since in AROUND_A_DAY]
    wall = midnight.replace(tzinfo=None) - WALL_EPOCH
    return wall + timedelta(seconds=min(before_utc)), wall + timedelta(seconds=max(before_utc))


# this and the next remember two days of all the zones that there are; the next saves a tick most of its look-up
_known_offsets_around = functools.lru_cache(maxsize=2048)(_offsets_around)


@functools.lru_cache(maxsize=2048)
def _origin_of_day(days: int, zone: tzinfo) -> datetime | None:
    """Return what the wall clock would have shown at the epoch with the UTC offset of a day, ``None`` if it changes.

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


def parse_zone(value: str | ZoneInfo) -> ZoneInfo:
    """Return the time zone that ``value`` is or names.

    :param value: a :class:`zoneinfo.ZoneInfo`, or an IANA name such as ``Europe/Berlin``.
    :raises ValueError: if there is none of that name, or it is something else.
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


def _shift(instant: datetime, zone: tzinfo | None) -> timedelta:
    return to_wall(instant, zone) - instant.replace(tzinfo=None)


def _offset(wall: datetime, zone: tzinfo | None) -> timedelta:
    return wall - to_instant(wall.replace(tzinfo=zone)).replace(tzinfo=None)
