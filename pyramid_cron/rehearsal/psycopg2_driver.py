"""Held connections of the driver psycopg2."""

from __future__ import annotations

from typing import Any

import psycopg2.extensions

from pyramid_cron.rehearsal.cursors import HeldCursor, held_class
from pyramid_cron.rehearsal.held import REHEARSAL
from pyramid_cron.rehearsal.postgresql import IDLE, HeldPostgreSQL

PLAIN = psycopg2.extensions.connection


class HeldPsycopg2Cursor(HeldCursor):
    """The methods of psycopg2's cursors that execute statements."""

    def callproc(self, name: str, *args: Any) -> Any:
        return self.pass_on('callproc', f'SELECT {name}', name, *args)

    def copy_expert(self, sql: Any, *args: Any, **options: Any) -> Any:
        return self.pass_on('copy_expert', sql, sql, *args, **options)

    def copy_from(self, file: Any, table: str, *args: Any, **options: Any) -> Any:
        return self.pass_on('copy_from', f'COPY {table} FROM STDIN', file, table, *args, **options)


class HeldPsycopg2(HeldPostgreSQL, psycopg2.extensions.connection):
    """A connection of psycopg2, see :class:`.HeldPostgreSQL`."""

    plain_cursor = psycopg2.extensions.cursor

    def cursor(self, *args: Any, **options: Any) -> Any:
        """Return a cursor that passes its statements on to this connection."""
        factory = options.pop('cursor_factory', None) or self.cursor_factory or psycopg2.extensions.cursor
        return super().cursor(*args, cursor_factory=held_class(factory, HeldPsycopg2Cursor), **options)

    def __enter__(self) -> Any:
        return super().__enter__() if REHEARSAL.findings is None else self

    def _set_real_autocommit(self, value: bool) -> None:
        PLAIN.autocommit.__set__(self, value)

    def set_isolation_level(self, level: Any) -> None:
        """Set the level of coming transactions, where 0 is that each statement is one."""
        if REHEARSAL.findings is None:
            super().set_isolation_level(level)
            return
        self.autocommit = level == psycopg2.extensions.ISOLATION_LEVEL_AUTOCOMMIT
        if level and self.info.transaction_status == IDLE:
            super().set_isolation_level(level)

    def set_session(self, *args: Any, autocommit: Any = None, **options: Any) -> None:
        """Set the kind of coming transactions."""
        if autocommit is not None:
            self.autocommit = autocommit
        if REHEARSAL.findings is None or self.info.transaction_status == IDLE:
            super().set_session(*args, **options)

    def tpc_begin(self, xid: Any) -> None:
        """Begin a transaction of two phases, which no rehearsal could hold back."""
        if REHEARSAL.findings is not None:
            raise REHEARSAL.findings.refuse(f'a transaction of two phases in {self.label}')
        super().tpc_begin(xid)
