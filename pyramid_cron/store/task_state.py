"""The row of a task as a typed value, and the compare-and-set statements by which processes agree on it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import datetime, timedelta, timezone
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, case, false, literal, or_

from pyramid_cron.claims import Pause
from pyramid_cron.reports import LOST, MISSED, QUEUED, RUNNING, STUCK
from pyramid_cron.schedules import clock
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.dialects import database_clock
from pyramid_cron.store.errors import Locked
from pyramid_cron.store.schedule_text import write_schedule
from pyramid_cron.store.schema import NEEDS_ATTENTION, pauses, processes, tasks
from pyramid_cron.tasks import Task

# names of tasks that one statement looks for; for more it reads all rows
MOST_NAMES = 100
# the highest attempt of a minute whose process died
MOST_ATTEMPTS_OF_LOST = 3
# stored as the end of a pause without an end
FOR_EVER = datetime(9999, 1, 1, tzinfo=timezone.utc)

# how long after a task was last seen its row is still looked at, by the minutes of ticks; and how often it is seen
UNREGISTERED_AFTER, SEEN_INTERVAL = timedelta(hours=1), timedelta(minutes=20)

# why a minute is to run once more, beside reports.FAILED and reports.LOST: it could not be enqueued
UNSENT = 'unsent'


@dataclass(frozen=True)
class ProcessState:
    """The process that has claimed a task.

    :param host: the name of its machine, ``None`` as those below if the process is not known any more.
    :param pid: its number there.
    :param boot_and_pidns: the boot and the PID namespace in which ``pid`` is unique, ``None`` where not known.
    :param process_started: when it started, in units of its kernel.
    :param lease_over: whether its lease has expired by the database's clock.
    :param lease_until: when its lease expires, in seconds by the database's clock.
    """

    host: str | None
    pid: int | None
    boot_and_pidns: str | None
    process_started: str | None
    lease_over: bool
    lease_until: float | None = None


@dataclass(frozen=True)
class TaskState:
    """The row of a task, with the process that has claimed it and its pause. Instants are in UTC.

    :param renamed_from: the last name of the task before this one.
    :param schedule: the schedule that counts since ``schedule_changed_at``, as a text.
    :param previous_schedule: the schedule before that.
    :param first_seen: the task owes no minute up to this one.
    :param last_seen: a recent tick of a process that has it registered; not after each tick.
    :param unregistered_at: the tick that reported, after ``last_seen``, that no process has it registered.
    :param next_due: from this minute on a tick has to look at the row: the first that the task may owe.
    :param last_minute: the newest minute that was claimed or skipped.
    :param busy_until: the minute in which the last run ended: minutes during a run are not owed.
    :param taken_back_from: the minute up to which the task owed none, before that was taken back from the future.
    :param attempt: how many times ``last_minute`` has begun.
    :param retry_reason: why ``last_minute`` is to run once more: ``'failed'``, ``'lost'`` or ``'unsent'``.
    :param run_id: the fencing token of the run in progress, ``None`` if there is none.
    :param started_at: when the last run was claimed, in seconds by the database's clock.
    :param handed_over_for: the minute, or the token of a run by name, that is being or was enqueued, until a worker
        begins it.
    :param transactional: whether the run in progress commits with its record.
    :param last_outcome: the last result: ok, failed, lost or missed.
    :param last_outcome_for: the minute of that result, ``None`` for a run by name.
    :param last_finished: when the last run ended.
    :param last_seconds: how long it took.
    :param last_success_for: the newest minute whose scheduled run succeeded.
    :param last_success_at: when a run last succeeded.
    :param failures_in_a_row: how many runs have failed or were lost since then.
    :param last_error: the class of the exception of the last run, if it failed.
    :param process: the process that has claimed the run, ``None`` while an engine has it.
    :param pause: the pause of the task, which may be over.
    """

    task: str
    schedule: str
    first_seen: datetime
    last_seen: datetime | None = None
    unregistered_at: datetime | None = None
    renamed_from: str | None = None
    next_due: datetime | None = None
    previous_schedule: str | None = None
    schedule_changed_at: datetime | None = None
    last_minute: datetime | None = None
    busy_until: datetime | None = None
    taken_back_from: datetime | None = None
    attempt: int = 0
    retry_reason: str | None = None
    run_id: str | None = None
    started_at: float | None = None
    handed_over_for: str | None = None
    transactional: bool = False
    last_outcome: str | None = None
    last_outcome_for: datetime | None = None
    last_finished: datetime | None = None
    last_seconds: float | None = None
    last_success_for: datetime | None = None
    last_success_at: datetime | None = None
    failures_in_a_row: int | None = None
    last_error: str | None = None
    process: ProcessState | None = None
    pause: Pause | None = None

    @property
    def is_claimed(self) -> bool:
        """Whether a run is in progress, is being enqueued or waits for a worker."""
        return self.run_id is not None

    @property
    def is_enqueued(self) -> bool:
        """Whether a run waits for a worker and no process has it."""
        return self.handed_over_for is not None and self.process is None

    def running_seconds(self, now: float) -> float | None:
        """Return how long a process has been running the task, ``None`` if none is or the run waits for a worker.

        :param now: the time by the database's clock.
        """
        if self.started_at is None or not self.is_claimed or self.handed_over_for is not None:
            return None
        return max(now - self.started_at, 0.0)

    def owes_from(self, minute: datetime) -> bool:
        """Return whether a tick for a minute has to look at the row."""
        return self.next_due is None or self.next_due <= minute

    def is_unregistered(self, before: datetime | None) -> bool:
        """Return whether ticks came for an hour of processes that do not have the task registered, and none runs it.

        :param before: the newest minute that had a tick before the last one.
        """
        if before is None or self.last_seen is None or self.is_claimed:
            return False
        return before - self.last_seen > UNREGISTERED_AFTER

    @property
    def is_reported(self) -> bool:
        """Whether it was reported that no process has the task registered since it was last seen."""
        return self.unregistered_at is not None and (self.last_seen is None or self.unregistered_at > self.last_seen)

    def is_stale(self, minute: datetime, future: datetime) -> bool:
        """Return whether it was recorded long ago, or in the future, that a process has the task registered."""
        return self.last_seen is None or minute - self.last_seen >= SEEN_INTERVAL / 2 or self.last_seen >= future

    def has_begun(self, minute: datetime) -> bool:
        """Return whether the task was claimed or skipped for a minute, or for a later one."""
        return self.last_minute is not None and self.last_minute >= minute

    @property
    def newest(self) -> datetime:
        """The newest instant by which it is decided whether the task runs, or whether the run in progress is stuck."""
        began = self.started if self.is_claimed else None
        known = (self.first_seen, self.last_seen, self.last_minute, self.busy_until, self.schedule_changed_at, began)
        return max(instant for instant in known if instant is not None)

    @property
    def started(self) -> datetime | None:
        """When the run in progress was claimed, by the database's clock; that of the last run while none is."""
        return None if self.started_at is None else datetime.fromtimestamp(self.started_at, timezone.utc)

    @property
    def last_at(self) -> datetime | None:
        """When the last result was: the minute that was missed, or the end of the last run."""
        return self.last_outcome_for if self.last_outcome == MISSED else self.last_finished

    def in_progress(self, stuck: bool) -> str | None:
        """Return what the claimed run is doing, in one word; ``None`` if there is none.

        :param stuck: whether it has been running for too long.
        """
        if not self.is_claimed:
            return None
        return QUEUED if self.handed_over_for is not None else STUCK if stuck else RUNNING

    @property
    def paused_until(self) -> datetime | None:
        """The end of the pause, which may be over; minutes before it are skipped."""
        return None if self.pause is None else self.pause.until or FOR_EVER

    def is_paused(self, instant: datetime) -> bool:
        """Return whether the task is paused at an instant."""
        return self.paused_until is not None and instant < self.paused_until


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
                'app': self._connection.app,
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
            later = {instant: literal(instant + length, column.type) for instant in seen}
            update = self._connection.update(tasks).where(self._unlocked(and_(registered, column.in_(seen))))
            self._connection.execute(update.values(last_seen=case(later, value=column, else_=column)))

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
        if not self._connection.dialect.skips_locked:
            return condition
        query = self._connection.select(tasks, tasks.c.task).where(condition).with_for_update(skip_locked=True)
        return tasks.c.task.in_(self._connection.scalars(query))

    def _change_unlocked(self, condition: ColumnElement[bool], **values: Any) -> bool:
        """Change a row without a wait for another transaction that has locked it, where the database can skip it.

        :raises Locked: if the row is as expected, and locked.
        """
        if self._connection.dialect.skips_locked:
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
