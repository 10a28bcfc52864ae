"""What a process pays once: the import, and the memory of each registered task."""

from __future__ import annotations

import gc
import os
import statistics
import subprocess
import sys
import tempfile
import tracemalloc
from collections.abc import Callable, Iterator

from pyramid.config import Configurator

from benchmarks.application import nothing
from benchmarks.measure import Row, Size, WrongResult
from benchmarks.mixes import lines, sets
from pyramid_cron import Task
from pyramid_cron.tasks import Tasks

IMPORT = """
import time
start = time.perf_counter()
import pyramid.config
between = time.perf_counter()
import pyramid_cron
print(between - start, time.perf_counter() - between)
"""

Named = list[tuple[str, str]]


def rows(size: Size) -> Iterator[Row]:
    """Yield the rows; processes are started from the folder that the benchmarks were started in."""
    yield from _import(size)
    yield from _memory(size)


def _import(size: Size) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as folder:
        # compiled, as pip installs it
        environ = {name: value for name, value in os.environ.items() if name != 'PYTHONDONTWRITEBYTECODE'}
        environ['PYTHONPYCACHEPREFIX'] = folder
        command = [sys.executable, '-c', IMPORT]
        taken = [
            tuple(map(float, subprocess.run(command, env=environ, check=True, capture_output=True).stdout.split()))
            for _ in range(size.processes + 1)
        ][1:]
    pyramid, package = (statistics.median(seconds) for seconds in zip(*taken, strict=True))
    yield Row('Import', 'pyramid_cron, after that', 'import pyramid.config', package, pyramid, most=0.01)


def _memory(size: Size) -> Iterator[Row]:
    count = size.counts[-1]
    group = 'Memory for each registered task'
    made = list(zip(map(str, range(count)), lines(count, count // 3), strict=True))
    # read before, so that none is counted as made
    for _, line in made:
        sets(line)
    # the directive is slow with memory traced, and sets need much of it
    few = made[: 10 * size.sample]
    there = _bytes_each(_sets, few)
    for what, make, part in (
        (f'{count:,} tasks', _tasks, made),
        (f'{len(few):,} by the directive', lambda part: _configured(part, introspection=False), few),
        ('the same, with introspection', lambda part: _configured(part, introspection=True), few),
    ):
        aim = 1024 if part is made else None
        yield Row(group, what, 'five sets', _bytes_each(make, part), there, unit='B', sampled=len(few), most=aim)


def _bytes_each(make: Callable[[Named], object], made: Named) -> float:
    # what is kept for every task of a schedule is not counted for the first
    make(made[:1])
    gc.collect()
    tracemalloc.start()
    kept = make(made)
    gc.collect()
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    del kept
    return taken / len(made)


def _tasks(made: Named) -> Tasks:
    tasks = Tasks()
    for name, line in made:
        tasks.add(name, Task(nothing, cron=line, name=name), named=True)
    return tasks


def _configured(made: Named, introspection: bool) -> object:
    config = Configurator(introspection=introspection)
    config.include('pyramid_cron')
    for name, line in made:
        config.add_cron_task(nothing, name=name, cron=line)
    config.commit()
    if len(config.registry['cron_tasks']) != len(made):
        raise WrongResult('the directive did not register every task')
    return config.registry


def _sets(made: Named) -> list[tuple[set[int], ...]]:
    """The original's tasks, each with sets of its own."""
    return [tuple(map(set, sets(line))) for _, line in made]
