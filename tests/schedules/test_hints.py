"""Hints: what the message of a refused schedule or time zone suggests instead."""

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from pyramid_cron.schedules.clock import parse_zone
from pyramid_cron.schedules.fields import CRONTAB_DOW, DAY, HOUR, MIN, MONTH, NAMED_DOW, parse
from pyramid_cron.schedules.hints import PLACES


@pytest.mark.parametrize(
    ('field', 'text', 'hint'),
    [
        (MIN, '', 'a value is missing'),
        (MIN, '1,', 'a value is missing'),
        (MIN, '1, 2', 'write it without blanks'),
        (MIN, '@hourly', 'pass a nickname as cron='),
        (HOUR, '22-2', 'runs backwards; write 22-23,0-2'),
        (HOUR, '23-0', 'runs backwards; write 23,0'),
        (MONTH, 'nov-feb', 'runs backwards; write 11-12,1-2'),
        (CRONTAB_DOW, 'sat-sun', 'runs backwards; write sat,sun or 6-7'),
        (CRONTAB_DOW, 'fri-mon', 'runs backwards; write fri,sat,sun,mon'),
        (CRONTAB_DOW, '5-1', 'runs backwards; write fri,sat,sun,mon'),
        (CRONTAB_DOW, '7-2', 'runs backwards; write sun,mon,tue'),
        (NAMED_DOW, 'sat-sun', 'runs backwards; write sat,sun'),
        (CRONTAB_DOW, '7-0', 'runs backwards; write sun'),
        (MONTH, 'january', 'names have three letters'),
        (CRONTAB_DOW, 'monday-friday', 'names have three letters'),
        (CRONTAB_DOW, 'friday#', 'write a day, # and 1 to 5'),
        (DAY, 'L', "the last day of the month is day='last'"),
        (DAY, '15W', 'the nearest weekday'),
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
    ],
    ids=str,
)
def test_syntax_that_is_not_crontabs_is_refused_with_a_hint(field, text, hint):
    with pytest.raises(ValueError, match=re.escape(hint)):
        parse(field, text, [])


@pytest.mark.parametrize(
    ('value', 'place'),
    [
        ('CEST', 'Europe/Berlin'),
        ('PST', 'America/Los_Angeles'),
        ('pst', 'America/Los_Angeles'),
        ('MESZ', 'Europe/Berlin'),
    ],
)
def test_an_abbreviation_is_refused_with_a_likely_place(value, place):
    with pytest.raises(ValueError, match=f'^{value!r} is not a time zone but the abbreviation .* such as {place}$'):
        parse_zone(value)


@pytest.mark.slow
def test_each_place_uses_its_abbreviation():
    for abbreviation, place in PLACES.items():
        assert abbreviation in {ZoneInfo(place).tzname(datetime(2026, month, 1)) for month in (1, 7)}
        with pytest.raises(ValueError, match='abbreviation'):
            parse_zone(abbreviation)


@pytest.mark.slow
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
def test_an_offset_is_refused_with_its_fixed_zone(value, fixed):
    with pytest.raises(ValueError, match='is not a time zone but an offset; write the IANA name of a place') as caught:
        parse_zone(value)
    assert re.findall(r'Etc/\S+\d', str(caught.value)) == ([fixed] if fixed else [])


def test_the_suggested_fixed_zone_has_the_offset():
    with pytest.raises(ValueError, match='Etc/GMT-1,'):
        parse_zone('UTC+1')
    assert parse_zone('Etc/GMT-1').utcoffset(datetime(2026, 7, 1)) == timedelta(hours=1)
