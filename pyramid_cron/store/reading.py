"""What is remembered, for people: the runs, the minutes that had none, and the ticks that did not come."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, func, select

from pyramid_cron.reports import FAILED, LOST, STUCK, PastRun
from pyramid_cron.store.history import MISSED
from pyramid_cron.store.schema import gaps, runs, tasks, ticks

# what somebody has to hear of, beside what was missed
FAULTS = (FAILED, LOST, STUCK)

COLUMNS = [runs.c[name] for name in PastRun._fields]


class Missed(NamedTuple):
    """Minutes for which a task was due, found out at once, in which nobody asked in time.

    :param task: the name of the task.
    :param first: the first of the minutes, in UTC as those below.
    :param last: the last of them.
    :param minutes: how many they are.
    :param found: when that was found out.
    """

    task: str
    first: datetime
    last: datetime
    minutes: int
    found: datetime


class Gap(NamedTuple):
    """Minutes without a tick, one after another.

    :param first: the first of them, in UTC.
    :param last: the last of them.
    """

    first: datetime
    last: datetime


def last_runs(connection: Connection, app: str) -> dict[str, PastRun]:
    """Return the last run that has begun of each task, by the names of the tasks."""
    mine = and_(runs.c.app == tasks.c.app, runs.c.task == tasks.c.task, runs.c.attempt > 0)
    newest = select(runs.c.id).where(mine).order_by(runs.c.started.desc()).limit(1)
    query = (
        select(*COLUMNS)
        .select_from(tasks)
        .join(runs, runs.c.id == newest.correlate(tasks).scalar_subquery())
        .where(tasks.c.app == app)
    )
    return {run.task: run for run in (PastRun(*row) for row in connection.execute(query))}


def past_runs(
    connection: Connection,
    app: str,
    limit: int,
    names: Collection[str] = (),
    since: datetime | None = None,
    faults: bool = False,
) -> list[PastRun]:
    """Return runs, and what was skipped, the newest first.

    :param limit: how many at most.
    :param names: the tasks, all if there is none.
    :param since: the instant at which they began at the earliest.
    :param faults: return only what somebody has to hear of.
    """
    wanted = _wanted(app, names)
    wanted += [runs.c.status.in_(FAULTS) if faults else runs.c.status != MISSED]
    if since is not None:
        wanted.append(runs.c.started >= since)
    query = select(*COLUMNS).where(*wanted).order_by(runs.c.started.desc(), runs.c.id).limit(limit)
    return [PastRun(*row) for row in connection.execute(query)]


def missed(
    connection: Connection, app: str, limit: int, names: Collection[str] = (), since: datetime | None = None
) -> list[Missed]:
    """Return what was missed, the newest first: one value for all minutes of a task that were found out at once."""
    wanted = [*_wanted(app, names), runs.c.status == MISSED]
    minute = runs.c.scheduled_for
    query = (
        select(runs.c.task, func.min(minute), func.max(minute), func.count(), runs.c.started)
        .where(*wanted)
        .group_by(runs.c.task, runs.c.started)
        .order_by(func.max(minute).desc(), runs.c.task)
        .limit(limit)
    )
    if since is not None:
        query = query.having(func.max(minute) >= since)
    return [Missed(*row) for row in connection.execute(query)]


def gaps_since(connection: Connection, app: str, limit: int, since: datetime | None = None) -> list[Gap]:
    """Return the gaps of which at least the end is not before ``since``, the newest first."""
    query = select(gaps.c.first, gaps.c.last).where(gaps.c.app == app).order_by(gaps.c.first.desc()).limit(limit)
    if since is not None:
        query = query.where(gaps.c.last >= since)
    return [Gap(*row) for row in connection.execute(query)]


def in_order(
    past: Iterable[PastRun], passed_over: Iterable[Missed], without_tick: Iterable[Gap], limit: int
) -> list[PastRun | Missed | Gap]:
    """Return what happened in the order in which it did, the newest last.

    :param limit: how many of the newest; to none of the three any may be lacking that is among them.
    """
    # a gap comes before what was missed in it
    entries: list[PastRun | Missed | Gap] = [*without_tick, *passed_over, *past]
    return sorted(entries, key=when)[-limit:]


def when(entry: PastRun | Missed | Gap) -> datetime:
    """Return the instant at which something has its place among the others."""
    if isinstance(entry, Gap):
        return entry.first
    if isinstance(entry, Missed):
        return entry.last
    # what did not begin belongs to its minute, and not to the time at which that was noticed
    return entry.started if entry.attempt or entry.scheduled_for is None else entry.scheduled_for


def last_tick(connection: Connection, app: str) -> datetime | None:
    """Return the newest minute that had a tick, ``None`` if none has come yet."""
    return connection.scalar(select(ticks.c.last_minute).where(ticks.c.app == app))


def _wanted(app: str, names: Collection[str]) -> list[ColumnElement[bool]]:
    return [runs.c.app == app, *([runs.c.task.in_(names)] if names else [])]
