"""One task at an instant, for display: its next runs, its last run, and why it is due or not."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone, tzinfo
from itertools import islice
from typing import TYPE_CHECKING, Any

from pyramid_cron.claims import Pause
from pyramid_cron.durations import format_length
from pyramid_cron.last_due import LastDue, find_last_due
from pyramid_cron.outcomes import PAUSED, STUCK
from pyramid_cron.run_summary import in_zone
from pyramid_cron.schedules import clock
from pyramid_cron.schedules.fields import DAY, DOW, HOUR, MIN, MONTH, Field, write
from pyramid_cron.schedules.schedule import Schedule
from pyramid_cron.task_texts import format_pause, format_stop, pause_as_dict
from pyramid_cron.tasks import Task
from pyramid_cron.usual_length import SLOWER

if TYPE_CHECKING:
    from pyramid_cron.monitoring.problem import Problem
    from pyramid_cron.store.task_state import TaskState

LOCAL_TIME = 'local time'
# of a next run while no tick comes
IF_TICKS_COME = 'if ticks come'


@dataclass(frozen=True)
class TaskSummary:
    """One task at an instant.

    :param task: the task.
    :param instant: the minute at which it is examined, aware.
    :param next_runs: its next runs after that minute, in the time zone of the task.
    :param state: its row in the store, ``None`` without one, whatever the instant is.
    :param problems: what is wrong with it, the most urgent first.
    :param is_doubtful: whether no tick comes, so that its next runs may not come either.
    """

    task: Task
    instant: datetime
    next_runs: tuple[datetime, ...]
    state: TaskState | None = None
    problems: tuple[Problem, ...] = ()
    is_doubtful: bool = False

    @property
    def schedule_text(self) -> str:
        """Its schedule, and the setting that it is from if that is not the code."""
        return ', by '.join(filter(None, [str(self.task.schedule), self.task.schedule_by]))

    @property
    def why_none(self) -> str:
        """The reason in one word why it has no next run, if it has none."""
        return str(self.task.schedule) if self.task.schedule.is_off else PAUSED if self.is_paused else 'never'

    @property
    def pauses(self) -> list[Pause]:
        """Its pauses now, that of all tasks among them; that first which ends last."""
        found = [pause for problem in self.problems for pause in (problem.pause, problem.shorter_pause)]
        return [pause for pause in found if pause is not None]

    @property
    def pause(self) -> Pause | None:
        """Its pause, if it is paused now; of two, that which ends last."""
        return next(iter(self.pauses), None)

    @property
    def own_pause(self) -> Pause | None:
        """The pause of this task alone."""
        return next((pause for pause in self.pauses if not pause.of_all), None)

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
        if schedule.is_off:
            return self.schedule_text
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
        """Return since and until when, by which account and why the task is paused; empty if it is not."""
        return self.format_pause_in(self.task.timezone)

    def format_pause_in(self, zone: tzinfo | None) -> str:
        """Return the same in a time zone, ``None`` for the machine's."""
        return '; and '.join(
            f'{"with all tasks " if pause.of_all else ""}{format_pause(pause, zone)}' for pause in self.pauses
        )

    def format_stop(self) -> str:
        """Return by which account and since when its run in progress is to end; empty if it is not."""
        request = None if self.state is None else self.state.stop_request
        return '' if request is None else format_stop(request, self.task.timezone)

    def format_next_runs(self) -> list[str]:
        """Return a line for each of the next runs, or one line with the reason why there is none."""
        lines = [
            f'{run:%a %Y-%m-%d %H:%M} {clock.format_offset(run)}, {self.format_until(run)}' for run in self.next_runs
        ]
        why = 'none before it is resumed' if self.is_paused else 'never'
        return lines or [self.schedule_text if self.task.schedule.is_off else why]

    def format_usual(self) -> str:
        """Return sentences about how long runs of the task usually take; empty if that is not known."""
        state = self.state
        if state is None or state.usual is None:
            return ''
        which = 'The last run was' if state.running_seconds(0.0) is None else 'The run in progress is'
        return f'{state.usual.as_sentence()}{f" {which} {SLOWER}." if self._slower else ""}'

    @property
    def _slower(self) -> str:
        # that a run is stuck is more
        if self.state is None or any(problem.kind == STUCK for problem in self.problems):
            return ''
        return SLOWER if self.state.is_slower_than_usual(self.instant.timestamp()) else ''

    def last_due(self, zone: tzinfo | None) -> LastDue | None:
        """Return what became of its last due minute, with times in a time zone; ``None`` if nothing is known of one."""
        return None if self.state is None else find_last_due(self.state, self.problems, self.instant, zone)

    @property
    def words(self) -> frozenset[str]:
        """The words by which a person looks for it: the kinds of its problems, and what its run in progress is."""
        return words_of(self.state, self.problems)

    def format_last_due(self) -> str:
        """Return what became of its last due minute, with all that is known of that; empty if nothing is known."""
        last = self.last_due(self.task.timezone)
        return '' if last is None else '; '.join([str(last), *last.lines])

    def format_until(self, run: datetime) -> str:
        """Return how long it is until a next run, or that it comes only if ticks do."""
        return IF_TICKS_COME if self.is_doubtful else f'in {format_length(self.instant, run)}'

    def as_dict(self, *, explained: bool) -> dict[str, Any]:
        """Return the summary for JSON.

        :param explained: add whether the task is due at the instant, and why.
        """
        shown = {
            'name': self.task.name,
            'schedule': str(self.task.schedule),
            'schedule_by': self.task.schedule_by,
            'schedule_in_code': self.task.schedule_in_code and str(self.task.schedule_in_code),
            'timezone': None if self.task.timezone is None else self.zone_name,
            'idle': bool(self.task.idle),
            'description': self.description,
            'next': [run.isoformat() for run in self.next_runs],
            'next_utc': [clock.to_instant(run).isoformat() for run in self.next_runs],
            'last': self.state and _last_as_dict(self.state, self.task.timezone),
            'last_utc': self.state and _last_as_dict(self.state, timezone.utc),
            'usual': self.state and self.state.usual and self.state.usual.as_dict(),
            'slower_than_usual': bool(self._slower),
            'paused': self.pause and pause_as_dict(self.pause),
            'stop_requested': self.state and _stop_as_dict(self.state),
            'problems': [problem.kind for problem in self.problems],
        }
        return {**shown, 'due': self.is_due, 'why': self.explain()} if explained else shown


