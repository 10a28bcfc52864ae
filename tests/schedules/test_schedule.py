import copy
import dataclasses
import itertools
import pickle
import time
from datetime import datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pyramid_cron.schedules import clock
from pyramid_cron.schedules.fields import DAY, DOW, HOUR, MIN, MONTH, ScheduleError
from pyramid_cron.schedules.schedule import Schedule
from tests.support.ids import shown

RANGES = {'min': (0, 59), 'hour': (0, 23), 'day': (1, 28), 'month': (1, 12), 'dow': (0, 6)}
FRIDAY_13 = datetime(2026, 11, 13, 2, 30)


@pytest.mark.parametrize(
    'fields',
    [
        {},
        {'min': 30},
        {'min': '*', 'hour': 2},
        {'min': [0, 30], 'hour': (2,), 'day': {13}, 'month': range(11, 12), 'dow': (d for d in [4])},
        {'min': range(0, 60, 10), 'hour': range(24)},
    ],
    ids=shown,
)
def test_a_minute_matches_when_all_fields_do(fields):
    assert Schedule.from_fields(**fields).matches(FRIDAY_13)


@pytest.mark.parametrize(
    'fields',
    [{'min': 29}, {'min': 0, 'hour': 2}, {'hour': 3}, {'day': 12}, {'month': 10}, {'dow': 5}, {'day': 13, 'dow': 3}],
    ids=shown,
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
        ({'hour': 24}, 'hour=24', '0 to 23'),
        ({'hour': '24'}, "hour='24'", '0 to 23'),
        ({'day': 30, 'month': 2}, 'day=30 with month=2', 'does not exist'),
        ({'day': 31, 'month': (4, 6, 9, 11)}, 'day=31', 'does not exist'),
        ({'day': 30, 'month': 2, 'dow': 'fri'}, "day=30 with month=2 and dow='fri'", 'does not exist'),
        ({'day': 1, 'dow': 'fri#2'}, "day=1 with dow='fri#2'", 'does not exist'),
        ({'day': 'last-weekday', 'dow': 'sat,sun'}, "day='last-weekday' with dow='sat,sun'", 'does not exist'),
        ({'day': 'last', 'dow': 'fri#4', 'month': 'jan'}, "day='last' with month='jan' and dow=", 'does not exist'),
        ({'day': '1-28', 'month': 2, 'dow': 'fri#5'}, "day='1-28' with month=2 and dow='fri#5'", 'does not exist'),
        ({'day': 'L'}, "day='L'", "'last' and 'last-weekday'"),
        ({'dow': 'fri#6'}, "dow='fri#6'", "'fri#2' and 'fri#last'"),
    ],
    ids=shown,
)
def test_fields_that_can_never_match_are_refused(fields, field, allowed):
    with pytest.raises(ScheduleError) as caught:
        Schedule.from_fields(**fields)
    assert field in str(caught.value)
    assert allowed in str(caught.value)


def test_a_leap_day_is_a_date_that_exists():
    assert Schedule.from_fields(min=0, hour=0, day=29, month=2, dow=4).matches(datetime(2008, 2, 29))


@pytest.mark.parametrize(
    ('fields', 'runs'),
    [
        ({'day': 'last'}, ['11-30', '12-31', '01-31', '02-28']),
        ({'day': '15,LAST', 'month': 'feb'}, ['02-15', '02-28', '02-15', '02-29']),
        ({'month': 2, 'day': 'last'}, ['02-28', '02-29', '02-28', '02-28']),
        ({'day': 'last-weekday'}, ['11-30', '12-31', '01-29', '02-26']),
        ({'day': 'last', 'dow': 'mon'}, ['11-30', '05-31', '01-31', '07-31']),
        ({'dow': 'fri#2'}, ['12-11', '01-08', '02-12', '03-12']),
        ({'dow': 'Fri#2,FRI#Last'}, ['11-27', '12-11', '12-25', '01-08']),
        ({'dow': 'mon#5'}, ['11-30', '03-29', '05-31', '08-30']),
        ({'dow': 'fri#5', 'month': 2}, ['02-29', '02-29']),
    ],
    ids=shown,
)
def test_relative_days_have_another_date_in_each_month(fields, runs):
    schedule = Schedule.from_fields(min=0, hour=2, **fields)
    after = datetime(2026, 11, 26, tzinfo=timezone.utc)
    coming = list(itertools.islice(schedule.runs(after), len(runs)))
    assert [f'{run:%m-%d}' for run in coming] == runs
    assert all(map(schedule.matches, coming))
    assert not schedule.interval


