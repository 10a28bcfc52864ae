"""How long a run of a task is expected to take: when it is slow, and when it is stuck."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from pyramid_cron.schedules import clock

if TYPE_CHECKING:
    from pyramid_cron.tasks import Task

# good runs by which a task without ``expect`` is judged
GOOD_RUNS = 30
LONGEST_EXPECTED = timedelta(days=366)


class Limits(NamedTuple):
    """The seconds after which a run counts as slow, and as stuck.

    :param slow: infinite for a task without ``expect``.
    :param stuck: how long a run may take at most.
    """

    slow: float
    stuck: float


def limits_of(task: Task, longest: float | None, began: datetime, window: float) -> Limits:
    """Return the limits of a run.

    :param longest: the seconds of the longest of its last good runs, ``None`` if there is none.
    :param began: when the run began, aware.
    :param window: the setting ``cron.window``: without ``expect``, no run is stuck before.
    """
    if task.expect is not None:
        return Limits(task.expect, 2 * task.expect)
    if longest is not None:
        return Limits(math.inf, max(2 * longest, window))
    # nothing is known of it but that it is not to overlap, if it is due again at all
    coming = next(task.runs(began), None)
    until = 0.0 if coming is None else (clock.to_instant(coming) - clock.to_instant(began)).total_seconds()
    return Limits(math.inf, max(until, window))


def parse_expect(value: Any) -> float:
    """Return the seconds of a number, or of a :class:`~datetime.timedelta`.

    :raises ValueError: for anything else, and for 0 and below.
    """
    seconds = value.total_seconds() if isinstance(value, timedelta) else value
    is_number = isinstance(seconds, (int, float)) and not isinstance(seconds, bool)
    if not is_number or not 0 < seconds <= LONGEST_EXPECTED.total_seconds():
        raise ValueError(
            f'expect={value!r} is not how long a run takes: write seconds above 0, or a timedelta; '
            f'{LONGEST_EXPECTED.days} days at most'
        )
    return float(seconds)


def with_good_run(lengths: str | None, seconds: float) -> str:
    """Return the lengths of the last good runs of a task as a text, with one more at its end.

    :param lengths: those before, as such a text.
    """
    return ' '.join([*(lengths or '').split()[1 - GOOD_RUNS :], f'{seconds:.3g}'])


def longest_of(lengths: str | None) -> float | None:
    """Return the longest of such lengths; ``None`` if there is none, or if a later version has written them."""
    return max(lengths_of(lengths), default=None)


def lengths_of(text: str | None) -> list[float]:
    """Return such lengths as numbers; an empty list if a later version has written them."""
    try:
        return [float(length) for length in (text or '').split()]
    except ValueError:
        return []
