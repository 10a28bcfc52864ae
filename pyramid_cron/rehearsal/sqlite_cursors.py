"""Cursors of SQLite that pass their statements on to a held connection, those of a script one by one."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any

from pyramid_cron.rehearsal.cursors import HeldCursor, held_class
from pyramid_cron.rehearsal.held import REHEARSAL
from pyramid_cron.rehearsal.statements import keyword


class HeldSQLiteCursor(HeldCursor):
    """The methods of SQLite's cursors that execute statements."""

    def executescript(self, script: str) -> Any:
        if REHEARSAL.findings is None:
            return self.behind('executescript')(script)
        # it commits before it begins
        self.connection.commit()
        for statement in _split(script):
            self.execute(statement)
        if not self.connection.is_explicit:
            # and outside of a transaction each of its statements is one
            self.connection.commit()
        return self


def held_cursor(factory: Any) -> Any:
    """Return what makes cursors, as the method ``cursor()`` of a connection takes it.

    :param factory: a class of cursors, or a function that makes one of a connection.
    """
    if isinstance(factory, type):
        return held_class(factory, HeldSQLiteCursor)
    return lambda connection: _as_held(factory(connection))


def _as_held(cursor: Any) -> Any:
    if isinstance(cursor, HeldSQLiteCursor):
        return cursor
    kind: Any = type(cursor)
    return held_class(kind, HeldSQLiteCursor)(cursor.connection)


def _split(script: str) -> Iterator[str]:
    """Yield the statements of a script."""
    begin = 0
    for end in (index + 1 for index, character in enumerate(script) if character == ';'):
        if sqlite3.complete_statement(script[begin:end]):
            yield script[begin:end]
            begin = end
    if keyword(script[begin:]):
        yield script[begin:]
