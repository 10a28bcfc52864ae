"""The columns of a task that are read together, and the typed state of a row."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import fields
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, FromClause, Select, and_, any_, bindparam

from pyramid_cron.claims import Pause
from pyramid_cron.names import ALL_TASKS
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.dialects import NOW, Dialect
from pyramid_cron.store.liveness import ProcessState
from pyramid_cron.store.pause_times import FOR_EVER
from pyramid_cron.store.schema import pauses, processes, tasks
from pyramid_cron.store.task_state import TaskState

# the pause of all tasks, beside that of a task
PAUSES_OF_ALL = pauses.alias('pauses_of_all')

# the fields of a state that no column of its task is named after
OTHERS = ('process', 'pause', 'pause_of_all', 'paused_from', 'all_paused_from', 'other_names')
OF_TASK = [tasks.c[field.name] for field in fields(TaskState) if field.name not in OTHERS]
OF_PROCESS = [processes.c[field.name] for field in fields(ProcessState) if field.name != 'lease_over']
OF_PAUSE = [pauses.c.until, pauses.c.reason, pauses.c.requested_by]
COLUMNS = [
    *OF_TASK,
    tasks.c.process.label('process_id'),
    *OF_PROCESS,
    (processes.c.lease_until < NOW).label('lease_over'),
    *OF_PAUSE,
    *(PAUSES_OF_ALL.c[column.name].label(f'{column.name}_of_all') for column in OF_PAUSE),
    pauses.c.since.label('paused_from'),
    PAUSES_OF_ALL.c.since.label('all_paused_from'),
]
FIELDS = [column.name for column in OF_TASK]
FIELDS_OF_PROCESS = [column.name for column in OF_PROCESS]
NAMES = 'these_tasks'


def joined() -> FromClause:
    """Return the rows of tasks with those of their processes and pauses."""
    of_process = tasks.outerjoin(processes, tasks.c.process == processes.c.id)
    of_pause = of_process.outerjoin(pauses, StoreConnection.same_task(pauses, tasks))
    of_all = and_(PAUSES_OF_ALL.c.app == tasks.c.app, PAUSES_OF_ALL.c.task == ALL_TASKS)
    return of_pause.outerjoin(PAUSES_OF_ALL, of_all)


@cache
def select_states() -> Select[Any]:
    """Return the SELECT of the states of all tasks."""
    return StoreConnection.select(tasks, *COLUMNS).select_from(joined())


def is_named(dialect: Dialect, column: ColumnElement[str] = tasks.c.task) -> ColumnElement[bool]:
    """Return the condition that a name is one of those in the parameter :data:`NAMES`, which is a list."""
    if dialect.has_arrays:
        return column == any_(bindparam(NAMES, type_=ARRAY(column.type)))
    return column.in_(bindparam(NAMES, type_=column.type, expanding=True))


def of_names(names: Collection[str]) -> dict[str, Any]:
    """Return the parameter of :func:`is_named`."""
    return {NAMES: list(names)}


def state_of(row: Sequence[Any]) -> TaskState:
    """Return the state in a row of :data:`COLUMNS`."""
    values = dict(zip(FIELDS, row, strict=False))
    process_id, *of_process, lease_over = row[len(FIELDS) : -8]
    process = None
    if process_id is not None:
        # a process that is not known any more has no lease
        known = dict(zip(FIELDS_OF_PROCESS, of_process, strict=True))
        process = ProcessState(**known, lease_over=lease_over is None or bool(lease_over))
    paused_from, all_paused_from = row[-2:]
    return TaskState(
        **values,
        process=process,
        pause=pause_of(row[-8:-5], since=paused_from),
        pause_of_all=pause_of(row[-5:-2], of_all=True, since=all_paused_from),
        paused_from=paused_from,
        all_paused_from=all_paused_from,
    )


def pause_of(row: Sequence[Any], of_all: bool = False, since: datetime | None = None) -> Pause | None:
    """Return the pause in a row of :data:`OF_PAUSE`, ``None`` if that is empty.

    :param of_all: whether it is the pause of all tasks.
    :param since: when it began, if that is known.
    """
    until, reason, requested_by = row
    return None if until is None else Pause(None if until == FOR_EVER else until, reason, requested_by, of_all, since)
