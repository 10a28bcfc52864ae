"""Hints about last days and n-th days, and about days of the week with a digit."""

import re

import pytest

from pyramid_cron.schedules.fields import (
    CRONTAB_DAY,
    CRONTAB_DOW,
    DAY,
    DOW,
    MIN,
    NAMED_DOW,
    ScheduleError,
    parse,
    read_text,
)
from pyramid_cron.schedules.relative_day_hints import LAST_DAY, LAST_WEEKDAY, for_number_after_nth, for_relative_day

LAST_FRIDAY = "the last Friday of the month is dow='fri#last', or 5L as the day of the week in a line"
SECOND_FRIDAY = "write dow='fri#2', or 5#2 as the day of the week in a line"


@pytest.mark.parametrize(
    ('field', 'text', 'hint'),
    [
        (DAY, 'L', LAST_DAY),
        (CRONTAB_DAY, 'last', LAST_DAY),
        (MIN, 'L', LAST_DAY),
        (CRONTAB_DOW, 'L', f'L alone is Saturday for Quartz: write sat for that; {LAST_DAY}; {LAST_FRIDAY}'),
        (NAMED_DOW, 'last', f'L alone is Saturday for Quartz: write sat for that; {LAST_DAY}; {LAST_FRIDAY}'),
        (DAY, 'LW', LAST_WEEKDAY),
        (CRONTAB_DAY, 'WL', LAST_WEEKDAY),
        (CRONTAB_DAY, 'last-weekday', LAST_WEEKDAY),
        (DAY, 'last weekday', LAST_WEEKDAY),
        (CRONTAB_DAY, '25-L', 'write 25-31'),
        (DAY, '25-last', 'write 25-31'),
        (
            CRONTAB_DAY,
            'L-3',
            'let the task run on the days 25-28, and check in the task how many days of the month are left',
        ),
        (DAY, 'last-27', 'let the task run on the days 1-4, and check'),
        (CRONTAB_DAY, 'L-28', 'a last or an n-th day has no range and no step'),
        (CRONTAB_DAY, 'L/2', 'a last or an n-th day has no range and no step'),
        (CRONTAB_DAY, 'LW-1', 'a last or an n-th day has no range and no step'),
        (CRONTAB_DOW, '5L-6', 'a last or an n-th day has no range and no step'),
        (NAMED_DOW, 'fri#2-3', 'a last or an n-th day has no range and no step'),
        (CRONTAB_DAY, '15W', 'the nearest weekday has to be found in the task'),
        (CRONTAB_DOW, 'L5', LAST_FRIDAY),
        (CRONTAB_DOW, 'friL', LAST_FRIDAY),
        (CRONTAB_DOW, 'Lfri', LAST_FRIDAY),
        (CRONTAB_DOW, 'fri#L', LAST_FRIDAY),
        (CRONTAB_DOW, 'fri#last', LAST_FRIDAY),
        (NAMED_DOW, 'fri#-1', LAST_FRIDAY),
        (NAMED_DOW, 'last-friday', LAST_FRIDAY),
        (DAY, 'last fri', LAST_FRIDAY),
        (CRONTAB_DAY, '5L', LAST_FRIDAY),
        (CRONTAB_DOW, '0#last', "the last Sunday of the month is dow='sun#last', or 0L as"),
        (CRONTAB_DOW, '7#last', "the last Sunday of the month is dow='sun#last', or 0L as"),
        (NAMED_DOW, 'friday#2', SECOND_FRIDAY),
        (DAY, '2nd fri', SECOND_FRIDAY),
        (DAY, 'fri#2', SECOND_FRIDAY),
        (CRONTAB_DAY, '5#2', SECOND_FRIDAY),
        (CRONTAB_DOW, '5#02', SECOND_FRIDAY),
        (NAMED_DOW, 'fri#6', 'no month has a Friday of that number; write 1 to 5'),
        (CRONTAB_DOW, '0#0', 'no month has a Sunday of that number; write 1 to 5'),
        (NAMED_DOW, 'mon-fri#2', 'write mon#2,tue#2,wed#2,thu#2,fri#2'),
        (CRONTAB_DOW, '6-1#3', 'write sat#3,sun#3,mon#3'),
        (CRONTAB_DOW, '8#2', 'write a day, # and 1 to 5, such as fri#2'),
        (CRONTAB_DOW, '*#2', 'write a day, # and 1 to 5, such as fri#2'),
        (CRONTAB_DOW, 'fri#', 'write a day, # and 1 to 5, such as fri#2'),
        (NAMED_DOW, 'fri##2', 'write a day, # and 1 to 5, such as fri#2'),
    ],
    ids=str,
)
def test_forms_of_other_schedulers_have_a_hint(field, text, hint):
    with pytest.raises(ValueError, match=re.escape(hint)):
        parse(field, text, [])


def test_other_elements_have_none():
    assert for_relative_day(DAY, '1-') is None


@pytest.mark.parametrize(
    ('text', 'why'),
    [
        (
            '1-5',
            '1 is Tuesday for Python and Monday for crontab; write an integer without quotes (0 is Monday) or names',
        ),
        ('0', '0 is Monday for Python and Sunday for crontab; write an integer'),
        ('7', 'has a digit, and Python and crontab number the days differently; write an integer'),
        ('mon-fri/2', 'has a digit, and Python and crontab number the days differently; write an integer'),
        ('5#2', "5 is Saturday for Python and Friday for crontab; write 'sat#2' or 'fri#2'"),
        ('0#5,mon', "0 is Monday for Python and Sunday for crontab; write 'mon#5' or 'sun#5'"),
        ('5L', "5 is Saturday for Python and Friday for crontab; write 'sat#last' or 'fri#last'"),
        ('6#last', "6 is Sunday for Python and Saturday for crontab; write 'sun#last' or 'sat#last'"),
        ('fri#2,4', 'number the days differently; write fri#2,fri#4 for two days of one name'),
        ('mon,FRI#2,4,sun', 'number the days differently; write fri#2,fri#4 for two days of one name'),
        ('2nd fri', "dow='2nd fri' is written 'fri#2'"),
        ('1st-monday', "is written 'mon#1'"),
    ],
)
def test_a_digit_for_a_day_is_explained_by_both_conventions(text, why):
    with pytest.raises(ScheduleError, match=re.escape(why)):
        read_text(DOW, text, [])


def test_a_number_after_an_nth_day_has_advice():
    advice = []
    parse(CRONTAB_DOW, '5#2,4', advice)
    assert advice == ["dow has '4' after '5#2', which is every Thursday; write 5#4 if that is meant"]


@pytest.mark.parametrize('text', ['4,5#2', '5#2,thu', '5#2,5#4', '5#2,0', '5L,4', '5#2,6'])
def test_other_lists_of_days_have_no_advice(text):
    assert for_number_after_nth(text) == []