def summarize(
    task: Task,
    instant: datetime,
    count: int,
    state: TaskState | None = None,
    problems: tuple[Problem, ...] = (),
    is_doubtful: bool = False,
) -> TaskSummary:
    """Return the summary of ``task`` with its next ``count`` runs, which are those after its pause."""
    summary = TaskSummary(task, instant, (), state, problems, is_doubtful)
    return replace(summary, next_runs=tuple(islice(coming_runs(task, instant, summary.pause), count)))


def words_of(state: TaskState | None, problems: Iterable[Problem]) -> frozenset[str]:
    """Return the words by which a person looks for a task.

    :param state: its row, ``None`` without one.
    :param problems: what is wrong with it.
    """
    kinds = {problem.kind for problem in problems}
    # a run that is stuck is running, too
    in_progress = None if state is None else state.in_progress(False)
    return frozenset(kinds if in_progress is None else {*kinds, in_progress})


def coming_runs(task: Task, instant: datetime, pause: Pause | None) -> Iterator[datetime]:
    """Yield the runs of a task after an instant, without those before the end of a pause, in the zone of the task."""
    if pause is None:
        return task.runs(instant)
    if pause.until is None:
        return iter(())
    until = pause.until
    coming = task.runs(max(instant, clock.minute_of(until) - clock.MINUTE))
    # the minute within which the pause ends is still paused
    return (run for run in coming if clock.to_instant(run) >= until)


def _format_differences(schedule: Schedule, wall: datetime, fields: list[Field]) -> str:
    # a Friday that is not the second one is the first or the third
    week = (wall.day + 6) // 7 if schedule.dow > DOW.every else 0
    values = {MIN: wall.minute, HOUR: wall.hour, DAY: wall.day, MONTH: wall.month, DOW: 7 * week + wall.weekday()}
    return '; '.join(
        f'{spec.name} is {write(spec, 1 << values[spec])}, not {write(spec, getattr(schedule, spec.name))}'
        for spec in fields
    )


def _stop_as_dict(state: TaskState) -> dict[str, Any] | None:
    """Return the request that the run in progress ends for JSON, in UTC; ``None`` if there is none."""
    request = state.stop_request
    return None if request is None else {'by': request.requested_by, 'at': request.at and request.at.isoformat()}


def _last_as_dict(state: TaskState, zone: tzinfo | None) -> dict[str, Any] | None:
    """Return the last result of a task for JSON, with its instants in a time zone; ``None`` if there is none yet."""
    if state.last_outcome is None and not state.is_claimed and state.waits_since is None:
        return None
    values = {
        'outcome': state.last_outcome,
        'scheduled_for': state.last_outcome_for,
        'finished': state.last_finished,
        'seconds': state.last_seconds,
        'error': state.last_error,
        'message': state.last_message,
        'succeeded': state.last_success_at,
        'failures_in_a_row': state.bad_runs,
        'failing_since': state.failing_since,
        'running_since': state.started if state.is_claimed else None,
        'progress': state.progress and state.progress.as_dict(),
        'waits_since': state.waits_since,
    }
    return in_zone(values, zone)
