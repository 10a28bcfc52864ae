"""The slug and the configuration of each monitor."""

import logging
import re
from datetime import datetime, timedelta, timezone
from itertools import islice

import pytest
from cronsim import CronSim

from pyramid_cron import Task
from pyramid_cron.sentry.monitors import Monitors
from pyramid_cron.settings import Settings

BEGIN = datetime(2026, 1, 1, tzinfo=timezone.utc)
DAILY = {'min': 0, 'hour': 2}


def monitors(lines='', **settings):
    return Monitors(Settings.parse({'cron.sentry_monitors': lines} | {f'cron.{k}': v for k, v in settings.items()}))


def config(settings=None, **options):
    task = Task(print, name='task', **({'timezone': 'Europe/Berlin'} | options))
    return monitors(**(settings or {})).config_of(task)


STORE = {'store': 'sqlite://'}


@pytest.mark.parametrize(
    'schedule',
    [
        DAILY,
        {'min': '*'},
        {'min': '*/5', 'hour': '9-17', 'dow': 'mon-fri'},
        {'min': 0, 'hour': 6, 'dow': 6},
        {'min': 0, 'hour': 6, 'day': '1,15', 'month': 'jan,jul'},
        {'cron': '0 2 1 * 0'},
        {'cron': '@weekly'},
    ],
)
def test_a_crontab_line_means_the_same_in_sentry(schedule):
    found = config(**schedule)
    assert found['schedule']['type'] == 'crontab'
    assert found['timezone'] == 'Europe/Berlin'
    runs = islice(Task(print, timezone='UTC', **schedule).runs(BEGIN), 20)
    # which Sentry reads these lines with
    expected = islice(CronSim(found['schedule']['value'], BEGIN), 20)
    assert [run.replace(tzinfo=timezone.utc) for run in runs] == list(expected)


@pytest.mark.parametrize(
    ('schedule', 'days'),
    [
        ({**DAILY, 'day': 'last'}, 31),
        ({**DAILY, 'dow': 'mon#2'}, 35),
        ({**DAILY, 'day': '1-7', 'dow': 'mon'}, 35),
    ],
)
def test_without_a_crontab_line_the_longest_gap_is_an_interval(schedule, days):
    assert config(**schedule)['schedule'] == {'type': 'interval', 'value': days, 'unit': 'day'}


def test_a_task_that_is_off_or_hardly_due_has_no_schedule():
    task = Task(print, name='shop.leap', **DAILY, day=29, month=2, dow='mon')
    off = Task(print, name='shop.off', timezone='UTC')
    off.schedule = off.schedule.off()
    found = monitors()
    assert found.config_of(task) is None
    assert found.config_of(off) is None
    # one that is off is not expected to run
    assert list(found.notes([task, off])) == [
        (
            logging.WARNING,
            'task shop.leap: Sentry gets no schedule and makes no monitor: it is due less than once a year; '
            'make it there by hand: shop-leap',
        )
    ]


def test_notes_are_about_the_others_alone():
    tasks = [
        Task(print, name='daily', timezone='UTC', **DAILY),
        Task(print, name='second', timezone='UTC', **DAILY, dow='mon#2'),
        Task(print, name='out', timezone='UTC', **DAILY, dow='mon#2'),
    ]
    text = 'task second: Sentry does not take 0 2 * * mon#2, and expects a run every 35 days'
    assert list(monitors({'out': 'off'}).notes(tasks)) == [(logging.INFO, text)]


def test_in_local_time_the_zone_is_that_of_the_machine(local_time):
    local_time('Asia/Tokyo')
    assert config(timezone=None, **DAILY)['timezone'] == 'Asia/Tokyo'
    local_time('CET-1CEST,M3.5.0,M10.5.0/3')
    task = Task(print, name='task', **DAILY)
    found = monitors()
    assert found.config_of(task) is None
    [(level, text)] = found.notes([task])
    assert level == logging.WARNING
    assert text.endswith('has no name that is known here (set cron.timezone); make it there by hand: task')


@pytest.mark.parametrize(
    ('settings', 'options', 'minutes'),
    [
        ({}, {}, 2),
        ({'window': '50.5'}, {}, 2),
        ({'window': '61'}, {}, 3),
        (STORE, {}, 6),
        (STORE | {'catch_up': '0'}, {}, 2),
        (STORE, {'catch_up': timedelta(hours=6)}, 361),
        (STORE, {'catch_up': 86400 * 100}, 40_320),
        (STORE, {'store': False}, 2),
        ({}, {'catch_up': 600}, 2),
    ],
)
def test_the_margin_is_what_a_run_may_be_late(settings, options, minutes):
    assert config(settings, **DAILY, **options)['checkin_margin'] == minutes


def test_a_run_may_wait_in_its_queue():
    task = Task(print, name='task', timezone='UTC', catch_up=600, **DAILY)
    task.engine = object()
    assert monitors().config_of(task)['checkin_margin'] == 11


@pytest.mark.parametrize(
    ('options', 'minutes'),
    [
        ({'expect': 20}, 1),
        ({'expect': 61}, 2),
        ({'expect': timedelta(days=30)}, 10_080),
        ({'expect': 60, 'retries': 2}, 2),
        ({'expect': 60, 'retries': (60, 600)}, 11),
        ({}, 1440),
        ({'hour': '*', 'min': '*'}, 30),
        ({'dow': 'mon'}, 10_080),
        ({'day': 1}, 10_080),
    ],
)
def test_a_run_may_take_what_is_expected(options, minutes):
    assert config(**(DAILY | options))['max_runtime'] == minutes


@pytest.mark.parametrize(('tolerate', 'threshold'), [(0, 1), (2, 3), (5000, 720)])
def test_the_threshold_is_what_is_tolerated_and_one_more(tolerate, threshold):
    found = config(**DAILY, tolerate=tolerate)
    assert (found['failure_issue_threshold'], found['recovery_threshold']) == (threshold, 1)


def test_a_line_sets_the_slug_or_none():
    found = monitors({'a.b': 'chosen', 'c': 'off'})
    assert [found.slug_of(name) for name in ('a.b', 'c', 'd.e')] == ['chosen', None, 'd-e']
    assert monitors('* = off').slug_of('a') is None


@pytest.mark.parametrize(
    ('lines', 'message'),
    [
        ('* = on', "the line of '*' can be off, and nothing else"),
        ('a = A', "a = 'A': it has to have 1 to 50 of the characters a-z, 0-9, - and _, not digits alone, or off"),
    ],
)
def test_a_bad_line_is_refused(lines, message):
    with pytest.raises(ValueError, match=f'^bad setting cron.sentry_monitors: {re.escape(message)}$'):
        monitors(lines)


def test_each_line_is_for_a_task_and_each_task_has_its_own_monitor():
    tasks = [Task(print, name=name) for name in ('a.b', 'a-b')]
    monitors({'a.b': 'other'}).check_tasks(tasks)
    monitors({'a.b': 'off'}).check_tasks(tasks)
    with pytest.raises(ValueError, match=r'cron\.sentry_monitors: the tasks a\.b and a-b have the same slug; add'):
        monitors().check_tasks(tasks)
    with pytest.raises(ValueError, match="'c' names no cron task"):
        monitors({'c': 'off'}).check_tasks(tasks)
