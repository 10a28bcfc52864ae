"""Many registered tasks: a tick with nothing due, and the first one after a deploy."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

from sqlalchemy import create_engine, text

from benchmarks.application import PATHS, caller
from benchmarks.databases import database, missing
from benchmarks.measure import Row, Size, WrongResult, medians
from benchmarks.moment import AWAY
from benchmarks.proxy import proxy
from benchmarks.stored import configured, dispose
from benchmarks.together import SPAWN, finish, together

GROUP = 'Many registered tasks, PostgreSQL'
SERVERS = 3
INSERT = 'one INSERT of as many'


def rows(size: Size) -> Iterator[Row]:
    """Yield the rows; there are none where PostgreSQL is not installed."""
    if not missing():
        yield from _nothing_due(size)
        yield from _deploy(size)
        yield from _at_once(size)


def _nothing_due(size: Size) -> Iterator[Row]:
    """Yield the rows of a tick with nothing due among many tasks and among few."""
    few, most = size.registered
    with ExitStack() as stack:
        calls, first = {}, {}
        for tasks in (few, most):
            url = stack.enter_context(database('postgresql'))
            config = configured(url, not_due=tasks)
            stack.callback(dispose, config.registry)
            calls[str(tasks)] = call = caller(config.make_wsgi_app(), PATHS['tick'])
            first[tasks] = _seconds(call)
        insert = _inserted(url, most)
        seconds = medians(calls, size.rounds)
    here, there = seconds[str(most)], seconds[str(few)]
    yield Row(GROUP, f'nothing due, {most:,} tasks', f'the same, {few} tasks', here, there, most_ratio=2)
    yield Row(GROUP, f'first tick, {most:,} new tasks', INSERT, first[most], insert)


def _deploy(size: Size) -> Iterator[Row]:
    """Yield the rows of the first tick with many new tasks, and a database that is a millisecond away."""
    tasks = size.deployed[0]
    seconds, inserts, trips = [], [], []
    for _ in range(size.slow_rounds):
        with database('postgresql') as url, proxy(url, delay=AWAY) as (through, until_now):
            config = configured(through, not_due=tasks)
            seconds.append(_seconds(caller(config.make_wsgi_app(), PATHS['tick'])))
            trips.append(until_now())
            dispose(config.registry)
            inserts.append(_inserted(through, tasks))
    here, there = statistics.median(seconds), statistics.median(inserts)
    yield Row(GROUP, f'{tasks:,} new, 1 ms away', INSERT, here, there)
    yield Row(GROUP, f'{tasks:,} new, round trips', 'one for each', statistics.median(trips), tasks, unit='')


def _at_once(size: Size) -> Iterator[Row]:
    """Yield the rows of several servers that make the tables and register the same tasks at once."""
    tasks = size.deployed[1]
    seconds: dict[int, list[float]] = {1: [], SERVERS: []}
    failed = SPAWN.Value('i')
    for _ in range((size.slow_rounds + 1) // 2):
        for servers, taken in seconds.items():
            with (
                database('postgresql') as url,
                together(servers, _first_tick, url, tasks, failed) as (started, barrier),
            ):
                barrier.wait()
                began = time.perf_counter()
                finish(started)
                taken.append(time.perf_counter() - began)
    alone, at_once = map(statistics.median, seconds.values())
    what = f'{SERVERS} servers, {tasks:,} new'
    yield Row(GROUP, what, '1 server', at_once, alone)
    answers = sum(servers * len(taken) for servers, taken in seconds.items())
    yield Row(GROUP, 'answers that were not 200', 'all answers', failed.value, answers, unit='', most=0)


def _first_tick(number: int, barrier: Any, url: str, tasks: int, failed: Any) -> None:
    call = caller(configured(url, not_due=tasks).make_wsgi_app(), PATHS['tick'])
    barrier.wait()
    try:
        call()
    except WrongResult:
        with failed.get_lock():
            failed.value += 1


def _seconds(call: Callable[[], bytes]) -> float:
    began = time.perf_counter()
    if call() != b'ok':
        raise WrongResult('the first tick did not answer ok')
    return time.perf_counter() - began


def _inserted(url: str, rows: int) -> float:
    """Return the seconds of one statement that inserts rows which come from the client."""
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text('CREATE TABLE benchmark_tasks (app text, task text PRIMARY KEY, schedule text)'))
    names = [f'not due {number}' for number in range(rows)]
    insert = text(
        "INSERT INTO benchmark_tasks SELECT 'benchmarks', task, '0 2 * 6 *' FROM unnest(CAST(:names AS text[])) AS task"
    )
    with engine.connect():
        # so that it does not count to connect
        pass
    began = time.perf_counter()
    with engine.begin() as connection:
        connection.execute(insert, {'names': names})
    seconds = time.perf_counter() - began
    engine.dispose()
    return seconds
