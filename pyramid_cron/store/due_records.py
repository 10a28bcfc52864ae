"""Reads what is known of a task and its due minutes, for :mod:`.due_minutes`."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from itertools import islice

from sqlalchemy import and_, func, or_

from pyramid_cron.schedules import clock
from pyramid_cron.store.admin import Store
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.due_minutes import Account, Knowledge, Period, Record, account, due_in
from pyramid_cron.store.run_columns import JOINED, OUTCOME
from pyramid_cron.store.schedule_text import read_schedule
from pyramid_cron.store.schema import runs
from pyramid_cron.store.task_state import TaskState
from pyramid_cron.store.ticks import Ticks
from pyramid_cron.tasks import Task

# minutes of one account
MOST_MINUTES = 200_000
# how much earlier than its minute a run may begin, by a clock that is behind
SKEW = timedelta(hours=3)
# the columns of records with other names than theirs
COLUMNS = {'minute': 'scheduled_for'}
END = datetime.max.replace(tzinfo=clock.EPOCH.tzinfo)


class NoRow(LookupError):
    """No tick has come that knew a task."""


class TooMany(ValueError):
    """A span has more minutes than one account has."""


def read_account(store: Store, name: str, task: Task | None, first: datetime, last: datetime, now: datetime) -> Account:
    """Return what became of each due minute of a task in a span.

    :param task: the task, ``None`` if none of that name is registered here.
    :param first: the first minute of the span, in UTC.
    :param last: the last one, not in the future.
    :param now: the present.
    :raises NoRow: if the store has no row of the task.
    :raises TooMany: for more than :data:`MOST_MINUTES`.
    :raises Unavailable: if the store cannot be read.
    """
    with store.database.reading() as connection:
        # before the records: a run that ends in between is in these
        state = None if connection is None else store.states_in(connection, [name]).get(name)
        if connection is None or state is None:
            raise NoRow(name)
        oldest = connection.scalar(connection.select(runs, func.min(runs.c.started)))
        ticks = Ticks(connection).state()
        knowledge = knowledge_of(state, task, store.options.keep_history, oldest, now, ticks and ticks.last)
        if len(list(islice(due_in(knowledge, first, last), MOST_MINUTES + 1))) > MOST_MINUTES:
            raise TooMany(f'{name} was due more than {MOST_MINUTES} times then: name a shorter span')
        return account(knowledge, _records(connection, state.names, first, last), first, last)


def knowledge_of(
    state: TaskState,
    task: Task | None,
    keep_history: timedelta,
    oldest: datetime | None,
    now: datetime,
    last_tick: datetime | None = None,
) -> Knowledge:
    """Return what is known of a task beside the records of its runs.

    :param state: its row.
    :param task: the task, ``None`` if none of that name is registered here.
    :param keep_history: how long records are kept.
    :param oldest: when the oldest run of the application began that is recorded, ``None`` without one.
    :param last_tick: the newest minute that had a tick, ``None`` if there is none.
    """
    # records of a minute begin with it at the earliest
    kept_from = clock.minute_of(now - keep_history) + clock.MINUTE
    return Knowledge(
        periods_of(state, task),
        state.first_seen + clock.MINUTE,
        state.owed_after(task is not None and task.runs_each_minute),
        max(kept_from, clock.minute_of(now if oldest is None else oldest)),
        now,
        last_tick,
    )


def periods_of(state: TaskState, task: Task | None) -> list[Period]:
    """Return the schedules of a task that are known, the earliest first; none if none can be read.

    :param state: its row.
    :param task: the task, ``None`` if none of that name is registered here.
    """
    schedule = read_schedule(state.schedule)
    if schedule is None and task is not None:
        schedule = task.schedule, task.timezone
    if schedule is None:
        return []
    changed, before = state.schedule_changed_at, read_schedule(state.previous_schedule)
    if changed is None:
        return [Period(clock.EPOCH, END, *schedule)]
    current = Period(changed, END, *schedule)
    if before is None or state.previous_schedule_from is None:
        return [current]
    return [Period(state.previous_schedule_from, changed - clock.MINUTE, *before), current]


def _records(
    connection: StoreConnection, names: Collection[str], first: datetime, last: datetime
) -> Collection[Record]:
    columns = [
        OUTCOME.label(field) if field == 'outcome' else runs.c[COLUMNS.get(field, field)] for field in Record._fields
    ]
    # by its start, of which there is an index with the task
    in_span = or_(
        runs.c.scheduled_for.between(first, last),
        and_(runs.c.scheduled_for.is_(None), runs.c.started <= last + clock.MINUTE),
    )
    query = connection.select(runs, *columns).select_from(JOINED)
    query = query.where(runs.c.task.in_(names), runs.c.started >= first - SKEW, in_span)
    return [Record(*row) for row in connection.rows(query)]
