"""The history: a row for each run, and for each due minute without one. Nothing is ever decided by it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import case, literal, or_

from pyramid_cron.reports import RUNNING
from pyramid_cron.schedules import clock
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.errors import Locked
from pyramid_cron.store.schema import NOT_GOOD, runs, tasks
from pyramid_cron.store.task_conditions import THIS_RUN

NAMESPACE = UUID('6f3c1f0e-5b1f-4a1e-9d0a-3f6a4f0c9c53')

# built once, because each run executes them
IS_THIS_RUN = runs.c.id == THIS_RUN
INSERT = StoreConnection.insert(runs)
UPDATE = StoreConnection.update(runs).where(IS_THIS_RUN)
SELECT_OUTCOME = StoreConnection.select(runs, runs.c.outcome).where(IS_THIS_RUN)
# from a subquery of its own, because MySQL updates no table that it selects from
UNLOCKED = StoreConnection.select(runs, runs.c.id).where(IS_THIS_RUN).with_for_update(skip_locked=True).subquery()
UPDATE_UNLOCKED = StoreConnection.update(runs).where(runs.c.id.in_(UNLOCKED.select()))


class History:
    """The history of an application.

    :param connection: a connection of the application.
    """

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection

    def begin(self, outcome: str = RUNNING, **values: Any) -> None:
        """Insert a run that begins, or that is enqueued."""
        values |= {'outcome': outcome, 'started': clock.now()}
        self._connection.execute(INSERT, values)

    def begin_enqueued(self, enqueued_id: str, **values: Any) -> None:
        """Record that a run begins that was enqueued.

        :param enqueued_id: the token under which it was enqueued.
        :param values: its own token, and where it begins.
        """
        values |= {'outcome': RUNNING, 'started': clock.now()}
        self._connection.execute(self._connection.update(runs).where(runs.c.id == enqueued_id), values)

    def end(self, run_id: str, wait: bool = True, **values: Any) -> None:
        """Record how a run has ended.

        :param wait: whether to wait for another transaction that has locked the row, also where that can be skipped.
        :param values: the fields of a :class:`.RunEnd`.
        :raises Locked: if it is locked, and not waited for.
        """
        skips = self._connection.skips_locked and not wait
        values |= {'not_good': NOT_GOOD.get(values['outcome']), 'finished': clock.now(), THIS_RUN.key: run_id}
        changed = self._connection.execute(UPDATE_UNLOCKED if skips else UPDATE, values)
        if skips and changed == 0 and self.outcome_of(run_id) is not None:
            raise Locked

    def outcome_of(self, run_id: str) -> str | None:
        """Return the outcome of a run, ``None`` if there is no record of it."""
        found: str | None = self._connection.scalar(SELECT_OUTCOME, {THIS_RUN.key: run_id})
        return found

    def minute_of(self, run_id: str) -> datetime | None:
        """Return the minute that a run is for, ``None`` for a run by name, and without a record."""
        found: datetime | None = self._connection.scalar(
            self._connection.select(runs, runs.c.scheduled_for).where(runs.c.id == run_id)
        )
        return found

    def record_without_run(self, task: str, minutes: Iterable[datetime], outcome: str, reason: str) -> None:
        """Record minutes at which a task was due and did not run, each once, whatever other processes record."""
        now = clock.now()
        rows = [
            {
                'id': _id_without_run(self._connection.app, task, minute, outcome),
                'task': task,
                'scheduled_for': minute,
                'attempt': 0,
                'trigger': 'none',
                'started': now,
                'finished': now,
                'outcome': outcome,
                'not_good': NOT_GOOD.get(outcome),
                'reason': reason,
            }
            for minute in minutes
        ]
        if rows:
            self._connection.execute(self._connection.insert_new(runs), rows)

    def rename(self, old: str, new: str, limit: int) -> int:
        """Move some of the runs of a task to another name, the newest first, and return how many.

        :param limit: how many at most.
        """
        newest = self._connection.select(runs, runs.c.id).where(runs.c.task == old).order_by(runs.c.started.desc())
        # as a list, because MySQL has no LIMIT in a subquery
        keys = self._connection.scalars(newest.limit(limit))
        if keys:
            self._connection.execute(self._connection.update(runs).where(runs.c.id.in_(keys)).values(task=new))
        return len(keys)

    def take_back(self, after: datetime, now: datetime) -> None:
        """Correct what a clock recorded that was ahead: delete minutes without a run, and date runs as of now.

        :param after: the instant after which that clock was.
        """
        ahead = runs.c.started > after
        self._connection.execute(self._connection.delete(runs).where(ahead, runs.c.attempt == 0))
        finished = case((runs.c.finished.is_not(None), literal(now, runs.c.finished.type)))
        self._connection.execute(self._connection.update(runs).where(ahead).values(started=now, finished=finished))

    def prune(self, before: datetime, limit: int) -> int:
        """Delete the oldest of the runs that began before an instant and are not in progress, and return how many.

        :param limit: how many at most.
        """
        in_progress = self._connection.select(tasks, tasks.c.run_id).where(tasks.c.run_id.is_not(None))
        # without an end as well: see run_columns.py
        ended = or_(runs.c.finished.is_not(None), runs.c.id.not_in(in_progress))
        oldest = self._connection.select(runs, runs.c.id).where(runs.c.started < before, ended)
        oldest = oldest.order_by(runs.c.started).limit(limit)
        if self._connection.skips_locked:
            oldest = oldest.with_for_update(skip_locked=True)
        # as a list, because MySQL has no LIMIT in a subquery
        keys = self._connection.scalars(oldest)
        if keys:
            self._connection.execute(self._connection.delete(runs).where(runs.c.id.in_(keys)))
        return len(keys)


def _id_without_run(app: str, task: str, minute: datetime, outcome: str) -> str:
    return uuid5(NAMESPACE, '\n'.join([app, task, minute.isoformat(), outcome])).hex
