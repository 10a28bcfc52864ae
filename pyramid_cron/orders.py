"""A run that the process itself asks for: through the whole application, without HTTP and the check of addresses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from pyramid.interfaces import IRoutesMapper
from pyramid.request import Request

from pyramid_cron.claims import Delivery, Unavailable
from pyramid_cron.isolation import OF_COMMANDS, Exits
from pyramid_cron.reports import RunReport, TaskReport
from pyramid_cron.schedules.clock import current_minute

# no header of a request can set it: those begin with HTTP_
ENVIRON_KEY = 'pyramid_cron.order'


class NotRun(RuntimeError):
    """Something in the application answered an order before its tasks could run."""


class Order:
    """What a run is asked to do, and its report once it has ended.

    :param registry: that of the application whose tasks are to run.
    :param instant: the minute to run for, aware.
    :param names: the tasks to run, due or not; ``None`` for those that are due.
    :param stop: asked before each turn; once it returns true, the tasks left over are skipped.
    :param call: what to call with the request in place of all tasks.
    :param requested_by: who asks for tasks by their names, for the record.
    :param exits: what ends the process if a task raises it in the main thread.
    :param enqueue: whether tasks that are named are handed over, where they have something to be handed over by.
    :param delivery: the run to begin that was handed over.
    """

    def __init__(
        self,
        registry: Any,
        instant: datetime,
        names: tuple[str, ...] | None = None,
        stop: Callable[[], bool] = lambda: False,
        call: Callable[[Any], None] | None = None,
        requested_by: str | None = None,
        exits: Exits = OF_COMMANDS,
        enqueue: bool = False,
        delivery: Delivery | None = None,
    ) -> None:
        self.registry = registry
        self.instant = instant
        self.names = names
        self.stop = stop
        self.call = call
        self.requested_by = requested_by
        self.exits = exits
        self.enqueue = enqueue
        self.delivery = delivery
        self.report: RunReport | None = None
        # it came to an application with a registry of its own
        self.strayed = False


def run_through(
    app: Any,
    registry: Any,
    instant: datetime,
    names: Iterable[str] | None = None,
    environ: Mapping[str, Any] | None = None,
    *,
    method: str = 'GET',
    stop: Callable[[], bool] = lambda: False,
    requested_by: str | None = None,
    exits: Exits = OF_COMMANDS,
    enqueue: bool = False,
) -> RunReport:
    """Run what is ordered through a whole WSGI application, tweens and all, and return the report.

    :param app: the WSGI application.
    :param registry: its registry, or of several that it is made of, that of the one whose tasks are to run.
    :param instant: the minute to run for, aware.
    :param names: the tasks to run, due or not; ``None`` for those that are due.
    :param environ: more keys for the WSGI environ of the request.
    :param method: the method of the request.
    :param stop: asked before each turn; once it returns true, the tasks left over are skipped.
    :param requested_by: who asks for tasks by their names, for the record.
    :param exits: what ends the process if a task raises it in the main thread.
    :param enqueue: whether tasks that are named are handed over, where they have something to be handed over by.
    :raises LookupError: if there is no task of that name.
    :raises NotRun: if something in the application answers before the run.
    """
    wanted = None if names is None else tuple(names)
    order = Order(registry, instant, wanted, stop, requested_by=requested_by, exits=exits, enqueue=enqueue)
    # before an exception view can make a page of the error
    registry['cron_tasks'].named(order.names or ())
    return _send(app, order, environ or {}, method)


def run_delivered(
    app: Any, registry: Any, delivery: Delivery, *, method: str = 'GET', exits: Exits = OF_COMMANDS
) -> TaskReport:
    """Run what was handed over, without a limit of time, and return what became of it.

    :param app: the WSGI application.
    :param registry: its registry, as for :func:`run_through`.
    :param delivery: what was handed over.
    :param method: the method of the request.
    :param exits: what ends the process if the task raises it in the main thread.
    :raises LookupError: if there is no task of that name.
    :raises Unavailable: if the store cannot be asked.
    :raises NotRun: if something in the application answers before the run.
    """
    registry['cron_tasks'].named([delivery.task])
    order = Order(registry, delivery.minute or current_minute(), exits=exits, delivery=delivery)
    report = _send(app, order, {}, method)
    if report.problem is not None:
        raise Unavailable(report.problem)
    [task] = report.tasks
    if isinstance(task.exception, Unavailable):
        raise task.exception
    return task


def call_through(app: Any, registry: Any, call: Callable[[Any], None], *, method: str = 'GET') -> None:
    """Call something with a request that goes through a whole WSGI application, where a run would call its tasks.

    :param app: the WSGI application.
    :param registry: its registry, as for :func:`run_through`.
    :param call: what to call with the request.
    :param method: the method of the request.
    :raises NotRun: if something in the application answers before.
    """
    _send(app, Order(registry, current_minute(), call=call), {}, method)


def _send(app: Any, order: Order, environ: Mapping[str, Any], method: str) -> RunReport:
    url = order.registry['cron_settings'].url
    # from the start, for applications that turn away what does not come to their own address
    outside = url.environ() if url is not None else {}
    request = Request.blank(
        cron_path(order.registry), environ={**environ, **outside, ENVIRON_KEY: order}, method=method
    )
    response = request.get_response(app)
    if order.report is None:
        raise NotRun(_answered_before(order, response))
    return order.report


def _answered_before(order: Order, response: Any) -> str:
    if order.strayed:
        return 'another application answered, which has tasks of its own, and none of them ran'
    text = f'the application answered {response.status} before its tasks could run'
    if response.location is None:
        return text
    return f'{text}: it redirects to {response.location}, and cron.url says which address its requests come to'


def cron_path(registry: Any) -> str:
    """Return the path of the route ``cron``."""
    path: str = registry.getUtility(IRoutesMapper).get_route('cron').generate({})
    return path


def pending(environ: dict[str, Any]) -> Order | None:
    """Return the order that a request carries, if the process itself made it."""
    order = environ.get(ENVIRON_KEY)
    return order if isinstance(order, Order) else None
