"""The argument ``retries``: how often a failed run is repeated, and how long after the attempt before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from pyramid_cron.schedules.clock import MINUTE, minute_of
from pyramid_cron.schedules.gaps import longest_gap
from pyramid_cron.schedules.schedule import Schedule

# the value of the argument: a number of attempts at the next ticks, or the wait before each
Retries = int | Sequence[float | timedelta]

LONGEST_WAIT = timedelta(days=366)
ALLOWED = (
    'write how many further attempts at the next ticks, as in retries=3, or a list of the waits before them, each in '
    f'seconds or as a timedelta and {LONGEST_WAIT.days} days at most, as in retries=(60, 600, 3600)'
)


def parse_retries(value: Any) -> tuple[int, tuple[timedelta, ...]]:
    """Return the number of further attempts, and the waits before them; no waits if they begin at the next ticks.

    :raises ValueError: for anything else.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value, ()
    if isinstance(value, (list, tuple)):
        waits = tuple(map(_parse_wait, value))
        if None not in waits:
            return len(waits), tuple(wait for wait in waits if wait is not None)
    raise ValueError(f'retries={value!r}: {ALLOWED}')


def _parse_wait(value: Any) -> timedelta | None:
    """Return one wait, ``None`` if the value is not a wait."""
    if isinstance(value, bool) or not isinstance(value, (int, float, timedelta)):
        return None
    try:
        wait = value if isinstance(value, timedelta) else timedelta(seconds=value)
    except (OverflowError, ValueError):
        return None
    return wait if timedelta(0) <= wait <= LONGEST_WAIT else None


def first_minute_after(ended: datetime, wait: timedelta) -> datetime:
    """Return the minute of the first tick that repeats a run.

    A tick knows its minute only: the wait begins with the minute in which the attempt before ended, and a run is never
    repeated in that minute, for which each server ticks.

    :param ended: that minute.
    """
    at = ended + wait
    first = minute_of(at)
    return max(first if first == at else first + MINUTE, ended + MINUTE)


def advice(schedule: Schedule, number: int, waits: Sequence[timedelta]) -> Iterator[str]:
    """Yield a sentence if there are attempts that never begin, because the next minute of the schedule comes first.

    :param number: how many further attempts there are.
    :param waits: the waits before them, none if they begin at the next ticks.
    """
    begin = at = datetime(2000, 1, 1)
    # a number may be a large one: the first of them already decides
    for index, wait in enumerate(waits or [timedelta(0)] * min(number, 1)):
        at = first_minute_after(at, wait)
        needed = (at - begin) // MINUTE
        gap = longest_gap(schedule, needed + 1)
        if gap is not None:
            yield (
                f'retries={shown(number, waits)}: attempt {index + 2} never begins, because it needs {needed} min '
                f'after the minute of the run, and the next minute is due after {gap} min at the latest; '
                "shorten the waits, leave it out, or use missed='each'"
            )
            return


def shown(number: int, waits: Sequence[timedelta]) -> str:
    """Return the value of the argument for people."""
    if not waits:
        return str(number)
    seconds = [f'{wait.total_seconds():g}' for wait in waits]
    return f'({", ".join(seconds)}{"," if len(seconds) == 1 else ""})'
