"""The values of the page of one task."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from typing import TYPE_CHECKING, Any, NamedTuple

from pyramid_cron.callables import dotted_path
from pyramid_cron.durations import duration, run_duration
from pyramid_cron.history_entries import ActionEntry, PastRun
from pyramid_cron.outcomes import FAILED, LOST, PAUSED, STUCK
from pyramid_cron.run_keys import key_of
from pyramid_cron.schedules import clock
from pyramid_cron.schedules.describe import in_words
from pyramid_cron.status.attention import Notice, notice_of
from pyramid_cron.status.formatting import (
    FormattedProgress,
    FormattedRun,
    FormattedTime,
    format_action,
    format_distance,
    format_progress,
    format_run,
)
from pyramid_cron.status.history_form import HistoryForm, write_place
from pyramid_cron.status.history_page import Day, by_day, format_missed
from pyramid_cron.status.length_bars import LengthBars, draw_lengths
from pyramid_cron.status.queries import TaskHistory
from pyramid_cron.status.run_place import describe_place
from pyramid_cron.task_summary import IF_TICKS_COME, LOCAL_TIME, TaskSummary, summarize
from pyramid_cron.task_texts import format_retries, format_stop
from pyramid_cron.tasks import Task

if TYPE_CHECKING:
    from pyramid_cron.monitoring.problem import Problem
    from pyramid_cron.store.task_state import TaskState

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
    :param zone: the time zone of the times.
    :param docstring: its docstring.
    :param settings: what it was registered with, as labels and values.
    :param next_runs: its next runs.
    :param paused: until when it is paused, by which account and why; empty if it is not.
    :param paused_by_itself: whether it has a pause of its own, beside that of all tasks.
    :param has_history: whether there is a store, and the task is in it.
    :param error: why the store cannot be read.
    :param notices: what is wrong with it.
    :param history: its last entries by their days, the newest first.
    :param older: the query of the page of the history that goes on there; empty if nothing is older.
    :param stop: by which user and since when its run in progress is to end; empty if it is not.
    :param run_id: the run in progress or queued that a button stops; empty without one, or if it is to end already.
    :param may_acknowledge: whether its last failure is an alarm that can be acknowledged.
    :param run_place: sentences about where a run by hand happens.
    :param usual: sentences about how long its runs usually take; empty if that is not known.
    :param lengths: a picture of how long its last runs took.
    """

    name: str
    zone: str
    docstring: str
    settings: Sequence[tuple[str, str]]
    next_runs: Sequence[NextRun]
    paused: str
    paused_by_itself: bool
    has_history: bool
    error: str | None
    notices: Sequence[Notice]
    history: Sequence[Day]
    older: str
    may_acknowledge: bool
    run_place: Sequence[str]
    stop: str = ''
    run_id: str = ''
    usual: str = ''
    lengths: LengthBars | None = None


def build_task_page(registry: Any, task: Task, history: TaskHistory, now: datetime, zone: tzinfo | None) -> TaskPage:
    """Return the values of the page.

    :param zone: the time zone of its times, ``None`` for the machine's.
    """
    settings = registry['cron_settings']
    problems: tuple[Problem, ...] = ()
    at, state, is_silent = now, None, False
    if history.examination is not None:
        is_silent = history.examination.is_silent
        problems = history.examination.by_task().get(task.name, ())
        # as on the page of all tasks, by the clock that has found them
        at = history.examination.snapshot.now
        state = history.examination.snapshot.state_of(task)
    request = None if state is None else state.stop_request
    stuck = any(problem.kind == STUCK for problem in problems)
    summary = summarize(task, clock.minute_of(now), NEXT_RUNS, state, problems, is_silent)
    return TaskPage(
        name=task.name,
        zone=str(zone or LOCAL_TIME),
        docstring=summary.docstring,
        settings=_list_settings(task, summary.zone_name, settings.catch_up if settings.store is not None else None),
        next_runs=_format_next_runs(summary, now, zone),
        paused=summary.format_pause_in(zone),
        paused_by_itself=summary.own_pause is not None,
        has_history=history.has_store and task.store,
        error=history.error,
        notices=[notice_of(problem, at, zone) for problem in problems if problem.kind != PAUSED],
        history=by_day(
            (
                task.name,
                _format_entry(entry, now, stuck, zone, history)._replace(progress=_progress_of(entry, state, at)),
            )
            for entry in history.entries
        ),
        older=_query_of_older(task.name, history),
        may_acknowledge=any(problem.may_be_acknowledged for problem in problems),
        run_place=describe_place(registry, task, state),
        stop='' if request is None else format_stop(request, zone),
        run_id='' if state is None or request is not None else state.run_id or '',
        usual=summary.format_usual(),
        lengths=draw_lengths(history.lengths, None if state is None else state.usual, stuck, now, zone),
    )


