"""What is to be done about a task, by its row: tables, and a slow model that goes minute by minute."""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyramid_cron import Task
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.decision import (
    MOST_MISSED,
    NOTHING,
    Verdict,
    busy_minutes,
    judge,
    owed_minutes,
    read_schedule,
    write_schedule,
)

INSTANT = datetime(2020, 11, 23, 2, 0, tzinfo=timezone.utc)
GRACE = timedelta(minutes=5)


def at(minute):
    return None if minute is None else INSTANT + minute * MINUTE


def row(since=-1000, last=None, busy=None, again=None, attempt=1, changed=None, before=None, until=None):
    return {
        'since': at(since),
        'last_minute': at(last),
        'busy_until': at(busy),
        'again': again,
        'attempt': attempt,
        'changed': at(changed),
        'schedule_before': None if before is None else write_schedule(task(before)),
        'paused_until': at(until),
    }


def task(cron, timezone='UTC'):
    return Task(print, cron=cron, timezone=timezone)


def verdict(minute=None, attempt=0, missed=(), paused=(), given_up=False):
    return Verdict(at(minute), attempt, tuple(map(at, missed)), tuple(map(at, paused)), given_up)


@pytest.mark.parametrize(
    ('cron', 'known', 'now', 'expected'),
    [
        # due now, and not yet begun
        ('*/10 * * * *', row(last=-10), 0, verdict(0, 1)),
        # begun, or passed over
        ('*/10 * * * *', row(last=0), 0, NOTHING),
        ('*/10 * * * *', row(last=0), 9, NOTHING),
        # a late tick
        ('*/10 * * * *', row(last=10), 0, NOTHING),
        # missed, within its grace and beyond
        ('*/10 * * * *', row(last=-10), 5, verdict(0, 1)),
        ('*/10 * * * *', row(last=-10), 6, verdict(0, 0, [0])),
        ('*/10 * * * *', row(last=-30), 2, verdict(0, 1, [-20, -10])),
        ('*/10 * * * *', row(last=-30), 7, verdict(0, 0, [-20, -10, 0])),
        # from before it was first deployed
        ('*/10 * * * *', row(since=0), 3, NOTHING),
        ('*/10 * * * *', row(since=-1), 3, verdict(0, 1)),
        # while it was running
        ('* * * * *', row(last=-10, busy=-2), 0, verdict(0, 1, [-1])),
        ('* * * * *', row(last=-10, busy=0), 0, NOTHING),
        # once more: what failed in another minute, what was lost at once and not for ever
        ('0 * * * *', row(last=0, again='failed', busy=0), 0, NOTHING),
        ('0 * * * *', row(last=0, again='failed', busy=0), 1, verdict(0, 2)),
        ('0 * * * *', row(last=0, again='failed', busy=None), 0, verdict(0, 2)),
        ('0 * * * *', row(last=0, again='failed', busy=3, attempt=4), 50, verdict(0, 5)),
        ('0 * * * *', row(last=0, again='lost'), 0, verdict(0, 2)),
        ('0 * * * *', row(last=0, again='lost', attempt=2), 5, verdict(0, 3)),
        ('0 * * * *', row(last=0, again='lost'), 6, verdict(given_up=True)),
        # until a newer minute is due
        ('*/5 * * * *', row(last=0, again='failed', busy=0), 5, verdict(5, 1)),
        ('*/5 * * * *', row(last=0, again='lost'), 11, verdict(10, 1, [5])),
        # paused until a minute, which is the first to run for again
        ('*/5 * * * *', row(last=-15, until=10), 0, verdict(0, 0, paused=[-10, -5, 0])),
        ('*/5 * * * *', row(last=0, until=10), 4, NOTHING),
        ('*/5 * * * *', row(last=0, until=10), 10, verdict(10, 1, paused=[5])),
        ('*/5 * * * *', row(last=0, until=10), 16, verdict(15, 1, [10], [5])),
        ('*/10 * * * *', row(last=0, until=10), 16, verdict(10, 0, [10])),
        ('0 * * * *', row(last=0, again='failed', busy=0, until=10), 9, NOTHING),
        ('0 * * * *', row(last=0, again='failed', busy=0, until=10), 10, verdict(0, 2)),
        ('0 * * * *', row(last=0, again='lost', until=4), 3, NOTHING),
        ('0 * * * *', row(last=0, again='lost', until=4), 4, verdict(0, 2)),
        # a schedule that was changed at minute 1: what only the new one has, what both have, what comes later
        ('*/10 * * * *', row(last=-30, changed=1, before='30 * * * *'), 2, NOTHING),
        ('*/10 * * * *', row(last=-30, changed=1, before='0,30 * * * *'), 2, verdict(0, 1)),
        ('*/10 * * * *', row(last=-30, changed=1, before='30 * * * *'), 10, verdict(10, 1)),
        ('*/10 * * * *', row(last=-30, changed=0, before='30 * * * *'), 0, verdict(0, 1)),
        # and then begun, so that the change is long past
        ('*/10 * * * *', row(last=10, changed=1, before='30 * * * *'), 20, verdict(20, 1)),
    ],
)
def test_the_newest_minute_that_is_owed_is_the_one_to_run_for(cron, known, now, expected):
    assert judge(task(cron), known, at(now), GRACE) == expected


