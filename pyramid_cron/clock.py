"""What time it is, and which wall-clock minutes a tick stands for when the clocks change.

An *instant* is an aware datetime in UTC, a *wall-clock minute* a naive datetime. A ``zone`` of ``None`` is the
machine's local time. Naive local datetimes and those of :mod:`zoneinfo` carry ``fold`` (PEP 495).
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone, tzinfo
from typing import NamedTuple

MINUTE = timedelta(minutes=1)

# Debian's cron takes a change of the clock as daylight saving time up to this size, and as a correction beyond it
THREE_HOURS = timedelta(hours=3)


def current_minute() -> datetime:
    """Return the instant at which the current minute began."""
    return datetime.fromtimestamp(time.time() // 60 * 60, timezone.utc)


class WallMinutes(NamedTuple):
    """The wall-clock minutes that one tick stands for, by the kind of schedule that asks."""

    interval: tuple[datetime, ...]
    fixed_time: tuple[datetime, ...]


def wall_minutes(instant: datetime, zone: tzinfo | None) -> WallMinutes:
    """Return the wall-clock minutes that a tick at ``instant`` stands for: one, none, or those of a gap and its own.

    An interval schedule follows the wall clock. A fixed-time one keeps to once on each of its days: it ignores the
    second pass of a repeated hour, and for it the first minute after a gap stands for the minutes skipped as well. A
    change by more than daylight saving time is one of the clock, and both follow it. (The rule of Debian's cron.)

    :param instant: the minute, aware.
    :param zone: the time zone, ``None`` for the machine's.
    """
    wall = _wall(instant, zone)
    gap = wall - _wall(instant - MINUTE, zone) - MINUTE
    fixed_time: tuple[datetime, ...] = (wall,)
    if wall.fold and _offset(wall.replace(fold=0), zone) - _offset(wall, zone) <= THREE_HOURS:
        fixed_time = ()
    elif timedelta(0) < gap < THREE_HOURS:
        fixed_time = tuple(wall - minutes * MINUTE for minutes in range(gap // MINUTE, -1, -1))
    return WallMinutes((wall,), fixed_time)


def _wall(instant: datetime, zone: tzinfo | None) -> datetime:
    if zone is None:
        return datetime.fromtimestamp(instant.timestamp())
    return instant.astimezone(zone).replace(tzinfo=None)


def _offset(wall: datetime, zone: tzinfo | None) -> timedelta:
    aware = wall.astimezone() if zone is None else wall.replace(tzinfo=zone)
    return aware.utcoffset() or timedelta(0)
