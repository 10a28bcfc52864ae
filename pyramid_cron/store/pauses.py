"""The pauses of an application's tasks, and that of all tasks."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from pyramid_cron.claims import Pause
from pyramid_cron.names import ALL_TASKS
from pyramid_cron.store.actions import Actions
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.pause_times import FOR_EVER
from pyramid_cron.store.schema import pauses
from pyramid_cron.store.task_columns import OF_PAUSE, pause_of


class Pauses:
    """The pauses of an application's tasks. That of all tasks has the name :data:`.ALL_TASKS`.

    :param connection: a connection of the application.
    """

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection

    def pause(self, names: Collection[str], pause: Pause, now: datetime) -> dict[str, Pause]:
        """Pause tasks, or change their pauses, and return those that were in force and are replaced, by their names.

        :param names: the names of rows, or that of all tasks.
        """
        replaced = {name: old for name, old in self.in_force(now).items() if name in names}
        values = {
            'until': pause.until or FOR_EVER,
            'reason': pause.reason,
            'requested_by': pause.requested_by,
        }
        for name in names:
            # a pause that is replaced keeps its beginning, and so the minutes that were skipped because of it
            begun = {} if name in replaced else {'since': now}
            changed = self._connection.update(pauses).where(pauses.c.task == name).values(**values, **begun)
            if self._connection.execute(changed) == 0:
                self._connection.execute(self._connection.insert(pauses).values(task=name, **values, **begun))
        Actions(self._connection).record(
            'paused', names, requested_by=pause.requested_by, reason=pause.reason, until=pause.until
        )
        return replaced

    def resume(self, names: Collection[str], now: datetime, requested_by: str | None = None) -> list[str]:
        """End the pauses of tasks, and return the names of those that were paused.

        The minutes until now at which they were due stay skipped.
        """
        resumed = [name for name in self.in_force(now) if name in names]
        for name in resumed:
            self._connection.execute(self._connection.update(pauses).where(pauses.c.task == name).values(until=now))
        Actions(self._connection).record('resumed', resumed, requested_by=requested_by)
        return resumed

    def rename(self, old: str, new: str, now: datetime) -> None:
        """Give the pause of a task another name, unless a pause of that name is in force, which replaces it."""
        self.forget(old if new in self.in_force(now) else new)
        self._connection.execute(self._connection.update(pauses).where(pauses.c.task == old).values(task=new))

    def forget(self, name: str) -> None:
        """Delete the pause of a task, if it has one."""
        self._connection.execute(self._connection.delete(pauses).where(pauses.c.task == name))

    def in_force(self, now: datetime) -> dict[str, Pause]:
        """Return the pauses in force by the names of the tasks, in their order."""
        query = self._connection.select(pauses, pauses.c.task, *OF_PAUSE).where(pauses.c.until > now)
        rows = self._connection.rows(query.order_by(pauses.c.task))
        found = {name: pause_of(pause, of_all=name == ALL_TASKS) for name, *pause in rows}
        return {name: pause for name, pause in found.items() if pause is not None}

    def of_all(self) -> Pause | None:
        """Return the pause of all tasks, which may be over; ``None`` if there was none."""
        rows = self._connection.rows(self._connection.select(pauses, *OF_PAUSE).where(pauses.c.task == ALL_TASKS))
        return next((pause_of(row, of_all=True) for row in rows), None)
