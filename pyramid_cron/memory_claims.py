"""Claims in the memory of a process: of applications without a store, and of tasks with ``store=False``."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from typing import Any

from pyramid_cron.claims import Delivery, Found, NotClaimed, too_late
from pyramid_cron.reports import ALREADY_RUN, FAILED, Failures, TaskReport
from pyramid_cron.schedules import clock
from pyramid_cron.tasks import Engine, Task, Tasks

log = logging.getLogger(__name__)

# the same for every run
NOT_JOINED = nullcontext()


class MemoryRun:
    """A run that is claimed in the memory of this process, see :class:`.Run`."""

    __slots__ = ('_claims', 'engine', 'minute', 'not_claimed', 'task')

    attempt = 1
    token = None
    shared = None

    def __init__(
        self,
        claims: MemoryClaims,
        task: Task,
        minute: datetime | None,
        not_claimed: NotClaimed | None = None,
        engine: Engine | None = None,
    ) -> None:
        self._claims = claims
        self.task = task
        self.minute = minute
        self.not_claimed = not_claimed
        self.engine = engine

    def claim(self) -> NotClaimed | None:
        return self._claims.claim(self.task, self.minute)

    def joined(self, request: Any) -> AbstractContextManager[None]:
        return NOT_JOINED

    def release(self, report: TaskReport, is_last: bool = False) -> TaskReport:
        report = self._claims.with_failures(self.task, report, self.minute)
        self._claims.release(self.task)
        return report

    def interrupt(self) -> None:
        self._claims.interrupt(self.task)

    def skip(self, reason: str) -> None:
        """Do nothing: no record is kept."""


class MemoryClaims:
    """The tasks that run in this process, and the last minute that each has begun for: see :class:`.Claims`.

    :param monotonic: a monotonic clock in seconds.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        # when each running task began, and the minute that it had begun for before
        self._running: dict[Task, tuple[float, datetime | None]] = {}
        # the last minute that each task has begun for
        self._begun: dict[Task, datetime] = {}
        # of each task that failed at its last run here
        self._failures: dict[Task, Failures] = {}
        self._lock = threading.Lock()

    def due(self, tasks: Tasks, instant: datetime, trigger: str) -> Found:
        return Found(self.runs(tasks.due(instant), instant))

    def runs(self, tasks: Iterable[Task], minute: datetime) -> list[MemoryRun]:
        """Return runs of tasks that are due in a minute."""
        return [MemoryRun(self, task, minute, engine=task.engine) for task in tasks]

    def named(
        self, tasks: Tasks, names: Collection[str], requested_by: str | None = None, enqueue: bool = False
    ) -> Found:
        return Found(
            [MemoryRun(self, task, None, engine=task.engine if enqueue else None) for task in tasks.named(names)]
        )

    def delivered(self, tasks: Tasks, delivery: Delivery, catch_up: timedelta) -> Found:
        [task] = tasks.named([delivery.task])
        # it claims no minute: the process that enqueued it has, and another delivery of it is not known here
        return Found([MemoryRun(self, task, None, too_late(task, delivery.minute, catch_up, clock.now()))])

    def claim(self, task: Task, minute: datetime | None) -> NotClaimed | None:
        """Claim a task for a minute, or return why that is not possible.

        A task runs once for a minute: a server that was stalled serves its queue of ticks in one and the same minute. A
        clock that was set back by more than daylight saving time was wrong before, and is believed now.
        """
        with self._lock:
            if task in self._running:
                return NotClaimed('still running', self._monotonic() - self._running[task][0])
            last = self._begun.get(task)
            set_back = False
            if minute is not None:
                if last is not None and last >= minute:
                    if last - minute < clock.THREE_HOURS:
                        reason = ALREADY_RUN if last == minute else 'it has run for a later minute'
                        return NotClaimed(reason, level=logging.INFO)
                    set_back = True
                self._begun[task] = minute
            self._running[task] = self._monotonic(), last
        if set_back:
            # not under the lock, because a handler of the log may block
            log.warning('task %s runs for %s after it ran for %s: the clock was set back', task.name, minute, last)
        return None

    def release(self, task: Task) -> None:
        """Release a task; its minute stays claimed."""
        with self._lock:
            del self._running[task]

    def with_failures(self, task: Task, report: TaskReport, minute: datetime | None) -> TaskReport:
        """Return the report of a run that has ended, with the failures in a row of its task in this process.

        :param minute: the minute that the run was for, ``None`` for a run by name.
        """
        if report.outcome != FAILED:
            self._failures.pop(task, None)
            return report
        before = self._failures.get(task) or Failures(0, minute or clock.current_minute())
        failures = self._failures[task] = before._replace(number=before.number + 1)
        return report._replace(failures=failures)

    def interrupt(self, task: Task) -> None:
        """Release a task together with its minute."""
        with self._lock:
            _, last = self._running.pop(task)
            if last is None:
                self._begun.pop(task, None)
            else:
                self._begun[task] = last
