"""Whether all is well with the tasks of an application, for whoever watches it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime, timedelta, timezone
from types import MappingProxyType
from typing import Any, NamedTuple

from sqlalchemy import Connection

from pyramid_cron.reports import FAILED, LOST, MISSED, STUCK, duration
from pyramid_cron.store import pauses, queries

# for how long there may be no tick
LONGEST_SILENCE = timedelta(minutes=2)


class Health(NamedTuple):
    """What is wrong, if anything is.

    :param last_tick: the newest minute that had a tick, in UTC; ``None`` if none ever came.
    :param silence: how long ago that is, by the database's clock.
    :param faults: the names of tasks by what is wrong with them, ``'failed'``, ``'lost'``, ``'missed'`` or ``'stuck'``,
        each with how that is told.
    :param paused: the names of the tasks that somebody has paused.
    :param problem: why nothing can be told.
    """

    last_tick: datetime | None = None
    silence: timedelta | None = None
    faults: Mapping[str, Mapping[str, str]] = MappingProxyType({})
    paused: tuple[str, ...] = ()
    problem: str | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong. A paused task is not wrong."""
        return self.problem is None and not self.faults and self.silence is not None and self.silence <= LONGEST_SILENCE

    def __str__(self) -> str:
        if self.problem is not None:
            return f'fail: {self.problem}'
        if self.silence is None:
            told = ['no tick has come yet']
        else:
            told = [f'last tick {duration(self.silence.total_seconds())} ago']
        told += [f'{outcome}: {", ".join(tasks.values())}' for outcome, tasks in self.faults.items()]
        if self.paused:
            told.append(f'paused: {", ".join(self.paused)}')
        return f'ok, {"; ".join(told)}' if self.ok else f'fail: {"; ".join(told)}'

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            'status': 'ok' if self.ok else 'fail',
            'last_tick': self.last_tick and self.last_tick.isoformat(),
            'seconds_since_last_tick': None if self.silence is None else round(self.silence.total_seconds(), 3),
            **{status: list(self.faults.get(status, {})) for status in (FAILED, STUCK, LOST, MISSED)},
            'paused': list(self.paused),
            'problem': self.problem,
        }


def examine(connection: Connection, app: str, windows: Mapping[str, float]) -> Health:
    """Return the health of an application.

    :param windows: for each of its tasks, by their names, the seconds after which it is stuck if it runs. What was
        renamed or removed does not count any more.
    """
    now = queries.clock(connection)
    last_tick = queries.last_tick(connection, app)
    faults: dict[str, dict[str, str]] = {}
    for name, outcome in sorted(queries.outcomes(connection, app).items()):
        if name in windows and outcome in (FAILED, LOST, MISSED):
            faults.setdefault(outcome, {})[name] = name
    for name, began in sorted(queries.running(connection, app).items()):
        if now - began > windows.get(name, math.inf):
            faults.setdefault(STUCK, {})[name] = f'{name} (running for {duration(now - began)})'
    instant = datetime.fromtimestamp(now, timezone.utc)
    return Health(
        last_tick,
        None if last_tick is None else max(instant - last_tick, timedelta(0)),
        faults,
        tuple(name for name in pauses.paused(connection, app, instant) if name in windows),
    )
