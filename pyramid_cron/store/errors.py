"""The one error for whatever the database of the store raises: :exc:`.Unavailable`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.exc import DBAPIError, StatementError

from pyramid_cron.errors import Unavailable
from pyramid_cron.printable import class_name, message
from pyramid_cron.statement_parameters import leave_out_parameters

# classes of PEP 249. An OperationalError is none, because of outages and locks, nor is an InternalError, because of
# servers that are read-only for a while
REFUSALS = frozenset({'DataError', 'IntegrityError', 'NotSupportedError', 'ProgrammingError'})


class Refused(Unavailable):
    """The database answers, and does not take a statement or its values: the same again would be refused again."""


class Locked(Unavailable):
    """Another transaction holds a row: that of a person, or of a process that is frozen."""

    def __init__(self) -> None:
        super().__init__('another transaction holds its row in the store')


@contextmanager
def database_errors() -> Iterator[None]:
    """Raise :exc:`.Unavailable` for any exception in the body of a ``with``, which does nothing but use the database.

    The exceptions are not only those of SQLAlchemy: an application's listener of ``handle_error`` for all engines can
    replace them by others.
    """
    try:
        yield
    except Exception as exc:
        raise unavailable(exc) from exc


@contextmanager
def original_errors() -> Iterator[None]:
    """Raise the database's own exception in place of :exc:`.Unavailable`, on a connection of the application's session.

    The code that commits the session may depend on the class of the exception.
    """
    try:
        yield
    except Unavailable as exc:
        original = exc.__cause__ or exc
    else:
        return
    raise original


def unavailable(exc: Exception, disconnected: bool = False) -> Unavailable:
    """Return the error of the store for one of the database.

    :param disconnected: whether the connection is known to be lost.
    """
    if isinstance(exc, Unavailable):
        return exc
    if isinstance(exc, StatementError):
        # those of our statement in the application's session are in no traceback of the log either
        exc.hide_parameters = True
    disconnected = disconnected or (isinstance(exc, DBAPIError) and exc.connection_invalidated)
    kind = Refused if not disconnected and _is_refusal(exc) else Unavailable
    brief = f'the store is not available: {class_name(original(exc))}'
    return kind(f'the store is not available: {one_line(exc)}', disconnected, brief)


def _is_refusal(exc: BaseException | None) -> bool:
    """Return whether an error, or one that it was raised from, is about a statement or its values.

    Its class is one of PEP 249, which each driver has of its own, or that of a text that the driver cannot encode.
    """
    while exc is not None:
        if isinstance(exc, UnicodeError) or not REFUSALS.isdisjoint(kind.__name__ for kind in type(exc).__mro__):
            return True
        exc = exc.__cause__
    return False


def one_line(exc: BaseException) -> str:
    """Return the message of the database in an error, without the statement and its parameters."""
    return leave_out_parameters(message(original(exc)))


def original(exc: BaseException) -> BaseException:
    """Return the driver's error in an error of SQLAlchemy, or the error itself."""
    return getattr(exc, 'orig', None) or exc


def error_codes(exc: BaseException | None) -> list[Any]:
    """Return the codes of a driver's error: of psycopg, of psycopg2, and the first argument, as of MySQL's."""
    error = getattr(exc, 'orig', None) or exc
    return [getattr(error, 'sqlstate', None), getattr(error, 'pgcode', None), *getattr(error, 'args', ())[:1]]
