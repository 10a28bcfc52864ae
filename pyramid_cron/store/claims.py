"""Whose turn a task is, decided once over all processes by the row of the task."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import AbstractContextManager
from datetime import datetime, timedelta, timezone, tzinfo
from typing import Any, NamedTuple
from uuid import uuid4

from sqlalchemy import Connection, RowMapping, delete, select
from sqlalchemy.exc import SQLAlchemyError

from pyramid_cron import clock
from pyramid_cron.claims import NOT_JOINED, Claims, Held, Turn, Unavailable
from pyramid_cron.reports import ALREADY_RUN, FAILED, LOST, OK, SKIPPED, TaskReport, duration
from pyramid_cron.store import history, judging, rows
from pyramid_cron.store.database import Database
from pyramid_cron.store.due import RecentlyDue
from pyramid_cron.store.joining import Joined, NotJoined, require_same_database, session_of
from pyramid_cron.store.leases import Heartbeat, Process
from pyramid_cron.store.schema import database_clock, runs, ticks
from pyramid_cron.tasks import Task, Tasks

log = logging.getLogger(__name__)

# seconds that the minute of a tick may be ahead of the database's clock
MOST_AHEAD = 60
# seconds for which the end of a run is written again, and between two attempts
WRITING, PAUSE = 4.0, 0.3
# seconds between two looks for what is too old to keep
PRUNING = 60

Write = Callable[[Connection], Any]


class Fenced(RuntimeError):
    """The run was taken over by another process, which took this one for dead: its work may not be committed."""


class StoredTurn(Turn):
    """A turn, and what the store has to know of it until its end."""

    __slots__ = ('began', 'instant', 'joined', 'missed', 'run_id', 'trigger')

    def __init__(self, task: Task, minute: datetime | None, attempt: int = 1, held: Held | None = None) -> None:
        super().__init__(task, minute, attempt, held)
        self.run_id = uuid4().hex
        self.missed: Collection[datetime] = ()
        self.trigger = 'manual'
        self.joined: Joined | None = None
        #: the minute of the tick, and the time on the monotonic clock at which it came
        self.instant: datetime
        self.began: float


class Options(NamedTuple):
    """What the settings say about the store.

    :param app: the application, among others in the database.
    :param catch_up: how long ago a minute may be that is caught up.
    :param lease: seconds after which a process that says nothing is taken for dead.
    :param keep_history: how long the history is kept.
    :param session: the attribute of the request that holds the application's session, ``None`` if runs are not joined.
    :param zone: the time zone that minutes are shown in, ``None`` for the machine's.
    """

    app: str
    catch_up: timedelta
    lease: float
    keep_history: timedelta
    session: str | None = None
    zone: tzinfo | None = None


class StoreClaims(Claims):
    """The claims of all processes that share a database: ``registry['cron_claims']`` where ``cron.store`` is set.

    Tasks with ``durable=False`` are left to the memory of each process.

    :param database: the store's.
    :param options: what the settings say.
    :param monotonic: a clock in seconds that nobody sets.
    :param sleep: waits for so many seconds.
    """

    def __init__(
        self,
        database: Database,
        options: Options,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        super().__init__(monotonic)
        self.database = database
        self.options = options
        self._sleep = sleep
        self._recently_due = RecentlyDue(self._grace)
        # what could not be written, in the order in which it has to be
        self._late: list[Write] = []
        self._pruned = monotonic()
        self._begin_process()

    def _begin_process(self) -> None:
        self._process = Process(self.options.lease)
        self._heartbeat = Heartbeat(self._beat, self.options.lease / 3)
        self._same_database = False

    @property
    def process(self) -> Process:
        """This process; one that was forked is another."""
        if self._process.pid != os.getpid():
            self._begin_process()
        return self._process

    def _grace(self, task: Task) -> timedelta:
        return self.options.catch_up if task.catch_up is None else task.catch_up

    def _shown(self, minute: datetime) -> str:
        return clock.to_zone(minute, self.options.zone).isoformat(' ', 'minutes')

    # whose turn it is

    def turns(self, tasks: Tasks, instant: datetime, trigger: str) -> list[Turn]:
        began = self._monotonic()
        turns = [turn for turn in super().turns(tasks, instant, trigger) if not turn.task.durable]
        try:
            self._write_late()
            stored = self._look(tasks, instant)
        except SQLAlchemyError as exc:
            raise Unavailable(f'the store cannot be asked: {_in_a_line(exc)}', turns) from exc
        except Unavailable as exc:
            raise Unavailable(str(exc), turns) from None
        for turn in stored:
            turn.instant, turn.began, turn.trigger = instant, began, trigger
        turns += stored
        turns.sort(key=lambda turn: turn.task.position)
        return turns

    def named(self, tasks: Tasks, names: Collection[str]) -> list[Turn]:
        began, instant = self._monotonic(), clock.current_minute()
        wanted = tasks.named(names)
        free = [Turn(task, None) for task in wanted if not task.durable]
        stored = [StoredTurn(task, None) for task in wanted if task.durable]
        try:
            self._write_late()
            with self.database.autocommit() as connection:
                known = rows.known(connection, self.options.app, names)
            known = self._deployed([turn.task for turn in stored], known, instant)
            for row in known.values():
                self._lose_if_ended(row, instant)
        except SQLAlchemyError as exc:
            raise Unavailable(f'the store cannot be asked: {_in_a_line(exc)}', free) from exc
        for turn in stored:
            turn.instant, turn.began = instant, began
        return [*free, *stored]

    def _look(self, tasks: Tasks, instant: datetime) -> list[StoredTurn]:
        """Return the turns at a tick, after a look at the database that is as short as can be."""
        recent = self._recently_due.at(tasks, instant)
        app = self.options.app
        with self.database.autocommit() as connection:
            tick = rows.tick(connection, app, instant, MOST_AHEAD)
            ahead = instant.timestamp() - tick.clock
            if ahead > MOST_AHEAD:
                raise Unavailable(
                    f"the minute {self._shown(instant)} is {duration(ahead)} ahead of the database's clock: "
                    'set the clock of this machine, or that of the database'
                )
            gap = tick.last == instant and tick.before is not None and instant - tick.before > clock.MINUTE
            if recent == [] and not gap and not tick.attention:
                return []
            names = None if recent is None or gap else [task.name for task in recent]
            known = rows.known(connection, app, names)
        if gap and tick.before is not None:
            self._record_gap(tick.before, instant)
        durable = [task for task in tasks if task.durable]
        wanted = durable if names is None else recent or []
        known = self._deployed(wanted, known, instant)
        by_name = {task.name: task for task in wanted}
        if tick.attention:
            by_name |= {task.name: task for task in durable if task.name in known}
        turns = [self._judged(task, known[name], instant, tick.clock) for name, task in by_name.items()]
        # those that are running or were lost and that this process has no task for
        for name in known.keys() - by_name.keys():
            self._lose_if_ended(known[name], instant)
        return [turn for turn in turns if turn is not None]

    def _deployed(self, wanted: Collection[Task], known: dict[str, RowMapping], instant: datetime) -> dict[str, Any]:
        """Return the rows of tasks, after what is new in this process was made known."""
        with self.database.begin() if rows.differ(wanted, known) else nullcontext() as connection:
            if connection is None:
                return known
            rows.deploy(connection, self.options.app, wanted, known, instant)
        with self.database.autocommit() as connection:
            return rows.known(connection, self.options.app, None)

    def _judged(self, task: Task, row: RowMapping, instant: datetime, now: float) -> StoredTurn | None:
        """Return the turn of a task, or why it has none if it is due."""
        lost = self._lose_if_ended(row, instant)
        if lost is not None:
            row = lost
        elif row['run_id'] is not None:
            return self._held(task, row, instant, now)
        verdict = judging.judge(task, row, instant, self._grace(task))
        if verdict.attempt:
            turn = StoredTurn(task, verdict.minute, verdict.attempt)
            turn.missed = verdict.missed
            return turn
        if verdict.missed or verdict.given_up:
            self._pass_over(task, row, verdict, instant)
        return StoredTurn(task, instant, held=ALREADY) if task.check(instant) else None
