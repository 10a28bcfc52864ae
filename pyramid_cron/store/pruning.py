"""Pruning: deletes records that are too old to keep, after some of the ticks that run something, in one process."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import or_

from pyramid_cron.errors import Unavailable
from pyramid_cron.store import leases
from pyramid_cron.store.actions import Actions
from pyramid_cron.store.circuit_breaker import CircuitOpen
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.database import Database
from pyramid_cron.store.history import History
from pyramid_cron.store.schema import ticks
from pyramid_cron.store.ticks import Ticks

log = logging.getLogger(__name__)

# how long no records are deleted after none were left
PERIOD = timedelta(minutes=10)
# seconds after which no further step is taken, the pauses between the steps included
LONGEST = 2.0
# seconds that the transaction of a step is to take: other writers of SQLite wait for it
STEP_SECONDS = 0.05
# how long the pause after a step is, as a part of the time that the step took
PAUSE = 0.5
# how many records a step deletes at least, and at most: SQLite takes 32766 values in a statement
FIRST_STEP, LEAST_STEP, MOST_STEP = 200, 50, 5000
# how many times as many a step deletes as the one before, at most
MOST_GROWTH = 4
# processes that are deleted at a tick: where cron calls pcron, one begins each minute
MOST_PROCESSES = 20


class Pruning:
    """Deletes the old records of an application in steps, each in a short transaction of its own.

    That is once in :data:`PERIOD`, and after each tick while something is left. Of the processes that run something
    after a tick, the first one deletes: the others find the minute taken in the row of the ticks. Without that row, as
    where ``pcron run`` is all there is, each process deletes.

    :param database: the database of the store.
    :param keep: how long records are kept.
    :param monotonic: a monotonic clock in seconds.
    :param sleep: waits for so many seconds.
    """

    def __init__(
        self,
        database: Database,
        keep: timedelta,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._database = database
        self._keep = keep
        self._monotonic = monotonic
        self._sleep = sleep
        self._step = FIRST_STEP
        self._minute: datetime | None = None

    def after_run(self, minute: datetime) -> None:
        """Delete old records, unless this process or another one has a short while ago.

        :param minute: that of the tick, or in which a worker begins a run.
        """
        if not is_time(self._minute, minute):
            return
        self._minute = minute
        try:
            with self._database.autocommit() as connection:
                if not _take_minute(connection):
                    return
                # or else one tick of a clock that is ahead would delete everything
                last = Ticks(connection).last_before(minute)
            if not self.prune(last or minute):
                self._minute = None
                with self._database.autocommit() as connection:
                    connection.execute(connection.update(ticks), {'pruned_minute': None})
        except CircuitOpen:
            # logged where it did not answer
            pass
        except Unavailable as exc:
            log.warning('the history cannot be pruned: %s', exc)

    def prune(self, now: datetime) -> bool:
        """Delete records that are too old at an instant for some seconds, and return whether none is left."""
        before = now - self._keep
        with self._database.begin() as connection:
            Ticks(connection).prune(before)
            Actions(connection).prune(before)
            leases.prune(connection, MOST_PROCESSES)
        return self._prune_runs(before)

    def _prune_runs(self, before: datetime) -> bool:
        began = step_began = self._monotonic()
        after = None
        while True:
            with self._database.begin() as connection:
                deleted, after = History(connection).prune(before, self._step, after)
            if deleted < self._step:
                return True
            seconds = self._monotonic() - step_began
            self._step = _next_step(self._step, seconds)
            # or else other writers would wait for all of the steps: SQLite has no queue of them
            pause = seconds * PAUSE
            if self._monotonic() - began + pause >= LONGEST:
                return False
            self._sleep(pause)
            step_began = self._monotonic()


def is_time(pruned: datetime | None, minute: datetime) -> bool:
    """Return whether old records are deleted after a tick.

    :param pruned: the minute after which they were deleted before, ``None`` if they were not, or if some were left.
    :param minute: the minute of the tick.
    """
    return pruned is None or not pruned <= minute < pruned + PERIOD


def _next_step(step: int, seconds: float) -> int:
    """Return how many records the next step deletes, by how many seconds one with ``step`` records took."""
    in_time = step * STEP_SECONDS / seconds if seconds else step * MOST_GROWTH
    return round(max(LEAST_STEP, min(MOST_STEP, step * MOST_GROWTH, in_time)))


def _take_minute(connection: StoreConnection) -> bool:
    """Take the minute of the newest tick for this process, and return whether it was free."""
    free = or_(ticks.c.pruned_minute.is_(None), ticks.c.pruned_minute != ticks.c.last_minute)
    taken = connection.update(ticks).where(free).values(pruned_minute=ticks.c.last_minute)
    return bool(connection.execute(taken)) or Ticks(connection).state() is None
