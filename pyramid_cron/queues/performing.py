"""The other side: the application of a worker, loaded once in each of its processes."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from pyramid.paster import get_app

from pyramid_cron.inprocess import perform
from pyramid_cron.reports import TaskReport

log = logging.getLogger(__name__)


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
        log.info('task %s, handed over as %s: %s', report.name, key, report.status)
        exc = report.exception
        if exc is not None:
            raise Failed(f'task {report.name} failed: {type(exc).__name__}: {exc}')
        return report
