"""Errors of the store in the log of a command: one line on a terminal, where the command itself reports them."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from pyramid_cron.errors import Unavailable
from pyramid_cron.printable import class_name, message

# classes of PEP 249, which SQLAlchemy and each driver have of their own, of errors that are those of a connection
UNREACHABLE = frozenset({'OperationalError', 'InterfaceError'})


class StoreErrors(logging.Filter):
    """Keeps records about errors of the store from a handler: for later, or but for one line without a traceback.

    :param handler: the handler, which writes to a terminal or in its place.
    :param holds: whether to keep the records for later.
    """

    def __init__(self, handler: logging.Handler, holds: bool) -> None:
        super().__init__()
        self._handler = handler
        self._holds = holds
        #: the records that were kept
        self.held: list[logging.LogRecord] = []

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether the handler writes a record as it is."""
        about = [*(record.args or ()), *(record.exc_info or ())]
        if not any(isinstance(value, Unavailable) for value in about):
            return True
        if self._holds:
            self.held.append(record)
        else:
            self.write(record)
        return False

    def write(self, record: logging.LogRecord) -> None:
        """Write a record in one line."""
        # other handlers, such as that of a file, have the traceback
        brief = {'msg': record.getMessage(), 'args': (), 'exc_info': None, 'exc_text': None}
        self._handler.handle(logging.makeLogRecord(record.__dict__ | brief))


@contextmanager
def connection_errors() -> Iterator[None]:
    """Raise :exc:`.Unavailable` if a database cannot be reached in the body of a ``with``, which loads an application.

    :raises Unavailable: for the error of any driver; what else the application raises passes.
    """
    try:
        yield
    except Exception as exc:
        if not isinstance(exc, ConnectionError) and UNREACHABLE.isdisjoint(kind.__name__ for kind in type(exc).__mro__):
            raise
        original = getattr(exc, 'orig', None) or exc
        raise Unavailable(f'the application cannot be loaded: {class_name(exc)}: {message(original)}') from exc


@contextmanager
def brief_store_errors(holds: bool) -> Iterator[None]:
    """Leave tracebacks of errors of the store out of what handlers write to a terminal in the body of a ``with``.

    :param holds: whether to write the records at its end, and none if it raises :exc:`.Unavailable`: that is reported.
    """
    filters = {handler: StoreErrors(handler, holds) for handler in _handlers() if _is_of_terminal(handler)}
    for handler, added in filters.items():
        handler.addFilter(added)
    try:
        yield
    except Unavailable:
        for added in filters.values():
            added.held.clear()
        raise
    finally:
        for handler, added in filters.items():
            handler.removeFilter(added)
            for record in added.held:
                added.write(record)


def _handlers() -> set[logging.Handler]:
    loggers = [logging.root, *logging.root.manager.loggerDict.values()]
    found = {handler for logger in loggers if isinstance(logger, logging.Logger) for handler in logger.handlers}
    return found | ({logging.lastResort} if logging.lastResort is not None else set())


def _is_of_terminal(handler: logging.Handler) -> bool:
    stream = getattr(handler, 'stream', None)
    return stream is not None and stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__)