def model(job, known, now, grace):
    """What :func:`judge` says, found by looking at each minute."""
    owed, paused, minute = [], [], known['since'] + MINUTE
    until = known['paused_until'] or at(-(10**6))
    while minute <= now:
        begun = known['last_minute'] is not None and minute <= known['last_minute']
        running = known['busy_until'] is not None and minute <= known['busy_until']
        due = job.check(minute)
        if known['changed'] is not None and minute < known['changed']:
            due = due and Task(print, cron=known['before'], timezone='UTC').check(minute)
        if due and not begun and not running:
            (paused if minute < until else owed).append(minute)
        minute += MINUTE
    if owed and now - owed[-1] <= grace:
        return Verdict(owed[-1], 1, tuple(owed[:-1]), tuple(paused))
    if owed or paused:
        return Verdict((owed or paused)[-1], 0, tuple(owed), tuple(paused))
    if now < until:
        return NOTHING
    if known['again'] == 'failed' and not (known['busy_until'] and now <= known['busy_until']):
        return Verdict(known['last_minute'], known['attempt'] + 1)
    if known['again'] == 'lost':
        if grace and now - known['last_minute'] <= grace:
            return Verdict(known['last_minute'], known['attempt'] + 1)
        return Verdict(given_up=True)
    return NOTHING


minutes = st.integers(-90, 90)
crons = st.sampled_from(
    ['* * * * *', '*/5 * * * *', '0 * * * *', '7,8 * * * *', '30 2 * * *', '59 1 23 11 *', '0 3 * * 2']
)


@settings(max_examples=300, deadline=None)
@given(crons, crons, minutes, st.none() | minutes, st.none() | minutes, st.none() | minutes, minutes, st.data())
def test_the_verdict_is_that_of_a_model_that_looks_at_each_minute(cron, before, since, last, busy, changed, now, data):
    again = data.draw(st.sampled_from([None, 'failed', 'lost'])) if last is not None else None
    attempt, until = data.draw(st.integers(1, 4)), data.draw(st.none() | minutes)
    known = row(since, last, busy, again, attempt, changed, before, until) | {'before': before}
    grace = timedelta(minutes=data.draw(st.integers(0, 90)))
    job = task(cron)
    assert judge(job, known, at(now), grace) == model(job, known, at(now), grace)


