"""The ticks that failed in this process: kept in memory, because the database may be what failed."""

from __future__ import annotations

import threading
from datetime import datetime
from typing import NamedTuple

# minutes that are kept, the newest: a day
MOST_MINUTES = 1440


class _Failure(NamedTuple):
    reason: str
    ahead: bool


class FailedTicks:
    """The minutes at which a tick of this process could not do its work, and why."""

    def __init__(self) -> None:
        # in the order in which they failed
        self._failures: dict[datetime, _Failure] = {}
        self._lock = threading.Lock()

    def add(self, minute: datetime, reason: str, ahead: bool = False) -> None:
        """Add a tick that has failed.

        :param ahead: whether the database's clock had not reached its minute.
        """
        with self._lock:
            self._failures.pop(minute, None)
            self._failures[minute] = _Failure(reason, ahead)
            while len(self._failures) > MOST_MINUTES:
                del self._failures[next(iter(self._failures))]

    def reason(self, first: datetime, last: datetime, ahead: bool = True) -> str | None:
        """Return why the last tick in a time failed, ``None`` if none did here.

        :param first: the first minute of that time, aware.
        :param last: its last minute.
        :param ahead: whether ticks count as well for minutes that the database's clock had not reached.
        """
        with self._lock:
            counted = [
                minute
                for minute, failure in self._failures.items()
                if first <= minute <= last and (ahead or not failure.ahead)
            ]
            return self._failures[max(counted)].reason if counted else None
