"""The actions of people, such as a pause of a task: entries of the table ``cron_audit``. They decide nothing.

They are not in the history of runs: whatever counts or shows runs, a server with older code included, then has none of
them to leave out.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import uuid4

from pyramid_cron.history_entries import ActionEntry
from pyramid_cron.names import ALL_TASKS
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.schema import audit

COLUMNS = [audit.c[name] for name in ActionEntry._fields]


class Actions:
    """The actions of people in an application.

    :param connection: a connection of the application.
    """

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection

    def record(
        self,
        action: str,
        names: Collection[str],
        *,
        requested_by: str | None = None,
        reason: str | None = None,
        until: datetime | None = None,
    ) -> None:
        """Record an action of a user, in the transaction of the connection: the one that does what is recorded.

        :param action: what was done, as a participle of at most 20 characters, such as ``'paused'``.
        :param names: the names of the tasks, or :data:`.ALL_TASKS`; an entry is recorded for each.
        :param requested_by: the user, if known.
        :param reason: why, if there is a reason.
        :param until: when its effect ends by itself, aware.
        """
        if not names:
            return
        values = {
            'action': action,
            # by the clock of the database, which is believed
            'at': self._connection.now(),
            'requested_by': requested_by,
            'reason': reason,
            'until': until,
        }
        rows = [values | {'id': uuid4().hex, 'task': name} for name in names]
        self._connection.execute(self._connection.insert(audit), rows)

    def newest(self, limit: int, names: Collection[str] = (), since: datetime | None = None) -> list[ActionEntry]:
        """Return entries, the newest first.

        :param limit: how many at most.
        :param names: the names of the tasks, beside those of all tasks at once; every task if there is none.
        :param since: the instant that they are not before.
        """
        query = self._connection.select(audit, *COLUMNS)
        if names:
            query = query.where(audit.c.task.in_([*names, ALL_TASKS]))
        if since is not None:
            query = query.where(audit.c.at >= since)
        newest = query.order_by(audit.c.at.desc(), audit.c.id.desc()).limit(limit)
        return [ActionEntry(*row) for row in self._connection.rows(newest)]

    def rename(self, old: str, new: str) -> None:
        """Move the entries of a task to another name."""
        self._connection.execute(self._connection.update(audit).where(audit.c.task == old).values(task=new))

    def take_back(self, after: datetime, now: datetime) -> None:
        """Date entries as of now that a clock recorded which was ahead.

        :param after: the instant after which that clock was.
        """
        self._connection.execute(self._connection.update(audit).where(audit.c.at > after).values(at=now))

    def prune(self, before: datetime) -> None:
        """Delete the entries from before an instant."""
        self._connection.execute(self._connection.delete(audit).where(audit.c.at < before))
