"""The worker's side of a queue: execute the run of a key, in an application that is loaded once a process."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from pyramid.paster import get_app

from pyramid_cron.errors import CronError
from pyramid_cron.isolation import OF_COMMANDS, Exits
from pyramid_cron.orders import run_delivered
from pyramid_cron.printable import message
from pyramid_cron.queues.handover import read_key
from pyramid_cron.reports import FAILED, TaskReport
from pyramid_cron.scrub import scrubber_of
from pyramid_cron.settings import app_name

log = logging.getLogger(__name__)

# the name of our one task in Celery and procrastinate
TASK_NAME = 'pyramid_cron.perform'
# seconds until an engine tries a run again if the store was not available
RETRY_DELAY = 10


def perform(app: Any, key: str, registry: Any = None, exits: Exits = OF_COMMANDS) -> TaskReport:
    """Execute the run of a key: :func:`pyramid_cron.perform`."""
    registry = app.registry if registry is None else registry
    delivery = read_key(app_name(registry['cron_settings'], registry), key)
    return run_delivered(app, registry, delivery, exits=exits)


class TaskFailed(CronError):
    """The failure of a task, for the engine. The traceback is in our log and in the store."""


class LazyApplication:
    """A Pyramid application that is loaded when the first run comes.

    :param load: returns the WSGI application.
    """

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load
        self._app: Any = None
        self._lock = threading.Lock()

    @classmethod
    def of(cls, source: str | Callable[[], Any]) -> LazyApplication:
        """Return the application of a configuration file, or the one that a function returns."""
        if isinstance(source, str):
            uri = source
            return cls(lambda: get_app(uri))
        if not callable(source):
            raise TypeError(f'{source!r} is neither a configuration file nor a function that returns the application')
        return cls(source)

    def perform(self, key: str) -> TaskReport:
        """Execute the run of a key, see :func:`pyramid_cron.perform`.

        :raises TaskFailed: if the task failed.
        """
        # workers execute runs in threads, and an application that is loaded twice has two pools of connections
        with self._lock:
            if self._app is None:
                self._app = self._load()
        report = perform(self._app, key)
        log.info('task %s, queued as %s: %s', report.name, key, report.outcome)
        if report.outcome == FAILED:
            exc = report.exception
            why = report.reason if exc is None else f'{report.error}: {message(exc)}'
            # the engine may keep it as well
            raise TaskFailed(str(scrubber_of(self._app.registry)(f'task {report.name} failed: {why}')))
        return report
