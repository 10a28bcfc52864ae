"""What is to be done about a task at a tick, by its row in the store. No statement is executed here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, tzinfo
from itertools import islice, takewhile
from typing import Any, NamedTuple

from pyramid_cron.schedules import clock
from pyramid_cron.schedules.schedule import Schedule
from pyramid_cron.tasks import Task

# minutes of a task that are recorded one by one after an outage; of more than that, the newest
MOST_MISSED = 500
# a run that died is run again until it has begun so many times
MOST_ATTEMPTS_OF_LOST = 3

# why a minute is to be run once more; the last of a run that could not be handed over
FAILED, LOST, UNSENT = 'failed', 'lost', 'unsent'


class Verdict(NamedTuple):
    """What is to be done about a task.

    :param minute: the minute to run it for, or the newest that is passed over if it is not to be run.
    :param attempt: how many times it will then have begun for this minute; 0 if it is not to be run.
    :param missed: the minutes that are passed over because they are too long ago, or a newer one takes their place.
    :param paused: the minutes before those, which are passed over because somebody paused the task.
    :param given_up: whether the newest minute, which was lost, is too long ago to be run once more.
    """

    minute: datetime | None = None
    attempt: int = 0
    missed: tuple[datetime, ...] = ()
    paused: tuple[datetime, ...] = ()
    given_up: bool = False


NOTHING = Verdict()


def judge(task: Task, row: Mapping[str, Any], now: datetime, grace: timedelta) -> Verdict:
    """Return what is to be done about a task that is not running.

    The newest minute for which it is due and was not begun is the one to run it for, unless it is too long ago. What
    failed or was lost is run once more, until that makes way for a newer minute, and so is what could not be handed
    over. A failure waits for another minute, because every server asks in the same one.

    :param row: of the task, from the table ``cron_tasks``.
    :param now: the minute of the tick.
    :param grace: how long ago a minute may be that is caught up.
    """
    owed, until = owed_minutes(task, row, now), row['paused_until']
    paused = tuple(minute for minute in owed if until is not None and minute < until)
    owed = owed[len(paused) :]
    if owed:
        newest = owed[-1]
        if now - newest <= grace:
            return Verdict(newest, 1, owed[:-1], paused)
        return Verdict(newest, 0, owed, paused)
    if paused:
        return Verdict(paused[-1], paused=paused)
    minute, again = row['last_minute'], row['again']
    if again is None or (until is not None and now < until):
        return NOTHING
    if again != LOST and row['busy_until'] is not None and now <= row['busy_until']:
        return NOTHING
    # 0 is for tasks that must not be repeated, not even within the minute
    if again != FAILED and (now - minute > grace or not grace):
        return Verdict(given_up=True)
    return Verdict(minute, row['attempt'] + 1)


def owed_minutes(task: Task, row: Mapping[str, Any], now: datetime) -> tuple[datetime, ...]:
    """Return the minutes until ``now`` for which the task is due and was neither begun nor passed over.

    Those from before the last change of its schedule count only if the schedule before the change has them too.
    """
    after: datetime = max(minute for minute in (row['since'], row['last_minute'], row['busy_until']) if minute)
    owed = tuple(islice(_due(task, after, now), MOST_MISSED + 1))
    back = timedelta(minutes=MOST_MISSED)
    while len(owed) > MOST_MISSED:
        # not all of a year, to come to the newest
        nearer = tuple(_due(task, max(after, now - back), now))
        if len(nearer) >= MOST_MISSED:
            owed = nearer[-MOST_MISSED:]
        back *= 4
    changed = row['changed']
    if changed is not None and changed > after:
        before, zone = read_schedule(row['schedule_before'])
        owed = tuple(minute for minute in owed if minute >= changed or before.is_due(clock.wall_minutes(minute, zone)))
    return owed


def busy_minutes(task: Task, row: Mapping[str, Any]) -> tuple[datetime, ...]:
    """Return the minutes for which the task was due while its last run was in progress, the newest of very many.

    The ticks of these minutes have recorded them, unless they were killed before they could.
    """
    begun, until = row.get('last_minute'), row.get('busy_until')
    if begun is None or until is None or begun >= until:
        return ()
    return tuple(_due(task, max(begun, until - timedelta(minutes=MOST_MISSED)), until))


def _due(task: Task, after: datetime, now: datetime) -> Iterator[datetime]:
    runs = (clock.to_instant(minute) for minute in task.runs(after))
    return takewhile(lambda minute: minute <= now, runs)


def write_schedule(task: Task) -> str:
    """Return what :func:`read_schedule` reads: when a task is due, and in which time zone."""
    schedule = task.schedule
    masks = schedule.min, schedule.hour, schedule.day, schedule.month, schedule.dow
    return ' '.join(
        [*(f'{mask:x}' for mask in masks), f'{schedule.interval:d}{schedule.either_day:d}', str(task.timezone or '')]
    )


def read_schedule(text: str) -> tuple[Schedule, tzinfo | None]:
    """Return the schedule and the time zone, ``None`` for the machine's, of a text that a task was written as."""
    *masks, flags, zone = text.split(' ')
    minutes, hours, days, months, dows = (int(mask, 16) for mask in masks)
    schedule = Schedule(minutes, hours, days, months, dows, flags[0] == '1', flags[1] == '1', text='')
    return schedule, clock.parse_zone(zone) if zone else None
