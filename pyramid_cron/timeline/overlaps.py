"""Overlaps in a timeline, and minutes that take longer than their window: computed from bars alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.timeline.bars import TO_COME, Bar, expected_length

if TYPE_CHECKING:
    from pyramid_cron.store.task_state import TaskState
    from pyramid_cron.tasks import Task

# shorter overlaps are not named
SHORTEST = MINUTE
# the part of a long minute below which a task is not named
NEGLIGIBLE = 0.02


class Busy(NamedTuple):
    """A time in which several runs go on at once.

    :param first: its start.
    :param end: its end.
    :param most: how many runs go on at once at most.
    :param tasks: the names of their tasks, in the order in which they began.
    """

    first: datetime
    end: datetime
    most: int
    tasks: Sequence[str]


class LongMinutes(NamedTuple):
    """Minutes in which the tasks together usually take longer than ``cron.window``, one after another in one process.

    :param minutes: the minutes, each with the same tasks.
    :param seconds: how long the tasks usually take together.
    :param tasks: the names of those that take a part of it, that which takes longest first.
    :param idle: the names of the idle tasks that are due then, and get no time.
    """

    minutes: Sequence[datetime]
    seconds: float
    tasks: Sequence[str]
    idle: Sequence[str]


class OwnOverlap(NamedTuple):
    """A task that usually still runs when it is due again.

    :param task: its name.
    :param minute: a minute at which it is due.
    :param next: the next one, which is skipped.
    :param usual: how long its runs usually take, as a text.
    """

    task: str
    minute: datetime
    next: datetime
    usual: str


class _Part(NamedTuple):
    begin: datetime
    end: datetime
    tasks: tuple[str, ...]


def find_busy(bars: Iterable[Bar], enqueued: Callable[[str], bool]) -> list[Busy]:
    """Return the times of a minute at least in which several runs go on at once, as far as their lengths are known.

    Runs to come of one minute that are not enqueued count as one, because a process runs them one after another.

    :param enqueued: returns whether a task, by its name, is enqueued.
    """
    events: list[tuple[datetime, bool, _Part]] = []
    for part in _parts(bars, enqueued):
        events += [(part.begin, True, part), (part.end, False, part)]
    # an end before a start at the same instant, which do not overlap
    events.sort(key=lambda event: event[:2])
    found: list[Busy] = []
    running: list[_Part] = []
    first, most, tasks = None, 0, dict[str, None]()
    for instant, begins, part in events:
        if begins:
            running.append(part)
        else:
            running.remove(part)
        if len(running) > 1:
            first = instant if first is None else first
            most = max(most, len(running))
            tasks |= dict.fromkeys(name for one in running for name in one.tasks)
        elif first is not None:
            if instant - first >= SHORTEST:
                found.append(Busy(first, instant, most, list(tasks)))
            first, most, tasks = None, 0, {}
    return found


def _parts(bars: Iterable[Bar], enqueued: Callable[[str], bool]) -> Iterator[_Part]:
    """Yield the times of runs, and those of the runs to come of one minute as one."""
    in_process: dict[datetime, list[Bar]] = {}
    for bar in bars:
        if bar.kind == TO_COME and not enqueued(bar.task):
            in_process.setdefault(bar.begin, []).append(bar)
        elif bar.until > bar.begin:
            yield _Part(bar.begin, bar.until, (bar.task,))
    for minute, together in in_process.items():
        length = sum((bar.until - bar.begin for bar in together), timedelta(0))
        if length:
            yield _Part(minute, minute + length, tuple(bar.task for bar in together))


def find_long_minutes(
    minutes: Iterable[datetime],
    due: Callable[[datetime], Sequence[Task]],
    states: Mapping[str, TaskState],
    window: float,
) -> list[LongMinutes]:
    """Return the minutes to come in which tasks usually take longer than the window, those with the same tasks
    together.

    :param minutes: the minutes to come.
    :param due: returns the tasks that are due in a minute, and run in the process of the tick.
    :param window: the setting ``cron.window``.
    """
    lengths: dict[str, float] = {}
    found: dict[tuple[str, ...], LongMinutes] = {}
    for minute in sorted(set(minutes)):
        tasks = due(minute)
        names = tuple(task.name for task in tasks)
        if names in found:
            found[names] = found[names]._replace(minutes=[*found[names].minutes, minute])
            continue
        for task in tasks:
            if task.name not in lengths:
                lengths[task.name] = expected_length(task, states.get(task.name))[0] or 0.0
        normal = [task.name for task in tasks if not task.idle and lengths[task.name]]
        seconds = sum(lengths[name] for name in normal)
        if seconds > window:
            slow = [name for name in normal if lengths[name] >= NEGLIGIBLE * seconds]
            slow.sort(key=lambda name: -lengths[name])
            found[names] = LongMinutes([minute], seconds, slow, [task.name for task in tasks if task.idle])
    return list(found.values())


def find_own_overlaps(bars: Iterable[Bar]) -> list[OwnOverlap]:
    """Return the tasks that usually still run when they are due again, each once.

    :param bars: the bars to come of each task, one task after another.
    """
    found: dict[str, OwnOverlap] = {}
    for bar, following in pairwise(bars):
        if bar.task == following.task and bar.until > following.begin:
            found.setdefault(bar.task, OwnOverlap(bar.task, bar.begin, following.begin, bar.usual))
    return list(found.values())
