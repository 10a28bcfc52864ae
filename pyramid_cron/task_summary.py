"""One task at an instant, for display: its next runs, its last run, and why it is due or not."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone, tzinfo
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from pyramid_cron.claims import Pause, Unavailable
from pyramid_cron.reports import PAUSED, STUCK, format_length
from pyramid_cron.run_summary import in_zone
from pyramid_cron.schedules import clock
from pyramid_cron.schedules.fields import DAY, DOW, HOUR, MIN, MONTH, Field, write
from pyramid_cron.schedules.schedule import CALENDAR_ENDS, Schedule
from pyramid_cron.schedules.spans import Span
from pyramid_cron.tasks import Task

if TYPE_CHECKING:
    from pyramid_cron.monitoring.problems import Problem
    from pyramid_cron.store.task_state import TaskState

LOCAL_TIME = 'local time'


@dataclass(frozen=True)
class TaskSummary:
    """One task at an instant.

    :param task: the task.
    :param instant: the minute at which it is examined, aware.
    :param next_runs: its next runs after that minute, in the time zone of the task.
    :param state: its row in the store, ``None`` without one, whatever the instant is.
    :param problems: what is wrong with it, the most urgent first.
    """

    task: Task
    instant: datetime
    next_runs: tuple[datetime, ...]
    state: TaskState | None = None
    problems: tuple[Problem, ...] = ()

    @property
    def pause(self) -> Pause | None:
        """Its pause, if it is paused now."""
        return next((problem.pause for problem in self.problems if problem.kind == PAUSED), None)

    @property
    def zone_name(self) -> str:
        return str(self.task.timezone or LOCAL_TIME)

    @property
    def local_instant(self) -> datetime:
        """The instant in the time zone of the task."""
        return clock.to_zone(self.instant, self.task.timezone)

    @property
    def next_instant(self) -> datetime | None:
        """The next run in UTC, for comparisons: within one time zone they would be those of the wall clock."""
        return clock.to_instant(self.next_runs[0]) if self.next_runs else None

    @property
    def is_due(self) -> bool:
        return self.task.check(self.instant)

    @property
    def is_paused(self) -> bool:
        """Whether the pause covers the instant, so that the task does not run although it is due."""
        return self.pause is not None and (self.pause.until is None or self.instant < self.pause.until)

    @property
    def docstring(self) -> str:
        f = self.task.f
        # the docstring of a partial object is that of functools.partial
        while isinstance(f, functools.partial):
            f = f.func
        return inspect.cleandoc(f.__doc__ or '').strip()

    @property
    def description(self) -> str:
        """The first line of the docstring."""
        return self.docstring.partition('\n')[0]

    def explain(self) -> str:
        """Return the reason why the task is due or not."""
        schedule = self.task.schedule
        skipped = self.task.skipped_wall_minutes(self.instant)
        if skipped:
            walls = ', '.join(f'{wall:%H:%M}' for wall in skipped)
            return f'the clocks have just skipped {walls}, which is caught up now'
        wall = clock.to_wall(self.instant, self.task.timezone)
        against, unneeded = schedule.differences(wall)
        if against:
            return _format_differences(schedule, wall, against)
        if not self.is_due:
            return 'the clocks went back, and it is due in the first pass of this hour only'
        if unneeded:
            return f'one of the two days suffices: {_format_differences(schedule, wall, unneeded)}'
        return 'both of the two days match' if schedule.either_day else 'all fields match'

    def format_pause(self) -> str:
        """Return until when, by which account and why the task is paused; empty if it is not."""
        if self.pause is None:
            return ''
        until = 'until it is resumed'
        if self.pause.until is not None:
            until = f'until {clock.to_zone(self.pause.until, self.task.timezone):%a %Y-%m-%d %H:%M}'
        return f'{until}{f", by {self.pause.requested_by}" if self.pause.requested_by else ""}: {self.pause.reason}'

    def format_next_runs(self) -> list[str]:
        """Return a line for each of the next runs, or one line with the reason why there is none."""
        lines = [
            f'{run:%a %Y-%m-%d %H:%M} {clock.format_offset(run)}, in {format_length(self.instant, run)}'
            for run in self.next_runs
        ]
        return lines or ['none before it is resumed' if self.is_paused else 'never']

    @property
    def last_outcome(self) -> str:
        """The last outcome in one word, or what the run in progress is; empty without either."""
        return next(iter(self._words()), '').partition(' ')[0]

    def format_last_run(self) -> str:
        """Return what the run in progress is, the last outcome, and how long ago that was; empty without any."""
        return ', '.join(self._words())

    def _words(self) -> Iterator[str]:
        state = self.state
        if state is None:
            return
        in_progress = state.in_progress(any(problem.kind == STUCK for problem in self.problems))
        if in_progress == STUCK:
            yield in_progress
        if state.last_outcome is not None:
            at = state.last_at
            yield ' '.join(filter(None, [state.last_outcome, '' if at is None else self._ago(at)]))
        if in_progress and in_progress != STUCK:
            yield in_progress

    def _ago(self, at: datetime) -> str:
        minute = clock.minute_of(at)
        if minute > self.instant:
            return ''
        return 'just now' if minute == self.instant else f'{format_length(minute, self.instant)} ago'

    def as_dict(self, *, explained: bool) -> dict[str, Any]:
        """Return the summary for JSON.

        :param explained: add whether the task is due at the instant, and why.
        """
        shown = {
            'name': self.task.name,
            'schedule': str(self.task.schedule),
            'timezone': None if self.task.timezone is None else self.zone_name,
            'idle': bool(self.task.idle),
            'description': self.description,
            'next': [run.isoformat() for run in self.next_runs],
            'next_utc': [clock.to_instant(run).isoformat() for run in self.next_runs],
            'last': self.state and _last_as_dict(self.state, self.task.timezone),
            'last_utc': self.state and _last_as_dict(self.state, timezone.utc),
            'paused': self.pause and _pause_as_dict(self.pause),
            'problems': [problem.kind for problem in self.problems],
        }
        return {**shown, 'due': self.is_due, 'why': self.explain()} if explained else shown


def summarize(
    task: Task, instant: datetime, count: int, state: TaskState | None = None, problems: tuple[Problem, ...] = ()
) -> TaskSummary:
    """Return the summary of ``task`` with its next ``count`` runs, which are those after its pause."""
    summary = TaskSummary(task, instant, (), state, problems)
    return replace(summary, next_runs=tuple(islice(_unpaused_runs(task, instant, summary.pause), count)))


class Summaries(NamedTuple):
    """The summaries of tasks, and what concerns all of them.

    :param tasks: the summaries.
    :param of_ticks: the problem that ticks do not come or fail, ``None`` if there is none and without a store.
    :param not_registered: the problems of tasks in the store that are not registered here.
    :param error: why the summaries lack states and problems.
    """

    tasks: list[TaskSummary]
    of_ticks: Problem | None = None
    not_registered: Sequence[Problem] = ()
    error: Unavailable | None = None


def summarize_all(registry: Any, tasks: Iterable[Task], instant: datetime, count: int) -> Summaries:
    """Return the summaries of tasks, each with its next ``count`` runs."""
    examination, error = None, None
    if registry['cron_store'] is not None:
        from pyramid_cron.monitoring.examine import examine

        try:
            examination = examine(registry)
        except Unavailable as exc:
            error = exc
    if examination is None:
        return Summaries([summarize(task, instant, count) for task in tasks], error=error)
    states, problems = examination.snapshot.states, examination.by_task()
    summaries = [summarize(task, instant, count, states.get(task.name), problems.get(task.name, ())) for task in tasks]
    registered = {task.name for task in registry['cron_tasks']}
    others = [problem for problem in examination.problems if problem.task and problem.task not in registered]
    return Summaries(summaries, examination.of_ticks, others)


def sort_by_next_run(summaries: Iterable[TaskSummary]) -> list[TaskSummary]:
    """Return the next to run first, and tasks without a next run last."""
    return sorted(summaries, key=lambda summary: summary.next_instant or CALENDAR_ENDS)


def _unpaused_runs(task: Task, instant: datetime, pause: Pause | None) -> Iterator[datetime]:
    if pause is None:
        return task.runs(instant)
    if pause.until is None:
        return iter(())
    until = pause.until
    coming = task.runs(max(instant, clock.minute_of(until) - clock.MINUTE))
    # the minute within which the pause ends is still paused
    return (run for run in coming if clock.to_instant(run) >= until)


def _format_differences(schedule: Schedule, wall: datetime, fields: list[Field]) -> str:
    values = {MIN: wall.minute, HOUR: wall.hour, DAY: wall.day, MONTH: wall.month, DOW: wall.weekday()}
    return '; '.join(
        f'{spec.name} is {write(spec, 1 << values[spec])}, not {write(spec, getattr(schedule, spec.name))}'
        for spec in fields
    )


def due_between(tasks: Iterable[Task], first: datetime, last: datetime) -> list[str]:
    """Return the names of the tasks that are due in a minute from ``first`` to ``last``."""
    span = Span(first, last)
    return [task.name for task in tasks if span.has_due(task.schedule, task.timezone)]


def _last_as_dict(state: TaskState, zone: tzinfo | None) -> dict[str, Any] | None:
    """Return the last result of a task for JSON, with its instants in a time zone; ``None`` if there is none yet."""
    if state.last_outcome is None and not state.is_claimed:
        return None
    values = {
        'outcome': state.last_outcome,
        'scheduled_for': state.last_outcome_for,
        'finished': state.last_finished,
        'seconds': state.last_seconds,
        'error': state.last_error,
        'succeeded': state.last_success_at,
        'failures_in_a_row': state.failures_in_a_row or 0,
        'running_since': state.started if state.is_claimed else None,
    }
    return in_zone(values, zone)


def _pause_as_dict(pause: Pause) -> dict[str, Any]:
    """Return a pause for JSON, in UTC."""
    return {
        'until': pause.until and pause.until.isoformat(),
        'reason': pause.reason,
        'requested_by': pause.requested_by,
    }
