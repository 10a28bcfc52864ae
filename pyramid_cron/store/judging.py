"""What is to be done about a task at a tick, by its row in the store. No statement is executed here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice, takewhile
from typing import Any, NamedTuple

from pyramid_cron import clock
from pyramid_cron.schedule import Schedule
from pyramid_cron.tasks import Task

# minutes of a task that are recorded one by one after an outage; of more than that, the newest
MOST_MISSED = 500
# a run that died is run again until it has begun so many times
MOST_ATTEMPTS_OF_LOST = 3

FAILED, LOST = 'failed', 'lost'


class Verdict(NamedTuple):
    """What is to be done about a task.

    :param minute: the minute to run it for, or the newest that is passed over if it is not to be run.
    :param attempt: how many times it will then have begun for this minute; 0 if it is not to be run.
    :param missed: earlier minutes, for which it never runs; with ``minute`` the last of them if it is not to be run.
    """

    minute: datetime | None = None
    attempt: int = 0
    missed: tuple[datetime, ...] = ()


NOTHING = Verdict()


def judge(task: Task, row: Mapping[str, Any], now: datetime, grace: timedelta) -> Verdict:
    """Return what is to be done about a task that is not running.

    The newest minute for which it is due and was not begun is the one to run it for, unless it is too long ago. What
    failed or was lost is run once more, until that makes way for a newer minute.

    :param row: of the task, from the table ``cron_tasks``.
    :param now: the minute of the tick.
    :param grace: how long ago a minute may be that is caught up.
    """
    owed = owed_minutes(task, row, now)
    if owed:
        newest = owed[-1]
        if now - newest <= grace:
            return Verdict(newest, 1, owed[:-1])
        return Verdict(newest, 0, owed)
    minute, again = row['last_minute'], row['again']
    if again == FAILED or (again == LOST and now - minute <= grace):
        return Verdict(minute, row['attempt'] + 1)
    return NOTHING


def owed_minutes(task: Task, row: Mapping[str, Any], now: datetime) -> tuple[datetime, ...]:
    """Return the minutes until ``now`` for which the task is due and was neither begun nor passed over.

    Those from before the last change of its schedule count only if the schedule before the change has them too.
    """
    after: datetime = max(minute for minute in (row['since'], row['last_minute'], row['busy_until']) if minute)
    owed = _until(now, task.runs(after))
    if len(owed) > MOST_MISSED:
        # the newest of what may be very many
        since = now
        while len(owed) > MOST_MISSED and since > after:
            since -= timedelta(minutes=MOST_MISSED) if since == now else (now - since)
            newest = _until(now, task.runs(max(since, after)))
            if len(newest) >= MOST_MISSED:
                owed = newest[-MOST_MISSED:]
    if row['schedule_before'] and row['changed'] > after:
        before = read(row['schedule_before'])
        owed = tuple(minute for minute in owed if minute >= row['changed'] or before.is_due(minute))
    return owed
