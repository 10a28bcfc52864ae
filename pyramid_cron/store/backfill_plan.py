"""The minutes of a span for which a task can be run on request, and those that are left alone."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import NamedTuple

from pyramid_cron.outcomes import OK
from pyramid_cron.schedules import clock
from pyramid_cron.store.admin import Store
from pyramid_cron.store.backfill import is_forgotten, is_past, was_ok
from pyramid_cron.store.schedule_text import read_schedule
from pyramid_cron.store.task_state import TaskState
from pyramid_cron.tasks import Task

# minutes of one plan
MOST_MINUTES = 10_000
# how far the minute before another one is looked for: over a leap day
LONGEST_LOOK = timedelta(days=366 * 6)


class Plan(NamedTuple):
    """The minutes of a span at which a task was due, in UTC, the oldest first.

    :param run: those to run it for.
    :param ok: those for which it was ok.
    :param unknown: those of which no record is kept.
    :param owed: those that no tick has come to yet.
    """

    run: list[datetime]
    ok: list[datetime]
    unknown: list[datetime]
    owed: list[datetime]

    @property
    def due(self) -> list[datetime]:
        """All of them."""
        return sorted([*self.run, *self.ok, *self.unknown, *self.owed])


class TooMany(ValueError):
    """A span has more minutes than one plan has."""


def plan_backfill(store: Store, task: Task, first: datetime, last: datetime, again: bool = False) -> Plan:
    """Return for which minutes of a span a task is to be run.

    :param first: the first minute of the span, in UTC.
    :param last: the last one.
    :param again: whether minutes for which it was ok are among those to run it for.
    :raises TooMany: for more than :data:`MOST_MINUTES`.
    :raises Unavailable: if the store cannot be read.
    """
    state = store.states().get(task.name)
    with store.queries() as queries:
        past = [] if queries is None else queries.between(task.name, first, last)
    ok = {run.scheduled_for for run in past if run.outcome == OK}
    recorded = {run.scheduled_for for run in past if run.scheduled_for is not None}
    due = {*islice(_due(task, state, first, last), MOST_MINUTES + 1), *recorded}
    if len(due) > MOST_MINUTES:
        raise TooMany(f'{task.name} was due more than {MOST_MINUTES} times then: name a shorter span')
    plan = Plan([], [], [], [])
    for minute in sorted(due):
        if state is not None and not is_past(task, state, minute):
            kind = plan.owed
        elif not again and (minute in ok or (state is not None and was_ok(state, minute))):
            kind = plan.ok
        elif not again and minute not in recorded and is_forgotten(minute, store.options.keep_history):
            kind = plan.unknown
        else:
            kind = plan.run
        kind.append(minute)
    return plan


def nearest_due(task: Task, minute: datetime) -> tuple[datetime | None, datetime | None]:
    """Return the minutes at which a task is due before and after another one, ``None`` where there is none."""
    after = next(_until(task.runs(minute), clock.now() + LONGEST_LOOK), None)
    back, before = timedelta(hours=1), deque[datetime](maxlen=1)
    while not before and back <= LONGEST_LOOK:
        # the last one, without a walk through all of a year
        before.extend(_until(task.runs(minute - back), minute - clock.MINUTE))
        back *= 6
    return before[0] if before else None, after


def _due(task: Task, state: TaskState | None, first: datetime, last: datetime) -> Iterator[datetime]:
    """Yield the minutes of a span at which a task was due, by the schedule that it had then."""
    changed = None if state is None else state.schedule_changed_at
    previous = None if state is None else read_schedule(state.previous_schedule)
    if changed is not None and previous is not None and changed > first:
        schedule, zone = previous
        before = clock.to_wall(first - clock.MINUTE, zone).replace(tzinfo=zone)
        yield from _until(schedule.runs(before), min(last, changed - clock.MINUTE))
        first = changed
    yield from _until(task.runs(first - clock.MINUTE), last)


def _until(runs: Iterator[datetime], last: datetime) -> Iterator[datetime]:
    return takewhile(lambda minute: minute <= last, map(clock.to_instant, runs))
