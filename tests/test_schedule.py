import itertools
from datetime import datetime

import pytest

from pyramid_cron.fields import ScheduleError
from pyramid_cron.schedule import Schedule

FRIDAY_13 = datetime(2026, 11, 13, 2, 30)


def endless():
    return itertools.count()


@pytest.mark.parametrize(
    'fields',
    [
        {},
        {'min': 30},
        {'min': '*', 'hour': 2},
        {'min': [0, 30], 'hour': (2,), 'day': {13}, 'month': range(11, 12), 'dow': (d for d in [4])},
        {'min': range(0, 60, 10), 'hour': range(24)},
    ],
    ids=str,
)
def test_a_minute_matches_when_all_fields_do(fields):
    assert Schedule.from_fields(**fields).matches(FRIDAY_13)


@pytest.mark.parametrize(
    'fields',
    [{'min': 29}, {'min': 0, 'hour': 2}, {'hour': 3}, {'day': 12}, {'month': 10}, {'dow': 5}, {'day': 13, 'dow': 3}],
    ids=str,
)
def test_a_minute_does_not_match_when_one_field_does_not(fields):
    assert not Schedule.from_fields(**fields).matches(FRIDAY_13)


@pytest.mark.parametrize('dow', range(7))
def test_days_of_the_week_are_those_of_python(dow):
    # 2 November 2026 is a Monday
    monday = 2
    assert Schedule.from_fields(dow=dow).matches(datetime(2026, 11, monday + dow))


@pytest.mark.parametrize(
    ('fields', 'field', 'allowed'),
    [
        ({'min': 60}, 'min=60', '0 to 59'),
        ({'min': -1}, 'min=-1', '0 to 59'),
        ({'min': [60, 61]}, 'min=[60, 61]', '0 to 59'),
        ({'hour': 24}, 'hour=24', '0 to 23'),
        ({'day': 0}, 'day=0', '1 to 31'),
        ({'month': 13}, 'month=13', '1 to 12'),
        ({'dow': 7}, 'dow=7', '6 is Sunday'),
        ({'min': ()}, 'min=() is empty', '0 to 59'),
        ({'min': True}, 'min=True', 'is a bool'),
        ({'min': [True]}, 'min=[True]', 'is a bool'),
        ({'min': 1.0}, 'min=1.0', 'not an integer'),
        ({'hour': None}, 'hour=None', 'not an integer'),
        ({'hour': ['2']}, "hour=['2']", 'not an integer'),
        ({'hour': b'\x02'}, "hour=b'", '0 to 23'),
        ({'hour': ''}, "hour=''", '0 to 23'),
        ({'day': 30, 'month': 2}, 'day=30 with month=2', 'does not exist'),
        ({'day': 31, 'month': (4, 6, 9, 11)}, 'day=31', 'does not exist'),
    ],
    ids=str,
)
def test_a_field_that_can_never_match_is_refused(fields, field, allowed):
    with pytest.raises(ScheduleError) as caught:
        Schedule.from_fields(**fields)
    assert field in str(caught.value)
    assert allowed in str(caught.value)


def test_an_endless_iterable_is_refused():
    with pytest.raises(ScheduleError, match='more than 1000 values'):
        Schedule.from_fields(min=endless())


def test_a_leap_day_is_a_date_that_exists():
    assert Schedule.from_fields(min=0, hour=0, day=29, month=2, dow=4).matches(datetime(2008, 2, 29))


def test_impossible_values_beside_possible_ones_are_accepted_with_advice():
    schedule = Schedule.from_fields(min=0, hour=(25, 2, 24))
    assert schedule.matches(datetime(2026, 11, 13, 2, 0))
    [advice] = schedule.advice
    assert 'hour=(25, 2, 24) can never match 24, 25' in advice
    assert 'range' not in advice


@pytest.mark.parametrize(
    ('fields', 'written'),
    [
        ({'min': 0, 'hour': (0, 24, 3)}, 'hour=range(0, 24, 3)'),
        ({'min': [0, 60, 5]}, 'min=range(0, 60, 5)'),
        ({'min': 0, 'day': (1, 32)}, 'day=range(1, 32)'),
    ],
    ids=str,
)
def test_what_looks_like_the_arguments_of_range_is_said_to(fields, written):
    [advice] = Schedule.from_fields(**fields).advice
    assert written in advice


def test_the_original_quick_start_is_the_set_of_its_numbers():
    schedule = Schedule.from_fields(min=0, hour=(0, 24, 3))
    assert [hour for hour in range(24) if schedule.matches(datetime(2026, 11, 13, hour))] == [0, 3]


@pytest.mark.parametrize('fields', [{'hour': 2}, {'day': 1}, {'month': 1}, {'dow': 0}], ids=str)
def test_leaving_min_out_beside_a_restricted_field_is_worth_a_word(fields):
    [advice] = Schedule.from_fields(**fields).advice
    assert 'min=0' in advice
    assert "min='*'" in advice


@pytest.mark.parametrize(
    'fields', [{}, {'min': '*', 'hour': 2}, {'min': range(60), 'hour': 2}, {'hour': range(24)}, {'hour': '*'}], ids=str
)
def test_what_is_written_out_or_unrestricted_needs_no_advice(fields):
    assert Schedule.from_fields(**fields).advice == ()


@pytest.mark.parametrize(
    ('fields', 'interval'),
    [
        ({}, True),
        ({'min': 0}, True),
        ({'min': '*', 'hour': 2}, True),
        ({'min': 0, 'hour': 2}, False),
        ({'min': range(60), 'hour': range(24)}, False),
    ],
    ids=str,
)
def test_a_star_in_minute_or_hour_makes_an_interval_schedule(fields, interval):
    assert Schedule.from_fields(**fields).interval is interval


def test_schedules_are_values():
    assert Schedule.from_fields(hour=2) == Schedule.from_fields(hour={2}, min='*')
