"""Schedules in English: a phrase of exactly the same meaning, or the schedule as it was written."""

from __future__ import annotations

from collections.abc import Sequence

from pyramid_cron.schedules.fields import DAY, DOW, HOUR, MIN, MONTH, bits
from pyramid_cron.schedules.relative_days import EVERY_WEEK, LAST_DAY, LAST_WEEKDAY, WEEKDAYS, rows
from pyramid_cron.schedules.schedule import Schedule

# a longer list is no easier to read than the crontab line
MAX_LISTED = 4

# not the names of the module calendar, which are in the language of the machine; months and dates count from 1
MONTHS = (
    '',
    *('January', 'February', 'March', 'April', 'May', 'June'),
    *('July', 'August', 'September', 'October', 'November', 'December'),
)
DATES = tuple(
    f'the {day}{"th" if day in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")}'
    for day in range(DAY.high + 1)
)
LAST_DATES = {LAST_DAY: 'the last day', LAST_WEEKDAY: 'the last weekday'}
ORDINALS = ('first', 'second', 'third', 'fourth', 'fifth', 'last')


class _NoShortPhrase(Exception):
    """The schedule has no short phrase."""


def in_words(schedule: Schedule) -> str:
    """Return a phrase for a schedule, such as ``at 02:00, from Monday to Friday``.

    The phrase names exactly the wall-clock minutes that match. A schedule without a short phrase is returned as it was
    written.
    """
    if schedule.is_off:
        return str(schedule)
    try:
        times, dates = _time_phrase(schedule), _date_phrase(schedule)
    except _NoShortPhrase:
        return str(schedule)
    if dates:
        return f'{times}, {dates}'
    return f'every day {times}' if times.startswith('at ') else times


def _time_phrase(schedule: Schedule) -> str:
    minutes, hours = list(bits(schedule.min)), list(bits(schedule.hour))
    if len(minutes) * len(hours) <= MAX_LISTED:
        return f'at {_join([_format_time(hour, minute) for hour in hours for minute in minutes])}'
    if len(minutes) == 1:
        return _hourly_phrase(minutes[0], hours)
    step = _step(minutes, MIN.high)
    # the minutes continue evenly from one hour into the next only if the hours have no gap
    if not _consecutive(hours):
        raise _NoShortPhrase
    every = 'every minute' if step == 1 else f'every {step} minutes'
    if schedule.hour == HOUR.every:
        return every
    return f'{every} from {_format_time(hours[0], 0)} to {_format_time(hours[-1], minutes[-1])}'


def _hourly_phrase(minute: int, hours: Sequence[int]) -> str:
    """Return the phrase for one minute of several hours."""
    if len(hours) == HOUR.high + 1:
        return f'every hour at {minute} past' if minute else 'every hour'
    if _consecutive(hours):
        return f'every hour from {_format_time(hours[0], minute)} to {_format_time(hours[-1], minute)}'
    return f'every {_step(hours, HOUR.high)} hours from {_format_time(0, minute)}'


def _date_phrase(schedule: Schedule) -> str:
    """Return the phrase for the dates, empty if every date matches."""
    months = '' if schedule.month == MONTH.every else _name_values(schedule.month, MONTHS)
    any_date, any_weekday, either = schedule.day == DAY.every, schedule.dow == DOW.every, schedule.either_day
    if (any_date or any_weekday) and (either or any_date == any_weekday):
        return _with_preposition('in', months)
    weekdays, nth = ('', False) if any_weekday else _name_weekdays(schedule.dow)
    if any_date and nth:
        return f'on {weekdays} of {months or "the month"}'
    if any_date:
        return ', '.join(filter(None, [_with_preposition('on', weekdays), _with_preposition('in', months)]))
    dates = f'{_with_preposition("on", _name_dates(schedule.day))} of {months or "the month"}'
    if any_weekday:
        return dates
    if not either:
        return f'{dates}, if that is {weekdays.replace(" and ", " or ")}'
    if months:
        # another clause would be needed: the days of the week match in these months only
        raise _NoShortPhrase
    return f'{dates}, and {_with_preposition("on" if nth else "on every", weekdays)}'


def _name_dates(mask: int) -> str:
    """Return the names of the days of the month of a mask."""
    last = [name for bit, name in LAST_DATES.items() if mask & bit]
    if not last:
        return _name_values(mask, DATES)
    named = [*(DATES[day] for day in bits(mask & DAY.every)), *last]
    if len(named) > MAX_LISTED:
        raise _NoShortPhrase
    return _join(named)


def _name_weekdays(mask: int) -> tuple[str, bool]:
    """Return the names of the days of the week of a mask, and whether they are n-th or last days of a month."""
    if mask <= EVERY_WEEK:
        return _name_values(mask, WEEKDAYS), False
    every, *counted = rows(mask)
    named = [
        f'the {ordinal} {WEEKDAYS[day]}' for ordinal, row in zip(ORDINALS, counted, strict=True) for day in bits(row)
    ]
    # a phrase for days of every week and for n-th ones would be read in two ways
    if every or len(named) > MAX_LISTED:
        raise _NoShortPhrase
    return _join(named), True


def _name_values(mask: int, names: Sequence[str]) -> str:
    """Return the names of the values of a mask, as a range or as a short list."""
    values = list(bits(mask))
    if len(values) > 2 and _consecutive(values):
        return f'{names[values[0]]} to {names[values[-1]]}'
    if len(values) > MAX_LISTED:
        raise _NoShortPhrase
    return _join([names[value] for value in values])


def _with_preposition(preposition: str, named: str) -> str:
    return named and f'{"from" if " to " in named else preposition} {named}'


def _join(items: Sequence[str]) -> str:
    return ' and '.join(filter(None, [', '.join(items[:-1]), items[-1]]))


def _consecutive(values: Sequence[int]) -> bool:
    return values[-1] - values[0] == len(values) - 1


def _step(values: Sequence[int], high: int) -> int:
    """Return the step of values that fill a whole field evenly from 0 on, so that the next hour or day continues it."""
    step, rest = divmod(high + 1, len(values))
    if rest or list(values) != list(range(0, high + 1, step)):
        raise _NoShortPhrase
    return step


def _format_time(hour: int, minute: int) -> str:
    return f'{hour:02}:{minute:02}'
