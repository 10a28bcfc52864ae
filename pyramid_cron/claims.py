"""Whose turn a task is, as far as one process can tell: what a store that several processes share would replace."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from pyramid_cron.clock import THREE_HOURS
from pyramid_cron.reports import ALREADY_RUN
from pyramid_cron.tasks import Task

log = logging.getLogger(__name__)


class Held(NamedTuple):
    """Why a task may not begin.

    :param reason: for reports and the log.
    :param seconds: how long the run that is in its way has been running; ``None`` if none is.
    """

    reason: str
    seconds: float | None = None


class Claims:
    """Which tasks are running in this process, and for which minutes they have begun: ``registry['cron_claims']``.

    :param monotonic: a clock in seconds that nobody sets.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        # when each running task began, and the last minute that each task has begun for
        self._running: dict[Task, float] = {}
        self._begun: dict[Task, datetime] = {}
        self._lock = threading.Lock()

    def claim(self, task: Task, instant: datetime | None) -> Held | None:
        """Take the turn of a task until :meth:`release`, or return why it is not to be had.

        A task runs once for a minute: a server that was stalled works off its queue of ticks for one and the same. A
        clock that was set back by daylight saving time's three hours or more was wrong before, and is believed now.

        :param instant: the minute it is for, aware; ``None`` for a run that is for none, and always to be had unless
            the task is running.
        """
        with self._lock:
            began = self._running.get(task)
            if began is not None:
                return Held('still running', self._monotonic() - began)
            if instant is not None:
                last = self._begun.get(task)
                if last is not None and last >= instant:
                    if last - instant < THREE_HOURS:
                        return Held(ALREADY_RUN)
                    log.warning(
                        'task %s runs for %s after it ran for %s: the clock was set back', task.name, instant, last
                    )
                self._begun[task] = instant
            self._running[task] = self._monotonic()
            return None

    def release(self, task: Task) -> None:
        """Take back a successful :meth:`claim`; its minute stays taken."""
        with self._lock:
            del self._running[task]
