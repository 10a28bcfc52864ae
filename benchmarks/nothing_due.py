"""A tick with nothing due: without a store, and with one in each database."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack

from benchmarks import scheduler
from benchmarks.application import PATHS, caller
from benchmarks.counting import Counts, committed_row, per_call
from benchmarks.databases import SHOWN, database, missing
from benchmarks.measure import Call, Row, Size, WrongResult, medians
from benchmarks.stored import configured, dispose, ticks

GROUP = 'A tick with nothing due'
CALLS = 20
ROW = 'one committed row'


def rows(size: Size) -> Iterator[Row]:
    """Yield the rows; a database that is not installed has none."""
    yield from _times(size)
    if not missing():
        yield from _counts()


def _times(size: Size) -> Iterator[Row]:
    with ExitStack() as stack:
        calls: dict[str, Call] = {}
        for name, shown in {'none': 'no store', **SHOWN}.items():
            if name == 'postgresql' and missing():
                continue
            url = None if name == 'none' else stack.enter_context(database(name))
            config = configured(url)
            stack.callback(dispose, config.registry)
            calls[shown] = caller(config.make_wsgi_app(), PATHS['tick'])
            if name == 'postgresql' and url is not None:
                calls[scheduler.NAME] = stack.enter_context(scheduler.wakeups(url, due=0))
        if {calls[shown]() for shown in calls if shown != scheduler.NAME} != {b'ok'}:
            raise WrongResult('a tick with nothing due did not answer ok')
        seconds = medians(calls, size.rounds)
        cpu = medians(calls, size.rounds, clock=time.process_time)
    for shown in SHOWN.values():
        if shown not in calls:
            continue
        free = seconds['no store']
        yield Row(GROUP, shown, 'no store', seconds[shown], free)
        if shown == 'PostgreSQL':
            yield Row(GROUP, shown, scheduler.NAME, seconds[shown], seconds[scheduler.NAME])
        yield Row(GROUP, f'{shown}, CPU time', 'no store', cpu[shown], cpu['no store'])
        if shown == 'PostgreSQL':
            yield Row(GROUP, f'{shown}, CPU time', scheduler.NAME, cpu[shown], cpu[scheduler.NAME])
        most = 1e-3 if shown == 'SQLite' else None
        yield Row(GROUP, f'what {shown} adds', 'no store', seconds[shown] - free, free, most=most)


def _counts() -> Iterator[Row]:
    with database('postgresql', undisturbed=True) as url:
        row, _ = per_call(url, committed_row, CALLS)
        here, mean = per_call(url, lambda through: ticks(through, 'nothing due', 0), CALLS)
    check_row(row)
    yield Row(GROUP, 'PostgreSQL, round trips', ROW, here.trips, row.trips, unit='', most=1)
    yield Row(GROUP, 'waits for the disk', ROW, here.waits, row.waits, unit='', most=0)
    # now and then a tick looks for more
    yield Row(GROUP, f'mean trips of {CALLS} minutes', ROW, mean.trips, row.trips, unit='')
    yield Row(GROUP, f'mean waits of {CALLS} minutes', ROW, mean.waits, row.waits, unit='')


def check_row(row: Counts) -> None:
    """Check what writing one row costs, which is known beforehand."""
    if row != (1, 1):
        raise WrongResult(f'a committed row cost {row.trips} round trips and {row.waits} waits for the disk')