@pytest.mark.parametrize(
    ('cron', 'days', 'apart'),
    [('* * * * *', 400, 1), ('*/5 * * * *', 400, 5), ('0 * * * *', 400, 60), ('0 3 * * *', 4000, 1440)],
)
def test_of_more_minutes_than_are_recorded_the_newest_count(cron, days, apart):
    now = INSTANT + timedelta(days=days, hours=1)
    owed = owed_minutes(task(cron), row(), now)
    assert len(owed) == MOST_MISSED
    assert owed[-1] == now
    assert owed[0] == now - (MOST_MISSED - 1) * apart * MINUTE


def test_exactly_as_many_as_are_recorded_are_all_of_them():
    owed = owed_minutes(task('* * * * *'), row(since=0), at(MOST_MISSED))
    assert owed == tuple(at(minute) for minute in range(1, MOST_MISSED + 1))


def test_when_the_clocks_change_a_fixed_time_is_owed_once_and_an_interval_as_often_as_it_comes():
    berlin = 'Europe/Berlin'
    after = datetime(2020, 10, 24, 22, 0, tzinfo=timezone.utc)
    known = row() | {'since': after}
    now = after + timedelta(hours=5)
    fixed = owed_minutes(task('30 2 * * *', berlin), known, now)
    assert fixed == (datetime(2020, 10, 25, 0, 30, tzinfo=timezone.utc),)
    hourly = owed_minutes(task('30 * * * *', berlin), known, now)
    assert len(hourly) == 5
    assert all(minute.tzinfo is timezone.utc for minute in hourly)


@pytest.mark.parametrize('zone', [None, 'UTC', 'America/Sao_Paulo'])
@pytest.mark.parametrize('line', ['* * * * *', '*/7 1-5 1,15 * mon', '0 0 29 2 *', '0 0 */2 * 0'])
def test_a_schedule_is_read_as_it_was_written(line, zone):
    job = task(line, zone)
    schedule, read = read_schedule(write_schedule(job))
    assert read == (None if zone is None else ZoneInfo(zone))
    masks = ('min', 'hour', 'day', 'month', 'dow', 'interval', 'either_day')
    assert [getattr(schedule, name) for name in masks] == [getattr(job.schedule, name) for name in masks]


def test_schedules_that_mean_the_same_are_written_the_same():
    every_two = task('*/2 * * * *')
    assert write_schedule(every_two) == write_schedule(Task(print, '*/2', name='other', timezone='UTC'))
    assert write_schedule(every_two) != write_schedule(task('*/2 * * * *', 'Europe/Berlin'))


@pytest.mark.parametrize(
    ('last', 'busy', 'expected'),
    [
        (None, None, []),
        (0, None, []),
        (0, 0, []),
        # by a clock that was set back
        (0, -5, []),
        (0, 9, []),
        (0, 10, [10]),
        (0, 25, [10, 20]),
    ],
)
def test_minutes_that_were_due_while_it_ran_are_those_until_its_end(last, busy, expected):
    assert busy_minutes(task('*/10 * * * *'), row(last=last, busy=busy)) == tuple(map(at, expected))


def test_of_a_run_that_took_very_long_the_newest_minutes_are_told():
    busy = busy_minutes(task('* * * * *'), row(last=0, busy=10 * MOST_MISSED))
    assert (len(busy), busy[-1]) == (MOST_MISSED, at(10 * MOST_MISSED))


def test_of_a_row_that_nobody_has_read_no_minutes_are_told():
    assert busy_minutes(task('* * * * *'), {}) == ()


@pytest.mark.parametrize(
    ('now', 'grace', 'expected'),
    [
        # every server asks in the minute in which it could not be handed over
        (1, 5, NOTHING),
        (2, 5, verdict(0, 2)),
        (5, 5, verdict(0, 2)),
        (6, 5, verdict(given_up=True)),
        (2, 0, verdict(given_up=True)),
        # and makes way for a newer one
        (10, 5, verdict(10, 1)),
    ],
)
def test_what_could_not_be_handed_over_is_handed_over_at_the_next_minutes(now, grace, expected):
    state = row(last=0, busy=1, again='unsent')
    assert judge(task('*/10 * * * *'), state, at(now), timedelta(minutes=grace)) == expected
