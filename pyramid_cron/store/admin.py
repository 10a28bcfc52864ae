"""Reads and changes what the store holds outside of runs: states of tasks, pauses, and the history for people."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from pyramid_cron.claims import Pause
from pyramid_cron.events import TaskPaused, TaskResumed
from pyramid_cron.printable import printable
from pyramid_cron.schedules import clock
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.database import Database
from pyramid_cron.store.failed_ticks import FailedTicks
from pyramid_cron.store.options import Options
from pyramid_cron.store.pauses import Pauses
from pyramid_cron.store.queries import Queries
from pyramid_cron.store.storable import ascii_if_refused
from pyramid_cron.store.task_rows import TaskStates
from pyramid_cron.store.task_state import TaskState
from pyramid_cron.store.ticks import Ticks, TickState

log = logging.getLogger(__name__)

# characters of the reason of a pause, which stands in a line of the log and in each report
LONGEST_REASON = 1000

Written = TypeVar('Written')


@dataclass(frozen=True)
class Snapshot:
    """The rows that decide what is wrong, as they are at one instant.

    :param states: the states of the application's tasks by their names.
    :param ticks: what is known of the ticks, ``None`` if there was none.
    :param now: the instant, by the database's clock.
    """

    states: Mapping[str, TaskState]
    ticks: TickState | None
    now: datetime

    @property
    def last_tick(self) -> datetime | None:
        """The newest minute that had a tick, ``None`` if there was none."""
        return None if self.ticks is None else self.ticks.last


class Store:
    """The store of an application for everything but runs: ``registry['cron_store']``.

    Each method raises :exc:`.Unavailable` if the database is not available.

    :param database: the database of the store.
    :param options: the settings of the store.
    :param failed_ticks: the ticks that failed in this process.
    """

    def __init__(self, database: Database, options: Options, failed_ticks: FailedTicks) -> None:
        self.database = database
        self.options = options
        self._failed_ticks = failed_ticks

    def states(self) -> Mapping[str, TaskState]:
        """Return the states of the application's tasks by their names."""
        with self.database.reading() as connection:
            return {} if connection is None else TaskStates(connection).load()

    def snapshot(self) -> Snapshot:
        """Return the rows that decide what is wrong, see :func:`pyramid_cron.monitoring.problems.find_problems`."""
        with self.database.reading() as connection:
            if connection is None:
                return Snapshot({}, None, clock.now())
            now = connection.now()
            return Snapshot(TaskStates(connection).load(), self._ticks(connection, now), now)

    def _ticks(self, connection: StoreConnection, now: datetime) -> TickState | None:
        """Return what is known of the ticks: by the database, and by this process of those that it could not record."""
        state = Ticks(connection).state()
        if state is None or state.problem is not None:
            return state
        after = state.last if state.done is None else state.done
        # not those of a clock that was ahead, which count again when their minute comes
        problem = self._failed_ticks.reason(after + clock.MINUTE, now + clock.MINUTE, ahead=False)
        return state._replace(problem=problem)

    @contextmanager
    def queries(self) -> Iterator[Queries | None]:
        """Return, for the body of a ``with``, the queries of the history; ``None`` if there are no tables yet."""
        with self.database.reading() as connection:
            yield None if connection is None else Queries(connection)

    def pause(
        self, names: Collection[str], *, reason: str, until: datetime | None = None, requested_by: str | None = None
    ) -> None:
        """Pause tasks: the minutes at which they are due are recorded and skipped.

        :param names: the names of the tasks.
        :param reason: why, for people; in one line, and without control characters.
        :param until: when the pause ends, aware; ``None`` until :meth:`resume`.
        :param requested_by: the user that pauses them.
        :raises LookupError: for a task that has no row yet.
        :raises ValueError: for a reason that is empty or too long.
        """
        reason = printable(' '.join(reason.split()))
        if not reason:
            raise ValueError('the reason is empty: write why')
        if len(reason) > LONGEST_REASON:
            raise ValueError(f'the reason has {len(reason)} characters: write {LONGEST_REASON} at most')
        pause = Pause(until, reason, requested_by)
        self._write(lambda connection: Pauses(connection).pause(names, pause, connection.now()))
        for name in names:
            log.warning('task %s is paused%s: %s', name, f' by {requested_by}' if requested_by else '', reason)
            self.options.notify(TaskPaused(name, until, reason, requested_by))

    def resume(self, names: Collection[str], *, requested_by: str | None = None) -> list[str]:
        """End the pauses of tasks, and return the names of those that were paused."""
        resumed = self._write(lambda connection: Pauses(connection).resume(names, connection.now()))
        for name in resumed:
            log.warning('task %s is resumed%s', name, f' by {requested_by}' if requested_by else '')
            self.options.notify(TaskResumed(name, requested_by))
        return resumed

    def forget(self, name: str, *, requested_by: str | None = None) -> None:
        """Delete the row and the pause of a task. Its history stays.

        A process that has the task registered inserts a new row at its next tick for which the task is due.

        :param requested_by: the user that requests it.
        :raises LookupError: for a task that has no row.
        :raises ValueError: for a task with a run in progress.
        """

        def delete(connection: StoreConnection) -> bool:
            deleted = TaskStates(connection).forget(name)
            if deleted:
                Pauses(connection).forget(name)
            elif TaskStates(connection).get(name) is None:
                raise LookupError(f'the store has no task {name!r}')
            return deleted

        if not self._write(delete):
            raise ValueError(f'task {name} has a run in progress: forget it when that has ended')
        log.warning('task %s is forgotten%s', name, f' by {requested_by}' if requested_by else '')

    def paused(self) -> dict[str, Pause]:
        """Return the pauses in force, by the names of the tasks."""
        with self.database.reading() as connection:
            return {} if connection is None else Pauses(connection).in_force(connection.now())

    def _write(self, write: Callable[[StoreConnection], Written]) -> Written:
        self.database.breaker.close()

        def begin_and_write() -> Written:
            with self.database.begin() as connection:
                return write(connection)

        return ascii_if_refused(begin_and_write)
