"""Leases of processes. A process renews its own by heartbeats while it runs tasks."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable
from typing import Any
from uuid import uuid4

from sqlalchemy import or_

from pyramid_cron.printable import message
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.dialects import database_clock
from pyramid_cron.store.liveness import PidNamespace
from pyramid_cron.store.schema import processes, tasks

log = logging.getLogger(__name__)

# seconds between two heartbeats at most
LONGEST_INTERVAL = 3600.0
# seconds for which a process is kept after its lease has expired; one that renews it later is inserted again
KEPT_SECONDS = 3600
# and beyond any lease
LONGEST_SECONDS = 30 * 86400


class Process:
    """This process, as the store knows it. A process that is forked from it is another one.

    :param seconds: how long its lease is.
    """

    def __init__(self, seconds: float, namespace: PidNamespace | None = None) -> None:
        self.id = uuid4().hex
        self.pid = os.getpid()
        self.host = socket.gethostname()
        self.namespace = namespace or PidNamespace.of_this_process()
        seen = self.namespace.look(self.pid)
        self.started = None if seen is None else seen.started
        self._seconds = seconds

    def renew(self, connection: StoreConnection) -> None:
        """Renew the lease, from now on by the database's clock."""
        until = database_clock() + self._seconds
        mine = connection.update(processes).where(processes.c.id == self.id)
        if connection.execute(mine.values(lease_until=until)) == 0:
            connection.execute(
                connection.insert(processes).values(
                    id=self.id,
                    host=self.host,
                    pid=self.pid,
                    boot_and_pidns=self.namespace.name,
                    process_started=self.started,
                    lease_until=until,
                )
            )


class Heartbeat:
    """Calls a function at intervals while tasks run, in a thread that ends with the last of them.

    :param beat: the function, which returns whether it has to be called again after the last task; what it raises is
        logged.
    :param seconds: the interval.
    """

    def __init__(self, beat: Callable[[], Any], seconds: float) -> None:
        self._beat = beat
        # a socket does not wait for months
        self._seconds = min(seconds, LONGEST_INTERVAL)
        self._count = 0
        self._lock = threading.Lock()
        # closed to end the thread: a clock that is set, or replaced, does not lengthen the wait for a socket
        self._stop: socket.socket | None = None

    def begin(self) -> None:
        """Beat until there was an :meth:`end` for each call of this."""
        with self._lock:
            if self._stop is None:
                stop, stopped = socket.socketpair()
                thread = threading.Thread(target=self._run, args=[stopped], name='pyramid_cron heartbeat', daemon=True)
                try:
                    thread.start()
                except RuntimeError:
                    # the system has no thread left
                    stop.close()
                    stopped.close()
                    raise
                self._stop = stop
            self._count += 1

    def end(self, after_beat: bool = False) -> None:
        """Take back one :meth:`begin`.

        :param after_beat: whether the thread ends only after a beat that succeeds and leaves nothing.
        """
        with self._lock:
            self._count -= 1
            if not after_beat:
                self._stop_if_idle()

    def _stop_if_idle(self) -> None:
        if self._count == 0 and self._stop is not None:
            # a process that a task has forked has it open too
            self._stop.shutdown(socket.SHUT_RDWR)
            self._stop.close()
            self._stop = None

    def _run(self, stopped: socket.socket) -> None:
        with stopped:
            stopped.settimeout(self._seconds)
            while True:
                try:
                    stopped.recv(1)
                except TimeoutError:
                    pass
                else:
                    return
                self.beat()

    def beat(self) -> None:
        """Call the function, and end the thread if that succeeds after the last run and leaves nothing."""
        try:
            is_left = self._beat()
        except Exception as exc:
            log.warning('the lease of this process could not be renewed: %s', message(exc))
        else:
            if not is_left:
                with self._lock:
                    self._stop_if_idle()


def limit_leases(connection: StoreConnection, seconds: float, longest: float) -> int:
    """Let leases end in so many seconds that would last for longer than any can, and return how many there were."""
    ahead = connection.update(processes).where(processes.c.lease_until > database_clock() + longest)
    return connection.execute(ahead.values(lease_until=database_clock() + seconds))


def prune(connection: StoreConnection, limit: int) -> int:
    """Delete processes that have claimed no task and did not renew their lease for long, and return how many.

    :param limit: how many at most.
    """
    until = processes.c.lease_until
    # or taken by a clock that was ahead
    expired = or_(until < database_clock() - KEPT_SECONDS, until > database_clock() + LONGEST_SECONDS)
    claims = connection.in_any_application(tasks).where(tasks.c.process == processes.c.id)
    keys = connection.scalars(connection.select(processes, processes.c.id).where(expired, ~claims).limit(limit))
    deleted = connection.delete(processes).where(processes.c.id.in_(keys), expired, ~claims)
    return int(connection.execute(deleted))
