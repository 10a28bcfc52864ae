"""Claims: the interface by which a run gets the right to run a task.

Its two implementations are in the memory of a process (``memory_claims.py``) and in a database (``store/claims.py``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

from pyramid_cron.errors import CronError
from pyramid_cron.reports import MISSED, SKIPPED, TaskReport, duration
from pyramid_cron.tasks import Engine, Task, Tasks


class NotClaimed(NamedTuple):
    """Why a run may not begin.

    :param reason: for reports and the log.
    :param running_seconds: how long a process has been running the previous run, if that is the reason.
    :param level: the level of the log.
    :param outcome: the outcome of the report.
    """

    reason: str
    running_seconds: float | None = None
    level: int = logging.WARNING
    outcome: str = SKIPPED


class Run(Protocol):
    """A planned execution of a task."""

    @property
    def task(self) -> Task:
        """The task."""

    @property
    def minute(self) -> datetime | None:
        """The minute it is for, aware; ``None`` for a run by name."""

    @property
    def attempt(self) -> int:
        """The number of this attempt for the minute, from 1."""

    @property
    def not_claimed(self) -> NotClaimed | None:
        """Why it may not begin, if that is known before :meth:`claim`."""

    @property
    def engine(self) -> Engine | None:
        """The engine that it is enqueued with, ``None`` if it runs here."""

    @property
    def token(self) -> str | None:
        """The fencing token that identifies it in the store, ``None`` without one."""

    @property
    def shared(self) -> SharedClaims | None:
        """The claims that it shares with others of its tick, ``None`` if it is claimed by itself."""

    def claim(self) -> NotClaimed | None:
        """Claim the task until :meth:`release` or :meth:`interrupt`, or return why that is not possible.

        :raises Unavailable: if the store is not available.
        """

    def joined(self, request: Any) -> AbstractContextManager[None]:
        """Return a context manager around the task, within its transaction, by which its record is written there."""

    def release(self, report: TaskReport, is_last: bool = False) -> TaskReport:
        """Release the task after a successful claim, record the end, and return the corrected report.

        :param is_last: whether the tick has nothing else to do.
        """

    def interrupt(self) -> None:
        """Release the task after a successful :meth:`claim`, when the process is to end during the run."""

    def skip(self, reason: str) -> None:
        """Record that a run that was not claimed is skipped."""


class Claimed(NamedTuple):
    """The result of a claim of several runs.

    :param runs: those that are claimed.
    :param not_free: those that were not free, in the order in which they were given.
    """

    runs: Sequence[Run]
    not_free: Sequence[Run]


class SharedClaims(Protocol):
    """Claims that several processes share: together they run what is due, each the first that is free."""

    def claim_first(self, runs: Iterable[Any]) -> Claimed:
        """Claim the first of some runs that is free, or find that some of the first are not.

        The first of them has ``not_claimed`` after that if it was claimed by itself and may not begin.

        :param runs: runs for which ``not_claimed`` is ``None``, at least one. As many are looked at as one claim can.
        :raises Exception: about the first of them.
        """

    def claim_all(self, runs: Sequence[Any]) -> Claimed:
        """Claim all runs that are free, and enqueue them if their engine enqueues within the claim.

        :param runs: runs of one engine.
        :raises Exception: if none is claimed, or if that is not known.
        """

    def why_not_free(self, runs: Collection[Any]) -> list[NotClaimed | None]:
        """Return why each of some runs was not free, ``None`` for one that is free now."""

    def mark_enqueued(self, runs: Collection[Any]) -> None:
        """Record that an engine has runs that were claimed, in place of :meth:`.Run.release`."""


class Delivery(NamedTuple):
    """A run that was enqueued and has come to a worker.

    :param task: the name of the task.
    :param minute: the minute it is for, in UTC; ``None`` for a run by name.
    :param token: the fencing token under which a run by name was enqueued.
    """

    task: str
    minute: datetime | None
    token: str | None = None


class Found(NamedTuple):
    """The runs that an order stands for.

    :param runs: those that were found.
    :param problem: why others could not be found.
    :param finish: to be called when all of them have ended, ``None`` if there is nothing to do then.
    """

    runs: Collection[Run]
    problem: Unavailable | None = None
    finish: Callable[[], None] | None = None


class Pause(NamedTuple):
    """A pause of a task.

    :param until: when it ends by itself, in UTC; ``None`` if it has to be ended.
    :param reason: why the task is paused.
    :param requested_by: the user that has paused it, if known.
    """

    until: datetime | None
    reason: str
    requested_by: str | None


class Unavailable(CronError):
    """The store is not available: nothing that depends on it runs.

    :param disconnected: whether the connection to it is lost, and another one may work.
    :param brief: the message without words of the database, for answers and mails; ``None`` if it has none.
    """

    def __init__(self, message: str, disconnected: bool = False, brief: str | None = None) -> None:
        super().__init__(message)
        self.disconnected = disconnected
        self.brief = message if brief is None else brief


class EngineNotAnswering(CronError):
    """A run was not enqueued, because its engine did not answer in the same tick before."""


class Claims(Protocol):
    """The right to run a task: ``registry['cron_claims']``.

    A minute is claimed once, apart from its retries, and no two runs of a task overlap: in one process, or in all that
    share a store.
    """

    def due(self, tasks: Tasks, instant: datetime, trigger: str) -> Found:
        """Return the runs of a tick, due tasks in the order of registration.

        :param instant: the minute of the tick, aware.
        :param trigger: the source of the tick, for the record.
        """

    def named(
        self, tasks: Tasks, names: Collection[str], requested_by: str | None = None, enqueue: bool = False
    ) -> Found:
        """Return runs by name, in the order of the names. They claim no minute.

        :param requested_by: the user that requested them, for the record.
        :param enqueue: whether tasks that have an engine are enqueued.
        :raises LookupError: if there is no task of one of the names.
        """

    def delivered(self, tasks: Tasks, delivery: Delivery, catch_up: timedelta) -> Found:
        """Return the run of a delivery.

        :param catch_up: how long after its minute a run of the application may begin.
        :raises LookupError: if there is no task of that name.
        """


def too_late(task: Task, minute: datetime | None, catch_up: timedelta, now: datetime) -> NotClaimed | None:
    """Return why an enqueued run does not begin any more, ``None`` if it does."""
    if minute is None:
        return None
    late = now - minute
    if late <= task.queue_timeout(catch_up):
        return None
    return NotClaimed(f'it came {duration(late.total_seconds())} after its minute', outcome=MISSED)
