"""Connections of SQLite that hold their commits back, by the authorizer that SQLite calls for each statement.

SQLite itself refuses each ``COMMIT``, in whatever form it comes, and each change outside of a transaction that was
begun here. For the task a commit becomes a savepoint.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from pyramid_cron.rehearsal.cursors import held_class
from pyramid_cron.rehearsal.findings import Findings, Write
from pyramid_cron.rehearsal.held import REHEARSAL
from pyramid_cron.rehearsal.savepoints import SAVEPOINT, SavepointConnection
from pyramid_cron.rehearsal.sqlite_cursors import held_cursor
from pyramid_cron.rehearsal.statements import is_begin, is_commit, is_rollback, keyword, target

# of sqlite3.h; the module has names for some of them only from Python 3.11 on
PRAGMA, TRANSACTION, SAVEPOINT_ACTION = 19, 22, 32
# that change something: those of the schema, and rows
CHANGES = {*range(1, 19), 23, 26, 27, 28, 29, 30}
# what begins no transaction here
READS = ('SELECT', 'PRAGMA', 'EXPLAIN', 'VALUES', 'ATTACH', 'DETACH')
# pragmas that change a file, and that no transaction rolls back
OF_FILE = ('journal_mode', 'auto_vacuum', 'page_size', 'incremental_vacuum')
# pragmas that are rolled back
OF_TRANSACTION = ('user_version', 'application_id', 'schema_version')

Authorizer = Callable[[int, Any, Any, Any, Any], int]


class HeldSQLite(SavepointConnection, sqlite3.Connection):
    """A connection of SQLite. It is as any other while no rehearsal is going on."""

    def __init__(self, database: Any, *args: Any, **options: Any) -> None:
        # or else a statement that was prepared before would be executed without a call of the authorizer
        options['cached_statements'] = 0
        self._database = database if isinstance(database, str) else str(database)
        self._level: str | None = options.get('isolation_level', '')
        self._authorizer: Authorizer | None = None
        # what the last statement writes, and the changes before it
        self._pending: Write | None = None
        self._changes = 0
        super().__init__(database, *args, **options)
        super().set_authorizer(self._authorize)
        REHEARSAL.add(self)

    def set_authorizer(self, authorizer_callback: Authorizer | None) -> None:
        """Set an authorizer of the application, which is called beside that of the rehearsal."""
        self._authorizer = authorizer_callback

    def _authorize(self, action: int, first: Any, second: Any, database: Any, source: Any) -> int:
        if REHEARSAL.findings is not None and not self._owns:
            if action == TRANSACTION:
                return sqlite3.SQLITE_DENY
            if action in CHANGES and not self.in_transaction and database != 'temp':
                return sqlite3.SQLITE_DENY
            if action == SAVEPOINT_ACTION and not self.in_transaction:
                return sqlite3.SQLITE_DENY
            if action == PRAGMA and second is not None:
                name = str(first).lower()
                if name in OF_FILE:
                    return sqlite3.SQLITE_IGNORE
                if name in OF_TRANSACTION and not self.in_transaction:
                    return sqlite3.SQLITE_DENY
        if self._authorizer is None:
            return sqlite3.SQLITE_OK
        return self._authorizer(action, first, second, database, source)

    def _execute_own(self, text: str) -> None:
        sqlite3.Cursor(self).execute(text)

    def cursor(self, factory: Any = None) -> Any:
        """Return a cursor that passes its statements on to this connection."""
        return super().cursor(held_cursor(factory or sqlite3.Cursor))

    def execute(self, *args: Any) -> Any:
        return self.cursor().execute(*args)

    def executemany(self, *args: Any) -> Any:
        return self.cursor().executemany(*args)

    def executescript(self, script: str) -> Any:
        return self.cursor().executescript(script)

    def commit(self) -> None:
        """Hold back a commit: what is rolled back after it goes as far as here."""
        findings = REHEARSAL.findings
        if findings is None:
            super().commit()
        elif self.in_transaction and self._is_used:
            self.hold_commit(findings)

    def rollback(self) -> None:
        """Roll back as far as the last commit that was held back."""
        if REHEARSAL.findings is None:
            super().rollback()
            return
        self._settle(REHEARSAL.findings)
        self._begin_anew()
        if self._is_saved:
            self._run_own(f'ROLLBACK TO {SAVEPOINT}')
        else:
            with self._own():
                super().rollback()

    def __exit__(self, kind: Any, value: Any, traceback: Any) -> Any:
        if kind is None:
            self.commit()
        else:
            self.rollback()
        return False

    @property
    def isolation_level(self) -> Any:
        """The level that the application has set. The real one stays while a rehearsal is going on."""
        return self._level

    @isolation_level.setter
    def isolation_level(self, level: str | None) -> None:
        if REHEARSAL.findings is None:
            vars(sqlite3.Connection)['isolation_level'].__set__(self, level)
        elif level is None:
            # as the driver does
            self.commit()
        self._level = level

    def backup(self, target: Any, **options: Any) -> None:
        """Copy the database, unless a rehearsal holds back the changes of the copy."""
        if REHEARSAL.findings is not None and isinstance(target, HeldSQLite):
            raise REHEARSAL.findings.refuse(f'a backup of SQLite into {target._database}')
        super().backup(target, **options)

    def blobopen(self, *args: Any, **options: Any) -> Any:
        """Open a blob, which is changed in a transaction that was begun here."""
        if REHEARSAL.findings is not None:
            self._begin()
            self._is_used = True
        return super().blobopen(*args, **options)

    @property
    def is_explicit(self) -> bool:
        """Whether the task has begun the transaction itself."""
        return self._is_explicit

    def run(self, cursor: Any, text: str, execute: Callable[[], Any]) -> Any:
        """Execute a statement unless it begins or ends a transaction.

        :param cursor: what is returned if it does.
        :param execute: executes it.
        """
        findings = REHEARSAL.findings
        if findings is None:
            return execute()
        findings.statement()
        self._settle(findings)
        if is_begin(text):
            self._begin()
            self._is_explicit = True
            return cursor
        if is_commit(text):
            self.commit()
            return cursor
        if is_rollback(text):
            self.rollback()
            return cursor
        if keyword(text) not in READS or _changes_version(text):
            self._begin()
            self._is_used = True
        found = target(text)
        if found is not None:
            self._pending, self._changes = Write(self.label, found.table, found.kind), self.total_changes
        result = execute()
        if self._level is None and not self._is_explicit and self.in_transaction and keyword(text) not in READS:
            # in autocommit mode each statement is a transaction
            self.hold_commit(findings)
        return result

    @property
    def label(self) -> str:
        """The database, as people know it."""
        return self._database

    def _begin(self) -> None:
        if not self.in_transaction:
            self._run_own('BEGIN')

    def _settle(self, findings: Findings) -> None:
        """Count the rows of the last statement, which may have ended only when its rows were read."""
        if self._pending is not None:
            findings.write(self._pending, self.total_changes - self._changes)
            self._pending = None

    def arm(self) -> None:
        """Do nothing: the authorizer was there before."""

    def check(self, findings: Findings) -> None:
        """Do nothing: SQLite checks deferred foreign keys only at a commit."""

    def drop(self, findings: Findings) -> None:
        self._settle(findings)
        with self._own():
            super().rollback()
        self._is_saved = False
        self._begin_anew()


def _changes_version(text: str) -> bool:
    return any(name in text.lower() for name in OF_TRANSACTION) and '=' in text


# of the function connect(), behind the database
PARAMETERS = (
    'timeout',
    'detect_types',
    'isolation_level',
    'check_same_thread',
    'factory',
    'cached_statements',
    'uri',
)


def connect(original: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function ``sqlite3.connect`` with connections that can hold their commits back.

    :param original: the function of the module.
    """

    def connect(database: Any, *args: Any, **options: Any) -> Any:
        options |= dict(zip(PARAMETERS, args, strict=False))
        options['factory'] = _held_connection(options.get('factory', sqlite3.Connection))
        # it is closed by the thread of the rehearsal, whichever has opened it
        options['check_same_thread'] = False
        return original(database, **options)

    return connect


def _held_connection(factory: Any) -> Any:
    if factory is sqlite3.Connection:
        return HeldSQLite
    if not isinstance(factory, type):
        raise TypeError(f'a rehearsal cannot hold back the commits of {factory!r}, which is no class of connections')
    return held_class(factory, HeldSQLite)
