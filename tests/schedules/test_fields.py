import itertools
import re

import pytest

from pyramid_cron.schedules.fields import (
    CRONTAB_DAY,
    CRONTAB_DOW,
    DAY,
    DOW,
    HOUR,
    MIN,
    MONTH,
    NAMED_DOW,
    ScheduleError,
    bits,
    parse,
    read_numbers,
    read_text,
    write,
)
from pyramid_cron.schedules.relative_days import KEYWORD_WEEKDAYS, LAST_DAY, LAST_WEEKDAY
from tests.support.ids import shown


def values(field, text):
    advice = []
    mask = parse(field, text, advice)
    assert advice == []
    return list(bits(mask))


@pytest.mark.parametrize(
    ('field', 'text', 'expected'),
    [
        (MIN, '*', list(range(60))),
        (MIN, '*/15', [0, 15, 30, 45]),
        (MIN, '0-59/10', [0, 10, 20, 30, 40, 50]),
        (MIN, '5-59/15', [5, 20, 35, 50]),
        (MIN, '1,15', [1, 15]),
        (MIN, '15,1,1', [1, 15]),
        (MIN, '00,05', [0, 5]),
        (MIN, '7-7', [7]),
        (HOUR, '9-17', list(range(9, 18))),
        (HOUR, '*/12,3', [0, 3, 12]),
        (DAY, '*/10', [1, 11, 21, 31]),
        (MONTH, 'jan,jul', [1, 7]),
        (MONTH, 'Mar-MAY', [3, 4, 5]),
        (MONTH, 'feb-12/5', [2, 7, 12]),
        (CRONTAB_DOW, '0', [6]),
        (CRONTAB_DOW, '7', [6]),
        (CRONTAB_DOW, '0,7', [6]),
        (CRONTAB_DOW, '1', [0]),
        (CRONTAB_DOW, '5-7', [4, 5, 6]),
        (CRONTAB_DOW, '0-2', [0, 1, 6]),
        (CRONTAB_DOW, '*/2', [1, 3, 5, 6]),
        (CRONTAB_DOW, 'sun', [6]),
        (CRONTAB_DOW, 'Mon-FRI', [0, 1, 2, 3, 4]),
        (NAMED_DOW, '*', list(range(7))),
        (NAMED_DOW, 'sat,sun', [5, 6]),
        (NAMED_DOW, 'sun-tue', [0, 1, 6]),
    ],
    ids=str,
)
def test_the_syntax_of_crontab_is_read(field, text, expected):
    assert values(field, text) == expected


SECOND_FRIDAY, LAST_FRIDAY, FIRST_SUNDAY = (KEYWORD_WEEKDAYS[form] for form in ('fri#2', 'fri#last', 'sun#1'))


@pytest.mark.parametrize(
    ('field', 'text', 'expected'),
    [
        (DAY, 'last', LAST_DAY),
        (DAY, 'LAST-Weekday', LAST_WEEKDAY),
        (DAY, '1,last', 1 << 1 | LAST_DAY),
        (DAY, '28-31,last', 0b1111 << 28),
        (DAY, '*,last', DAY.every),
        (CRONTAB_DAY, 'L', LAST_DAY),
        (CRONTAB_DAY, 'l,lw,15', LAST_DAY | LAST_WEEKDAY | 1 << 15),
        (NAMED_DOW, 'fri#2', SECOND_FRIDAY),
        (NAMED_DOW, 'Fri#Last,FRI#2', LAST_FRIDAY | SECOND_FRIDAY),
        (NAMED_DOW, 'mon,fri#2', 1 | SECOND_FRIDAY),
        (NAMED_DOW, 'mon-fri,fri#2', 0b11111),
        (CRONTAB_DOW, '5#2', SECOND_FRIDAY),
        (CRONTAB_DOW, 'FRI#2', SECOND_FRIDAY),
        (CRONTAB_DOW, '5l', LAST_FRIDAY),
        (CRONTAB_DOW, '0#1', FIRST_SUNDAY),
        (CRONTAB_DOW, '7#1,0', 1 << 6),
        (CRONTAB_DOW, '1-2,7#1,5L', 0b11 | FIRST_SUNDAY | LAST_FRIDAY),
        (CRONTAB_DOW, '5#1,5#2,5#3,5#4,5#5', 1 << 4),
    ],
    ids=shown,
)
def test_relative_days_are_read(field, text, expected):
    advice = []
    assert parse(field, text, advice) == expected
    assert advice == []


