"""A tick in one statement, where the database has one: it is recorded, and the rows of tasks that matter are read."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import and_, or_

from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.dialects import Dialect
from pyramid_cron.store.schema import NEEDS_ATTENTION, tasks, ticks
from pyramid_cron.store.task_columns import COLUMNS, is_named, joined, of_names, state_of
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
    values = of_tick(minute, most_ahead, nothing_due) | of_names(names)
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
    wanted = and_(StoreConnection.of_app(tasks), or_(is_named(dialect), NEEDS_ATTENTION, may_owe()))
    of_tick_only = [tick.c[label.name] for label in labelled]
    return StoreConnection.select(tick, *of_tick_only, *COLUMNS).select_from(tick.outerjoin(joined(), wanted))