def test_the_originals_quick_start_is_a_set():
    schedule = Schedule.from_fields(min=0, hour=(0, 24, 3))
    assert [hour for hour in range(24) if schedule.matches(datetime(2026, 11, 13, hour))] == [0, 3]
    assert len(schedule.advice) == 1


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
        ({'day': 'last'}, ('min and hour are left out', 'min=0, hour=0', "min='*'")),
        ({'min': 0, 'dow': 'fri#2'}, ('hour is left out', 'hour=0', "hour='*'")),
    ],
    ids=shown,
)
def test_leaving_min_or_hour_out_has_advice(fields, parts):
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
def test_a_field_written_out_needs_no_advice(fields):
    assert Schedule.from_fields(**fields).advice == ()


def test_a_line_is_written_out():
    assert Schedule.from_line('0 * 1 * *').advice == ()


@pytest.mark.parametrize(
    ('fields', 'interval'),
    [
        ({}, True),
        ({'min': 0}, True),
        ({'min': '*', 'hour': 2}, True),
        ({'min': 0, 'hour': 2}, False),
        ({'min': range(60), 'hour': range(24)}, False),
    ],
    ids=shown,
)
def test_a_star_in_minute_or_hour_makes_an_interval_schedule(fields, interval):
    assert Schedule.from_fields(**fields).interval is interval


def test_schedules_are_values():
    schedule = Schedule.from_fields(hour=2)
    assert schedule == Schedule.from_fields(hour={2}, min='*')
    assert (schedule != Schedule.from_fields(hour={2}, min='*')) is False
    assert schedule != Schedule.from_fields(hour=3)
    assert schedule != str(schedule)
    assert len({schedule, Schedule.from_fields(hour={2}, min='*'), Schedule.from_fields(hour=3)}) == 2
    with pytest.raises(AttributeError):
        schedule.min = 1


def test_the_rule_for_the_two_days_is_part_of_the_value():
    both, either = Schedule.from_fields(0, 0, 13, '*', 'fri'), Schedule.from_line('0 0 13 * fri')
    assert both != either
    assert dataclasses.replace(both, either_day=True) == either


@pytest.mark.parametrize('schedule', [Schedule.from_line('0 2 * * *'), Schedule.from_fields(hour=2)], ids=shown)
def test_a_schedule_can_be_copied_and_pickled(schedule):
    for twin in (copy.copy(schedule), copy.deepcopy(schedule), pickle.loads(pickle.dumps(schedule))):
        assert twin == schedule
        assert (twin.text, twin.advice) == (schedule.text, schedule.advice)


