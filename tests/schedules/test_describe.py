"""Schedules in words: the words are parsed again and compared with the schedule."""

import re
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pyramid_cron import Schedule
from pyramid_cron.schedules.describe import MONTHS, WEEKDAYS, in_words
from tests.support.months import last_day, last_weekday, nth_weekday


@pytest.mark.parametrize(
    ('line', 'words'),
    [
        ('* * * * *', 'every minute'),
        ('*/5 * * * *', 'every 5 minutes'),
        ('0 2 * * *', 'every day at 02:00'),
        ('17 3,15 * * *', 'every day at 03:17 and 15:17'),
        ('30 */6 * * *', 'every day at 00:30, 06:30, 12:30 and 18:30'),
        ('30 7 * * 1', 'at 07:30, on Monday'),
        ('0 2 * * mon-fri', 'at 02:00, from Monday to Friday'),
        ('0 2 * 1,7 sat,sun', 'at 02:00, on Saturday and Sunday, in January and July'),
        ('0 2 * 1-3 *', 'at 02:00, from January to March'),
        ('0 * * * *', 'every hour'),
        ('5 * * * *', 'every hour at 5 past'),
        ('0 9-17 * * 1', 'every hour from 09:00 to 17:00, on Monday'),
        ('15 */2 * * *', 'every 2 hours from 00:15'),
        ('*/15 9-17 * * 1-5', 'every 15 minutes from 09:00 to 17:45, from Monday to Friday'),
        ('* 9-17 * * *', 'every minute from 09:00 to 17:59'),
        ('0 0 1 * *', 'at 00:00, on the 1st of the month'),
        ('0 0 2,3,11,22 * *', 'at 00:00, on the 2nd, the 3rd, the 11th and the 22nd of the month'),
        ('0 0 1-7 * *', 'at 00:00, from the 1st to the 7th of the month'),
        ('0 0 1 1 *', 'at 00:00, on the 1st of January'),
        ('0 0 13 * 5', 'at 00:00, on the 13th of the month, and on every Friday'),
        ('0 0 1-31 * 5', 'every day at 00:00'),
        ('0 0 1-31 6 5', 'at 00:00, in June'),
        ('0 2 L * *', 'at 02:00, on the last day of the month'),
        ('0 2 LW * *', 'at 02:00, on the last weekday of the month'),
        ('*/15 * 1,L 3,6 *', 'every 15 minutes, on the 1st and the last day of March and June'),
        ('0 2 * * 5#2', 'at 02:00, on the second Friday of the month'),
        ('0 2 * 1 0#1,5L', 'at 02:00, on the first Sunday and the last Friday of January'),
        ('0 2 L * 5', 'at 02:00, on the last day of the month, and on every Friday'),
        ('0 2 13 * 5#2', 'at 02:00, on the 13th of the month, and on the second Friday'),
        ('0 2 28-31,L * *', 'at 02:00, from the 28th to the 31st of the month'),
    ],
)
def test_common_schedules_have_words(line, words):
    assert in_words(Schedule.from_line(line)) == words


@pytest.mark.parametrize(
    'line',
    [
        '*/7 * * * *',
        '0 1-23/2 * * *',
        '*/5 1,5 * * *',
        '0 3 1,2,4,8,9 * *',
        '0 3 * 1,3,5,7,9 *',
        '0 3 1 6 5',
        '0 3 1-7,L * *',
        '0 3 * * 5L,1',
        '0 3 * * 1#1,2#1,3#1,4#1,5#1',
    ],
)
def test_a_schedule_without_a_short_phrase_stays_as_written(line):
    assert in_words(Schedule.from_line(line)) == line


def test_keywords_for_both_days_are_joined_by_if():
    schedule = Schedule.from_fields(min=0, hour=3, day=range(1, 8), dow='sat,sun')
    assert in_words(schedule) == 'at 03:00, from the 1st to the 7th of the month, if that is Saturday or Sunday'


def test_relative_days_for_both_days_are_joined_by_if():
    schedule = Schedule.from_fields(min=0, hour=3, day='last-weekday', dow='fri#4,fri#last')
    # every last Friday is the fourth or the fifth
    words = 'at 03:00, on the last weekday of the month, if that is the fourth Friday or the fifth Friday'
    assert in_words(schedule) == words


TIME = r'(\d\d:\d\d)'


