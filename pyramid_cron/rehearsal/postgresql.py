"""Connections of PostgreSQL that hold their commits back, by the server itself.

Each transaction begins with a temporary table, and its deferred trigger raises an error at a ``COMMIT`` of any form.
Transactions that were not begun here can only read. For the task a commit becomes a savepoint.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyramid_cron.printable import log_error
from pyramid_cron.rehearsal.findings import Findings, Write
from pyramid_cron.rehearsal.held import REHEARSAL
from pyramid_cron.rehearsal.savepoints import SAVEPOINT, SavepointConnection
from pyramid_cron.rehearsal.statements import hides_control, is_begin, is_commit, is_rollback, target

log = logging.getLogger(__name__)

# of libpq, as psycopg and psycopg2 report them
IDLE, IN_TRANSACTION, IN_ERROR = 0, 2, 3

# for each connection, outside of a transaction: nothing is written in one that was not begun here, and a lock that
# another connection of the rehearsal holds is not waited for without an end
ARM = (
    'SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY',
    "SELECT set_config('lock_timeout', '10s', false) WHERE current_setting('lock_timeout') = '0'",
)
DISARM = ('RESET default_transaction_read_only', 'RESET lock_timeout')
# for each transaction
BEGIN = f"""
SET TRANSACTION READ WRITE;
CREATE TEMPORARY TABLE {SAVEPOINT} (id integer);
CREATE FUNCTION pg_temp.{SAVEPOINT}() RETURNS trigger LANGUAGE plpgsql AS $function$
BEGIN
    IF current_setting('pyramid_cron.checks', true) = 'on' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'pyramid_cron rehearses this task, and holds back its commits';
