"""The runs of a day, from the history: of some tasks, and of all tasks what a person has to look at."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import func, null, or_

from pyramid_cron.history_entries import PastRun
from pyramid_cron.outcomes import MISSED
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.run_columns import JOINED, PAST_RUN
from pyramid_cron.store.schema import FAULT, gaps, runs
from pyramid_cron.store.ticks import Gap

# a run that began earlier is not found although it may go on
LONGEST_RUN = timedelta(days=1)
# a missed minute that was recorded later is not found
LATEST_RECORD = timedelta(days=7)

# long texts that no timeline shows
_COLUMNS = [null().label('traceback') if column.name == 'traceback' else column for column in PAST_RUN]


class DayRuns(NamedTuple):
    """Runs, and minutes without one.

    :param runs: the runs.
    :param cut: whether there are more, which began before these.
    """

    runs: list[PastRun]
    cut: bool


def runs_between(
    connection: StoreConnection, names: Collection[str], first: datetime, end: datetime, limit: int
) -> DayRuns:
    """Return runs of tasks that went on between two instants, and skipped minutes, the newest first.

    :param names: the names of the tasks.
    :param limit: how many at most.
    """
    if not names:
        return DayRuns([], False)
    query = (
        connection.select(runs, *_COLUMNS)
        .select_from(JOINED)
        .where(
            runs.c.task.in_(names),
            runs.c.started >= first - LONGEST_RUN,
            runs.c.started < end,
            runs.c.outcome != MISSED,
            or_(runs.c.started >= first, runs.c.finished >= first, runs.c.finished.is_(None)),
        )
    )
    # not by the column as it is: SQLite would go through the runs of all tasks in their order
    newest = query.order_by(func.coalesce(runs.c.started, runs.c.finished).desc(), runs.c.id.desc()).limit(limit + 1)
    found = [PastRun(*row) for row in connection.rows(newest)]
    return DayRuns(found[:limit], len(found) > limit)


def not_good_between(connection: StoreConnection, first: datetime, end: datetime, limit: int) -> DayRuns:
    """Return the runs of all tasks that failed or were lost between two instants, and the minutes that were missed.

    :param limit: how many at most.
    """
    began = runs.c.started.between(first, end - timedelta(microseconds=1))
    was_due = runs.c.scheduled_for.between(first, end - timedelta(microseconds=1))
    query = (
        connection.select(runs, *_COLUMNS)
        .select_from(JOINED)
        .where(
            runs.c.started >= first,
            # minutes are recorded as missed later than they were due
            runs.c.started < end + LATEST_RECORD,
            or_(
                (runs.c.not_good == FAULT) & began,
                (runs.c.not_good == MISSED) & was_due,
            ),
        )
    )
    newest = query.order_by(runs.c.started.desc(), runs.c.id.desc()).limit(limit + 1)
    found = [PastRun(*row) for row in connection.rows(newest)]
    return DayRuns(found[:limit], len(found) > limit)


def gaps_between(connection: StoreConnection, first: datetime, end: datetime, limit: int) -> list[Gap]:
    """Return the minutes without a tick between two instants, the newest first.

    :param limit: how many at most.
    """
    query = connection.select(gaps, gaps.c.first_minute, gaps.c.last_minute, gaps.c.problem)
    query = query.where(gaps.c.last_minute >= first, gaps.c.first_minute < end)
    return [Gap(*row) for row in connection.rows(query.order_by(gaps.c.first_minute.desc()).limit(limit))]
