"""The findings of a rehearsal: writes of the task, effects that were held back, and effects that were not."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from pyramid_cron.errors import CronError


class NotHeldBack(CronError, RuntimeError):
    """A statement or a call that a rehearsal refuses, because it could not be rolled back."""


class Write(NamedTuple):
    """What statements do to one table.

    :param database: the database, as people know it.
    :param table: the table, as the statements name it.
    :param kind: ``'insert'``, ``'update'``, ``'delete'``, or the keyword of a change of the schema.
    """

    database: str
    table: str
    kind: str


class Findings:
    """What one rehearsal finds. Each thread and each connection adds to it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        #: rows by what is written
        self.rows: Counter[Write] = Counter()
        #: the number of statements
        self.statements = 0
        #: how often the task has committed by itself, and was held back
        self.commits = 0
        #: what was refused, and what could not be held back, in the order in which it happened
        self.refused: list[str] = []
        self.escaped: list[str] = []
        #: why a commit would fail
        self.violations: list[str] = []
        #: mails, each a line for people
        self.mails: list[str] = []
        self._is_in_task = False

    def write(self, write: Write, rows: int) -> None:
        """Count rows that a statement writes."""
        with self._lock:
            self.rows[write] += max(rows, 0)

    def statement(self) -> None:
        """Count a statement."""
        with self._lock:
            self.statements += 1

    def commit(self) -> None:
        """Count a commit that is held back, if it is one of the task itself."""
        with self._lock:
            self.commits += self._is_in_task

    def refuse(self, what: str) -> NotHeldBack:
        """Record what is refused, and return the error to raise."""
        self._add(self.refused, what)
        return NotHeldBack(f'{what}: the rehearsal could not roll that back, and refuses it')

    def escape(self, what: str) -> None:
        """Record what could not be held back."""
        self._add(self.escaped, what)

    def violate(self, why: str) -> None:
        """Record why a commit would fail."""
        self._add(self.violations, ' '.join(why.split()))

    def mail(self, what: str) -> None:
        """Record a mail."""
        with self._lock:
            self.mails.append(what)

    @contextmanager
    def in_task(self) -> Iterator[None]:
        """Count the commits in the ``with`` as those of the task itself."""
        self._is_in_task = True
        try:
            yield
        finally:
            self._is_in_task = False

    def _add(self, found: list[str], what: str) -> None:
        with self._lock:
            if what not in found:
                found.append(what)
