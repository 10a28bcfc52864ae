"""A minute in which many tasks are due, and several processes that receive its tick at once."""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.counting import UNCOUNTED, statements
from benchmarks.databases import SHOWN, database, missing
from benchmarks.measure import Row, Size, WrongResult
from benchmarks.nothing_due import ROW
from benchmarks.proxy import proxy
from benchmarks.stored import BEGIN, configured, dispose, ticks
from benchmarks.together import finish, together
from pyramid_cron.testing import tick

# statements that a run takes at most, with the most processes
MOST_STATEMENTS = 4
# round trips at most of a process that finds everything taken
MOST_LATE = 2


class Minute(NamedTuple):
    """One minute on several processes.

    :param seconds: from the begin of the first run to the end of the last one.
    :param answered: seconds until the last process has answered.
    :param statements: of all processes, for each run.
    :param busiest: the most runs of a process.
    """

    seconds: float
    answered: float
    statements: float
    busiest: int


def rows(size: Size) -> Iterator[Row]:
    """Yield the rows; a database that is not installed has none."""
    due = size.due[-1]
    for name, shown in SHOWN.items():
        if name == 'postgresql' and missing():
            continue
        group = f'{due} tasks due in one minute on several processes, {shown}'
        with database(name) as url:
            yield from _compared(group, url, due, size)
        if name == 'postgresql':
            yield from _late(group, due, size)


def _compared(group: str, url: str, due: int, size: Size) -> Iterator[Row]:
    with ExitStack() as stack, tempfile.TemporaryDirectory() as folder:
        teams = {}
        for processes in size.servers:
            Path(folder, str(processes)).touch()
            arguments = (url, str(processes), Path(folder, str(processes)), due, size.slow_rounds)
            teams[processes] = stack.enter_context(together(processes, _share, *arguments))
        # the first minute registers the tasks and is not counted
        for _minute in range(1 + size.slow_rounds):
            for _, barrier in teams.values():
                barrier.wait()
                barrier.wait()
        found = {}
        for processes, (started, _) in teams.items():
            finish(started)
            found[processes] = _median(_minutes(Path(folder, str(processes)), due, size.slow_rounds))
    alone = found[size.servers[0]]
    yield Row(group, '1 process', 'a minute', alone.seconds, 60.0)
    yield Row(group, '1: statements a run', ROW, alone.statements, 1, unit='')
    for processes in size.servers[1:]:
        team = found[processes]
        most = MOST_STATEMENTS if processes == size.servers[-1] else None
        yield Row(group, f'{processes} processes', '1 process', team.seconds, alone.seconds, most_ratio=1)
        yield Row(group, f'{processes}: all answers', 'all runs', team.answered, team.seconds)
        what = f'{processes}: statements a run'
        yield Row(group, what, '1 process', team.statements, alone.statements, unit='', most=most)
        yield Row(group, f'{processes}: runs of the busiest', 'a fair share', team.busiest, due / processes, unit='')


def _share(number: int, barrier: Any, url: str, app: str, file: Path, due: int, minutes: int) -> None:
    """Send ticks at the moments at which all processes do, and write down what ran."""
    began: list[float] = []
    registry = configured(url, app, due=due, task=lambda name, system: began.append(time.monotonic())).registry
    with statements() as until_now:
        for minute in range(1 + minutes):
            barrier.wait()
            before, start = until_now(), time.monotonic()
            report = tick(registry, BEGIN + timedelta(minutes=minute))
            end = time.monotonic()
            if len(report.names('ok')) != len(began) or report.problem:
                raise WrongResult(f'{app} processes, minute {minute}: {report}')
            line = {'minute': minute, 'pid': os.getpid(), 'start': start, 'end': end, 'began': began[:]}
            with file.open('a', encoding='utf-8') as lines:
                lines.write(json.dumps(line | {'statements': until_now() - before}) + '\n')
            began.clear()
            barrier.wait()
    dispose(registry)


def _minutes(file: Path, due: int, minutes: int) -> Iterator[Minute]:
    lines = [json.loads(line) for line in file.read_text(encoding='utf-8').splitlines()]
    for minute in range(1, 1 + minutes):
        of_all = [line for line in lines if line['minute'] == minute]
        runs = Counter({line['pid']: len(line['began']) for line in of_all})
        if runs.total() != due:
            raise WrongResult(f'{runs.total()} runs of {due} due tasks in minute {minute} on {len(of_all)} processes')
        began = [moment for line in of_all for moment in line['began']]
        ended = max(line['end'] for line in of_all if line['began'])
        start = min(line['start'] for line in of_all)
        yield Minute(
            ended - min(began),
            max(line['end'] for line in of_all) - start,
            sum(line['statements'] for line in of_all) / due,
            max(runs.values()),
        )


def _median(minutes: Iterator[Minute]) -> Minute:
    return Minute(*map(statistics.median, zip(*minutes, strict=True)))


def _late(group: str, due: int, size: Size) -> Iterator[Row]:
    """Yield the row of a process that receives the tick when everything has run."""
    trips = []
    with database('postgresql') as url, proxy(url) as (through, until_now), ticks(url, 'late', due) as first:
        registry = configured(through, 'late', due=due).registry
        for minute in range(UNCOUNTED + size.slow_rounds):
            first()
            before = until_now()
            report = tick(registry, BEGIN + timedelta(minutes=minute))
            trips.append(until_now() - before)
            if report.names('ok'):
                raise WrongResult(f'tasks have run twice for minute {minute}: {report}')
        dispose(registry)
    late = statistics.median(trips[UNCOUNTED:])
    yield Row(group, 'a late process, round trips', ROW, late, 1, unit='', most=MOST_LATE)
