"""Pruning: deletes records that are too old to keep, at each tick that runs something, in one process of them all."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import or_

from pyramid_cron.claims import Unavailable
from pyramid_cron.store import leases
from pyramid_cron.store.circuit_breaker import CircuitOpen
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.database import Database
from pyramid_cron.store.history import History
from pyramid_cron.store.schema import ticks
from pyramid_cron.store.ticks import Ticks

log = logging.getLogger(__name__)

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
# processes that are deleted at once
MOST_PROCESSES = 1000


class Pruning:
    """Deletes the old records of an application in steps, each in a short transaction of its own.

    Of the processes that run something after a tick, the first one deletes: the others find the minute taken in the row
    of the ticks. Without that row, as where ``pcron run`` is all there is, each process deletes.

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
        """Delete old records, unless this process or another one has for the minute.

        :param minute: that of the tick, or in which a worker begins a run.
        """
        if minute == self._minute:
            return
        self._minute = minute
        try:
            with self._database.autocommit() as connection:
                if not _take_minute(connection):
                    return
                # or else one tick of a clock that is ahead would delete everything
                last = Ticks(connection).last_before(minute)
            self.prune(last or minute)
        except CircuitOpen:
            # logged where it did not answer
            pass
        except Unavailable as exc:
            log.warning('the history cannot be pruned: %s', exc)

    def prune(self, now: datetime) -> None:
        """Delete records that are too old at an instant, until there are none, or for some seconds."""
        before = now - self._keep
        with self._database.begin() as connection:
            Ticks(connection).prune(before)
            leases.prune(connection, MOST_PROCESSES)
        self._prune_runs(before)

    def _prune_runs(self, before: datetime) -> None:
        began = step_began = self._monotonic()
        after = None
        while True:
            with self._database.begin() as connection:
                deleted, after = History(connection).prune(before, self._step, after)
            if deleted < self._step:
                return
            seconds = self._monotonic() - step_began
            self._step = _next_step(self._step, seconds)
            # or else other writers would wait for all of the steps: SQLite has no queue of them
            pause = seconds * PAUSE
            if self._monotonic() - began + pause >= LONGEST:
                return
            self._sleep(pause)
            step_began = self._monotonic()


def _next_step(step: int, seconds: float) -> int:
    """Return how many records the next step deletes, by how many seconds one with ``step`` records took."""
    in_time = step * STEP_SECONDS / seconds if seconds else step * MOST_GROWTH
    return round(max(LEAST_STEP, min(MOST_STEP, step * MOST_GROWTH, in_time)))


def _take_minute(connection: StoreConnection) -> bool:
    """Take the minute of the newest tick for this process, and return whether it was free."""
    free = or_(ticks.c.pruned_minute.is_(None), ticks.c.pruned_minute != ticks.c.last_minute)
    taken = connection.update(ticks).where(free).values(pruned_minute=ticks.c.last_minute)
    return bool(connection.execute(taken)) or Ticks(connection).state() is None
