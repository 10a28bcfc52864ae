"""Conditions of the rows of tasks, with parameters in place of values, for statements that are built once.

No parameter has the name of a column, which would be a value that is assigned.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, or_

from pyramid_cron.store.schema import ID, NAME, Instant, tasks
from pyramid_cron.store.task_state import UNREGISTERED_AFTER, TaskState

THIS_TASK = bindparam('this_task', type_=NAME)
THIS_RUN = bindparam('this_run', type_=ID)
# the minute that is claimed, or the minute of a tick
THIS_MINUTE = bindparam('this_minute', type_=Instant())
LAST_MINUTE = bindparam('known_last_minute', type_=Instant())
LAST_SEEN = bindparam('known_last_seen', type_=Instant())
SEEN_AFTER = bindparam('seen_after', type_=Instant())

IS_CLAIMED = tasks.c.run_id.is_not(None)
IS_TO_RETRY = tasks.c.retry_reason.is_not(None)
IS_OLDER = or_(tasks.c.last_minute.is_(None), tasks.c.last_minute < THIS_MINUTE)

IS_FREE = and_(tasks.c.task == THIS_TASK, ~IS_CLAIMED)
IS_FREE_AND_OLDER = and_(IS_FREE, IS_OLDER)
WAITS_FOR_RETRY = and_(IS_FREE, tasks.c.last_minute == THIS_MINUTE, IS_TO_RETRY)
IS_UNCHANGED = and_(IS_FREE, tasks.c.last_minute.is_not_distinct_from(LAST_MINUTE))
IS_UNSEEN = and_(IS_FREE, tasks.c.last_seen == LAST_SEEN)
HOLDS_RUN = and_(tasks.c.task == THIS_TASK, tasks.c.run_id == THIS_RUN)
WAITS_FOR_WORKER = and_(HOLDS_RUN, tasks.c.handed_over_for.is_not(None))


def unchanged(state: TaskState) -> dict[str, Any]:
    """Return the parameters of :data:`IS_UNCHANGED` for a state that was read."""
    return {THIS_TASK.key: state.task, LAST_MINUTE.key: state.last_minute}


def of_run(task: str, run_id: str) -> dict[str, Any]:
    """Return the parameters of :data:`HOLDS_RUN` and :data:`WAITS_FOR_WORKER`."""
    return {THIS_TASK.key: task, THIS_RUN.key: run_id}


def may_owe() -> ColumnElement[bool]:
    """Return the condition that a tick has to look at a row, because of a minute that it may owe."""
    return and_(tasks.c.next_due <= THIS_MINUTE, tasks.c.last_seen > SEEN_AFTER)


def of_minute(minute: datetime) -> dict[str, Any]:
    """Return the parameters of :func:`may_owe` for the minute of a tick."""
    return {THIS_MINUTE.key: minute, SEEN_AFTER.key: minute - UNREGISTERED_AFTER}
