"""Conditions of the rows of tasks, with parameters in place of values, for statements that are built once.

No parameter has the name of a column, which would be a value that is assigned.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, case, false, or_, true

from pyramid_cron.outcomes import FAILED, LOST, OK
from pyramid_cron.store.dialects import NOW
from pyramid_cron.store.instants import Instant
from pyramid_cron.store.schema import ID, NAME, tasks
from pyramid_cron.store.task_state import UNREGISTERED_AFTER, TaskState

THIS_TASK = bindparam('this_task', type_=NAME)
THIS_RUN = bindparam('this_run', type_=ID)
# the minute that is claimed, or the minute of a tick
THIS_MINUTE = bindparam('this_minute', type_=Instant())
LAST_MINUTE = bindparam('known_last_minute', type_=Instant())
LAST_SEEN = bindparam('known_last_seen', type_=Instant())
SEEN_AFTER = bindparam('seen_after', type_=Instant())
# the highest attempt of a minute that is repeated because its process died
MOST_ATTEMPTS_OF_LOST = 3

IS_CLAIMED = tasks.c.run_id.is_not(None)
IS_TO_RETRY = tasks.c.retry_reason.is_not(None)
IS_OLDER = or_(tasks.c.last_minute.is_(None), tasks.c.last_minute < THIS_MINUTE)

IS_FREE = and_(tasks.c.task == THIS_TASK, ~IS_CLAIMED)
IS_FREE_AND_OLDER = and_(IS_FREE, IS_OLDER)
# of no minute that the task owes, nor of one that a tick has not come to yet: none after TaskState.owed_after()
IS_FREE_AND_PAST = and_(
    IS_FREE,
    or_(
        tasks.c.first_seen >= THIS_MINUTE,
        tasks.c.last_minute >= THIS_MINUTE,
        tasks.c.busy_until >= THIS_MINUTE,
    ),
)
# the same of a task that runs for each minute, which owes those of its last run
IS_FREE_AND_PAST_OF_EACH = and_(IS_FREE, or_(tasks.c.first_seen >= THIS_MINUTE, tasks.c.last_minute >= THIS_MINUTE))
WAITS_FOR_RETRY = and_(IS_FREE, tasks.c.last_minute == THIS_MINUTE, IS_TO_RETRY)
IS_UNCHANGED = and_(IS_FREE, tasks.c.last_minute.is_not_distinct_from(LAST_MINUTE))
IS_UNSEEN = and_(IS_FREE, tasks.c.last_seen == LAST_SEEN)
HOLDS_RUN = and_(tasks.c.task == THIS_TASK, tasks.c.run_id == THIS_RUN)
WAITS_FOR_WORKER = and_(HOLDS_RUN, tasks.c.handed_over_for.is_not(None))

SENT_AFTER = bindparam('sent_after', type_=tasks.c.sent_again_at.type)
# a time in the future is of a clock that was ahead
WAITS_AND_NOT_SENT_SINCE = and_(
    WAITS_FOR_WORKER,
    tasks.c.process.is_(None),
    or_(tasks.c.sent_again_at.is_(None), tasks.c.sent_again_at < SENT_AFTER, tasks.c.sent_again_at > NOW),
)

KNOWN_SCHEDULE, KNOWN_REPORT, KNOWN_ATTEMPT = (
    bindparam('known_schedule', type_=tasks.c.schedule.type),
    bindparam('known_unregistered_at', type_=tasks.c.unregistered_at.type),
    bindparam('known_attempt', type_=tasks.c.attempt.type),
)
HAS_SCHEDULE = and_(IS_FREE, tasks.c.schedule == KNOWN_SCHEDULE)
IS_UNREPORTED = and_(IS_UNSEEN, tasks.c.unregistered_at.is_not_distinct_from(KNOWN_REPORT))
# by its attempt, because another process may have repeated it since the row was read
WAITS_FOR_ATTEMPT = and_(WAITS_FOR_RETRY, tasks.c.attempt == KNOWN_ATTEMPT)
WAITS_IN_FUTURE = and_(WAITS_FOR_WORKER, tasks.c.started_at > NOW)
IS_LESS_BUSY = and_(tasks.c.task == THIS_TASK, or_(tasks.c.busy_until.is_(None), tasks.c.busy_until < THIS_MINUTE))
HOLDS_AND_TRANSACTIONAL = and_(HOLDS_RUN, tasks.c.transactional)
HOLDS_BUT_NOT_TRANSACTIONAL = and_(HOLDS_RUN, ~tasks.c.transactional)
# the claim of a minute has removed its reason. MySQL assigns in the order of the columns, this one before
# handed_over_for
_NOTHING_WAS_COMMITTED = or_(
    tasks.c.handed_over_for.is_not(None),
    and_(tasks.c.transactional, tasks.c.attempt < MOST_ATTEMPTS_OF_LOST),
)
REPEATED_IF_NOTHING_WAS_COMMITTED = case((_NOTHING_WAS_COMMITTED, LOST), else_=tasks.c.retry_reason)
_IS_TO_REPEAT = tasks.c.retry_reason.in_((FAILED, LOST))
# this one before retry_reason
WILL_BE_REPEATED = case((or_(_NOTHING_WAS_COMMITTED, _IS_TO_REPEAT), true()), else_=false())
# of a lost run by name, the last run by schedule may be
OTHER_WILL_BE_REPEATED = case((_IS_TO_REPEAT, true()), else_=false())
KNOWN_OUTCOME = bindparam('known_last_outcome', type_=tasks.c.last_outcome.type)
KNOWN_ERROR = bindparam('known_last_error', type_=tasks.c.last_error.type)
HAS_FAILED_SO = and_(
    tasks.c.task == THIS_TASK,
    tasks.c.last_outcome == KNOWN_OUTCOME,
    tasks.c.last_error.is_not_distinct_from(KNOWN_ERROR),
)
HAS_FAILED_SO_AND_IS_FREE = and_(HAS_FAILED_SO, ~IS_CLAIMED)
HAS_RECOVERED = and_(tasks.c.task == THIS_TASK, tasks.c.failed_since.is_not(None), tasks.c.last_outcome == OK)


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
