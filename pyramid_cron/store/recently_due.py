"""The tasks that may be owed a run, found without a statement in the database."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta

from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.tasks import Task, Tasks

# minutes that are gone through one by one; after a longer pause all tasks are looked at
LONGEST_WALK = timedelta(days=1)


class RecentlyDue:
    """The tasks that were due at the last minutes, each for as long as it may be caught up.

    :param grace: how long that is for a task.
    """

    def __init__(self, grace: Callable[[Task], timedelta]) -> None:
        self._grace = grace
        self._until: datetime | None = None
        self._due: dict[Task, datetime] = {}
        self._lock = threading.Lock()

    def at(self, tasks: Tasks, instant: datetime) -> list[Task] | None:
        """Return the tasks at a minute, ``None`` if that can be any of them: at first, and after a long pause."""
        with self._lock:
            until, self._until = self._until, max(instant, self._until or instant)
            known = until is not None and abs(instant - until) <= LONGEST_WALK
            minute = min(instant, until + MINUTE) if known and until is not None else instant
            while minute <= instant:
                for task in tasks.due(minute):
                    # a tick that comes late replaces no newer minute
                    self._due[task] = max(minute, self._due.get(task, minute))
                minute += MINUTE
            for task, minute in list(self._due.items()):
                if instant - minute > self._grace(task):
                    del self._due[task]
            return [task for task in self._due if task.store] if known else None
