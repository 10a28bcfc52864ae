"""What the parts of the store tell one another: its options, and a turn until its end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any, NamedTuple
from uuid import uuid4

from pyramid_cron.claims import Held, Turn
from pyramid_cron.reports import ALREADY_RUN, process_of
from pyramid_cron.schedules import clock
from pyramid_cron.store.decision import NOTHING, Verdict
from pyramid_cron.store.session import Joined
from pyramid_cron.tasks import Engine, Task

# who is second to a minute says nothing
ALREADY = Held(ALREADY_RUN, level=logging.DEBUG)
STILL_RUNNING = 'still running'


class Options(NamedTuple):
    """What the settings say about the store.

    :param app: the application, among others in the database.
    :param catch_up: how long ago a minute may be that is caught up.
    :param lease: seconds after which a process that says nothing is taken for dead.
    :param keep_history: how long the history is kept.
    :param session: the attribute of the request that holds the application's session, ``None`` if runs are not joined.
    :param zone: the time zone that minutes are shown in, ``None`` for the machine's.
    :param tell: sends an event to those who subscribed to it.
    """

    app: str
    catch_up: timedelta
    lease: float
    keep_history: timedelta
    session: str | None = None
    zone: tzinfo | None = None
    tell: Callable[[object], None] = lambda event: None

    def grace(self, task: Task) -> timedelta:
        """Return how long ago a minute may be for which a task still runs."""
        return task.grace(self.catch_up)

    def patience(self, task: Task | None) -> timedelta:
        """Return how long a task, of whatever application, may wait for somebody to take it that it was handed to."""
        return max(self.catch_up, clock.MINUTE) if task is None else task.queue_timeout(self.catch_up)

    def shown(self, minute: datetime) -> str:
        """Return a minute for people."""
        return clock.to_zone(minute, self.zone).isoformat(' ', 'minutes')


class StoredTurn(Turn):
    """A turn, and what the store has to know of it until its end.

    :param passed: the verdict with the minutes that are passed over with it.
    :param row: the row that it was judged by.
    :param requested_by: who asked for it by name, if that is known.
    :param engine: what the task is handed over by, ``None`` for one that is called here.
    :param queued_id: the token that it was handed over under, if it was and is to begin here.
    """

    __slots__ = ('began', 'instant', 'joined', 'passed', 'queued_id', 'requested_by', 'row', 'run_id', 'trigger')

    #: the minute of the tick, the time on the monotonic clock at which it came, and what asked for it
    instant: datetime
    began: float
    trigger: str

    def __init__(
        self,
        task: Task,
        minute: datetime | None,
        attempt: int = 1,
        held: Held | None = None,
        passed: Verdict = NOTHING,
        row: Mapping[str, Any] | None = None,
        requested_by: str | None = None,
        engine: Engine | None = None,
        queued_id: str | None = None,
    ) -> None:
        super().__init__(task, minute, attempt, held, engine)
        self.run_id = uuid4().hex
        self.passed = passed
        self.row = row or {}
        self.requested_by = requested_by
        self.queued_id = queued_id
        self.joined: Joined | None = None

    def token(self) -> str:
        return self.run_id

    def is_committed(self) -> bool:
        """Tell whether a commit of the task's session has written its end."""
        return self.joined is not None and self.joined.written


def whose(row: Mapping[str, Any], zone: tzinfo | None = timezone.utc) -> str:
    """Say which process runs a task, and since when in a time zone."""
    return f'{process_of(row["pid"], row["host"])}, since {_began(row, zone)}'


def _began(row: Mapping[str, Any], zone: tzinfo | None) -> str:
    return clock.to_zone(datetime.fromtimestamp(row['began'], timezone.utc), zone).isoformat(' ', 'seconds')


def paused_reason(row: Mapping[str, Any]) -> str:
    """Say why a task is paused, and who paused it."""
    requested_by = f' by {row["paused_by"]}' if row['paused_by'] else ''
    return f'paused{requested_by}: {row["pause_reason"]}'


def queued_for(minute: datetime | None, token: str) -> str:
    """Return what a run is handed over for, as its row keeps it: a minute, or the token of one asked for by name."""
    return token if minute is None else minute.astimezone(timezone.utc).isoformat(timespec='minutes')


def is_waiting(row: Mapping[str, Any]) -> bool:
    """Tell whether a run was handed over, and is in nobody's hands."""
    return row['queued'] is not None and row['process'] is None


def busy_reason(row: Mapping[str, Any], zone: tzinfo | None) -> str:
    """Say what is in the way of a task.

    :param zone: the time zone to show that in.
    """
    if row['queued'] is not None:
        return f'still queued, since {_began(row, zone)}'
    return f'{STILL_RUNNING}: {whose(row, zone)}'


def still_running(task: Task, row: Mapping[str, Any], zone: tzinfo | None, now: float) -> Held:
    """Return why a task may not begin that a process is running, or that waits for one.

    :param zone: the time zone to show that in.
    :param now: what the database's clock says.
    """
    return Held(busy_reason(row, zone), now - row['began'] if task.engine is None else None)


def in_a_line(exc: BaseException) -> str:
    """Return what the database said, without the statement."""
    return ' '.join(str(getattr(exc, 'orig', None) or exc).split())
