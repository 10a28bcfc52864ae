"""The rows of tasks: the compare-and-set statements by which processes agree on them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, false, literal, or_

from pyramid_cron.claims import Pause
from pyramid_cron.reports import LOST
from pyramid_cron.schedules import clock
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.dialects import database_clock
from pyramid_cron.store.errors import Locked
from pyramid_cron.store.schedule_text import write_schedule
from pyramid_cron.store.schema import NEEDS_ATTENTION, pauses, processes, tasks
from pyramid_cron.store.task_state import (
    FOR_EVER,
    SEEN_INTERVAL,
    UNREGISTERED_AFTER,
    ProcessState,
    TaskState,
)
from pyramid_cron.tasks import Task

# names of tasks that one statement looks for; for more it reads all rows
MOST_NAMES = 100
# the highest attempt of a minute that is repeated because its process died
MOST_ATTEMPTS_OF_LOST = 3

# the columns that the fields of a state are named after, of its task, its process and its pause
COLUMNS = [tasks.c[field.name] for field in fields(TaskState) if field.name not in ('process', 'pause')]
OF_PROCESS = [processes.c[field.name] for field in fields(ProcessState) if field.name != 'lease_over']
OF_PAUSE = [pauses.c.until, pauses.c.reason, pauses.c.requested_by]

IS_CLAIMED = tasks.c.run_id.is_not(None)
IS_TO_RETRY = tasks.c.retry_reason.is_not(None)
RELEASED: dict[str, Any] = {'run_id': None, 'process': None, 'handed_over_for': None}


class TaskStates:
    """The rows of an application's tasks.

    The compare-and-set statements return whether the row was as expected, and was changed. They wait for another
    transaction that has locked it, or raise :exc:`.Locked` where the database can skip it.

    :param connection: a connection of the application.
    """

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection

    def load(self, names: Collection[str] | None = None, minute: datetime | None = None) -> dict[str, TaskState]:
        """Return the states of tasks by their names.

        :param names: tasks to return beside those that are claimed or are to run once more; ``None`` for all.
        :param minute: the minute of a tick, to return tasks as well that may owe it or one before.
        """
        query = self._query()
        if names is not None and len(names) <= MOST_NAMES:
            owing = false() if minute is None else may_owe(minute)
            query = query.where(or_(tasks.c.task.in_(names), NEEDS_ATTENTION, owing))
        return self._states(query)

    def renamed(self, names: Collection[str]) -> dict[str, TaskState]:
        """Return the states of the tasks that had one of these names before their present ones."""
        return self._states(self._query().where(tasks.c.renamed_from.in_(names)))

    def _query(self) -> Select[Any]:
        same = self._connection.same_task
        joined = tasks.outerjoin(processes, tasks.c.process == processes.c.id).outerjoin(pauses, same(pauses, tasks))
        lease_over = (processes.c.lease_until < database_clock()).label('lease_over')
        columns = [tasks.c.process.label('process_id'), *OF_PROCESS, lease_over, *OF_PAUSE]
        return self._connection.select(tasks, *COLUMNS, *columns).select_from(joined)

    def _states(self, query: Select[Any]) -> dict[str, TaskState]:
        return {state.task: state for state in map(_state, self._connection.rows(query))}

    def get(self, name: str) -> TaskState | None:
        """Return the state of a task, ``None`` if it has none."""
        return self.load([name]).get(name)

    def register(self, task: Task, minute: datetime) -> None:
        """Insert the row of a new task.

        :param minute: the first that it owes.
        """
        # first_seen itself is not owed
        before = minute - MINUTE
        self._connection.execute(
            self._connection.insert_new(tasks),
            {
                'task': task.name,
                'schedule': write_schedule(task),
                'first_seen': before,
                'last_seen': minute,
                'renamed_from': next(iter(task.was), None),
                'next_due': next_due(task, before),
                'attempt': 0,
                'transactional': False,
            },
        )

    def change_schedule(self, task: Task, state: TaskState, minute: datetime) -> bool:
        """Record a changed schedule, unless a run is in progress: its own transaction may have to update the row.

        :param minute: from which on it counts.
        """
        known = and_(self._is_free(task.name), tasks.c.schedule == state.schedule)
        return self._change_unlocked(
            known,
            schedule=write_schedule(task),
            previous_schedule=state.schedule,
            schedule_changed_at=minute,
            next_due=next_due(task, max(state.first_seen, state.last_minute or state.first_seen)),
        )

    def register_again(self, task: Task, state: TaskState, minute: datetime) -> bool:
        """Record that a task is back that was registered nowhere for a while: it owes no minute of that time."""
        unseen = and_(self._is_free(task.name), tasks.c.last_seen == state.last_seen)
        before = minute - MINUTE
        values = {'first_seen': before, 'last_seen': minute, 'next_due': next_due(task, before)}
        return self._change_unlocked(unseen, retry_reason=None, **values)

    def see(self, names: Collection[str], minute: datetime, future: datetime) -> None:
        """Record that tasks are registered in a process that ticks, except for those that are claimed or locked."""
        seen = tasks.c.last_seen
        stale = or_(seen.is_(None), seen <= minute - SEEN_INTERVAL / 2, seen >= future)
        condition = self._unlocked(and_(tasks.c.task.in_(names), ~IS_CLAIMED, stale))
        self._connection.execute(self._connection.update(tasks).where(condition), {'last_seen': minute})

    def see_after_gap(self, first: datetime, last: datetime) -> None:
        """Leave the minutes of a gap out of the time since which registered tasks were seen.

        :param first: the first minute without a tick.
        :param last: the last of them.
        """
        column, length = tasks.c.last_seen, last - first + MINUTE
        registered = and_(column < first, column >= first - MINUTE - UNREGISTERED_AFTER, ~IS_CLAIMED)
        seen = set(self._connection.scalars(self._connection.select(tasks, column).where(registered)))
        if seen:
            # with its type, without which PostgreSQL would read it in the time zone of its own
            later = [(column == instant, literal(instant + length, column.type)) for instant in seen]
            update = self._connection.update(tasks).where(self._unlocked(and_(registered, column.in_(seen))))
            self._connection.execute(update.values(last_seen=case(*later, else_=column)))

    def report_unregistered(self, state: TaskState, minute: datetime) -> bool:
        """Record that it is reported that no process has a task registered, and return whether no other process has."""
        unseen = and_(self._is_free(state.task), tasks.c.last_seen == state.last_seen)
        new = and_(unseen, tasks.c.unregistered_at.is_not_distinct_from(state.unregistered_at))
        return self._change_unlocked(new, unregistered_at=minute)

    def rename(self, state: TaskState, name: str) -> bool:
        """Give the row of a task another name, if no run is in progress."""
        return self._change_unlocked(self._is_unchanged(state), task=name, renamed_from=state.task)

    def merge(self, own: TaskState, other: TaskState) -> bool:
        """Delete one of two rows of a task, and keep of it what counts, if no run of either is in progress.

        :param own: the row that stays. If it has begun no run, it becomes a copy of the other one.
        """
        values: dict[str, Any] = {'renamed_from': other.task}
        if own.last_minute is not None:
            values['last_minute'] = max(own.last_minute, other.last_minute or own.last_minute)
        else:
            values = {column.name: getattr(other, column.name) for column in COLUMNS} | values | {'task': own.task}
        kept = self._change_unlocked(self._is_unchanged(own), **values)
        return kept and self._connection.execute(self._connection.delete(tasks).where(self._is_unchanged(other))) == 1

    def forget(self, task: str) -> bool:
        """Delete the row of a task, if no run is in progress."""
        return self._connection.execute(self._connection.delete(tasks).where(self._is_free(task))) == 1

    def postpone(self, state: TaskState, minute: datetime) -> bool:
        """Record until when no tick has to look at the row of a task that owes nothing.

        :param state: the state by which it owes nothing.
        """
        return self._change_unlocked(self._is_unchanged(state), next_due=minute)

    def correct(self, state: TaskState, **values: Any) -> bool:
        """Correct what a wrong clock has left in the row of a task, if no run is in progress."""
        return self._change_unlocked(self._is_unchanged(state), **values)

    def forget_taken_back(self, minute: datetime) -> None:
        """Forget from which minutes, up to another one, rows were taken back, except while a run is in progress."""
        reached = and_(tasks.c.taken_back_from <= minute, ~IS_CLAIMED)
        self._connection.execute(self._connection.update(tasks).where(reached), {'taken_back_from': None})

    def restart_wait(self, task: str, enqueued_id: str) -> bool:
        """Let the wait of an enqueued run for a worker begin now, if it begins in the future."""
        ahead = and_(self._waits(task, enqueued_id), tasks.c.started_at > database_clock())
        return self._change_unlocked(ahead, started_at=database_clock())

    def claim(self, task: str, minute: datetime | None, attempt: int, **values: Any) -> bool:
        """Claim a task for a minute, or for a run by name, if no run is in progress.

        :param attempt: above 1 to claim a minute that has begun before and is to run once more.
        :param values: the fencing token, the process, when the task is due next, and what else describes the run.
        """
        free = self._is_free(task)
        if minute is not None:
            if attempt > 1:
                # by its attempt, because another process may have repeated it since the row was read
                free = and_(free, tasks.c.last_minute == minute, IS_TO_RETRY, tasks.c.attempt == attempt - 1)
            else:
                free = and_(free, _is_older(tasks.c.last_minute, minute))
            values |= {'last_minute': minute, 'attempt': attempt, 'retry_reason': None}
        return self._change_unlocked(free, transactional=False, **values)

    def claim_enqueued(self, task: str, enqueued_id: str, **values: Any) -> bool:
        """Claim a run that was enqueued, under a fencing token of its own.

        It waits for a lock on the row, which the process that enqueues may hold: the delivery comes only once.

        :param enqueued_id: the token under which the run was enqueued.
        :param values: the new fencing token and the process.
        """
        return self._change(self._waits(task, enqueued_id), handed_over_for=None, **values)

    def release(self, task: str, run_id: str, wait: bool = True, **values: Any) -> bool:
        """Release the row if it still holds our fencing token.

        :param wait: whether to wait for another transaction that has locked it, also where that can be skipped.
        """
        change = self._change if wait else self._change_unlocked
        return change(self._holds(task, run_id), **values, **RELEASED)

    def mark_enqueued(self, task: str, run_id: str) -> bool:
        """Record that an engine has a run now, unless a worker has begun it already."""
        return self._change(self._holds(task, run_id), process=None)

    def expire_enqueued(self, task: str, enqueued_id: str, **values: Any) -> bool:
        """Release a run that was enqueued, if no worker has begun it."""
        return self._change_unlocked(self._waits(task, enqueued_id), **values, **RELEASED)

    def reap(self, task: str, run_id: str, **values: Any) -> bool:
        """Release the row of a run that will not end, if it still holds its fencing token.

        Its minute is to run once more if it was about to be enqueued, or if nothing of it was committed and it has not
        begun too often. The condition is evaluated on the row as it is now, because the run may have committed since it
        was read. A run by name is never transactional here, and leaves the retry of the last minute as it is.
        """
        repeatable = or_(
            tasks.c.handed_over_for.is_not(None),
            and_(tasks.c.transactional, tasks.c.attempt < MOST_ATTEMPTS_OF_LOST),
        )
        # the claim of a minute has removed its reason. MySQL assigns in the order of the columns, this one before
        # handed_over_for
        retry_reason = case((repeatable, LOST), else_=tasks.c.retry_reason)
        return self._change_unlocked(self._holds(task, run_id), retry_reason=retry_reason, **values, **RELEASED)

    def extend_busy(self, task: str, minute: datetime) -> None:
        """Record that a registered task still ran in a minute, so that it does not owe that minute."""
        older = and_(tasks.c.task == task, _is_older(tasks.c.busy_until, minute))
        self._change(older, busy_until=minute, last_seen=minute)

    def skip_to(self, task: str, minute: datetime, **values: Any) -> bool:
        """Record that a task does not run for a minute and for those before, if no process has claimed it.

        :param values: the last result, and when the task is due next.
        """
        newer = and_(self._is_free(task), _is_older(tasks.c.last_minute, minute))
        return self._change_unlocked(newer, last_minute=minute, retry_reason=None, **values)

    def cancel_retry(self, task: str, minute: datetime, **values: Any) -> bool:
        """Cancel the retry of a minute, and return whether there was one."""
        waiting = and_(self._is_free(task), tasks.c.last_minute == minute, IS_TO_RETRY)
        return self._change_unlocked(waiting, retry_reason=None, **values)

    def record_outcome(self, task: str, **values: Any) -> bool:
        """Record a result for which nothing was claimed, if no run is in progress."""
        return self._change_unlocked(self._is_free(task), **values)

    def set_transactional(self, task: str, run_id: str, transactional: bool) -> bool:
        """Record whether a run commits with its record, and return whether the row still holds its fencing token."""
        mine = self._holds(task, run_id)
        # no new version of the row for each savepoint of a task that has many
        changed = self._change(and_(mine, tasks.c.transactional != transactional), transactional=transactional)
        # locked, because under REPEATABLE READ the task's transaction would see the row as it was at its beginning
        query = self._connection.select(tasks, tasks.c.task).where(mine).with_for_update(read=True)
        return changed or self._connection.scalar(query) is not None

    def _is_unchanged(self, state: TaskState) -> ColumnElement[bool]:
        return and_(self._is_free(state.task), tasks.c.last_minute.is_not_distinct_from(state.last_minute))

    def _is_free(self, task: str) -> ColumnElement[bool]:
        return and_(tasks.c.task == task, ~IS_CLAIMED)

    def _holds(self, task: str, run_id: str) -> ColumnElement[bool]:
        return and_(tasks.c.task == task, tasks.c.run_id == run_id)

    def _waits(self, task: str, enqueued_id: str) -> ColumnElement[bool]:
        return and_(self._holds(task, enqueued_id), tasks.c.handed_over_for.is_not(None))

    def _change(self, condition: ColumnElement[bool], **values: Any) -> bool:
        # values as parameters, not in the statement, which is built for each run and would cost twice as much
        computed = {name: value for name, value in values.items() if isinstance(value, ColumnElement)}
        plain = {name: value for name, value in values.items() if name not in computed}
        statement = self._connection.update(tasks).where(condition).values(**computed)
        return self._connection.execute(statement, plain) == 1

    def _unlocked(self, condition: ColumnElement[bool]) -> ColumnElement[bool]:
        """Return a condition without rows that other transactions have locked, where the database can skip them."""
        if not self._connection.skips_locked:
            return condition
        query = self._connection.select(tasks, tasks.c.task).where(condition).with_for_update(skip_locked=True)
        return tasks.c.task.in_(self._connection.scalars(query))

    def _change_unlocked(self, condition: ColumnElement[bool], **values: Any) -> bool:
        """Change a row without a wait for another transaction that has locked it, where the database can skip it.

        :raises Locked: if the row is as expected, and locked.
        """
        if self._connection.skips_locked:
            query = self._connection.select(tasks, tasks.c.task).where(condition)
            if self._connection.scalar(query.with_for_update(skip_locked=True)) is None:
                if self._connection.scalar(query) is None:
                    return False
                raise Locked
        # no SELECT before it on SQLite, where only a transaction that begins with a write waits for other writers
        return self._change(condition, **values)


def may_owe(minute: datetime) -> ColumnElement[bool]:
    """Return the condition that a tick for a minute has to look at a row, because of a minute that it may owe."""
    return and_(tasks.c.next_due <= minute, tasks.c.last_seen > minute - UNREGISTERED_AFTER)


def next_due(task: Task, after: datetime) -> datetime:
    """Return the first minute after another one at which a task is due."""
    return clock.to_instant(next(task.runs(after), FOR_EVER))


def _is_older(column: Any, minute: datetime) -> ColumnElement[bool]:
    return or_(column.is_(None), column < minute)


def _state(row: Any) -> TaskState:
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
