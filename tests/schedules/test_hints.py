"""Hints in refusals and advice: what to write instead."""

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from pyramid_cron.schedules.clock import parse_zone
from pyramid_cron.schedules.fields import (
    CRONTAB_DOW,
    DAY,
    DOW,
    HOUR,
    MIN,
    MONTH,
    NAMED_DOW,
    ScheduleError,
    parse,
    read_numbers,
    read_text,
)
from pyramid_cron.schedules.hints import PLACES
from pyramid_cron.schedules.schedule import Schedule
from tests.support.ids import shown


@pytest.mark.parametrize(
    ('field', 'text', 'why'),
    [
        (MIN, '', 'a value is missing'),
        (MIN, '1,', 'a value is missing'),
        (MIN, '1, 2', 'write it without blanks'),
        (MIN, '@hourly', 'pass a nickname as cron='),
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
        (HOUR, '22-2', 'runs backwards; write 22-23,0-2'),
        (HOUR, '23-0', 'runs backwards; write 23,0'),
        (MONTH, 'nov-feb', 'runs backwards; write 11-12,1-2'),
        (CRONTAB_DOW, 'sat-sun', 'runs backwards; write sat,sun or 6-7'),
        (CRONTAB_DOW, 'fri-mon', 'runs backwards; write fri,sat,sun,mon'),
        (CRONTAB_DOW, '5-1', 'runs backwards; write fri,sat,sun,mon'),
        (CRONTAB_DOW, '7-2', 'runs backwards; write sun,mon,tue'),
        (NAMED_DOW, 'sat-sun', 'runs backwards; write sat,sun'),
        (MIN, 'mon', "has 'mon'; it has no names"),
        (MONTH, 'mon', "has 'mon'; its names are jan, feb"),
        (CRONTAB_DOW, 'fri-mon/2', 'runs backwards; begin with the smaller value'),
        (CRONTAB_DOW, '7-0', 'runs backwards; write sun'),
        (MONTH, 'january', 'names have three letters'),
        (CRONTAB_DOW, 'monday-friday', 'names have three letters'),
        (DAY, 'L', 'the last day of a month'),
        (CRONTAB_DOW, '5L', 'the last day of a month'),
        (DAY, '15W', 'the nearest weekday'),
        (CRONTAB_DOW, '5#2', 'an n-th weekday'),
        (DAY, '?', "write '*'"),
        (MIN, 'H', 'pick a number'),
        (MIN, 'H/15', 'pick a number'),
        (MIN, '0~30', 'pick a number'),
        (HOUR, '9am', "has '9am', which is not the syntax of crontab(5): write 9"),
        (HOUR, '12AM', 'write 0'),
        (HOUR, '12 pm', 'write 12'),
        (HOUR, '9am-5pm', 'write 9-17'),
        (HOUR, '9:30', 'the hour and the minute are two fields'),
        (HOUR, '9:30am', 'the hour and the minute are two fields'),
        (MIN, '9am', 'not the syntax'),
    ],
    ids=str,
)
def test_what_is_not_crontab_is_refused_with_a_hint(field, text, why):
    with pytest.raises(ValueError, match=re.escape(why)):
        parse(field, text, [])


@pytest.mark.parametrize('field', [MIN, HOUR, DOW], ids=str)
@pytest.mark.parametrize('text', ['0 2 * * *', ' 0  2\t* * * ', '0 2 * * fri'])
def test_a_crontab_line_in_a_field_is_told_from_a_field(field, text):
    with pytest.raises(ScheduleError) as caught:
        read_text(field, text, [])
    assert f'{field.name}={text!r} is a whole crontab line, not one field; write cron=' in str(caught.value)
    assert f"write cron='{' '.join(text.split())}' and leave the fields out" in str(caught.value)


def test_a_list_with_blanks_is_no_crontab_line():
    with pytest.raises(ScheduleError, match='write it without blanks'):
        read_text(HOUR, '1, 2, 3, 4, 5', [])


@pytest.mark.parametrize(
    ('field', 'items', 'hint'),
    [
        (DOW, ['mon', 'fri'], "; write dow='mon,fri'"),
        (DOW, ('sat',), "; write dow='sat'"),
        (MONTH, iter(['jan', 'jul']), "; write month='jan,jul'"),
        (HOUR, ['9', '17'], "; write hour='9,17'"),
    ],
    ids=shown,
)
def test_texts_in_an_iterable_are_joined_in_the_hint(field, items, hint):
    with pytest.raises(ScheduleError) as caught:
        read_numbers(field, items, [])
    assert f'{hint}; allowed are' in str(caught.value)


