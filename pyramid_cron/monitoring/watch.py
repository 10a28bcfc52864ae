"""Notices from the requests of visitors that ticks have stopped."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from pyramid.threadlocal import manager

from pyramid_cron.durations import duration
from pyramid_cron.errors import Unavailable
from pyramid_cron.events import TicksStopped, notify
from pyramid_cron.isolation import OF_SERVERS
from pyramid_cron.orders import pending_order
from pyramid_cron.store.stopped_ticks import LastTick, last_tick, mark_stopped

log = logging.getLogger(__name__)

# seconds between two looks of a process
INTERVAL = 60.0
# seconds after the minute of a tick at which the next one is late, and at which ticks have stopped
LATE, STOPPED = 75.0, 180.0
# seconds for which this process has to see that a tick is late: where ticks and visitors were gone together, and come
# back together, the next tick comes in that time. The clock for it stands still while the machine is suspended
CONFIRMED = 90.0

TWEEN = 'pyramid_cron.monitoring.watch.tween_factory'


def includeme(config: Any) -> None:
    """Add the tween, above those that the application has added so far."""
    config.add_tween(TWEEN)


def tween_factory(handler: Callable[[Any], Any], registry: Any) -> Callable[[Any], Any]:
    """Return a tween that reads the last tick after a request, at most once a minute.

    If ``cron.watch`` is off, return the handler itself.

    ``pyramid_cron`` adds the tween, unless ``pyramid.tweens`` lists all tweens of the application: then it is to be
    listed there. It reads the last tick only after the request was handled, because the request may be the tick itself.

    :param handler: the next tween, or the application.
    :param registry: the registry of the application.
    """
    if not registry['cron_settings'].watch or registry['cron_store'] is None:
        return handler
    return watched(handler, Watch(registry), time.monotonic)


def watched(handler: Callable[[Any], Any], watch: Watch, monotonic: Callable[[], float]) -> Callable[[Any], Any]:
    """Return a tween that begins a look after a request if it is time for one."""

    def tween(request: Any) -> Any:
        try:
            return handler(request)
        finally:
            if monotonic() >= watch.next_look:
                watch.look(request.environ)

    return tween


class Watch:
    """The looks of one process at the last tick of an application.

    Each look has a thread of its own, which ends with it: no request waits for the database, nor fails because of it.
    While one lasts no other begins.

    :param registry: the registry of the application.
    :param monotonic: a monotonic clock in seconds.
    :param start: starts a thread.
    """

    def __init__(
        self,
        registry: Any,
        monotonic: Callable[[], float] = time.monotonic,
        start: Callable[[threading.Thread], None] = threading.Thread.start,
    ) -> None:
        self._start = start
        self._registry = registry
        self._monotonic = monotonic
        #: when the next look is due
        self.next_look = monotonic() + INTERVAL
        self._thread: threading.Thread | None = None
        # the minute of a tick after which the next one is late, and when this process first saw that
        self._late: tuple[datetime, float] | None = None
        self._has_failed = False

    def look(self, environ: dict[str, Any]) -> None:
        """Begin a look, unless a command or a test has made the request, or the last look has not ended."""
        if pending_order(environ) is not None or environ.get('paste.testing'):
            return
        self.next_look = self._monotonic() + INTERVAL
        # in a process that was forked during a look, its thread counts as ended
        if self._thread is not None and self._thread.is_alive():
            return
        self._thread = threading.Thread(target=self.run, name='pyramid_cron watch', daemon=True)
        try:
            self._start(self._thread)
        except RuntimeError as exc:
            # the system has no thread left
            log.debug('no thread can begin that looks at the last tick: %s', exc)

    def run(self) -> None:
        """Look at the last tick, and report that ticks have stopped; log why that is not possible."""
        try:
            self._examine()
        except Exception as exc:
            # ticks could not come either: what was seen before does not count
            self._late = None
            level = logging.DEBUG if self._has_failed else logging.WARNING
            self._has_failed = True
            known = isinstance(exc, Unavailable)
            log.log(level, 'it is not known whether ticks come: %s', exc, exc_info=None if known else exc)
        else:
            self._has_failed = False

    def _examine(self) -> None:
        database = self._registry['cron_store'].database
        with database.reading() as connection:
            tick = None if connection is None else last_tick(connection)
        if tick is None or not self._is_confirmed(tick) or tick.is_reported:
            return
        with database.begin() as connection:
            mine = mark_stopped(connection, tick.minute)
        if mine:
            self._report(tick)

    def _is_confirmed(self, tick: LastTick) -> bool:
        """Return whether ticks have stopped, and this process has seen for long enough that they do not come."""
        now = self._monotonic()
        if tick.seconds <= LATE:
            return False
        if self._late is None or self._late[0] != tick.minute:
            self._late = tick.minute, now
        return tick.seconds > STOPPED and now - self._late[1] >= CONFIRMED

    def _report(self, tick: LastTick) -> None:
        settings, options = self._registry['cron_settings'], self._registry['cron_store'].options
        log.error(
            'ticks have stopped: none has come since %s (%s); look at what requests %s each minute, for example with '
            '"pcron doctor"',
            options.shown(tick.minute),
            duration(tick.seconds),
            settings.path,
        )
        # as in a request, for subscribers that look for the registry
        manager.push({'registry': self._registry, 'request': None})
        try:
            notify(self._registry, TicksStopped(tick.minute, tick.seconds), OF_SERVERS)
        finally:
            manager.pop()
