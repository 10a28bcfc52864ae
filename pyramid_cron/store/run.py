"""A run that is claimed in the store, and what the store keeps of it until its end."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pyramid_cron.claims import Backfill
from pyramid_cron.not_claimed import NotClaimed
from pyramid_cron.outcomes import ALREADY_RUN
from pyramid_cron.queue_engine import Engine
from pyramid_cron.reports import TaskReport
from pyramid_cron.retry_waits import first_minute_after
from pyramid_cron.run_keys import KEY_DIGITS, key_token
from pyramid_cron.run_output import RunOutput
from pyramid_cron.schedules import clock
from pyramid_cron.stopping import StopRequest
from pyramid_cron.store.decision import NOTHING, Decision
from pyramid_cron.store.live_outputs import NOTHING as NO_OUTPUT
from pyramid_cron.store.session import Joined
from pyramid_cron.store.task_state import TaskState
from pyramid_cron.store.tick_work import TickWork
from pyramid_cron.tasks import Task

if TYPE_CHECKING:
    from pyramid_cron.store.claims import StoreClaims

# the position of the version in the hexadecimal digits of a UUID
VERSION = 12
FIRST_MINUTE = datetime(1, 1, 1, tzinfo=timezone.utc)

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
    :param backfill: the request for it, if it is for a minute of the past on request.
    :param sent_after: of a queued run that is enqueued again: the instant after which no other process may have done
        that, in seconds by the database's clock. ``None`` for any other run.
    """

    __slots__ = (
        '_claims',
        '_goes_on',
        '_will_retry',
        'attempt',
        'backfill',
        'decision',
        'engine',
        'enqueued_id',
        'found_at',
        'joined_session',
        'minute',
        'next_due',
        'not_claimed',
        'output',
        'requested_by',
        'run_id',
        'sent_after',
        'since',
        'state',
        'stopped',
        'task',
        'trigger',
        'work',
        'written_output',
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
        backfill: Backfill | None = None,
        sent_after: float | None = None,
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
        self.backfill = backfill
        self.sent_after = sent_after
        self.renew_token()
        if sent_after is not None and state is not None:
            # that of the row, which is part of the key of a run by name
            self.run_id = str(state.run_id)
        self.next_due = None
        #: the minute of the last success by schedule, read with the claim
        self.since: datetime | None = None
        self.joined_session: Joined | None = None
        #: the output of its task, once that has begun
        self.output: RunOutput | None = None
        #: what a commit of its task has written of that
        self.written_output = NO_OUTPUT
        self.stopped: StopRequest | None = None
        self._goes_on: bool | None = None
        self._will_retry: bool | None = None

    def renew_token(self) -> None:
        """Take a new fencing token, for a claim of its own.

        No two claims have the same: one that the database has not answered is released under its token, whatever
        another worker has claimed meanwhile. What is enqueued has the token of its key.
        """
        if self.enqueued_id is not None:
            self.run_id = token_of_same_run(self.enqueued_id)
        elif self.engine is not None:
            self.run_id = key_token(token_of_minute(self.backfill.minute) if self.backfill else new_token())
        else:
            self.run_id = new_token()

    @property
    def token(self) -> str:
        return self.run_id

    @property
    def turn(self) -> float:
        if self.state is None or self.state.waits_since is None:
            return math.inf
        return 0.0 if self.state.last_finished is None else self.state.last_finished.timestamp()

    @property
    def owed_minute(self) -> datetime | None:
        """The minute that it is for if its task owes that; ``None`` for a run by name and for a backfill."""
        return self.minute if self.backfill is None else None

    @property
    def recorded_minute(self) -> datetime | None:
        """The minute that it is for in the history, also of a backfill that is enqueued."""
        return self.minute if self.backfill is None else self.backfill.minute

    @property
    def is_committed(self) -> bool:
        """Whether a commit of the task's session has written its end."""
        return self.joined_session is not None and self.joined_session.written

    @property
    def shared(self) -> StoreClaims | None:
        """The claims that it shares with the other runs of its tick, ``None`` for one that was requested otherwise."""
        if self.sent_after is not None:
            return self._claims
        return None if self.owed_minute is None or self.enqueued_id is not None else self._claims

    @property
    def stop_request(self) -> StopRequest | None:
        return self._claims.own.stop_request(self.run_id)

    def claim(self) -> NotClaimed | None:
        return self._claims.claim(self)

    def kept(self, output: RunOutput) -> AbstractContextManager[None]:
        self.output = output
        return self._claims.outputs.keep(self.run_id, output)

    def joined(self, request: Any) -> AbstractContextManager[None]:
        return self._claims.joined(self, request)

    def release(self, report: TaskReport, is_last: bool = False) -> TaskReport:
        return self._claims.release(self, report, is_last)

    def end_minute(self, ended: float) -> datetime:
        """Return the minute in which the run ended, by the clock of its tick.

        :param ended: when it ended, on the monotonic clock.
        """
        return clock.minute_of(self.work.minute + timedelta(seconds=ended - self.found_at))

    def will_retry(self, ended: float) -> bool:
        """Return whether the run is tried again for its minute after a failure, the same at each call.

        :param ended: when it ended, on the monotonic clock.
        """
        if self._will_retry is None:
            self._will_retry = self._may_retry(ended)
        return self._will_retry

    def _may_retry(self, ended: float) -> bool:
        if self.engine is not None or self.attempt > self.task.retries:
            return False
        waits = self.task.retry_waits
        return self._is_next(ended, waits[self.attempt - 1] if waits else timedelta(0))

    def _is_next(self, ended: float, wait: timedelta) -> bool:
        """Return whether no newer minute of the task is due before a tick may run it for this one again, or then."""
        if self.owed_minute is None:
            return False
        end = self.end_minute(ended)
        return self.task.is_repeated_at(first_minute_after(end, wait), after=max(end, self.owed_minute))

    def goes_on(self) -> bool:
        if self._goes_on is None:
            # however often it was stopped, which is no failure
            self._goes_on = bool(self.task.retries) and self._is_next(self._claims.monotonic(), timedelta(0))
        return self._goes_on

    def excuse(self, error: str) -> str | None:
        if self.owed_minute is None:
            # a person has requested it, and waits for its result
            return None
        will_retry = self.will_retry(self._claims.monotonic())
        failing = self._claims.failing_again(self, will_retry, error)
        return None if failing is None else failing.excuse_of_attempt(self.task.tolerate)

    def interrupt(self) -> None:
        self._claims.interrupt(self)

    def skip(self, reason: str) -> None:
        self._claims.skip(self, reason)

    def wait(self, minute: datetime) -> NotClaimed | None:
        return self._claims.wait(self, minute)


def new_token() -> str:
    """Return a new fencing token."""
    return uuid4().hex


def token_of_same_run(token: str) -> str:
    """Return a new fencing token of a run that has another one already, with the same key."""
    return token[:KEY_DIGITS] + new_token()[KEY_DIGITS:]


def token_of_minute(minute: datetime) -> str:
    """Return a new fencing token of a backfill that is enqueued, which has the minute in it.

    The key of the run has no other place for it: a key with a minute is that of a tick. It is a UUID of version 8 (RFC
    9562), and other tokens are of version 4.
    """
    minutes, others = (minute.astimezone(timezone.utc) - FIRST_MINUTE) // clock.MINUTE, uuid4().hex
    return f'{minutes:09x}{others[9:VERSION]}8{others[VERSION + 1 :]}'


def minute_of_token(token: str) -> datetime | None:
    """Return the minute of a backfill that was enqueued, ``None`` for the token of a run by name."""
    return FIRST_MINUTE + int(token[:9], 16) * clock.MINUTE if token[VERSION] == '8' else None


def handed_over_for(minute: datetime | None, token: str) -> str:
    """Return what identifies an enqueued run in the row of its task: its minute, or the token of a run by name."""
    return token if minute is None else minute.astimezone(timezone.utc).isoformat(timespec='minutes')


# makes a run of the claims that look for it
MakeRun = Callable[..., StoredRun]
