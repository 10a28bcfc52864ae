"""Enqueue runs with Celery: one message a run, and one Celery task that executes them all."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from typing import Any

import celery
from celery.signals import worker_shutting_down

from pyramid_cron import callables
from pyramid_cron.errors import Unavailable
from pyramid_cron.queues.handover import Handover
from pyramid_cron.queues.worker import RETRY_DELAY, TASK_NAME, WORKER_ENDS, LazyApplication, TaskFailed

OPTIONS: dict[str, Callable[[str], Any]] = {'queue': str, 'priority': int, 'time_limit': str, 'soft_time_limit': str}
WITHIN_CLAIM = False

# a request waits for a broker that does not answer: try twice at most, the next tick enqueues again
RETRY_POLICY = {'max_retries': 1, 'interval_start': 0.2, 'interval_step': 0, 'interval_max': 0.2}
# in seconds, unless the application sets its own: Celery waits for ever for a Redis that accepts and does not answer.
# For one message it waits up to three times: on an open connection, and on two new ones
SOCKET_TIMEOUTS = {'socket_timeout': 2, 'socket_connect_timeout': 2}
CHECK_SECONDS = 5

# without it, or with another value than 1, each process of a worker takes further messages while it runs a task
PREFETCH = 'worker_prefetch_multiplier'


class CeleryQueue:
    """A queue of a Celery application, for ``via=`` in place of ``'celery'``.

    :param app: the Celery application; messages are sent to its broker.
    :param queue: the queue of the messages; by default the queue to which Celery routes the task of
        :func:`add_perform`.
    :param priority: the priority of the messages, as the broker counts it.
    :param time_limit: seconds after which the worker kills the process that executes the run; the default is the limit
        of the worker. See :doc:`celery`.
    :param soft_time_limit: seconds after which the worker raises ``SoftTimeLimitExceeded`` in the task; the default is
        the limit of the worker.
    :raises ValueError: if ``app`` is not a Celery application, or a time limit is not usable.
    """

    def __init__(
        self,
        app: celery.Celery,
        *,
        queue: str | None = None,
        priority: int | None = None,
        time_limit: str | int | None = None,
        soft_time_limit: str | int | None = None,
    ) -> None:
        if not isinstance(app, celery.Celery):
            raise ValueError(f'a {type(app).__name__} is no application of Celery')
        options = {'queue': queue, 'priority': priority, **_time_limits(time_limit, soft_time_limit)}
        self._app = app
        self._options = {name: value for name, value in options.items() if value is not None}
        if str(app.conf.broker_url).startswith(('redis', 'sentinel')):
            app.conf.broker_transport_options = {**SOCKET_TIMEOUTS, **(app.conf.broker_transport_options or {})}

    @property
    def broker(self) -> str:
        """What identifies the broker: all queues of one stop answering together, whichever application has them."""
        conf = self._app.conf
        return f'celery {conf.broker_write_url or conf.broker_url}'

    def __call__(self, handover: Handover) -> None:
        """Send the message of a run."""
        self._app.send_task(
            TASK_NAME,
            args=[handover.key],
            task_id=handover.key,
            expires=handover.expires,
            ignore_result=True,
            # what Flower and the worker's log show in place of the one name that all runs share
            shadow=handover.task,
            retry_policy=RETRY_POLICY,
            **self._options,
        )

    def check(self) -> str:
        """Connect to the broker, for ``pcron doctor``, and return what was found."""
        with self._app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, interval_start=0.2, interval_step=0, timeout=CHECK_SECONDS)
            return f'the broker answers, {connection.as_uri()}'

    def advice(self) -> Iterator[tuple[str, str]]:
        """Yield for ``pcron doctor`` what is wrong with settings of the application, and what to do."""
        conf = self._app.conf
        ahead = conf.worker_prefetch_multiplier
        if ahead != 1 and not conf.get('worker_disable_prefetch'):
            taken = f'{ahead} messages' if ahead else 'all messages'
            yield (
                f'{PREFETCH} = {ahead}: each process of a busy worker takes {taken} ahead, which no idle worker gets',
                f'set app.conf.{PREFETCH} = 1, see docs/celery.rst',
            )


def make_enqueue(options: dict[str, Any], registry: Any) -> CeleryQueue:
    """Return the queue of the Celery application that ``cron.celery`` names.

    :param options: ``queue``, ``priority`` and time limits of the messages.
    :raises ValueError: if a time limit is not usable, or ``cron.celery`` is not set, or is not a Celery application.
    """
    _time_limits(options.get('time_limit'), options.get('soft_time_limit'))
    app = registry['cron_settings'].celery
    if app is None:
        raise ValueError('set cron.celery to the dotted name of the Celery application, such as shop.worker.app')
    try:
        return CeleryQueue(callables.resolve(app), **options)
    except ValueError as exc:
        raise ValueError(f'cron.celery = {app!r}: {exc}') from exc


def _time_limits(hard: str | int | None, soft: str | int | None) -> dict[str, int | None]:
    """Return the time limits of a message, which may be texts.

    :raises ValueError: if one is no whole number above 0, or the soft one is never reached.
    """
    hard_limit, soft_limit = _read_limit(hard), _read_limit(soft)
    if hard_limit is not None and soft_limit is not None and soft_limit >= hard_limit:
        raise ValueError(f'soft_time_limit={soft} is never reached: it has to be less than time_limit={hard}')
    return {'time_limit': hard_limit, 'soft_time_limit': soft_limit}


def _read_limit(value: str | int | None) -> int | None:
    if value is None:
        return None
    text = str(value)
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise ValueError(f'a time limit has to be a whole number of seconds above 0, not {value!r}')
    return int(text)


def add_perform(
    app: celery.Celery, load: str | Callable[[], Any], *, wait: int = RETRY_DELAY, acks_late: bool = False
) -> None:
    """Add the task that executes runs to a Celery application.

    The Celery task has the class ``celery.Task``, even if the Celery application sets another class. Such a class may
    make a request or begin a transaction, which each run has already.

    :param app: the Celery application.
    :param load: the configuration file of the Pyramid application, or a function that returns the application. Each
        process of the worker loads it at its first message.
    :param wait: seconds until a run is tried again if the store was not available.
    :param acks_late: whether a message is acknowledged after its run, so that another worker gets it if this one dies
        before the run begins. Use it with a store: then a second delivery of a run that has begun does nothing, and
        without one the task runs again. See :doc:`celery`.
    :raises ValueError: if ``acks_late`` is not a boolean.
    :raises TypeError: if ``load`` is neither a text nor a function.
    """
    if not isinstance(acks_late, bool):
        raise ValueError(f'acks_late={acks_late!r} is neither True nor False')
    application = LazyApplication.of(load)
    # shared by the worker's processes, which are forked after this: Celery signals its end in the main one only
    is_ending = mmap.mmap(-1, 1)

    def end(**values: Any) -> None:
        is_ending[0] = 1

    worker_shutting_down.connect(end, weak=False)

    def shutdown() -> str | None:
        return WORKER_ENDS if is_ending[0] else None

    def perform(self: Any, key: str) -> None:
        try:
            application.perform(key, shutdown)
        except Unavailable as exc:
            # max_retries is None: the message expires in the end
            raise self.retry(exc=exc, countdown=wait) from exc

    # throws: Celery need not log a traceback that is in our log already
    app.task(
        name=TASK_NAME,
        # not the application's own class: its __call__ would wrap one more request and transaction around each run, or
        # pass arguments that perform does not take, and its apply_async might wait for a commit that never comes
        base=celery.Task,
        bind=True,
        ignore_result=True,
        acks_late=acks_late,
        # else a message is acknowledged although its process was killed
        reject_on_worker_lost=acks_late,
        max_retries=None,
        throws=(TaskFailed,),
        shared=False,
    )(perform)
