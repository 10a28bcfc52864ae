"""Reads and changes what the store holds outside of runs: states of tasks, pauses, and the history for people."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from pyramid_cron.claims import Delivery, Pause
from pyramid_cron.events import TaskPaused, TaskResumed
from pyramid_cron.names import ALL_TASKS
from pyramid_cron.schedules import clock
from pyramid_cron.store.acknowledgements import acknowledge
from pyramid_cron.store.actions import Actions
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.database import Database
from pyramid_cron.store.failed_ticks import FailedTicks
from pyramid_cron.store.known_rows import KnownRows, states_by_name
from pyramid_cron.store.options import Options
from pyramid_cron.store.pause_times import end_of
from pyramid_cron.store.pauses import Pauses
from pyramid_cron.store.queries import Queries
from pyramid_cron.store.registered_tasks import RegisteredTasks
from pyramid_cron.store.sending_again import record_worker_failure
from pyramid_cron.store.snapshot import Snapshot
from pyramid_cron.store.stops import Changed, NotInProgress, Stop, find_run, stop_run
from pyramid_cron.store.storable import ascii_if_refused
from pyramid_cron.store.task_rows import TaskStates
from pyramid_cron.store.task_state import TaskState
from pyramid_cron.store.texts import parse_reason, paused_reason
from pyramid_cron.store.ticks import Ticks, TickState

if TYPE_CHECKING:
    from pyramid_cron.tasks import Tasks

log = logging.getLogger(__name__)

Written = TypeVar('Written')

# how often a stop is tried while runs of the task begin and end
MOST_STOPS = 3


class Store:
    """The store of an application for everything but runs: ``registry['cron_store']``.

    Each method raises :exc:`.Unavailable` if the database is not available.

    :param database: the database of the store.
    :param options: the settings of the store.
    :param failed_ticks: the ticks that failed in this process.
    :param tasks: the tasks that this process has registered.
    """

    def __init__(self, database: Database, options: Options, failed_ticks: FailedTicks, tasks: Tasks) -> None:
        self.database = database
        self.options = options
        self._failed_ticks = failed_ticks
        self._tasks = tasks

    def states(self) -> Mapping[str, TaskState]:
        """Return the states of the application's tasks, by the names by which this process knows the tasks."""
        with self.database.reading() as connection:
            return {} if connection is None else self.states_in(connection)

    def states_in(self, connection: StoreConnection, names: Collection[str] | None = None) -> Mapping[str, TaskState]:
        """Return these states, read by a connection of the store.

        :param names: the tasks with rows that have to be among them, ``None`` for all.
        """
        return self._rows(connection).states(names)

    def snapshot(self, names: Collection[str] = ()) -> Snapshot:
        """Return the rows that decide what is wrong, see :func:`pyramid_cron.monitoring.problems.find_problems`.

        :param names: the tasks with rows that have to be among them, all if there is none.
        """
        with self.database.reading() as connection:
            if connection is None:
                return Snapshot({}, None, clock.now())
            now = connection.now()
            rows, ticks = self._rows(connection).read(names or None), self._ticks(connection, now)
            states = states_by_name(self._tasks.stored(), rows, None if ticks is None else ticks.before)
            # each row has come with it, if there is one
            one = next(iter(states.values()), None)
            pause = Pauses(connection).of_all() if one is None else one.pause_of_all
            in_force = pause is not None and now < end_of(pause)
            return Snapshot(states, ticks, now, pause if in_force else None, self.options.catch_up)

    def _rows(self, connection: StoreConnection) -> KnownRows:
        return KnownRows(connection, self._tasks.stored())

    def _ticks(self, connection: StoreConnection, now: datetime) -> TickState | None:
        """Return what is known of the ticks: by the database, and by this process of those that it could not record."""
        state = Ticks(connection).state()
        if state is None or state.problem is not None:
            return state
        after = state.last if state.done is None else state.done
        # not those of a clock that was ahead, which count again when their minute comes
        problem = self._failed_ticks.reason(after + clock.MINUTE, now + clock.MINUTE, ahead=False)
        return state._replace(problem=problem)

    def record_worker_failure(self, delivery: Delivery, exc: BaseException) -> None:
        """Record that this process has taken the message of a queued run, and failed before it began the task."""
        record_worker_failure(self.database, delivery, exc, os.getpid(), socket.gethostname())

    @contextmanager
    def queries(self) -> Iterator[Queries | None]:
        """Return, for the body of a ``with``, the queries of the history; ``None`` if there are no tables yet."""
        with self.database.reading() as connection:
            yield None if connection is None else Queries(connection)

    def pause(
        self, names: Collection[str], *, reason: str, until: datetime | None = None, requested_by: str | None = None
    ) -> dict[str, Pause]:
        """Pause tasks: the minutes at which they are due are recorded and skipped.

        :param names: the names of the tasks, or ``'*'`` to pause all, those included that a later deploy adds. Tasks
            that are paused by themselves stay paused after that.
        :param reason: why, for people; in one line, and without control characters.
        :param until: when the pause ends, aware; ``None`` until :meth:`resume`.
        :param requested_by: the user that pauses them.
        :return: the pauses in force that are replaced, by the names of the tasks.
        :raises LookupError: for a task that has no row yet.
        :raises ValueError: for a reason that is empty or too long.
        """
        reason = parse_reason(reason)
        pause = Pause(until, reason, requested_by)

        def write(connection: StoreConnection) -> dict[str, Pause]:
            rows = self._rows(connection).row_names(names)
            known = {**rows, ALL_TASKS: ALL_TASKS}
            unknown = [name for name in names if name not in known]
            if unknown:
                raise LookupError(
                    f'the store has no task {", ".join(map(repr, unknown))}: a task is in it from the first tick on, '
                    'and one with store=False never'
                )
            found = Pauses(connection).pause([known[name] for name in names], pause, connection.now())
            return {name: found[known[name]] for name in names if known[name] in found}

        replaced = self._write(write)
        for name in names:
            old = f' (before: {paused_reason(replaced[name])})' if name in replaced else ''
            log.warning('%s paused%s: %s%s', _subject(name), _by(requested_by), reason, old)
            self.options.notify(TaskPaused(name, until, reason, requested_by))
        return replaced

    def resume(self, names: Collection[str], *, requested_by: str | None = None) -> list[str]:
        """End the pauses of tasks, and return the names of those that were paused.

        :param names: the names of the tasks, or ``'*'`` to end the pause of all tasks, and not those of single ones.
        """

        def write(connection: StoreConnection) -> list[str]:
            # a pause of a name without a row is ended too
            own = {row: name for name, row in self._rows(connection).row_names(names).items()}
            rows = {*own, *(name for name in names if name not in own.values())}
            ended = Pauses(connection).resume(rows, connection.now(), requested_by)
            return [own.get(row, row) for row in ended]

        resumed = self._write(write)
        for name in resumed:
            log.warning('%s resumed%s', _subject(name), _by(requested_by))
            self.options.notify(TaskResumed(name, requested_by))
        return resumed

    def acknowledge(self, names: Collection[str], *, reason: str, requested_by: str | None = None) -> None:
        """Acknowledge the last failures of tasks: they are no alarm until a task succeeds, or fails otherwise.

        :param names: the names of the tasks: all of them, or none.
        :param reason: why, for people; in one line, and without control characters.
        :param requested_by: the user that acknowledges them.
        :raises LookupError: for a task that has no row yet.
        :raises ValueError: for a reason that is empty or too long, and for a task that has no failure.
        """
        reason = parse_reason(reason)
        joins = self.options.session is not None

        def write(connection: StoreConnection) -> dict[str, str]:
            rows = self._rows(connection).load(names)
            return {name: acknowledge(connection, name, rows.get(name), reason, requested_by, joins) for name in names}

        for name, failure in self._write(write).items():
            by = f' by {requested_by}' if requested_by else ''
            log.warning('task %s: its failure (%s) is acknowledged%s: %s', name, failure, by, reason)

    def stop(
        self,
        name: str,
        *,
        requested_by: str | None = None,
        run_id: str | None = None,
        delivery: Delivery | None = None,
    ) -> Stop:
        """End the queued run of a task, or record that its run in progress is to end.

        The process that runs it learns of that with its next heartbeat.

        :param requested_by: the user that requests it.
        :param run_id: a fencing token of the run, ``None`` for any run in progress.
        :param delivery: the minute or token of the run, in the same way.
        :raises LookupError: for a task that has no row.
        :raises NotInProgress: if no run is in progress, or another one is.
        """
        for _ in range(MOST_STOPS):
            self.database.breaker.close()
            with self.database.autocommit() as connection:
                state = find_run(connection, name, self._rows(connection).get(name), run_id, delivery)
            try:
                stop = self._write(partial(stop_run, state=state, requested_by=requested_by))
            except Changed:
                continue
            if stop.was_queued:
                log.warning('task %s: its queued run is stopped%s', name, _by(requested_by))
            elif stop.is_new:
                log.warning('task %s: its run is to end, a stop is requested%s', name, _by(requested_by))
            return replace(stop, task=name)
        raise NotInProgress(f'task {name} begins and ends runs: look at it again')

    def forget(self, name: str, *, requested_by: str | None = None) -> None:
        """Delete the row and the pause of a task. Its history stays.

        A process that has the task registered inserts a new row at its next tick for which the task is due.

        :param requested_by: the user that requests it.
        :raises LookupError: for a task that has no row.
        :raises ValueError: for a task with a run in progress.
        """

        def delete(connection: StoreConnection) -> bool:
            deleted = RegisteredTasks(connection).forget(name)
            if deleted:
                Pauses(connection).forget(name)
                Actions(connection).record('forgotten', [name], requested_by=requested_by)
            elif TaskStates(connection).get(name) is None:
                raise LookupError(f'the store has no task {name!r}')
            return deleted

        if not self._write(delete):
            raise ValueError(f'task {name} has a run in progress: forget it when that has ended')
        log.warning('task %s is forgotten%s', name, _by(requested_by))

    def record_plan(self, changes: Mapping[str, str], *, requested_by: str | None = None) -> None:
        """Record which changes of tasks a plan of a deploy has shown.

        :param changes: what the deploy does to a task, such as ``'gone'``, by the names of the tasks.
        :param requested_by: the user that made the plan.
        """

        def record(connection: StoreConnection) -> None:
            actions = Actions(connection)
            for change in dict.fromkeys(changes.values()):
                names = [name for name, its_change in changes.items() if its_change == change]
                actions.record('planned', names, requested_by=requested_by, reason=change)

        self._write(record)

    def paused(self) -> dict[str, Pause]:
        """Return the pauses in force, by the names of the tasks; that of all tasks has the name ``'*'``."""
        with self.database.reading() as connection:
            if connection is None:
                return {}
            found = Pauses(connection).in_force(connection.now())
            if found.keys() <= {ALL_TASKS, *self._tasks.stored()}:
                return found
            own = {state.task: name for name, state in self._rows(connection).load().items()}
            return {own.get(name, name): pause for name, pause in found.items()}

    def _write(self, write: Callable[[StoreConnection], Written]) -> Written:
        self.database.breaker.close()

        def begin_and_write() -> Written:
            with self.database.begin() as connection:
                return write(connection)

        return ascii_if_refused(begin_and_write)


def _subject(name: str) -> str:
    return 'all tasks are' if name == ALL_TASKS else f'task {name} is'


def _by(requested_by: str | None) -> str:
    return f' by {requested_by}' if requested_by else ''
