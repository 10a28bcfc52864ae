"""How a figure is measured, and how the figures are shown."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import textwrap
import timeit
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

# a function is called about as often in a round as fits into this, going by a first call, and at least once
SECONDS_A_ROUND = 0.005

COLUMNS = 80
RULE = '-' * COLUMNS

COMPARED = (
    'APScheduler',
    'celery',
    'celery-redbeat',
    'croniter',
    'cronsim',
    'pycron',
    'pyramid',
    'redis',
    'SQLAlchemy',
    'waitress',
)


class WrongResult(Exception):
    """Something that was measured did not do what it was measured for."""


class Size(NamedTuple):
    """How much is measured.

    :param counts: numbers of tasks, ascending.
    :param rounds: how often a figure is measured at least; the median is shown.
    :param sample: the most tasks that a slow library is given; its time is multiplied for the rest.
    :param processes: how often a process is started for a figure.
    """

    counts: tuple[int, ...]
    rounds: int
    sample: int
    processes: int


FULL = Size((10, 1_000, 100_000), rounds=31, sample=1_000, processes=15)
SHORT = Size((10, 100, 1_000), rounds=3, sample=20, processes=2)


class Row(NamedTuple):
    """A figure of this library and the one it is compared with, measured in turns in one run.

    :param group: what the rows of a part of the table measure.
    :param what: what is measured.
    :param other: what it is compared with.
    :param here: the figure of this library, in ``unit``.
    :param there: the figure of the other.
    :param unit: ``'s'``, ``'B'``, or nothing for a plain number.
    :param sampled: how many tasks the other was really given, if it was not all of them.
    :param most_ratio: the ratio that is aimed at, at most.
    :param most: the figure that is aimed at, at most.
    """

    group: str
    what: str
    other: str
    here: float
    there: float
    unit: str = 's'
    sampled: int | None = None
    most_ratio: float | None = None
    most: float | None = None

    @property
    def ratio(self) -> float:
        """How many times as much this library takes."""
        return self.here / self.there

    @property
    def goal(self) -> str | None:
        """What was aimed at and whether it is reached, if there was an aim."""
        if self.most_ratio is not None:
            reached, aim = self.ratio <= self.most_ratio, f'{_digits(self.ratio)} of at most {self.most_ratio:g} times'
        elif self.most is not None:
            reached, aim = (
                self.here <= self.most,
                f'{shown(self.here, self.unit)} of at most {shown(self.most, self.unit)}',
            )
        else:
            return None
        return f'{"reached" if reached else "MISSED"}: {aim}'


def medians(functions: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median seconds of a call to each function; in each round they have their turns one after another."""
    loops = {name: int(SECONDS_A_ROUND / timeit.timeit(function, number=1)) + 1 for name, function in functions.items()}
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            seconds[name].append(timeit.timeit(function, number=loops[name]) / loops[name])
    return {name: statistics.median(values) for name, values in seconds.items()}


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        'processor': _processor(),
        'cores': os.cpu_count(),
        'system': f'{platform.system()} {platform.machine()}',
        'python': f'{platform.python_implementation()} {platform.python_version()}',
        'versions': {name: importlib.metadata.version(name) for name in COMPARED},
    }


def _processor() -> str:
    try:
        with open('/proc/cpuinfo', encoding='utf-8') as file:
            return next(line.partition(':')[2].strip() for line in file if line.startswith('model name'))
    except (OSError, StopIteration):
        return platform.processor() or 'unknown'


def shown(figure: float, unit: str) -> str:
    """Return a figure with its unit: ``'1.23 ms'``."""
    if unit == 'B':
        return f'{figure:,.0f} B'
    if not unit:
        return _digits(figure)
    factor, prefix = next(((f, p) for f, p in ((1e9, 'n'), (1e6, 'µ'), (1e3, 'm')) if figure * f < 999.5), (1, ''))
    return f'{_digits(figure * factor)} {prefix}s'


def _digits(figure: float) -> str:
    """Return a number of any size with about three digits."""
    for least, decimals in ((99.5, 0), (9.95, 1), (0.0995, 2), (0.00995, 3)):
        if figure >= least:
            return f'{figure:.{decimals}f}'
    return f'{figure:.1e}'


def table(rows: Iterable[Row], facts: Mapping[str, Any], notes: Iterable[str] = (), goals: bool = True) -> str:
    """Return the rows as a table of 80 columns, the notes, and below them whether the goals are reached."""
    lines = [
        *textwrap.wrap(f'{facts["processor"]}, {facts["cores"]} cores, {facts["system"]}, {facts["python"]}', COLUMNS),
        *textwrap.wrap(', '.join(f'{name} {version}' for name, version in facts['versions'].items()), COLUMNS),
    ]
    before = None
    aims = []
    for row in rows:
        if before is None or row.group != before.group:
            lines += ['', row.group, _line('', 'here', 'compared with', 'there', 'ratio'), RULE]
        same = before is not None and (row.group, row.what) == (before.group, before.what)
        figure = '' if same else shown(row.here, row.unit)
        other = f'{row.other} *' if row.sampled else row.other
        lines.append(_line('' if same else row.what, figure, other, shown(row.there, row.unit), _digits(row.ratio)))
        if row.goal is not None:
            aims += textwrap.wrap(f'{row.what}, {row.other}: {row.goal}', COLUMNS, subsequent_indent='    ')
        before = row
    lines += ['', '* measured on a sample of the tasks', *notes]
    return '\n'.join([*lines, '', 'Goals', RULE, *aims] if goals else lines)


def _line(what: str, here: str, other: str, there: str, ratio: str) -> str:
    return f'{what:29}{here:>9}  {other:23}{there:>8}{ratio:>9}'
