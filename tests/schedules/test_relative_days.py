"""Relative days in masks: their forms, and one mask for all spellings of the same days."""

import itertools

import pytest

from pyramid_cron.schedules.dates import days_by_field, days_of_month
from pyramid_cron.schedules.fields import DAY
from pyramid_cron.schedules.relative_days import (
    EVERY_WEEK,
    KEYWORD_DAYS,
    KEYWORD_WEEKDAYS,
    LAST_DAY,
    LAST_WEEKDAY,
    LINE_DAYS,
    LINE_WEEKDAYS,
    are_in,
    names,
    rows,
    show_line,
    simplify_days,
    simplify_weekdays,
)
from tests.support.months import kinds_of_months


def matched(day, dow):
    """Return the dates that both masks match, for each kind of month."""
    for first in kinds_of_months():
        by_date, by_weekday = days_by_field(day, dow, first)
        yield by_date & by_weekday & days_of_month(first.year, first.month)


@pytest.mark.slow
def test_each_spelling_of_one_weekday_has_one_mask():
    masks = {}
    for chosen in itertools.product([0, 1], repeat=7):
        mask = sum(bit << 7 * row + 4 for row, bit in enumerate(chosen))
        simple = simplify_weekdays(mask)
        dates = tuple(matched(DAY.every, mask))
        assert tuple(matched(DAY.every, simple)) == dates
        assert masks.setdefault(dates, simple) == simple
    assert len(set(masks.values())) == len(masks)


def test_weekdays_are_simplified_apart_from_each_other():
    friday, monday = KEYWORD_WEEKDAYS['fri#2'] | 1 << 4, KEYWORD_WEEKDAYS['mon#2']
    assert simplify_weekdays(friday | monday) == 1 << 4 | monday


@pytest.mark.parametrize(
    ('dates', 'without'),
    [
        (range(28, 32), LAST_DAY),
        (range(1, 32), LAST_DAY | LAST_WEEKDAY),
        (range(26, 32), LAST_DAY | LAST_WEEKDAY),
        (range(29, 32), 0),
        ([26, 27, 28, 29, 31], 0),
    ],
    ids=str,
)
def test_dates_that_contain_the_last_day_replace_it(dates, without):
    both = LAST_DAY | LAST_WEEKDAY
    assert simplify_days(DAY.mask(dates) | both) == DAY.mask(dates) | both & ~without


def test_a_mask_has_seven_rows_of_weekdays():
    assert rows(KEYWORD_WEEKDAYS['mon#1'] | KEYWORD_WEEKDAYS['sun#last'] | 0b100) == [0b100, 1, 0, 0, 0, 0, 1 << 6]


def test_keywords_and_lines_have_bits_of_their_own_for_each_day():
    assert len(set(KEYWORD_WEEKDAYS.values())) == len(KEYWORD_WEEKDAYS) == 7 * 6
    assert set(LINE_WEEKDAYS.values()) == set(KEYWORD_WEEKDAYS.values())
    assert set(LINE_DAYS.values()) == set(KEYWORD_DAYS.values()) == {LAST_DAY, LAST_WEEKDAY}
    assert min(KEYWORD_WEEKDAYS.values()) > EVERY_WEEK
    assert min(KEYWORD_DAYS.values()) > DAY.every


@pytest.mark.parametrize('number', range(7))
def test_the_numbers_of_lines_are_those_of_crontabs(number):
    name = ('sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat')[number]
    for form, keyword in ((f'{number}#3', f'{name}#3'), (f'{name}#3', f'{name}#3'), (f'{number}l', f'{name}#last')):
        assert LINE_WEEKDAYS[form] == KEYWORD_WEEKDAYS[keyword]
    assert LINE_WEEKDAYS['7#1'] == LINE_WEEKDAYS['0#1']
    assert LINE_WEEKDAYS['7l'] == LINE_WEEKDAYS['0l']


def test_masks_are_known_to_have_relative_days():
    assert not are_in(DAY.every, EVERY_WEEK)
    assert are_in(LAST_DAY, EVERY_WEEK)
    assert are_in(DAY.every, KEYWORD_WEEKDAYS['mon#1'])


def test_the_forms_of_a_mask_are_named():
    assert list(names(KEYWORD_DAYS, LAST_DAY | LAST_WEEKDAY | 2)) == ['last', 'last-weekday']
    assert list(names(KEYWORD_WEEKDAYS, LINE_WEEKDAYS['5l'] | LINE_WEEKDAYS['5#2'])) == ['fri#2', 'fri#last']


def test_a_line_has_its_forms_in_capital_letters():
    assert show_line(['0', '2', '1,l,lw', 'jul', '5l,1#2,mon#3']) == '0 2 1,L,LW jul 5L,1#2,mon#3'
    assert show_line(['0', '2', 'last,last-weekday', '*', 'sun#last,fri#2']) == '0 2 L,LW * 0L,fri#2'
