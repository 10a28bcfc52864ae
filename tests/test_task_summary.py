"""One task at an instant."""

import functools
from dataclasses import replace
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest

from pyramid_cron import Task
from pyramid_cron.monitoring.problem import Problem
from pyramid_cron.progress import Progress
from pyramid_cron.schedules.clock import MINUTE, format_offset, minute_of, to_instant
from pyramid_cron.store.live_progress import write_progress
from pyramid_cron.store.liveness import ProcessState
from pyramid_cron.store.task_state import TaskState
from pyramid_cron.task_summary import summarize, words_of
from tests.support.states import in_progress
from tests.support.states import state as row_of

BERLIN = ZoneInfo('Europe/Berlin')


def purge(system):
    """
    Delete what is old.

    More about it.
    """


def plain(system):
    pass


def summary(f=plain, at='2026-12-24 00:00', **schedule):
    moment = datetime.fromisoformat(at)
    instant = to_instant(moment if moment.tzinfo else moment.replace(tzinfo=BERLIN))
    return summarize(Task(f, timezone=BERLIN, **schedule), minute_of(instant), 1)


def test_the_description_of_a_partial_is_its_functions():
    assert summary(functools.partial(purge)).description == 'Delete what is old.'
    assert summary(functools.partial(plain)).description == ''


@pytest.mark.parametrize(
    ('schedule', 'at', 'due', 'why'),
    [
        ({'cron': '0 2 * * *'}, '2026-12-24 02:00', True, 'all fields match'),
        ({'cron': '0 2 * * *'}, '2026-12-24 02:01', False, 'min is 1, not 0'),
        (
            {'cron': '0,30 2-4 * jan,dec *'},
            '2026-11-24 01:01',
            False,
            'min is 1, not 0,30; hour is 1, not 2-4; month is 11, not 1,12',
        ),
        ({'min': 0, 'hour': 0, 'day': 1, 'dow': 0}, '2026-12-01 00:00', False, 'dow is tue, not mon'),
        ({'min': 0, 'hour': 0, 'day': 'last'}, '2026-11-28 00:00', False, 'day is 28, not last'),
        ({'min': 0, 'hour': 0, 'day': 'last'}, '2026-11-30 00:00', True, 'all fields match'),
        ({'cron': '0 0 1,LW * *'}, '2026-11-28 00:00', False, 'day is 28, not 1,last-weekday'),
        ({'cron': '0 0 * * 5#2'}, '2026-11-20 00:00', False, 'dow is fri#3, not fri#2'),
        ({'cron': '0 0 * * 5L,mon'}, '2026-11-22 00:00', False, 'dow is sun#4, not mon,fri#last'),
        ({'cron': '0 0 L * 5#4'}, '2026-11-27 00:00', True, 'one of the two days suffices: day is 27, not last'),
        ({'cron': '0 0 L * 5#4'}, '2026-11-30 00:00', True, 'one of the two days suffices: dow is mon#5, not fri#4'),
        ({'cron': '0 0 1 * mon'}, '2026-12-01 00:00', True, 'one of the two days suffices: dow is tue, not mon'),
        ({'cron': '0 0 1 * mon'}, '2026-12-07 00:00', True, 'one of the two days suffices: day is 7, not 1'),
        ({'cron': '0 0 1 * mon'}, '2026-06-01 00:00', True, 'both of the two days match'),
        ({'cron': '0 0 1 * mon'}, '2026-12-02 00:00', False, 'day is 2, not 1; dow is wed, not mon'),
        ({'cron': '0 0 1 * mon'}, '2026-12-07 01:00', False, 'hour is 1, not 0'),
        (
            {'cron': '15,45 2 * * *'},
            '2026-03-29 03:00',
            True,
            'the clocks have just skipped 02:15, 02:45, which is caught up now',
        ),
        ({'cron': '*/15 2 * * *'}, '2026-03-29 03:00', False, 'hour is 3, not 2'),
        ({'cron': '30 2 * * *'}, '2026-10-25 02:30', True, 'all fields match'),
        ({'cron': '30 2 * * *'}, '2026-10-25T02:30+02:00', True, 'all fields match'),
        (
            {'cron': '30 2 * * *'},
            '2026-10-25T02:30+01:00',
            False,
            'the clocks went back, and it is due in the first pass of this hour only',
        ),
        ({'cron': '30 * * * *'}, '2026-10-25T02:30+01:00', True, 'all fields match'),
        (
            {'cron': '30 2 * * *'},
            '2026-10-25 01:30:59.999999+00:00',
            False,
            'the clocks went back, and it is due in the first',
        ),
    ],
)
def test_a_summary_explains_why_a_task_is_due(schedule, at, due, why):
    task = summary(at=at, **schedule)
    assert task.is_due is due
    assert task.explain().startswith(why)


def test_an_offset_has_a_sign_and_a_colon():
    assert format_offset(datetime(2026, 7, 1, tzinfo=BERLIN)) == '+02:00'
    assert format_offset(datetime(2026, 7, 1, tzinfo=ZoneInfo('America/St_Johns'))) == '-02:30'


