"""The history: a row for each run, and for each due minute without one. Whether a task may run is not decided by it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from sqlalchemy import ColumnElement, and_, case, literal, or_

from pyramid_cron.outcomes import QUEUED, RUNNING
from pyramid_cron.schedules import clock
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.errors import Locked
from pyramid_cron.store.schema import NOT_GOOD, runs, tasks
from pyramid_cron.store.task_conditions import THIS_RUN

NAMESPACE = UUID('6f3c1f0e-5b1f-4a1e-9d0a-3f6a4f0c9c53')

# columns that the end of a run leaves as they are if there is nothing for them
OUTPUT = ('note', 'log')

# built once, because each run executes them
IS_THIS_RUN = runs.c.id == THIS_RUN
INSERT = StoreConnection.insert(runs)
UPDATE = StoreConnection.update(runs).where(IS_THIS_RUN)
SELECT_OUTCOME = StoreConnection.select(runs, runs.c.outcome).where(IS_THIS_RUN)
SELECT_REASON = StoreConnection.select(runs, runs.c.reason).where(IS_THIS_RUN)
# from a subquery of its own, because MySQL updates no table that it selects from
UNLOCKED = StoreConnection.select(runs, runs.c.id).where(IS_THIS_RUN).with_for_update(skip_locked=True).subquery()
UPDATE_UNLOCKED = StoreConnection.update(runs).where(runs.c.id.in_(UNLOCKED.select()))


class Pruned(NamedTuple):
    """What :meth:`History.prune` has deleted.

    :param number: how many runs.
    :param until: when the last of them began.
    """

    number: int
    until: datetime | None


class WithoutRun(NamedTuple):
    """Minutes at which a task was due and did not run.

    :param task: its name.
    :param minutes: the minutes, aware.
    :param outcome: missed, skipped, paused, or failed if it could not be enqueued.
    :param reason: why it did not run.
    :param replaces: the outcome of earlier records of these minutes that this one replaces. Their reasons stay.
    """

    task: str
    minutes: Collection[datetime]
    outcome: str
    reason: str
    replaces: str | None = None


class Enqueued(NamedTuple):
    """The record of a run that was enqueued and that no worker has begun.

    :param requested_by: the user that requested it, if known.
    :param attempt: how many times the task then begins for its minute.
    """

    requested_by: str | None
    attempt: int


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

    def record_wait(self, run_id: str, reason: str) -> None:
        """Record why a queued run has not begun. Its end replaces that."""
        waits = self._connection.update(runs).where(IS_THIS_RUN, runs.c.outcome == QUEUED)
        self._connection.execute(waits, {THIS_RUN.key: run_id, 'reason': reason})

    def end(self, run_id: str, wait: bool = True, **values: Any) -> None:
        """Record how a run has ended.

        :param wait: whether to wait for another transaction that has locked the row, also where that can be skipped.
        :param values: the fields of a :class:`.RunEnd`.
        :raises Locked: if it is locked, and not waited for.
        """
        skips = self._connection.skips_locked and not wait
        ended = values_of_end(**values) | {THIS_RUN.key: run_id}
        changed = self._connection.execute(UPDATE_UNLOCKED if skips else UPDATE, ended)
        if skips and changed == 0 and self.outcome_of(run_id) is not None:
            raise Locked

    def record_output(self, run_id: str, **values: Any) -> None:
        """Record the output of a run that has ended.

        :param values: the fields of a :class:`.KeptOutput`.
        """
        self._connection.execute(UPDATE, _without_none(values) | {THIS_RUN.key: run_id})

    def outcome_of(self, run_id: str) -> str | None:
        """Return the outcome of a run, ``None`` if there is no record of it."""
        found: str | None = self._connection.scalar(SELECT_OUTCOME, {THIS_RUN.key: run_id})
        return found

    def reason_of(self, run_id: str) -> str | None:
        """Return the reason that is recorded of a run, ``None`` without one."""
        found: str | None = self._connection.scalar(SELECT_REASON, {THIS_RUN.key: run_id})
        return found

    def request_of(self, run_id: str) -> tuple[datetime | None, str | None]:
        """Return the minute that a run is for, and its trigger.

        Both are ``None`` without a record; the minute is ``None`` for a run by name, too.
        """
        query = self._connection.select(runs, runs.c.scheduled_for, runs.c.trigger).where(runs.c.id == run_id)
        row = next(iter(self._connection.rows(query)), None)
        return (None, None) if row is None else (row.scheduled_for, row.trigger)

    def enqueued(self, run_id: str) -> Enqueued | None:
        """Return what is known of a run that was enqueued, ``None`` without a record of it."""
        query = self._connection.select(runs, runs.c.requested_by, runs.c.attempt).where(runs.c.id == run_id)
        return next((Enqueued(*row) for row in self._connection.rows(query)), None)

    def make_good(self, names: Collection[str], minute: datetime, user: str) -> None:
        """Record in the entries of what went wrong for a minute that a backfill was ok.

        :param names: the names that entries of the task may have.
        :param user: the user that requested it, empty if that is not known.
        """
        # the name not as it is: without statistics SQLite would read all runs of a task
        is_wrong = and_((runs.c.task + '').in_(names), runs.c.scheduled_for == minute, runs.c.not_good.is_not(None))
        self._connection.execute(
            self._connection.update(runs).where(is_wrong), {'made_good_by': user, 'not_good': None}
        )

    def record_without_run(self, skipped: Iterable[WithoutRun], at: datetime | None = None) -> None:
        """Record minutes at which tasks were due and did not run, each once, whatever other processes record.

        :param at: when they were skipped, now by default.
        """
        now = clock.now() if at is None else at
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
            for entry in skipped
            for task, minutes, outcome, reason, _ in self._replacing(entry)
            for minute in minutes
        ]
        if rows:
            self._connection.insert_all_new(runs, rows)

    def _replacing(self, entry: WithoutRun) -> Iterator[WithoutRun]:
        """Delete the records that an entry replaces, and yield it, each minute of these with the reason from there."""
        if entry.replaces is None or not entry.minutes:
            yield entry
            return
        ids = {
            _id_without_run(self._connection.app, entry.task, minute, entry.replaces): minute
            for minute in entry.minutes
        }
        replaced = runs.c.id.in_(ids)
        rows = self._connection.rows(self._connection.select(runs, runs.c.id, runs.c.reason).where(replaced))
        if rows:
            self._connection.execute(self._connection.delete(runs).where(replaced))
        reasons = {ids[row.id]: row.reason for row in rows}
        for minute in entry.minutes:
            yield entry._replace(minutes=(minute,), reason=reasons.get(minute, entry.reason))

    def rename(self, old: str, new: str, limit: int) -> int:
        """Move some of the runs of a task to another name, the newest first, and return how many.

        :param limit: how many at most.
        """
        of_old = runs.c.task == old
        newest = self._connection.select(runs, runs.c.id, runs.c.started).where(of_old).order_by(runs.c.started.desc())
        # as a list, because MySQL has no LIMIT in a subquery
        rows = self._connection.rows(newest.limit(limit))
        if rows:
            self._connection.execute(self._connection.update(runs).where(of_old, _among(rows[::-1])).values(task=new))
        return len(rows)

    def take_back(self, after: datetime, now: datetime) -> None:
        """Correct what a clock recorded that was ahead: delete minutes without a run, and date runs as of now.

        :param after: the instant after which that clock was.
        """
        ahead = runs.c.started > after
        self._connection.execute(self._connection.delete(runs).where(ahead, runs.c.attempt == 0))
        finished = case((runs.c.finished.is_not(None), literal(now, runs.c.finished.type)))
        self._connection.execute(self._connection.update(runs).where(ahead).values(started=now, finished=finished))

    def prune(self, before: datetime, limit: int, after: datetime | None = None) -> Pruned:
        """Delete the oldest of the runs that began before an instant and are not in progress.

        :param limit: how many at most.
        :param after: the instant from which on they began, if those before it were deleted or left a moment ago. A
            database with a long transaction would walk through all that were deleted once more.
        """
        in_progress = self._connection.select(tasks, tasks.c.run_id).where(tasks.c.run_id.is_not(None))
        # without an end as well: see run_columns.py
        ended = or_(runs.c.finished.is_not(None), runs.c.id.not_in(in_progress))
        oldest = self._connection.select(runs, runs.c.id, runs.c.started).where(runs.c.started < before, ended)
        if after is not None:
            oldest = oldest.where(runs.c.started >= after)
        oldest = oldest.order_by(runs.c.started).limit(limit)
        if self._connection.skips_locked:
            oldest = oldest.with_for_update(skip_locked=True)
        # as a list, because MySQL has no LIMIT in a subquery
        rows = self._connection.rows(oldest)
        if not rows:
            return Pruned(0, after)
        self._connection.execute(self._connection.delete(runs).where(_among(rows)))
        return Pruned(len(rows), rows[-1].started)


def _among(rows: Sequence[Any]) -> ColumnElement[bool]:
    """Return the condition that a run is one of those with these keys and starts, the oldest first.

    By the keys alone, SQLite would look for them among all runs of the application.
    """
    return and_(runs.c.started.between(rows[0].started, rows[-1].started), runs.c.id.in_([row.id for row in rows]))


def values_of_end(outcome: str, **values: Any) -> dict[str, Any]:
    """Return the values of the row of a run that ends.

    :param values: the other fields of a :class:`.RunEnd`.
    """
    output = _without_none({name: values.pop(name) for name in OUTPUT if name in values})
    return values | output | {'outcome': outcome, 'not_good': NOT_GOOD.get(outcome), 'finished': clock.now()}


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


def _id_without_run(app: str, task: str, minute: datetime, outcome: str) -> str:
    return uuid5(NAMESPACE, '\n'.join([app, task, minute.isoformat(), outcome])).hex
