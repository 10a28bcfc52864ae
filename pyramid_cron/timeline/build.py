"""Builds a timeline: reads the store, if there is one, and computes the bars and what is named below them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, NamedTuple

from pyramid_cron.errors import Unavailable
from pyramid_cron.monitoring.problem import NO_TICK
from pyramid_cron.outcomes import OVERDUE, QUEUED, RUNNING, STUCK
from pyramid_cron.schedules import clock
from pyramid_cron.schedules.schedule import Schedule
from pyramid_cron.timeline.bars import TO_COME, WRONG, Bar, bars_of, bars_to_come
from pyramid_cron.timeline.overlaps import (
    Busy,
    LongMinutes,
    OwnOverlap,
    find_busy,
    find_long_minutes,
    find_own_overlaps,
)

if TYPE_CHECKING:
    from pyramid_cron.claims import Pause
    from pyramid_cron.history_entries import PastRun
    from pyramid_cron.monitoring.examine import Examination
    from pyramid_cron.store.ticks import Gap
    from pyramid_cron.tasks import Task, Tasks
    from pyramid_cron.timeline.window import Window

# runs in one day above which a task only has a row for what went wrong: more often than every quarter of an hour
MOST_A_DAY = 96
# records that are read, rows, and gaps
MOST_RUNS, MOST_FAULTS, MOST_ROWS, MOST_GAPS = 5000, 1000, 150, 200
# of a task that runs often, by which it is found that it overlaps itself
FEW_RUNS = 2


class NoTick(NamedTuple):
    """Minutes without a tick.

    :param first: the first of them, in UTC.
    :param end: their end; the present if no tick has come since.
    :param problem: why ticks failed that came in them, if that is known.
    """

    first: datetime
    end: datetime
    problem: str | None = None


class Row(NamedTuple):
    """The bars of a task.

    :param task: its name.
    :param registered: whether it is registered here.
    :param often: whether it runs so often that only what went wrong is among the bars.
    :param bars: the bars, in the order in which they begin.
    """

    task: str
    registered: bool
    often: bool
    bars: Sequence[Bar]


class Timeline(NamedTuple):
    """What ran in a time, and what is to come.

    :param window: the time.
    :param now: the present.
    :param rows: a row for each task with a bar, that which begins first is the first.
    :param no_ticks: the minutes without a tick.
    :param busy: the times in which several runs go on at once.
    :param long_minutes: the minutes to come that usually take longer than ``cron.window``.
    :param own_overlaps: the tasks that usually still run when they are due again.
    :param often: how many tasks without a row run more often than every quarter of an hour.
    :param more_rows: how many rows are left out.
    :param cut: the instant before which runs are left out, because there are too many; ``None`` if none are.
    :param paused: the names of tasks that are paused now, of a window with a time to come.
    :param without_history: the names of tasks with a row and without a record of their runs.
    :param has_store: whether there is a store.
    :param error: why it cannot be read.
    """

    window: Window
    now: datetime
    rows: Sequence[Row] = ()
    no_ticks: Sequence[NoTick] = ()
    busy: Sequence[Busy] = ()
    long_minutes: Sequence[LongMinutes] = ()
    own_overlaps: Sequence[OwnOverlap] = ()
    often: int = 0
    more_rows: int = 0
    cut: datetime | None = None
    paused: Sequence[str] = ()
    without_history: Sequence[str] = ()
    has_store: bool = False
    error: str | None = None

    @property
    def wrong(self) -> list[Bar]:
        """What a person has to look at, in the order in which it began."""
        return self._of_kinds(*WRONG)

    @property
    def in_progress(self) -> list[Bar]:
        """The runs in progress and the queued ones, without those that are stuck."""
        return self._of_kinds(RUNNING, QUEUED)

    @property
    def to_come(self) -> list[Bar]:
        """The runs to come, in their order."""
        return self._of_kinds(TO_COME)

    def _of_kinds(self, *kinds: str) -> list[Bar]:
        bars = [bar for row in self.rows for bar in row.bars if bar.kind in kinds]
        return sorted(bars, key=lambda bar: bar.begin)


class Records(NamedTuple):
    """What the store has of a window.

    :param examination: the rows of the tasks and what is wrong with them, ``None`` without a store.
    :param runs: runs, and minutes without one.
    :param gaps: the gaps between ticks.
    :param cut: the instant before which runs are left out, ``None`` if none are.
    """

    examination: Examination | None = None
    runs: Sequence[PastRun] = ()
    gaps: Sequence[Gap] = ()
    cut: datetime | None = None


def runs_often(schedule: Schedule) -> bool:
    """Return whether a schedule is due more often than every quarter of an hour, on the days on which it is."""
    return schedule.min.bit_count() * schedule.hour.bit_count() > MOST_A_DAY


def build_timeline(registry: Any, window: Window, now: datetime) -> Timeline:
    """Return the timeline of an application."""
    has_store = registry['cron_store'] is not None
    tasks, seconds = registry['cron_tasks'], registry['cron_settings'].window
    try:
        records = read_records(registry, tasks, window) if has_store else Records()
    except Unavailable as exc:
        return compute_timeline(tasks, Records(), window, now, seconds)._replace(has_store=True, error=str(exc))
    return compute_timeline(tasks, records, window, now, seconds)._replace(has_store=has_store)


def read_records(registry: Any, tasks: Tasks, window: Window) -> Records:
    """Read what the store has of a window.

    :raises Unavailable: if the store cannot be read.
    """
    from pyramid_cron.monitoring.examine import examine

    examination = examine(registry)
    often = {task.name for task in tasks if runs_often(task.schedule)}
    names = ({task.name for task in tasks} | set(examination.snapshot.states)) - often
    # of a task that a deploy renames, records have either name
    own_names = examination.snapshot.own_names(names)
    with registry['cron_store'].queries() as queries:
        if queries is None:
            return Records(examination)
        past = queries.runs_between(own_names.keys(), *window, MOST_RUNS)
        faults = queries.not_good_between(*window, MOST_FAULTS)
        gaps = queries.gaps_between(*window, MOST_GAPS)
    cut = max((day.runs[-1].started for day in (past, faults) if day.cut), default=None)
    own_name = examination.snapshot.own_names(examination.snapshot.states)
    by_id = {run.id: run._replace(task=own_name.get(run.task, run.task)) for run in chain(past.runs, faults.runs)}
    return Records(examination, list(by_id.values()), gaps, cut)


def compute_timeline(tasks: Tasks, records: Records, window: Window, now: datetime, seconds: float) -> Timeline:
    """Return the timeline of tasks.

    :param tasks: the tasks that are registered.
    :param records: what the store has of the window.
    :param seconds: the setting ``cron.window``.
    """
    examination = records.examination
    states = {} if examination is None else examination.snapshot.states
    registered, pauses = {task.name: task for task in tasks}, _pauses(examination)
    often = {task.name for task in tasks if runs_often(task.schedule)}
    bars = _past_bars(records, often, window, now)
    to_come, repeated = list[Bar](), list[Bar]()
    for task in tasks:
        coming = bars_to_come(task, states.get(task.name), pauses.get(task.name), window, now)
        found = list(islice(coming, FEW_RUNS) if task.name in often else coming)
        repeated += found
        if task.name not in often and found:
            to_come += found
            bars.setdefault(task.name, []).extend(found)
    rows = [
        Row(name, name in registered, name in often, sorted(each, key=lambda bar: bar.begin))
        for name, each in bars.items()
    ]
    rows.sort(key=lambda row: (row.bars[0].begin, row.task))
    shown = _most_urgent(rows)

    def due(minute: datetime) -> list[Task]:
        return [task for task in tasks.due(minute) if task.engine is None and not _is_paused(pauses, task, minute)]

    return Timeline(
        window,
        now,
        shown,
        _no_ticks(records, window, now),
        find_busy(chain.from_iterable(row.bars for row in rows), lambda name: registered[name].engine is not None),
        find_long_minutes((bar.begin for bar in to_come), due, states, seconds),
        find_own_overlaps(repeated),
        len(often - bars.keys()),
        len(rows) - len(shown),
        records.cut,
        [] if now >= window.end else sorted(name for name in pauses if name in registered and name not in often),
        [] if examination is None else [row.task for row in rows if not _is_recorded(registered.get(row.task))],
    )


def _past_bars(records: Records, often: Collection[str], window: Window, now: datetime) -> dict[str, list[Bar]]:
    """Return the bars of the history by the names of tasks; of those that run often, only what went wrong."""
    if records.examination is None:
        return {}
    found: dict[str, list[Bar]] = {}
    examination = records.examination
    for bar in bars_of(records.runs, examination.snapshot.states, examination.stuck, window, now):
        if bar.task not in often or bar.kind in WRONG:
            found.setdefault(bar.task, []).append(bar)
    for problem in examination.problems:
        name, since = str(problem.task), problem.since
        if since is None or not window.has(since):
            continue
        # of these tasks no runs are read
        if problem.kind == STUCK and name in often:
            found.setdefault(name, []).append(Bar(name, STUCK, since, now, now))
        # which nothing has recorded yet
        elif problem.kind == OVERDUE and problem.never_begun:
            found.setdefault(name, []).append(Bar(name, OVERDUE, since, since, since, problem.error or '', begun=False))
    return found


def _most_urgent(rows: list[Row]) -> list[Row]:
    """Return as many rows as are shown, in their order: those first with something wrong."""
    if len(rows) <= MOST_ROWS:
        return rows
    wrong = [row for row in rows if any(bar.kind in WRONG for bar in row.bars)][:MOST_ROWS]
    names = {row.task for row in wrong}
    others = [row for row in rows if row.task not in names][: MOST_ROWS - len(wrong)]
    names |= {row.task for row in others}
    return [row for row in rows if row.task in names]


def _is_recorded(task: Task | None) -> bool:
    return task is None or task.store


def _is_paused(pauses: Mapping[str, Pause], task: Task, minute: datetime) -> bool:
    pause = pauses.get(task.name)
    return pause is not None and (pause.until is None or minute < pause.until)


def _pauses(examination: Examination | None) -> dict[str, Pause]:
    """Return the pause in force of each task that has one; of two, that which ends last."""
    if examination is None:
        return {}
    problems = chain.from_iterable(examination.by_task().values())
    return {str(problem.task): problem.pause for problem in problems if problem.pause is not None}


def _no_ticks(records: Records, window: Window, now: datetime) -> list[NoTick]:
    """Return the minutes without a tick in a window, those since the last tick included."""
    found = [NoTick(gap.first, gap.last + clock.MINUTE, gap.problem) for gap in reversed(records.gaps)]
    of_ticks = None if records.examination is None else records.examination.of_ticks
    if of_ticks is not None and of_ticks.kind == NO_TICK and of_ticks.since is not None:
        found.append(NoTick(of_ticks.since + clock.MINUTE, now))
    return [gap for gap in found if gap.first < window.end and gap.end > window.first]
