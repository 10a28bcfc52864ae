"""The rows of tasks: the compare-and-set statements by which processes agree on them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Select, Update, and_, case, literal, or_

from pyramid_cron.schedules import clock
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.connection import StoreConnection, lists, of_lists
from pyramid_cron.store.dialects import NOW, Dialect
from pyramid_cron.store.errors import Locked
from pyramid_cron.store.schedule_text import write_schedule
from pyramid_cron.store.schema import ID, NAME, NEEDS_ATTENTION, tasks
from pyramid_cron.store.task_columns import OF_TASK, is_named, of_names, select_states, state_of
from pyramid_cron.store.task_conditions import (
    HAS_SCHEDULE,
    HOLDS_AND_TRANSACTIONAL,
    HOLDS_BUT_NOT_TRANSACTIONAL,
    HOLDS_RUN,
    IS_CLAIMED,
    IS_FREE,
    IS_FREE_AND_OLDER,
    IS_LESS_BUSY,
    IS_OLDER,
    IS_TO_RETRY,
    IS_UNCHANGED,
    IS_UNREPORTED,
    IS_UNSEEN,
    KNOWN_ATTEMPT,
    KNOWN_REPORT,
    KNOWN_SCHEDULE,
    LAST_SEEN,
    REPEATED_IF_NOTHING_WAS_COMMITTED,
    THIS_MINUTE,
    THIS_TASK,
    WAITS_FOR_ATTEMPT,
    WAITS_FOR_RETRY,
    WAITS_FOR_WORKER,
    WAITS_IN_FUTURE,
    may_owe,
    of_minute,
    of_run,
    unchanged,
)
from pyramid_cron.store.task_state import FOR_EVER, SEEN_INTERVAL, UNREGISTERED_AFTER, TaskState
from pyramid_cron.tasks import Task

# names that are a parameter each; for more it reads all rows
MOST_NAMES = 5000

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
        if names is None or self._are_too_many(names):
            return self._states(select_states(), {})
        query = _select_wanted(self._connection.dialect, minute is not None)
        return self._states(query, of_names(names) | ({} if minute is None else of_minute(minute)))

    def load_behind(self, names: Collection[str], minute: datetime) -> dict[str, TaskState]:
        """Return the states of those of some tasks that have not begun for a minute, or are to run once more for it."""
        if self._are_too_many(names):
            return self.load()
        values = of_names(names) | {THIS_MINUTE.key: minute}
        return self._states(_select_behind(self._connection.dialect), values)

    def renamed(self, names: Collection[str]) -> dict[str, TaskState]:
        """Return the states of the tasks that had one of these names before their present ones."""
        return self._states(_select_renamed(self._connection.dialect), of_names(names))

    def _are_too_many(self, names: Collection[str]) -> bool:
        return len(names) > MOST_NAMES and not self._connection.dialect.has_arrays

    def _states(self, query: Select[Any], values: dict[str, Any]) -> dict[str, TaskState]:
        return {state.task: state for state in map(state_of, self._connection.rows(query, values))}

    def get(self, name: str) -> TaskState | None:
        """Return the state of a task, ``None`` if it has none."""
        return self.load([name]).get(name)

    def register(self, new: Collection[Task], minute: datetime) -> None:
        """Insert the rows of new tasks, in one statement where a parameter can be a list.

        :param minute: the first that they owe.
        """
        # first_seen itself is not owed
        before = minute - MINUTE
        rows = [
            {
                'task': task.name,
                'schedule': write_schedule(task),
                'first_seen': before,
                'last_seen': minute,
                'renamed_from': next(iter(task.was), None),
                'next_due': next_due(task, before),
                'attempt': 0,
                'transactional': False,
            }
            for task in new
        ]
        if self._connection.dialect.has_arrays:
            statement = _insert_lists(self._connection.dialect, tuple(rows[0]))
            self._connection.execute(statement, of_lists({name: [row[name] for row in rows] for name in rows[0]}))
        else:
            self._connection.execute(self._connection.insert_new(tasks), rows)

    def change_schedule(self, task: Task, state: TaskState, minute: datetime) -> bool:
        """Record a changed schedule, unless a run is in progress: its own transaction may have to update the row.

        :param minute: from which on it counts.
        """
        return self._change_unlocked(
            HAS_SCHEDULE,
            {THIS_TASK.key: task.name, KNOWN_SCHEDULE.key: state.schedule},
            schedule=write_schedule(task),
            previous_schedule=state.schedule,
            schedule_changed_at=minute,
            next_due=next_due(task, max(state.first_seen, state.last_minute or state.first_seen)),
        )

    def register_again(self, task: Task, state: TaskState, minute: datetime) -> bool:
        """Record that a task is back that was registered nowhere for a while: it owes no minute of that time."""
        unseen = {THIS_TASK.key: task.name, LAST_SEEN.key: state.last_seen}
        before = minute - MINUTE
        values = {'first_seen': before, 'last_seen': minute, 'next_due': next_due(task, before)}
        return self._change_unlocked(IS_UNSEEN, unseen, retry_reason=None, **values)

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
        new = {
            THIS_TASK.key: state.task,
            LAST_SEEN.key: state.last_seen,
            KNOWN_REPORT.key: state.unregistered_at,
        }
        return self._change_unlocked(IS_UNREPORTED, new, unregistered_at=minute)

    def rename(self, state: TaskState, name: str) -> bool:
        """Give the row of a task another name, if no run is in progress."""
        return self._change_unlocked(IS_UNCHANGED, unchanged(state), task=name, renamed_from=state.task)

    def merge(self, own: TaskState, other: TaskState) -> bool:
        """Delete one of two rows of a task, and keep of it what counts, if no run of either is in progress.

        :param own: the row that stays. If it has begun no run, it becomes a copy of the other one.
        """
        values: dict[str, Any] = {'renamed_from': other.task}
        if own.last_minute is not None:
            values['last_minute'] = max(own.last_minute, other.last_minute or own.last_minute)
        else:
            values = {column.name: getattr(other, column.name) for column in OF_TASK} | values | {'task': own.task}
        kept = self._change_unlocked(IS_UNCHANGED, unchanged(own), **values)
        return kept and self._delete(IS_UNCHANGED, unchanged(other))

    def forget(self, task: str) -> bool:
        """Delete the row of a task, if no run is in progress."""
        return self._delete(IS_FREE, {THIS_TASK.key: task})

    def postpone(self, state: TaskState, minute: datetime) -> bool:
        """Record until when no tick has to look at the row of a task that owes nothing.

        :param state: the state by which it owes nothing.
        """
        return self._change_unlocked(IS_UNCHANGED, unchanged(state), next_due=minute)

    def correct(self, state: TaskState, **values: Any) -> bool:
        """Correct what a wrong clock has left in the row of a task, if no run is in progress."""
        return self._change_unlocked(IS_UNCHANGED, unchanged(state), **values)

    def forget_taken_back(self, minute: datetime) -> None:
        """Forget from which minutes, up to another one, rows were taken back, except while a run is in progress."""
        reached = and_(tasks.c.taken_back_from <= minute, ~IS_CLAIMED)
        self._connection.execute(self._connection.update(tasks).where(reached), {'taken_back_from': None})

    def restart_wait(self, task: str, enqueued_id: str) -> bool:
        """Let the wait of an enqueued run for a worker begin now, if it begins in the future."""
        return self._change_unlocked(WAITS_IN_FUTURE, of_run(task, enqueued_id), started_at=NOW)

    def claim(self, task: str, minute: datetime | None, attempt: int, **values: Any) -> bool:
        """Claim a task for a minute, or for a run by name, if no run is in progress.

        :param attempt: above 1 to claim a minute that has begun before and is to run once more.
        :param values: the fencing token, the process, when the task is due next, and what else describes the run.
        """
        free = IS_FREE
        known: dict[str, Any] = {THIS_TASK.key: task}
        if minute is not None:
            known[THIS_MINUTE.key] = minute
            free = IS_FREE_AND_OLDER
            if attempt > 1:
                free = WAITS_FOR_ATTEMPT
                known[KNOWN_ATTEMPT.key] = attempt - 1
            values |= {'last_minute': minute, 'attempt': attempt, 'retry_reason': None}
        return self._change_unlocked(free, known, transactional=False, **values)

    def claim_enqueued(self, task: str, enqueued_id: str, **values: Any) -> bool:
        """Claim a run that was enqueued, under a fencing token of its own.

        It waits for a lock on the row, which the process that enqueues may hold: the delivery comes only once.

        :param enqueued_id: the token under which the run was enqueued.
        :param values: the new fencing token and the process.
        """
        waits = of_run(task, enqueued_id)
        return self._change(WAITS_FOR_WORKER, waits, handed_over_for=None, **values)

    def release(self, task: str, run_id: str, wait: bool = True, **values: Any) -> bool:
        """Release the row if it still holds our fencing token.

        :param wait: whether to wait for another transaction that has locked it, also where that can be skipped.
        """
        change = self._change if wait else self._change_unlocked
        return change(HOLDS_RUN, of_run(task, run_id), **values, **RELEASED)

    def mark_enqueued(self, task: str, run_id: str) -> bool:
        """Record that an engine has a run now, unless a worker has begun it already."""
        return self._change(HOLDS_RUN, of_run(task, run_id), process=None)

    def mark_all_enqueued(self, run_ids: Mapping[str, str]) -> None:
        """Record the same of several runs.

        :param run_ids: their fencing tokens by the names of their tasks.
        """
        dialect, values = self._connection.dialect, {'process': None}
        if dialect.has_arrays:
            listed = of_lists({'task': list(run_ids), 'run_id': list(run_ids.values())})
            self._connection.execute(_mark_listed(), listed | values)
        else:
            in_list = tasks.c.run_id.in_(run_ids.values())
            self._connection.execute(self._connection.update(tasks).where(in_list), values)

    def expire_enqueued(self, task: str, enqueued_id: str, **values: Any) -> bool:
        """Release a run that was enqueued, if no worker has begun it."""
        return self._change_unlocked(WAITS_FOR_WORKER, of_run(task, enqueued_id), **values, **RELEASED)

    def reap(self, task: str, run_id: str, **values: Any) -> bool:
        """Release the row of a run that will not end, if it still holds its fencing token.

        Its minute is to run once more if it was about to be enqueued, or if nothing of it was committed and it has not
        begun too often. The condition is evaluated on the row as it is now, because the run may have committed since it
        was read. A run by name is never transactional here, and leaves the retry of the last minute as it is.
        """
        values |= {'retry_reason': REPEATED_IF_NOTHING_WAS_COMMITTED, **RELEASED}
        return self._change_unlocked(HOLDS_RUN, of_run(task, run_id), **values)

    def extend_busy(self, task: str, minute: datetime) -> None:
        """Record that a registered task still ran in a minute, so that it does not owe that minute."""
        older = {THIS_TASK.key: task, THIS_MINUTE.key: minute}
        self._change(IS_LESS_BUSY, older, busy_until=minute, last_seen=minute)

    def skip_to(self, task: str, minute: datetime, **values: Any) -> bool:
        """Record that a task does not run for a minute and for those before, if no process has claimed it.

        :param values: the last result, and when the task is due next.
        """
        newer = {THIS_TASK.key: task, THIS_MINUTE.key: minute}
        return self._change_unlocked(IS_FREE_AND_OLDER, newer, last_minute=minute, retry_reason=None, **values)

    def cancel_retry(self, task: str, minute: datetime, **values: Any) -> bool:
        """Cancel the retry of a minute, and return whether there was one."""
        waiting = {THIS_TASK.key: task, THIS_MINUTE.key: minute}
        return self._change_unlocked(WAITS_FOR_RETRY, waiting, retry_reason=None, **values)

    def record_outcome(self, task: str, **values: Any) -> bool:
        """Record a result for which nothing was claimed, if no run is in progress."""
        return self._change_unlocked(IS_FREE, {THIS_TASK.key: task}, **values)

    def set_transactional(self, task: str, run_id: str, transactional: bool) -> bool:
        """Record whether a run commits with its record, and return whether the row still holds its fencing token."""
        mine = of_run(task, run_id)
        # no new version of the row for each savepoint of a task that has many
        changes = HOLDS_BUT_NOT_TRANSACTIONAL if transactional else HOLDS_AND_TRANSACTIONAL
        if self._change(changes, mine, transactional=transactional):
            return True
        # locked, because under REPEATABLE READ the task's transaction would see the row as it was at its beginning
        return self._connection.scalar(_select_name(HOLDS_RUN, read=True), mine) is not None

    def _delete(self, condition: ColumnElement[bool], known: dict[str, Any]) -> bool:
        return self._connection.execute(self._connection.delete(tasks).where(condition), known) == 1

    def _change(self, condition: ColumnElement[bool], known: dict[str, Any], **values: Any) -> bool:
        """Change a row.

        :param condition: the condition that it is as expected, one object for all calls.
        :param known: the parameters of the condition.
        :param values: the new values of its columns; one that is an expression is one object for all calls as well.
        """
        computed = {name: value for name, value in values.items() if isinstance(value, ColumnElement)}
        plain = {name: value for name, value in values.items() if name not in computed}
        return self._connection.execute(_update(condition, tuple(computed.items())), known | plain) == 1

    def _unlocked(self, condition: ColumnElement[bool]) -> ColumnElement[bool]:
        """Return a condition without rows that other transactions have locked, where the database can skip them."""
        if not self._connection.skips_locked:
            return condition
        query = self._connection.select(tasks, tasks.c.task).where(condition).with_for_update(skip_locked=True)
        return tasks.c.task.in_(self._connection.scalars(query))

    def _change_unlocked(self, condition: ColumnElement[bool], known: dict[str, Any], **values: Any) -> bool:
        """Change a row without a wait for another transaction that has locked it, where the database can skip it.

        :raises Locked: if the row is as expected, and locked.
        """
        if (
            self._connection.skips_locked
            and self._connection.scalar(_select_name(condition, skip_locked=True), known) is None
        ):
            if self._connection.scalar(_select_name(condition), known) is None:
                return False
            raise Locked
        # no SELECT before it on SQLite, where only a transaction that begins with a write waits for other writers
        return self._change(condition, known, **values)


# bounded: an expression that is not one object for all calls would fill them
@lru_cache(200)
def _update(condition: ColumnElement[bool], computed: tuple[tuple[str, ColumnElement[Any]], ...]) -> Update:
    return StoreConnection.update(tasks).where(condition).values(dict(computed))


@lru_cache(200)
def _select_name(condition: ColumnElement[bool], **lock: Any) -> Select[Any]:
    query = StoreConnection.select(tasks, tasks.c.task).where(condition)
    return query.with_for_update(**lock) if lock else query


@cache
def _insert_lists(dialect: Dialect, names: tuple[str, ...]) -> Any:
    listed = lists({name: tasks.c[name].type for name in names})
    new = StoreConnection.select_new(*(listed.c[name] for name in names)).select_from(listed)
    return dialect.insert_new(tasks).from_select(['app', *names], new)


@cache
def _select_wanted(dialect: Dialect, may_owe_too: bool) -> Select[Any]:
    conditions = [is_named(dialect), NEEDS_ATTENTION, *([may_owe()] if may_owe_too else [])]
    return select_states().where(or_(*conditions))


@cache
def _mark_listed() -> Update:
    # by the keys of the rows: to look for each token in a list takes the square of their number
    listed = lists({'task': NAME, 'run_id': ID})
    return StoreConnection.update(tasks).where(tasks.c.task == listed.c.task, tasks.c.run_id == listed.c.run_id)


@cache
def _select_behind(dialect: Dialect) -> Select[Any]:
    return select_states().where(is_named(dialect), or_(IS_OLDER, IS_TO_RETRY))


@cache
def _select_renamed(dialect: Dialect) -> Select[Any]:
    return select_states().where(is_named(dialect, tasks.c.renamed_from))


def next_due(task: Task, after: datetime) -> datetime:
    """Return the first minute after another one at which a task is due."""
    return clock.to_instant(next(task.runs(after), FOR_EVER))
