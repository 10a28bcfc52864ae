"""The other side: the application of a worker, loaded once in each of its processes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from pyramid.paster import get_app

from pyramid_cron.isolation import OF_COMMANDS, Exits
from pyramid_cron.orders import run_delivered
from pyramid_cron.queues.handover import read_key
from pyramid_cron.reports import TaskReport
from pyramid_cron.settings import app_name

log = logging.getLogger(__name__)

# what engines that have names for tasks call the one that runs all of ours
NAME = 'pyramid_cron.perform'
# seconds until an engine tries a run again for which the store could not be asked
WAIT = 10


def perform(app: Any, key: str, registry: Any = None, method: str = 'GET', exits: Exits = OF_COMMANDS) -> TaskReport:
    """Run what was handed over: :func:`pyramid_cron.perform`."""
    registry = app.registry if registry is None else registry
    delivery = read_key(app_name(registry['cron_settings'], registry), key)
    return run_delivered(app, registry, delivery, method=method, exits=exits)


class Failed(Exception):
    """A task that was handed over has failed, says an engine. The traceback is in the log, and in the store."""


class Application:
    """A Pyramid application that is loaded when it is needed first.

    :param load: returns the WSGI application.
    """

    def __init__(self, load: Callable[[], Any]) -> None:
        self._load = load
        self._app: Any = None
        self._lock = threading.Lock()

    @classmethod
    def of(cls, named: str | Callable[[], Any]) -> Application:
        """Return the application of a configuration file, or one that a function returns."""
        if isinstance(named, str):
            uri = named
            return cls(lambda: get_app(uri))
        if not callable(named):
            raise TypeError(f'{named!r} is neither a configuration file nor a function that returns the application')
        return cls(named)

    def perform(self, key: str) -> TaskReport:
        """Run the task of a key, see :func:`pyramid_cron.perform`.

        :raises Failed: if the task failed.
        """
        with self._lock:
            if self._app is None:
                self._app = self._load()
        report = perform(self._app, key)
        log.info('task %s, handed over as %s: %s', report.name, key, report.outcome)
        exc = report.exception
        if exc is not None:
            raise Failed(f'task {report.name} failed: {type(exc).__name__}: {exc}')
        return report
