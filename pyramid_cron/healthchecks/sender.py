"""Sends pings in a thread of their own, so that no tick waits for the host that receives them."""

from __future__ import annotations

import atexit
import logging
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from pyramid_cron.printable import message

log = logging.getLogger(__name__)

# pings that wait for those before them; the oldest one is dropped for a further one
MOST_WAITING = 100
# bytes that the service keeps of a text at least
LONGEST_BODY = 10_000
AGENT = 'pyramid_cron'


class Ping(NamedTuple):
    """A request that reports something.

    :param url: where it goes.
    :param body: the text for people.
    """

    url: str
    body: str = ''


class Sender:
    """Sends the pings of a process one after another, in their order.

    A thread begins with a ping and ends when none is left. At the end of the process the rest is waited for, for one
    time limit at most.

    :param limit: seconds that the host may take to answer.
    :param start: starts a thread.
    """

    def __init__(self, limit: float, start: Callable[[threading.Thread], None] = threading.Thread.start) -> None:
        self._limit = limit
        self._start = start
        self._lock = threading.Lock()
        self._waiting: deque[Callable[[], Ping]] = deque(maxlen=MOST_WAITING)
        self._thread: threading.Thread | None = None
        self._process: int | None = None
        self._has_failed = False

    def send(self, make: Callable[[], Ping]) -> None:
        """Send a ping, and return at once.

        :param make: returns the ping, in the thread that sends it.
        """
        with self._lock:
            if self._process != os.getpid():
                self._begin_process()
            if len(self._waiting) == MOST_WAITING:
                self._failed('the oldest of %d pings that wait is dropped', MOST_WAITING)
            self._waiting.append(make)
            if self._thread is not None and self._thread.is_alive():
                return
            self._thread = threading.Thread(target=self._run, name='pyramid_cron pings', daemon=True)
            try:
                self._start(self._thread)
            except RuntimeError as exc:
                # the system has no thread left, or the process ends
                self._waiting.clear()
                self._failed('no thread can begin that sends pings: %s', exc)

    def flush(self) -> None:
        """Wait until all pings are sent, for one time limit at most."""
        with self._lock:
            thread = self._thread
        if thread is not None and thread.is_alive():
            thread.join(self._limit)

    def _begin_process(self) -> None:
        """Forget the pings of the process that this one was forked from."""
        self._process = os.getpid()
        self._waiting.clear()
        self._thread = None
        atexit.register(self.flush)

    def _run(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._thread = None
                    return
                make = self._waiting.popleft()
            self._send(make)

    def _send(self, make: Callable[[], Ping]) -> None:
        host: str | None = 'the host'
        try:
            url, body = make()
            host = urlsplit(url).hostname
            data = body.encode('utf-8', 'replace')[:LONGEST_BODY]
            request = Request(url, data, {'User-Agent': AGENT, 'Content-Type': 'text/plain; charset=utf-8'})
            urlopen(request, timeout=self._limit).close()
        except Exception as exc:
            # the message of an error of ours may show the URL, which is secret; that of urllib does not
            self._failed('a ping to %s was not received: %s', host, message(exc) or type(exc).__name__)
        else:
            self._has_failed = False

    def _failed(self, text: str, *args: object) -> None:
        """Log a failure: at WARNING, once until a ping has been received."""
        level = logging.DEBUG if self._has_failed else logging.WARNING
        self._has_failed = True
        log.log(level, text, *args)
