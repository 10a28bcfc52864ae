"""Claims: the interface by which a run gets the right to run a task.

Its two implementations are in the memory of a process (``memory_claims.py``) and in a database (``store/claims.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, NamedTuple, Protocol

from pyramid_cron.errors import Unavailable
from pyramid_cron.not_claimed import NotClaimed
from pyramid_cron.queue_engine import Engine
from pyramid_cron.reports import TaskReport
from pyramid_cron.run_output import RunOutput
from pyramid_cron.stopping import StopRequest
from pyramid_cron.tasks import Task, Tasks


class Run(Protocol):
    """A planned execution of a task."""

    #: the request that its task has noticed, so that a normal end of the task is not all of its work
    stopped: StopRequest | None

    @property
    def task(self) -> Task:
        """The task."""

    @property
    def minute(self) -> datetime | None:
        """The minute it is for, aware; ``None`` for a run by name."""

    @property
    def owed_minute(self) -> datetime | None:
        """The minute that it is for if its task owes that; ``None`` for a run by name and for a backfill."""

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
        """The fencing token that identifies it in the store, or in its key; ``None`` without one."""

    @property
    def since(self) -> datetime | None:
        """The minute of the last success of a run by schedule, in UTC, as it is after :meth:`claim`."""

    @property
    def shared(self) -> SharedClaims | None:
        """The claims that it shares with others of its tick, ``None`` if it is claimed by itself."""

    @property
    def turn(self) -> float:
        """The sort key among the runs of a tick, before the order of registration, so that none waits for ever.

        For a run that has waited for room in its engine, it is when its task last ran, in seconds since 1970, and 0 if
        that never did; infinite for any other run.
        """

    @property
    def stop_request(self) -> StopRequest | None:
        """The request of a user that it ends, as far as this process knows."""

    def goes_on(self) -> bool:
        """Return whether a following tick runs it for its minute once more if it is stopped now."""

    def claim(self) -> NotClaimed | None:
        """Claim the task until :meth:`release` or :meth:`interrupt`, or return why that is not possible.

        :raises Unavailable: if the store is not available.
        """

    def kept(self, output: RunOutput) -> AbstractContextManager[None]:
        """Return a context manager around the task and its transaction, in which what it puts out is kept with the run.

        :param output: the output.
        """

    def joined(self, request: Any) -> AbstractContextManager[None]:
        """Return a context manager around the task, within its transaction, by which its record is written there."""

    def release(self, report: TaskReport, is_last: bool = False) -> TaskReport:
        """Release the task after a successful claim, record the end, and return the corrected report.

        :param is_last: whether the tick has nothing else to do.
        """

    def excuse(self, error: str) -> str | None:
        """Return why it is no alarm that the run has failed now, ``None`` if it is one; before :meth:`release`.

        :param error: the class of its exception.
        """

    def interrupt(self) -> None:
        """Release the task after a successful :meth:`claim`, when the process is to end during the run."""

    def skip(self, reason: str) -> None:
        """Record that a run that was not claimed is skipped."""

    def wait(self, minute: datetime) -> NotClaimed | None:
        """Record that a run that was not claimed waits for a following tick, or return why it does not begin at all.

        :param minute: the minute that it is for.
        """


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

    def claim_again(self, runs: Sequence[Any]) -> Sequence[Run]:
        """Claim to enqueue queued runs again that no worker has begun, and return those that are to be enqueued.

        They are enqueued already if their engine enqueues within the claim. No exception is raised.

        :param runs: runs of engines with the same broker.
        """

    def send_again_later(self, failed: Mapping[Any, str]) -> None:
        """Record that runs of :meth:`claim_again` could not be enqueued, so that the next tick tries it again.

        :param failed: the runs, each with the reason.
        :raises Unavailable: if the store is not available.
        """


class Delivery(NamedTuple):
    """A run that was enqueued and has come to a worker.

    :param task: the name of the task.
    :param minute: the minute it is for, in UTC; ``None`` for a run by name.
    :param token: the fencing token under which a run by name was enqueued.
    """

    task: str
    minute: datetime | None
    token: str | None = None


class Backfill(NamedTuple):
    """A past minute that a task is to run for on request.

    :param task: the name of the task.
    :param minute: the minute, in UTC.
    :param again: whether the task runs even if it was ok for that minute.
    """

    task: str
    minute: datetime
    again: bool = False


class ByHand(NamedTuple):
    """The way in which runs are requested, by their names or for a past minute.

    :param requested_by: the user that requests them, for the record; ``None`` if that is not known.
    :param enqueue: whether tasks that have an engine are enqueued.
    :param engine: the engine, then, of those that have none.
    """

    requested_by: str | None = None
    enqueue: bool = False
    engine: Engine | None = None

    def engine_of(self, task: Task) -> Engine | None:
        """Return the engine that a run of a task is enqueued with, ``None`` if it runs in this process."""
        return (task.engine or self.engine) if self.enqueue else None


# by an unknown user, in this process
RUN_HERE = ByHand()


class Found(NamedTuple):
    """The runs that an order stands for.

    :param runs: those that were found.
    :param problem: why others could not be found.
    :param finish: to be called when all of them have ended, ``None`` if there is nothing to do then.
    :param again: queued runs that no worker has begun, and that are enqueued again.
    """

    runs: Collection[Run]
    problem: Unavailable | None = None
    finish: Callable[[], None] | None = None
    again: Sequence[Run] = ()


class Pause(NamedTuple):
    """A pause of a task, or of all tasks.

    :param until: when it ends by itself, in UTC; ``None`` if it has to be ended.
    :param reason: why the task is paused.
    :param requested_by: the user that has paused it, if known.
    :param of_all: whether it is one of all tasks, those included that a later deploy adds.
    :param since: when it began, in UTC; ``None`` if that is not known.
    """

    until: datetime | None
    reason: str
    requested_by: str | None
    of_all: bool = False
    since: datetime | None = None


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

    def named(self, tasks: Tasks, names: Collection[str], by_hand: ByHand = RUN_HERE) -> Found:
        """Return runs by name, in the order of the names. They claim no minute.

        :raises LookupError: if there is no task of one of the names.
        """

    def backfill(self, tasks: Tasks, backfill: Backfill, by_hand: ByHand = RUN_HERE) -> Found:
        """Return the run of a task for a past minute. It moves nothing of what the task owes.

        :raises LookupError: if there is no task of that name.
        """

    def delivered(self, tasks: Tasks, delivery: Delivery, catch_up: timedelta) -> Found:
        """Return the run of a delivery.

        :param catch_up: how long after its minute a run of the application may begin.
        :raises LookupError: if there is no task of that name.
        """