@pytest.mark.parametrize(
    ('fields', 'text'),
    [
        ({}, '* * * * *'),
        ({'min': 0, 'hour': 2}, '0 2 * * *'),
        ({'min': '*/15', 'hour': '9-17', 'dow': 'Mon-Fri'}, '*/15 9-17 * * mon-fri'),
        ({'min': range(60), 'hour': range(0, 24, 3)}, '0-59 0-21/3 * * *'),
        ({'min': 0, 'hour': 0, 'day': (1, 15), 'month': 'jan,jul'}, '0 0 1,15 jan,jul *'),
        ({'min': 0, 'hour': 0, 'dow': range(5)}, '0 0 * * mon-fri'),
        ({'min': 0, 'hour': 0, 'day': '*/2', 'dow': 'fri'}, '0 0 */2 * fri'),
        ({'min': 0, 'hour': 0, 'day': '1,Last,last-weekday'}, '0 0 1,L,LW * *'),
        ({'min': 0, 'hour': 0, 'dow': 'FRI#2,sun#last'}, '0 0 * * fri#2,0L'),
        ({'min': 0, 'hour': 0, 'day': '*/7', 'dow': 'fri#last'}, '0 0 */7 * 5L'),
    ],
    ids=shown,
)
def test_a_schedule_is_shown_as_its_crontab_line(fields, text):
    schedule = Schedule.from_fields(**fields)
    assert str(schedule) == schedule.crontab == text
    assert repr(schedule) == f'Schedule({text!r})'
    assert Schedule.from_line(text) == schedule


@pytest.mark.parametrize(
    ('fields', 'text'),
    [
        ({'min': '00', 'hour': 0, 'day': 13, 'dow': 4}, "min=0, hour=0, day=13, dow='fri'"),
        ({'day': '1-7', 'month': 'Jan', 'dow': 'MON'}, "min='*', hour='*', day='1-7', month='jan', dow='mon'"),
        ({'min': 0, 'hour': 2, 'day': 'Last', 'dow': 'FRI#Last'}, "min=0, hour=2, day='last', dow='fri#last'"),
        (
            {'min': (0, 30), 'hour': 2, 'day': range(1, 8), 'dow': range(7)},
            "min='0,30', hour=2, day='1-7', dow='sun-sat'",
        ),
    ],
    ids=shown,
)
def test_a_schedule_without_crontab_line_is_shown_as_fields(fields, text):
    schedule = Schedule.from_fields(**fields)
    assert schedule.crontab is None
    assert str(schedule) == text
    assert repr(schedule) == f'Schedule({text})'
    assert eval(f'Schedule.from_fields({text})') == schedule


def test_a_line_is_its_own_crontab_line():
    schedule = Schedule.from_line('0  8 13 * FRI')
    assert str(schedule) == schedule.crontab == '0 8 13 * fri'
    assert repr(schedule) == "Schedule('0 8 13 * fri')"
    assert str(Schedule.from_line('0 8 l,lw JUL FRI#2,5l')) == '0 8 L,LW jul fri#2,5L'


@pytest.mark.parametrize(
    ('schedule', 'wall', 'against', 'unneeded'),
    [
        (Schedule.from_line('30 2 * * *'), FRIDAY_13, [], []),
        (Schedule.from_line('0 3 * * *'), FRIDAY_13, [MIN, HOUR], []),
        (Schedule.from_line('30 2 14 10 thu'), FRIDAY_13, [DAY, MONTH, DOW], []),
        (Schedule.from_line('30 2 13 * fri'), FRIDAY_13, [], []),
        (Schedule.from_line('30 2 13 * thu'), FRIDAY_13, [], [DOW]),
        (Schedule.from_line('30 2 14 * fri'), FRIDAY_13, [], [DAY]),
        (Schedule.from_line('0 2 14 10 fri'), FRIDAY_13, [MIN, MONTH], [DAY]),
        (Schedule.from_fields(30, 2, 13, '*', 'thu'), FRIDAY_13, [DOW], []),
        (Schedule.from_line('30 2 * * 5#2'), FRIDAY_13, [], []),
        (Schedule.from_line('30 2 * * 5#3'), FRIDAY_13, [DOW], []),
        (Schedule.from_line('30 2 L * 5#2'), FRIDAY_13, [], [DAY]),
        (Schedule.from_line('30 2 L * 5L'), FRIDAY_13, [DAY, DOW], []),
        (Schedule.from_line('30 2 L * *'), datetime(2026, 11, 30, 2, 30), [], []),
    ],
    ids=shown,
)
def test_the_fields_that_prevent_a_match_are_named(schedule, wall, against, unneeded):
    assert schedule.differences(wall) == (against, unneeded)
    assert schedule.matches(wall) is not bool(against)


