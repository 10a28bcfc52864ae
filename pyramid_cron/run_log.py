"""The log of a run: the records that its task logs, as text, of which the end is kept.

The records are taken where each logger passes one to its handlers, and not by a handler. A handler of the root logger
would make ``logging.basicConfig()`` do nothing, silence ``logging.lastResort``, miss loggers with ``propagate=False``,
and be gone once a task configures logging. What the loggers' levels and filters leave out is left out here too. It is
taken after the handlers, because their filters may have removed something from the record.
"""

from __future__ import annotations

import logging
import os
import threading
import traceback
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timezone, tzinfo
from typing import Any

from pyramid_cron import run_output
from pyramid_cron.isolation import OF_SERVERS, ends_process
from pyramid_cron.printable import class_name, encodable, message

# in place of what is left out before the text that is kept
CUT = '...'
# how much longer than the limit a single record may be before its beginning is left out. What cron.scrub takes out
# makes the text shorter, and what is left at the cut is to be before what is kept
LONGEST_RECORD = 2

# the log of the run that this thread, greenlet or context works for
_current: ContextVar[RunLog | None] = ContextVar('pyramid_cron_run_log', default=None)
_lock = threading.Lock()
_takes_records = False


class RunLog:
    """The log of one run.

    :param limit: how many bytes of it are kept.
    :param zone: the time zone of its times, ``None`` for the machine's.
    """

    def __init__(self, limit: int, zone: tzinfo | None) -> None:
        self.limit = limit
        self._zone = zone
        self._process = os.getpid()
        self._texts: deque[tuple[str, int]] = deque()
        self._size = 0
        # reentrant, because a signal's handler may log at any time
        self._lock = threading.RLock()
        self._is_closed = False
        #: how many records it has had
        self.count = 0

    def add(self, record: logging.LogRecord) -> None:
        """Add a record of the process that the run is in, unless the run has ended."""
        # in a child that the task has forked, another thread of the parent may hold the lock for ever
        if self._is_closed or os.getpid() != self._process:
            return
        text = encodable(self._end_of(_format(record, self._zone)), 'utf-8')
        size = len(text.encode()) + 1
        with self._lock:
            if self._is_closed:
                return
            self._texts.append((text, size))
            self._size += size
            self.count += 1
            # records as a whole: what cron.scrub takes out of one may begin at its beginning
            while self._size - self._texts[0][1] > self.limit:
                self._size -= self._texts.popleft()[1]

    def text(self) -> str:
        """Return what there is of it, a little more than the limit if there was more; empty without a record."""
        with self._lock:
            texts = [text for text, _ in self._texts]
            is_cut = self.count > len(texts)
        return '\n'.join([CUT, *texts] if is_cut else texts)

    def close(self) -> None:
        """Forget the records, and take no more."""
        with self._lock:
            self._is_closed = True
            self._texts.clear()

    def _end_of(self, text: str) -> str:
        if len(text) <= LONGEST_RECORD * self.limit:
            return text
        end = text[-LONGEST_RECORD * self.limit :]
        # from the next word on, so that no part of one is left that cron.scrub does not find
        _, rest = [*end.split(None, 1), end][:2]
        return f'{CUT} {rest}'


def end_of(text: str, limit: int) -> str:
    """Return the end of a text that has so many bytes in UTF-8 at most, cut at a character."""
    encoded = text.encode()
    if len(encoded) <= limit:
        return text
    return CUT + encoded[len(CUT) - limit :].decode('utf-8', 'ignore')


@contextmanager
def kept_in(log: RunLog | None) -> Iterator[None]:
    """Add what is logged in the body of a ``with`` to a log, or to none.

    That is what is logged in this thread or greenlet, and in others that are started with a copy of its context.
    """
    if log is not None:
        _take_records()
    token = _current.set(log)
    try:
        yield
    finally:
        _current.reset(token)


def _take_records() -> None:
    """Call :func:`_keep` with each record that a logger passes to its handlers."""
    global _takes_records
    with _lock:
        if _takes_records:
            return
        _takes_records = True
        call_handlers = logging.Logger.callHandlers

        def call_handlers_and_keep(logger: logging.Logger, record: logging.LogRecord) -> None:
            try:
                call_handlers(logger, record)
            finally:
                _keep(record)

        logging.Logger.callHandlers = call_handlers_and_keep  # type: ignore[assignment, method-assign]


def _keep(record: logging.LogRecord) -> None:
    """Add a record to the log of the run that this context works for. No exception of it passes through here."""
    log = _current.get()
    if log is None:
        return
    # what an argument logs while it is converted to a text is no record of its own, and would be without end
    token = _current.set(None)
    try:
        # notes are kept by themselves
        if record.levelno >= logging.INFO and record.name != run_output.__name__:
            log.add(record)
    except BaseException as exc:
        if ends_process(exc, OF_SERVERS):
            raise
    finally:
        _current.reset(token)


def _format(record: logging.LogRecord, zone: tzinfo | None) -> str:
    """Return a record with its traceback as text, or where it was logged if it cannot be shown."""
    at = datetime.fromtimestamp(record.created, timezone.utc).astimezone(zone)
    start = f'{at:%H:%M:%S} {record.levelname} {record.name}: '
    try:
        text = start + record.getMessage()
    except Exception as exc:
        why = f'{class_name(exc)}: {message(exc)}'
        text = f'{start}a record of {record.filename}, line {record.lineno}, cannot be shown: {why}'
    return '\n'.join([text, *_traceback(record), *filter(None, [record.stack_info])])


def _traceback(record: logging.LogRecord) -> list[str]:
    # as a formatter of the application has made it, which may have removed something
    if record.exc_text:
        return [record.exc_text]
    info: Any = record.exc_info
    if not info or info[0] is None:
        return []
    try:
        return [''.join(traceback.format_exception(*info)).rstrip('\n')]
    except Exception:
        return [f'{class_name(info[1])}, which cannot be shown']
