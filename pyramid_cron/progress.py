"""The progress of a run: how much of its work is done, and how long the rest is going to take."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from pyramid_cron.durations import duration
from pyramid_cron.schedules import clock

# seconds that are left, below which none are shown
LEAST_LEFT = 1.0


class Progress(NamedTuple):
    """How much of the work of a run was done at an instant.

    :param done: how much, in units of the task.
    :param total: how much there is in all.
    :param at: the instant, in UTC.
    :param left: the seconds that the rest takes from then on, at the pace until then; ``None`` if that is not known.
    """

    done: float
    total: float
    at: datetime
    left: float | None = None

    @property
    def part(self) -> float:
        """The part that is done, from 0 to 1."""
        return 1.0 if self.done >= self.total else self.done / self.total

    @property
    def percent(self) -> int:
        """The same in full percent, 100 only if all is done."""
        return int(100 * self.part)

    def describe(self, now: datetime) -> str:
        """Return the progress for people: ``42 %, about 6 min left``.

        :param now: the instant at which it is shown.
        """
        left = 0.0 if self.left is None else self.left - max((now - self.at).total_seconds(), 0.0)
        return f'{self.percent} %, about {duration(left)} left' if left >= LEAST_LEFT else f'{self.percent} %'

    def as_dict(self) -> dict[str, Any]:
        """Return the progress for JSON."""
        return {
            'done': self.done,
            'total': self.total,
            'percent': self.percent,
            'at': self.at.isoformat(),
            'seconds_left': self.left,
        }


class _Report(NamedTuple):
    """One call of ``system['progress']``, with when it was, on the monotonic clock."""

    done: float
    total: float
    at: float


class ProgressMeter:
    """Measures the progress of one run by what its task reports. A report costs little, so that a loop can make many.

    :param monotonic: a monotonic clock in seconds.
    :param now: the clock, in UTC.
    """

    __slots__ = ('_first', '_last', '_latest', '_monotonic', '_now')

    def __init__(self, monotonic: Callable[[], float], now: Callable[[], datetime] = clock.now) -> None:
        self._monotonic = monotonic
        self._now = now
        # the pace is measured from here on
        self._first: _Report | None = None
        self._last: _Report | None = None
        self._latest: tuple[_Report, Progress] | None = None

    def report(self, done: Any, total: Any) -> None:
        """Report that so much of the work is done: ``system['progress']``.

        :raises TypeError: for what is not a number.
        :raises ValueError: for a number below 0, or one that is not finite.
        """
        report = _Report(_number('done', done), _number('total', total), self._monotonic())
        if self._first is None or self._last is None or report.done < self._last.done:
            # or another part of the work has begun
            self._first = report
        self._last = report

    @property
    def is_done(self) -> bool:
        """Whether all of the work is done, by the last report."""
        return self._last is not None and self._last.done >= self._last.total

    def latest(self) -> Progress | None:
        """Return the progress by the last report, the same one until there is another; ``None`` without a report."""
        first, last, latest = self._first, self._last, self._latest
        if first is None or last is None:
            return None
        if latest is None or latest[0] is not last:
            at = self._now() - timedelta(seconds=self._monotonic() - last.at)
            self._latest = latest = last, Progress(last.done, last.total, at, _seconds_left(first, last))
        return latest[1]


def _seconds_left(first: _Report, last: _Report) -> float | None:
    done = last.done - first.done
    if done <= 0:
        return None
    left = max(last.total - last.done, 0.0) / done * (last.at - first.at)
    return left if left < math.inf else None


def _number(name: str, value: Any) -> float:
    if isinstance(value, (bool, str, bytes)):
        raise TypeError(_refused(name, value))
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError) as exc:
        raise TypeError(_refused(name, value)) from exc
    if not 0 <= number < math.inf:
        raise ValueError(_refused(name, value))
    return number


def _refused(name: str, value: Any) -> str:
    return f"system['progress'](done, total): {name}={value!r} is not a number from 0 on"
