"""Savepoints that a held connection puts in place of commits, and the statements that it executes for itself."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pyramid_cron.rehearsal.findings import Findings

# the savepoint that stands for the last commit of a connection: what is rolled back afterwards goes no further
SAVEPOINT = 'pyramid_cron_rehearsal'


class SavepointConnection(ABC):
    """What the held connections of all databases share. A class of the driver stands behind."""

    # _is_saved: the savepoint is there. _is_explicit: the task has begun the transaction itself.
    # _is_used: something was executed since the last commit. _owns: a statement of the rehearsal is executed.
    _is_armed = _is_saved = _is_explicit = _is_used = _owns = False

    @property
    @abstractmethod
    def label(self) -> str:
        """The database, as people know it."""

    @abstractmethod
    def arm(self) -> None:
        """Prepare the connection for a rehearsal, once, and not while a transaction is open."""

    @abstractmethod
    def _execute_own(self, text: str) -> Any:
        """Execute a statement as the driver does."""

    @contextmanager
    def _own(self) -> Iterator[None]:
        """Execute in the ``with`` what the rehearsal does, not the task."""
        owned, self._owns = self._owns, True
        try:
            yield
        finally:
            self._owns = owned

    def _run_own(self, text: str) -> Any:
        with self._own():
            return self._execute_own(text)

    def hold_commit(self, findings: Findings) -> None:
        """Put a savepoint in place of a commit."""
        findings.commit()
        self._begin_anew()
        if self._is_saved:
            self._run_own(f'RELEASE SAVEPOINT {SAVEPOINT}')
        self._run_own(f'SAVEPOINT {SAVEPOINT}')
        self._is_saved = True

    def _begin_anew(self) -> None:
        """Take what is executed from here on for another transaction of the task."""
        self._is_explicit = self._is_used = False

    def _require_armed(self, findings: Findings) -> None:
        self.arm()
        if not self._is_armed:
            raise findings.refuse(f'a transaction in {self.label} that had begun before the rehearsal')
