"""The columns of past runs, of which the end may be missing in the history.

A process that releases a task while another transaction holds the run's row in the history writes that row later. If it
is killed before, the history has no end of the run. The row of the task has one, until the task runs once more.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, case, literal

from pyramid_cron.history_entries import PastRun
from pyramid_cron.outcomes import FAILED, LOST, OK, QUEUED, RUNNING, STOPPED
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.schema import runs, tasks

NO_END = 'its end is not in the history: another transaction held its row there when it ended'

# to be read from JOINED only
_HAS_NO_END = and_(runs.c.outcome.in_((RUNNING, QUEUED)), tasks.c.run_id.is_distinct_from(runs.c.id))
_IS_LAST_RUN = and_(
    tasks.c.last_outcome.in_((OK, FAILED, LOST, STOPPED)),
    tasks.c.last_outcome_for == runs.c.scheduled_for,
    tasks.c.attempt == runs.c.attempt,
)

#: runs with the rows of their tasks
JOINED: FromClause = runs.outerjoin(tasks, StoreConnection.same_task(runs, tasks))

OUTCOME = case((and_(_HAS_NO_END, _IS_LAST_RUN), tasks.c.last_outcome), (_HAS_NO_END, LOST), else_=runs.c.outcome)


def _from_task(name: str, column: ColumnElement[Any]) -> ColumnElement[Any]:
    return case((and_(_HAS_NO_END, _IS_LAST_RUN), column), else_=runs.c[name])


_CORRECTED: dict[str, ColumnElement[Any]] = {
    'outcome': OUTCOME,
    'finished': _from_task('finished', tasks.c.last_finished),
    'seconds': _from_task('seconds', tasks.c.last_seconds),
    'error': _from_task('error', tasks.c.last_error),
    'reason': case((_HAS_NO_END, literal(NO_END)), else_=runs.c.reason),
}

#: those of the fields of a past run, to be read from :data:`JOINED`
PAST_RUN = [_CORRECTED.get(name, runs.c[name]).label(name) for name in PastRun._fields]