@pytest.mark.parametrize(
    ('line', 'wall', 'matches'),
    [
        ('0 2 * * 0', datetime(2026, 11, 22, 2), True),
        ('0 2 * * 7', datetime(2026, 11, 22, 2), True),
        ('0 2 * * 1', datetime(2026, 11, 22, 2), False),
        ('0 2 13 * fri', datetime(2026, 11, 13, 2), True),
        ('0 2 13 * fri', datetime(2026, 11, 20, 2), True),
        ('0 2 13 * fri', datetime(2026, 12, 13, 2), True),
        ('0 2 13 * fri', datetime(2026, 12, 14, 2), False),
        ('0 2 */2 * fri', datetime(2026, 11, 20, 2), False),
        ('0 2 */2 * fri', datetime(2026, 11, 13, 2), True),
        ('0 2 1-31 * fri', datetime(2026, 11, 19, 2), True),
        ('0 2 13 * */7', datetime(2026, 11, 13, 2), False),
        ('0 0 31 2 1', datetime(2026, 2, 2), True),
        ('0 0 31 2 1', datetime(2026, 3, 2), False),
        (' \t5  4 * *\tsun ', datetime(2026, 11, 22, 4, 5), True),
        ('0 2 L * fri', datetime(2026, 11, 20, 2), True),
        ('0 2 L * fri', datetime(2026, 11, 30, 2), True),
        ('0 2 L * */7', datetime(2026, 5, 31, 2), True),
        ('0 2 L * */7', datetime(2026, 11, 30, 2), False),
        ('0 2 */2 * 5#2', datetime(2026, 11, 13, 2), True),
        ('0 2 */2 * 5#2', datetime(2026, 8, 14, 2), False),
    ],
    ids=shown,
)
def test_a_line_has_the_meaning_of_debians_cron(line, wall, matches):
    assert Schedule.from_line(line).matches(wall) is matches


@pytest.mark.parametrize(
    ('nickname', 'line'),
    [
        ('@hourly', '0 * * * *'),
        ('@daily', '0 0 * * *'),
        ('@midnight', '0 0 * * *'),
        ('@weekly', '0 0 * * 0'),
        ('@monthly', '0 0 1 * *'),
        ('@yearly', '0 0 1 1 *'),
        ('@annually', '0 0 1 1 *'),
    ],
)
def test_a_nickname_stands_for_a_line(nickname, line):
    schedule = Schedule.from_line(nickname)
    assert schedule == Schedule.from_line(line)
    assert str(schedule) == line


@pytest.mark.parametrize(
    ('line', 'why'),
    [
        ('', 'has no fields'),
        ('@reboot', 'does not know when a machine starts'),
        ('@Daily', 'is written in lower case: @daily'),
        ('@fortnightly', 'one of @hourly, @daily'),
        ('@every 5m', 'has 2 fields'),
        ('0 2 * *', 'has 4 fields'),
        ('0 0 2 * * *', 'has 6 fields'),
        ('0 2 * * * /usr/bin/backup', 'commands have no place'),
        ('0 2 * *\n*', 'has a line break in it'),
        ('0 2 * * *\n', 'has a line break in it'),
        ('60 2 * * *', "min '60' has 60, which is out of range; allowed are '*' and integers from 0 to 59"),
        ('0 22-2 * * *', "hour '22-2' has '22-2', which runs backwards; write 22-23,0-2"),
        ('0 0 30 2 *', 'a date that does not exist'),
        ('0 0 31 4,6 *', 'a date that does not exist'),
        ('0 0 30-31 2 */7', 'a date that does not exist'),
        ('0 0 */40 * 5#2', 'a date that does not exist'),
        ('0 0 LW * */6', 'a date that does not exist'),
        ('0 0 5#2 * *', "allowed are '*' and integers from 1 to 31, L (the last) and LW (the last weekday)"),
        ('0 0 * * L', 'L alone is Saturday for Quartz'),
        ('0 0 * * 5#6', '(0 and 7 are Sunday), names sun to sat, forms such as 5#2 (the second Friday) and 5L'),
        (5, 'not the text'),
        (None, 'is the value of an unset setting or environment variable; leave cron out'),
    ],
    ids=shown,
)
def test_an_invalid_line_is_refused_with_the_reason(line, why):
    with pytest.raises(ScheduleError) as caught:
        Schedule.from_line(line)
    assert f'cron={line!r}' in str(caught.value)
    assert why in str(caught.value)


