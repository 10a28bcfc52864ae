"""The arguments ``missed`` and ``catch_up``: which of the minutes that a task missed are run, and how late."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Literal

from pyramid_cron.schedules.gaps import longest_gap
from pyramid_cron.schedules.schedule import Schedule

Missed = Literal['newest', 'each']
NEWEST, EACH = 'newest', 'each'

# a longer time before now, or after it, is not in the calendar of every database
LONGEST = timedelta(days=150_000)


def parse_catch_up(value: Any) -> timedelta:
    """Return the time of a :class:`~datetime.timedelta`, a number of seconds, or such a number as a text.

    :raises ValueError: for anything else, and below 0.
    """
    try:
        time = value if isinstance(value, timedelta) else timedelta(seconds=float(value))
    except (OverflowError, TypeError, ValueError):
        time = None
    if time is None or isinstance(value, bool) or not timedelta(0) <= time <= LONGEST:
        raise ValueError(
            f'catch_up={value!r} is no time: write seconds, or a timedelta, and 0 for never; '
            f'{LONGEST.days} days at most'
        )
    return time


def parse_missed(value: Any, catch_up: timedelta | None) -> Missed:
    """Return the value of the argument.

    :param catch_up: the argument ``catch_up`` of the task.
    :raises ValueError: for anything but ``'newest'`` and ``'each'``, and if no minute can be caught up.
    """
    if value == EACH and catch_up == timedelta(0):
        raise ValueError("missed='each' and catch_up=0: nothing is caught up with catch_up=0; leave one of the two out")
    if value not in (NEWEST, EACH):
        raise ValueError(
            f"missed={value!r}: write missed='newest' to run once for the newest of the minutes that were missed, or "
            "missed='each' to run for each of them"
        )
    found: Missed = value
    return found


def advice(schedule: Schedule) -> Iterator[str]:
    """Yield a sentence if a task with ``missed='each'`` cannot catch up, because it is due in each minute."""
    if longest_gap(schedule, 2) == 1:
        yield (
            "missed='each': it is due each minute and runs for one minute a tick, so that it never catches up after an "
            "outage; use a schedule with gaps, or missed='newest'"
        )
