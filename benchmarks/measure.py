"""How a figure is measured, and what it is compared with."""

from __future__ import annotations

import statistics
import time
import timeit
from collections.abc import Callable, Mapping
from typing import NamedTuple

# a function is called about as often in a round as fits into this, going by a first call, and at least once
SECONDS_A_ROUND = 0.005

Call = Callable[[], object]
Seconds = dict[str, float]


class WrongResult(Exception):
    """Something that was measured did not do what it was measured for."""


class Size(NamedTuple):
    """How much is measured.

    :param counts: numbers of tasks, ascending.
    :param rounds: how often a figure is measured at least; the median is shown.
    :param slow_rounds: how often a figure is measured of which one takes seconds.
    :param sample: the most tasks that a slow library is given; its time is multiplied for the rest.
    :param processes: how often a process is started for a figure.
    :param due: numbers of tasks that are due in one minute, ascending; several processes receive the tick of the last.
    :param servers: numbers of processes that receive a tick at once, ascending.
    :param minutes: how many minutes several processes walk through, with five tasks due in each.
    :param handed: numbers of tasks that are handed over in one minute, ascending.
    :param registered: numbers of tasks that are registered in a store, few and many.
    :param deployed: numbers of tasks that one server, and several at once, register in an empty store.
    """

    counts: tuple[int, ...]
    rounds: int
    slow_rounds: int
    sample: int
    processes: int
    due: tuple[int, ...]
    servers: tuple[int, ...]
    minutes: int
    handed: tuple[int, ...]
    registered: tuple[int, int]
    deployed: tuple[int, int]


FULL = Size(
    counts=(10, 1_000, 100_000),
    rounds=31,
    slow_rounds=7,
    sample=1_000,
    processes=15,
    due=(50, 200),
    servers=(1, 4, 16),
    minutes=200,
    handed=(5, 1_000, 5_000),
    registered=(100, 100_000),
    deployed=(3_000, 30_000),
)
SHORT = Size(
    counts=(10, 100, 1_000),
    rounds=3,
    slow_rounds=1,
    sample=20,
    processes=2,
    due=(5, 10),
    servers=(1, 2, 4),
    minutes=5,
    handed=(5, 20, 40),
    registered=(10, 100),
    deployed=(30, 60),
)


class Row(NamedTuple):
    """A figure of this library and the one it is compared with, measured in turns in one run.

    :param group: what the rows of a part of the table measure.
    :param what: what is measured.
    :param other: what it is compared with.
    :param here: the figure of this library, in ``unit``.
    :param there: the figure of the other, above 0.
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
    def reached(self) -> bool | None:
        """Whether the goal is reached; ``None`` if there is none."""
        if self.most_ratio is not None:
            return self.ratio <= self.most_ratio
        return None if self.most is None else self.here <= self.most


def medians(functions: Mapping[str, Call], rounds: int, clock: Callable[[], float] = time.perf_counter) -> Seconds:
    """Return the median seconds of a call to each function; in each round they have their turns one after another.

    :param clock: the clock that counts the seconds.
    """
    loops = {name: int(SECONDS_A_ROUND / timeit.timeit(function, number=1)) + 1 for name, function in functions.items()}
    seconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            seconds[name].append(timeit.timeit(function, number=loops[name], timer=clock) / loops[name])
    return {name: statistics.median(values) for name, values in seconds.items()}


def turns(
    calls: Mapping[str, Call], rounds: int, check: Callable[[str, object], None] = lambda name, result: None
) -> tuple[Seconds, Seconds]:
    """Return the median seconds of single calls that have their turns one after another, and those of their CPU time.

    :param check: is called with the name of each call and its result, and is not measured.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    cpu: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            began, cpu_began = time.perf_counter(), time.process_time()
            result = call()
            cpu[name].append(time.process_time() - cpu_began)
            seconds[name].append(time.perf_counter() - began)
            check(name, result)
    medians = ({name: statistics.median(values) for name, values in found.items()} for found in (seconds, cpu))
    wall, used = medians
    return wall, used
