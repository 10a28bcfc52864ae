"""Whose turn a task is, decided once over all processes by the row of the task."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from pyramid_cron.claims import NOT_JOINED, Delivery, Held, Turn, Unavailable
from pyramid_cron.reports import FAILED, HANDED_OVER, OK, SKIPPED, TaskReport
from pyramid_cron.schedules import clock
from pyramid_cron.store import acquire, history, leases, missed, task_state
from pyramid_cron.store.admin import Remembering
from pyramid_cron.store.complete import Ends, Fenced
from pyramid_cron.store.database import Database
from pyramid_cron.store.leases import Heartbeat, Process
from pyramid_cron.store.poll import Look
from pyramid_cron.store.session import Joined, require_same_database, session_of
from pyramid_cron.store.turns import Options, StoredTurn, in_a_line
from pyramid_cron.tasks import Tasks

log = logging.getLogger(__name__)

# seconds between two looks for what is too old to keep
PRUNING = 60


class StoreClaims(Remembering):
    """The claims of all processes that share a database: ``registry['cron_claims']`` where ``cron.store`` is set.

    Tasks with ``store=False`` are left to the memory of each process.

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
        super().__init__(database, options, monotonic)
        self._ends = Ends(database, options.app, monotonic, sleep)
        self._look = Look(database, options, lambda: self.process.place)
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

    def turns(self, tasks: Tasks, instant: datetime, trigger: str) -> list[Turn]:
        free = [turn for turn in super().turns(tasks, instant, trigger) if not turn.task.store]
        turns = free + self._stored(lambda: self._look.at(tasks, instant), instant, trigger, free)
        turns.sort(key=lambda turn: turn.task.position)
        return turns

    def named(
        self, tasks: Tasks, names: Collection[str], requested_by: str | None = None, enqueue: bool = False
    ) -> list[Turn]:
        wanted = tasks.named(names)
        durable = [task for task in wanted if task.store]
        instant = clock.current_minute()

        def look() -> list[StoredTurn]:
            self._look.named(durable, instant)
            return [
                StoredTurn(task, None, requested_by=requested_by, engine=task.engine if enqueue else None)
                for task in durable
            ]

        free = super().named(tasks, [task.name for task in wanted if not task.store], requested_by, enqueue)
        turns = free + self._stored(look, instant, 'manual', free)
        turns.sort(key=lambda turn: wanted.index(turn.task))
        return turns

    def delivered(self, tasks: Tasks, delivery: Delivery, catch_up: timedelta) -> list[Turn]:
        [task] = tasks.named([delivery.task])
        if not task.store:
            return super().delivered(tasks, delivery, catch_up)
        instant = clock.current_minute()
        return [*self._stored(lambda: [self._look.delivered(task, delivery, instant)], instant, 'queue', [])]

    def _stored(
        self, look: Callable[[], list[StoredTurn]], instant: datetime, trigger: str, free: list[Turn]
    ) -> list[StoredTurn]:
        """Return the turns that a look finds.

        :param free: those that do not depend on it.
        :raises Unavailable: if nothing can be found.
        """
        began = self._monotonic()
        try:
            try:
                turns = self._found(look)
            except DBAPIError as exc:
                if not exc.connection_invalidated:
                    raise
                # idle while the database was started again, which is no reason to call off a tick
                turns = self._found(look)
        except SQLAlchemyError as exc:
            raise Unavailable(f'the store cannot be asked: {in_a_line(exc)}', free) from exc
        except Unavailable as exc:
            exc.turns = free
            raise
        for turn in turns:
            turn.instant, turn.began, turn.trigger = instant, began, trigger
        return turns

    def _found(self, look: Callable[[], list[StoredTurn]]) -> list[StoredTurn]:
        self._ends.write_late()
        return look()

    def claim(self, turn: Turn) -> Held | None:
        if not isinstance(turn, StoredTurn):
            return super().claim(turn)
        try:
            with self.database.begin() as connection:
                taken = acquire.take(connection, self.options.app, self.process, turn)
            if not taken:
                return acquire.why_not(self.database, self.options, turn)
        except acquire.NotSent as exc:
            self._record_not_sent(turn, str(exc))
            raise Unavailable(str(exc)) from exc.__cause__
        except SQLAlchemyError as exc:
            # it may have been committed all the same, although it has not begun
            self._ends.give_back(turn, 'the database did not answer whether it was to begin', has_begun=False)
            raise Unavailable(f'the store cannot be asked: {in_a_line(exc)}') from exc
        missed.tell(self.options, turn.task, turn.passed.missed)
        self._heartbeat.begin()
        return None

    def _record_not_sent(self, turn: StoredTurn, reason: str) -> None:
        """Record that a run could not be handed over, of which nothing is left. The next tick finds it as if missed."""
        if turn.minute is None:
            return
        app, task = self.options.app, turn.task.name
        try:
            with self.database.begin() as connection:
                history.record_unbegun(connection, app, task, [turn.minute], FAILED, reason, clock.now())
        except SQLAlchemyError as exc:
            log.warning('the store cannot be told that task %s was not handed over: %s', task, in_a_line(exc))

    def joined(self, turn: Turn, request: Any) -> AbstractContextManager[None]:
        name = self.options.session
        if name is None or not isinstance(turn, StoredTurn):
            return NOT_JOINED

        def at_begin() -> None:
            self._mark_transactional(turn)

        def at_connect(connection: Connection) -> None:
            if not self._same_database:
                require_same_database(connection, name, self.process.id)
                self._same_database = True

        def at_end(connection: Connection, seconds: float) -> None:
            if not self._ends.end(connection, turn, TaskReport(turn.task.name, OK, seconds), self._monotonic()):
                raise Fenced

        def before_end(connection: Connection) -> None:
            if not task_state.mark(connection, self.options.app, turn.task.name, turn.run_id, transactional=False):
                raise Fenced

        turn.joined = Joined(session_of(request, name), at_begin, at_connect, at_end, before_end, self._monotonic)
        return turn.joined

    def _mark_transactional(self, turn: StoredTurn) -> None:
        """Take note that a run works in the session: then nothing of it stays if its process dies.

        It is not in the transaction of the session, and before that has seen the row, which it is to update at its end.
        """
        if turn.minute is None:
            return
        try:
            with self.database.begin() as connection:
                mine = task_state.mark(connection, self.options.app, turn.task.name, turn.run_id, transactional=True)
        except SQLAlchemyError as exc:
            # then it is reported if it dies, and not repeated
            log.warning('the store cannot be told that task %s uses the session: %s', turn.task.name, in_a_line(exc))
        else:
            if not mine:
                raise Fenced

    def release(self, turn: Turn, report: TaskReport) -> TaskReport:
        if not isinstance(turn, StoredTurn):
            return super().release(turn, report)
        if turn.joined is not None:
            turn.joined.leave()
        # with the claim it was either sent or not claimed
        sent = turn.engine is not None and turn.engine.within_claim and report.outcome == HANDED_OVER
        if not sent and (report.outcome != OK or not turn.is_committed()):
            report = self._ends.write(turn, report)
        self._heartbeat.end()
        self._prune()
        return report

    def interrupt(self, turn: Turn) -> None:
        if not isinstance(turn, StoredTurn):
            super().interrupt(turn)
            return
        if turn.joined is not None:
            turn.joined.leave()
        self._ends.give_back(turn, 'the end of its process was in its way')
        self._heartbeat.end()
        try:
            self._ends.write_late()
        except SQLAlchemyError as exc:
            log.warning('the store cannot be told that task %s was interrupted: %s', turn.task.name, in_a_line(exc))

    def pass_over(self, turn: Turn, reason: str) -> None:
        if not isinstance(turn, StoredTurn) or turn.minute is None:
            return
        app, task = self.options.app, turn.task.name
        try:
            with self.database.begin() as connection:
                if task_state.pass_over(connection, app, task, turn.minute):
                    history.record_unbegun(connection, app, task, [turn.minute], SKIPPED, reason, clock.now())
        except SQLAlchemyError as exc:
            log.warning('the store cannot be told that task %s is skipped: %s', task, in_a_line(exc))

    def _beat(self) -> None:
        self._ends.write_late()
        with self.database.begin() as connection:
            self.process.renew(connection)

    def _prune(self) -> None:
        """Remove some of what is too old to keep, once in a while."""
        now = self._monotonic()
        if now - self._pruned < PRUNING:
            return
        self._pruned = now
        try:
            with self.database.begin() as connection:
                history.prune(connection, self.options.app, clock.now() - self.options.keep_history)
                leases.prune(connection)
        except SQLAlchemyError as exc:
            log.warning('the history cannot be pruned: %s', in_a_line(exc))
