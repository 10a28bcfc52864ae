"""Statements by which an upgrade of the tables fills in the columns that older rows lack."""

from __future__ import annotations

from typing import Any

from sqlalchemy import and_, case, func, or_, select, update

from pyramid_cron.outcomes import FAILED, LOST, MISSED, OK
from pyramid_cron.store.schema import NOT_GOOD, runs, tasks


def states_from_history() -> Any:
    """Return an UPDATE that fills in the last results of tasks from the history, in all applications."""
    mine = and_(runs.c.app == tasks.c.app, runs.c.task == tasks.c.task)
    ended = and_(mine, runs.c.attempt > 0, runs.c.outcome.in_((OK, FAILED, LOST)))
    with_outcome = and_(mine, runs.c.outcome.in_((OK, FAILED, LOST, MISSED)))

    def newest(wanted: Any, condition: Any) -> Any:
        ordered = select(wanted).where(condition).order_by(runs.c.started.desc(), runs.c.attempt.desc())
        return ordered.limit(1).correlate(tasks).scalar_subquery()

    succeeded = runs.alias('succeeded')
    last_success = (
        select(func.max(succeeded.c.started))
        .where(succeeded.c.app == tasks.c.app, succeeded.c.task == tasks.c.task, succeeded.c.outcome == OK)
        .correlate(tasks)
        .scalar_subquery()
    )
    failures = and_(ended, runs.c.outcome != OK, or_(last_success.is_(None), runs.c.started > last_success))
    of_success = and_(mine, runs.c.outcome == OK)
    return (
        update(tasks)
        .where(tasks.c.last_outcome.is_(None))
        .values(
            last_outcome=newest(runs.c.outcome, with_outcome),
            last_outcome_for=newest(runs.c.scheduled_for, with_outcome),
            last_finished=newest(runs.c.finished, ended),
            last_seconds=newest(runs.c.seconds, ended),
            last_error=newest(runs.c.error, ended),
            last_message=newest(case((runs.c.error.is_not(None), runs.c.reason)), ended),
            last_success_at=select(func.max(runs.c.finished)).where(of_success).correlate(tasks).scalar_subquery(),
            last_success_for=select(func.max(runs.c.scheduled_for))
            .where(of_success)
            .correlate(tasks)
            .scalar_subquery(),
            failures_in_a_row=select(func.count()).select_from(runs).where(failures).correlate(tasks).scalar_subquery(),
        )
    )


def not_good_by_outcome() -> Any:
    """Return an UPDATE of the history that fills in the column ``not_good``, in all applications."""
    lacking = and_(runs.c.outcome.in_(NOT_GOOD), runs.c.not_good.is_(None))
    return update(runs).where(lacking).values(not_good=case(NOT_GOOD, value=runs.c.outcome))
