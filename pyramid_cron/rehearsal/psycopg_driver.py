"""Held connections of the driver psycopg."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.rows import tuple_row

from pyramid_cron.rehearsal.cursors import HeldCursor, held_class
from pyramid_cron.rehearsal.held import REHEARSAL
from pyramid_cron.rehearsal.postgresql import IDLE, HeldPostgreSQL

# from 3.2 on it has a method for it
SET_AUTOCOMMIT = getattr(psycopg.Connection, 'set_autocommit', None) or psycopg.Connection._set_autocommit


class HeldPsycopgCursor(HeldCursor):
    """The methods of psycopg's cursors that execute statements."""

    def stream(self, query: Any, *args: Any, **options: Any) -> Any:
        stream = self.behind('stream')
        return self.connection.run(self, query, lambda: stream(query, *args, **options), counts=False)

    @contextmanager
    def copy(self, statement: Any, *args: Any, **options: Any) -> Iterator[Any]:
        copy = self.behind('copy')
        with self.connection.run(self, statement, lambda: copy(statement, *args, **options), counts=False) as copying:
            yield copying
        self.connection.count(self, statement)


class HeldPsycopg(HeldPostgreSQL, psycopg.Connection[Any]):
    """A connection of psycopg, see :class:`.HeldPostgreSQL`."""

    @staticmethod
    def plain_cursor(connection: Any) -> Any:
        return psycopg.Cursor(connection, row_factory=tuple_row)

    @property
    def cursor_factory(self) -> Any:
        return held_class(self._cursor_factory, HeldPsycopgCursor)

    @cursor_factory.setter
    def cursor_factory(self, factory: Any) -> None:
        self._cursor_factory = factory

    @property
    def server_cursor_factory(self) -> Any:
        return held_class(self._server_cursor_factory, HeldPsycopgCursor)

    @server_cursor_factory.setter
    def server_cursor_factory(self, factory: Any) -> None:
        self._server_cursor_factory = factory

    def __exit__(self, kind: Any, value: Any, traceback: Any) -> None:
        super().__exit__(kind, value, traceback)
        if REHEARSAL.findings is not None and not getattr(self, '_pool', None):
            # as the driver does
            self.close()

    def _set_real_autocommit(self, value: bool) -> None:
        SET_AUTOCOMMIT(self, value)

    # what the attributes of these names call, in each version
    def _set_isolation_level(self, value: Any) -> None:
        if not self._has_begun():
            super()._set_isolation_level(value)

    def _set_read_only(self, value: Any) -> None:
        if not self._has_begun():
            super()._set_read_only(value)

    def _set_deferrable(self, value: Any) -> None:
        if not self._has_begun():
            super()._set_deferrable(value)

    def _has_begun(self) -> bool:
        """Return whether a transaction is open that the application takes for committed."""
        return REHEARSAL.findings is not None and self.info.transaction_status != IDLE

    @contextmanager
    def transaction(self, *args: Any, **options: Any) -> Iterator[Any]:
        """Begin a savepoint in place of a transaction."""
        findings = REHEARSAL.findings
        if findings is None:
            with super().transaction(*args, **options) as transaction:
                yield transaction
            return
        is_outermost = not self._is_used or (self.autocommit and not self._is_explicit)
        self.begin_held(findings)
        before, self._is_explicit, self._is_used = self._is_explicit, True, True
        try:
            with super().transaction(*args, **options) as transaction:
                yield transaction
        finally:
            self._is_explicit = before
        if is_outermost:
            self.hold_commit(findings)

    def tpc_begin(self, xid: Any) -> None:
        """Begin a transaction of two phases, which no rehearsal could hold back."""
        if REHEARSAL.findings is not None:
            raise REHEARSAL.findings.refuse(f'a transaction of two phases in {self.label}')
        super().tpc_begin(xid)
