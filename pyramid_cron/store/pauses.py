"""Tasks that somebody has paused, until a time or until they are resumed."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timezone

from sqlalchemy import ColumnElement, Connection, and_, insert, select, update

from pyramid_cron.claims import Pause
from pyramid_cron.store.schema import pauses, tasks

# for a pause that somebody has to end
FOR_EVER = datetime(9999, 1, 1, tzinfo=timezone.utc)


def pause(
    connection: Connection,
    app: str,
    names: Collection[str],
    reason: str,
    until: datetime | None,
    requested_by: str | None,
) -> None:
    """Pause tasks, paused or not.

    :raises LookupError: for a name that the store does not know.
    """
    known = set(connection.scalars(select(tasks.c.task).where(tasks.c.app == app, tasks.c.task.in_(names))))
    unknown = [name for name in names if name not in known]
    if unknown:
        raise LookupError(
            f'the store knows no task {", ".join(map(repr, unknown))}: it knows a task from the first tick on, '
            'and one with store=False never'
        )
    for name in names:
        _set(connection, app, name, until=until or FOR_EVER, reason=reason, requested_by=requested_by)


def resume(connection: Connection, app: str, names: Collection[str], now: datetime) -> list[str]:
    """End the pauses of tasks, and return the names of those that were paused.

    What they were due at until now stays passed over.
    """
    resumed = [name for name in paused(connection, app, now) if name in names]
    for name in resumed:
        connection.execute(update(pauses).where(_is(app, name)).values(until=now))
    return resumed


def paused(connection: Connection, app: str, now: datetime) -> dict[str, Pause]:
    """Return the pauses that last, by the names of the tasks."""
    query = select(pauses).where(pauses.c.app == app, pauses.c.until > now).order_by(pauses.c.task)
    return {
        row.task: Pause(None if row.until == FOR_EVER else row.until, row.reason, row.requested_by)
        for row in connection.execute(query)
    }


def _set(connection: Connection, app: str, name: str, **values: object) -> None:
    if connection.execute(update(pauses).where(_is(app, name)).values(**values)).rowcount == 0:
        connection.execute(insert(pauses).values(app=app, task=name, **values))


def _is(app: str, name: str) -> ColumnElement[bool]:
    return and_(pauses.c.app == app, pauses.c.task == name)
