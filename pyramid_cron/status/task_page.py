"""The values of the page of one task."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, NamedTuple

from pyramid_cron.reports import MISSED, PAUSED, STUCK, PastRun, duration
from pyramid_cron.schedules import clock
from pyramid_cron.schedules.describe import in_words
from pyramid_cron.status.attention import Notice, notice_of
from pyramid_cron.status.formatting import (
    STYLES,
    FormattedRun,
    FormattedTime,
    format_distance,
    format_run,
    format_span,
    format_time,
)
from pyramid_cron.status.queries import TaskHistory
from pyramid_cron.task_summary import summarize
from pyramid_cron.tasks import Task, dotted_path

if TYPE_CHECKING:
    from pyramid_cron.monitoring.problems import Problem
    from pyramid_cron.store.queries import Missed

NEXT_RUNS = 10


class NextRun(NamedTuple):
    """A coming run.

    :param at: its time.
    :param offset: the UTC offset then.
    :param offset_changed: whether the clocks change before it.
    """

    at: FormattedTime
    offset: str
    offset_changed: bool


class TaskPage(NamedTuple):
    """The values of the page.

    :param name: the name of the task.
    :param zone: its time zone, which the times are in.
    :param docstring: its docstring.
    :param settings: what it was registered with, as labels and values.
    :param next_runs: its next runs.
    :param paused: until when it is paused, by which account and why; empty if it is not.
    :param has_history: whether there is a store, and the task is in it.
    :param error: why the store cannot be read.
    :param notices: what is wrong with it.
    :param history: its last runs, the newest first.
    """

    name: str
    zone: str
    docstring: str
    settings: Sequence[tuple[str, str]]
    next_runs: Sequence[NextRun]
    paused: str
    has_history: bool
    error: str | None
    notices: Sequence[Notice]
    history: Sequence[FormattedRun]


def build_task_page(registry: Any, task: Task, history: TaskHistory, now: datetime) -> TaskPage:
    """Return the values of the page."""
    settings, zone = registry['cron_settings'], task.timezone
    problems: tuple[Problem, ...] = ()
    at = now
    if history.examination is not None:
        problems = history.examination.by_task().get(task.name, ())
        # as on the page of all tasks, by the clock that has found them
        at = history.examination.snapshot.now
    stuck = any(problem.kind == STUCK for problem in problems)
    summary = summarize(task, clock.minute_of(now), NEXT_RUNS, problems=problems)
    return TaskPage(
        name=task.name,
        zone=summary.zone_name,
        docstring=summary.docstring,
        settings=_list_settings(task, summary.zone_name, settings.catch_up if settings.store is not None else None),
        next_runs=_format_next_runs(summary.next_runs, now, zone),
        paused=summary.format_pause(),
        has_history=history.has_store and task.store,
        error=history.error,
        notices=[notice_of(problem, at, zone) for problem in problems if problem.kind != PAUSED],
        history=[_format_entry(entry, now, stuck, zone) for entry in history.entries],
    )


def _list_settings(task: Task, zone: str, catch_up: timedelta | None) -> list[tuple[str, str]]:
    """Return what a task was registered with.

    :param catch_up: the setting ``cron.catch_up``; ``None`` without a store.
    """
    words, written = in_words(task.schedule), str(task.schedule)
    shown = [('Schedule', words), ('As written', written), ('Time zone', zone), ('Callable', dotted_path(task.f))]
    if words == written:
        del shown[1]
    shown.append(('Idle', 'after the other tasks, while time is left' if task.idle else 'no'))
    if task.engine is not None:
        shown.append(('Enqueued by', str(task.engine)))
    if catch_up is not None and task.store:
        grace = task.grace(catch_up)
        late = f'up to {duration(grace.total_seconds())} late' if grace else 'never late'
        shown += [('Catch up', late), ('Retries', str(task.retries or 'none'))]
    if catch_up is not None:
        shown.append(('Store', 'yes' if task.store else 'no: each process is on its own'))
    return shown


def _format_next_runs(runs: Sequence[datetime], now: datetime, zone: tzinfo | None) -> list[NextRun]:
    found: list[NextRun] = []
    before = clock.format_offset(clock.to_zone(now, zone))
    for run in runs:
        offset = clock.format_offset(run)
        # with a date even if that is today: the list goes on for days
        at = FormattedTime(f'{run:%a %Y-%m-%d %H:%M}', run.isoformat(timespec='minutes'), format_distance(run, now))
        found.append(NextRun(at, offset, offset != before))
        before = offset
    return found


def _format_entry(entry: Any, now: datetime, stuck: bool, zone: tzinfo | None) -> FormattedRun:
    return format_run(entry, now, stuck, zone) if isinstance(entry, PastRun) else _format_missed(entry, now, zone)


def _format_missed(missed: Missed, now: datetime, zone: tzinfo | None) -> FormattedRun:
    times = f'{missed.minutes} times, {format_span(missed.first, missed.last, now, zone)}'
    return FormattedRun(
        outcome=MISSED,
        symbol=STYLES[MISSED].symbol,
        css_class=STYLES[MISSED].css_class,
        when=format_time(missed.last, now, zone),
        took='',
        why=missed.reason or '',
        about=times if missed.minutes > 1 else '',
        traceback='',
    )
