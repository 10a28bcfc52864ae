"""Queries of the history for people: runs, minutes without one, and strips of outcomes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Select, and_, case, func, literal, or_, true

from pyramid_cron.history_entries import BACKFILL, MADE_GOOD, ActionEntry, PastRun
from pyramid_cron.outcomes import MISSED, OK, QUEUED, RUNNING
from pyramid_cron.schedules.clock import EPOCH
from pyramid_cron.store.actions import Actions
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.day_runs import DayRuns, gaps_between, not_good_between, runs_between
from pyramid_cron.store.live_outputs import KeptOutput, outputs_of
from pyramid_cron.store.run_columns import JOINED, OUTCOME, PAST_RUN
from pyramid_cron.store.run_lengths import RunLength, last_lengths
from pyramid_cron.store.schema import FAULT, IS_BY_HAND, runs, tasks
from pyramid_cron.store.ticks import Gap, Ticks

# entries of a task that are read for the one run that was in progress at an instant: minutes that were skipped while it
# was may be among them
MOST_BEFORE = 100

# to be read from JOINED only
IN_STRIP = case((runs.c.made_good_by.is_not(None), literal(MADE_GOOD)), else_=OUTCOME)


class Missed(NamedTuple):
    """Missed minutes of a task that were recorded at the same time.

    :param task: the name of the task.
    :param first: the first of the minutes, in UTC as those below.
    :param last: the last of them.
    :param minutes: how many they are.
    :param found: when they were recorded.
    :param reason: why they were missed, if known.
    """

    task: str
    first: datetime
    last: datetime
    minutes: int
    found: datetime
    reason: str | None = None


# an entry of the history
Entry = PastRun | Missed | Gap | ActionEntry


class Queries:
    """The history of an application, and its gaps.

    :param connection: a connection of the application.
    """

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection

    def past_runs(
        self, limit: int, names: Collection[str] = (), since: datetime | None = None, faults: bool = False
    ) -> list[PastRun]:
        """Return runs, and skipped minutes, the newest first.

        :param limit: how many at most.
        :param names: the names of the tasks, all if there is none.
        :param since: the instant at which they began at the earliest.
        :param faults: only runs that a person on call has to look at.
        """
        found = chain.from_iterable(self._newest_runs(limit, one, since, faults) for one in _one_by_one(names))
        return sorted(found, key=lambda run: run.started, reverse=True)[:limit]

    def _newest_runs(self, limit: int, names: Collection[str], since: datetime | None, faults: bool) -> list[PastRun]:
        # minutes that are still missed are of another kind
        shown = or_(runs.c.outcome != MISSED, runs.c.made_good_by.is_not(None))
        query = self._past_runs(names).where(runs.c.not_good == FAULT if faults else shown)
        if since is not None:
            query = query.where(runs.c.started >= since)
        # both downwards: MySQL would read everything to sort it otherwise
        newest = query.order_by(runs.c.started.desc(), runs.c.id.desc()).limit(limit)
        return [PastRun(*row) for row in self._connection.rows(newest)]

    def begun_before(self, since: datetime, names: Iterable[str]) -> list[PastRun]:
        """Return the runs that began before an instant and did not end before it, the newest first.

        Two runs of a task do not overlap: of each, only the newest entries before the instant are read.

        :param names: the names of the tasks.
        """
        found = chain.from_iterable(self._newest_before(since, name) for name in names)
        lasting = (run for run in found if run.attempt and _lasted_until(run, since))
        return sorted(lasting, key=lambda run: run.started, reverse=True)

    def _newest_before(self, since: datetime, name: str) -> list[PastRun]:
        query = self._past_runs([name]).where(runs.c.started < since)
        newest = query.order_by(runs.c.started.desc(), runs.c.id.desc()).limit(MOST_BEFORE)
        return [PastRun(*row) for row in self._connection.rows(newest)]

    def runs_by_hand(self, limit: int, names: Collection[str] = (), since: datetime | None = None) -> list[PastRun]:
        """Return runs by name, and for past minutes on request, the newest first.

        The parameters are those of :meth:`past_runs`.
        """
        query = self._past_runs().where(IS_BY_HAND)
        if names:
            query = query.where(or_(*map(_is_named, names)))
        if since is not None:
            query = query.where(runs.c.started >= since)
        # not by the column as it is: SQLite would go through all runs in their order
        newest = query.order_by(func.coalesce(runs.c.started, runs.c.finished).desc(), runs.c.id.desc())
        return [PastRun(*row) for row in self._connection.rows(newest.limit(limit))]

    def missed(self, limit: int, names: Collection[str] = (), since: datetime | None = None) -> list[Missed]:
        """Return missed minutes, the newest first: one value for all minutes of a task that were recorded together.

        :param limit: how many values at most, of those that were recorded last.
        :param names: the names of the tasks, all if there is none.
        :param since: the instant that the last of the minutes is not before.
        """
        found = chain.from_iterable(self._newest_missed(limit, one, since) for one in _one_by_one(names))
        return sorted(found, key=lambda entry: (-entry.last.timestamp(), entry.task))[:limit]

    def _newest_missed(self, limit: int, names: Collection[str], since: datetime | None) -> list[Missed]:
        minute = runs.c.scheduled_for
        is_missed = [runs.c.not_good == MISSED]
        if since is not None:
            # they were recorded later than they happened: older records need not be read
            is_missed.append(runs.c.started >= since)
        records = self._runs(names, runs.c.started).where(*is_missed).distinct().order_by(runs.c.started.desc())
        recorded = self._connection.scalars(records.limit(limit))
        if not recorded:
            return []
        columns = runs.c.task, func.min(minute), func.max(minute), func.count(), runs.c.started, runs.c.reason
        query = self._runs(names, *columns).where(*is_missed, runs.c.started >= recorded[-1])
        query = query.group_by(runs.c.started, runs.c.task, runs.c.reason)
        if since is not None:
            query = query.having(func.max(minute) >= since)
        return [Missed(*row) for row in self._connection.rows(query)]

    def outputs_of(self, run_ids: Collection[str]) -> dict[str, KeptOutput]:
        """Return notes and logs of runs by their ids, of one in progress as of the last heartbeat of its process."""
        return outputs_of(self._connection, run_ids)

    def has_entries(self, name: str) -> bool:
        """Return whether a run of a task, or a minute without one, is recorded."""
        return self._connection.scalar(self._runs([name], runs.c.id).limit(1)) is not None

    def actions(self, limit: int, names: Collection[str] = (), since: datetime | None = None) -> list[ActionEntry]:
        """Return what users did, the newest first, see :meth:`.Actions.newest`."""
        return Actions(self._connection).newest(limit, names, since)

    def gaps(self, limit: int, since: datetime | None = None) -> list[Gap]:
        """Return the gaps that do not end before ``since``, the newest first."""
        return Ticks(self._connection).gaps(limit, since)

    def gap_at(self, minute: datetime) -> Gap | None:
        """Return the gap in the ticks that contains a minute, ``None`` if no gap does."""
        return Ticks(self._connection).gap_at(minute)

    def for_minute(self, names: Collection[str], minute: datetime) -> list[PastRun]:
        """Return the runs of tasks for a minute in which they were due."""
        return sorted(self._of_minute(names, minute), key=lambda run: (run.task, run.started))

    def became_of(self, name: str, minute: datetime, former: Collection[str] = ()) -> list[PastRun]:
        """Return the runs of a task for a minute, or the record that it did not run, the newest last.

        :param former: further names that records of the task may have.
        """
        return sorted(self._of_minute([name, *former], minute), key=lambda run: run.started)

    def between(self, names: Collection[str], first: datetime, last: datetime) -> list[PastRun]:
        """Return the runs of a task for the minutes from one to another, and the records that it did not run.

        :param names: the names that records of the task may have.
        """
        is_named, is_between = or_(*map(_is_named, names)), runs.c.scheduled_for.between(first, last)
        return [PastRun(*row) for row in self._connection.rows(self._past_runs().where(is_named, is_between))]

    def ok_minutes(self, names: Collection[str], minutes: Collection[datetime]) -> set[datetime]:
        """Return those of some minutes for which a run of a task was ok.

        :param names: the names that records of the task may have.
        """
        was_ok = (or_(*map(_is_named, names)), runs.c.scheduled_for.in_(minutes), runs.c.outcome == OK)
        return set(self._connection.scalars(self._connection.select(runs, runs.c.scheduled_for).where(*was_ok)))

    def backfilled_since(self, name: str, minute: datetime, since: datetime) -> datetime | None:
        """Return when a backfill of a minute last began, if that was not before ``since``."""
        began = self._connection.select(runs, func.max(runs.c.started)).where(
            _is_named(name), runs.c.scheduled_for == minute, runs.c.trigger == BACKFILL, runs.c.started >= since
        )
        found: datetime | None = self._connection.scalar(began)
        return found

    def _of_minute(self, names: Collection[str], minute: datetime) -> list[PastRun]:
        # sorted by the caller, and the name not as it is: without statistics SQLite would read all runs of a task
        is_named = (runs.c.task + '').in_(names)
        query = self._past_runs().where(is_named, runs.c.scheduled_for == minute)
        return [PastRun(*row) for row in self._connection.rows(query)]

    def by_hand_since(self, name: str, since: datetime) -> datetime | None:
        """Return when a run of a task by name last began, if that was not before ``since``."""
        query = self._runs([name], runs.c.started).where(runs.c.trigger == 'manual', runs.c.started >= since)
        began: datetime | None = self._connection.scalar(query.order_by(runs.c.started.desc()).limit(1))
        return began

    def run_lengths(self, names: Collection[str], limit: int) -> list[RunLength]:
        """Return how long the last runs of a task took, see :func:`.last_lengths`.

        :param names: the names that records of the task may have.
        """
        found = chain.from_iterable(last_lengths(self._connection, name, limit) for name in names)
        return sorted(found, key=lambda run: run.started)[-limit:]

    def runs_between(self, names: Collection[str], first: datetime, end: datetime, limit: int) -> DayRuns:
        """Return the runs of tasks that went on between two instants, see :func:`.runs_between`."""
        return runs_between(self._connection, names, first, end, limit)

    def not_good_between(self, first: datetime, end: datetime, limit: int) -> DayRuns:
        """Return what went wrong between two instants, see :func:`.not_good_between`."""
        return not_good_between(self._connection, first, end, limit)

    def gaps_between(self, first: datetime, end: datetime, limit: int) -> list[Gap]:
        """Return the minutes without a tick between two instants, the newest first."""
        return gaps_between(self._connection, first, end, limit)

    def strips(self, limit: int, names: Collection[str] = ()) -> dict[str, list[str]]:
        """Return the outcomes of the last runs of each task, by the names of the tasks, the newest last.

        Minutes that were missed, skipped or paused are among them. No more of the history is read than is returned.

        :param limit: how many of each task at most.
        :param names: the names of the tasks, all if there is none.
        """
        by_lateral = self._connection.dialect.has_lateral
        query = self._strips_by_lateral(limit, names) if by_lateral else self._strips_by_begin(limit, names)
        found: dict[str, list[str]] = {}
        for task, outcome in self._connection.rows(query):
            found.setdefault(task, []).append(outcome)
        # minutes that were recorded together have all begun together
        return {task: outcomes[-limit:] for task, outcomes in found.items()}

    def _strips_by_lateral(self, limit: int, names: Collection[str]) -> Select[Any]:
        """Return the query of :meth:`strips` for PostgreSQL, which would read whole tables to join them."""
        last = self._connection.select(runs, IN_STRIP.label('outcome'), runs.c.started, runs.c.scheduled_for)
        last = last.where(self._connection.same_task(runs, tasks))
        newest = last.order_by(runs.c.started.desc()).fetch(limit, with_ties=True).correlate(tasks).lateral()
        query = self._connection.select(tasks, tasks.c.task, newest.c.outcome).join_from(tasks, newest, true())
        query = query.where(tasks.c.task.in_(names)) if names else query
        return query.order_by(tasks.c.task, newest.c.started, newest.c.scheduled_for)

    def _strips_by_begin(self, limit: int, names: Collection[str]) -> Select[Any]:
        """Return the query of :meth:`strips` for databases without LATERAL: runs since the n-th newest one began."""
        same = self._connection.same_task
        older = runs.alias()
        begin = self._connection.select(older, older.c.started).where(same(older, tasks))
        begin = begin.order_by(older.c.started.desc()).limit(1).offset(limit - 1)
        since = func.coalesce(begin.correlate(tasks).scalar_subquery(), EPOCH).label('since')
        # distinct, or else SQLite would begin with all runs and look for the time once for each of them
        chosen = self._connection.select(tasks, tasks.c.app, tasks.c.task, since)
        known = (chosen.where(tasks.c.task.in_(names)) if names else chosen).distinct().subquery()
        of_known = and_(same(runs, known), runs.c.started >= known.c.since)
        query = self._connection.select(known, known.c.task, IN_STRIP).join_from(known, runs, of_known)
        query = query.outerjoin(tasks, same(runs, tasks))
        return query.order_by(known.c.task, runs.c.started, runs.c.scheduled_for)

    def _past_runs(self, names: Collection[str] = ()) -> Select[Any]:
        return self._runs(names, *PAST_RUN).select_from(JOINED)

    def _runs(self, names: Collection[str], *columns: ColumnElement[Any]) -> Select[Any]:
        query = self._connection.select(runs, *columns)
        return query.where(runs.c.task.in_(names)) if names else query


def _is_named(name: str) -> ColumnElement[bool]:
    # the name not as it is: without statistics SQLite would read all runs of a task
    return runs.c.task + '' == name


def _lasted_until(run: PastRun, instant: datetime) -> bool:
    # one that was lost may be without an end
    return run.outcome in (RUNNING, QUEUED) if run.finished is None else run.finished >= instant


def _one_by_one(names: Collection[str]) -> list[list[str]]:
    """Return the names of tasks each on its own, and no name for all tasks.

    A database that looks for the runs of several tasks at once may read all runs of these, or of all tasks.
    """
    return [[name] for name in dict.fromkeys(names)] or [[]]


def in_order(
    past: Iterable[PastRun],
    missed: Iterable[Missed],
    gaps: Iterable[Gap],
    limit: int,
    actions: Iterable[ActionEntry] = (),
) -> list[Entry]:
    """Return runs, missed minutes, gaps and actions in the order in which they happened, the newest last.

    :param limit: how many of the newest; each of the four has to contain those of its kind that are among them.
    """
    # a gap comes before the minutes that were missed in it
    entries: list[Entry] = [*gaps, *missed, *past, *actions]
    return sorted(entries, key=when)[-limit:]


def when(entry: Entry) -> datetime:
    """Return the instant at which an entry of the history has its place among the others."""
    if isinstance(entry, ActionEntry):
        return entry.at
    if isinstance(entry, Gap):
        return entry.first
    if isinstance(entry, Missed):
        return entry.last
    # a minute without a run belongs to its time, and not to that at which it was recorded
    return entry.started if entry.attempt or entry.scheduled_for is None else entry.scheduled_for