END
$function$;
CREATE CONSTRAINT TRIGGER {SAVEPOINT} AFTER INSERT ON pg_temp.{SAVEPOINT} DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE PROCEDURE pg_temp.{SAVEPOINT}();
INSERT INTO pg_temp.{SAVEPOINT} VALUES (1);
"""
# what a commit would check, as the last of a transaction: the trigger does not fire once more
CHECK = "SET LOCAL pyramid_cron.checks = 'on'; SET CONSTRAINTS ALL IMMEDIATE"


if TYPE_CHECKING:

    class DriverConnection:
        """The methods that the connections of psycopg and psycopg2 have in common."""

        autocommit: bool

        def __init__(self, *args: Any, **options: Any) -> None: ...
        def __exit__(self, kind: Any, value: Any, traceback: Any) -> Any: ...
        def commit(self) -> None: ...
        def rollback(self) -> None: ...
else:
    DriverConnection = object


class HeldPostgreSQL(SavepointConnection, DriverConnection):
    """The methods of a connection, for the classes of psycopg and psycopg2, which stand behind this one.

    A connection is as any other while no rehearsal is going on.
    """

    # that the application has set, while the real one is off
    _shown_autocommit: bool | None = None
    #: a class of cursors of the driver
    plain_cursor: Any
    info: Any
    closed: Any

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        # the transactions that were begun here
        self._transactions: list[int] = []
        REHEARSAL.add(self)

    def commit(self) -> None:
        """Hold back a commit: what is rolled back after it goes as far as here."""
        findings = REHEARSAL.findings
        if findings is None or self._owns:
            super().commit()
        elif self.info.transaction_status == IN_ERROR:
            # as the server does
            self.rollback()
        elif self.info.transaction_status == IN_TRANSACTION and self._is_used:
            self.hold_commit(findings)

    def rollback(self) -> None:
        """Roll back as far as the last commit that was held back."""
        if REHEARSAL.findings is None or self._owns:
            super().rollback()
            return
        self._begin_anew()
        if self._is_saved and self.info.transaction_status != IDLE:
            try:
                self._run_own(f'ROLLBACK TO SAVEPOINT {SAVEPOINT}')
                return
            except Exception as exc:
                # the transaction was ended by other means than this connection's
                log_error(log, exc, 'a savepoint of the rehearsal is gone')
        super().rollback()
        self._is_saved = False

    def __exit__(self, kind: Any, value: Any, traceback: Any) -> Any:
        if REHEARSAL.findings is None:
            return super().__exit__(kind, value, traceback)
        if kind is None:
            self.commit()
        else:
            self.rollback()
        return None

    @property
    def autocommit(self) -> bool:
        """Whether the application has set that each statement is a transaction."""
        real = super().autocommit
        return real if self._shown_autocommit is None or self._owns else self._shown_autocommit

    @autocommit.setter
    def autocommit(self, value: bool) -> None:
        self.set_autocommit(value)

    def set_autocommit(self, value: bool) -> None:
        """Set whether each statement is a transaction. The real mode is off while a rehearsal is going on."""
        findings = REHEARSAL.findings
        if findings is None or self._owns:
            self._set_real_autocommit(value)
        else:
            self._require_armed(findings)
            self._shown_autocommit = bool(value)

    def _set_real_autocommit(self, value: bool) -> None:
        """Set the mode of the driver."""

    def run(self, cursor: Any, query: Any, execute: Callable[[], Any], counts: bool = True) -> Any:
        """Execute a statement unless it begins or ends a transaction.

        :param execute: executes it.
        :param counts: whether the cursor has the number of rows after that.
        """
        findings = REHEARSAL.findings
        if findings is None or self._owns:
            return execute()
        text = self._text(query)
        findings.statement()
        if hides_control(text):
            raise findings.refuse('a text of several statements of which one begins or ends a transaction')
        if is_commit(text):
            self.commit()
            return cursor
        if is_rollback(text):
            self.rollback()
            return cursor
        self.begin_held(findings)
        if is_begin(text):
            self._is_explicit = True
            return cursor
        commits = self.autocommit and not self._is_explicit
        self._is_used = True
        try:
            result = execute()
        except Exception:
            if commits:
                # only this statement is undone
                self.rollback()
            raise
        if counts:
            self.count(cursor, text)
        if commits and self.info.transaction_status == IN_TRANSACTION:
            self.hold_commit(findings)
        return result

    def count(self, cursor: Any, query: Any) -> None:
        """Count the rows that a statement has written."""
        found, findings = target(self._text(query)), REHEARSAL.findings
        if found is not None and findings is not None:
            findings.write(Write(self.label, found.table, found.kind), cursor.rowcount)

    @property
    def label(self) -> str:
        """The database, as people know it."""
        return str(self.info.dbname)

    def begin_held(self, findings: Findings) -> None:
        """Begin a transaction that cannot be committed, if none is open."""
        self._require_armed(findings)
        if self.info.transaction_status == IDLE:
            self._is_saved = False
            # the driver may take a transaction for open that was ended around it
            super().rollback()
            self._run_own(BEGIN)
            self._transactions += [row[0] for row in self._run_own('SELECT txid_current()').fetchall()]

    def arm(self) -> None:
        """Prepare the connection for a rehearsal, once, and not while a transaction is open."""
        if self._is_armed or self.closed or self.info.transaction_status != IDLE:
            return
        shown = self.autocommit
        with self._own():
            self._set_real_autocommit(True)
            for statement in ARM:
                self._run_own(statement)
            self._set_real_autocommit(False)
        self._shown_autocommit, self._is_armed = shown, True

    def _disarm(self) -> None:
        """Leave the connection as the application has set it."""
        self._set_real_autocommit(True)
        for statement in DISARM:
            self._run_own(statement)
        self._set_real_autocommit(bool(self._shown_autocommit))
        self._shown_autocommit, self._is_armed = None, False
        self._transactions.clear()

    def _execute_own(self, text: str) -> Any:
        cursor = self.plain_cursor(self)
        cursor.execute(text)
        return cursor

    def _text(self, query: Any) -> str:
        if isinstance(query, bytes):
            return query.decode(errors='replace')
        return query if isinstance(query, str) else str(query.as_string(self))

    def check(self, findings: Findings) -> None:
        """Check what a commit would check, and report why it would fail."""
        if self._is_armed and not self.closed and self.info.transaction_status == IN_TRANSACTION:
            try:
                self._run_own(CHECK)
            except Exception as exc:
                findings.violate(str(exc))

    def drop(self, findings: Findings) -> None:
        if self.closed or not self._is_armed:
            return
        with self._own():
            super().rollback()
            self._is_saved = False
            self._begin_anew()
            for transaction in self._transactions:
                [(status,)] = self._run_own(f'SELECT txid_status({transaction})').fetchall()
                if status == 'committed':
                    findings.escape(f'a transaction in {self.label} was committed')
            super().rollback()
            self._disarm()