@pytest.mark.parametrize(
    ('at', 'text'),
    [
        ('2026-12-24 02:10', 'next attempt at 02:10'),
        ('2026-12-25 02:10', 'next attempt on Fri 2026-12-25 02:10'),
    ],
)
def test_the_next_attempt_has_its_time(at, text):
    now, instant = (datetime.fromisoformat(moment).replace(tzinfo=BERLIN) for moment in ('2026-12-24 02:01', at))
    task = Task(plain, name='task', timezone=BERLIN, min=0)
    state = TaskState('task', '', to_instant(now), last_outcome='failed', last_finished=to_instant(now))
    summary = summarize(task, to_instant(now), 1, state, (Problem('failed', 'task', next_attempt=to_instant(instant)),))
    assert summary.format_last_due() == f'failed 02:01, by hand; {text}'
    known = (Problem('failed', 'task', excuse='acknowledged'),)
    assert summarize(task, to_instant(now), 1, state, known).format_last_due() == 'failed 02:01, by hand; acknowledged'
    assert summarize(task, to_instant(now), 1, state).format_last_due() == 'failed 02:01, by hand'
    assert summarize(task, to_instant(now), 1).format_last_due() == ''


def test_a_run_in_progress_has_its_progress():
    now = datetime(2026, 12, 24, 2, 5, tzinfo=timezone.utc)
    progress = write_progress({'token': Progress(42.0, 100.0, now, 360.0)})
    process = ProcessState('web1', 4711, None, None, False, progress=progress)
    running = TaskState('task', '', now, run_id='token', started_at=now.timestamp(), process=process)
    summary = summarize(Task(print, name='task', timezone='UTC'), now, 1, running)
    assert summary.format_last_due() == 'running; 42 %, about 6 min left'
    assert summary.words == {'running'}
    assert summary.as_dict(explained=False)['last']['progress']['percent'] == 42
    for other in (replace(running, run_id=None), replace(running, run_id='other'), replace(running, process=None)):
        assert other.progress is None


def test_a_run_that_waits_for_its_engine_is_shown():
    now = datetime(2026, 12, 24, 2, 5, tzinfo=timezone.utc)
    waits = TaskState('task', '', now, next_due=now - 3 * MINUTE, waited_minute=now - MINUTE)
    summary = summarize(Task(print, name='task', timezone='UTC'), now, 1, waits)
    assert summary.format_last_due() == 'waiting 3 min'
    assert summary.words == frozenset()
    last = summary.as_dict(explained=False)['last']
    assert (last['outcome'], last['waits_since']) == (None, '2026-12-24T02:02:00+00:00')


@pytest.mark.parametrize(
    ('values', 'full', 'sentences'),
    [
        ({}, 'running 4 min', ''),
        (
            {'good_seconds': '120 185'},
            'running 4 min; usually 2 min to 3 min 5 s',
            'It usually takes 2 min; the longest of its last 2 good runs took 3 min 5 s.',
        ),
        (
            {'good_seconds': '2 2 2 2 2'},
            'running 4 min; slower than usual (2.0 s)',
            'It usually takes 2.0 s; the longest of its last 5 good runs took 2.0 s. '
            'The run in progress is slower than usual.',
        ),
    ],
)
def test_a_run_in_progress_is_shown_beside_what_is_usual(values, full, sentences):
    now = datetime(2026, 12, 24, 2, 5, tzinfo=timezone.utc)
    running = {'run_id': 'token', 'started_at': (now - 4 * MINUTE).timestamp()}
    task = Task(print, name='task', timezone='UTC')
    summary = summarize(task, now, 1, TaskState('task', '', now, **running, **values))
    assert summary.format_last_due() == full
    assert summary.format_usual() == sentences
    shown = summary.as_dict(explained=False)
    assert (shown['slower_than_usual'], shown['usual'] is None) == ('slower' in full, not values)


def test_the_last_run_may_have_been_slower_than_usual():
    now = datetime(2026, 12, 24, 2, 5, tzinfo=timezone.utc)
    last = {'last_outcome': 'ok', 'last_finished': now, 'last_seconds': 60.0, 'good_seconds': '2 2 2 2 2 60'}
    summary = summarize(Task(print, name='task', timezone='UTC'), now, 1, TaskState('task', '', now, **last))
    assert summary.format_last_due() == 'ok 02:05, by hand; slower than usual (2.0 s)'
    assert summary.format_usual().endswith('took 60 s. The last run was slower than usual.')
    assert summarize(Task(print, name='task', timezone='UTC'), now, 1).format_usual() == ''


def test_a_next_run_is_in_doubt_while_no_tick_comes():
    now = datetime(2026, 12, 24, 2, 5, tzinfo=timezone.utc)
    task = Task(print, name='task', timezone='UTC', min=10)
    assert summarize(task, now, 1).format_next_runs() == ['Thu 2026-12-24 02:10 +00:00, in 5 min']
    assert summarize(task, now, 1, is_doubtful=True).format_next_runs() == [
        'Thu 2026-12-24 02:10 +00:00, if ticks come'
    ]


def test_the_words_of_a_task_are_its_problems_and_its_run():
    problems = (Problem('failed', 'task', excuse='tolerated'), Problem('paused', 'task'))
    row = row_of('task', **in_progress(datetime(2026, 12, 24, 2, 5, tzinfo=timezone.utc)))
    assert words_of(row, problems) == {'failed', 'paused', 'running'}
    assert words_of(row, [Problem('stuck', 'task')]) == {'stuck', 'running'}
    assert words_of(None, problems) == {'failed', 'paused'}
