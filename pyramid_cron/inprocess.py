"""A run that the process itself asks for: through the whole application, without HTTP and the check of addresses."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pyramid.interfaces import IRoutesMapper
from pyramid.request import Request

from pyramid_cron.reports import RunReport

# no header of a request can set it: those begin with HTTP_
ENVIRON_KEY = 'pyramid_cron.order'


class NotRun(RuntimeError):
    """Something in the application answered an order before its tasks could run."""


class Order:
    """What a run is asked to do, and its report once it has ended.

    :param instant: the minute to run for, aware.
    :param names: the tasks to run, due or not; ``None`` for those that are due.
    :param trigger: what asked for the run, for the record.
    """

    def __init__(self, instant: datetime, names: tuple[str, ...] | None = None, trigger: str = 'command') -> None:
        self.instant = instant
        self.names = names
        self.trigger = trigger
        self.report: RunReport | None = None


def run_through(
    app: Any,
    registry: Any,
    instant: datetime,
    names: Iterable[str] | None = None,
    environ: Mapping[str, Any] | None = None,
) -> RunReport:
    """Run what is ordered through a whole WSGI application, tweens and all, and return the report.

    :param app: the WSGI application.
    :param registry: its registry.
    :param instant: the minute to run for, aware.
    :param names: the tasks to run, due or not; ``None`` for those that are due.
    :param environ: more keys for the WSGI environ of the request.
    :raises LookupError: if there is no task of that name.
    :raises NotRun: if something in the application answers before the run.
    """
    order = Order(instant, None if names is None else tuple(names))
    # before an exception view can make a page of the error
    registry['cron_tasks'].named(order.names or ())
    request = Request.blank(cron_path(registry), environ={**(environ or {}), ENVIRON_KEY: order})
    response = request.get_response(app)
    if order.report is None:
        raise NotRun(f'the application answered {response.status} before its tasks could run')
    return order.report


def cron_path(registry: Any) -> str:
    """Return the path of the route ``cron``."""
    path: str = registry.getUtility(IRoutesMapper).get_route('cron').generate({})
    return path


def pending(environ: dict[str, Any]) -> Order | None:
    """Return the order that a request carries, if the process itself made it."""
    order = environ.get(ENVIRON_KEY)
    return order if isinstance(order, Order) else None