def named(text, names):
    """Return the values that a list or a range of names stands for."""
    found = [names.index(name) for name in re.split(', | and | or | to ', text)]
    return set(range(found[0], found[1] + 1)) if ' to ' in text else set(found)


def read_times(text):
    """Return whether a minute of the day matches the words for the time, as a function."""
    if text == 'every minute':
        return lambda minute: True
    if match := re.fullmatch('(?:every day )?at (.*)', text):
        return lambda minute: f'{minute // 60:02}:{minute % 60:02}' in re.split(', | and ', match[1])
    if match := re.fullmatch(r'every hour(?: at (\d+) past)?', text):
        return lambda minute: minute % 60 == int(match[1] or 0)
    match = re.fullmatch(rf'every (?:(\d+) )?(minute|hour)s?(?: from {TIME}(?: to {TIME})?)?', text)
    step = int(match[1] or 1) * (60 if match[2] == 'hour' else 1)
    first, last = (int(text[:2]) * 60 + int(text[3:]) for text in (match[3] or '00:00', match[4] or '23:59'))
    return lambda minute: first <= minute <= last and (minute - first) % step == 0


ORDINALS = ('first', 'second', 'third', 'fourth', 'fifth')


def is_named(name, date):
    """Return whether a date is the one with a name such as ``the 13``, ``the last day`` or ``the second Friday``."""
    which, kind = re.fullmatch(r'the (\w+)(?: (\w+))?', name).groups()
    if kind is None:
        return date.day == int(which)
    month = date.year, date.month
    if kind in ('day', 'weekday'):
        return date.day == (last_day if kind == 'day' else last_weekday)(*month)
    number = -1 if which == 'last' else ORDINALS.index(which) + 1
    return date.day == nth_weekday(*month, WEEKDAYS.index(kind), number)


def read_days(text):
    """Return whether a date matches a list or a range of dates, or of n-th days of the week, as a function."""
    if match := re.fullmatch(r'the (\d+) to the (\d+)', text):
        return lambda date: int(match[1]) <= date.day <= int(match[2])
    names = re.split(', | and | or ', text)
    return lambda date: any(is_named(name, date) for name in names)


def read_weekdays(text):
    """Return whether a date matches days of the week, or n-th ones of its month, as a function."""
    if text.startswith('the '):
        return read_days(text)
    weekdays = named(text, WEEKDAYS)
    return lambda date: date.weekday() in weekdays


def read_dates(text):
    """Return whether a date matches the words for the date, as a function."""
    text = re.sub(r'(\d)(?:st|nd|rd|th)\b', r'\1', text)
    day = r'the .*?'
    if match := re.fullmatch(
        f'(?:on|from) ({day}) of (the month|.*?)(?:, (and|if) (?:on every|on|from|that is) (.*))?', text
    ):
        is_day = read_days(match[1])
        months = set(range(1, 13)) if match[2] == 'the month' else named(match[2], MONTHS)
        is_weekday = read_weekdays(match[4]) if match[4] else lambda date: True
        if match[3] == 'and':
            return lambda date: is_day(date) or is_weekday(date)
        return lambda date: is_day(date) and date.month in months and is_weekday(date)
    weekdays, months = set(range(7)), set(range(1, 13))
    for part in re.split(r', (?=in |from )', text):
        names = re.sub('^(?:on|in|from) ', '', part)
        if names.split(',')[0].split(' ')[0] in WEEKDAYS:
            weekdays = named(names, WEEKDAYS)
        else:
            months = named(names, MONTHS)
    return lambda date: date.weekday() in weekdays and date.month in months


def read(words):
    """Return whether a wall-clock minute matches the words for a schedule, as a function."""
    times, _, dates = (
        words.partition(', ')
        if words.startswith('every')
        else re.fullmatch(rf'(at (?:{TIME}, )*{TIME}(?: and {TIME})?)((?:, )?)(.*)', words).group(1, 5, 6)
    )
    if words.startswith('every day at'):
        times, dates = words, ''
    of_day, of_date = read_times(times), read_dates(dates) if dates else lambda date: True
    return lambda wall: of_day(wall.hour * 60 + wall.minute) and of_date(wall)


