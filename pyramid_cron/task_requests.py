"""Requests of their own for the tasks of a run, through the application's tweens: ``cron.requests = each``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

from pyramid.interfaces import IRequestFactory
from pyramid.request import Request

from pyramid_cron.errors import CronError, Skip
from pyramid_cron.isolation import Exits, ends_process
from pyramid_cron.orders import ENVIRON_KEY, Order, PendingOrder
from pyramid_cron.printable import class_name, log_error
from pyramid_cron.transactions import AbortedCheck, RunTransactions, abort, is_doomed, reopen

log = logging.getLogger(__name__)

# calls a task with a request, in a transaction of that request
Body = Callable[[Any, RunTransactions], None]

# of a request, and not of the next one: that pyramid_tm has begun a transaction, and what WebOb keeps
ACTIVE, OF_WEBOB = 'tm.active', 'webob.'


class NotCompleted(CronError, RuntimeError):
    """Something in the application answered the request of a task in its place, or rolled its work back."""


class TaskExited(CronError, RuntimeError):
    """A task raised an exception that no tween expects, such as ``SystemExit``."""


def task_requests(request: Any, order: Order) -> TaskRequests | None:
    """Return the requests of the tasks, ``None`` if the tasks share the request of the tick.

    They share it by the setting ``cron.requests``, and if the run has no router: with a registry in a test.
    """
    settings = request.registry.get('cron_settings')
    if settings is None or settings.requests == 'one' or not hasattr(request, 'invoke_subrequest'):
        return None
    return TaskRequests(request, order)


class TaskRequests:
    """Calls each task of a run with a request of its own, which has the environ of that of the run.

    No transaction of pyramid_tm is open for the latter meanwhile: with a database that has a single writer the two
    would block each other. One that is doomed is left, and the tasks share it: it belongs to a test, see
    :func:`.active_manager`.

    :param request: the request of the run.
    :param order: the order.
    """

    def __init__(self, request: Any, order: Order) -> None:
        self._request = request
        self._order = order
        self._make_request = request.registry.queryUtility(IRequestFactory, default=Request)
        is_active = bool(request.environ.get(ACTIVE))
        self._is_shared = is_active and bool(is_doomed(request.tm))
        self._manager = request.tm if is_active and not self._is_shared else None

    def call(self, name: str, body: Body) -> None:
        """Call a task with a new request that has passed through all tweens, and raise what the task raises.

        :param name: the name of the task.
        :raises NotCompleted: if the application answers before the task or with an error after it, or rolls it back.
        """
        if self._manager is not None:
            abort(self._manager)
        call = _Call(name, body, self._order.exits)
        request = self._new_request(call)
        error: BaseException | None
        try:
            response = self._request.invoke_subrequest(request, use_tweens=True)
        except BaseException as exc:
            if ends_process(exc, self._order.exits):
                self._abandon(request)
                raise
            error = exc
        else:
            if hasattr(response.app_iter, 'close'):
                response.app_iter.close()
            error = getattr(request, 'exception', None) or call.wrong(response)
        call.conclude(error)

    def finish(self) -> None:
        """After the last task, begin a transaction for the rest of the request of the run."""
        if self._manager is not None:
            # a manager that all requests share keeps a transaction after its commit has failed
            abort(self._manager)
            reopen(self._request, self._manager)

    def _abandon(self, request: Any) -> None:
        """Roll back the transaction of a request that an exit has ended, which passes pyramid_tm's tween."""
        manager = vars(request).get('tm')
        if manager is not None and not self._is_shared:
            abort(manager)

    def _new_request(self, call: _Call) -> Any:
        left_out = None if self._is_shared else ACTIVE
        environ = {
            key: value
            for key, value in self._request.environ.items()
            if key != left_out and not key.startswith(OF_WEBOB)
        }
        order = Order(self._request.registry, self._order.instant, call=call, exits=self._order.exits)
        environ |= {'wsgi.input': BytesIO(), 'CONTENT_LENGTH': '0', ENVIRON_KEY: PendingOrder(order)}
        return self._make_request(environ)


class _Call:
    """The call of one task by its request.

    :param name: the name of the task.
    :param body: calls it.
    :param exits: exceptions that end the process.
    """

    def __init__(self, name: str, body: Body, exits: Exits) -> None:
        self._name = name
        self._body = body
        self._exits = exits
        self._was_called = False
        self._raised: BaseException | None = None
        self._commit: _Commit | None = None

    def __call__(self, request: Any) -> None:
        """Call the task. What it raises passes through the tweens, as what a view raises."""
        if self._was_called:
            raise NotCompleted('something in the application repeated the request; the task has run once')
        self._was_called = True
        rolled_back = False

        @contextmanager
        def until_tween(manager: Any, note: str) -> Iterator[None]:
            nonlocal rolled_back
            try:
                _ensure_open(manager)
                manager.get().note(note)
                yield
            except BaseException as exc:
                # at once: neither an exception view nor a commit veto decides about it
                abort(manager)
                rolled_back = True
                if not ends_process(exc, self._exits):
                    reopen(request, manager)
                raise
            self._end(manager)

        try:
            self._body(request, RunTransactions(request, until_tween))
        except BaseException as exc:
            if ends_process(exc, self._exits):
                raise
            self._raised = exc
            # not isinstance(), which reads __class__ from the exception
            kind = type(exc)
            if issubclass(kind, Skip) and rolled_back:
                # no failure, which tweens would report as one
                return
            if not issubclass(kind, Exception):
                raise TaskExited(f'the task raised {class_name(exc)}') from exc
            raise

    def _end(self, manager: Any) -> None:
        """Leave the transaction of a task that has returned to pyramid_tm's tween, which commits it."""
        if is_doomed(manager):
            log.warning('the transaction of task %s is doomed: rolling it back', self._name)
            return
        _ensure_open(manager)
        self._commit = _Commit()
        manager.get().join(self._commit)

    def wrong(self, response: Any) -> NotCompleted | None:
        """Return what a response shows to be wrong: ours is 200."""
        if self._was_called and response.status_int < 400:
            return None
        when = 'after the task' if self._was_called else 'before the task could run'
        return NotCompleted(f'the application answered {response.status} {when}')

    def conclude(self, error: BaseException | None) -> None:
        """Raise what has failed, unless the work of the task is committed: a retry would do it twice.

        :param error: what the application raised or answered.
        """
        if self._raised is not None:
            raise self._raised
        if self._commit is None or not self._commit.is_done:
            if error is None and self._commit is not None:
                error = NotCompleted(
                    'the application rolled back the transaction of the task: a commit veto, or a tween that dooms it'
                )
            if error is not None:
                raise error
        elif error is not None:
            log_error(log, error, 'task %s is committed, and the application failed after that', self._name)


def _ensure_open(manager: Any) -> None:
    """Begin a transaction if the application, or the task, has ended that of an explicit manager."""
    if is_doomed(manager) is None:
        manager.begin()


class _Commit(AbortedCheck):
    """Notices whether a transaction is committed."""

    def __init__(self) -> None:
        self.is_done = False

    def tpc_finish(self, transaction: Any) -> None:
        self.is_done = True
