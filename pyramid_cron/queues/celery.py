"""Enqueue runs with Celery: one message a run, and one Celery task that executes them all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import celery

from pyramid_cron import callables
from pyramid_cron.claims import Unavailable
from pyramid_cron.queues.handover import Handover
from pyramid_cron.queues.worker import RETRY_DELAY, TASK_NAME, LazyApplication, TaskFailed

OPTIONS: dict[str, Callable[[str], Any]] = {'queue': str, 'priority': int}
WITHIN_CLAIM = False

# a request waits for a broker that does not answer: try twice at most, the next tick enqueues again
RETRY_POLICY = {'max_retries': 1, 'interval_start': 0.2, 'interval_step': 0, 'interval_max': 0.2}
# in seconds, unless the application sets its own: Celery waits for ever for a Redis that accepts and does not answer.
# For one message it waits up to three times: on an open connection, and on two new ones
SOCKET_TIMEOUTS = {'socket_timeout': 2, 'socket_connect_timeout': 2}
CHECK_SECONDS = 5


class CeleryQueue:
    """A queue of a Celery application, for ``via=`` in place of ``'celery'``.

    :param app: the Celery application; messages are sent to its broker.
    :param queue: the queue of the messages; the default is the one that the application routes the task of
        :func:`add_perform` to.
    :param priority: the priority of the messages, as the broker counts it.
    :raises ValueError: if ``app`` is not a Celery application.
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
        """Send the message of a run."""
        self._app.send_task(
            TASK_NAME,
            args=[handover.key],
            task_id=handover.key,
            expires=handover.expires,
            ignore_result=True,
            retry_policy=RETRY_POLICY,
            **self._options,
        )

    def check(self) -> str:
        """Connect to the broker, for ``pcron doctor``, and return what was found."""
        with self._app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0.2, interval_step=0, timeout=CHECK_SECONDS)
            return f'the broker answers, {connection.as_uri()}'


def make_enqueue(options: dict[str, Any], registry: Any) -> CeleryQueue:
    """Return the queue of the Celery application that ``cron.celery`` names.

    :param options: ``queue`` and ``priority`` of the messages.
    :raises ValueError: if ``cron.celery`` is not set, or is not a Celery application.
    """
    app = registry['cron_settings'].celery
    if app is None:
        raise ValueError('set cron.celery to the dotted name of the Celery application, such as shop.worker.app')
    try:
        return CeleryQueue(callables.resolve(app), **options)
    except ValueError as exc:
        raise ValueError(f'cron.celery = {app!r}: {exc}') from exc


def add_perform(app: celery.Celery, load: str | Callable[[], Any], *, wait: int = RETRY_DELAY) -> None:
    """Add the task that executes runs to a Celery application.

    :param app: the Celery application.
    :param load: the configuration file of the Pyramid application, or a function that returns the application. Each
        process of the worker loads it at its first message.
    :param wait: seconds until a run is tried again if the store was not available.
    """
    application = LazyApplication.of(load)

    def perform(self: Any, key: str) -> None:
        try:
            application.perform(key)
        except Unavailable as exc:
            # max_retries is None: the message expires in the end
            raise self.retry(exc=exc, countdown=wait) from exc

    # throws: Celery need not log a traceback that is in our log already
    app.task(
        name=TASK_NAME,
        bind=True,
        ignore_result=True,
        acks_late=False,
        max_retries=None,
        throws=(TaskFailed,),
        shared=False,
    )(perform)
