"""Decides, for a task at a tick, to run it, to retry it or to record missed minutes. Pure: no statement is executed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import filterfalse, islice
from typing import NamedTuple

from pyramid_cron.outcomes import FAILED, LOST
from pyramid_cron.schedules import clock
from pyramid_cron.schedules.nearest import until
from pyramid_cron.store.pause_times import FOR_EVER
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
    :param paused: the minutes that are skipped because the task was paused.
    :param waited: the minutes that are skipped because the task waited for room in its engine until a newer one came.
    :param cancel_retry: the newest minute, if it was to run once more and is too long ago for that.
    :param waits: whether the task owes minutes, and waits for a later tick to run for one of them.
    """

    minute: datetime | None = None
    attempt: int = 0
    missed: tuple[datetime, ...] = ()
    paused: tuple[datetime, ...] = ()
    cancel_retry: datetime | None = None
    waits: bool = False
    waited: tuple[datetime, ...] = ()

    @property
    def skipped(self) -> tuple[datetime, ...]:
        """All minutes that are skipped, in no order."""
        return self.missed + self.paused + self.waited


NOTHING, WAITING = Decision(), Decision(waits=True)


def decide(task: Task, state: TaskState, now: datetime, grace: timedelta) -> Decision:
    """Decide whether a task that is not running runs, and for which minute.

    It runs for the newest minute at which it is due and that was not claimed, unless that is too long ago. A run that
    has failed, was lost or could not be enqueued is repeated until a newer minute is due. A failed one is not repeated
    before its wait is over, nor in the same minute, for which each server ticks.

    :param now: the minute of the tick.
    :param grace: how long after a missed minute the task still runs for it.
    """
    if task.runs_each_minute:
        return _decide_each(task, state, now, grace)
    owed, paused = _without_paused(state, owed_minutes(task, state, now))
    if paused and paused[-1] > max(owed, default=state.first_seen):
        return Decision(paused[-1], 0, owed, paused)
    if owed:
        newest = owed[-1]
        if _is_too_late(state, newest, now, grace):
            return Decision(newest, 0, owed, paused)
        return WAITING if state.is_paused(now) else _run_for(state, newest, owed[:-1], paused)
    if task.schedule.is_off:
        return NOTHING
    return _decide_retry(state, now, grace)


def _decide_each(task: Task, state: TaskState, now: datetime, grace: timedelta) -> Decision:
    """Decide the same for a task that runs for each minute: for the oldest that is not too long ago.

    It runs once in a minute, for which each server ticks, and a run that is to be repeated comes before newer minutes.
    """
    owed, paused = _without_paused(state, owed_minutes(task, state, now, 2 * MOST_MISSED))
    if paused and paused[-1] > max(owed, default=state.first_seen):
        return Decision(paused[-1], 0, owed, paused)
    if state.retry_reason is not None and not paused and not task.schedule.is_off:
        retry = _decide_retry(state, now, grace)
        return WAITING if retry == NOTHING and owed else retry
    if not owed:
        return NOTHING
    if state.busy_until is not None and now <= state.busy_until:
        return WAITING
    in_time = tuple(minute for minute in owed if not _is_too_late(state, minute, now, grace))[-MOST_MISSED:]
    if not in_time:
        return Decision(owed[-1], 0, owed, paused)
    if state.is_paused(now):
        return WAITING
    return _run_for(state, in_time[0], owed[: -len(in_time)], paused)


def _run_for(
    state: TaskState, minute: datetime, before: tuple[datetime, ...], paused: tuple[datetime, ...]
) -> Decision:
    """Return the decision to run for a minute, and to skip those before it."""
    waited = tuple(filter(state.has_waited, before))
    return Decision(minute, 1, tuple(filterfalse(state.has_waited, before)), paused, waited=waited)


def _is_too_late(state: TaskState, minute: datetime, now: datetime, grace: timedelta) -> bool:
    """Return whether a minute is too long ago. That in which it waited for room in its engine does not count."""
    if state.waited_minute is None or not state.has_waited(minute):
        return now - minute > grace
    # the following tick comes a minute later
    return now - state.waited_minute > max(grace, clock.MINUTE)


