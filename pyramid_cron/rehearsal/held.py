"""The rehearsal that is going on in this process, and the connections that it holds back."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Protocol

from pyramid_cron.rehearsal.findings import Findings


class HeldConnection(Protocol):
    """A connection that holds its commits back while a rehearsal is going on."""

    def arm(self) -> None:
        """Prepare the connection, at the beginning of a rehearsal or when it is opened in one."""

    def check(self, findings: Findings) -> None:
        """Check what a commit would check, and report why it would fail. Nothing is executed after that."""

    def drop(self, findings: Findings) -> None:
        """Roll back all that was done. Reports what was committed all the same."""


class Rehearsal:
    """The state of this process: one for all connections."""

    def __init__(self) -> None:
        self.findings: Findings | None = None
        #: the drivers of connections that were opened, and that cannot be held back
        self.not_held: set[str] = set()
        self._connections: weakref.WeakSet[HeldConnection] = weakref.WeakSet()

    def add(self, connection: HeldConnection) -> None:
        """Add a connection that a driver opens."""
        self._connections.add(connection)

    @contextmanager
    def going_on(self, findings: Findings, ends: Callable[[], bool] = lambda: True) -> Iterator[None]:
        """Hold back what is committed, check what a commit would check after the ``with``, and roll it back.

        :param ends: returns whether commits are commits again after that.
        """
        self.findings = findings
        try:
            for connection in list(self._connections):
                with suppress(Exception):
                    # one that the server has ended meanwhile
                    connection.arm()
            yield
            for connection in list(self._connections):
                connection.check(findings)
        finally:
            self.drop()
            if ends():
                self.findings = None

    def drop(self) -> None:
        """Roll back what all connections have done."""
        if self.findings is None:
            return
        for connection in list(self._connections):
            with suppress(Exception):
                # without its connection it is rolled back all the same
                connection.drop(self.findings)


REHEARSAL = Rehearsal()
