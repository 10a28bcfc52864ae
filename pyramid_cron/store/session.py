"""Writing the record of a run in the transaction of the task's own session."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Connection, event, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, scoped_session

from pyramid_cron.store.schema import processes


class NotJoined(RuntimeError):
    """The session that ``cron.session`` names does not lead to the database of the store."""


class Joined:
    """A session whose next commit writes something more, in the same transaction.

    SQLAlchemy tells of a commit and of no other end. So a session that zope.sqlalchemy rolls back, because nothing
    that it knows of has changed, stays rolled back; and it makes no difference who commits, pyramid_tm or the
    application.

    :param session: a session of SQLAlchemy's ORM.
    :param at_begin: called before the task's first transaction in it.
    :param at_connect: called with the first connection that the session has for the task, before it is used.
    :param at_end: writes what belongs to the commit after the task, and is told how many seconds that took.
    :param before_end: writes what belongs to one that the task itself has made.
    :param monotonic: a clock in seconds that nobody sets.
    """

    def __init__(
        self,
        session: Any,
        at_begin: Callable[[], None],
        at_connect: Callable[[Connection], None],
        at_end: Callable[[Connection, float], None],
        before_end: Callable[[Connection], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._session = session
        self._at_begin = at_begin
        self._at_connect = at_connect
        self._at_end = at_end
        self._before_end = before_end
        self._monotonic = monotonic
        self._began = 0.0
        self._is_used = self._is_connected = False
        self._task_returned = False
        self._seconds = 0.0
        #: whether the record was written, and stands if the commit succeeds
        self.written = False
        for name, listener in self._listeners():
            event.listen(self._session, name, listener)

    def __enter__(self) -> None:
        self._began = self._monotonic()
        if self._session.in_transaction():
            # what is around the task has begun it
            self._begin(self._session)
            self._connect(self._session, None, self._session.connection())

    def __exit__(self, exc_type: object, exc: object, traceback: object) -> None:
        self._seconds = self._monotonic() - self._began
        self._task_returned = exc is None

    def leave(self) -> None:
        """Let the session be."""
        for name, listener in self._listeners():
            event.remove(self._session, name, listener)

    def _listeners(self) -> Iterator[tuple[str, Callable[..., None]]]:
        # before a connection begins, which for SQLite can mean that nobody else can write
        yield 'after_transaction_create', self._begin
        yield 'after_begin', self._connect
        yield 'before_commit', self._before_commit

    def _begin(self, session: Any, transaction: Any = None) -> None:
        if not self._is_used:
            self._is_used = True
            self._at_begin()

    def _connect(self, session: Any, transaction: Any, connection: Connection) -> None:
        if not self._is_connected:
            self._is_connected = True
            self._at_connect(connection)

    def _before_commit(self, session: Any) -> None:
        if self._task_returned:
            if not self.written:
                self._at_end(session.connection(), self._seconds)
                self.written = True
        else:
            # perhaps only the end of a savepoint, which looks the same as a commit that finds one open: then what is
            # written goes the way of the savepoint
            self._before_end(session.connection())


def session_of(request: Any, name: str) -> Any:
    """Return the session that an attribute of the request holds.

    :raises NotJoined: if there is none.
    """
    try:
        session = getattr(request, name)
    except AttributeError as exc:
        raise NotJoined(f'cron.session = {name}: the request has no such attribute') from exc
    if isinstance(session, scoped_session):
        session = session()
    if not isinstance(session, Session):
        raise NotJoined(f'cron.session = {name} is a {type(session).__name__}, and no session of SQLAlchemy')
    return session


def require_same_database(connection: Connection, name: str, process_id: str) -> None:
    """Look for the row of this process, which was committed before, on a connection of the application's session.

    :raises NotJoined: if it is not there.
    """
    try:
        found = connection.scalar(select(processes.c.id).where(processes.c.id == process_id))
    except SQLAlchemyError as exc:
        raise NotJoined(
            f'cron.session = {name}: its database has no table {processes.name}: {exc}; it has to be that of cron.store'
        ) from exc
    if found is None:
        raise NotJoined(
            f'cron.session = {name} leads to another database than cron.store: let both name the same one, '
            'or leave cron.session out, which makes runs at most once'
        )
