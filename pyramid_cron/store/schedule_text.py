"""Schedules as texts in the rows of tasks, by which a tick notices that a deploy has changed one."""

from __future__ import annotations

from datetime import tzinfo

from pyramid_cron.schedules import clock
from pyramid_cron.schedules.schedule import Schedule
from pyramid_cron.tasks import Task

# whether a schedule is an interval, and whether one of day and dow suffices
FLAGS = {'00': (False, False), '01': (False, True), '10': (True, False), '11': (True, True)}


def write_schedule(task: Task) -> str:
    """Return the schedule and the time zone of a task as :func:`read_schedule` reads them."""
    schedule = task.schedule
    masks = schedule.min, schedule.hour, schedule.day, schedule.month, schedule.dow
    return ' '.join(
        [*(f'{mask:x}' for mask in masks), f'{schedule.interval:d}{schedule.either_day:d}', str(task.timezone or '')]
    )


def read_schedule(text: str | None) -> tuple[Schedule, tzinfo | None] | None:
    """Return the schedule and the time zone (``None`` for the machine's) of a text.

    ``None`` is returned for a text that cannot be read: its time zone is unknown to this system, or a later version has
    written it.
    """
    try:
        *masks, flags, zone = (text or '').split(' ')
        minutes, hours, days, months, dows = (int(mask, 16) for mask in masks)
        interval, either_day = FLAGS[flags]
        schedule = Schedule(minutes, hours, days, months, dows, interval, either_day, text='')
        return schedule, clock.parse_zone(zone) if zone else None
    except (ValueError, KeyError):
        return None


def is_schedule_of(task: Task, text: str) -> bool:
    """Return whether a text stands for the schedule and the time zone of a task, however a version has written it."""
    if text == write_schedule(task):
        return True
    read = read_schedule(text)
    return read is not None and read[0] == task.schedule and str(read[1] or '') == str(task.timezone or '')