@pytest.mark.parametrize(
    ('field', 'items'), [(DOW, ['1', '2']), (DOW, ['mon', 4]), (HOUR, [9.0]), (HOUR, 9.0)], ids=str
)
def test_what_cannot_be_joined_gets_no_such_hint(field, items):
    with pytest.raises(ScheduleError) as caught:
        read_numbers(field, items, [])
    assert 'is not an integer or an iterable of integers' in str(caught.value)
    assert 'write' not in str(caught.value)


def test_the_origin_of_a_none_is_named():
    with pytest.raises(ScheduleError) as caught:
        read_numbers(HOUR, None, [])
    assert str(caught.value) == (
        'hour=None is what an unset setting or environment variable gives; leave hour out if every value is meant; '
        "allowed are '*' and integers from 0 to 23"
    )


@pytest.mark.parametrize(
    ('fields', 'parts'),
    [
        ({'hour': 2}, ('min is left out', 'min=0', "min='*'")),
        ({'hour': 2, 'day': 1}, ('min is left out', 'min=0', "min='*'")),
        ({'hour': '*', 'day': 1}, ('min is left out', 'min=0', "min='*'")),
        ({'day': 1}, ('min and hour are left out', 'min=0, hour=0', "min='*'")),
        ({'month': 1}, ('min and hour are left out', 'min=0, hour=0', "min='*'")),
        ({'dow': 0}, ('min and hour are left out', 'min=0, hour=0', "min='*'")),
        ({'min': 0, 'day': 1}, ('hour is left out', 'hour=0', "hour='*'")),
        ({'min': 30, 'month': 'jan'}, ('hour is left out', 'hour=0', "hour='*'")),
        ({'min': '0', 'dow': 'mon'}, ('hour is left out', 'hour=0', "hour='*'")),
    ],
    ids=shown,
)
def test_leaving_min_or_hour_out_beside_a_restricted_field_is_worth_a_word(fields, parts):
    [advice] = Schedule.from_fields(**fields).advice
    for part in parts:
        assert part in advice


@pytest.mark.parametrize(
    'fields',
    [
        {},
        {'min': 0},
        {'min': '*', 'hour': 2},
        {'min': range(60), 'hour': 2},
        {'hour': range(24)},
        {'hour': '*'},
        {'min': 0, 'hour': '*', 'day': 1},
        {'min': 0, 'hour': range(24), 'dow': 'mon'},
        {'min': '*', 'dow': 'mon'},
        {'min': '*/15', 'dow': 'mon-fri'},
        {'min': (0, 30), 'dow': 'mon-fri'},
        {'min': 0, 'dow': 'sun-sat'},
        {'min': 0, 'hour': 0, 'day': 1},
    ],
    ids=shown,
)
def test_what_is_written_out_or_unrestricted_needs_no_advice(fields):
    assert Schedule.from_fields(**fields).advice == ()


@pytest.mark.parametrize(
    ('value', 'place'),
    [
        ('CEST', 'Europe/Berlin'),
        ('PST', 'America/Los_Angeles'),
        ('pst', 'America/Los_Angeles'),
        ('MESZ', 'Europe/Berlin'),
    ],
)
def test_an_abbreviation_is_refused_with_a_place_that_may_be_meant(value, place):
    with pytest.raises(ValueError, match=f'^{value!r} is not a time zone but the abbreviation .* such as {place}$'):
        parse_zone(value)


def test_the_places_of_abbreviations_have_them_and_are_needed():
    for abbreviation, place in PLACES.items():
        assert abbreviation in {ZoneInfo(place).tzname(datetime(2026, month, 1)) for month in (1, 7)}
        with pytest.raises(ValueError, match='abbreviation'):
            parse_zone(abbreviation)


@pytest.mark.parametrize(
    ('value', 'fixed'),
    [
        ('UTC+1', 'Etc/GMT-1'),
        ('utc+01:00', 'Etc/GMT-1'),
        ('GMT-5', 'Etc/GMT+5'),
        ('+0100', 'Etc/GMT-1'),
        ('UTC +10', 'Etc/GMT-10'),
        ('UTC+5:30', None),
        ('+0530', None),
        ('UTC+15', None),
    ],
)
def test_an_offset_is_refused_with_the_zone_that_has_it_all_year(value, fixed):
    with pytest.raises(ValueError, match='is not a time zone but an offset; write the IANA name of a place') as caught:
        parse_zone(value)
    assert re.findall(r'Etc/\S+\d', str(caught.value)) == ([fixed] if fixed else [])


def test_the_zone_that_an_offset_is_answered_with_has_that_offset():
    with pytest.raises(ValueError, match='Etc/GMT-1,'):
        parse_zone('UTC+1')
    assert parse_zone('Etc/GMT-1').utcoffset(datetime(2026, 7, 1)) == timedelta(hours=1)
