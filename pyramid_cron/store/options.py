"""The settings of an application as far as the store needs them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, tzinfo
from typing import NamedTuple

from pyramid_cron.schedules import clock
from pyramid_cron.tasks import Task


class Options(NamedTuple):
    """The settings of the store.

    :param app: the name of the application, among others in the database.
    :param catch_up: how long after a missed minute a task still runs for it.
    :param lease: seconds without a heartbeat after which a process that cannot be seen counts as dead.
    :param keep_history: how long the history is kept.
    :param session: the attribute of the request that holds the application's session, ``None`` if runs do not join it.
    :param zone: the time zone that minutes are shown in, ``None`` for the machine's.
    :param window: seconds after which a run may be stuck, see :func:`.limits_of`.
    :param keep_log: how many bytes of the log of a run are kept, 0 for nothing.
    :param notify: sends an event to its subscribers.
    """

    app: str
    catch_up: timedelta
    lease: float
    keep_history: timedelta
    session: str | None = None
    zone: tzinfo | None = None
    window: float = 60.0
    keep_log: int = 16_000
    notify: Callable[[object], None] = lambda event: None

    def grace(self, task: Task) -> timedelta:
        """Return how long after a missed minute a task still runs for it."""
        return task.grace(self.catch_up)

    def queue_timeout(self, task: Task | None) -> timedelta:
        """Return how long an enqueued run may wait for a worker, also of a task that is not registered here."""
        return max(self.catch_up, clock.MINUTE) if task is None else task.queue_timeout(self.catch_up)

    def shown(self, minute: datetime) -> str:
        """Return a minute for people."""
        return clock.to_zone(minute, self.zone).isoformat(' ', 'minutes')
