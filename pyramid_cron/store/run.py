"""A run that is claimed in the store, and what the store keeps of it until its end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pyramid_cron.claims import NotClaimed
from pyramid_cron.reports import ALREADY_RUN, TaskReport
from pyramid_cron.store.decision import NOTHING, Decision
from pyramid_cron.store.session import Joined
from pyramid_cron.store.task_state import TaskState
from pyramid_cron.store.tick_work import TickWork
from pyramid_cron.tasks import Engine, Task

if TYPE_CHECKING:
    from pyramid_cron.store.claims import StoreClaims

# most servers find a minute already claimed, which is not worth a line of their logs
ALREADY_CLAIMED = NotClaimed(ALREADY_RUN, level=logging.DEBUG)


class StoredRun:
    """A run that is claimed in the store, see :class:`.Run`.

    :param claims: the claims of the store.
    :param decision: the decision that found it, with the minutes that are skipped with it.
    :param state: the state of the task that the decision was made by.
    :param requested_by: the user that requested a run by name, if known.
    :param engine: the engine that it is enqueued with, ``None`` if it runs here.
    :param enqueued_id: the fencing token under which it was enqueued, if it was and is to begin here.
    """

    __slots__ = (
        '_claims',
        'attempt',
        'decision',
        'engine',
        'enqueued_id',
        'found_at',
        'joined_session',
        'minute',
        'next_due',
        'not_claimed',
        'requested_by',
        'run_id',
        'state',
        'task',
        'trigger',
        'work',
    )

    #: the first minute after its own at which its task is due, once that is known
    next_due: datetime | None
    #: the work of the tick, the time on the monotonic clock at which it came, and the source of the order
    work: TickWork
    found_at: float
    trigger: str

    def __init__(
        self,
        claims: StoreClaims,
        task: Task,
        minute: datetime | None,
        attempt: int = 1,
        not_claimed: NotClaimed | None = None,
        decision: Decision = NOTHING,
        state: TaskState | None = None,
        requested_by: str | None = None,
        engine: Engine | None = None,
        enqueued_id: str | None = None,
    ) -> None:
        self._claims = claims
        self.task = task
        self.minute = minute
        self.attempt = attempt
        self.not_claimed = not_claimed
        self.decision = decision
        self.state = state
        self.requested_by = requested_by
        self.engine = engine
        self.enqueued_id = enqueued_id
        self.run_id = new_token()
        self.next_due = None
        self.joined_session: Joined | None = None

    @property
    def token(self) -> str:
        return self.run_id

    @property
    def is_committed(self) -> bool:
        """Whether a commit of the task's session has written its end."""
        return self.joined_session is not None and self.joined_session.written

    @property
    def shared(self) -> StoreClaims | None:
        """The claims that it shares with the other runs of its tick, ``None`` for one that was requested otherwise."""
        return None if self.minute is None or self.enqueued_id is not None else self._claims

    def claim(self) -> NotClaimed | None:
        return self._claims.claim(self)

    def joined(self, request: Any) -> AbstractContextManager[None]:
        return self._claims.joined(self, request)

    def release(self, report: TaskReport, is_last: bool = False) -> TaskReport:
        return self._claims.release(self, report, is_last)

    def interrupt(self) -> None:
        self._claims.interrupt(self)

    def skip(self, reason: str) -> None:
        self._claims.skip(self, reason)


def new_token() -> str:
    """Return a new fencing token."""
    return uuid4().hex


def handed_over_for(minute: datetime | None, token: str) -> str:
    """Return what identifies an enqueued run in the row of its task: its minute, or the token of a run by name."""
    return token if minute is None else minute.astimezone(timezone.utc).isoformat(timespec='minutes')


# makes a run of the claims that look for it
MakeRun = Callable[..., StoredRun]
