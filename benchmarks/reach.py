"""How far one database goes, computed from the rows of a run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from benchmarks.measure import Row
from benchmarks.table import shown
from benchmarks.words import rounded

MINUTE = 60


class Found:
    """The rows of a run, found by what is in their names.

    :param rows: of all groups.
    """

    def __init__(self, rows: Iterable[Row]) -> None:
        self._rows = list(rows)

    def all(self, group: str, what: str = '', other: str = '') -> list[Row]:
        """Return the rows whose names match these regular expressions."""
        patterns = group, what, other
        return [row for row in self._rows if all(map(re.search, patterns, (row.group, row.what, row.other)))]

    def one(self, group: str, what: str, other: str = '') -> Row | None:
        """Return the last row that matches, if any does."""
        return next(iter(reversed(self.all(group, what, other))), None)


def sentences(rows: Iterable[Row]) -> Iterator[str]:
    """Yield what one PostgreSQL carries, a sentence for each limit; none for what was not measured."""
    found = Found(rows)
    yield from _runs(found)
    yield from _handed(found)
    yield from _servers(found)
    yield from _tasks(found)
    yield from _history(found)


def _runs(found: Found) -> Iterator[str]:
    group = r'due in one minute on several processes, PostgreSQL'
    teams = found.all(group, r'^\d+ process(es)?$')
    commits = found.one('A minute in which many tasks are due', 'PostgreSQL$', 'committed rows')
    waits = found.one('A due task', '^waits for the disk')
    if not teams or commits is None or waits is None:
        return
    fastest = min(teams, key=lambda row: row.here)
    due = int(fastest.group.split()[0])
    yield (
        f'**Runs**: about {rounded(due / fastest.here * MINUTE)} a minute, on {fastest.what}: {due} due tasks took '
        f'{shown(fastest.here, "s")}. A single due task waits {shown(waits.here, "")} times for the disk; '
        f'the commit of one row takes {shown(commits.there / int(commits.other.split()[0]), "s")} there.'
    )


def _handed(found: Found) -> Iterator[str]:
    parts = []
    for engine, what in (('procrastinate', 'at once$'), ('Celery', 'at once, PostgreSQL$')):
        row = found.one(f'Handing tasks over to {engine}', what)
        if row is not None:
            parts.append(f'about {rounded(MINUTE / row.here)} a minute to {engine}')
    if parts:
        yield f'**Hand-overs** (``via=``): {" and ".join(parts)}, from one process; the workers run the tasks.'


def _servers(found: Found) -> Iterator[str]:
    idle = found.one('A tick with nothing due', '^PostgreSQL$', 'no store')
    late = found.one('due in one minute on several processes', 'late process')
    if idle is None or late is None:
        return
    yield (
        f'**Servers**: {rounded(MINUTE / idle.here)} ticks with nothing due fit into a minute, one after another. A '
        f'tick whose due tasks are all claimed by other servers costs {shown(late.here, "")} round trips, so that an '
        'idle server costs the database next to nothing.'
    )


def _tasks(found: Found) -> Iterator[str]:
    group = 'Many registered tasks'
    idle, first = found.one(group, 'nothing due'), found.one(group, 'first tick')
    if idle is None or first is None:
        return
    number = first.what.split()[2]
    yield (
        f'**Tasks**: {number} registered ones make a tick with nothing due take {shown(idle.here, "s")}, where '
        f'{idle.other.split(", ")[1]} take {shown(idle.there, "s")}. The first tick after a deploy registers them: '
        f'{shown(first.here, "s")} for {number} new ones, which has to fit into the time limit of a request.'
    )


def _history(found: Found) -> Iterator[str]:
    reads = found.all('history', 'PostgreSQL$', 'runs$')
    deleted = found.one('history', '^delete.*PostgreSQL$')
    if not reads or deleted is None:
        return
    slowest = max(reads, key=lambda row: row.here)
    what = slowest.what.removesuffix(', PostgreSQL')
    yield (
        f'**History**: the slowest reading, *{what}*, takes {shown(slowest.there, "s")} with {slowest.other} in the '
        f'history, and {shown(slowest.here, "s")} with ten times as many; '
        f'{deleted.what.split()[1].rstrip(",")} old runs are deleted in {shown(deleted.here, "s")}.'
    )
