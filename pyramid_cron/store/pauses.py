"""The pauses of an application's tasks."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from pyramid_cron.claims import Pause
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.schema import pauses, tasks
from pyramid_cron.store.task_state import FOR_EVER


class Pauses:
    """The pauses of an application's tasks.

    :param connection: a connection of the application.
    """

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection

    def pause(self, names: Collection[str], pause: Pause, now: datetime) -> None:
        """Pause tasks, or change their pauses.

        :raises LookupError: for a task that has no row.
        """
        query = self._connection.select(tasks, tasks.c.task).where(tasks.c.task.in_(names))
        known = self._connection.scalars(query)
        unknown = [name for name in names if name not in known]
        if unknown:
            raise LookupError(
                f'the store has no task {", ".join(map(repr, unknown))}: a task is in it from the first tick on, '
                'and one with store=False never'
            )
        values = {
            'until': pause.until or FOR_EVER,
            'reason': pause.reason,
            'requested_by': pause.requested_by,
            'since': now,
        }
        for name in names:
            changed = self._connection.update(pauses).where(pauses.c.task == name).values(**values)
            if self._connection.execute(changed) == 0:
                self._connection.execute(self._connection.insert(pauses).values(task=name, **values))

    def resume(self, names: Collection[str], now: datetime) -> list[str]:
        """End the pauses of tasks, and return the names of those that were paused.

        The minutes until now at which they were due stay skipped.
        """
        resumed = [name for name in self.in_force(now) if name in names]
        for name in resumed:
            self._connection.execute(self._connection.update(pauses).where(pauses.c.task == name).values(until=now))
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
        query = self._connection.select(pauses, pauses).where(pauses.c.until > now).order_by(pauses.c.task)
        return {
            row.task: Pause(None if row.until == FOR_EVER else row.until, row.reason, row.requested_by)
            for row in self._connection.rows(query)
        }
