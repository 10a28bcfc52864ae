"""Registration: keeps in the rows of tasks which tasks the processes have, with which schedules, and since when."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import datetime
from operator import attrgetter

from pyramid_cron.callables import dotted_path
from pyramid_cron.errors import Unavailable
from pyramid_cron.events import TaskUnregistered
from pyramid_cron.store.database import Database
from pyramid_cron.store.errors import Locked
from pyramid_cron.store.options import Options
from pyramid_cron.store.registered_tasks import RegisteredTasks
from pyramid_cron.store.schedule_text import is_schedule_of
from pyramid_cron.store.storable import storable
from pyramid_cron.store.task_rows import TaskStates
from pyramid_cron.store.task_state import TaskState
from pyramid_cron.tasks import Task

log = logging.getLogger(__name__)

# new tasks that one transaction registers: those of the other servers of a deploy wait for it
MOST_AT_ONCE = 5000
# functions that one tick records, with a statement for each; later ticks record those of the other tasks
MOST_CALLABLES = 100


class Registration:
    """Registers the tasks of this process, and reports those that no process registers.

    :param database: the database of the store.
    :param options: the settings of the store.
    """

    def __init__(self, database: Database, options: Options) -> None:
        self._database = database
        self._options = options

    def add_new(
        self,
        wanted: Collection[Task],
        states: Mapping[str, TaskState],
        others: Mapping[str, TaskState],
        instant: datetime,
    ) -> Mapping[str, TaskState]:
        """Return the states of tasks after those that are new were registered.

        :param others: the rows of tasks under other names, by their names: these tasks are not new.
        """
        new = [task for task in wanted if task.name not in states and task.name not in others]
        if not new:
            return states
        # in one order, or else the transactions of two servers could wait for each other
        new.sort(key=attrgetter('name'))
        for start in range(0, len(new), MOST_AT_ONCE):
            with self._database.begin() as connection:
                RegisteredTasks(connection).register(new[start : start + MOST_AT_ONCE], instant)
        with self._database.autocommit() as connection:
            return {**states, **TaskStates(connection).load([task.name for task in new])}

    def see(self, states: Mapping[str, TaskState], instant: datetime, future: datetime) -> None:
        """Record that tasks are registered here, for those of which that was recorded long ago, or in the future.

        :param states: the states of tasks that are registered here, by their names.
        """
        stale = [name for name, state in states.items() if state.is_stale(instant, future)]
        if not stale:
            return
        try:
            with self._database.begin() as connection:
                RegisteredTasks(connection).see(stale, instant, future)
        except Unavailable as exc:
            log.warning('it cannot be recorded which tasks are registered: %s', exc)

    def record_callables(
        self, tasks: Collection[Task], states: Mapping[str, TaskState], instant: datetime, future: datetime
    ) -> None:
        """Record the functions of tasks, where an earlier version has not, or another one was seen long ago."""
        changed: dict[str, str] = {}
        for task in tasks:
            state = states.get(task.name)
            if state is None or state.is_claimed or len(changed) == MOST_CALLABLES:
                continue
            if state.callable is None or state.is_stale(instant, future):
                path = storable(dotted_path(task.f))
                if path != state.callable:
                    changed[task.name] = path
        try:
            if changed:
                with self._database.begin() as connection:
                    for name, path in changed.items():
                        with suppress(Locked):
                            RegisteredTasks(connection).record_callable(name, path)
        except Unavailable as exc:
            log.warning('the functions of tasks cannot be recorded: %s', exc)

    def update(self, task: Task, state: TaskState, instant: datetime, before: datetime | None) -> TaskState:
        """Return the state of a task after it was recorded that it is back, or that its schedule has changed."""
        if state.is_claimed:
            return state
        back = state.is_unregistered(before)
        if not back and is_schedule_of(task, state.schedule):
            return state
        with self._database.begin() as connection:
            registered = RegisteredTasks(connection)
            if back:
                registered.register_again(task, state, instant)
            else:
                registered.change_schedule(task, state, instant)
            return TaskStates(connection).get(task.name) or state

    def report_unregistered(self, state: TaskState, instant: datetime) -> None:
        """Log, and send to subscribers once over all servers, that no process has a task registered any more."""
        with self._database.begin() as connection:
            new = RegisteredTasks(connection).report_unregistered(state, instant)
        if new and state.last_seen is not None:
            log.warning(
                'task %s is unregistered: no process with a tick has had it since %s; '
                'register it again, or register the task of another name with was=%r, or run "pcron forget" for it',
                state.task,
                self._options.shown(state.last_seen),
                state.task,
            )
            self._options.notify(TaskUnregistered(state.task, state.last_seen))
