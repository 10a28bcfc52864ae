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
        # when each running task began, and the minute it had begun for before
        self._running: dict[Task, tuple[float, datetime | None]] = {}
        # the last minute that each task has begun for
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
            if task in self._running:
                return Held('still running', self._monotonic() - self._running[task][0])
            last = self._begun.get(task)
            set_back = False
            if instant is not None:
                if last is not None and last >= instant:
                    if last - instant < THREE_HOURS:
                        return Held(ALREADY_RUN)
                    set_back = True
                self._begun[task] = instant
            self._running[task] = self._monotonic(), last
        if set_back:
            # not under the lock, because who writes a log may wait
            log.warning('task %s runs for %s after it ran for %s: the clock was set back', task.name, instant, last)
        return None

    def release(self, task: Task, *, interrupted: bool = False) -> None:
        """Take back a successful :meth:`claim`; its minute stays taken.

        :param interrupted: the end of the process was in the way: the minute is to be had again, should it live on.
        """
        with self._lock:
            _, last = self._running.pop(task)
            if interrupted:
                if last is None:
                    self._begun.pop(task, None)
                else:
                    self._begun[task] = last
