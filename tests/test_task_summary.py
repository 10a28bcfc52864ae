"""One task at an instant."""

import functools
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest

from pyramid_cron import Task
from pyramid_cron.schedules.clock import format_offset, minute_of, to_instant
from pyramid_cron.task_summary import sort_by_next_run, summarize

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


def test_tasks_are_sorted_by_instants_and_not_by_wall_clocks():
    # 02:30 comes twice, and once more in a zone that is an hour behind
    instant = datetime(2026, 10, 25, 0, 45, tzinfo=timezone.utc)
    lines = {'hourly': ('30 * * * *', 'Europe/Berlin'), 'never': ('0 0 29 2 mon', 'UTC'), 'soon': ('0 1 * * *', 'UTC')}
    tasks = [Task(plain, name=name, cron=cron, timezone=zone) for name, (cron, zone) in lines.items()]
    tasks.append(Task(plain, name='none', min=0, timezone='UTC'))
    summaries = [summarize(task, instant, 0 if task.name == 'none' else 1) for task in tasks]
    assert [summary.task.name for summary in sort_by_next_run(summaries)] == ['soon', 'hourly', 'never', 'none']


def test_an_offset_has_a_sign_and_a_colon():
    assert format_offset(datetime(2026, 7, 1, tzinfo=BERLIN)) == '+02:00'
    assert format_offset(datetime(2026, 7, 1, tzinfo=ZoneInfo('America/St_Johns'))) == '-02:30'
