"""The minutes of a span for which a task can be run on request, and those that are left alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import islice, pairwise
from typing import NamedTuple

from pyramid_cron.outcomes import OK
from pyramid_cron.schedules import clock
from pyramid_cron.schedules.nearest import LONGEST_LOOK, newest_until
from pyramid_cron.store.admin import Store
from pyramid_cron.store.backfill import is_forgotten, is_past, was_ok
from pyramid_cron.store.due_minutes import Period, due_by
from pyramid_cron.store.due_records import END, periods_of
from pyramid_cron.store.task_state import TaskState
from pyramid_cron.tasks import Task

# minutes of one plan
MOST_MINUTES = 10_000


class Plan(NamedTuple):
    """The minutes of a span at which a task was due, in UTC, the oldest first.

    :param run: those to run it for.
    :param ok: those for which it was ok.
    :param unknown: those of which no record is kept.
    :param owed: those that no tick has come to yet.
    :param unknown_until: until when the schedule of a part of the span is not known, so that only minutes with a record
        are named; ``None`` if all of it is known.
    """

    run: list[datetime]
    ok: list[datetime]
    unknown: list[datetime]
    owed: list[datetime]
    unknown_until: datetime | None = None

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
    names = [task.name] if state is None else state.names
    with store.queries() as queries:
        past = [] if queries is None else queries.between(names, first, last)
    ok = {run.scheduled_for for run in past if run.outcome == OK}
    recorded = {run.scheduled_for for run in past if run.scheduled_for is not None}
    periods = _periods(task, state)
    due = {*islice(due_by(periods, first, last), MOST_MINUTES + 1), *recorded}
    if len(due) > MOST_MINUTES:
        raise TooMany(f'{task.name} was due more than {MOST_MINUTES} times then: name a shorter span')
    plan = Plan([], [], [], [], _unknown_until(periods, first, last))
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


def nearest_due(store: Store, task: Task, minute: datetime) -> tuple[datetime | None, datetime | None]:
    """Return the minutes at which a task is due before and after another one, ``None`` where there is none.

    :raises Unavailable: if the store cannot be read.
    """
    periods = _periods(task, store.states().get(task.name))
    after = next(due_by(periods, minute + clock.MINUTE, clock.now() + LONGEST_LOOK), None)
    last = minute - clock.MINUTE
    return newest_until(last, lambda begin: due_by(periods, begin + clock.MINUTE, last)), after


def _periods(task: Task, state: TaskState | None) -> list[Period]:
    """Return the schedules by which a task was due, the earliest first.

    Before its first tick the task did not exist: a backfill of that time is by the earliest schedule that is known.
    """
    if state is None:
        return [Period(clock.EPOCH, END, task.schedule, task.timezone)]
    known = periods_of(state, task)
    last = min(state.first_seen, known[0].first - clock.MINUTE)
    return [known[0]._replace(first=clock.EPOCH, last=last), *known]


def _unknown_until(periods: Sequence[Period], first: datetime, last: datetime) -> datetime | None:
    """Return until when the schedule of a part of a span is not known, ``None`` if all of it is known."""
    for before, period in pairwise(periods):
        if period.first - before.last > clock.MINUTE and first < period.first and last > before.last:
            return period.first
    return None
