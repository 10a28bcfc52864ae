"""Who is alive: the processes that run tasks, each with a lease that it renews while it does."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from sqlalchemy import Connection, delete, exists, insert, update

from pyramid_cron.store.schema import database_clock, processes, tasks

log = logging.getLogger(__name__)

PROC = Path('/proc')
ENDED = ('Z', 'X', 'x')
# seconds for which a process is remembered after its lease; one that renews it later is made known again
REMEMBERED = 3600


class Place(NamedTuple):
    """Where the number of a process means something: one boot of a kernel, and a namespace in it.

    Host names and numbers are not enough: containers share both.

    :param name: the same for all processes of the place, ``None`` where it cannot be told.
    :param proc: where Linux shows its processes.
    """

    name: str | None
    proc: Path = PROC

    @classmethod
    def here(cls, proc: Path = PROC) -> Place:
        """Return the place of this process."""
        try:
            boot = (proc / 'sys/kernel/random/boot_id').read_text().strip()
            return cls(f'{boot} {os.readlink(proc / "self/ns/pid")}', proc)
        except OSError:
            return cls(None, proc)

    def born(self, pid: int) -> str | None:
        """Return when a process of this place began, in its kernel's units, or ``None`` if it has ended.

        A zombie has ended. The time tells a process from a later one of the same number.
        """
        try:
            stat = (self.proc / str(pid) / 'stat').read_text(errors='replace')
        except OSError:
            return None
        # behind the name, which may hold blanks and parentheses (proc(5))
        state, *fields = stat.rpartition(')')[2].split()
        return None if state in ENDED else fields[18]

    def has_ended(self, process: Mapping[str, Any]) -> bool:
        """Tell whether a process is known to have ended: one of this place that is gone, or whose lease is over."""
        here = self.name is not None and process['place'] == self.name
        return (here and self.born(process['pid']) != process['born']) or process['lease_over'] is not False


class Process:
    """This process, as the store knows it. A process that was forked from it is another one.

    :param seconds: how long its lease is.
    """

    def __init__(self, seconds: float, place: Place | None = None) -> None:
        self.id = uuid4().hex
        self.pid = os.getpid()
        self.host = socket.gethostname()
        self.place = place or Place.here()
        self.born = self.place.born(self.pid)
        self._seconds = seconds

    def renew(self, connection: Connection) -> None:
        """Renew the lease, from now on by the database's clock."""
        until = database_clock() + self._seconds
        renewed = connection.execute(update(processes).where(processes.c.id == self.id).values(lease_until=until))
        if renewed.rowcount == 0:
            connection.execute(
                insert(processes).values(
                    id=self.id,
                    host=self.host,
                    pid=self.pid,
                    place=self.place.name,
                    born=self.born,
                    lease_until=until,
                )
            )


class Heartbeat:
    """Calls something again and again while tasks run, in a thread that lives no longer than they do.

    :param beat: what to call; what it raises is logged.
    :param seconds: the time between two calls.
    """

    def __init__(self, beat: Callable[[], Any], seconds: float) -> None:
        self._beat = beat
        self._seconds = seconds
        self._count = 0
        self._lock = threading.Lock()
        # closed to end the thread: a clock that is set, or replaced, does not lengthen the wait for a socket
        self._stop: socket.socket | None = None

    def begin(self) -> None:
        """Beat until there was an :meth:`end` for each call of this."""
        with self._lock:
            self._count += 1
            if self._stop is None:
                self._stop, stopped = socket.socketpair()
                threading.Thread(target=self._run, args=[stopped], name='pyramid_cron heartbeat', daemon=True).start()

    def end(self) -> None:
        """Take back one :meth:`begin`."""
        with self._lock:
            self._count -= 1
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
                try:
                    self._beat()
                except Exception as exc:
                    log.warning('the lease of this process could not be renewed: %s', exc)


def prune(connection: Connection) -> None:
    """Forget processes that have been silent for long and have no run."""
    silent = processes.c.lease_until < database_clock() - REMEMBERED
    connection.execute(delete(processes).where(silent, ~exists().where(tasks.c.process == processes.c.id)))
