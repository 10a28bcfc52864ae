"""One transaction for each task of a run, where pyramid_tm manages the request's.

``transaction`` is imported once a request turns out to have one: the package works without it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

log = logging.getLogger(__name__)


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
            manager.commit()
    except BaseException:
        _abort(manager)
        raise


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
