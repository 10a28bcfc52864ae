"""Schedules as texts: written, read, and compared with a task."""

from zoneinfo import ZoneInfo

import pytest

from pyramid_cron import Task
from pyramid_cron.store.schedule_text import is_schedule_of, read_schedule, write_schedule


def task(cron, timezone='UTC'):
    return Task(print, cron=cron, timezone=timezone)


@pytest.mark.parametrize('zone', [None, 'UTC', 'America/Sao_Paulo'])
@pytest.mark.parametrize('line', ['* * * * *', '*/7 1-5 1,15 * mon', '0 0 29 2 *', '0 0 */2 * 0'])
def test_a_schedule_is_read_as_it_was_written(line, zone):
    job = task(line, zone)
    schedule, read = read_schedule(write_schedule(job))
    assert read == (None if zone is None else ZoneInfo(zone))
    assert schedule == job.schedule


def test_schedules_that_mean_the_same_are_written_the_same():
    every_two = task('*/2 * * * *')
    assert write_schedule(every_two) == write_schedule(Task(print, '*/2', name='other', timezone='UTC'))
    assert write_schedule(every_two) != write_schedule(task('*/2 * * * *', 'Europe/Berlin'))


READABLE = write_schedule(task('*/7 1-5 1,15 * mon'))


@pytest.mark.parametrize(
    'text',
    [
        None,
        '',
        'of a later version',
        READABLE + ' more',
        READABLE.rpartition(' ')[0],
        READABLE.replace('UTC', 'No/Such_Zone'),
        READABLE.replace('UTC', '/etc/passwd'),
        'x' + READABLE,
        READABLE.replace(' 11 ', '  '),
        READABLE.replace(' 11 ', ' 1 '),
        READABLE.replace(' 11 ', ' 21 '),
        READABLE.replace(' 11 ', ' 111 '),
    ],
)
def test_an_unreadable_text_is_no_schedule(text):
    assert ' 11 ' in READABLE
    assert read_schedule(text) is None


def test_a_text_stands_for_one_schedule_and_zone():
    job = task('*/2 * * * *')
    assert is_schedule_of(job, write_schedule(job))
    assert not is_schedule_of(job, write_schedule(task('*/3 * * * *')))
    assert not is_schedule_of(job, write_schedule(task('*/2 * * * *', 'Europe/Berlin')))
    assert not is_schedule_of(job, write_schedule(task('*/2 * * * *', None)))
    assert not is_schedule_of(job, 'of a later version')


def test_the_spelling_of_another_version_changes_nothing():
    job = task('*/2 * * * *')
    spelled = '0' + write_schedule(job).upper().replace('X', 'x')
    assert spelled != write_schedule(job)
    assert is_schedule_of(job, spelled)
    assert not is_schedule_of(task('*/2 * * * *', 'Europe/Berlin'), spelled)
