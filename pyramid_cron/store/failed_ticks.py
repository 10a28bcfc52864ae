"""The ticks that failed in this process: kept in memory, because the database may be what failed."""

from __future__ import annotations

import threading
from datetime import datetime

# minutes that are kept, the newest: a day
MOST_MINUTES = 1440


class FailedTicks:
    """The minutes at which a tick of this process could not do its work, and why."""

    def __init__(self) -> None:
        self._reasons: dict[datetime, str] = {}
        self._lock = threading.Lock()

    def add(self, minute: datetime, reason: str) -> None:
        """Add a tick that has failed."""
        with self._lock:
            self._reasons[minute] = reason
            while len(self._reasons) > MOST_MINUTES:
                del self._reasons[min(self._reasons)]

    def reason(self, first: datetime, last: datetime) -> str | None:
        """Return why the last tick in a time failed, ``None`` if none did here.

        :param first: the first minute of that time, aware.
        :param last: its last minute.
        """
        with self._lock:
            failed = [minute for minute in self._reasons if first <= minute <= last]
            return self._reasons[max(failed)] if failed else None
