"""Leases of processes. A process renews its own by heartbeats while it runs tasks."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any
from uuid import uuid4

from sqlalchemy import BindParameter, Double, and_, bindparam, or_

from pyramid_cron.printable import message
from pyramid_cron.stopping import StopRequest
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.dialects import NOW, database_clock
from pyramid_cron.store.liveness import PidNamespace
from pyramid_cron.store.schema import NEEDS_ATTENTION, processes, tasks
from pyramid_cron.store.stop_requests import read_stops, with_stop
from pyramid_cron.store.task_conditions import HOLDS_RUN, of_run

log = logging.getLogger(__name__)

# seconds between two heartbeats at most
LONGEST_INTERVAL = 3600.0
# seconds for which a process is kept after its lease has expired; one that renews it later is inserted again
KEPT_SECONDS = 3600
# and beyond any lease
LONGEST_SECONDS = 30 * 86400

THIS_PROCESS = bindparam('this_process', type_=processes.c.id.type)
# in seconds
LEASE: BindParameter[float] = bindparam('lease', type_=Double())
LEASE_UNTIL = NOW + LEASE
IS_THIS_PROCESS = processes.c.id == THIS_PROCESS
RENEW = StoreConnection.update(processes).where(IS_THIS_PROCESS).values(lease_until=LEASE_UNTIL)
KNOWN_STOPS = bindparam('known_stops', type_=processes.c.stops.type)
HAS_KNOWN_STOPS = and_(IS_THIS_PROCESS, processes.c.stops.is_not_distinct_from(KNOWN_STOPS))
RENEW_IF_KNOWN = StoreConnection.update(processes).where(HAS_KNOWN_STOPS).values(lease_until=LEASE_UNTIL)
SELECT_STOPS = StoreConnection.select(processes, processes.c.stops).where(IS_THIS_PROCESS)
# the process that has a run in progress
RUNS_IT = processes.c.id == StoreConnection.select(tasks, tasks.c.process).where(HOLDS_RUN).scalar_subquery()
UPDATE_STOPS = StoreConnection.update(processes).where(RUNS_IT)
SELECT_STOPS_OF_RUN = StoreConnection.select(processes, processes.c.stops).where(RUNS_IT)
# changes nothing, and is a write: SQLite has to begin with one
LOCK = UPDATE_STOPS.values(pid=processes.c.pid)
INSERT = StoreConnection.insert(processes).values(lease_until=LEASE_UNTIL)


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
        self.seconds = seconds
        #: the requests that runs of it end, by the fencing tokens of the runs, as the last heartbeat has found them
        self.stops: Mapping[str, StopRequest] = {}
        self._stops_text: str | None = None

    def renew(self, connection: StoreConnection) -> None:
        """Renew the lease, from now on by the database's clock."""
        lease = {THIS_PROCESS.key: self.id, LEASE.key: self.seconds}
        if connection.execute(RENEW, lease) == 0:
            connection.execute(INSERT, lease | self.row)

    def renew_and_read_stops(self, connection: StoreConnection) -> None:
        """Renew the lease, and read the requests that runs end: in one statement if there is none that is new."""
        known = {THIS_PROCESS.key: self.id, LEASE.key: self.seconds, KNOWN_STOPS.key: self._stops_text}
        if connection.execute(RENEW_IF_KNOWN, known) == 0:
            # this first: it locks the row, and SQLite has to begin with a write
            self.renew(connection)
            self._stops_text = connection.scalar(SELECT_STOPS, {THIS_PROCESS.key: self.id})
            self.stops = read_stops(self._stops_text)

    @property
    def row(self) -> dict[str, Any]:
        """The row of this process but for the end of its lease."""
        return {
            'id': self.id,
            'host': self.host,
            'pid': self.pid,
            'boot_and_pidns': self.namespace.name,
            'process_started': self.started,
        }


class Heartbeat:
    """Calls a function at intervals while tasks run, in a thread that outlives the last of them by up to an interval.

    A tick with many tasks then starts one thread, and not one for each task.

    :param beat: the function, which returns whether it has to be called again after the last task; what it raises is
        logged.
    :param seconds: the interval.
    """

    def __init__(self, beat: Callable[[], Any], seconds: float) -> None:
        self._beat = beat
        # a socket does not wait for months
        self._seconds = min(seconds, LONGEST_INTERVAL)
        self._count = 0
        # whether there is something to do after the last task
        self._is_left = False
        self._lock = threading.Lock()
        # open while the thread lives, which waits at its other end: a clock that is set, or replaced, does not lengthen
        # the wait for a socket
        self._socket: socket.socket | None = None

    def begin(self, runs: int = 1) -> None:
        """Beat until there was an :meth:`end` for each run."""
        with self._lock:
            if self._socket is None:
                kept, waiting = socket.socketpair()
                thread = threading.Thread(target=self._run, args=[waiting], name='pyramid_cron heartbeat', daemon=True)
                try:
                    thread.start()
                except RuntimeError:
                    # the system has no thread left
                    kept.close()
                    waiting.close()
                    raise
                self._socket = kept
            self._count += runs

    def end(self, runs: int = 1, after_beat: bool = False) -> None:
        """End the heartbeats of runs.

        :param after_beat: whether the thread ends only after a beat that succeeds and leaves nothing.
        """
        with self._lock:
            self._count -= runs
            self._is_left = self._is_left or after_beat

    @property
    def is_idle(self) -> bool:
        """Whether no run is in progress and nothing is left to do after the last one."""
        return self._count == 0 and not self._is_left

    def _run(self, waiting: socket.socket) -> None:
        with waiting:
            waiting.settimeout(self._seconds)
            while True:
                with suppress(TimeoutError):
                    waiting.recv(1)
                if self._ends():
                    return
                self.beat()

    def _ends(self) -> bool:
        """Return whether the thread ends, and let the next run begin another one."""
        with self._lock:
            if self._socket is None or not self.is_idle:
                return False
            self._socket.close()
            self._socket = None
            return True

    def beat(self) -> None:
        """Call the function."""
        with self._lock:
            was_left, self._is_left = self._is_left, False
        try:
            is_left = bool(self._beat())
        except Exception as exc:
            is_left = was_left
            log.warning('the lease of this process could not be renewed: %s', message(exc))
        with self._lock:
            # a run may have ended meanwhile
            self._is_left = self._is_left or is_left


def request_stop(connection: StoreConnection, task: str, run_id: str, request: StopRequest) -> StopRequest | None:
    """Record in the row of the process that has a run that the run is to end.

    :return: the request that stands, the first one for that run; ``None`` if no process has it any more.
    """
    this = of_run(task, run_id)
    if connection.execute(LOCK, this) == 0:
        return None
    text = connection.scalar(SELECT_STOPS_OF_RUN, this)
    before = read_stops(text).get(run_id)
    if before is None:
        connection.execute(UPDATE_STOPS, this | {'stops': with_stop(text, run_id, request)})
    return before or request


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
    # the first condition for its index: without it the tasks are searched for each process
    claims = connection.in_any_application(tasks).where(NEEDS_ATTENTION, tasks.c.process == processes.c.id)
    keys = connection.scalars(connection.select(processes, processes.c.id).where(expired, ~claims).limit(limit))
    deleted = connection.delete(processes).where(processes.c.id.in_(keys), expired, ~claims)
    return int(connection.execute(deleted))