def test_a_number_after_an_nth_day_deserves_advice():
    [advice] = Schedule.from_line('0 2 * * 5#2,4').advice
    assert 'write 5#4 if that is meant' in advice


def test_a_line_can_deserve_advice():
    [advice] = Schedule.from_line('*/90 * * * *').advice
    assert "'*/90'" in advice


@pytest.mark.parametrize(
    ('line', 'interval'),
    [
        ('* * * * *', True),
        ('*/5 2 * * *', True),
        ('5 */2 * * *', True),
        ('@hourly', True),
        ('0 2 * * *', False),
        ('0-59 0-23 * * *', False),
        ('0,*/5 2 * * *', False),
        ('*/5 2 L * *', True),
        ('0 2 L * 5#2', False),
    ],
)
def test_a_leading_star_makes_a_line_an_interval(line, interval):
    assert Schedule.from_line(line).interval is interval


def first(schedule, after, count=3):
    return [f'{instant:%Y-%m-%d %H:%M %z}' for instant in itertools.islice(schedule.runs(after), count)]


BERLIN = ZoneInfo('Europe/Berlin')


def test_runs_are_aware_and_in_order():
    assert first(Schedule.from_line('30 2 * * *'), datetime(2026, 11, 23, 2, 30, tzinfo=BERLIN)) == [
        '2026-11-24 02:30 +0100',
        '2026-11-25 02:30 +0100',
        '2026-11-26 02:30 +0100',
    ]


def test_a_fixed_time_in_a_gap_runs_after_it():
    assert first(Schedule.from_line('0,30 2 * * *'), datetime(2026, 3, 28, 12, tzinfo=BERLIN)) == [
        '2026-03-29 03:00 +0200',
        '2026-03-30 02:00 +0200',
        '2026-03-30 02:30 +0200',
    ]


def test_a_repeated_hour_runs_fixed_once_and_intervals_twice():
    after = datetime(2026, 10, 25, 1, 59, tzinfo=BERLIN)
    assert first(Schedule.from_line('30 2 * * *'), after, 2) == ['2026-10-25 02:30 +0200', '2026-10-26 02:30 +0100']
    assert first(Schedule.from_line('30 * * * *'), after) == [
        '2026-10-25 02:30 +0200',
        '2026-10-25 02:30 +0100',
        '2026-10-25 03:30 +0100',
    ]


def test_runs_begin_inside_the_second_pass():
    second_pass = datetime(2026, 10, 25, 2, 15, tzinfo=BERLIN, fold=1)
    assert first(Schedule.from_line('*/30 * * * *'), second_pass, 2) == [
        '2026-10-25 02:30 +0100',
        '2026-10-25 03:00 +0100',
    ]


def test_minutes_that_come_again_after_midnight_are_in_order():
    # St. John's went from 00:01 on 29 October 2000 back to 23:01 on the 28th
    after = datetime(2000, 10, 28, 23, 30, tzinfo=ZoneInfo('America/St_Johns'))
    assert first(Schedule.from_line('0,30 * * * *'), after, 4) == [
        '2000-10-29 00:00 -0230',
        '2000-10-28 23:30 -0330',
        '2000-10-29 00:00 -0330',
        '2000-10-29 00:30 -0330',
    ]