def values(low, high):
    """Draw the text of a field: one value, a few, a range, a step, or all."""
    value = st.integers(low, high)
    return st.one_of(
        st.just('*'),
        value.map(str),
        st.sets(value, min_size=1, max_size=3).map(lambda some: ','.join(map(str, sorted(some)))),
        st.tuples(value, value).map(lambda ends: '{}-{}'.format(*sorted(ends))),
        st.sampled_from([2, 3, 5, 6, 7, 10, 15, 30])
        .filter(lambda step: step <= high - low)
        .map(lambda step: f'*/{step}'),
    )


def with_relative_days(field, forms):
    """Draw the text of a field, more often than not with forms such as ``L`` and ``5#2``."""
    some = st.lists(st.sampled_from(forms), min_size=1, max_size=2, unique=True).map(','.join)
    return field | some | st.tuples(some, field).map(','.join)


NTH = [f'{day}{nth}' for day in range(7) for nth in ('#1', '#2', '#3', '#4', '#5', 'L')]
RELATIVE_LINES = st.tuples(
    values(0, 59),
    values(0, 23),
    with_relative_days(values(1, 31), ['L', 'LW']),
    st.just('*') | values(1, 12),
    with_relative_days(values(0, 6), NTH),
)
LINES = st.tuples(values(0, 59), values(0, 23), values(1, 31), values(1, 12), values(0, 6))
WALLS = st.integers(0, 366 * 4 * 1440).map(lambda minutes: datetime(2024, 1, 1) + timedelta(minutes=minutes))


def agree(schedule, wall):
    words = in_words(schedule)
    assume(words != str(schedule))
    matches = read(words)
    # a random minute seldom matches: compare the minutes around it too, and the same minutes of other days
    for days in range(-8, 9):
        for minutes in (-60, -1, 0, 1, 60):
            at = wall + timedelta(days=days, minutes=minutes)
            assert matches(at) == schedule.matches(at), (words, at)
    # in UTC, where no gap of the clock skips the minute in the words
    run = next(schedule.runs(wall.replace(tzinfo=timezone.utc)))
    assert matches(run), (words, run)


@pytest.mark.slow
@given(LINES | RELATIVE_LINES, WALLS)
def test_the_words_for_a_line_mean_the_same(fields, wall):
    try:
        schedule = Schedule.from_line(' '.join(fields))
    except ValueError:
        assume(False)
    agree(schedule, wall)


@pytest.mark.slow
@given(st.sampled_from(['last', 'last-weekday', '1,last', '15']), st.sampled_from(['*', '3-5']), st.data(), WALLS)
def test_the_words_for_relative_days_mean_the_same(day, month, data, wall):
    names = ('mon', 'tue', 'wed', 'thu', 'fri')
    nth = [f'{name}#{number}' for name in names for number in (1, 2, 3, 4, 5, 'last')]
    dow = ','.join(data.draw(st.lists(st.sampled_from(nth), min_size=1, max_size=3)))
    for fields in ((0, 2, day, month), (0, 2, '*', month, dow), (0, 2, day, month, dow), (0, 2, day, month, 'mon,fri')):
        try:
            schedule = Schedule.from_fields(*fields)
        except ValueError:
            continue
        assert in_words(schedule) != str(schedule)
        agree(schedule, wall)


# times of every day, which a line of five drawn fields seldom has
TIMES = st.tuples(*(st.sets(st.integers(0, high), min_size=1, max_size=2) for high in (59, 23)))


@pytest.mark.slow
@given(TIMES, WALLS)
def test_the_words_for_times_of_every_day_mean_the_same(times, wall):
    schedule = Schedule.from_fields(*times)
    assert in_words(schedule).startswith('every day at')
    agree(schedule, wall)
    # a drawn minute seldom matches: compare the times of the schedule themselves
    matches = read(in_words(schedule))
    minutes = [wall.replace(hour=hour, minute=minute) for minute in times[0] for hour in times[1]]
    assert all(map(matches, minutes))


@pytest.mark.slow
@given(LINES, WALLS)
def test_the_words_for_keywords_mean_the_same(fields, wall):
    minute, hour, day, month, _ = fields
    try:
        schedule = Schedule.from_fields(minute, hour, day, month, 'sat,sun' if len(day) > 1 else 'mon-fri')
    except ValueError:
        assume(False)
    agree(schedule, wall)


def test_a_schedule_that_is_off_is_off_in_words():
    assert in_words(Schedule.off()) == 'off'
