"""What is remembered, for people: the runs, the minutes that had none, and the ticks that did not come."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, Connection, and_, func, select, true

from pyramid_cron.reports import FAILED, LOST, MISSED, OK, STUCK, PastRun
from pyramid_cron.schedules.clock import EPOCH
from pyramid_cron.store.schema import database_clock, gaps, runs, tasks, ticks

# what somebody has to hear of, beside what was missed
FAULTS = (FAILED, LOST, STUCK)

# how long after its minute a run is looked for
LONGEST_DELAY = timedelta(days=7)

COLUMNS = [runs.c[name] for name in PastRun._fields]


class Missed(NamedTuple):
    """Minutes for which a task was due, found out at once, in which nobody asked in time.

    :param task: the name of the task.
    :param first: the first of the minutes, in UTC as those below.
    :param last: the last of them.
    :param minutes: how many they are.
    :param found: when that was found out.
    :param reason: why, if that is known.
    """

    task: str
    first: datetime
    last: datetime
    minutes: int
    found: datetime
    reason: str | None = None


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
    wanted += [runs.c.outcome.in_(FAULTS) if faults else runs.c.outcome != MISSED]
    if since is not None:
        wanted.append(runs.c.started >= since)
    query = select(*COLUMNS).where(*wanted).order_by(runs.c.started.desc(), runs.c.id).limit(limit)
    return [PastRun(*row) for row in connection.execute(query)]


def missed(
    connection: Connection, app: str, limit: int, names: Collection[str] = (), since: datetime | None = None
) -> list[Missed]:
    """Return what was missed, the newest first: one value for all minutes of a task that were found out at once.

    :param limit: how many at most.
    :param names: the tasks, all if there is none.
    :param since: the instant that the last of the minutes is not before.
    """
    wanted = [*_wanted(app, names), runs.c.outcome == MISSED]
    if since is not None:
        # found out later than it happened
        wanted.append(runs.c.started >= since)
    minute = runs.c.scheduled_for
    query = (
        select(runs.c.task, func.min(minute), func.max(minute), func.count(), runs.c.started, runs.c.reason)
        .where(*wanted)
        .group_by(runs.c.task, runs.c.started, runs.c.reason)
        .order_by(func.max(minute).desc(), runs.c.task)
        .limit(limit)
    )
    if since is not None:
        # found out afterwards; what is older need not be read
        query = query.where(runs.c.finished >= since).having(func.max(minute) >= since)
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


def strips(connection: Connection, app: str, limit: int) -> dict[str, list[str]]:
    """Return the statuses of the last runs of each task, by the names of the tasks, the newest last.

    What was missed, skipped or paused is among them. However long the history is, no more of it is read than is shown.

    :param limit: how many of each task at most.
    """
    mine = and_(runs.c.app == tasks.c.app, runs.c.task == tasks.c.task)
    if connection.dialect.name == 'postgresql':
        # by what it knows of their sizes, it would read whole tables to join them
        columns = select(runs.c.outcome, runs.c.started, runs.c.scheduled_for)
        last = columns.where(mine).order_by(runs.c.started.desc()).fetch(limit, with_ties=True)
        newest = last.correlate(tasks).lateral()
        query = select(tasks.c.task, newest.c.outcome).where(tasks.c.app == app).join_from(tasks, newest, true())
        query = query.order_by(tasks.c.task, newest.c.started, newest.c.scheduled_for)
    else:
        older = runs.alias()
        of_task = and_(older.c.app == tasks.c.app, older.c.task == tasks.c.task)
        begin = select(older.c.started).where(of_task).order_by(older.c.started.desc()).limit(1).offset(limit - 1)
        since = func.coalesce(begin.correlate(tasks).scalar_subquery(), EPOCH).label('since')
        # distinct, or else SQLite would begin with all runs and look for the time once for each of them
        known = select(tasks.c.app, tasks.c.task, since).where(tasks.c.app == app).distinct().subquery()
        of_known = and_(runs.c.app == known.c.app, runs.c.task == known.c.task, runs.c.started >= known.c.since)
        query = select(known.c.task, runs.c.outcome).join_from(known, runs, of_known)
        query = query.order_by(known.c.task, runs.c.started, runs.c.scheduled_for)
    found: dict[str, list[str]] = {}
    for task, outcome in connection.execute(query):
        found.setdefault(task, []).append(outcome)
    # what was missed at once has all begun at once
    return {task: statuses[-limit:] for task, statuses in found.items()}


def for_minute(connection: Connection, app: str, names: Collection[str], minute: datetime) -> list[PastRun]:
    """Return what became of tasks that were due in a minute, as far as that was recorded within a week.

    :param names: those of the tasks.
    """
    within = and_(runs.c.started >= minute, runs.c.started < minute + LONGEST_DELAY)
    wanted = and_(runs.c.app == app, runs.c.task.in_(names), within, runs.c.scheduled_for == minute)
    query = select(*COLUMNS).where(wanted).order_by(runs.c.task, runs.c.started)
    return [PastRun(*row) for row in connection.execute(query)]


def by_hand_since(connection: Connection, app: str, name: str, since: datetime) -> datetime | None:
    """Return when a task last began because somebody asked for it by name, if that was not before ``since``."""
    by_hand = and_(runs.c.app == app, runs.c.task == name, runs.c.trigger == 'manual', runs.c.started >= since)
    return connection.scalar(select(runs.c.started).where(by_hand).order_by(runs.c.started.desc()).limit(1))


def clock(connection: Connection) -> float:
    """Return what the database's clock says, in seconds since 1970."""
    return connection.scalars(select(database_clock())).one()


