"""A tick in one statement, where the database has one: it is recorded, and the rows of tasks that matter are read."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import or_, true

from pyramid_cron.store.connection import StoreConnection, lists, of_lists
from pyramid_cron.store.dialects import Dialect
from pyramid_cron.store.schema import NAME, NEEDS_ATTENTION, tasks, ticks
from pyramid_cron.store.task_columns import COLUMNS, joined, state_of
from pyramid_cron.store.task_conditions import may_owe
from pyramid_cron.store.task_state import TaskState
from pyramid_cron.store.ticks import DOES_NOT_WAIT_FOR_DISK, Tick, Ticks, columns, of_tick, upsert


def record_and_load(
    connection: StoreConnection, minute: datetime, most_ahead: float, names: Collection[str], nothing_due: bool
) -> tuple[Tick, dict[str, TaskState] | None]:
    """Record a tick, and return it with the states of tasks, ``None`` if they have to be read by themselves.

    :param most_ahead: as of :meth:`.Ticks.record`.
    :param names: the tasks to return beside those that need attention or may owe a minute.
    :param nothing_due: as of :meth:`.Ticks.record`.
    """
    if not connection.dialect.has_writing_ctes:
        return Ticks(connection).record(minute, most_ahead, nothing_due), None
    values = of_tick(minute, most_ahead, nothing_due) | of_lists({'task': list(names)})
    rows = connection.rows(_record_and_select(connection.dialect), values)
    if not rows:
        return Ticks(connection).refused(minute), None
    of_tick_only = len(Tick._fields)
    # a tick without such a task has one row, with no name
    found = [state_of(row[of_tick_only:]) for row in rows if row[of_tick_only] is not None]
    return Tick(*rows[0][:of_tick_only]), {state.task: state for state in found}


@cache
def _record_and_select(dialect: Dialect) -> Any:
    labelled = [column.label(f'of_tick_{number}') for number, column in enumerate(columns())]
    tick = upsert(dialect).returning(ticks.c.app, *labelled, DOES_NOT_WAIT_FOR_DISK).cte('tick')
    of_tick_only = [tick.c[label.name] for label in labelled]
    # not one condition with all of these, or else a plan without statistics, or for any parameters, looks at all tasks
    named = lists({'task': NAME})
    is_wanted = of_tick_only[Tick._fields.index('attention')]
    others = StoreConnection.select(tasks, tasks.c.task).where(
        StoreConnection.select(tick, is_wanted).scalar_subquery(), or_(NEEDS_ATTENTION, may_owe())
    )
    wanted = StoreConnection.union(StoreConnection.select_new(named.c.task).with_only_columns(named.c.task), others)
    # by its key for each of them, however few the planner takes all tasks for
    of_name = StoreConnection.select(tasks, *COLUMNS).select_from(joined()).where(tasks.c.task == wanted.c.task)
    state = of_name.limit(1).lateral('state')
    found = tick.outerjoin(wanted.join(state, true()), true())
    return StoreConnection.select(tick, *of_tick_only, *state.c).select_from(found)
