"""One task at an instant: its next runs, its last one, and why it is due or not."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, tzinfo
from itertools import islice
from typing import Any

from pyramid_cron import clock
from pyramid_cron.fields import DAY, DOW, HOUR, MIN, MONTH, Field, write
from pyramid_cron.reports import PastRun
from pyramid_cron.schedule import Schedule
from pyramid_cron.tasks import Task

LOCAL_TIME = 'local time'


@dataclass(frozen=True)
class Overview:
    """One task at an instant.

    :param task: the task.
    :param instant: the minute it is looked at, aware.
    :param runs: its next runs after it, in the time zone of the task.
    :param last: its last run, if one is remembered, whatever the instant is.
    """

    task: Task
    instant: datetime
    runs: tuple[datetime, ...]
    last: PastRun | None = None

    @classmethod
    def of(cls, task: Task, instant: datetime, count: int, last: PastRun | None = None) -> Overview:
        """Return the overview of ``task`` with its next ``count`` runs."""
        return cls(task, instant, tuple(islice(task.runs(instant), count)), last)

    @property
    def zone(self) -> str:
        return str(self.task.timezone or LOCAL_TIME)

    @property
    def due(self) -> bool:
        return self.task.check(self.instant)

    @property
    def docstring(self) -> str:
        """The docstring of the task, empty if it has none."""
        f = self.task.f
        # that of a partial object is that of functools.partial
        while isinstance(f, functools.partial):
            f = f.func
        return f.__doc__ or ''

    @property
    def description(self) -> str:
        """The first line of the docstring."""
        lines = self.docstring.strip().splitlines()
        return lines[0] if lines else ''

    def next_runs(self) -> list[str]:
        """Return the next runs for people."""
        shown = [f'{run:%a %Y-%m-%d %H:%M}, {distance(self.instant, run)}' for run in self.runs]
        return shown or ['never']

    def last_run(self) -> str:
        """Return the last run for people, empty if none is remembered."""
        if self.last is None:
            return ''
        began = clock.minute_of(clock.to_zone(self.last.started, self.task.timezone))
        shown = f'{self.last.status}, {began:%a %Y-%m-%d %H:%M}'
        return shown if began > self.instant else f'{shown}, {_length(began, self.instant)} ago'

    def why(self) -> str:
        """Say why the task is due or not."""
        schedule = self.task.schedule
        caught_up = self.task.caught_up(self.instant)
        if caught_up:
            skipped = ', '.join(f'{wall:%H:%M}' for wall in caught_up)
            return f'the clocks have just skipped {skipped}, which is caught up now'
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
            'last': self.last and run_as_dict(self.last, self.task.timezone),
        }
        return {**shown, 'due': self.due, 'why': self.why()} if at else shown


def _differ(schedule: Schedule, wall: datetime, fields: list[Field]) -> str:
    values = {MIN: wall.minute, HOUR: wall.hour, DAY: wall.day, MONTH: wall.month, DOW: wall.weekday()}
    return '; '.join(
        f'{spec.name} is {write(spec, 1 << values[spec])}, not {write(spec, getattr(schedule, spec.name))}'
        for spec in fields
    )


def distance(start: datetime, end: datetime) -> str:
    """Return the time from one instant to a later one for people: ``in 3 h 12 min``."""
    return f'in {_length(start, end)}'


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


def run_as_dict(run: PastRun, zone: tzinfo | None) -> dict[str, Any]:
    """Return a past run for JSON, with its instants in a time zone."""
    return {
        name: clock.to_zone(value, zone).isoformat() if isinstance(value, datetime) else value
        for name, value in run._asdict().items()
    }
