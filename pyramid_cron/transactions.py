"""One transaction for each task of a run, where pyramid_tm manages the request's or ``cron.transaction`` is set.

``transaction`` is imported once a request turns out to have one: the package works without it. What a session has to
do with it is asked of the objects of zope.sqlalchemy and SQLAlchemy without an import of either.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from pyramid_cron.tasks import System, dotted_path

log = logging.getLogger(__name__)

# what libpq, and with it psycopg and psycopg2, calls PQTRANS_INERROR
IN_ERROR = 3

# what the setting cron.transaction names
Wrapper = Callable[[System], AbstractContextManager[object]]


class Aborted(RuntimeError):
    """A task caught an error after which PostgreSQL keeps nothing of its transaction."""


class RunTransactions:
    """What is around each task of one run: decided when the run begins, and the same for all of them.

    That is the context manager of the setting ``cron.transaction``, or a transaction of its own where pyramid_tm is
    active for the request, or nothing.

    :param request: the request of the run.
    """

    def __init__(self, request: Any) -> None:
        forbid_retry(request)
        self._request = request
        self._wrapper: Wrapper | None = getattr(request.registry.get('cron_settings'), 'transaction', None)
        self._manager = active_manager(request) if self._wrapper is None else None
        self._begun = False

    def around(self, name: str, system: System) -> AbstractContextManager[None]:
        """Return what the task has to run in; a failure of the task has to pass through it.

        :param name: the name of the task.
        :param system: what it is called with.
        """
        if self._wrapper is not None:
            return application_transaction(self._wrapper, system)
        if self._manager is None:
            return nullcontext()
        self._begun = True
        return task_transaction(self._manager, name)

    def finish(self) -> None:
        """Leave the request's transaction as the rest of the application expects it, once the last task is through."""
        if self._begun:
            reopen(self._request, self._manager)


def active_manager(request: Any) -> Any | None:
    """Return the transaction manager that pyramid_tm has a transaction of this request open on, or ``None``.

    A doomed one belongs to a test that wants to roll everything back itself, as pyramid_tm documents; it is left alone.
    """
    if not request.environ.get('tm.active'):
        return None
    if _is_doomed(request.tm):
        log.warning("the request's transaction is doomed: what the tasks do in it will be rolled back with it")
        return None
    return request.tm


def forbid_retry(request: Any) -> None:
    """Make this the last attempt of pyramid_retry: whatever fails after the tasks must not run them again."""
    environ = request.environ
    if 'retry.attempt' in environ:
        environ['retry.attempts'] = environ['retry.attempt'] + 1


@contextmanager
def task_transaction(manager: Any, note: str) -> Iterator[None]:
    """Run the body of a ``with`` in a transaction of its own: committed at its end, rolled back if it raises.

    What is open on ``manager`` beforehand is rolled back. A body that dooms the transaction has it rolled back, and
    one that ends it itself keeps what it did.

    :param manager: a transaction manager, explicit or thread-local.
    :param note: the description of the transaction.
    """
    _abort(manager)
    try:
        manager.begin().note(note)
        yield
        doomed = _is_doomed(manager)
        if doomed:
            log.warning('the transaction of task %s is doomed: rolling it back', note)
            manager.abort()
        elif doomed is not None:
            # no sooner, because a task may ask for savepoints, which every data manager would have to know of
            manager.get().join(_Objection())
            manager.commit()
    except BaseException:
        _abort(manager)
        raise


@contextmanager
def application_transaction(wrapper: Wrapper, system: System) -> Iterator[None]:
    """Run the body of a ``with`` in the context manager of an application, which may not swallow what it raises.

    :raises TypeError: if ``wrapper`` returns something else.
    """
    manager = wrapper(system)
    if not isinstance(manager, AbstractContextManager):
        raise TypeError(
            f'cron.transaction: {dotted_path(wrapper)} returned a {type(manager).__name__}, which is no context '
            'manager; decorate it with contextlib.contextmanager, or let it return one'
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
def set_aside(request: Any) -> Iterator[None]:
    """Run the body of a ``with`` while a request has no transaction of pyramid_tm open, and is not tried again.

    For a body in which the application answers another request: of a database with one writer the two would wait for
    one another, and a thread-local manager would be told to begin twice. What was done before is rolled back.
    """
    forbid_retry(request)
    manager = active_manager(request)
    if manager is None:
        yield
        return
    _abort(manager)
    try:
        yield
    finally:
        reopen(request, manager)


def reopen(request: Any, manager: Any) -> None:
    """Begin an empty transaction for pyramid_tm to end, once the last task is through."""
    if request.environ.get('tm.active'):
        try:
            manager.begin()
        except Exception:
            # it is begun all the same, and an answer that fails here would hide what became of the tasks
            log.exception('the transaction that ends the request could not be begun cleanly')


def _is_doomed(manager: Any) -> bool | None:
    """Tell whether the open transaction is doomed, ``None`` if an explicit manager has none open."""
    from transaction.interfaces import NoTransaction

    try:
        return bool(manager.isDoomed())
    except NoTransaction:
        return None


def _abort(manager: Any) -> None:
    if _is_doomed(manager) is None:
        return
    try:
        manager.abort()
    except Exception:
        # the transaction is gone all the same, and what failed before it matters more
        log.exception('a transaction could not be rolled back cleanly')


class _Objection:
    """A data manager that votes against a commit which PostgreSQL would answer with a rollback, and tell nobody."""

    def sortKey(self) -> str:
        # before sessions, which commit when they are asked to vote
        return ''

    def tpc_begin(self, transaction: Any) -> None:
        pass

    def commit(self, transaction: Any) -> None:
        pass

    def tpc_vote(self, transaction: Any) -> None:
        # by now sessions that wrote nothing have left, and what those have lost is nothing
        for resource in transaction._resources:
            if _is_aborted(getattr(resource, 'tx', None)):
                raise Aborted(
                    'the task caught an error of the database and went on, but PostgreSQL had aborted its '
                    'transaction: nothing of it is kept; let the error pass, or put what may fail into '
                    'session.begin_nested()'
                )

    def tpc_finish(self, transaction: Any) -> None:
        pass

    def tpc_abort(self, transaction: Any) -> None:
        pass

    abort = tpc_abort


def _is_aborted(session_transaction: Any) -> bool:
    """Tell whether one of the connections of SQLAlchemy's ``SessionTransaction`` is in a transaction that failed."""
    for key in getattr(session_transaction, '_connections', ()):
        # each is there twice, as itself and by its engine
        driver = getattr(getattr(key, 'connection', None), 'driver_connection', None)
        if getattr(getattr(driver, 'info', None), 'transaction_status', None) == IN_ERROR:
            return True
    return False
