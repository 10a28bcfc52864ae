"""The values of the page of all tasks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, tzinfo
from typing import Any, NamedTuple

from pyramid_cron.reports import PAUSED, UNREGISTERED
from pyramid_cron.schedules import clock
from pyramid_cron.schedules.describe import in_words
from pyramid_cron.status.attention import Notice, find_notices
from pyramid_cron.status.formatting import FormattedRun, FormattedTime, Strip, draw_strip, format_state, format_time
from pyramid_cron.status.queries import TasksState
from pyramid_cron.task_summary import LOCAL_TIME, TaskSummary, sort_by_next_run, summarize


class TaskRow(NamedTuple):
    """A task in the table.

    :param name: its name.
    :param description: the first line of its docstring.
    :param words: its schedule in words.
    :param crontab: its schedule as written, empty if ``words`` are the same.
    :param zone: its time zone, empty if that is the one of the page.
    :param idle: whether it waits for the idle time of a run.
    :param last_run: its last run.
    :param strip: a picture of its last runs.
    :param next_run: its next run.
    :param paused: whether it is paused.
    :param registered: whether it is registered here.
    """

    name: str
    description: str
    words: str
    crontab: str
    zone: str
    idle: bool
    last_run: FormattedRun | None
    strip: Strip | None
    next_run: FormattedTime | None
    paused: bool
    registered: bool = True


class TasksPage(NamedTuple):
    """The values of the page.

    :param has_store: whether there is a store.
    :param notices: what needs attention.
    :param last_tick: the newest minute that had a tick.
    :param next_row: the task that runs next.
    :param rows: the tasks, the next to run first and those that are unregistered last.
    """

    has_store: bool
    notices: Sequence[Notice]
    last_tick: FormattedTime | None
    next_row: TaskRow | None
    rows: Sequence[TaskRow]


def build_tasks_page(registry: Any, state: TasksState, now: datetime) -> TasksPage:
    """Return the values of the page."""
    tasks, zone = registry['cron_tasks'], registry['cron_settings'].timezone
    minute, examination = clock.minute_of(now), state.examination
    states = {} if examination is None else examination.snapshot.states
    problems = {} if examination is None else examination.by_task()
    last_tick = None if examination is None else examination.snapshot.last_tick
    summaries = [summarize(task, minute, 1, states.get(task.name), problems.get(task.name, ())) for task in tasks]
    rows = [_build_row(summary, state, now, zone) for summary in sort_by_next_run(summaries)]
    rows += _build_unregistered_rows(state, {task.name for task in tasks}, now, zone)
    return TasksPage(
        has_store=state.has_store,
        notices=find_notices(tasks, state, zone),
        last_tick=None if last_tick is None else format_time(last_tick, now, zone),
        next_row=rows[0] if rows and rows[0].next_run else None,
        rows=rows,
    )


def _build_unregistered_rows(
    state: TasksState, registered: Collection[str], now: datetime, zone: tzinfo | None
) -> Iterator[TaskRow]:
    """Yield a row for each task that is unregistered, and not registered here."""
    if state.examination is None:
        return
    for name, problems in state.examination.by_task().items():
        if name in registered or problems[0].kind != UNREGISTERED:
            continue
        outcomes = state.outcomes.get(name)
        yield TaskRow(
            name=name,
            description='',
            words=UNREGISTERED,
            crontab='',
            zone='',
            idle=False,
            last_run=format_state(state.examination.snapshot.states[name], problems, now, zone),
            strip=draw_strip(outcomes) if outcomes else None,
            next_run=None,
            paused=problems[-1].kind == PAUSED,
            registered=False,
        )


def _build_row(summary: TaskSummary, state: TasksState, now: datetime, zone: tzinfo | None) -> TaskRow:
    task, outcomes = summary.task, state.outcomes.get(summary.task.name)
    words, crontab = in_words(task.schedule), str(task.schedule)
    return TaskRow(
        name=task.name,
        description=summary.description,
        words=words,
        crontab='' if crontab == words else crontab,
        zone='' if summary.zone_name == str(zone or LOCAL_TIME) else summary.zone_name,
        idle=bool(task.idle),
        last_run=None if summary.state is None else format_state(summary.state, summary.problems, now, zone),
        strip=draw_strip(outcomes) if outcomes else None,
        next_run=format_time(summary.next_runs[0], now, zone) if summary.next_runs else None,
        paused=summary.pause is not None,
    )
