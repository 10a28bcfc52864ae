"""One task at an instant: its next runs, its last one, and why it is due or not."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timezone, tzinfo
from itertools import islice
from typing import Any

from pyramid_cron.claims import Pause
from pyramid_cron.reports import PastRun
from pyramid_cron.schedules import clock
from pyramid_cron.schedules.fields import DAY, DOW, HOUR, MIN, MONTH, Field, write
from pyramid_cron.schedules.schedule import Schedule
from pyramid_cron.tasks import Task

LOCAL_TIME = 'local time'


@dataclass(frozen=True)
class Overview:
    """One task at an instant.

    :param task: the task.
    :param instant: the minute it is looked at, aware.
    :param runs: its next runs after it, in the time zone of the task.
    :param last: its last run, if one is remembered, whatever the instant is.
    :param pause: its pause, if somebody has paused it.
    """

    task: Task
    instant: datetime
    runs: tuple[datetime, ...]
    last: PastRun | None = None
    pause: Pause | None = None

    @classmethod
    def of(
        cls, task: Task, instant: datetime, count: int, last: PastRun | None = None, pause: Pause | None = None
    ) -> Overview:
        """Return the overview of ``task`` with its next ``count`` runs, which come after its pause."""
        return cls(task, instant, tuple(islice(_runs(task, instant, pause), count)), last, pause)

    @property
    def zone(self) -> str:
        return str(self.task.timezone or LOCAL_TIME)

    @property
    def at(self) -> datetime:
        """The instant in the time zone of the task."""
        return clock.to_zone(self.instant, self.task.timezone)

    @property
    def due(self) -> bool:
        return self.task.check(self.instant)

    @property
    def is_paused(self) -> bool:
        """Whether it is paused at the instant, so that it does not run although it is due."""
        return self.pause is not None and (self.pause.until is None or self.instant < self.pause.until)

    @property
    def docstring(self) -> str:
        f = self.task.f
        # that of a partial object is that of functools.partial
        while isinstance(f, functools.partial):
            f = f.func
        return inspect.cleandoc(f.__doc__ or '').strip()

    @property
    def description(self) -> str:
        """The first line of the docstring."""
        return self.docstring.partition('\n')[0]

    def paused(self) -> str:
        """Say for people until when somebody has paused the task, and why; empty if nobody has."""
        if self.pause is None:
            return ''
        until = 'until it is resumed'
        if self.pause.until is not None:
            until = f'until {clock.to_zone(self.pause.until, self.task.timezone):%a %Y-%m-%d %H:%M}'
        return f'{until}{f", by {self.pause.requested_by}" if self.pause.requested_by else ""}: {self.pause.reason}'

    def next_runs(self) -> list[str]:
        """Return the next runs for people."""
        shown = [f'{run:%a %Y-%m-%d %H:%M} {offset(run)}, {distance(self.instant, run)}' for run in self.runs]
        return shown or ['none before it is resumed' if self.is_paused else 'never']

    def last_run(self) -> str:
        """Return how the last run ended, and how long ago it began; empty if none is remembered."""
        if self.last is None:
            return ''
        began = clock.minute_of(self.last.started)
        if began > self.instant:
            return self.last.outcome
        ago = 'just now' if began == self.instant else f'{_length(began, self.instant)} ago'
        return f'{self.last.outcome} {ago}'

    def why(self) -> str:
        """Say why the task is due or not."""
        schedule = self.task.schedule
        skipped = self.task.skipped_wall_minutes(self.instant)
        if skipped:
            walls = ', '.join(f'{wall:%H:%M}' for wall in skipped)
            return f'the clocks have just skipped {walls}, which is caught up now'
        wall = clock.to_wall(self.instant, self.task.timezone)
        against, unneeded = schedule.differences(wall)
        if against:
            return _differ(schedule, wall, against)
        if not self.due:
            return 'the clocks went back, and it is due in the first pass of this hour only'
        if unneeded:
            return f'one of the two days suffices: {_differ(schedule, wall, unneeded)}'
        return 'both of the two days match' if schedule.either_day else 'all fields match'

    def as_dict(self, at: bool) -> dict[str, Any]:
        """Return the overview for JSON.

        :param at: tell whether the task is due at the instant.
        """
        shown = {
            'name': self.task.name,
            'schedule': str(self.task.schedule),
            'timezone': None if self.task.timezone is None else self.zone,
            'idle': bool(self.task.idle),
            'description': self.description,
            'next': [run.isoformat() for run in self.runs],
            'next_utc': [clock.to_instant(run).isoformat() for run in self.runs],
            'last': self.last and run_as_dict(self.last, self.task.timezone),
            'last_utc': self.last and run_as_dict(self.last, timezone.utc),
            'paused': self.pause and pause_as_dict(self.pause),
        }
        return {**shown, 'due': self.due, 'why': self.why()} if at else shown


def _runs(task: Task, instant: datetime, pause: Pause | None) -> Iterator[datetime]:
    """Yield the runs of a task after an instant that are not paused."""
    if pause is None:
        return task.runs(instant)
    if pause.until is None:
        return iter(())
    until = pause.until
    coming = task.runs(max(instant, clock.minute_of(until) - clock.MINUTE))
    # it may end within a minute, which is paused then
    return (run for run in coming if clock.to_instant(run) >= until)


def _differ(schedule: Schedule, wall: datetime, fields: list[Field]) -> str:
    values = {MIN: wall.minute, HOUR: wall.hour, DAY: wall.day, MONTH: wall.month, DOW: wall.weekday()}
    return '; '.join(
        f'{spec.name} is {write(spec, 1 << values[spec])}, not {write(spec, getattr(schedule, spec.name))}'
        for spec in fields
    )


def distance(start: datetime, end: datetime) -> str:
    """Return the time from one instant to a later one for people: ``in 3 h 12 min``."""
    return f'in {_length(start, end)}'


def offset(moment: datetime) -> str:
    """Return the offset of a moment from UTC for people, as in ``+01:00``."""
    return moment.isoformat()[-6:]


def _length(start: datetime, end: datetime) -> str:
    # in UTC: within one time zone the difference would be that of the wall clock
    minutes = (clock.to_instant(end) - clock.to_instant(start)) // clock.MINUTE
    days, hours = minutes // 1440, minutes // 60 % 24
    parts = [(days, 'd'), (hours, 'h'), (0 if days else minutes % 60, 'min')]
    return ' '.join(f'{number} {unit}' for number, unit in parts if number) or '0 min'


def due_within(tasks: Iterable[Task], first: datetime, last: datetime) -> list[str]:
    """Return the names of the tasks that are due in a minute from ``first`` to ``last``."""
    coming = ((task.name, next(task.runs(first - clock.MINUTE), None)) for task in tasks)
    return [name for name, run in coming if run is not None and clock.to_instant(run) <= last]


def pause_as_dict(pause: Pause) -> dict[str, Any]:
    """Return a pause for JSON, in UTC."""
    return {
        'until': pause.until and pause.until.isoformat(),
        'reason': pause.reason,
        'requested_by': pause.requested_by,
    }


def run_as_dict(run: PastRun, zone: tzinfo | None) -> dict[str, Any]:
    """Return a past run for JSON, with its instants in a time zone."""
    return {
        name: clock.to_zone(value, zone).isoformat() if isinstance(value, datetime) else value
        for name, value in run._asdict().items()
    }
