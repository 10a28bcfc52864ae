"""Counts of what a call costs a database: round trips, waits for the disk, statements."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from typing import Any, NamedTuple, Protocol

from sqlalchemy import Engine, create_engine, event, text

from benchmarks.databases import ask
from benchmarks.measure import WrongResult
from benchmarks.proxy import proxy

OTHERS = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
# kept elsewhere since PostgreSQL 18
SYNCS = "SELECT sum(fsyncs)::bigint FROM pg_stat_io WHERE object = 'wal' AND backend_type = 'client backend'"
SYNCS_BEFORE_18 = 'SELECT wal_sync FROM pg_stat_wal'
SECONDS = 30
# calls of each connection before those that count: psycopg prepares a statement when it has come five times
UNCOUNTED = 10


class Closable(Protocol):
    """A call that uses connections, and what closes them until the next one."""

    def __call__(self) -> object: ...

    def close(self) -> None: ...


class Counts(NamedTuple):
    """What a call costs a database.

    :param trips: round trips, in which the client waits for an answer.
    :param waits: how often the server waits until the disk has written the log of its changes.
    """

    trips: float
    waits: float


def per_call(url: str, opened: Callable[[str], AbstractContextManager[Closable]], calls: int) -> tuple[Counts, Counts]:
    """Return the median of what a call costs, and the mean, without what the first calls of a process cost.

    :param url: a database of an undisturbed server, which nothing else uses.
    :param opened: makes the call for a URL.
    """
    trips, waits = [], []
    with proxy(url) as (through, trips_until_now), opened(through) as call:
        for _ in range(UNCOUNTED):
            call()
        for _ in range(calls):
            before = trips_until_now()
            call()
            trips.append(trips_until_now() - before)
        for _ in range(calls):
            before = _syncs(url, call)
            call()
            waits.append(_syncs(url, call) - before)
    return Counts(statistics.median(trips), statistics.median(waits)), Counts(
        statistics.fmean(trips), statistics.fmean(waits)
    )


def _syncs(url: str, call: Closable) -> int:
    # a connection reports its waits when it ends
    call.close()
    deadline = time.monotonic() + SECONDS
    while ask(url, OTHERS):
        if time.monotonic() > deadline:
            raise WrongResult('a connection to PostgreSQL was not closed')
        time.sleep(0.005)
    version = int(ask(url, 'SHOW server_version_num'))
    return int(ask(url, SYNCS if version >= 180000 else SYNCS_BEFORE_18))


class CommittedRow:
    """A call that writes one row and commits it, in one statement.

    :param url: of the database.
    """

    def __init__(self, url: str) -> None:
        self._engine = create_engine(url, isolation_level='AUTOCOMMIT')
        with self._engine.connect() as connection:
            connection.execute(text('CREATE TABLE IF NOT EXISTS benchmark_rows (number int)'))

    def __call__(self) -> None:
        """Write a row."""
        with self._engine.connect() as connection:
            connection.execute(text('INSERT INTO benchmark_rows VALUES (1)'))

    def close(self) -> None:
        """Close the connection until the next call."""
        self._engine.dispose()


def committed_row(url: str) -> AbstractContextManager[CommittedRow]:
    """Return a context that yields a :class:`CommittedRow` and closes its connection."""
    return closing(CommittedRow(url))


@contextmanager
def statements() -> Iterator[Callable[[], int]]:
    """Yield a function that returns how many statements all engines of SQLAlchemy in this process have executed."""
    count = 0

    def add(*arguments: Any) -> None:
        nonlocal count
        count += 1

    event.listen(Engine, 'before_cursor_execute', add)
    try:
        yield lambda: count
    finally:
        event.remove(Engine, 'before_cursor_execute', add)
