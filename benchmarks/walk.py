"""Several processes that walk through many minutes together: no run is lost, and none is there twice."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

from benchmarks.databases import SHOWN, database, missing
from benchmarks.measure import Row, Size, WrongResult
from benchmarks.stored import BEGIN, configured, dispose
from benchmarks.together import finish, together
from pyramid_cron.testing import tick

GROUP = 'A minute of five due tasks on several processes'
TASKS = 5


def rows(size: Size) -> Iterator[Row]:
    """Yield the rows; a database that is not installed has none."""
    for name, shown in SHOWN.items():
        if name == 'postgresql' and missing():
            continue
        with database(name) as url:
            # the fewest that are several
            yield _row(shown, url, size.servers[1], size.minutes)


def _row(shown: str, url: str, processes: int, minutes: int) -> Row:
    with tempfile.NamedTemporaryFile('r') as effects:
        arguments = (url, f'{processes} processes', effects.name, minutes)
        with together(processes, _walk, *arguments) as (started, barrier):
            barrier.wait()
            began = time.perf_counter()
            for _ in range(minutes - 1):
                barrier.wait()
            finish(started)
        seconds = time.perf_counter() - began
        runs = Counter(effects.read().split('\n')[:-1])
    expected = minutes * TASKS
    if runs.total() != expected or len(runs) != expected:
        raise WrongResult(
            f'{processes} processes, {shown}: {expected} runs were due, '
            f'{expected - len(runs)} were lost and {runs.total() - len(runs)} were duplicates'
        )
    return Row(GROUP, f'{processes} processes, {shown}', 'a minute', seconds / minutes, 60.0)


def _walk(number: int, barrier: Any, url: str, app: str, file: str, minutes: int) -> None:
    """Tick minute by minute, each when all the others have come to it."""
    registry = configured(url, app, due=TASKS, task=partial(_append, file)).registry
    for minute in range(minutes):
        barrier.wait()
        tick(registry, BEGIN + timedelta(minutes=minute))
    dispose(registry)


def _append(file: str, name: str, system: Any) -> None:
    with open(file, 'a', encoding='utf-8') as effects:
        effects.write(f'{name} {system["scheduled_for"]:%Y-%m-%dT%H:%M}\n')
