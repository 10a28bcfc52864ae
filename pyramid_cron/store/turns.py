"""What the parts of the store tell one another: its options, and a turn until its end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any, NamedTuple
from uuid import uuid4

from pyramid_cron import clock
from pyramid_cron.claims import Held, Turn
from pyramid_cron.reports import ALREADY_RUN
from pyramid_cron.store.joining import Joined
from pyramid_cron.store.judging import NOTHING, Verdict
from pyramid_cron.tasks import Task

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
        return self.catch_up if task.catch_up is None else task.catch_up

    def shown(self, minute: datetime) -> str:
        """Return a minute for people."""
        return clock.to_zone(minute, self.zone).isoformat(' ', 'minutes')


class StoredTurn(Turn):
    """A turn, and what the store has to know of it until its end.

    :param passed: the verdict with the minutes that are passed over with it.
    :param row: the row that it was judged by.
    :param by: who asked for it by name, if that is known.
    """

    __slots__ = ('began', 'by', 'instant', 'joined', 'passed', 'row', 'run_id', 'trigger')

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
        by: str | None = None,
    ) -> None:
        super().__init__(task, minute, attempt, held)
        self.run_id = uuid4().hex
        self.passed = passed
        self.row = row or {}
        self.by = by
        self.joined: Joined | None = None

    def is_committed(self) -> bool:
        """Tell whether a commit of the task's session has written its end."""
        return self.joined is not None and self.joined.written


def whose(row: Mapping[str, Any], zone: tzinfo | None = timezone.utc) -> str:
    """Say which process runs a task, and since when in a time zone."""
    began = clock.to_zone(datetime.fromtimestamp(row['began'], timezone.utc), zone)
    return f'process {row["pid"]} on {row["host"]}, since {began.isoformat(" ", "seconds")}'


def paused_reason(row: Mapping[str, Any]) -> str:
    """Say why a task is paused, and who paused it."""
    by = f' by {row["paused_by"]}' if row['paused_by'] else ''
    return f'paused{by}: {row["pause_reason"]}'


def still_running(row: Mapping[str, Any], zone: tzinfo | None, now: float) -> Held:
    """Return why a task may not begin that a process is running.

    :param zone: the time zone to show that in.
    :param now: what the database's clock says.
    """
    return Held(f'{STILL_RUNNING}: {whose(row, zone)}', now - row['began'])


def in_a_line(exc: Exception) -> str:
    """Return what the database said, without the statement."""
    return ' '.join(str(getattr(exc, 'orig', None) or exc).split())
