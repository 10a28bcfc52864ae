"""What the page shows of all tasks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Any, NamedTuple

from pyramid_cron.schedules import clock
from pyramid_cron.schedules.describe import in_words
from pyramid_cron.schedules.schedule import CALENDAR_ENDS
from pyramid_cron.status.attention import Notice, attention
from pyramid_cron.status.formatting import Line, Moment, Strip, line, moment, strip
from pyramid_cron.status.memory import Memory
from pyramid_cron.task_summary import LOCAL_TIME, Overview


class Row(NamedTuple):
    """A task in the table.

    :param name: its name.
    :param description: the first line of its docstring.
    :param words: its schedule in words.
    :param crontab: its schedule as it was written, empty if that is what ``words`` say.
    :param zone: its time zone, empty if that is the one of the page.
    :param idle: whether it waits for the idle time of a run.
    :param last: its last run.
    :param strip: its last runs.
    :param next: its next run.
    :param paused: whether it is paused.
    """

    name: str
    description: str
    words: str
    crontab: str
    zone: str
    idle: bool
    last: Line | None
    strip: Strip | None
    next: Moment | None
    paused: bool


class Status(NamedTuple):
    """What the page shows.

    :param zone: the time zone that its times are in.
    :param at: what time it is.
    :param stored: whether there is a store.
    :param notices: what needs attention.
    :param last_tick: the newest minute that had a tick.
    :param next: the next run of any task, and its name.
    :param rows: the tasks, the next to run first.
    """

    zone: str
    at: Moment
    stored: bool
    notices: Sequence[Notice]
    last_tick: Moment | None
    next: tuple[Moment, str] | None
    rows: Sequence[Row]


def status_of(registry: Any, memory: Memory, now: datetime) -> Status:
    """Return what the page shows of an application at a time."""
    tasks, settings = registry['cron_tasks'], registry['cron_settings']
    zone, window = settings.timezone, settings.window
    overviews = [
        Overview.of(task, clock.minute_of(now), 1, memory.last_runs.get(task.name), memory.paused.get(task.name))
        for task in tasks
    ]
    # compared in UTC: within one time zone it would be the wall clock
    order = {entry.task.name: clock.to_instant(entry.runs[0]) if entry.runs else None for entry in overviews}
    overviews.sort(key=lambda entry: order[entry.task.name] or CALENDAR_ENDS)
    rows = [_row(entry, memory, now, window, zone) for entry in overviews]
    coming = next((row for row in rows if row.next), None)
    first = order[coming.name] if coming else None
    return Status(
        zone=str(zone or LOCAL_TIME),
        at=moment(now, now, zone),
        stored=memory.stored,
        notices=attention(tasks, memory, now, window, zone),
        last_tick=None if memory.last_tick is None else moment(memory.last_tick, now, zone),
        next=(moment(first, now, zone), coming.name) if coming and first else None,
        rows=rows,
    )


def _row(entry: Overview, memory: Memory, now: datetime, window: float, zone: tzinfo | None) -> Row:
    task = entry.task
    words, crontab = in_words(task.schedule), str(task.schedule)
    statuses = memory.strips.get(task.name)
    return Row(
        name=task.name,
        description=entry.description,
        words=words,
        crontab='' if crontab == words else crontab,
        zone='' if entry.zone == str(zone or LOCAL_TIME) else entry.zone,
        idle=bool(task.idle),
        last=None if entry.last is None else line(entry.last, now, entry.task.window(window), zone),
        strip=strip(statuses) if statuses else None,
        next=moment(entry.runs[0], now, zone) if entry.runs else None,
        paused=task.name in memory.paused,
    )
