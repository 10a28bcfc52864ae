"""The values of the page of all tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any, NamedTuple

from pyramid_cron.last_due import find_last_due
from pyramid_cron.outcomes import PAUSED, UNREGISTERED
from pyramid_cron.schedules import clock
from pyramid_cron.schedules.describe import in_words
from pyramid_cron.status.attention import Notice, find_notices
from pyramid_cron.status.formatting import (
    FormattedDue,
    FormattedTime,
    Strip,
    draw_strip,
    format_last_due,
    format_time,
)
from pyramid_cron.status.queries import TasksState, read_outcomes, read_tasks
from pyramid_cron.status.task_filter import Choice, Entry, TaskFilter, choose
from pyramid_cron.status.task_links import Chip, Heading, link_headings, link_pages, link_states
from pyramid_cron.task_summary import IF_TICKS_COME, LOCAL_TIME, TaskSummary, summarize, words_of

# fewer tasks are seen at once, without filters
FEW_TASKS = 5


class TaskRow(NamedTuple):
    """A task in the table.

    :param name: its name.
    :param description: the first line of its docstring.
    :param words: its schedule in words.
    :param crontab: its schedule as written, empty if ``words`` are the same.
    :param zone: its time zone, empty if that is the one of the page.
    :param idle: whether it waits for the idle time of a run.
    :param last_due: what became of its last due minute.
    :param strip: a picture of its last runs.
    :param next_run: its next run.
    :param paused: whether it is paused.
    :param registered: whether it is registered here.
    :param schedule_by: the setting that its schedule is from, ``None`` for the code.
    :param why_none: the reason why there is no next run.
    """

    name: str
    description: str
    words: str
    crontab: str
    zone: str
    idle: bool
    last_due: FormattedDue | None
    strip: Strip | None
    next_run: FormattedTime | None
    paused: bool
    registered: bool = True
    schedule_by: str | None = None
    why_none: str = 'never'


class NextTask(NamedTuple):
    """The task that runs next.

    :param name: its name.
    :param at: when it runs.
    """

    name: str
    at: FormattedTime


class TasksPage(NamedTuple):
    """The values of the page.

    :param has_store: whether there is a store.
    :param is_silent: whether no tick comes, so that no task runs.
    :param notices: what needs attention.
    :param last_tick: the newest minute that had a tick.
    :param next_task: the task that runs next.
    :param pause_of_all: whether all tasks are paused.
    :param not_in_store: the tasks that a pause of all does not concern.
    :param has_filters: whether there are so many tasks, or so few of them shown, that filters help.
    :param filter: the choice of the tasks.
    :param chips: the states that can be chosen.
    :param headings: the links that sort the table, by the names of the orders.
    :param pages: the links to the pages, empty if there is one.
    :param all: how many tasks there are.
    :param chosen: how many of them are chosen, on all pages.
    :param rows: the tasks of the page.
    """

    has_store: bool
    is_silent: bool
    notices: Sequence[Notice]
    last_tick: FormattedTime | None
    next_task: NextTask | None
    pause_of_all: bool
    not_in_store: Sequence[str]
    has_filters: bool
    filter: TaskFilter
    chips: Sequence[Chip]
    headings: Mapping[str, Heading]
    pages: Sequence[Chip]
    all: int
    chosen: int
    rows: Sequence[TaskRow]


def read_tasks_page(registry: Any, chosen: TaskFilter, now: datetime, zone: tzinfo | None) -> TasksPage:
    """Return the values of the page, read from the store.

    :param chosen: which tasks it shows.
    :param zone: the time zone of its times, ``None`` for the machine's.
    """
    state = read_tasks(registry, now)
    entries = list_entries(registry, state, now)
    choice = choose(entries, chosen, now)
    names = {name: entry.name for entry in choice.entries for name in (entry.name, *_other_names(entry))}
    outcomes = read_outcomes(registry, names)
    return build_tasks_page(registry, state, entries, choice, outcomes, now, zone)


def _other_names(entry: Entry) -> Sequence[str]:
    return () if entry.state is None else entry.state.other_names


def list_entries(registry: Any, state: TasksState, now: datetime) -> list[Entry]:
    """Return all tasks to choose from: those that are registered here, and those that are unregistered."""
    examination, minute = state.examination, clock.minute_of(now)
    if examination is None:
        summaries = [summarize(task, minute, 1) for task in registry['cron_tasks']]
        return [Entry(summary.task.name, frozenset(), summary=summary) for summary in summaries]
    states, problems = examination.snapshot.states, examination.by_task()
    found = []
    for task in registry['cron_tasks']:
        row, wrong = examination.snapshot.state_of(task), problems.get(task.name, ())
        summary = summarize(task, minute, 1, row, wrong, examination.is_silent)
        found.append(Entry(task.name, summary.words, wrong, row, summary))
    registered = {entry.name for entry in found}
    return found + [
        Entry(name, words_of(states[name], wrong), wrong, states[name])
        for name, wrong in problems.items()
        if name not in registered and wrong[0].kind == UNREGISTERED
    ]


def build_tasks_page(
    registry: Any,
    state: TasksState,
    entries: Sequence[Entry],
    choice: Choice,
    outcomes: Mapping[str, Sequence[str]],
    now: datetime,
    zone: tzinfo | None,
) -> TasksPage:
    """Return the values of the page.

    :param entries: all tasks, see :func:`list_entries`.
    :param choice: those of the page.
    :param outcomes: the outcomes of the last runs of these, the newest last.
    :param zone: the time zone of its times, ``None`` for the machine's.
    """
    tasks, examination = registry['cron_tasks'], state.examination
    last_tick = None if examination is None else examination.snapshot.last_tick
    return TasksPage(
        has_store=state.has_store,
        is_silent=examination is not None and examination.is_silent,
        notices=find_notices(tasks, state, zone),
        last_tick=None if last_tick is None else format_time(last_tick, now, zone),
        next_task=_find_next(entries, now, zone),
        pause_of_all=examination is not None and examination.snapshot.pause_of_all is not None,
        not_in_store=[task.name for task in tasks if not task.store],
        has_filters=len(entries) > FEW_TASKS or choice.filter.is_narrow,
        filter=choice.filter,
        chips=[] if examination is None else link_states(choice),
        headings=link_headings(choice.filter),
        pages=link_pages(choice),
        all=len(entries),
        chosen=choice.number,
        rows=list(_build_rows(choice.entries, outcomes, now, zone)),
    )


def _find_next(entries: Sequence[Entry], now: datetime, zone: tzinfo | None) -> NextTask | None:
    first = min(entries, key=lambda entry: entry.next_instant, default=None)
    if first is None or first.summary is None or not first.summary.next_runs:
        return None
    return NextTask(first.name, format_time(first.summary.next_runs[0], now, zone))


def _build_rows(
    entries: Sequence[Entry], outcomes: Mapping[str, Sequence[str]], now: datetime, zone: tzinfo | None
) -> Iterator[TaskRow]:
    for entry in entries:
        due = _format_due(entry, now, zone)
        runs = outcomes.get(entry.name)
        strip = draw_strip(runs) if runs else None
        if entry.summary is None:
            yield _build_unregistered_row(entry, due, strip)
        else:
            yield _build_row(entry.summary, due, strip, now, zone)


def _format_due(entry: Entry, now: datetime, zone: tzinfo | None) -> FormattedDue | None:
    if entry.state is None:
        return None
    last = find_last_due(entry.state, entry.problems, now, zone)
    return None if last is None else format_last_due(last, entry.state, now, zone)


def _build_unregistered_row(entry: Entry, due: FormattedDue | None, strip: Strip | None) -> TaskRow:
    is_paused = PAUSED in entry.words
    return TaskRow(
        name=entry.name,
        description='',
        words=UNREGISTERED,
        crontab='',
        zone='',
        idle=False,
        last_due=due,
        strip=strip,
        next_run=None,
        paused=is_paused,
        registered=False,
        why_none=PAUSED if is_paused else 'never',
    )


def _build_row(
    summary: TaskSummary, due: FormattedDue | None, strip: Strip | None, now: datetime, zone: tzinfo | None
) -> TaskRow:
    task = summary.task
    words, crontab = in_words(task.schedule), str(task.schedule)
    next_run = format_time(summary.next_runs[0], now, zone) if summary.next_runs else None
    return TaskRow(
        name=task.name,
        description=summary.description,
        words=words,
        crontab='' if crontab == words else crontab,
        zone='' if summary.zone_name == str(zone or LOCAL_TIME) else summary.zone_name,
        idle=bool(task.idle),
        last_due=due,
        strip=strip,
        next_run=next_run._replace(distance=IF_TICKS_COME) if next_run and summary.is_doubtful else next_run,
        paused=summary.pause is not None,
        schedule_by=task.schedule_by,
        why_none=summary.why_none,
    )
