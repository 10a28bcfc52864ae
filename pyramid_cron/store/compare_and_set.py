"""Compare-and-set on the row of a task: the statements, and the locks that they wait for or skip."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Select, Update

from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.errors import Locked
from pyramid_cron.store.schema import tasks


class CompareAndSet:
    """Changes or deletes the row of a task if it is as expected, and returns whether it was.

    :param connection: a connection of the application.
    """

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection

    def change(self, condition: ColumnElement[bool], known: dict[str, Any], **values: Any) -> bool:
        """Change a row.

        :param condition: the condition that it is as expected, one object for all calls.
        :param known: the parameters of the condition.
        :param values: the new values of its columns; one that is an expression is one object for all calls as well.
        """
        computed = {name: value for name, value in values.items() if isinstance(value, ColumnElement)}
        plain = {name: value for name, value in values.items() if name not in computed}
        return self._connection.execute(_update(condition, tuple(computed.items())), known | plain) == 1

    def change_unlocked(self, condition: ColumnElement[bool], known: dict[str, Any], **values: Any) -> bool:
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
        return self.change(condition, known, **values)

    def delete(self, condition: ColumnElement[bool], known: dict[str, Any]) -> bool:
        """Delete a row."""
        return self._connection.execute(self._connection.delete(tasks).where(condition), known) == 1

    def lock(self, condition: ColumnElement[bool], known: dict[str, Any]) -> bool:
        """Lock a row until the end of the transaction, and return whether it is as expected."""
        return self._connection.scalar(_select_name(condition, read=True), known) is not None

    def unlocked(self, condition: ColumnElement[bool]) -> ColumnElement[bool]:
        """Return a condition without rows that other transactions have locked, where the database can skip them."""
        if not self._connection.skips_locked:
            return condition
        query = self._connection.select(tasks, tasks.c.task).where(condition).with_for_update(skip_locked=True)
        return tasks.c.task.in_(self._connection.scalars(query))


# bounded: an expression that is not one object for all calls would fill them
@lru_cache(200)
def _update(condition: ColumnElement[bool], computed: tuple[tuple[str, ColumnElement[Any]], ...]) -> Update:
    return StoreConnection.update(tasks).where(condition).values(dict(computed))


@lru_cache(200)
def _select_name(condition: ColumnElement[bool], **lock: Any) -> Select[Any]:
    query = StoreConnection.select(tasks, tasks.c.task).where(condition)
    return query.with_for_update(**lock) if lock else query
