"""Monitors of Sentry: their slugs, and the configuration of each that follows from its task."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from pyramid_cron.schedules import clock
from pyramid_cron.schedules.gaps import longest_gap
from pyramid_cron.sentry.local_zone import local_zone_name
from pyramid_cron.settings import Settings
from pyramid_cron.slugs import check_distinct, check_slug, slug_of
from pyramid_cron.task_lines import OFF

if TYPE_CHECKING:
    from pyramid_cron.tasks import Task

# what Sentry takes: characters, minutes, check-ins
LONGEST_SLUG = 50
MOST_MARGIN, MOST_RUNTIME, MOST_FAILURES = 40_320, 10_080, 720
# the minutes after which Sentry takes a run for hung if nothing is set
USUAL_RUNTIME = 30
MINUTES_OF_DAY = 1440
# a schedule that leaves out more than a year is none that Sentry could watch
MOST_GAP = 366 * MINUTES_OF_DAY

SELDOM = 'it is due less than once a year'
NO_ZONE = 'the time zone of this machine has no name that is known here (set cron.timezone)'


class Monitors:
    """The monitors of an application's tasks.

    :param settings: the settings of the application.
    :raises ValueError: for a bad slug.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lines = lines = settings.sentry_monitors
        self._local_zone: tuple[str | None] | None = None
        self._configs: dict[Task, dict[str, Any] | None] = {}
        if lines.others not in (None, OFF):
            raise ValueError("bad setting cron.sentry_monitors: the line of '*' can be off, and nothing else")
        for name, value in lines.by_name.items():
            if value != OFF:
                try:
                    check_slug(value, LONGEST_SLUG)
                except ValueError as exc:
                    raise ValueError(f'bad setting cron.sentry_monitors: {name} = {value!r}: {exc}, or off') from None

    def slug_of(self, name: str) -> str | None:
        """Return the slug of the monitor of a task, ``None`` for a task without one."""
        value = self._lines.value_of(name)
        if value is None:
            return slug_of(name, LONGEST_SLUG)
        return None if value == OFF else value

    def check_tasks(self, tasks: Iterable[Task]) -> None:
        """Check that each line is for a task, and that no two tasks share a monitor.

        :raises ValueError: if that is not so.
        """
        tasks = list(tasks)
        try:
            self._lines.check_names(tasks)
            slugs = ((task.name, self.slug_of(task.name)) for task in tasks)
            check_distinct((name, slug) for name, slug in slugs if slug is not None)
        except ValueError as exc:
            raise ValueError(f'bad setting cron.sentry_monitors: {exc}') from None

    def config_of(self, task: Task) -> dict[str, Any] | None:
        """Return the configuration of the monitor of a task, ``None`` if its schedule cannot be written for Sentry."""
        if task not in self._configs:
            self._configs[task] = self._config(task)
        return self._configs[task]

    def notes(self, tasks: Iterable[Task]) -> Iterator[tuple[int, str]]:
        """Yield a level and a sentence for the log about each schedule that Sentry does not get as it is."""
        for task in tasks:
            slug = self.slug_of(task.name)
            if slug is None or task.schedule.is_off:
                continue
            schedule, why = self._schedule(task)
            if schedule is None:
                text = f'Sentry gets no schedule and makes no monitor: {why}; make it there by hand: {slug}'
                yield logging.WARNING, f'task {task.name}: {text}'
            elif schedule['type'] == 'interval':
                every = f'{schedule["value"]} days'
                text = f'task {task.name}: Sentry does not take {task.schedule}, and expects a run every {every}'
                yield logging.INFO, text

    def _config(self, task: Task) -> dict[str, Any] | None:
        schedule, _ = self._schedule(task)
        if schedule is None:
            return None
        zone = self._zone_name(task)
        return {
            'schedule': schedule,
            **({} if zone is None else {'timezone': zone}),
            'checkin_margin': self._margin(task),
            'max_runtime': _longest_run(task),
            'failure_issue_threshold': min(task.tolerate + 1, MOST_FAILURES),
            'recovery_threshold': 1,
        }

    def _schedule(self, task: Task) -> tuple[dict[str, Any] | None, str]:
        """Return the schedule of a task for Sentry, or ``None`` and the reason."""
        schedule = task.schedule
        if schedule.is_off:
            return None, ''
        if schedule.crontab is not None and not schedule.has_relative_days:
            if self._zone_name(task) is None:
                return None, NO_ZONE
            return {'type': 'crontab', 'value': schedule.crontab}, ''
        # older versions of Sentry read no L and no #, and would drop the check-ins of the monitor
        gap = longest_gap(schedule, MOST_GAP)
        if gap is None:
            return None, SELDOM
        return {'type': 'interval', 'value': math.ceil(gap / MINUTES_OF_DAY), 'unit': 'day'}, ''

    def _zone_name(self, task: Task) -> str | None:
        if task.timezone is not None:
            return task.timezone.key
        if self._local_zone is None:
            self._local_zone = (local_zone_name(clock.now(), os.environ),)
        return self._local_zone[0]

    def _margin(self, task: Task) -> int:
        """Return the minutes after a due one in which the run may begin."""
        settings = self._settings
        seconds = settings.window
        if task.engine is not None:
            seconds = max(seconds, task.queue_timeout(settings.catch_up).total_seconds())
        if settings.store is not None and task.store:
            seconds = max(seconds, task.grace(settings.catch_up).total_seconds())
        # one more until the next tick
        return min(_minutes(seconds) + 1, MOST_MARGIN)


def _longest_run(task: Task) -> int:
    """Return the minutes after which a run has hung, the wait for a further attempt included."""
    if task.expect is not None:
        minutes = _minutes(task.expect)
    else:
        # without anything known, a run may go on until the next one is due
        minutes = max(longest_gap(task.schedule, MOST_RUNTIME) or MOST_RUNTIME, USUAL_RUNTIME)
    wait = max((wait.total_seconds() for wait in task.retry_waits), default=60 if task.retries else 0)
    return min(minutes + _minutes(wait), MOST_RUNTIME)


def _minutes(seconds: float) -> int:
    return math.ceil(seconds / 60)
