"""Registration in the rows of tasks, by compare-and-set: new tasks, schedules, other names, corrections."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import and_, case, literal, or_

from pyramid_cron.callables import dotted_path
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.compare_and_set import CompareAndSet
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.decision import next_due
from pyramid_cron.store.schedule_text import read_schedule, write_schedule
from pyramid_cron.store.schema import tasks
from pyramid_cron.store.task_columns import OF_TASK
from pyramid_cron.store.task_conditions import (
    HAS_SCHEDULE,
    IS_CLAIMED,
    IS_FREE,
    IS_UNCHANGED,
    IS_UNREPORTED,
    IS_UNSEEN,
    KNOWN_REPORT,
    KNOWN_SCHEDULE,
    LAST_SEEN,
    THIS_TASK,
    unchanged,
)
from pyramid_cron.store.task_state import SEEN_INTERVAL, UNREGISTERED_AFTER, TaskState
from pyramid_cron.tasks import Task


class RegisteredTasks:
    """What the rows of an application's tasks hold independently of runs.

    The compare-and-set statements wait for locks as those of :class:`.TaskClaims`.

    :param connection: a connection of the application.
    """

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection
        self._row = CompareAndSet(connection)

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
                'callable': dotted_path(task.f),
                'next_due': next_due(task, before),
                'attempt': 0,
                'transactional': False,
            }
            for task in new
        ]
        self._connection.insert_all_new(tasks, rows)

    def change_schedule(self, task: Task, state: TaskState, minute: datetime) -> bool:
        """Record a changed schedule, unless a run is in progress: its own transaction may have to update the row.

        A task that was turned off, or on again, does not repeat the last run from before that.

        :param minute: from which on it counts.
        """
        before = read_schedule(state.schedule)
        was_off = before is not None and before[0].is_off
        turned = {'retry_reason': None, 'will_retry': False} if was_off or task.schedule.is_off else {}
        return self._row.change_unlocked(
            HAS_SCHEDULE,
            {THIS_TASK.key: task.name, KNOWN_SCHEDULE.key: state.schedule},
            schedule=write_schedule(task),
            previous_schedule=state.schedule,
            schedule_changed_at=minute,
            previous_schedule_from=state.schedule_changed_at or state.first_seen,
            next_due=next_due(task, max(state.first_seen, state.last_minute or state.first_seen)),
            **turned,
        )

    def register_again(self, task: Task, state: TaskState, minute: datetime) -> bool:
        """Record that a task is back that was registered nowhere for a while: it owes no minute of that time."""
        unseen = {THIS_TASK.key: task.name, LAST_SEEN.key: state.last_seen}
        before = minute - MINUTE
        values = {'first_seen': before, 'last_seen': minute, 'next_due': next_due(task, before)}
        return self._row.change_unlocked(IS_UNSEEN, unseen, retry_reason=None, will_retry=False, **values)

    def see(self, names: Collection[str], minute: datetime, future: datetime) -> None:
        """Record that tasks are registered in a process that ticks, except for those that are claimed or locked."""
        seen = tasks.c.last_seen
        stale = or_(seen.is_(None), seen <= minute - SEEN_INTERVAL / 2, seen >= future)
        condition = self._row.unlocked(and_(tasks.c.task.in_(names), ~IS_CLAIMED, stale))
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
            update = self._connection.update(tasks).where(self._row.unlocked(and_(registered, column.in_(seen))))
            self._connection.execute(update.values(last_seen=case(*later, else_=column)))

    def record_callable(self, task: str, path: str) -> bool:
        """Record the dotted path of the function of a task, if no run is in progress."""
        return self._row.change_unlocked(IS_FREE, {THIS_TASK.key: task}, callable=path)

    def report_unregistered(self, state: TaskState, minute: datetime) -> bool:
        """Record that it is reported that no process has a task registered, and return whether no other process has."""
        new = {
            THIS_TASK.key: state.task,
            LAST_SEEN.key: state.last_seen,
            KNOWN_REPORT.key: state.unregistered_at,
        }
        return self._row.change_unlocked(IS_UNREPORTED, new, unregistered_at=minute)

    def rename(self, state: TaskState, name: str) -> bool:
        """Give the row of a task another name, if no run is in progress."""
        return self._row.change_unlocked(IS_UNCHANGED, unchanged(state), task=name, renamed_from=state.task)

    def merge(self, own: TaskState, other: TaskState) -> bool:
        """Delete one of two rows of a task, and keep of it what counts, if no run of either is in progress.

        :param own: the row that stays. If it has begun no run, it becomes a copy of the other one.
        """
        values: dict[str, Any] = {'renamed_from': other.task}
        if own.last_minute is not None:
            values['last_minute'] = max(own.last_minute, other.last_minute or own.last_minute)
            succeeded = [state.last_success_for for state in (own, other) if state.last_success_for is not None]
            values['last_success_for'] = max(succeeded, default=None)
        else:
            values = {column.name: getattr(other, column.name) for column in OF_TASK} | values | {'task': own.task}
        kept = self._row.change_unlocked(IS_UNCHANGED, unchanged(own), **values)
        return kept and self._row.delete(IS_UNCHANGED, unchanged(other))

    def forget(self, task: str) -> bool:
        """Delete the row of a task, if no run is in progress."""
        return self._row.delete(IS_FREE, {THIS_TASK.key: task})

    def postpone(self, state: TaskState, minute: datetime) -> bool:
        """Record until when no tick has to look at the row of a task that owes nothing.

        :param state: the state by which it owes nothing.
        """
        return self._row.change_unlocked(IS_UNCHANGED, unchanged(state), next_due=minute)

    def correct(self, state: TaskState, **values: Any) -> bool:
        """Correct what a wrong clock has left in the row of a task, if no run is in progress."""
        return self._row.change_unlocked(IS_UNCHANGED, unchanged(state), **values)

    def forget_taken_back(self, minute: datetime) -> None:
        """Forget from which minutes, up to another one, rows were taken back, except while a run is in progress."""
        reached = and_(tasks.c.taken_back_from <= minute, ~IS_CLAIMED)
        self._connection.execute(self._connection.update(tasks).where(reached), {'taken_back_from': None})
