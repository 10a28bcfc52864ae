"""A minute in which many tasks are due, on one process."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from itertools import pairwise

from benchmarks import scheduler
from benchmarks.counting import committed_row
from benchmarks.databases import SHOWN, database, missing
from benchmarks.measure import Call, Row, Size, turns
from benchmarks.proxy import proxy
from benchmarks.stored import ticks

GROUP = 'A minute in which many tasks are due'
# seconds that a network adds to a round trip
AWAY = 0.001
PEER = scheduler.NAME


def rows(size: Size) -> Iterator[Row]:
    """Yield the rows of each number of due tasks; a database that is not installed has none."""
    for due in size.due:
        yield from _times(due, size.slow_rounds)
        if not missing():
            yield from _away(due, size.slow_rounds)


def _times(due: int, rounds: int) -> Iterator[Row]:
    with ExitStack() as stack:
        calls: dict[str, Call] = {'no store': stack.enter_context(ticks(None, f'{due} due', due))}
        for name, shown in SHOWN.items():
            if name == 'postgresql' and missing():
                continue
            url = stack.enter_context(database(name))
            calls[shown] = stack.enter_context(ticks(url, f'{due} due', due))
            if name == 'postgresql':
                calls[PEER] = stack.enter_context(scheduler.wakeups(url, due))
                one = stack.enter_context(committed_row(url))
                calls[f'{due} committed rows'] = partial(_repeat, one, due)
        for call in calls.values():
            call()
        seconds, cpu = turns(calls, rounds)
    for shown in SHOWN.values():
        if shown not in calls:
            continue
        for other in ('no store', f'{due} committed rows', PEER):
            if other == 'no store' or (shown == 'PostgreSQL' and other in calls):
                yield Row(GROUP, f'{due} due, {shown}', other, seconds[shown], seconds[other])
        for other in ('no store', PEER):
            if other == 'no store' or shown == 'PostgreSQL':
                yield Row(GROUP, f'{due} due, {shown}, CPU time', other, cpu[shown], cpu[other])


def _repeat(call: Call, times: int) -> None:
    for _ in range(times):
        call()


def _away(due: int, rounds: int) -> Iterator[Row]:
    """Yield the rows of a database whose round trips take a millisecond longer."""
    with database('postgresql') as url, ExitStack() as stack:
        calls: dict[str, Call] = {}
        trips = {}
        for name in ('here', PEER):
            through, trips[name] = stack.enter_context(proxy(url, delay=AWAY))
            if name == PEER:
                calls[name] = stack.enter_context(scheduler.wakeups(through, due))
            else:
                calls[name] = stack.enter_context(ticks(through, f'{due} due', due))
            calls[name]()
        readings = {name: [until_now()] for name, until_now in trips.items()}
        seconds, _ = turns(calls, rounds, lambda name, result: readings[name].append(trips[name]()))
    counted = {name: statistics.median(b - a for a, b in pairwise(values)) for name, values in readings.items()}
    yield Row(GROUP, f'{due} due, 1 ms away', PEER, seconds['here'], seconds[PEER])
    most = 2 * due + 2
    yield Row(GROUP, f'{due} due, round trips', PEER, counted['here'], counted[PEER], unit='', most=most)