def running(connection: Connection, app: str) -> dict[str, float]:
    """Return the tasks that are running, each with when that began by the database's clock."""
    begun = and_(tasks.c.run_id.is_not(None), tasks.c.queued.is_(None))
    query = select(tasks.c.task, tasks.c.began).where(tasks.c.app == app, begun)
    return {row.task: row.began for row in connection.execute(query)}


def outcomes(connection: Connection, app: str) -> dict[str, str]:
    """Return how each task ended the last time that it should have run: ok, failed, lost or missed."""
    mine = and_(runs.c.app == tasks.c.app, runs.c.task == tasks.c.task, runs.c.outcome.in_((OK, *FAULTS, MISSED)))
    newest = select(runs.c.outcome).where(mine).order_by(runs.c.started.desc(), runs.c.attempt.desc()).limit(1)
    query = select(tasks.c.task, newest.correlate(tasks).scalar_subquery()).where(tasks.c.app == app)
    return {name: outcome for name, outcome in connection.execute(query) if outcome is not None}


def last_successes(connection: Connection, app: str) -> dict[str, datetime]:
    """Return when each task that is remembered to have succeeded last did."""
    mine = and_(runs.c.app == tasks.c.app, runs.c.task == tasks.c.task, runs.c.outcome == OK)
    newest = select(func.max(runs.c.finished)).where(mine)
    query = select(tasks.c.task, newest.correlate(tasks).scalar_subquery()).where(tasks.c.app == app)
    return {name: finished for name, finished in connection.execute(query) if finished is not None}


def counts(connection: Connection, app: str, since: datetime) -> dict[tuple[str, str], int]:
    """Return how many runs ended since an instant, by task and outcome."""
    query = (
        select(runs.c.task, runs.c.outcome, func.count())
        .where(runs.c.app == app, runs.c.finished >= since)
        .group_by(runs.c.task, runs.c.outcome)
    )
    return {(task, outcome): count for task, outcome, count in connection.execute(query)}


def last_tick(connection: Connection, app: str) -> datetime | None:
    """Return the newest minute that had a tick, ``None`` if none has come yet."""
    return connection.scalar(select(ticks.c.last_minute).where(ticks.c.app == app))


def _wanted(app: str, names: Collection[str]) -> list[ColumnElement[bool]]:
    return [runs.c.app == app, *([runs.c.task.in_(names)] if names else [])]
