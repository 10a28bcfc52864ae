"""Changes that a session has made in its database and that no commit has kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.orm import Session, SessionTransaction

from pyramid_cron.errors import CronError
from pyramid_cron.store.dialects import dialect_of
from pyramid_cron.store.sql_changes import change_in
from pyramid_cron.transactions import is_doomed


class NotCommitted(CronError, RuntimeError):
    """A task changed something in the session of ``cron.session``, returned, and nothing of it was committed.

    :param change: what it was, such as ``'DELETE'``.
    """

    def __init__(self, change: str) -> None:
        super().__init__(
            f'{change} was not committed, and is rolled back: where zope.sqlalchemy manages the session, call '
            'zope.sqlalchemy.mark_changed(session) after it; elsewhere commit, in the task or in what cron.transaction '
            'names; call session.rollback() if it is not to be kept'
        )


class Uncommitted:
    """What one session changes and does not commit.

    A rollback that the code calls is no loss: by ``session.rollback()``, of a savepoint, or by the transaction manager.
    A session that is closed with a change in it has lost the change: that is how zope.sqlalchemy ends a session of
    which it knows no change.

    :param session: a session of SQLAlchemy's ORM.
    :param manager: the transaction manager of the package ``transaction``, if there is one.
    """

    def __init__(self, session: Session, manager: Any) -> None:
        self._session = session
        self._manager = manager
        # the first change in each transaction or savepoint that is open, and in each that was closed without an end
        self._open: dict[SessionTransaction | None, str] = {}
        self._lost: dict[SessionTransaction, str] = {}
        self._committed: SessionTransaction | None = None
        self._connections: set[Connection] = set()
        self._ignores = False
        for name, listener in self._listeners():
            event.listen(session, name, listener)
        for connection in getattr(session.get_transaction(), '_connections', ()):
            # the keys are connections and their engines
            if isinstance(connection, Connection):
                self._begin(session, None, connection)

    @property
    def lost(self) -> str | None:
        """What was changed in a transaction that ended without a commit."""
        return next(iter(self._lost.values()), None)

    @contextmanager
    def ignored(self) -> Iterator[None]:
        """Ignore what is changed in the ``with``."""
        self._ignores = True
        try:
            yield
        finally:
            self._ignores = False

    def roll_back(self) -> str | None:
        """Roll back what is not committed yet, and return what it was, ``None`` if there is nothing.

        A transaction that is doomed stays open, for the test that it belongs to.
        """
        change = next(iter(self._open.values()), None) or self._change_of_objects()
        if change is None or (self._manager is not None and is_doomed(self._manager)):
            return None
        # without its connection it is rolled back all the same, and a listener of the application may replace the error
        with suppress(Exception):
            self._session.rollback()
        return change

    def leave(self) -> None:
        """Remove the listeners from the session and its connections."""
        for name, listener in self._listeners():
            event.remove(self._session, name, listener)
        self._leave_connections()

    def _listeners(self) -> Iterator[tuple[str, Callable[..., None]]]:
        yield 'after_begin', self._begin
        yield 'after_commit', self._commit
        yield 'after_transaction_end', self._end
        yield 'after_soft_rollback', self._end_by_rollback

    def _begin(self, session: Session, transaction: object, connection: Connection) -> None:
        # a savepoint begins on a connection that is watched already
        if connection in self._connections:
            return
        self._connections.add(connection)
        event.listen(connection, 'after_cursor_execute', self._execute)
        if self._manager is not None and is_doomed(self._manager) is not None:
            self._manager.get().addBeforeAbortHook(self._open.clear)

    def _execute(
        self, connection: Connection, cursor: object, statement: str, parameters: object, context: object, many: bool
    ) -> None:
        transaction = self._transaction()
        commits = connection.get_execution_options().get('isolation_level') == 'AUTOCOMMIT'
        if self._ignores or commits or transaction in self._open:
            return
        rolls_back_schema = dialect_of(connection.dialect.name).rolls_back_schema or _in_transaction(connection, False)
        change = change_in(statement, rolls_back_schema)
        if change is not None:
            self._open[transaction] = change

    def _commit(self, session: Session) -> None:
        self._committed = self._transaction()

    def _end(self, session: Session, transaction: SessionTransaction) -> None:
        if transaction.parent is None:
            self._leave_connections()
        change = self._open.pop(transaction, None)
        if change is None:
            return
        if transaction is not self._committed:
            self._lost[transaction] = change
        elif transaction.nested and any(_in_transaction(connection, True) for connection in self._connections):
            # what a savepoint keeps, the transaction around it can lose
            self._open.setdefault(self._transaction(), change)

    def _end_by_rollback(self, session: Session, previous: SessionTransaction) -> None:
        self._lost = {lost: change for lost, change in self._lost.items() if previous not in _with_parents(lost)}

    def _transaction(self) -> SessionTransaction | None:
        """Return the innermost savepoint that is open, or else the transaction."""
        return self._session.get_nested_transaction() or self._session.get_transaction()

    def _change_of_objects(self) -> str | None:
        session = self._session
        changed = session.new or session.deleted or any(map(session.is_modified, session.dirty))
        return 'an object that was added or changed' if changed else None

    def _leave_connections(self) -> None:
        for connection in self._connections:
            event.remove(connection, 'after_cursor_execute', self._execute)
        self._connections.clear()


def _in_transaction(connection: Connection, default: bool) -> bool:
    """Return whether a transaction is open in the database, or a default if the driver does not know.

    The driver of SQLite begins none for a change of the schema or a savepoint: alone, they are committed.
    """
    return bool(getattr(connection.connection.driver_connection, 'in_transaction', default))


def _with_parents(transaction: SessionTransaction | None) -> Iterator[SessionTransaction]:
    while transaction is not None:
        yield transaction
        transaction = transaction.parent
