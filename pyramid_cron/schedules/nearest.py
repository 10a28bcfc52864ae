"""The newest due minute until another one, found without a walk through all of a year."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import takewhile

from pyramid_cron.schedules import clock

# how far away a due minute is looked for: 29 February, over a year without one such as 2100
LONGEST_LOOK = timedelta(days=8 * 366)


def until(last: datetime, moments: Iterable[datetime]) -> Iterator[datetime]:
    """Yield moments, which come in order, as instants until the last one."""
    return takewhile(lambda instant: instant <= last, map(clock.to_instant, moments))


def newest_until(last: datetime, runs: Callable[[datetime], Iterable[datetime]]) -> datetime | None:
    """Return the newest due minute until an instant, ``None`` if there is none for :data:`LONGEST_LOOK`.

    :param last: the instant.
    :param runs: yields the due minutes later than an instant in order, as :meth:`.Task.runs` does.
    """
    back = timedelta(hours=1)
    while True:
        newest = deque(until(last, runs(last - back)), maxlen=1)
        if newest or back >= LONGEST_LOOK:
            return newest[0] if newest else None
        back = min(6 * back, LONGEST_LOOK)
