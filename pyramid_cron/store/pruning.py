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

# seconds after which no further step is taken
LONGEST = 0.2


class Pruning:
    """Deletes the old records of an application in steps, each in a transaction of its own.

    Of the processes that run something after a tick, the first one deletes: the others find the minute taken in the row
    of the ticks. Without that row, as where ``pcron run`` is all there is, each process deletes.

    :param database: the database of the store.
    :param keep: how long records are kept.
    :param monotonic: a monotonic clock in seconds.
    :param step: how many records of a kind a step deletes at most.
    """

    def __init__(
        self, database: Database, keep: timedelta, monotonic: Callable[[], float] = time.monotonic, step: int = 1000
    ) -> None:
        self._database = database
        self._keep = keep
        self._step = step
        self._monotonic = monotonic
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
        """Delete records that are too old at an instant, until there are none, or for a fraction of a second."""
        began = self._monotonic()
        before = now - self._keep
        deleted = self._step
        while deleted == self._step and self._monotonic() - began < LONGEST:
            with self._database.begin() as connection:
                deleted = max(History(connection).prune(before, self._step), leases.prune(connection, self._step))
                Ticks(connection).prune(before)


def _take_minute(connection: StoreConnection) -> bool:
    """Take the minute of the newest tick for this process, and return whether it was free."""
    free = or_(ticks.c.pruned_minute.is_(None), ticks.c.pruned_minute != ticks.c.last_minute)
    taken = connection.update(ticks).where(free).values(pruned_minute=ticks.c.last_minute)
    return bool(connection.execute(taken)) or Ticks(connection).state() is None
