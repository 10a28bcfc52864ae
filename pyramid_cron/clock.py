"""What time it is, and which wall-clock minutes a tick stands for when the clocks change.

An *instant* is an aware datetime in UTC, a *wall-clock minute* a naive datetime. A ``zone`` of ``None`` is the
machine's local time. Naive local datetimes and those of :mod:`zoneinfo` carry ``fold`` (PEP 495).
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone, tzinfo

MINUTE = timedelta(minutes=1)

# Debian's cron takes a change of the clock as daylight saving time up to this size, and as a correction beyond it
THREE_HOURS = timedelta(hours=3)


def current_minute() -> datetime:
    """Return the instant at which the current minute began."""
    return datetime.now(timezone.utc).replace(second=0, microsecond=0)


def local(instant: datetime, zone: tzinfo | None = None) -> datetime:
    """Return ``instant`` as an aware datetime in ``zone``."""
    return instant.astimezone(zone)


def wall_minutes(instant: datetime, zone: tzinfo | None, *, interval: bool) -> tuple[datetime, ...]:
    """Return the wall-clock minutes that a tick at ``instant`` stands for: one, none, or a gap's and its own.

    An interval schedule follows the wall clock. A fixed-time one keeps to once on each of its days: it ignores the
    second pass of a repeated hour, and for it the first minute after a gap stands for the minutes skipped as well. A
    change by more than daylight saving time is one of the clock, and both follow it. (The rule of Debian's cron.)

    :param instant: the minute, aware.
    :param zone: the time zone, ``None`` for the machine's.
    :param interval: whether the schedule that asks is an interval one.
    """
    wall = _wall(instant, zone)
    if not interval:
        if wall.fold and _offset(wall.replace(fold=0), zone) - _offset(wall, zone) <= THREE_HOURS:
            return ()
        previous = _wall(instant - MINUTE, zone)
        gap = _offset(wall, zone) - _offset(previous, zone)
        if timedelta(0) < gap < THREE_HOURS:
            skipped = range(1, gap // MINUTE + 1)
            return (*(_minute(previous + number * MINUTE) for number in skipped), _minute(wall))
    return (_minute(wall),)


def _wall(instant: datetime, zone: tzinfo | None) -> datetime:
    if zone is None:
        return datetime.fromtimestamp(instant.timestamp())
    return instant.astimezone(zone).replace(tzinfo=None)


def _offset(wall: datetime, zone: tzinfo | None) -> timedelta:
    aware = wall.astimezone() if zone is None else wall.replace(tzinfo=zone)
    offset = aware.utcoffset()
    assert offset is not None
    return offset


def _minute(wall: datetime) -> datetime:
    return wall.replace(second=0, microsecond=0, fold=0)