def test_a_repeated_evening_is_found_from_the_midnight():
    after = datetime(2000, 10, 29, 0, 0, tzinfo=ZoneInfo('America/St_Johns'))
    assert first(Schedule.from_line('0,30 * * * *'), after, 2) == ['2000-10-28 23:30 -0330', '2000-10-29 00:00 -0330']


def test_a_day_of_a_change_is_computed_lazily():
    moments = []

    class Counting(tzinfo):
        """The offset of Berlin on the day of its gap, without a hash, so that nothing is remembered."""

        __hash__ = None

        def utcoffset(self, moment):
            moments.append(moment)
            return moment.replace(tzinfo=BERLIN).utcoffset()

        def dst(self, moment):
            return timedelta(0)

        def fromutc(self, moment):
            return BERLIN.fromutc(moment.replace(tzinfo=BERLIN)).replace(tzinfo=self)

    after = datetime(2026, 3, 29, 4, tzinfo=Counting())
    assert next(Schedule.from_line('* * * * *').runs(after)).isoformat() == '2026-03-29T04:01:00+02:00'
    # the rest of the day has 1200 minutes, each of which would be computed twice
    assert len(moments) < 600


def test_a_rare_date_is_found_and_the_next_one_after_it():
    # the target is under 5 ms; stepping through the minutes of nine years would take seconds
    began = time.process_time()
    runs = first(Schedule.from_fields(min=0, hour=0, day=29, month=2, dow=4), datetime(2027, 3, 1, tzinfo=BERLIN), 2)
    assert runs == ['2036-02-29 00:00 +0100', '2064-02-29 00:00 +0100']
    assert time.process_time() - began < 0.25


def test_runs_end_for_a_date_that_never_comes():
    never = dataclasses.replace(Schedule.from_line('0 0 30 1 *'), month=1 << 2)
    assert list(never.runs(datetime(2026, 1, 1, tzinfo=BERLIN))) == []


def test_runs_take_a_time_zone_that_has_no_hash():
    class Unhashable(tzinfo):
        __hash__ = None

        def utcoffset(self, moment):
            return timedelta(hours=2)

        def dst(self, moment):
            return timedelta(0)

    after = datetime(2026, 11, 23, 9, 8, tzinfo=Unhashable())
    assert next(Schedule.from_line('0 2 * * *').runs(after)).isoformat() == '2026-11-24T02:00:00+02:00'


def test_runs_end_with_the_calendar():
    assert first(Schedule.from_line('0 0 31 12 *'), datetime(9997, 1, 1, tzinfo=BERLIN)) == [
        '9997-12-31 00:00 +0100',
        '9998-12-31 00:00 +0100',
    ]


def test_a_naive_start_is_the_machines_local_time(local_time):
    local_time('Europe/Berlin')
    schedule = Schedule.from_line('30 2 * * *')
    assert first(schedule, datetime(2026, 3, 28, 12), 2) == ['2026-03-29 03:00 +0200', '2026-03-30 02:30 +0200']


ZONES = [
    'Africa/Cairo',
    'America/St_Johns',
    'America/Sao_Paulo',
    'Antarctica/Casey',
    'Antarctica/Troll',
    'Asia/Gaza',
    'Australia/Lord_Howe',
    'Europe/Berlin',
    'Pacific/Apia',
    'UTC',
]


def elements(low, high):
    numbers = st.integers(low, high)
    ranges = st.tuples(numbers, numbers).map(lambda ends: f'{min(ends)}-{max(ends)}')
    steps = st.integers(1, 7).map('*/{}'.format)
    return st.one_of(st.just('*'), st.just('*'), numbers.map(str), ranges, steps)


def exists(line):
    try:
        return bool(Schedule.from_line(line))
    except ScheduleError:
        return False


