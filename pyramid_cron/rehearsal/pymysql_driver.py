"""Held connections of MariaDB and MySQL, by the driver PyMySQL.

The server has nothing that refuses a commit, and many statements commit by themselves. So each command of the driver,
whatever calls it, goes through here: what ends a transaction becomes a savepoint, and only statements that are known to
commit nothing are sent.
"""

from __future__ import annotations

import re
from typing import Any

import pymysql.connections
from pymysql.constants import CLIENT, COMMAND, SERVER_STATUS

from pyramid_cron.rehearsal.findings import Findings, Write
from pyramid_cron.rehearsal.held import REHEARSAL
from pyramid_cron.rehearsal.savepoints import SAVEPOINT, SavepointConnection
from pyramid_cron.rehearsal.statements import is_begin, is_commit, is_rollback, keyword, rest, target

# statements that commit nothing
ALLOWED = (
    'DELETE',
    'DESC',
    'DESCRIBE',
    'DO',
    'EXPLAIN',
    'INSERT',
    'LOAD',
    'RELEASE',
    'REPLACE',
    'ROLLBACK',
    'SAVEPOINT',
    'SELECT',
    'SET',
    'SHOW',
    'UPDATE',
    'USE',
    'VALUES',
    'WITH',
)
CHANGES = ('DELETE', 'INSERT', 'LOAD', 'REPLACE', 'UPDATE', 'WITH')
# these commit nothing either
OF_TEMPORARY_TABLE = re.compile(r'(?:CREATE(?:\s+OR\s+REPLACE)?|DROP)\s+TEMPORARY\s', re.IGNORECASE)
AUTOCOMMIT = re.compile(r'SET\s+(?:SESSION\s+|@@(?:SESSION\.)?)?AUTOCOMMIT\s*:?=\s*(\w+)\s*;?\s*', re.IGNORECASE)
# what may run another statement, or be one that commits
OTHER_SET = re.compile(r'SET\b.*\b(?:AUTOCOMMIT|STATEMENT)\b', re.IGNORECASE | re.DOTALL)
HOLD, NOTHING = f'SAVEPOINT {SAVEPOINT}', 'DO 0'
ARM = (
    'SET SESSION autocommit = 0',
    'SET @pyramid_cron_wait = @@innodb_lock_wait_timeout',
    'SET SESSION innodb_lock_wait_timeout = LEAST(@@innodb_lock_wait_timeout, 10)',
)
DISARM = 'SET SESSION innodb_lock_wait_timeout = @pyramid_cron_wait'
# the warning of a rollback that a table does not support
NOT_ROLLED_BACK = 1196


class HeldPyMySQL(SavepointConnection, pymysql.connections.Connection):
    """A connection of PyMySQL. It is as any other while no rehearsal is going on."""

    # that the application has set, while the real one is off
    _shown_autocommit = False

    def __init__(self, *args: Any, **options: Any) -> None:
        # several statements in one text
        options['client_flag'] = options.get('client_flag', 0) & ~CLIENT.MULTI_STATEMENTS
        super().__init__(*args, **options)
        REHEARSAL.add(self)

    def connect(self, sock: Any = None) -> None:
        """Connect to the server."""
        self._is_armed = self._is_saved = False
        super().connect(sock)
        if REHEARSAL.findings is not None:
            self.arm()

    def get_autocommit(self) -> bool:
        """Return whether the application has set that each statement is a transaction."""
        return self._shown_autocommit if self._is_armed else bool(super().get_autocommit())

    def query(self, sql: Any, unbuffered: bool = False) -> Any:
        """Execute a statement."""
        findings = REHEARSAL.findings
        if findings is None or self._owns:
            return super().query(sql, unbuffered)
        text = _text(sql)
        findings.statement()
        rows = super().query(sql, unbuffered)
        found = target(text)
        if found is not None:
            findings.write(Write(self.label, found.table, found.kind), rows)
        if self._shown_autocommit and not self._is_explicit and keyword(text) in CHANGES:
            self._count_commit(findings)
            self._run_own(HOLD)
        return rows

    def _execute_command(self, command: int, sql: Any) -> Any:
        """Send a command, in place of one that would end the transaction another one."""
        findings = REHEARSAL.findings
        if findings is not None and not self._owns:
            if self.open:
                self._require_armed(findings)
            if command == COMMAND.COM_QUERY:
                sql = self._held(findings, _text(sql), sql)
        return super()._execute_command(command, sql)

    def _held(self, findings: Findings, text: str, sql: Any) -> Any:
        """Return what is sent in place of a statement."""
        autocommit = AUTOCOMMIT.fullmatch(rest(text))
        if autocommit is not None:
            self._shown_autocommit = autocommit[1].upper() in ('1', 'ON', 'TRUE')
            # what is open is committed then
            return self._count_commit(findings) if self._shown_autocommit and self._is_used else NOTHING
        if is_commit(text):
            return self._count_commit(findings) if self._is_used else NOTHING
        if is_rollback(text):
            self._begin_anew()
            return f'ROLLBACK TO SAVEPOINT {SAVEPOINT}' if self._is_saved else 'ROLLBACK'
        if is_begin(text):
            sent = self._count_commit(findings) if self._is_used else NOTHING
            self._is_explicit = True
            return sent
        is_allowed = keyword(text) in ALLOWED and not OTHER_SET.match(rest(text))
        if not is_allowed and not OF_TEMPORARY_TABLE.match(rest(text)):
            raise findings.refuse(f'{keyword(text) or "a statement"} in {self.label}, which may commit by itself')
        self._is_used = self._is_used or keyword(text) in CHANGES
        return sql

    def _count_commit(self, findings: Findings) -> str:
        """Count a commit that is held back, and return the statement in place of it."""
        findings.commit()
        self._begin_anew()
        self._is_saved = True
        return HOLD

    def _has_begun(self) -> bool:
        return bool(self.server_status & SERVER_STATUS.SERVER_STATUS_IN_TRANS)

    @property
    def label(self) -> str:
        """The database, as people know it."""
        return _text(self.db or b'') or 'MariaDB'

    def arm(self) -> None:
        """Prepare the connection for a rehearsal, once, and not while a transaction is open."""
        if self._is_armed or not self.open or self._has_begun():
            return
        shown = bool(super().get_autocommit())
        for statement in ARM:
            self._run_own(statement)
        self._shown_autocommit, self._is_armed = shown, True

    def _execute_own(self, text: str) -> None:
        self.query(text)

    def check(self, findings: Findings) -> None:
        """Do nothing: constraints are checked with each statement."""

    def drop(self, findings: Findings) -> None:
        if not self._is_armed or not self.open:
            return
        with self._own():
            self.rollback()
            self._is_saved = False
            self._begin_anew()
            if any(code == NOT_ROLLED_BACK for _, code, _ in self.show_warnings()):
                findings.escape(f'tables of {self.label} that support no transactions were changed')
            self._is_armed = False
            self._run_own(DISARM)
            self.autocommit(self._shown_autocommit)


def _text(sql: Any) -> str:
    return sql.decode(errors='replace') if isinstance(sql, (bytes, bytearray)) else str(sql)
