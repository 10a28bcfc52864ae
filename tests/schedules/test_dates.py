"""Dates of months: compared with the calendar, and over 400 months with cronsim and croniter where these two agree.

They agree on ``L`` and ``5#2``, alone and in lists of their kind. croniter has no ``LW``, writes ``L5`` for ``5L``,
refuses ``5#2,4``, and ignores the day of the month beside an n-th day of the week, where cronsim has the rule of
Debian's cron.
"""

from datetime import datetime, timedelta, timezone
from itertools import takewhile

import pytest
from croniter import croniter
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from pyramid_cron.schedules.dates import date_exists, days_by_field, days_of_month
from pyramid_cron.schedules.fields import DAY, DOW, MONTH, bits
from pyramid_cron.schedules.relative_days import KEYWORD_WEEKDAYS, LAST_DAY, LAST_WEEKDAY
from pyramid_cron.schedules.schedule import Schedule
from tests.support.months import MONTHS, kinds_of_months, last_day, last_weekday, months, nth_weekday

BEGIN = datetime(2000, 1, 1) - timedelta(minutes=1)
END = datetime(2000 + MONTHS // 12, MONTHS % 12 + 1, 1)

BOTH_KNOW = [
    '0 2 L * *',
    '30 23 l 2,6 *',
    '0 2 L,15 * *',
    '0 2 29,L * *',
    '0 2 30,L 2 *',
    '0 2 L * 5',
    '*/30 9-10 L 1-3 *',
    '0 2 * * fri#2',
    '0 2 * * 5#2,5#4',
    '0 2 * * mon#1,SUN#5',
    '0 2 * 2 5#5',
    '0 2 * 3-11/4 1#1,1#3,1#5',
    *(f'0 2 * * {day}#{day % 5 + 1}' for day in range(8)),
]
CRONSIM_KNOWS = [
    '0 2 LW * *',
    '0 2 lw,1 * *',
    '0 2 L,LW * *',
    '0 2 LW * 1',
    '0 2 LW */3 */2',
    '0 2 * * 5#2,4',
    '0 2 * * 5#2,1L,3',
    '0 2 13 * 5#2',
    '0 2 */2 * 5#2',
    '0 2 L * 5L',
    '0 2 L * */2',
    '0 2 */2 * 2L,4L',
    '0 2 1-7 5 mon#2',
    '0 2 29-31 2 5#5',
]


def of_cronsim(line):
    return list(takewhile(lambda run: run < END, CronSim(line, BEGIN)))


def of_croniter(line):
    runs = croniter(line, BEGIN)
    return list(takewhile(lambda run: run < END, iter(lambda: runs.get_next(datetime), None)))


def runs(line):
    after, end = (moment.replace(tzinfo=timezone.utc) for moment in (BEGIN, END))
    return [run.replace(tzinfo=None) for run in takewhile(lambda run: run < end, Schedule.from_line(line).runs(after))]


@pytest.mark.slow
@pytest.mark.parametrize('line', BOTH_KNOW)
def test_runs_are_those_of_cronsim_and_croniter(line):
    assert runs(line) == of_cronsim(line) == of_croniter(line) != []


@pytest.mark.slow
@pytest.mark.parametrize('day', range(8))
def test_a_last_day_of_the_week_is_written_the_other_way_for_croniter(day):
    line = f'0 2 * * {day}L'
    assert runs(line) == of_cronsim(line) == of_croniter(f'0 2 * * L{day}')
    assert len(runs(line)) == MONTHS


@pytest.mark.slow
@pytest.mark.parametrize('line', CRONSIM_KNOWS)
def test_runs_are_those_of_cronsim(line):
    assert runs(line) == of_cronsim(line) != []


def matched(day, dow, first):
    by_date, by_weekday = days_by_field(day, dow, first)
    return list(bits(by_date & by_weekday & days_of_month(first.year, first.month)))


def test_last_days_are_those_of_the_calendar():
    for first in months():
        of = first.year, first.month
        assert matched(LAST_DAY, DOW.every, first) == [last_day(*of)]
        assert matched(LAST_WEEKDAY, DOW.every, first) == [last_weekday(*of)]
        assert matched(LAST_DAY | 1 << 3, DOW.every, first) == [3, last_day(*of)]


@pytest.mark.slow
@pytest.mark.parametrize('form', KEYWORD_WEEKDAYS)
def test_nth_days_are_those_of_the_calendar(form):
    name, _, number = form.partition('#')
    weekday = ('mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun').index(name)
    for first in months():
        expected = nth_weekday(first.year, first.month, weekday, -1 if number == 'last' else int(number))
        assert matched(DAY.every, KEYWORD_WEEKDAYS[form], first) == ([] if expected is None else [expected])


@given(st.integers(1, (1 << 34) - 1), st.integers(1, (1 << 49) - 1), st.sampled_from(months()))
def test_a_list_matches_what_its_values_match(day, dow, first):
    def each(mask, of):
        return {found for value in bits(mask) for found in of(1 << value)}

    # bit 0 is no day of a month
    dates = each(day & ~1, lambda bit: matched(bit, DOW.every, first))
    weekdays = each(dow, lambda bit: matched(DAY.every, bit, first))
    assert set(matched(day & ~1, dow, first)) == dates & weekdays


def some(low, high):
    return st.sets(st.integers(low, high), min_size=1, max_size=3)


@given(some(1, 33), some(0, 48), some(1, 12))
def test_a_date_exists_if_some_month_has_it(day, dow, chosen):
    day, dow = (sum(1 << value for value in values) for values in (day, dow))
    # with plain values each date falls on each day of the week within 28 years
    found = any(matched(day, dow, first) for first in months(28 * 12) if first.month in chosen)
    assert date_exists(day, dow, chosen) is found


def test_dates_that_exist_seldom_or_never():
    year = list(bits(MONTH.every))
    fifth_friday, second_friday = KEYWORD_WEEKDAYS['fri#5'], KEYWORD_WEEKDAYS['fri#2']
    assert date_exists(DAY.every, fifth_friday, [2])
    assert not date_exists(DAY.mask(range(1, 29)), fifth_friday, year)
    assert not date_exists(DAY.mask([1]), second_friday, year)
    assert date_exists(DAY.mask([8]), second_friday, [2])
    # a month begins with any day of the week
    for name in ('mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'):
        assert date_exists(DAY.mask([1]), KEYWORD_WEEKDAYS[f'{name}#1'], [1])
        assert date_exists(DAY.mask([29]), KEYWORD_WEEKDAYS[f'{name}#5'], [2])
    assert date_exists(LAST_DAY, KEYWORD_WEEKDAYS['fri#4'], [2])
    assert not date_exists(LAST_DAY, KEYWORD_WEEKDAYS['fri#4'], [1, 4])
    assert not date_exists(LAST_WEEKDAY, DOW.mask([5, 6]), year)
    assert not date_exists(DAY.mask([30]), DOW.every, [2])


def test_all_kinds_of_months_come_within_the_months_that_are_compared():
    assert len(kinds_of_months()) == 28
