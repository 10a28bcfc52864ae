"""A circuit breaker: a run that has waited for the database in vain does not wait for it again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyramid_cron.errors import Unavailable
from pyramid_cron.store.dialects import MOST_SECONDS
from pyramid_cron.store.errors import error_codes, one_line

# seconds from which on an error counts as a wait, a little less than the shortest limit
LONG = MOST_SECONDS - 0.5
# seconds after which the database is tried again although the run goes on: its task has taken that long
OPEN_SECONDS = 60
# by which PostgreSQL, and MySQL and MariaDB, answer that a lock or a statement has taken too long. SQLite has one lock
# for all of its tables
LOCK_ERRORS = ('55P03', '57014', 1205, 1969, 3024)


class NotAnswering(Unavailable):
    """The database did not answer in time, or is locked."""


class CircuitOpen(NotAnswering):
    """The database was not used, because it did not answer this thread a short while ago."""


class CircuitBreaker:
    """Refuses the use of a database that has kept this thread waiting, until :meth:`close` or for a minute.

    A run has one thread. Others find out for themselves.

    :param monotonic: a monotonic clock in seconds.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._of_thread = threading.local()

    def close(self) -> None:
        """Let this thread use the database again, as at the start of a run."""
        self._of_thread.opened = None

    def close_if_locked(self) -> None:
        """Let this thread use the database again if it has answered that what was waited for is locked."""
        if getattr(self._of_thread, 'was_locked', False):
            self.close()

    @contextmanager
    def guard(self) -> Iterator[None]:
        """Notice in the ``with``, which uses the database, whether it has to be waited for.

        :raises CircuitOpen: if it did not answer before.
        :raises NotAnswering: if it does not answer now.
        """
        began = self._monotonic()
        opened = getattr(self._of_thread, 'opened', None)
        if opened is not None and began - opened < OPEN_SECONDS:
            raise CircuitOpen(
                'the store is not available: it did not answer a moment ago, and is not waited for again in this run'
            )
        try:
            yield
        except Unavailable as exc:
            ended = self._monotonic()
            if ended - began < LONG:
                raise
            self._of_thread.opened = ended
            self._of_thread.was_locked = any(code in LOCK_ERRORS for code in error_codes(exc.__cause__))
            brief = f'the store is not available: it did not answer within {ended - began:.0f} s'
            raise NotAnswering(_message(exc, brief), brief=brief) from exc.__cause__


def _message(exc: Unavailable, brief: str) -> str:
    if exc.disconnected or exc.__cause__ is None:
        # the driver reports that the server has closed the connection, which time_limit.py has
        return brief
    return f'{brief}: {one_line(exc.__cause__)}'
