"""Schedules as texts in the rows of tasks, by which a tick notices that a deploy has changed one."""

from __future__ import annotations

import re
from datetime import tzinfo

from pyramid_cron.schedules import clock
from pyramid_cron.schedules.fields import DAY, FIELDS, HOUR, MIN, Field, as_keywords, write
from pyramid_cron.schedules.relative_days import DAY_NAMES
from pyramid_cron.schedules.schedule import Schedule
from pyramid_cron.tasks import Task

# whether a schedule is an interval, and whether one of day and dow suffices; with a third letter for relative days, by
# which versions that do not have them count the text as unknown
FLAGS = {
    f'{interval:d}{either_day:d}{relative}': (interval, either_day)
    for interval in (False, True)
    for either_day in (False, True)
    for relative in ('', 'r')
}


def write_schedule(task: Task) -> str:
    """Return the schedule and the time zone of a task as :func:`read_schedule` reads them."""
    schedule = task.schedule
    masks = schedule.min, schedule.hour, schedule.day, schedule.month, schedule.dow
    relative = 'r' if schedule.has_relative_days else ''
    return ' '.join(
        [
            *(f'{mask:x}' for mask in masks),
            f'{schedule.interval:d}{schedule.either_day:d}{relative}',
            str(task.timezone or ''),
        ]
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


def write_for_people(text: str) -> tuple[str, tzinfo | None] | None:
    """Return a schedule as it may have been written in the code, and its time zone; ``None`` if it cannot be read."""
    read = read_schedule(text)
    if read is None:
        return None
    schedule, zone = read
    if schedule.is_off:
        return str(Schedule.off()), zone
    starred = {MIN: schedule.interval, HOUR: schedule.interval, DAY: not schedule.either_day}
    texts = {spec.name: _field(spec, getattr(schedule, spec.name), starred.get(spec, False)) for spec in FIELDS}
    if not schedule.either_day and '*' not in (texts['day'][0], texts['dow'][0]):
        return as_keywords(texts), zone
    # in a line, days that depend on the month have other names
    texts['day'] = texts['day'].replace('last-weekday', 'LW').replace('last', 'L')
    texts['dow'] = re.sub('([a-z]{3})#last', lambda match: f'{DAY_NAMES.index(match[1])}L', texts['dow'])
    return ' '.join(texts.values()), zone


def _field(spec: Field, mask: int, starred: bool) -> str:
    """Return the text of a field.

    :param starred: whether the text may begin with an asterisk.
    """
    if mask == spec.every:
        return '*'
    steps = range(2, spec.high - spec.low + 1) if starred else ()
    found = (f'*/{step}' for step in steps if mask == spec.mask(range(spec.low, spec.high + 1, step)))
    return next(found, write(spec, mask))
