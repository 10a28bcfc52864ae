"""This process in the store, with its heartbeats. A process that is forked from it is another one."""

from __future__ import annotations

import os
from collections.abc import Callable

from pyramid_cron.stopping import StopRequest
from pyramid_cron.store.leases import Heartbeat, Process


class OwnProcess:
    """This process, as long as no other one is forked from it.

    :param lease: how long its lease is, in seconds.
    :param beat: what its heartbeats do, see :class:`.Heartbeat`.
    """

    def __init__(self, lease: float, beat: Callable[[], object]) -> None:
        self._lease = lease
        self._beat = beat
        self._begin()

    def _begin(self) -> None:
        self._process = Process(self._lease)
        self._heartbeat = Heartbeat(self._beat, self._lease / 3)

    @property
    def process(self) -> Process:
        """The process as the store knows it."""
        self._leave_parent()
        return self._process

    @property
    def heartbeat(self) -> Heartbeat:
        """The heartbeats while it has claimed runs."""
        self._leave_parent()
        return self._heartbeat

    def stop_request(self, run_id: str) -> StopRequest | None:
        """Return the request that a run of it ends, as the last heartbeat has found it.

        In a child that a task has forked, as its parent has.
        """
        return self._process.stops.get(run_id)

    def _leave_parent(self) -> None:
        if self._process.pid != os.getpid():
            self._begin()
