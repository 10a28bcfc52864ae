"""One transaction for each task of a run, if pyramid_tm manages the request or ``cron.transaction`` is set.

The package ``transaction`` is imported only for a request that has a transaction manager: this package works without
it. Attributes of zope.sqlalchemy and SQLAlchemy objects are read without an import of either.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from pyramid_cron.callables import dotted_path
from pyramid_cron.errors import CronError
from pyramid_cron.printable import log_error
from pyramid_cron.tasks import System

log = logging.getLogger(__name__)

# PQTRANS_INERROR of libpq, as psycopg and psycopg2 report it
IN_ERROR = 3

# the value of the setting cron.transaction
Wrapper = Callable[[System], AbstractContextManager[object]]
TaskTransaction = Callable[[Any, str], AbstractContextManager[None]]


class Aborted(CronError, RuntimeError):
    """A task caught a database error, but PostgreSQL had aborted its transaction and would not commit it."""


class RunTransactions:
    """The context managers around the tasks of one run, of a kind that is chosen when the run begins.

    The context manager is that of the setting ``cron.transaction``; or else a transaction of pyramid_tm's manager, if
    pyramid_tm is active for the request; or else empty.

    :param request: the request of the run.
    :param transaction: makes the context manager of one task with pyramid_tm: :func:`task_transaction`, or another
        function of the manager and the name of the task.
    """

    def __init__(self, request: Any, transaction: TaskTransaction | None = None) -> None:
        forbid_retry(request)
        self._transaction = transaction or task_transaction
        self._request = request
        self._wrapper: Wrapper | None = getattr(request.registry.get('cron_settings'), 'transaction', None)
        self._manager = active_manager(request) if self._wrapper is None else None
        self._begun = False

    def around(self, name: str, system: System) -> AbstractContextManager[None]:
        """Return the context manager to call the task in, through which a failure of the task must pass.

        :param name: the name of the task.
        :param system: the argument of the task.
        """
        if self._wrapper is not None:
            return application_transaction(self._wrapper, system)
        if self._manager is None:
            return nullcontext()
        self._begun = True
        return self._transaction(self._manager, name)

    def finish(self) -> None:
        """After the last task, begin a transaction for the rest of the request if the tasks had their own."""
        if self._begun:
            reopen(self._request, self._manager)


def active_manager(request: Any) -> Any | None:
    """Return the transaction manager if pyramid_tm has opened a transaction for this request, else ``None``.

    A doomed transaction is left alone: by pyramid_tm's documentation it belongs to a test that rolls back everything.
    """
    if not request.environ.get('tm.active'):
        return None
    if is_doomed(request.tm):
        log.warning("the request's transaction is doomed: the work of the tasks in it will be rolled back with it")
        return None
    return request.tm


def forbid_retry(request: Any) -> None:
    """Make this the last attempt of pyramid_retry: an error after the tasks must not run them again."""
    environ = request.environ
    if 'retry.attempt' in environ:
        environ['retry.attempts'] = environ['retry.attempt'] + 1


@contextmanager
def task_transaction(manager: Any, note: str) -> Iterator[None]:
    """Run the body of a ``with`` in a new transaction: commit at its end, roll back if the body raises or dooms it.

    A transaction that is open on ``manager`` beforehand is rolled back. A body may end the transaction itself.

    :param manager: a transaction manager, explicit or thread-local.
    :param note: the description of the transaction.
    """
    abort(manager)
    try:
        manager.begin().note(note)
        yield
        doomed = is_doomed(manager)
        if doomed:
            log.warning('the transaction of task %s is doomed: rolling it back', note)
            manager.abort()
        elif doomed is not None:
            # not earlier, because a savepoint of the task would need the support of every data manager that has joined
            manager.get().join(AbortedCheck())
            manager.commit()
    except BaseException:
        abort(manager)
        raise


@contextmanager
def application_transaction(wrapper: Wrapper, system: System) -> Iterator[None]:
    """Run the body of a ``with`` in a context manager of the application, and raise what the body raises in any case.

    :raises TypeError: if ``wrapper`` does not return a context manager.
    """
    manager = wrapper(system)
    if not isinstance(manager, AbstractContextManager):
        raise TypeError(
            f'cron.transaction: {dotted_path(wrapper)} returned a {type(manager).__name__}, which is no context '
            'manager; decorate it with contextlib.contextmanager, or return one from it'
        )
    raised: BaseException | None = None
    with manager:
        try:
            yield
        except BaseException as exc:
            raised = exc
            raise
    if raised is not None:
        raise raised


@contextmanager
def suspended(request: Any) -> Iterator[None]:
    """Run the body of a ``with`` while no transaction of pyramid_tm is open for a request, which is not retried.

    In the body the application handles another request: with a single-writer database the two would block each other,
    and a thread-local manager would begin twice. Earlier work of the request is rolled back.
    """
    forbid_retry(request)
    manager = active_manager(request)
    if manager is None:
        yield
        return
    abort(manager)
    try:
        yield
    finally:
        reopen(request, manager)


def reopen(request: Any, manager: Any) -> None:
    """Begin an empty transaction, which pyramid_tm ends after the request."""
    if request.environ.get('tm.active'):
        try:
            manager.begin()
        except Exception as exc:
            # the transaction has begun all the same, and an error here would hide the outcome of the tasks
            log_error(log, exc, 'the transaction that ends the request could not be begun cleanly')


def manager_of(request: Any) -> Any | None:
    """Return the transaction manager of a request, or else of its thread, ``None`` if neither is in use."""
    return getattr(request, 'tm', None) or getattr(sys.modules.get('transaction'), 'manager', None)


def is_doomed(manager: Any) -> bool | None:
    """Return whether the open transaction is doomed, ``None`` if an explicit manager has no open transaction."""
    from transaction.interfaces import NoTransaction

    try:
        return bool(manager.isDoomed())
    except NoTransaction:
        return None


def abort(manager: Any) -> None:
    """Roll back the open transaction, if there is one."""
    if is_doomed(manager) is None:
        return
    try:
        manager.abort()
    except Exception as exc:
        # the transaction has ended all the same, and an earlier error matters more
        log_error(log, exc, 'a transaction could not be rolled back cleanly')


class AbortedCheck:
    """A data manager that votes against a commit which PostgreSQL would silently turn into a rollback."""

    def sortKey(self) -> str:
        # before sessions, which commit in their vote
        return ''

    def tpc_begin(self, transaction: Any) -> None:
        pass

    def commit(self, transaction: Any) -> None:
        pass

    def tpc_vote(self, transaction: Any) -> None:
        # sessions that wrote nothing have left by now, and have nothing to lose
        for resource in transaction._resources:
            if _is_aborted(getattr(resource, 'tx', None)):
                raise Aborted(
                    'the task caught an error of the database and went on, but PostgreSQL had aborted its '
                    'transaction: nothing of it is kept; do not catch the error, or put what may fail into '
                    'session.begin_nested()'
                )

    def tpc_finish(self, transaction: Any) -> None:
        pass

    def tpc_abort(self, transaction: Any) -> None:
        pass

    abort = tpc_abort


def _is_aborted(session_transaction: Any) -> bool:
    """Return whether a connection of SQLAlchemy's ``SessionTransaction`` is in a failed transaction."""
    for key in getattr(session_transaction, '_connections', ()):
        # the keys are connections and their engines
        driver = getattr(getattr(key, 'connection', None), 'driver_connection', None)
        if getattr(getattr(driver, 'info', None), 'transaction_status', None) == IN_ERROR:
            return True
    return False