def _without_paused(state: TaskState, owed: tuple[datetime, ...]) -> tuple[tuple[datetime, ...], tuple[datetime, ...]]:
    """Return the owed minutes for which the task was not paused, and those for which it was."""
    paused = tuple(filter(state.is_paused_for, owed))
    return tuple(filterfalse(state.is_paused_for, owed)), paused


def _decide_retry(state: TaskState, now: datetime, grace: timedelta) -> Decision:
    """Decide whether the last minute of a task runs once more."""
    minute, reason = state.last_minute, state.retry_reason
    if minute is None or reason is None or state.is_paused(now):
        return NOTHING
    if reason != LOST and state.busy_until is not None and now <= state.busy_until:
        return NOTHING
    if state.retry_at is not None and now < state.retry_at:
        return NOTHING
    # a grace of 0 is for tasks that must not be repeated, not even within the minute
    if reason != FAILED and (_is_too_late(state, minute, now, grace) or not grace):
        return Decision(cancel_retry=minute)
    return Decision(minute, state.attempt + 1)


def may_repeat_lost(task: Task, state: TaskState, now: datetime, grace: timedelta) -> bool:
    """Return whether the run of a task that is lost now may run once more: :func:`decide` would not drop that.

    :param state: the row of the task, with the run still in progress.
    :param now: the minute of the tick that has found it.
    :param grace: how long after its minute it may run once more.
    """
    minute = state.last_minute
    if minute is None or task.schedule.is_off or not grace or _is_too_late(state, minute, now, grace):
        return False
    owed, paused = _without_paused(state, owed_minutes(task, state, now))
    return not paused and (task.runs_each_minute or not owed)


def owed_minutes(task: Task, state: TaskState, now: datetime, most: int = MOST_MISSED) -> tuple[datetime, ...]:
    """Return the minutes until ``now`` at which the task is due and that were neither claimed nor skipped.

    Minutes before the last change of its schedule count only if the schedule before the change has them too. Those of
    its last run count only if it runs for each minute.

    :param most: how many at most, the newest.
    """
    after = state.owed_after(task.runs_each_minute)
    changed = state.schedule_changed_at
    if now - after <= clock.MINUTE and (changed is None or changed <= now):
        # no other minute lies between, as for a task that is due each minute
        return (now,) if after < now and task.check(now) else ()
    owed = tuple(islice(_due(task, after, now), most + 1))
    back = timedelta(minutes=most)
    while len(owed) > most:
        # the newest ones are found without walking through all of a year
        nearer = tuple(_due(task, max(after, now - back), now))
        if len(nearer) >= most:
            owed = nearer[-most:]
        back *= 4
    previous = read_schedule(state.previous_schedule)
    if changed is not None and changed > after and previous is not None:
        before, zone = previous
        owed = tuple(minute for minute in owed if minute >= changed or before.is_due(clock.wall_minutes(minute, zone)))
    return owed


def first_owed(task: Task, state: TaskState, now: datetime) -> datetime | None:
    """Return the oldest minute until ``now`` that a task owes and in which it was not paused, ``None`` without one.

    It is looked for in a row that has no run in progress, and among the first :data:`MOST_MISSED` due minutes. Of a row
    without ``next_due`` it is not known.
    """
    if state.next_due is None or state.next_due > now:
        return None
    owed = islice(_due(task, state.owed_after(task.runs_each_minute), now), MOST_MISSED)
    changed = state.schedule_changed_at or state.first_seen
    return next((minute for minute in owed if minute >= changed and not state.is_paused_for(minute)), None)


def busy_minutes(task: Task, state: TaskState) -> tuple[datetime, ...]:
    """Return the minutes at which the task was due during its last run, the newest if they are very many.

    The ticks of these minutes have recorded them, unless they were killed before they could. A task that runs for each
    minute owes them.
    """
    begun, until = state.last_minute, state.busy_until
    if task.runs_each_minute or begun is None or until is None or begun >= until:
        return ()
    return tuple(_due(task, max(begun, until - timedelta(minutes=MOST_MISSED)), until))


def next_due(task: Task, after: datetime) -> datetime:
    """Return the first minute after another one at which a task is due."""
    return clock.to_instant(next(task.runs(after), FOR_EVER))


def _due(task: Task, after: datetime, now: datetime) -> Iterator[datetime]:
    return until(now, task.runs(after))