def _query_of_older(name: str, history: TaskHistory) -> str:
    if history.older is None:
        return ''
    return HistoryForm(name, history.outcome, history.trigger, before=write_place(history.older)).query()


def _list_settings(task: Task, zone: str, catch_up: timedelta | None) -> list[tuple[str, str]]:
    """Return what a task was registered with.

    :param catch_up: the setting ``cron.catch_up``; ``None`` without a store.
    """
    words, written = in_words(task.schedule), str(task.schedule)
    shown = [('Schedule', words), ('As written', written), ('Time zone', zone), ('Callable', dotted_path(task.f))]
    if words == written:
        del shown[1]
    if task.schedule_by is not None:
        shown[0] = 'Schedule', f'{words}, by {task.schedule_by}'
        shown.insert(-2, ('In the code', str(task.schedule_in_code)))
    shown.append(('Idle', 'after the other tasks, while time is left' if task.idle else 'no'))
    if task.engine is not None:
        shown.append(('Enqueued by', str(task.engine)))
    if catch_up is not None and task.store:
        grace = task.grace(catch_up)
        late = f'up to {duration(grace.total_seconds())} late' if grace else 'never late'
        missed = 'each, the oldest first' if task.runs_each_minute else 'the newest'
        shown += [('Catch up', late), ('Missed minutes', missed), ('Retries', format_retries(task))]
    if task.expect:
        shown.append(('Expected to take', run_duration(task.expect)))
    if task.tolerate:
        shown.append(('Tolerated failures', str(task.tolerate)))
    if catch_up is not None:
        shown.append(('Store', 'yes' if task.store else 'no: each process is on its own'))
    return shown


def _format_next_runs(summary: TaskSummary, now: datetime, zone: tzinfo | None) -> list[NextRun]:
    found: list[NextRun] = []
    before = clock.format_offset(clock.to_zone(now, zone))
    for run in (clock.to_zone(run, zone) for run in summary.next_runs):
        offset = clock.format_offset(run)
        # with a date even if that is today: the list goes on for days
        distance = IF_TICKS_COME if summary.is_doubtful else format_distance(run, now)
        at = FormattedTime(f'{run:%a %Y-%m-%d %H:%M}', run.isoformat(timespec='minutes'), distance)
        found.append(NextRun(at, offset, offset != before))
        before = offset
    return found


def _format_entry(entry: Any, now: datetime, stuck: bool, zone: tzinfo | None, history: TaskHistory) -> FormattedRun:
    if isinstance(entry, ActionEntry):
        return format_action(entry, now, zone)
    if not isinstance(entry, PastRun):
        return format_missed(entry, now, zone)
    formatted, minute = (
        format_run(entry, now, stuck, zone)._replace(key=key_of(history.app, entry)),
        entry.scheduled_for,
    )
    is_wrong = entry.outcome in (FAILED, LOST) and entry.made_good_by is None
    return (
        formatted if minute is None or minute in history.ok or not is_wrong else formatted._replace(minute=_iso(minute))
    )


def _progress_of(entry: Any, state: TaskState | None, now: datetime) -> FormattedProgress | None:
    is_running = isinstance(entry, PastRun) and state is not None and entry.id == state.run_id
    return format_progress(state, now) if is_running else None


def _iso(minute: datetime) -> str:
    return clock.to_instant(minute).isoformat(timespec='minutes')
