"""What the page shows of one task, and of one minute."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from pyramid_cron.reports import MISSED, PastRun, duration
from pyramid_cron.schedules import clock
from pyramid_cron.schedules.describe import in_words
from pyramid_cron.status.formatting import LOOKS, Line, Moment, away, line, moment, span
from pyramid_cron.status.memory import TaskMemory, recall_minute
from pyramid_cron.task_summary import LOCAL_TIME, Overview
from pyramid_cron.tasks import Task, dotted_path

NEXT_RUNS = 10


class NextRun(NamedTuple):
    """A coming run.

    :param at: when.
    :param offset: the UTC offset then.
    :param changed: whether the clocks change before it.
    """

    at: Moment
    offset: str
    changed: bool


class Detail(NamedTuple):
    """What the page of a task shows.

    :param name: the name of the task.
    :param zone: its time zone, which its times are in.
    :param docstring: its docstring.
    :param settings: what it was registered with, for people.
    :param next: its next runs.
    :param paused: until when it is paused, by whom and why; empty if it is not.
    :param stored: whether there is a store, and the task is in it.
    :param problem: why the store cannot be asked.
    :param history: its last runs, the newest first.
    """

    name: str
    zone: str
    docstring: str
    settings: Sequence[tuple[str, str]]
    next: Sequence[NextRun]
    paused: str
    stored: bool
    problem: str | None
    history: Sequence[Line]


def detail_of(registry: Any, task: Task, memory: TaskMemory, now: datetime) -> Detail:
    """Return what the page shows of a task at a time."""
    settings, zone = registry['cron_settings'], task.timezone
    overview = Overview.of(task, clock.minute_of(now), NEXT_RUNS, pause=memory.pause)
    return Detail(
        name=task.name,
        zone=overview.zone,
        docstring=inspect.cleandoc(overview.docstring),
        settings=_settings(task, overview.zone, settings.catch_up if settings.store is not None else None),
        next=_next_runs(overview.runs, now, zone),
        paused=overview.paused(),
        stored=memory.stored and task.store,
        problem=memory.problem,
        history=[_entry(entry, now, task.window(settings.window), zone) for entry in memory.entries],
    )


def _settings(task: Task, zone: str, catch_up: timedelta | None) -> list[tuple[str, str]]:
    """Return what a task was registered with.

    :param catch_up: what is caught up if the task does not say; ``None`` without a store.
    """
    words, written = in_words(task.schedule), str(task.schedule)
    shown = [('Schedule', words), ('As written', written), ('Time zone', zone), ('Callable', dotted_path(task.f))]
    if words == written:
        del shown[1]
    shown.append(('Idle', 'after the other tasks, while time is left' if task.idle else 'no'))
    if task.engine is not None:
        shown.append(('Handed over to', str(task.engine)))
    if catch_up is not None and task.store:
        grace = catch_up if task.catch_up is None else task.catch_up
        late = f'up to {duration(grace.total_seconds())} late' if grace else 'never late'
        shown += [('Catch up', late), ('Retries', str(task.retries or 'none'))]
    if catch_up is not None:
        shown.append(('Store', 'yes' if task.store else 'no: each process is on its own'))
    return shown


def _next_runs(runs: Sequence[datetime], now: datetime, zone: Any) -> list[NextRun]:
    found: list[NextRun] = []
    before = clock.to_zone(now, zone).utcoffset()
    for run in runs:
        offset = run.utcoffset()
        at = Moment(f'{run:%a %Y-%m-%d %H:%M}', run.isoformat(timespec='minutes'), away(run, now))
        found.append(NextRun(at, f'{run:%z}'[:3] + ':' + f'{run:%z}'[3:5], offset != before))
        before = offset
    return found


def _full_line(run: PastRun, now: datetime, window: float, zone: Any) -> Line:
    """Return a run for where its process is shown, too."""
    return line(run, now, window, zone)._replace(why=run.why)


def _entry(entry: Any, now: datetime, window: float, zone: Any) -> Line:
    if not hasattr(entry, 'minutes'):
        return _full_line(entry, now, window, zone)
    symbol, look, _ = LOOKS[MISSED]
    about = f'{entry.minutes} times, {span(entry.first, entry.last, now, zone)}' if entry.minutes > 1 else ''
    return Line(MISSED, symbol, look, moment(entry.last, now, zone), '', entry.reason or '', about, '')


class Verdict(NamedTuple):
    """A task in a minute.

    :param name: the name of the task.
    :param why: why it is due or not.
    :param recorded: what became of it.
    """

    name: str
    why: str
    recorded: Sequence[Line] = ()


class Minute(NamedTuple):
    """What the page shows of a minute.

    :param at: the minute.
    :param past: whether it is over.
    :param due: the tasks that were due.
    :param others: those that were not.
    :param stored: whether there is a store.
    :param problem: why the store cannot be asked.
    """

    at: str
    past: bool
    due: Sequence[Verdict]
    others: Sequence[Verdict]
    stored: bool
    problem: str


def minute_of(registry: Any, instant: datetime, now: datetime) -> Minute:
    """Return what was or will be due in a minute, and why."""
    settings = registry['cron_settings']
    overviews = [Overview.of(task, instant, 0) for task in registry['cron_tasks']]
    due = [entry for entry in overviews if entry.due]
    recorded, problem = recall_minute(registry, [entry.task.name for entry in due], instant)
    shown = clock.to_zone(instant, settings.timezone)

    def lines(task: Task) -> list[Line]:
        window = task.window(settings.window)
        return [_full_line(run, now, window, settings.timezone) for run in recorded.get(task.name, [])]

    return Minute(
        at=f'{shown:%a %Y-%m-%d %H:%M} {settings.timezone or LOCAL_TIME}',
        past=instant <= now,
        due=[Verdict(entry.task.name, entry.why(), lines(entry.task)) for entry in due],
        others=[Verdict(entry.task.name, entry.why()) for entry in overviews if not entry.due],
        stored=settings.store is not None,
        problem=problem,
    )
