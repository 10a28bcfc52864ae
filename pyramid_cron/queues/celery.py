"""Handing tasks over to Celery: one message for each run, and one task of Celery's that takes them all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import celery

from pyramid_cron import callables
from pyramid_cron.claims import Unavailable
from pyramid_cron.queues.handover import Handover
from pyramid_cron.queues.worker import NAME, WAIT, Application, Failed

OPTIONS: dict[str, Callable[[str], Any]] = {'queue': str, 'priority': int}
WITHIN_CLAIM = False

# a broker that is away makes a request wait: it is tried twice, and the next tick hands over again
RETRY_POLICY = {'max_retries': 1, 'interval_start': 0.2, 'interval_step': 0, 'interval_max': 0.2}
# seconds for which a Redis is waited for that says nothing, unless the application says so: Celery waits for ever
SOCKET_TIMEOUTS = {'socket_timeout': 5, 'socket_connect_timeout': 5}


class CeleryQueue:
    """What ``via='celery'`` stands for, for ``via=`` where the application of Celery is at hand.

    :param app: the application of Celery, whose broker the messages are sent to.
    :param queue: their queue; the one that the application has for the task of :func:`add_perform` if it is left out.
    :param priority: their priority, as the broker counts it.
    :raises ValueError: if ``app`` is none.
    """

    def __init__(self, app: celery.Celery, *, queue: str | None = None, priority: int | None = None) -> None:
        if not isinstance(app, celery.Celery):
            raise ValueError(f'a {type(app).__name__} is no application of Celery')
        options = {'queue': queue, 'priority': priority}
        self._app = app
        self._options = {name: value for name, value in options.items() if value is not None}
        if str(app.conf.broker_url).startswith(('redis', 'sentinel')):
            app.conf.broker_transport_options = {**SOCKET_TIMEOUTS, **(app.conf.broker_transport_options or {})}

    def __call__(self, handover: Handover) -> None:
        """Send a message."""
        self._app.send_task(
            NAME,
            args=[handover.key],
            task_id=handover.key,
            expires=handover.expires,
            ignore_result=True,
            retry_policy=RETRY_POLICY,
            **self._options,
        )


def make_send(options: dict[str, Any], registry: Any) -> CeleryQueue:
    """Return what sends a message by the application of Celery that ``cron.celery`` names.

    :param options: ``queue`` and ``priority`` of the message.
    :raises ValueError: if there is no such application.
    """
    named = registry['cron_settings'].celery
    if named is None:
        raise ValueError('set cron.celery to the dotted name of the Celery application, such as shop.worker.app')
    try:
        return CeleryQueue(callables.resolve(named), **options)
    except ValueError as exc:
        raise ValueError(f'cron.celery = {named!r}: {exc}') from exc


def add_perform(app: celery.Celery, load: str | Callable[[], Any], *, wait: int = WAIT) -> None:
    """Let the workers of an application of Celery run tasks that are handed over.

    :param app: the application of Celery.
    :param load: the configuration file of the Pyramid application, or a function that returns the application. It is
        loaded at the first message of each process.
    :param wait: seconds until a run is tried again for which the store could not be asked.
    """
    application = Application.of(load)

    def perform(self: Any, key: str) -> None:
        try:
            application.perform(key)
        except Unavailable as exc:
            # until it expires
            raise self.retry(exc=exc, countdown=wait) from exc

    # what failed is in our own log already, with its traceback
    app.task(
        name=NAME, bind=True, ignore_result=True, acks_late=False, max_retries=None, throws=(Failed,), shared=False
    )(perform)
