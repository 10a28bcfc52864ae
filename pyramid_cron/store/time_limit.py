"""The end of waits for a server that does not answer: its connection is shut down, whatever the driver.

The limits of a database bind a server that works. One that is frozen, or pgbouncer with no server behind it, keeps the
connection alive and never answers, which neither these limits nor those of TCP end.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import Connection, Engine, event

from pyramid_cron.store.dialects import MOST_SECONDS

# seconds between two looks at the waits, and the looks that a wait lasts: the database's own limits come first, because
# it names the reason
INTERVAL = 1.0
LOOKS = MOST_SECONDS + 2

# where the connection of a pool keeps its Wait
WAIT = 'pyramid_cron.wait'


class Wait:
    """A connection as the watchdog knows it.

    :param watchdog: the watchdog.
    :param fileno: the file descriptor of its socket. It is duplicated, because after the driver has closed it the
        number can belong to another file.
    """

    def __init__(self, watchdog: Watchdog, fileno: int) -> None:
        self._watchdog = watchdog
        # the kernel knows the family and the type
        self._socket = socket.fromfd(fileno, socket.AF_INET, socket.SOCK_STREAM)
        self.looks = 0

    def begin(self) -> None:
        """Begin to wait."""
        self._watchdog.begin(self)

    def end(self) -> None:
        """End the waiting."""
        self._watchdog.end()

    def cut(self) -> None:
        """Wake the driver, for which the server has then closed the connection."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def __del__(self) -> None:
        self._socket.close()


class Watchdog:
    """Shuts down connections that wait for too long, in one thread, which sleeps while no connection waits.

    It counts its looks in place of seconds: of a process that was suspended, or held by a task that keeps the GIL, no
    connection is cut.

    :param looks: the look at which a wait ends.
    :param interval: seconds between two looks.
    """

    def __init__(self, looks: int = LOOKS, interval: float = INTERVAL) -> None:
        self._looks = looks
        self._interval = interval
        self._alarm: socket.socket | None = None
        self.forget()

    def forget(self) -> None:
        """Begin without a thread, in a process that was forked: the thread is the parent's."""
        if self._alarm is not None:
            # only in a process that was forked, where no coverage is measured
            self._alarm.close()  # pragma: no cover
        self._lock = threading.Lock()
        # by the thread that waits
        self._waits: dict[int, Wait] = {}
        self._is_asleep = False
        # not an event: a clock that is set, or replaced, does not lengthen the wait for a socket
        self._alarm = None

    def begin(self, wait: Wait) -> None:
        """Watch a connection until this thread calls :meth:`end`.

        :raises RuntimeError: if no thread can begin that watches it.
        """
        wait.looks = 0
        with self._lock:
            if self._alarm is None:
                self._start()
            elif self._is_asleep:
                self._is_asleep = False
                self._alarm.send(b'!')
            self._waits[threading.get_ident()] = wait

    def end(self) -> None:
        """Watch the connection of this thread no more."""
        with self._lock:
            self._waits.pop(threading.get_ident(), None)

    def _start(self) -> None:
        self._alarm, alarmed = socket.socketpair()
        thread = threading.Thread(target=self._run, args=[alarmed], name='pyramid_cron watchdog', daemon=True)
        try:
            thread.start()
        except RuntimeError:
            # the system has no thread left: the next wait tries again
            self._alarm.close()
            alarmed.close()
            self._alarm = None
            raise

    def _run(self, alarmed: socket.socket) -> None:
        while True:
            with self._lock:
                self._look()
                self._is_asleep = not self._waits
                alarmed.settimeout(None if self._is_asleep else self._interval)
            with suppress(TimeoutError):
                alarmed.recv(1)

    def _look(self) -> None:
        for thread, wait in list(self._waits.items()):
            wait.looks += 1
            if wait.looks >= self._looks:
                wait.cut()
                del self._waits[thread]


WATCHDOG = Watchdog()
# Windows cannot fork
if hasattr(os, 'register_at_fork'):  # pragma: no branch
    os.register_at_fork(after_in_child=WATCHDOG.forget)


def limit_waits(engine: Engine, watchdog: Watchdog = WATCHDOG) -> None:
    """Limit how long a connection of an engine waits for its server: a statement, a commit, a rollback.

    It is for drivers with ``fileno()``, such as psycopg. The time limits of others are arguments of their own.
    """

    def connected(connection: Any, record: Any) -> None:
        if hasattr(connection, 'fileno'):
            record.info[WAIT] = Wait(watchdog, connection.fileno())
            begin(record.info)

    def begin(info: dict[str, Any]) -> None:
        if WAIT in info:
            info[WAIT].begin()

    def executing(connection: Connection, *arguments: object) -> None:
        # of a connection that was invalidated a look at it would open another one
        if not connection.invalidated:
            begin(connection.info)

    def end(*arguments: object) -> None:
        watchdog.end()

    # before the first statements, which are SQLAlchemy's, and after the last ones
    event.listen(engine, 'connect', connected, insert=True)
    event.listen(engine, 'connect', end)
    for begins in ('before_cursor_execute', 'commit', 'rollback'):
        event.listen(engine, begins, executing)
    event.listen(engine, 'reset', lambda connection, record, state: begin(record.info))
    for ends in ('after_cursor_execute', 'handle_error', 'checkin'):
        event.listen(engine, ends, end)


@contextmanager
def limited(connection: Connection) -> Iterator[None]:
    """Limit how long a connection waits in the ``with``, which uses it without SQLAlchemy."""
    wait: Wait | None = connection.info.get(WAIT)
    if wait is None:
        yield
        return
    wait.begin()
    try:
        yield
    finally:
        wait.end()


@contextmanager
def unlimited(connection: Connection) -> Iterator[None]:
    """Let the statements of a connection take as long as they need in the ``with``, as an upgrade of tables does."""
    wait = connection.info.pop(WAIT, None)
    driver: Any = connection.connection.driver_connection
    # PyMySQL has no other way to the limit of a connection
    limit = getattr(driver, '_read_timeout', None)
    if limit is not None:
        driver._read_timeout = None
    try:
        yield
    finally:
        # a look at one that was invalidated would raise in place of what ends the body, such as an exit
        if wait is not None and not connection.invalidated:
            connection.info[WAIT] = wait
        if limit is not None:
            driver._read_timeout = limit
