"""The end of one run: its values, and how they are written in less and less detail if the database refuses them."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import NamedTuple

from pyramid_cron.errors import Unavailable
from pyramid_cron.outcomes import RUNNING
from pyramid_cron.printable import class_name, encodable, first_line
from pyramid_cron.reports import TaskReport
from pyramid_cron.run_log import end_of
from pyramid_cron.scrub import Scrubbed, Scrubber
from pyramid_cron.settings import LONGEST_LOG
from pyramid_cron.store.circuit_breaker import CircuitOpen, NotAnswering
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.database import Database
from pyramid_cron.store.errors import Locked, Refused, one_line
from pyramid_cron.store.history import History

log = logging.getLogger(__name__)

# of a traceback, its end
MOST_CHARACTERS = 8000


class RunEnd(NamedTuple):
    """The values of the end of a run.

    :param outcome: that of a :class:`.TaskReport`.
    :param seconds: how long it took.
    :param reason: why it did not run, or not to its end: of an exception that it raised, the first line of the message,
        once it is scrubbed.
    :param error: the class of the exception that it raised.
    :param traceback: the traceback, of which the end is kept.
    :param joined: how far its effect is one commit with this record, a word of :mod:`.joining`; ``None`` if not known.
    :param note: the note of its task as it may be kept; ``None`` leaves that of the row as it is, as ``log`` does.
    :param log: what its task logged, likewise.
    """

    outcome: str
    seconds: float = 0.0
    reason: str | None = None
    error: str | None = None
    traceback: str | None = None
    joined: str | None = None
    note: str | None = None
    log: str | None = None

    @classmethod
    def of(cls, report: TaskReport) -> RunEnd:
        """Return the values of a report."""
        exc = report.exception
        shown = None if exc is None else _traceback(exc)
        reason = report.reason if exc is None or report.reason is not None else _message(exc)
        return cls(report.outcome, report.seconds, reason, report.error, shown)

    def scrubbed(self, scrub: Scrubber) -> RunEnd:
        """Return the values as they may be kept, of a traceback the end."""
        reason, shown = (text and scrub(text) for text in (self.reason, self.traceback))
        # cut afterwards, because what is to be taken out may stand at the cut
        if reason is not None and self.error is not None:
            line = first_line(reason)
            reason = line and Scrubbed(line)
        return self._replace(reason=reason, traceback=shown and Scrubbed(shown[-MOST_CHARACTERS:]))

    def smaller(self) -> RunEnd | None:
        """Return the values in less detail, ``None`` if there is none.

        That is: without traceback, in ASCII, without log, without texts.
        """
        if self.traceback is not None:
            return self._replace(traceback=None)
        in_ascii = self.in_ascii()
        if in_ascii != self:
            return in_ascii
        if self.log is not None:
            return self._replace(log=None)
        without = self._replace(reason=None, error=None, note=None)
        return None if without == self else without

    def in_ascii(self) -> RunEnd:
        """Return the values with escapes in place of the characters that not every database takes."""
        # of the same type, because a text that is scrubbed stays so
        reason, error, note, log = (
            text and type(text)(encodable(text, 'ascii')) for text in (self.reason, self.error, self.note, self.log)
        )
        if log is not None:
            log = Scrubbed(end_of(log, LONGEST_LOG))
        return self._replace(reason=reason, error=error, note=note, log=log)


def _message(exc: BaseException) -> str | None:
    try:
        return str(exc)
    except Exception:
        return None


def _traceback(exc: BaseException) -> str:
    try:
        return ''.join(traceback.format_exception(exc))
    except Exception:
        # formatting calls methods of the exception, and what they raise passes through
        return f'{class_name(exc)}, which cannot be shown'


# releases the row of the task with the values of an end, and returns whether the row still held the fencing token. It
# takes whether to wait for another transaction that has locked the row
Release = Callable[[StoreConnection, RunEnd, bool], bool]


class Ending:
    """The end of a run until all of it is written: the release of the row of its task, and its row in the history.

    Both are one transaction. If the database refuses that in the least detail as well, or if another transaction holds
    the row in the history, they are two, so that the history does not hold the task.

    :param task: the name of the task.
    :param run_id: the fencing token of the run.
    :param end: the values of the end.
    :param release: releases the row of the task.
    :param has_history: whether its row in the history is written.
    :param write_at_once: writes all of it in one statement, and returns whether it could; ``None`` where there is none.
    :param afterwards: writes what else there is together with its row in the history; ``None`` if there is nothing.
    """

    def __init__(
        self,
        task: str,
        run_id: str,
        end: RunEnd,
        release: Release,
        has_history: bool = True,
        write_at_once: Callable[[StoreConnection, RunEnd], bool] | None = None,
        afterwards: Callable[[StoreConnection], None] | None = None,
    ) -> None:
        self.task = task
        self.run_id = run_id
        self.end = end
        self._release = release
        self._has_history = has_history
        self._write_at_once = write_at_once
        self._afterwards = afterwards
        self._waits = True
        self._is_one_transaction = True
        self._has_come_to_history = False
        #: whether the row of the task is released, or held by another run
        self.is_released = False
        #: whether nothing is left to write
        self.is_done = False
        #: whether the row of the task did not hold the fencing token, and then the outcome in the history
        self.is_fenced = False
        self.recorded: str | None = None

    def write(self, database: Database) -> None:
        """Write what is left, in the detail that the database takes.

        The history of a run is left for the next call if another transaction had to be waited for.

        :raises Unavailable: if the database does not take it now.
        """
        # before it is written in less detail: what is to be taken out is not found in a text with escapes
        self.end = self.end.scrubbed(database.scrub)
        waited = False
        refused: Refused | None = None
        while not self.is_done and not (waited and self.is_released):
            try:
                written = self._try_at_once(database)
                if not written:
                    with database.begin() as connection:
                        written = self._write(connection)
            except Refused as exc:
                refused = exc
                self._reduce(exc)
            except Unavailable as exc:
                self._waits = False
                waited = isinstance(exc, (Locked, NotAnswering)) and not isinstance(exc, CircuitOpen)
                # if the row of the task is what is locked, the history may be free: two transactions would leave it
                # without an end where the process is killed between them
                if not (waited and self._is_one_transaction and self._has_come_to_history):
                    raise
                # the release alone is worth another wait, unless the database does not answer at all
                database.breaker.close_if_locked()
                self._is_one_transaction = False
            else:
                # known only now that it is committed
                self.is_released, self.is_done = True, written
        if refused is not None:
            log.warning(
                'the end of task %s is recorded in less detail: %s', self.task, one_line(refused.__cause__ or refused)
            )

    def _try_at_once(self, database: Database) -> bool:
        """Write all of it in one statement where there is one, and return whether it is written."""
        if self._write_at_once is None or self.is_released or not self._is_one_transaction:
            return False
        self._has_come_to_history = True
        with database.autocommit() as connection:
            return self._write_at_once(connection, self.end)

    def _write(self, connection: StoreConnection) -> bool:
        """Write a part of it, and return whether nothing is left."""
        self._has_come_to_history = False
        if not self.is_released and not self._release(connection, self.end, self._waits):
            self.recorded = History(connection).outcome_of(self.run_id)
            if self._is_one_transaction or self.recorded != RUNNING:
                self.is_fenced = True
                return True
            # released by a transaction before this one, of which the database's answer was lost
        if self._has_history:
            if not self._is_one_transaction and not self.is_released:
                return False
            self._has_come_to_history = True
            History(connection).end(self.run_id, wait=False, **self.end._asdict())
            if self._afterwards is not None:
                self._afterwards(connection)
        return True

    def _reduce(self, exc: Refused) -> None:
        """Continue with less detail.

        :raises Refused: if there is no less.
        """
        end = self.end.smaller()
        if end is not None:
            self.end = end
        elif self._is_one_transaction:
            self._is_one_transaction = False
        else:
            raise exc
