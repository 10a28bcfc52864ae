"""Runs that the process itself orders: through the whole application, without HTTP and the check of addresses."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pyramid.interfaces import IRoutesMapper
from pyramid.request import Request

from pyramid_cron.claims import RUN_HERE, Backfill, ByHand, Delivery
from pyramid_cron.errors import CronError, Unavailable
from pyramid_cron.isolation import OF_COMMANDS, Exits
from pyramid_cron.queue_engine import Engine
from pyramid_cron.reports import RunReport, TaskReport
from pyramid_cron.run_output import ProgressListener
from pyramid_cron.schedules.clock import current_minute
from pyramid_cron.stopping import Shutdown, never

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
    :param by_hand: the way in which tasks that are named, or run for a past minute, are requested.
    :param delivery: the enqueued run to begin, in place of those that are due.
    :param backfill: the past minute to run one task for, in place of those that are due.
    :param call: a function to call with the request in place of all tasks.
    :param exits: exceptions that end the process if a task raises them in the main thread.
    :param stop: called before each task; once it returns true, the tasks left over are skipped.
    :param shutdown: what a task in progress learns of the end of its process, see :class:`.Stopping`.
    :param on_progress: called when a task reports its progress.
    :param monotonic: a monotonic clock in seconds.
    """

    registry: Any
    instant: datetime
    names: tuple[str, ...] | None = None
    trigger: str = 'request'
    by_hand: ByHand = RUN_HERE
    delivery: Delivery | None = None
    backfill: Backfill | None = None
    call: Callable[[Any], None] | None = None
    exits: Exits = OF_COMMANDS
    stop: Callable[[], bool] = lambda: False
    shutdown: Shutdown = never
    on_progress: ProgressListener | None = None
    monotonic: Callable[[], float] = time.monotonic

    @property
    def is_tick(self) -> bool:
        """Whether it is for the tasks that are due, and not for one that was requested or enqueued."""
        return self.names is None and self.delivery is None and self.backfill is None


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
    shutdown: Shutdown = never,
    requested_by: str | None = None,
    exits: Exits = OF_COMMANDS,
    enqueue: bool = False,
    engine: Engine | None = None,
    on_progress: ProgressListener | None = None,
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
        registry,
        instant,
        wanted,
        'command',
        by_hand=ByHand(requested_by, enqueue, engine),
        exits=exits,
        stop=stop,
        shutdown=shutdown,
        on_progress=on_progress,
    )
    # before an exception view can make a page of the error
    registry['cron_tasks'].named(order.names or ())
    return _send(app, order, environ or {})


def run_delivered(
    app: Any, registry: Any, delivery: Delivery, *, exits: Exits = OF_COMMANDS, shutdown: Shutdown = never
) -> TaskReport:
    """Run an enqueued run, without a time limit, and return its report.

    :param app: the WSGI application.
    :param registry: its registry, as for :func:`run_through`.
    :param delivery: the enqueued run.
    :param exits: as the following one in :class:`Order`. A delivery begins all the same: it comes only once.
    :raises LookupError: if there is no task of that name.
    :raises Unavailable: if the store is not available.
    :raises NotRun: if something in the application answers before the run.
    """
    registry['cron_tasks'].named([delivery.task])
    instant = delivery.minute or current_minute()
    order = Order(registry, instant, trigger='command', delivery=delivery, exits=exits, shutdown=shutdown)
    return _only_report(_send(app, order, {}))


def run_backfill(
    app: Any,
    registry: Any,
    backfill: Backfill,
    *,
    requested_by: str | None = None,
    exits: Exits = OF_COMMANDS,
    enqueue: bool = False,
    engine: Engine | None = None,
    shutdown: Shutdown = never,
    on_progress: ProgressListener | None = None,
) -> TaskReport:
    """Run a task for a past minute, and return its report.

    :param app: the WSGI application.
    :param registry: its registry, as for :func:`run_through`.
    :param backfill: the task and the minute.
    :param requested_by: as the following ones in :class:`.ByHand`.
    :raises LookupError: if there is no task of that name.
    :raises Unavailable: if the store is not available.
    :raises NotRun: if something in the application answers before the run.
    """
    registry['cron_tasks'].named([backfill.task])
    order = Order(
        registry,
        current_minute(),
        trigger='command',
        by_hand=ByHand(requested_by, enqueue, engine),
        backfill=backfill,
        exits=exits,
        shutdown=shutdown,
        on_progress=on_progress,
    )
    return _only_report(_send(app, order, {}))


def _only_report(report: RunReport) -> TaskReport:
    """Return the report of an order for one task.

    :raises Unavailable: if the store is not available.
    """
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
