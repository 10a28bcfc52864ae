"""The worker's side of a queue: execute the run of a key, in an application that is loaded once a process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from pyramid_cron.claims import Delivery
from pyramid_cron.errors import CronError, Unavailable
from pyramid_cron.isolation import OF_COMMANDS, Exits
from pyramid_cron.loading import Loaded, load_file, load_from, registry_of
from pyramid_cron.orders import run_delivered
from pyramid_cron.outcomes import FAILED
from pyramid_cron.printable import message
from pyramid_cron.reports import TaskReport
from pyramid_cron.run_keys import read_key
from pyramid_cron.scrub import scrubber_of
from pyramid_cron.settings import app_name
from pyramid_cron.stopping import Shutdown, never

log = logging.getLogger(__name__)

# the name of our one task in Celery and procrastinate
TASK_NAME = 'pyramid_cron.perform'
# seconds until an engine tries a run again if the store was not available
RETRY_DELAY = 10
# what stops a run when its worker is to end, for the record
WORKER_ENDS = 'the end of its worker'


def perform(
    app: Any, key: str, registry: Any = None, exits: Exits = OF_COMMANDS, shutdown: Shutdown = never
) -> TaskReport:
    """Execute the run of a key, see :func:`pyramid_cron.perform`.

    :param registry: the registry with the tasks; ``None`` to find it in ``app``.
    :param exits: exceptions that end the process if the task raises them in the main thread.
    :param shutdown: returns what ends the process, such as ``'SIGTERM'``, and ``None`` while nothing does.
    :raises pyramid_cron.errors.Unavailable: if the store is not available.
    """
    registry = registry_of(app) if registry is None else registry
    delivery = read_key(app_name(registry['cron_settings'], registry), key)
    try:
        return run_delivered(app, registry, delivery, exits=exits, shutdown=shutdown)
    except Unavailable:
        raise
    except Exception as exc:
        _record_failure(registry, delivery, exc)
        raise


def _record_failure(registry: Any, delivery: Delivery, exc: Exception) -> None:
    """Record that a run was taken and failed before its task, so that it is not shown as one that no worker took."""
    if registry['cron_store'] is None:
        return
    try:
        registry['cron_store'].record_worker_failure(delivery, exc)
    except Unavailable as unavailable:
        log.warning('it cannot be recorded why task %s did not begin: %s', delivery.task, unavailable)


class TaskFailed(CronError):
    """The failure of a task, for the engine. The traceback is in our log and in the store."""


class LazyApplication:
    """A Pyramid application that is loaded when the first run comes.

    :param load: loads the application.
    """

    def __init__(self, load: Callable[[], Loaded]) -> None:
        self._load = load
        self._loaded: Loaded | None = None
        self._lock = threading.Lock()

    @classmethod
    def of(cls, source: str | Callable[[], Any]) -> LazyApplication:
        """Return the application of a configuration file, or the one that a function returns."""
        if isinstance(source, str):
            uri = source
            return cls(lambda: load_file(uri))
        if not callable(source):
            raise TypeError(f'{source!r} is neither a configuration file nor a function that returns the application')
        function = source
        return cls(lambda: load_from(function))

    def perform(self, key: str, shutdown: Shutdown = never) -> TaskReport:
        """Execute the run of a key, see :func:`pyramid_cron.perform`.

        :param shutdown: as there.
        :raises TaskFailed: if the task failed.
        :raises pyramid_cron.loading.NotLoaded: if there is not exactly one application that includes pyramid_cron.
        """
        # workers execute runs in threads, and an application that is loaded twice has two pools of connections
        with self._lock:
            if self._loaded is None:
                self._loaded = self._load()
        app, registry, _ = self._loaded
        report = perform(app, key, registry, shutdown=shutdown)
        log.info('task %s, queued as %s: %s', report.name, key, report.outcome)
        if report.outcome == FAILED:
            exc = report.exception
            why = report.reason if exc is None else f'{report.error}: {message(exc)}'
            # the engine may keep it as well
            raise TaskFailed(str(scrubber_of(registry)(f'task {report.name} failed: {why}')))
        return report
