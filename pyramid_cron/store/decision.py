"""Decides, for a task at a tick, to run it, to retry it or to record missed minutes. Pure: no statement is executed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import NamedTuple

from pyramid_cron.reports import FAILED, LOST
from pyramid_cron.schedules import clock
from pyramid_cron.store.schedule_text import read_schedule
from pyramid_cron.store.task_state import TaskState
from pyramid_cron.tasks import Task

# missed minutes of a task that are recorded one by one after an outage; of more than that, the newest
MOST_MISSED = 500


class Decision(NamedTuple):
    """The result of :func:`decide`.

    :param minute: the minute to run the task for, or the newest that is skipped if it does not run.
    :param attempt: how many times it will then have begun for this minute; 0 if it does not run.
    :param missed: the minutes that are skipped because they are too long ago, or a newer one takes their place.
    :param paused: the minutes before those, which are skipped because the task was paused.
    :param cancel_retry: the newest minute, if it was to run once more and is too long ago for that.
    """

    minute: datetime | None = None
    attempt: int = 0
    missed: tuple[datetime, ...] = ()
    paused: tuple[datetime, ...] = ()
    cancel_retry: datetime | None = None


NOTHING = Decision()


def decide(task: Task, state: TaskState, now: datetime, grace: timedelta) -> Decision:
    """Decide whether a task that is not running runs, and for which minute.

    It runs for the newest minute at which it is due and that was not claimed, unless that is too long ago. A run that
    has failed, was lost or could not be enqueued is repeated until a newer minute is due. A failed one is not repeated
    in the same minute, for which each server ticks.

    :param now: the minute of the tick.
    :param grace: how long after a missed minute the task still runs for it.
    """
    owed, until = owed_minutes(task, state, now), state.paused_until
    paused = tuple(minute for minute in owed if until is not None and minute < until)
    owed = owed[len(paused) :]
    if owed:
        newest = owed[-1]
        if now - newest <= grace:
            return Decision(newest, 1, owed[:-1], paused)
        return Decision(newest, 0, owed, paused)
    if paused:
        return Decision(paused[-1], paused=paused)
    return _decide_retry(state, now, grace)


def _decide_retry(state: TaskState, now: datetime, grace: timedelta) -> Decision:
    """Decide whether the last minute of a task runs once more."""
    minute, reason = state.last_minute, state.retry_reason
    if minute is None or reason is None or state.is_paused(now):
        return NOTHING
    if reason != LOST and state.busy_until is not None and now <= state.busy_until:
        return NOTHING
    # a grace of 0 is for tasks that must not be repeated, not even within the minute
    if reason != FAILED and (now - minute > grace or not grace):
        return Decision(cancel_retry=minute)
    return Decision(minute, state.attempt + 1)


def owed_minutes(task: Task, state: TaskState, now: datetime) -> tuple[datetime, ...]:
    """Return the minutes until ``now`` at which the task is due and that were neither claimed nor skipped.

    Minutes before the last change of its schedule count only if the schedule before the change has them too.
    """
    after = max(minute for minute in (state.first_seen, state.last_minute, state.busy_until) if minute)
    changed = state.schedule_changed_at
    if now - after <= clock.MINUTE and (changed is None or changed <= now):
        # no other minute lies between, as for a task that is due each minute
        return (now,) if after < now and task.check(now) else ()
    owed = tuple(islice(_due(task, after, now), MOST_MISSED + 1))
    back = timedelta(minutes=MOST_MISSED)
    while len(owed) > MOST_MISSED:
        # the newest ones are found without walking through all of a year
        nearer = tuple(_due(task, max(after, now - back), now))
        if len(nearer) >= MOST_MISSED:
            owed = nearer[-MOST_MISSED:]
        back *= 4
    previous = read_schedule(state.previous_schedule)
    if changed is not None and changed > after and previous is not None:
        before, zone = previous
        owed = tuple(minute for minute in owed if minute >= changed or before.is_due(clock.wall_minutes(minute, zone)))
    return owed


def busy_minutes(task: Task, state: TaskState) -> tuple[datetime, ...]:
    """Return the minutes at which the task was due during its last run, the newest if they are very many.

    The ticks of these minutes have recorded them, unless they were killed before they could.
    """
    begun, until = state.last_minute, state.busy_until
    if begun is None or until is None or begun >= until:
        return ()
    return tuple(_due(task, max(begun, until - timedelta(minutes=MOST_MISSED)), until))


def _due(task: Task, after: datetime, now: datetime) -> Iterator[datetime]:
    runs = (clock.to_instant(minute) for minute in task.runs(after))
    return takewhile(lambda minute: minute <= now, runs)
