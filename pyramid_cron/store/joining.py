"""Writing the record of a run in the transaction of the task's own session."""

from __future__ import annotations

from collections.abc import Callable
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
    :param at_end: writes what belongs to the commit after the task, and is told how many seconds that took.
    :param before_end: writes what belongs to one that the task itself has made.
    :param monotonic: a clock in seconds that nobody sets.
    """

    def __init__(
        self,
        session: Any,
        at_end: Callable[[Connection, float], None],
        before_end: Callable[[Connection], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._session = session
        self._at_end = at_end
        self._before_end = before_end
        self._monotonic = monotonic
        self._began = 0.0
        self._task_returned = False
        self._seconds = 0.0
        #: whether the record was written, and stands if the commit succeeds
        self.written = False
        event.listen(self._session, 'before_commit', self._before_commit)

    def __enter__(self) -> None:
        self._began = self._monotonic()

    def __exit__(self, exc_type: object, exc: object, traceback: object) -> None:
        self._seconds = self._monotonic() - self._began
        self._task_returned = exc is None

    def leave(self) -> None:
        """Let the session be."""
        event.remove(self._session, 'before_commit', self._before_commit)

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


def require_same_database(session: Any, name: str, process_id: str) -> None:
    """Look for the row of this process, which was committed before, through the application's session.

    :raises NotJoined: if it is not there.
    """
    try:
        found = session.connection().scalar(select(processes.c.id).where(processes.c.id == process_id))
    except SQLAlchemyError as exc:
        raise NotJoined(
            f'cron.session = {name}: its database has no table {processes.name}: {exc}; it has to be that of cron.store'
        ) from exc
    if found is None:
        raise NotJoined(
            f'cron.session = {name} leads to another database than cron.store: let both name the same one, '
            'or leave cron.session out, which makes runs at most once'
        )
