"""Whose turn a task is: the seam. Here in the memory of the process; a store puts its own in its place."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from pyramid_cron.reports import ALREADY_RUN, MISSED, SKIPPED, PastRun, TaskReport, duration
from pyramid_cron.schedules import clock
from pyramid_cron.schedules.clock import THREE_HOURS
from pyramid_cron.tasks import Engine, Task, Tasks

log = logging.getLogger(__name__)

NO_STORE = 'pausing a task needs a store: set cron.store'

# the same for every task that nothing is known of
NOT_JOINED = nullcontext()


class Held(NamedTuple):
    """Why a task may not begin.

    :param reason: for reports and the log.
    :param seconds: how long the run that is in its way has been running; ``None`` if none is.
    :param level: that of the log.
    :param outcome: that of the report.
    """

    reason: str
    seconds: float | None = None
    level: int = logging.WARNING
    outcome: str = SKIPPED


class Turn:
    """A task that is to run, and what for.

    :param task: the task.
    :param minute: the minute it runs for, aware; ``None`` for a run that somebody asked for, which is for none.
    :param attempt: how many times it has then begun for this minute.
    :param held: why it may not begin, if that is known already.
    :param engine: what the task is handed over by, ``None`` for one that is called here.
    """

    __slots__ = ('attempt', 'engine', 'held', 'minute', 'task')

    def __init__(
        self,
        task: Task,
        minute: datetime | None,
        attempt: int = 1,
        held: Held | None = None,
        engine: Engine | None = None,
    ) -> None:
        self.task = task
        self.minute = minute
        self.attempt = attempt
        self.held = held
        self.engine = engine

    def token(self) -> str | None:
        """Return what tells it from other turns of the task wherever it is known, ``None`` if it is known nowhere."""
        return None


class Delivery(NamedTuple):
    """A run that was handed over, and has come to where it is to begin.

    :param task: the name of the task.
    :param minute: the minute it is for, in UTC; ``None`` if somebody asked for it by name.
    :param token: what the store knows such a one by.
    """

    task: str
    minute: datetime | None
    token: str | None = None


class Pause(NamedTuple):
    """A task that does not run for a while.

    :param until: until when, in UTC; ``None`` if somebody has to end it.
    :param reason: why.
    :param requested_by: who paused it, if that is known.
    """

    until: datetime | None
    reason: str
    requested_by: str | None


class Unavailable(Exception):
    """Whose turn it is cannot be told: what depends on that does not run.

    :param turns: those that do not depend on it.
    """

    def __init__(self, message: str, turns: Collection[Turn] = ()) -> None:
        super().__init__(message)
        self.turns = turns


def too_late(task: Task, minute: datetime | None, catch_up: timedelta) -> Held | None:
    """Return why a task that was handed over does not begin any more, ``None`` if it does."""
    if minute is None:
        return None
    late = clock.now() - minute
    if late <= task.queue_timeout(catch_up):
        return None
    return Held(f'it came {duration(late.total_seconds())} after its minute', outcome=MISSED)


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

    def turns(self, tasks: Tasks, instant: datetime, trigger: str) -> list[Turn]:
        """Return what is to run at a tick, in the order of registration.

        :param instant: the minute of the tick, aware.
        :param trigger: what asked for the run, for the record.
        :raises Unavailable: if it cannot be told.
        """
        return [Turn(task, instant, engine=task.engine) for task in tasks.due(instant)]

    def named(
        self, tasks: Tasks, names: Collection[str], requested_by: str | None = None, enqueue: bool = False
    ) -> list[Turn]:
        """Return what is to run when somebody asks for it by name.

        :param requested_by: who does, for the record.
        :param enqueue: whether what has something to be handed over by is.
        :raises LookupError: if there is no task of one of the names.
        :raises Unavailable: if it cannot be told.
        """
        return [Turn(task, None, engine=task.engine if enqueue else None) for task in tasks.named(names)]

    def delivered(self, tasks: Tasks, delivery: Delivery, catch_up: timedelta) -> list[Turn]:
        """Return what is to run now that was handed over.

        :param catch_up: how long ago a minute may be that is caught up.
        :raises LookupError: if there is no task of that name.
        :raises Unavailable: if it cannot be told.
        """
        [task] = tasks.named([delivery.task])
        # it claims no minute: whoever was second to hand it over is not known here
        return [Turn(task, None, held=too_late(task, delivery.minute, catch_up))]

    def claim(self, turn: Turn) -> Held | None:
        """Take a turn until :meth:`release`, or return why it is not to be had.

        A task runs once for a minute: a server that was stalled works off its queue of ticks for one and the same. A
        clock that was set back by more than daylight saving time was wrong before, and is believed now.

        :raises Unavailable: if it cannot be told.
        """
        task, minute = turn.task, turn.minute
        with self._lock:
            if task in self._running:
                return Held('still running', self._monotonic() - self._running[task][0])
            last = self._begun.get(task)
            set_back = False
            if minute is not None:
                if last is not None and last >= minute:
                    if last - minute < THREE_HOURS:
                        return Held(ALREADY_RUN, level=logging.INFO)
                    set_back = True
                self._begun[task] = minute
            self._running[task] = self._monotonic(), last
        if set_back:
            # not under the lock, because who writes a log may wait
            log.warning('task %s runs for %s after it ran for %s: the clock was set back', task.name, minute, last)
        return None

    def joined(self, turn: Turn, request: Any) -> AbstractContextManager[None]:
        """Return what to call a task in, within its transaction, so that its record can be written there."""
        return NOT_JOINED

    def release(self, turn: Turn, report: TaskReport) -> TaskReport:
        """Take back a successful :meth:`claim`, whose minute stays taken.

        :param report: what became of the task.
        :return: the report, or one that is truer.
        """
        with self._lock:
            del self._running[turn.task]
        return report

    def interrupt(self, turn: Turn) -> None:
        """Take back a successful :meth:`claim`: the end of the process, should it live on, was in the task's way."""
        with self._lock:
            _, last = self._running.pop(turn.task)
            if last is None:
                self._begun.pop(turn.task, None)
            else:
                self._begun[turn.task] = last

    def pass_over(self, turn: Turn, reason: str) -> None:
        """Take note that a turn is not used."""

    def last_runs(self) -> Mapping[str, PastRun]:
        """Return the last run of each task of which one is remembered, by the names of the tasks.

        :raises Unavailable: if it cannot be told.
        """
        return {}

    def pause(
        self, names: Collection[str], *, reason: str, until: datetime | None = None, requested_by: str | None = None
    ) -> None:
        """Pause tasks: the minutes at which they are due are recorded and passed over.

        :param names: those of the tasks.
        :param reason: why, for people.
        :param until: until when, aware; ``None`` until :meth:`resume`.
        :param requested_by: who does so.
        :raises LookupError: for a task of which nothing is known.
        :raises Unavailable: if nothing outlives the process, or that cannot be asked.
        """
        raise Unavailable(NO_STORE)

    def resume(self, names: Collection[str], *, requested_by: str | None = None) -> list[str]:
        """End the pauses of tasks, and return the names of those that were paused.

        :raises Unavailable: as :meth:`pause` does.
        """
        raise Unavailable(NO_STORE)

    def paused(self) -> dict[str, Pause]:
        """Return the pauses that last, by the names of the tasks.

        :raises Unavailable: if that cannot be told.
        """
        return {}