@pytest.mark.parametrize(
    ('field', 'text'),
    [
        (DAY, 'L'),
        (DAY, 'fri#2'),
        (CRONTAB_DAY, 'last'),
        (CRONTAB_DAY, '5#2'),
        (NAMED_DOW, 'last'),
        (NAMED_DOW, 'friL'),
        (CRONTAB_DOW, 'L'),
        (CRONTAB_DOW, 'fri#last'),
        (CRONTAB_DOW, 'friL'),
        (CRONTAB_DOW, '5#6'),
        (MONTH, 'last'),
        (HOUR, 'L'),
        (MIN, '5#2'),
    ],
    ids=shown,
)
def test_relative_days_have_one_form_in_keywords_and_one_in_lines(field, text):
    with pytest.raises(ValueError, match='not the syntax'):
        parse(field, text, [])


@pytest.mark.parametrize(
    ('field', 'text', 'why'),
    [
        (MIN, '1.5', 'not the syntax'),
        (MIN, '**', 'not the syntax'),
        (MIN, '*5', 'not the syntax'),
        (MIN, '1-2-3', 'not the syntax'),
        (MIN, '-5', 'not the syntax'),
        (MIN, '1-', 'not the syntax'),
        (MIN, '+1', 'not the syntax'),
        (MIN, '*/', 'not the syntax'),
        (MIN, '*/x', 'not the syntax'),
        (MIN, '1/2/3', 'not the syntax'),
        (MIN, '\u0661', 'not the syntax'),
        (MIN, '1\n', 'not the syntax'),
        (MIN, '60', '60, which is out of range'),
        (MIN, '0-60', '60, which is out of range'),
        (DAY, '0', '0, which is out of range'),
        (CRONTAB_DOW, '8', '8, which is out of range'),
        (MIN, '*/0', 'a step of 0'),
        (MIN, '1-5/00', 'a step of 0'),
        (MIN, '5/15', 'a step without a range; write 5-59/15'),
        (CRONTAB_DOW, 'mon/2', 'a step without a range; write 1-7/2'),
        (MIN, 'mon', "has 'mon'; it has no names"),
        (MONTH, 'mon', "has 'mon'; its names are jan, feb"),
        (CRONTAB_DOW, 'fri-mon/2', 'runs backwards; begin with the smaller value'),
        (MIN, '9am', 'not the syntax'),
    ],
    ids=str,
)
def test_text_that_is_not_crontabs_is_refused(field, text, why):
    with pytest.raises(ValueError, match=re.escape(why)):
        parse(field, text, [])


@pytest.mark.parametrize(('text', 'only'), [('*/60', 0), ('*/90', 0), ('30-40/20', 30)])
def test_a_step_that_leaves_one_value_has_advice(text, only):
    advice = []
    assert list(bits(parse(MIN, text, advice))) == [only]
    assert advice == [f'min has {text!r}, a step that leaves nothing but {only}']


@pytest.mark.parametrize('text', ['0', '1-5', '*/2', 'mon,5', 'mon-fri/2', '7', '²'])
def test_a_keywords_days_of_the_week_take_no_digits(text):
    with pytest.raises(ScheduleError) as caught:
        read_text(DOW, text, [])
    for part in (f'dow={text!r} has a digit', 'integer without quotes (0 is Monday)', 'names'):
        assert part in str(caught.value)


@pytest.mark.parametrize('field', [MIN, HOUR, DOW], ids=str)
@pytest.mark.parametrize('text', ['0 2 * * *', ' 0  2\t* * * ', '0 2 * * fri'])
def test_a_crontab_line_in_a_field_is_recognized(field, text):
    with pytest.raises(ScheduleError) as caught:
        read_text(field, text, [])
    assert f'{field.name}={text!r} is a whole crontab line, not one field; write cron=' in str(caught.value)
    assert f"write cron='{' '.join(text.split())}' and leave the fields out" in str(caught.value)


def test_a_list_with_blanks_is_no_crontab_line():
    with pytest.raises(ScheduleError, match='write it without blanks'):
        read_text(HOUR, '1, 2, 3, 4, 5', [])


@pytest.mark.parametrize(
    ('field', 'given', 'why', 'allowed'),
    [
        (MIN, 60, 'min=60', '0 to 59'),
        (MIN, -1, 'min=-1', '0 to 59'),
        (MIN, [60, 61], 'min=[60, 61]', '0 to 59'),
        (DAY, 0, 'day=0', '1 to 31'),
        (MONTH, 13, 'month=13', '1 to 12'),
        (DOW, 7, 'dow=7', '6 is Sunday'),
        (MIN, (), 'min=() is empty', '0 to 59'),
        (MIN, True, 'min=True', 'is a bool'),
        (MIN, [True], 'min=[True]', 'is a bool'),
        (MIN, 1.0, 'min=1.0', 'not an integer'),
        (HOUR, b'\x02', "hour=b'", '0 to 23'),
        (MIN, itertools.count(), 'min=', 'more than 1000 values'),
    ],
    ids=shown,
)
def test_numbers_that_can_never_match_are_refused(field, given, why, allowed):
    with pytest.raises(ScheduleError) as caught:
        read_numbers(field, given, [])
    assert why in str(caught.value)
    assert allowed in str(caught.value)


