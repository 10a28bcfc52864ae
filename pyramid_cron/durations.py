"""Lengths of time as texts for people."""

from __future__ import annotations

from datetime import datetime

from pyramid_cron.schedules import clock


def duration(seconds: float) -> str:
    """Return a length of time for people: ``75 s``, ``12 min``, ``3 h 12 min``."""
    if seconds < 120:
        return f'{seconds:.0f} s'
    hours, minutes = divmod(int(seconds) // 60, 60)
    return f'{hours} h {minutes} min' if hours else f'{minutes} min'


def run_duration(seconds: float) -> str:
    """Return how long a run has been running, or is to take: ``75 s``, ``2 min 14 s``, ``3 h 12 min 5 s``."""
    rest = int(seconds) % 60
    return f'{duration(seconds)} {rest} s' if seconds >= 120 and rest else duration(seconds)


def format_seconds(seconds: float) -> str:
    """Return how long a run took, to the millisecond below a second: ``0.250 s``, ``1.3 s``, ``5 min 2 s``."""
    return f'{seconds:.3f} s' if seconds < 1 else f'{seconds:.1f} s' if seconds < 60 else run_duration(seconds)


def format_range(shortest: float, longest: float) -> str:
    """Return the lengths of runs from one to another: ``0.250 s``, ``12.1 to 15.0 s``, ``2 to 3 min``."""
    low, high = format_seconds(shortest), format_seconds(longest)
    number, _, unit = low.partition(' ')
    if low == high:
        return low
    # a unit is not written twice
    return f'{number} to {high}' if high.split(' ')[1:] == [unit] else f'{low} to {high}'


def format_length(start: datetime, end: datetime) -> str:
    """Return the time from one instant to a later one in full minutes: ``3 h 12 min``, ``4 d 12 h``."""
    # in UTC: within one time zone the difference would be that of the wall clock
    minutes = (clock.to_instant(end) - clock.to_instant(start)) // clock.MINUTE
    days, hours = minutes // 1440, minutes // 60 % 24
    parts = [(days, 'd'), (hours, 'h'), (0 if days else minutes % 60, 'min')]
    return ' '.join(f'{number} {unit}' for number, unit in parts if number) or '0 min'
