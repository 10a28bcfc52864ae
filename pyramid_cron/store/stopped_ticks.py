"""Ticks that have stopped, and that come again: the row of the ticks has each reported once over all servers."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import or_

from pyramid_cron.errors import Unavailable
from pyramid_cron.events import TicksResumed
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.dialects import NOW
from pyramid_cron.store.options import Options
from pyramid_cron.store.schema import ticks
from pyramid_cron.store.ticks import Tick

log = logging.getLogger(__name__)

STATE = StoreConnection.select(ticks, ticks.c.last_minute, ticks.c.stopped_after, NOW)


class LastTick(NamedTuple):
    """The last tick as another process than its own finds it.

    :param minute: its minute.
    :param stopped_after: the minute of the last tick for which it is reported that none followed, ``None`` if none is.
    :param clock: the database's clock, in seconds since 1970.
    """

    minute: datetime
    stopped_after: datetime | None
    clock: float

    @property
    def seconds(self) -> float:
        """How long ago its minute began, by the database's clock."""
        return self.clock - self.minute.timestamp()

    @property
    def is_reported(self) -> bool:
        """Whether a process has reported that no tick has followed."""
        return self.stopped_after == self.minute


def last_tick(connection: StoreConnection) -> LastTick | None:
    """Return the last tick, ``None`` if there was none."""
    rows = connection.rows(STATE)
    return LastTick(*rows[0]) if rows else None


def mark_stopped(connection: StoreConnection, minute: datetime) -> bool:
    """Record that ticks have stopped after a minute, and return whether no other process has and no tick has come."""
    unknown = or_(ticks.c.stopped_after.is_(None), ticks.c.stopped_after != minute)
    mine = connection.update(ticks).where(ticks.c.last_minute == minute, unknown)
    return connection.execute(mine, {'stopped_after': minute}) == 1


def mark_resumed(connection: StoreConnection, stopped_after: datetime) -> bool:
    """Record that a tick has come after they had stopped, and return whether no other process has."""
    mine = connection.update(ticks).where(ticks.c.stopped_after == stopped_after)
    return connection.execute(mine, {'stopped_after': None}) == 1


def report_resumed(connection: StoreConnection, tick: Tick, options: Options) -> None:
    """Report that ticks come again, if it is reported that they had stopped.

    A tick for an earlier minute, which a person orders, does not count.
    """
    before = tick.stopped_after
    if before is None or before == tick.last:
        return
    try:
        mine = mark_resumed(connection, before)
    except Unavailable as exc:
        # the next tick finds it, too
        log.debug('it cannot be recorded that ticks come again: %s', exc)
        return
    if mine:
        log.warning('ticks come again: none had come since %s', options.shown(before))
        options.notify(TicksResumed(before, tick.last))
