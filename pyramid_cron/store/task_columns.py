"""The columns of a task that are read together, and the typed state of a row."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from functools import cache
from typing import Any

from sqlalchemy import ARRAY, ColumnElement, FromClause, Select, any_, bindparam

from pyramid_cron.claims import Pause
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.dialects import NOW, Dialect
from pyramid_cron.store.schema import NAME, pauses, processes, tasks
from pyramid_cron.store.task_state import FOR_EVER, ProcessState, TaskState

# the columns that the fields of a state are named after, of its task, its process and its pause
OF_TASK = [tasks.c[field.name] for field in fields(TaskState) if field.name not in ('process', 'pause')]
OF_PROCESS = [processes.c[field.name] for field in fields(ProcessState) if field.name != 'lease_over']
OF_PAUSE = [pauses.c.until, pauses.c.reason, pauses.c.requested_by]
COLUMNS = [
    *OF_TASK,
    tasks.c.process.label('process_id'),
    *OF_PROCESS,
    (processes.c.lease_until < NOW).label('lease_over'),
    *OF_PAUSE,
]
NAMES = 'these_tasks'


def joined() -> FromClause:
    """Return the rows of tasks with those of their processes and pauses."""
    of_process = tasks.outerjoin(processes, tasks.c.process == processes.c.id)
    return of_process.outerjoin(pauses, StoreConnection.same_task(pauses, tasks))


@cache
def select_states() -> Select[Any]:
    """Return the SELECT of the states of all tasks."""
    return StoreConnection.select(tasks, *COLUMNS).select_from(joined())


def is_named(dialect: Dialect, column: ColumnElement[str] = tasks.c.task) -> ColumnElement[bool]:
    """Return the condition that a name is one of those in the parameter :data:`NAMES`, which is a list."""
    if dialect.has_arrays:
        return column == any_(bindparam(NAMES, type_=ARRAY(NAME)))
    return column.in_(bindparam(NAMES, type_=NAME, expanding=True))


def of_names(names: Collection[str]) -> dict[str, Any]:
    """Return the parameter of :func:`is_named`."""
    return {NAMES: list(names)}


def state_of(row: Any) -> TaskState:
    """Return the state in a row of :data:`COLUMNS`."""
    values = row._asdict()
    process_id = values.pop('process_id')
    of_process = {name: values.pop(name) for name in (*(column.name for column in OF_PROCESS), 'lease_over')}
    until, reason, requested_by = (values.pop(column.name) for column in OF_PAUSE)
    if of_process['lease_over'] is None:
        # a process that is not known any more has no lease
        of_process['lease_over'] = True
    return TaskState(
        **values,
        process=None if process_id is None else ProcessState(**of_process),
        pause=None if until is None else Pause(None if until == FOR_EVER else until, reason, requested_by),
    )
