"""Joining the transaction of a task's own session, in which the record of its run is then written."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.exc import InternalError
from sqlalchemy.orm import Session, scoped_session

from pyramid_cron.errors import CronError, Unavailable
from pyramid_cron.outcomes import COMMITTED, FAILED
from pyramid_cron.reports import TaskReport
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.schema import processes
from pyramid_cron.store.uncommitted import NotCommitted, Uncommitted

# the event of SQLAlchemy when a session begins a transaction or a savepoint
BEGIN = 'after_transaction_create'


class NotJoined(CronError, RuntimeError):
    """The session that ``cron.session`` names does not lead to the database of the store."""


class Joined:
    """A session whose next commit writes the record of a run in the same transaction.

    Nothing is executed in the session before that commit: the task may set the isolation level of its transaction. A
    session that zope.sqlalchemy rolls back, because it knows of no change in it, stays rolled back; and pyramid_tm and
    the application can both commit.

    :param source: a session of SQLAlchemy's ORM, or a registry of sessions, of which each session in this thread joins.
    :param manager: the transaction manager of the request, if there is one.
    :param at_begin: called before the task's first transaction.
    :param at_end: writes the end of the run into the commit after the task; takes how many seconds the task took.
    :param before_end: writes the record into a commit that the task itself makes.
    :param monotonic: a monotonic clock in seconds.
    """

    def __init__(
        self,
        source: Session | scoped_session[Any],
        manager: Any,
        at_begin: Callable[[], None],
        at_end: Callable[[Connection, float], None],
        before_end: Callable[[Connection], None],
        monotonic: Callable[[], float],
    ) -> None:
        self._source = source
        self._manager = manager
        self._at_begin = at_begin
        self._at_end = at_end
        self._before_end = before_end
        self._monotonic = monotonic
        self._sessions: dict[Session, Uncommitted] = {}
        self._around: Joined | None = None
        self._began = 0.0
        self._is_used = False
        self._task_returned = False
        self._seconds = 0.0
        #: whether the end was written, which stands if the commit succeeds
        self.written = False
        #: whether the task has committed something before its end
        self.committed_before_end = False

    def __enter__(self) -> None:
        self._around, _here.joined = _here.joined, self
        session = self._source
        if isinstance(session, scoped_session):
            session = session()
        self._join(session)
        self._began = self._monotonic()
        if session.in_transaction():
            # begun by what surrounds the task
            self._begin(session)

    def __exit__(self, exc_type: object, exc: object, traceback: object) -> None:
        self._seconds = self._monotonic() - self._began
        self._task_returned = exc is None
        if self._task_returned:
            for uncommitted in self._sessions.values():
                if uncommitted.lost is not None:
                    raise NotCommitted(uncommitted.lost)

    def follow(self, session: Session) -> None:
        """Join a session that begins a transaction, if the registry has made it after it removed another one."""
        source = self._source
        made = source() if isinstance(source, scoped_session) and source.registry.has() else None
        if session is made and session not in self._sessions:
            self._join(session)
            self._begin(session)

    def check(self, report: TaskReport) -> TaskReport:
        """Return the report of a run, as failed if a change of the task was not committed after it."""
        if report.outcome not in COMMITTED or self.written:
            return report
        for uncommitted in self._sessions.values():
            change = uncommitted.roll_back() or uncommitted.lost
            if change is not None:
                return TaskReport(report.name, FAILED, report.seconds, exception=NotCommitted(change))
        return report

    def leave(self) -> None:
        """Remove the listeners from the sessions."""
        _here.joined = self._around
        for session, uncommitted in self._sessions.items():
            uncommitted.leave()
            for name, listener in self._listeners():
                event.remove(session, name, listener)
        self._sessions.clear()

    def _join(self, session: Session) -> None:
        self._sessions[session] = Uncommitted(session, self._manager)
        for name, listener in self._listeners():
            event.listen(session, name, listener)

    def _listeners(self) -> Iterator[tuple[str, Callable[..., None]]]:
        # before a connection begins its transaction, which can lock out every other writer of SQLite
        yield BEGIN, self._begin
        yield 'before_commit', self._before_commit
        yield 'after_commit', self._after_commit

    def _begin(self, session: Session, transaction: object = None) -> None:
        if not self._is_used:
            self._is_used = True
            self._at_begin()

    def _before_commit(self, session: Session) -> None:
        with self._sessions[session].ignored():
            if not self._task_returned:
                # perhaps only the end of a savepoint, which looks the same as a commit while one is open: then what is
                # written here is rolled back or kept with it
                self._before_end(session.connection())
            elif not self.written:
                self._at_end(session.connection(), self._seconds)
                self.written = True

    def _after_commit(self, session: Session) -> None:
        # a savepoint that is released is kept or rolled back with what is around it
        if not self._task_returned and session.get_nested_transaction() is None:
            self.committed_before_end = True


class _Here(threading.local):
    """The run that is joined in this thread."""

    joined: Joined | None = None


_here = _Here()


# of all sessions and not of a registry's own, because other threads may use these while a listener is added
@event.listens_for(Session, BEGIN)
def _follow(session: Session, transaction: object) -> None:
    if _here.joined is not None:
        _here.joined.follow(session)


def session_of(request: Any, name: str) -> Session | scoped_session[Any]:
    """Return the session, or the registry of sessions, that an attribute of the request holds.

    :raises NotJoined: if there is none.
    """
    try:
        session = getattr(request, name)
    except AttributeError as exc:
        raise NotJoined(f'cron.session = {name}: the request has no such attribute') from exc
    if not isinstance(session, (Session, scoped_session)):
        raise NotJoined(f'cron.session = {name} is a {type(session).__name__}, not a session of SQLAlchemy')
    return session


def require_same_database(connection: StoreConnection, name: str, process_id: str) -> None:
    """Look for the row of this process, which was committed before, on a connection of the application's session.

    :param name: the attribute of the request that holds the session.
    :raises NotJoined: if it is not there.
    :raises Unavailable: if that cannot be found out.
    """
    try:
        found = connection.scalar(connection.select(processes, processes.c.id).where(processes.c.id == process_id))
    except Unavailable as exc:
        # without a connection, or after an error that the task has caught, nothing is known
        if exc.disconnected or isinstance(exc.__cause__, InternalError):
            raise
        raise NotJoined(
            f'cron.session = {name}: its database has no table {processes.name}: {exc}; it has to be that of cron.store'
        ) from exc
    if found is None:
        raise NotJoined(
            f'cron.session = {name} leads to another database than cron.store: set both to the same one, '
            'or remove cron.session, and runs are at most once'
        )
