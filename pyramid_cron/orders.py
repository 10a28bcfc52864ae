"""Runs that the process itself orders: through the whole application, without HTTP and the check of addresses."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pyramid.interfaces import IRoutesMapper
from pyramid.request import Request

from pyramid_cron.claims import Delivery, Unavailable
from pyramid_cron.errors import CronError
from pyramid_cron.isolation import OF_COMMANDS, Exits
from pyramid_cron.reports import RunReport, TaskReport
from pyramid_cron.schedules.clock import current_minute

# no header of a request can set it: those begin with HTTP_
ENVIRON_KEY = 'pyramid_cron.order'


class NotRun(CronError, RuntimeError):
    """Something in the application answered an order before its tasks could run."""


@dataclass(frozen=True)
class Order:
    """Which tasks are to run, and how.

    :param registry: the registry of the application whose tasks are to run.
    :param instant: the minute to run for, aware.
    :param names: the tasks to run, due or not; ``None`` for those that are due.
    :param trigger: the source of the order, for the record.
    :param requested_by: the user that requested tasks by their names, for the record.
    :param enqueue: whether tasks that are named are enqueued, if they have an engine.
    :param delivery: the enqueued run to begin, in place of those that are due.
    :param call: a function to call with the request in place of all tasks.
    :param exits: exceptions that end the process if a task raises them in the main thread.
    :param stop: called before each task; once it returns true, the tasks left over are skipped.
    :param monotonic: a monotonic clock in seconds.
    """

    registry: Any
    instant: datetime
    names: tuple[str, ...] | None = None
    trigger: str = 'request'
    requested_by: str | None = None
    enqueue: bool = False
    delivery: Delivery | None = None
    call: Callable[[Any], None] | None = None
    exits: Exits = OF_COMMANDS
    stop: Callable[[], bool] = lambda: False
    monotonic: Callable[[], float] = time.monotonic


class PendingOrder:
    """An order that a request carries, and its answer.

    :param order: the order.
    """

    def __init__(self, order: Order) -> None:
        self.order = order
        self.report: RunReport | None = None
        # the request came to an application with another registry
        self.strayed = False


def run_through(
    app: Any,
    registry: Any,
    instant: datetime,
    names: Iterable[str] | None = None,
    environ: Mapping[str, Any] | None = None,
    *,
    stop: Callable[[], bool] = lambda: False,
    requested_by: str | None = None,
    exits: Exits = OF_COMMANDS,
    enqueue: bool = False,
) -> RunReport:
    """Run tasks with a request through a whole WSGI application, tweens and all, and return the report.

    :param app: the WSGI application.
    :param registry: its registry, or of several that it is made of, that of the one whose tasks are to run.
    :param instant: the minute to run for, as the following ones in :class:`Order`.
    :param environ: more keys for the WSGI environ of the request.
    :raises LookupError: if there is no task of that name.
    :raises NotRun: if something in the application answers before the run.
    """
    wanted = None if names is None else tuple(names)
    order = Order(
        registry, instant, wanted, 'command', requested_by=requested_by, enqueue=enqueue, exits=exits, stop=stop
    )
    # before an exception view can make a page of the error
    registry['cron_tasks'].named(order.names or ())
    return _send(app, order, environ or {})


def run_delivered(app: Any, registry: Any, delivery: Delivery, *, exits: Exits = OF_COMMANDS) -> TaskReport:
    """Run an enqueued run, without a time limit, and return its report.

    :param app: the WSGI application.
    :param registry: its registry, as for :func:`run_through`.
    :param delivery: the enqueued run.
    :param exits: as in :class:`Order`.
    :raises LookupError: if there is no task of that name.
    :raises Unavailable: if the store is not available.
    :raises NotRun: if something in the application answers before the run.
    """
    registry['cron_tasks'].named([delivery.task])
    instant = delivery.minute or current_minute()
    report = _send(app, Order(registry, instant, trigger='command', delivery=delivery, exits=exits), {})
    if report.problem is not None:
        raise Unavailable(report.problem)
    [task] = report.tasks
    if isinstance(task.exception, Unavailable):
        raise task.exception
    return task


def call_through(app: Any, registry: Any, call: Callable[[Any], None]) -> None:
    """Call a function with a request that goes through a whole WSGI application, where a run would call its tasks.

    :param app: the WSGI application.
    :param registry: its registry, as for :func:`run_through`.
    :param call: the function.
    :raises NotRun: if something in the application answers before.
    """
    _send(app, Order(registry, current_minute(), trigger='command', call=call), {})


def _send(app: Any, order: Order, environ: Mapping[str, Any]) -> RunReport:
    settings = order.registry['cron_settings']
    # from the start, for applications that refuse requests to another address than their own
    outside = settings.url.environ() if settings.url is not None else {}
    pending = PendingOrder(order)
    request = Request.blank(
        cron_path(order.registry), environ={**environ, **outside, ENVIRON_KEY: pending}, method=settings.method
    )
    response = request.get_response(app)
    if pending.report is None:
        raise NotRun(_answered_before(pending, response))
    return pending.report


def _answered_before(pending: PendingOrder, response: Any) -> str:
    if pending.strayed:
        return 'another application answered, which has tasks of its own, and none of them ran'
    text = f'the application answered {response.status} before its tasks could run'
    if response.location is None:
        return text
    return f'{text}: it redirects to {response.location}; set cron.url to the address that its requests come to'


def cron_path(registry: Any) -> str:
    """Return the path of the route ``cron``."""
    path: str = registry.getUtility(IRoutesMapper).get_route('cron').generate({})
    return path


def pending_order(environ: dict[str, Any]) -> PendingOrder | None:
    """Return the order that a request carries, if the process itself made it."""
    pending = environ.get(ENVIRON_KEY)
    return pending if isinstance(pending, PendingOrder) else None
