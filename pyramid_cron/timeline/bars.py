"""The bars of a timeline: what ran, the minutes without a run, and what is to come."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta, tzinfo
from itertools import takewhile
from typing import TYPE_CHECKING, Any, NamedTuple

from pyramid_cron.durations import format_seconds, run_duration
from pyramid_cron.history_entries import MADE_GOOD, PastRun
from pyramid_cron.outcomes import FAILED, LOST, MISSED, OVERDUE, QUEUED, RUNNING, STUCK
from pyramid_cron.schedules import clock
from pyramid_cron.task_summary import coming_runs

if TYPE_CHECKING:
    from pyramid_cron.claims import Pause
    from pyramid_cron.store.task_state import TaskState
    from pyramid_cron.tasks import Task
    from pyramid_cron.timeline.window import Window

#: the kind of a run by schedule that has not begun; other kinds are outcomes
TO_COME = 'to come'

# outcomes of a run that goes on
IN_PROGRESS = (RUNNING, STUCK, QUEUED)
# what a person has to look at
WRONG = (FAILED, LOST, MISSED, OVERDUE, STUCK)


class Bar(NamedTuple):
    """A run, a minute without one, or a run to come. Its instants are in UTC.

    :param task: the name of the task.
    :param kind: its outcome, or :data:`TO_COME`.
    :param begin: when it began, or its minute.
    :param end: when it ended, or the present while it runs; ``begin`` of a minute without a run, and of a run to come.
    :param until: when it usually would have ended, if it runs or is to come; otherwise ``end``.
    :param why: what it raised, or why it did not run.
    :param usual: how long runs usually take, as a text, if it runs or is to come; empty if that is not known.
    :param begun: whether it has begun.
    """

    task: str
    kind: str
    begin: datetime
    end: datetime
    until: datetime
    why: str = ''
    usual: str = ''
    begun: bool = True

    def describe(self, at: Callable[[datetime], str]) -> str:
        """Return it in words, without its task: ``02:00 ok, 2 min 14 s``.

        :param at: returns the text of an instant.
        """
        parts = [f'{at(self.begin)} {self.kind}']
        seconds = (self.end - self.begin).total_seconds()
        if self.kind in IN_PROGRESS:
            parts[0] += f' for {run_duration(seconds)}'
        elif self.begun and self.kind != LOST:
            parts.append(format_seconds(seconds))
        return ', '.join(filter(None, [*parts, self.usual])) + (f': {self.why}' if self.why else '')

    def as_dict(self, zone: tzinfo | None) -> dict[str, Any]:
        """Return it for JSON, with its instants in a time zone."""
        return {
            'kind': self.kind,
            'begin': clock.to_zone(self.begin, zone).isoformat(),
            'end': clock.to_zone(self.end, zone).isoformat() if self.begun and self.kind not in IN_PROGRESS else None,
            'expected_end': clock.to_zone(self.until, zone).isoformat() if self.until > self.end else None,
            'why': self.why or None,
        }


def bar_of(run: PastRun, state: TaskState | None, stuck: bool, now: datetime) -> Bar:
    """Return the bar of a run in the history, or of a minute without one.

    :param state: the row of its task, for how long runs usually take.
    :param stuck: whether the run in progress of its task is stuck.
    """
    kind = MADE_GOOD if run.made_good_by is not None else run.outcome
    if not run.attempt:
        minute = run.scheduled_for or run.started
        return Bar(run.task, kind, minute, minute, minute, run.why, begun=False)
    if kind not in (RUNNING, QUEUED):
        end = max(run.started + timedelta(seconds=run.seconds or 0.0), run.started)
        return Bar(run.task, kind, run.started, end, end, run.why)
    # not before its start, where the clocks of two machines differ
    end, usual = max(now, run.started), None if state is None else state.usual
    if kind == QUEUED or usual is None:
        return Bar(run.task, STUCK if stuck and kind == RUNNING else kind, run.started, end, end, run.why)
    until = max(end, run.started + timedelta(seconds=usual.median))
    compared = usual.compare((end - run.started).total_seconds())
    return Bar(run.task, STUCK if stuck else kind, run.started, end, until, run.why, compared)


def bars_to_come(
    task: Task, state: TaskState | None, pause: Pause | None, window: Window, now: datetime
) -> Iterator[Bar]:
    """Yield the bars of the runs of a task that are to come in a window.

    :param pause: the pause in force: minutes before its end are left out.
    """
    seconds, usual = expected_length(task, state)
    after = max(clock.minute_of(now), window.first - clock.MINUTE)
    coming = map(clock.to_instant, coming_runs(task, after, pause))
    for minute in takewhile(lambda minute: minute < window.end, coming):
        until = minute + timedelta(seconds=seconds or 0.0)
        yield Bar(task.name, TO_COME, minute, minute, until, usual=usual, begun=False)


def expected_length(task: Task, state: TaskState | None) -> tuple[float | None, str]:
    """Return the seconds that a run of a task will take, ``None`` if that is not known, and the words for it."""
    usual = None if state is None else state.usual
    if usual is not None:
        return usual.median, str(usual)
    if task.expect is not None:
        return task.expect, f'expected to take {run_duration(task.expect)}'
    return None, ''


def bars_of(
    runs: Iterable[PastRun], states: Mapping[str, TaskState], stuck: Iterable[str | None], window: Window, now: datetime
) -> list[Bar]:
    """Return the bars of runs in the history that have a part in a window."""
    of_stuck = set(stuck)
    bars = (bar_of(run, states.get(run.task), run.task in of_stuck, now) for run in runs)
    return [bar for bar in bars if window.has(bar.begin) or bar.begin < window.first < bar.end]
