"""A schedule in words, where there are some that say exactly the same; else as it was written."""

from __future__ import annotations

from collections.abc import Sequence

from pyramid_cron.schedules.fields import DAY, DOW, HOUR, MIN, MONTH, bits
from pyramid_cron.schedules.schedule import Schedule

# a list that is longer than this is no easier to read than the line of a crontab
MOST_LISTED = 4

# not those of the module calendar, which are in the machine's language; the others count from 1
WEEKDAYS = ('Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday', 'Sunday')
MONTHS = (
    '',
    *('January', 'February', 'March', 'April', 'May', 'June'),
    *('July', 'August', 'September', 'October', 'November', 'December'),
)
DATES = tuple(
    f'the {day}{"th" if day in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")}'
    for day in range(DAY.high + 1)
)


class _NoWords(Exception):
    """There are none that are short."""


def in_words(schedule: Schedule) -> str:
    """Return when a schedule is due as a phrase, such as ``at 02:00, from Monday to Friday``.

    The minutes of the wall clock that it names are those that match. A schedule for which there is no short phrase is
    returned as it was written.
    """
    try:
        times, dates = _times(schedule), _dates(schedule)
    except _NoWords:
        return str(schedule)
    if dates:
        return f'{times}, {dates}'
    return f'every day {times}' if times.startswith('at ') else times


def _times(schedule: Schedule) -> str:
    minutes, hours = list(bits(schedule.min)), list(bits(schedule.hour))
    if len(minutes) * len(hours) <= MOST_LISTED:
        return f'at {_listed([_clock(hour, minute) for hour in hours for minute in minutes])}'
    if len(minutes) == 1:
        return _hourly(minutes[0], hours)
    step = _step(minutes, MIN.high)
    # they have to go on evenly from one hour into the next
    if not _follow(hours):
        raise _NoWords
    every = 'every minute' if step == 1 else f'every {step} minutes'
    if schedule.hour == HOUR.every:
        return every
    return f'{every} from {_clock(hours[0], 0)} to {_clock(hours[-1], minutes[-1])}'


def _hourly(minute: int, hours: Sequence[int]) -> str:
    """Return the words for one minute of several hours."""
    if len(hours) == HOUR.high + 1:
        return f'every hour at {minute} past' if minute else 'every hour'
    if _follow(hours):
        return f'every hour from {_clock(hours[0], minute)} to {_clock(hours[-1], minute)}'
    return f'every {_step(hours, HOUR.high)} hours from {_clock(0, minute)}'


def _dates(schedule: Schedule) -> str:
    """Return the words for the dates, empty for all of them."""
    months = '' if schedule.month == MONTH.every else _named(schedule.month, MONTHS)
    any_date, any_weekday, either = schedule.day == DAY.every, schedule.dow == DOW.every, schedule.either_day
    if (any_date or any_weekday) and (either or any_date == any_weekday):
        return _with('in', months)
    if any_date:
        return ', '.join(filter(None, [_with('on', _named(schedule.dow, WEEKDAYS)), _with('in', months)]))
    dates = f'{_with("on", _named(schedule.day, DATES))} of {months or "the month"}'
    if any_weekday:
        return dates
    weekdays = _named(schedule.dow, WEEKDAYS)
    if not either:
        return f'{dates}, if that is {weekdays.replace(" and ", " or ")}'
    if months:
        # that the days of the week count in these months only would take another clause
        raise _NoWords
    return f'{dates}, and {_with("on every", weekdays)}'


def _named(mask: int, names: Sequence[str]) -> str:
    """Return the values of a mask by their names: as a range, or as a list if it is short."""
    values = list(bits(mask))
    if len(values) > 2 and _follow(values):
        return f'{names[values[0]]} to {names[values[-1]]}'
    if len(values) > MOST_LISTED:
        raise _NoWords
    return _listed([names[value] for value in values])


def _with(preposition: str, named: str) -> str:
    return named and f'{"from" if " to " in named else preposition} {named}'


def _listed(items: Sequence[str]) -> str:
    return ' and '.join(filter(None, [', '.join(items[:-1]), items[-1]]))


def _follow(values: Sequence[int]) -> bool:
    return values[-1] - values[0] == len(values) - 1


def _step(values: Sequence[int], high: int) -> int:
    """Return the step of values that go evenly through a whole field, from 0 on, and over into its next turn."""
    step, rest = divmod(high + 1, len(values))
    if rest or list(values) != list(range(0, high + 1, step)):
        raise _NoWords
    return step


def _clock(hour: int, minute: int) -> str:
    return f'{hour:02}:{minute:02}'
