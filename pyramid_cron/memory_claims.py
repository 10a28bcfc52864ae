"""Claims in the memory of a process: of applications without a store, and of tasks with ``store=False``."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from pyramid_cron.alarm import Failing
from pyramid_cron.claims import RUN_HERE, Backfill, ByHand, Delivery, Found
from pyramid_cron.expected import GOOD_RUNS, limits_of
from pyramid_cron.not_claimed import NEEDS_STORE, NotClaimed, too_late
from pyramid_cron.outcomes import ALREADY_RUN, FAILED, OK, STOPPED
from pyramid_cron.queue_engine import Engine
from pyramid_cron.reports import Failures, TaskReport
from pyramid_cron.run_output import RunOutput
from pyramid_cron.schedules import clock
from pyramid_cron.stopping import StopRequest
from pyramid_cron.tasks import Task, Tasks

log = logging.getLogger(__name__)

# the same for every run
NOT_JOINED = NOT_KEPT = nullcontext()


class MemoryRun:
    """A run that is claimed in the memory of this process, see :class:`.Run`."""

    __slots__ = ('_claims', '_delivery', 'engine', 'minute', 'not_claimed', 'stopped', 'task', 'token')

    attempt = 1
    shared = None
    turn = math.inf
    # without a store no other process can record one
    stop_request = None

    def __init__(
        self,
        claims: MemoryClaims,
        task: Task,
        minute: datetime | None,
        not_claimed: NotClaimed | None = None,
        engine: Engine | None = None,
        delivery: Delivery | None = None,
    ) -> None:
        self._claims = claims
        self._delivery = delivery
        self.task = task
        self.minute = minute
        self.not_claimed = not_claimed
        self.engine = engine
        # of its key, if that has no minute
        self.token = uuid4().hex if engine is not None and minute is None else delivery and delivery.token
        self.stopped: StopRequest | None = None

    @property
    def owed_minute(self) -> datetime | None:
        # a delivery does not claim its minute
        return self.minute if self._delivery is None else self._delivery.minute

    @property
    def since(self) -> datetime | None:
        return self._claims.last_success(self.task)

    def claim(self) -> NotClaimed | None:
        return self._claims.claim(self.task, self.minute)

    def kept(self, output: RunOutput) -> AbstractContextManager[None]:
        return NOT_KEPT

    def joined(self, request: Any) -> AbstractContextManager[None]:
        return NOT_JOINED

    def release(self, report: TaskReport, is_last: bool = False) -> TaskReport:
        report = self._claims.with_failures(self.task, report, self.minute)
        if report.outcome == OK and self.owed_minute is not None:
            self._claims.succeeded(self.task, self.owed_minute)
        self._claims.release(self.task)
        return report

    def excuse(self, error: str) -> str | None:
        # a run by name, too: a delivery of a queue has no minute here
        return self._claims.failing_again(self.task).excuse(self.task.tolerate)

    def goes_on(self) -> bool:
        # retries are those of a store
        return False

    def interrupt(self) -> None:
        self._claims.interrupt(self.task)

    def skip(self, reason: str) -> None:
        """Do nothing: no record is kept."""

    def wait(self, minute: datetime) -> NotClaimed | None:
        """Do nothing: the engines that have no room at times need the store."""
        return None


class MemoryClaims:
    """The tasks that run in this process, and the last minute that each has begun for: see :class:`.Claims`.

    :param monotonic: a monotonic clock in seconds.
    :param window: the setting ``cron.window``.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, window: float = 60.0) -> None:
        self._monotonic = monotonic
        #: the setting ``cron.window``
        self.window = window
        # when each running task began, and the minute that it had begun for before
        self._running: dict[Task, tuple[float, datetime | None]] = {}
        # the last minute that each task has begun for
        self._begun: dict[Task, datetime] = {}
        # how long the last good runs of each task took
        self._good: dict[Task, deque[float]] = {}
        # of each task that failed at its last run here
        self._failures: dict[Task, Failures] = {}
        # the minute of the last success of each task by its schedule
        self._succeeded: dict[Task, datetime] = {}
        self._lock = threading.Lock()

    def due(self, tasks: Tasks, instant: datetime, trigger: str) -> Found:
        return Found(self.runs(tasks.due(instant), instant))

    def runs(self, tasks: Iterable[Task], minute: datetime) -> list[MemoryRun]:
        """Return runs of tasks that are due in a minute, and those of others that are stuck."""
        due = [MemoryRun(self, task, minute, engine=task.engine) for task in tasks]
        stuck = [MemoryRun(self, task, minute, why) for task, why in self._stuck()] if self._running else []
        found = {run.task for run in due}
        return [*due, *(run for run in stuck if run.task not in found)]

    def named(self, tasks: Tasks, names: Collection[str], by_hand: ByHand = RUN_HERE) -> Found:
        return Found([MemoryRun(self, task, None, engine=by_hand.engine_of(task)) for task in tasks.named(names)])

    def backfill(self, tasks: Tasks, backfill: Backfill, by_hand: ByHand = RUN_HERE) -> Found:
        [task] = tasks.named([backfill.task])
        return Found([MemoryRun(self, task, backfill.minute, NEEDS_STORE)])

    def delivered(self, tasks: Tasks, delivery: Delivery, catch_up: timedelta) -> Found:
        [task] = tasks.named([delivery.task])
        # it claims no minute: the process that enqueued it has, and another delivery of it is not known here
        late = too_late(task, delivery.minute, catch_up, clock.now())
        return Found([MemoryRun(self, task, None, late, delivery=delivery)])

    def claim(self, task: Task, minute: datetime | None) -> NotClaimed | None:
        """Claim a task for a minute, or return why that is not possible.

        A task runs once for a minute: a server that was stalled serves its queue of ticks in one and the same minute. A
        clock that was set back by more than daylight saving time was wrong before, and is believed now.
        """
        with self._lock:
            if task in self._running:
                return self._still_running(task)
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

    def _still_running(self, task: Task) -> NotClaimed:
        running = self._monotonic() - self._running[task][0]
        longest = max(self._good.get(task, ()), default=None)
        limits = limits_of(task, longest, clock.now() - timedelta(seconds=running), self.window)
        return NotClaimed('still running', running, stuck_after=limits.stuck)

    def _stuck(self) -> list[tuple[Task, NotClaimed]]:
        """Return the tasks of which a run is stuck, with that as the reason why another one may not begin."""
        with self._lock:
            running = [(task, self._still_running(task)) for task in self._running]
        return [(task, why) for task, why in running if why.running_seconds and why.running_seconds > why.stuck_after]

    def release(self, task: Task) -> None:
        """Release a task; its minute stays claimed."""
        with self._lock:
            del self._running[task]

    def with_failures(self, task: Task, report: TaskReport, minute: datetime | None) -> TaskReport:
        """Return the report of a run that has ended, with the failures in a row of its task in this process.

        :param minute: the minute that the run was for, ``None`` for a run by name.
        """
        if report.raised_skip or report.outcome == STOPPED:
            # neither a success nor a failure
            return report
        if report.outcome == OK:
            self._good.setdefault(task, deque(maxlen=GOOD_RUNS)).append(report.seconds)
        if report.outcome != FAILED:
            ended = self._failures.pop(task, None)
            if ended is not None and Failing(ended.number).has_alarmed(task.tolerate):
                return report._replace(failed_since=ended.first)
            return report
        before = self._failures.get(task) or Failures(0, minute or clock.current_minute())
        failures = self._failures[task] = before._replace(number=before.number + 1)
        return report._replace(failures=failures)

    def failing_again(self, task: Task) -> Failing:
        """Return the failures in a row of a task after one more."""
        return Failing(self._failures[task].number + 1 if task in self._failures else 1)

    def last_success(self, task: Task) -> datetime | None:
        """Return the minute of the last success of a task by its schedule in this process, ``None`` without one."""
        return self._succeeded.get(task)

    def succeeded(self, task: Task, minute: datetime) -> None:
        """Keep the minute of the last success of a task by its schedule."""
        self._succeeded[task] = minute

    def interrupt(self, task: Task) -> None:
        """Release a task together with its minute."""
        with self._lock:
            _, last = self._running.pop(task)
            if last is None:
                self._begun.pop(task, None)
            else:
                self._begun[task] = last