@pytest.mark.parametrize(
    ('field', 'given', 'possible', 'advice'),
    [
        (HOUR, (25, 2, 24), [2], 'hour=(25, 2, 24) can never match 24, 25'),
        (HOUR, (0, 24, 3), [0, 3], 'write hour=range(0, 24, 3)'),
        (MIN, [0, 60, 5], [0, 5], 'write min=range(0, 60, 5)'),
        (DAY, (1, 32), [1], 'write day=range(1, 32)'),
    ],
    ids=shown,
)
def test_impossible_values_among_others_have_advice(field, given, possible, advice):
    sentences = []
    assert list(bits(read_numbers(field, given, sentences))) == possible
    assert advice in sentences[0]
    assert ('range' in sentences[0]) == ('range' in advice)


@pytest.mark.parametrize(
    ('field', 'items', 'hint'),
    [
        (DOW, ['mon', 'fri'], "; write dow='mon,fri'"),
        (DOW, ('sat',), "; write dow='sat'"),
        (MONTH, iter(['jan', 'jul']), "; write month='jan,jul'"),
        (HOUR, ['9', '17'], "; write hour='9,17'"),
        (HOUR, ['9', 17], "; write hour='9,17'"),
        (DAY, [15, 'last'], "; write day='15,last'"),
        (DOW, ['fri#2', 'fri#4'], "; write dow='fri#2,fri#4'"),
    ],
    ids=shown,
)
def test_texts_in_an_iterable_are_joined_in_a_hint(field, items, hint):
    with pytest.raises(ScheduleError) as caught:
        read_numbers(field, items, [])
    assert f'{hint}; allowed are' in str(caught.value)


@pytest.mark.parametrize(
    ('field', 'items'),
    [(DOW, ['1', '2']), (DOW, ['mon', 4]), (DOW, ['5#2']), (HOUR, [9.0]), (HOUR, 9.0), (HOUR, [9, 9.0])],
    ids=str,
)
def test_other_items_have_no_such_hint(field, items):
    with pytest.raises(ScheduleError) as caught:
        read_numbers(field, items, [])
    assert 'is not an integer or an iterable of integers' in str(caught.value)
    assert 'write' not in str(caught.value)


def test_an_iterable_that_cannot_be_iterated_is_refused():
    class Empty:
        def __iter__(self):
            raise TypeError('iteration over nothing')

    with pytest.raises(ScheduleError, match='iteration over nothing; allowed are'):
        read_numbers(HOUR, Empty(), [])


def test_a_field_that_is_none_names_the_usual_origin():
    with pytest.raises(ScheduleError) as caught:
        read_numbers(HOUR, None, [])
    assert str(caught.value) == (
        'hour=None is the value of an unset setting or environment variable; leave hour out if every value is meant; '
        "allowed are '*' and integers from 0 to 23"
    )


def test_the_values_of_a_mask_come_in_order():
    assert list(bits(MIN.mask([59, 0, 7]))) == [0, 7, 59]
    assert list(bits(0)) == []


def test_the_error_of_a_keyword_shows_field_value_and_range():
    with pytest.raises(ScheduleError) as caught:
        read_text(HOUR, '9-25', [])
    assert str(caught.value) == "hour='9-25' has 25, which is out of range; allowed are '*' and integers from 0 to 23"


@pytest.mark.parametrize(
    ('field', 'given', 'text'),
    [
        (MIN, [0], '0'),
        (MIN, [0, 1], '0-1'),
        (MIN, [0, 1, 2, 30], '0-2,30'),
        (MIN, range(60), '0-59'),
        (MIN, range(0, 60, 15), '0-45/15'),
        (MIN, [3, 17], '3,17'),
        (MIN, [3, 17, 18], '3,17-18'),
        (MONTH, [1, 7], '1,7'),
        (DOW, range(5), 'mon-fri'),
        (DOW, [5, 6], 'sun,sat'),
        (DOW, [6, 0, 1], 'sun-tue'),
        (DOW, range(7), 'sun-sat'),
        (DOW, [0, 2, 4], 'mon,wed,fri'),
    ],
    ids=str,
)
def test_values_are_written_as_crontab_reads_them(field, given, text):
    mask = field.mask(given)
    assert write(field, mask) == text
    assert parse(NAMED_DOW if field is DOW else field, text, []) == mask


@pytest.mark.parametrize(
    ('field', 'text'),
    [
        (DAY, 'last'),
        (DAY, '1-3,15,last,last-weekday'),
        (DAY, '2-30/4,last'),
        (DOW, 'fri#2'),
        (DOW, 'mon-wed,fri#2,fri#4,sun#last'),
    ],
    ids=shown,
)
def test_relative_days_are_written_as_keywords_have_them(field, text):
    mask = read_text(field, text, [])
    assert write(field, mask) == text
