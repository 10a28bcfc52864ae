"""Schedules as texts: written, read, and compared with a task."""

from zoneinfo import ZoneInfo

import pytest

from pyramid_cron import Schedule, Task
from pyramid_cron.store.schedule_text import is_schedule_of, read_schedule, write_for_people, write_schedule


def task(cron, timezone='UTC'):
    return Task(print, cron=cron, timezone=timezone)


@pytest.mark.parametrize('zone', [None, 'UTC', 'America/Sao_Paulo'])
@pytest.mark.parametrize(
    'line', ['* * * * *', '*/7 1-5 1,15 * mon', '0 0 29 2 *', '0 0 */2 * 0', '0 0 L * *', '* 9 1,LW * 5#2,0L']
)
def test_a_schedule_is_read_as_it_was_written(line, zone):
    job = task(line, zone)
    schedule, read = read_schedule(write_schedule(job))
    assert read == (None if zone is None else ZoneInfo(zone))
    assert schedule == job.schedule


def test_a_version_without_relative_days_counts_them_as_unknown():
    # the flags that it knows
    known = {'00', '01', '10', '11'}
    for line in ('0 0 L * *', '* 0 1 * 5#2', '0 0 LW * *', '*/5 * * * 5L'):
        *_, flags, _ = write_schedule(task(line)).split(' ')
        assert flags not in known
    *_, flags, _ = write_schedule(task('0 0 28-31,L * *')).split(' ')
    assert flags in known


def test_schedules_that_mean_the_same_are_written_the_same():
    every_two = task('*/2 * * * *')
    assert write_schedule(every_two) == write_schedule(Task(print, '*/2', name='other', timezone='UTC'))
    assert write_schedule(every_two) != write_schedule(task('*/2 * * * *', 'Europe/Berlin'))
    keywords = Task(print, 0, 2, dow='fri#2,fri#last', name='other', timezone='UTC')
    assert write_schedule(task('0 2 * * 5#2,5L')) == write_schedule(keywords)


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


def test_a_schedule_that_is_off_is_read_as_written():
    task = Task(print, min=0, timezone='Europe/Berlin')
    task.schedule = Schedule.off()
    text = write_schedule(task)
    assert text == '0 0 0 0 0 00 Europe/Berlin'
    schedule, zone = read_schedule(text)
    assert (schedule.is_off, str(zone)) == (True, 'Europe/Berlin')
    assert is_schedule_of(task, text)


@pytest.mark.parametrize(
    'line',
    [
        *('* * * * *', '*/15 * * * *', '0 2 * * *', '30 3 * * mon-fri', '0 */2 * * *', '0 9-17 1 jan,jul *'),
        *('0 2 L * *', '0 2 1,LW * *', '0 2 * * fri#2', '0 2 * * 5L', '0 2 L * mon,0L'),
        *('0 2 1 * sun', '0 2 */2 * *', '5 0 * 1-10/3 *', '0 0 29 2 *', '*/45 * * * *', '10-50/20 8 * * *'),
    ],
)
def test_a_schedule_is_written_for_people_as_a_line_of_the_same_meaning(line):
    task = Task(print, cron=line, timezone='Europe/Berlin')
    text, zone = write_for_people(write_schedule(task))
    assert str(zone) == 'Europe/Berlin'
    assert Schedule.from_line(text) == task.schedule
    # whatever is no number is as it was
    assert [part[0].isalpha() or part for part in text.split()] == [
        part[0].isalpha() or part for part in line.replace('jan,jul', '1,7').split()
    ]


def test_two_days_that_must_match_are_written_as_keywords():
    task = Task(print, min=(0, 30), hour='*/2', day=13, dow='fri')
    text, zone = write_for_people(write_schedule(task))
    assert (text, zone) == ("min='*/30', hour='*/2', day=13, dow='fri'", None)
    assert eval(f'Task(print, {text})').schedule == task.schedule


def test_a_schedule_that_is_off_is_written_so():
    task = Task(print, min=0)
    task.schedule = Schedule.off()
    assert write_for_people(write_schedule(task)) == ('off', None)
    assert write_for_people('v9') is None