last_days = st.sampled_from(['L', 'LW', 'L,15', '1,LW'])
nth_days = st.sampled_from(['5#2', '5L', '1#1,1#3', '0#5,3', 'sat#4,0L'])
lines = (
    st.tuples(
        elements(0, 59),
        elements(0, 23),
        elements(1, 28) | last_days,
        elements(1, 12),
        elements(0, 7) | nth_days,
    )
    .map(' '.join)
    # an n-th day of the week is on few dates
    .filter(exists)
)


@st.composite
def starts(draw):
    """Return an instant, more often than not close to a transition of its zone."""
    zone = ZoneInfo(draw(st.sampled_from(ZONES)))
    year = draw(st.integers(1999, 2030))
    instant = datetime(year, 1, 1, tzinfo=timezone.utc) + timedelta(minutes=draw(st.integers(0, 525600)))
    if draw(st.booleans()):
        # the first change of offset from there on, if there is one within a year
        offset = instant.astimezone(zone).utcoffset()
        days = (instant + timedelta(days=number) for number in range(366))
        instant = next((day for day in days if day.astimezone(zone).utcoffset() != offset), instant)
        instant -= timedelta(minutes=draw(st.integers(0, 2880)))
    return instant.astimezone(zone)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(lines, starts())
@example('30 2 * * *', datetime(2026, 3, 28, 12, tzinfo=BERLIN))
@example('*/15 * * * *', datetime(2000, 10, 28, 12, tzinfo=ZoneInfo('America/St_Johns')))
@example('0 12 * * *', datetime(2011, 12, 29, tzinfo=ZoneInfo('Pacific/Apia')))
@example('0 0 * * *', datetime(2018, 11, 3, 12, tzinfo=ZoneInfo('America/Sao_Paulo')))
@example('30 2 * 3 0L', datetime(2026, 3, 28, 12, tzinfo=BERLIN))
@example('*/20 * * 10 0L', datetime(2026, 10, 24, 12, tzinfo=BERLIN))
@example('30 2 L * *', datetime(2024, 3, 30, 12, tzinfo=BERLIN))
@example('0 12 LW * *', datetime(2011, 12, 29, tzinfo=ZoneInfo('Pacific/Apia')))
def test_runs_are_exactly_the_due_ticks(line, start):
    schedule, zone = Schedule.from_line(line), start.tzinfo
    begin = start.astimezone(timezone.utc)
    minutes = [begin + number * clock.MINUTE for number in range(1, 3 * 24 * 60)]
    due = [minute for minute in minutes if schedule.is_due(clock.wall_minutes(minute, zone))]
    coming = (instant.astimezone(timezone.utc) for instant in schedule.runs(start))
    assert list(itertools.takewhile(lambda instant: instant <= minutes[-1], coming)) == due


@given(lines)
def test_the_text_of_a_schedule_parses_as_the_same(line):
    schedule = Schedule.from_line(line)
    assert Schedule.from_line(str(schedule)) == schedule


numbers = {name: st.sets(st.integers(low, high), min_size=1) for name, (low, high) in RANGES.items()}


@given(st.fixed_dictionaries(numbers))
def test_the_keywords_of_a_schedule_evaluate_to_the_same(fields):
    schedule = Schedule.from_fields(**fields)
    assert eval(f'Schedule.from_fields({schedule})') == schedule


@given(lines, starts())
def test_differences_and_matching_agree(line, start):
    schedule = Schedule.from_line(line)
    against, _ = schedule.differences(start)
    assert schedule.matches(start) is not bool(against)


def test_a_schedule_that_is_off_matches_nothing():
    off = Schedule.off()
    assert (str(off), off.crontab, off.is_off) == ('off', None, True)
    assert list(off.runs(datetime(2026, 1, 1, tzinfo=timezone.utc))) == []
    assert not off.matches(datetime(2026, 1, 1))
    assert off == Schedule.off()
    assert not Schedule.from_line('0 0 1 1 *').is_off
