"""Decisions about a task by its row: tables of cases, and a slow model that goes minute by minute."""

import random
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyramid_cron import Schedule, Task
from pyramid_cron.claims import Pause
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.decision import (
    MOST_MISSED,
    NOTHING,
    WAITING,
    Decision,
    busy_minutes,
    decide,
    first_owed,
    may_repeat_lost,
    owed_minutes,
)
from pyramid_cron.store.schedule_text import write_schedule
from pyramid_cron.store.task_state import TaskState

INSTANT = datetime(2020, 11, 23, 2, 0, tzinfo=timezone.utc)
GRACE = timedelta(minutes=5)


def at(minute):
    return None if minute is None else INSTANT + minute * MINUTE


def state(
    first_seen=-1000,
    last=None,
    busy=None,
    retry=None,
    attempt=1,
    changed=None,
    before=None,
    until=None,
    wait=None,
    since=None,
):
    """Return the state of a task; minutes are those after INSTANT, ``before`` is a crontab line."""
    return TaskState(
        task='task',
        schedule='',
        first_seen=at(first_seen),
        last_minute=at(last),
        busy_until=at(busy),
        retry_reason=retry,
        retry_wait=wait,
        attempt=attempt,
        schedule_changed_at=at(changed),
        previous_schedule=None if before is None else write_schedule(task(before)),
        pause=None if until is None else Pause(at(until), 'why', None),
        paused_from=at(since),
    )


def task(cron, timezone='UTC', **options):
    return Task(print, cron=cron, timezone=timezone, **options)


def each(cron):
    return task(cron, missed='each')


def decision(minute=None, attempt=0, missed=(), paused=(), cancel_retry=None):
    return Decision(at(minute), attempt, tuple(map(at, missed)), tuple(map(at, paused)), at(cancel_retry))


@pytest.mark.slow
@pytest.mark.parametrize(
    ('cron', 'known', 'now', 'expected'),
    [
        # due now and not yet claimed
        ('*/10 * * * *', state(last=-10), 0, decision(0, 1)),
        # claimed or skipped already
        ('*/10 * * * *', state(last=0), 0, NOTHING),
        ('*/10 * * * *', state(last=0), 9, NOTHING),
        # a late tick
        ('*/10 * * * *', state(last=10), 0, NOTHING),
        # missed, within its grace and beyond
        ('*/10 * * * *', state(last=-10), 5, decision(0, 1)),
        ('*/10 * * * *', state(last=-10), 6, decision(0, 0, [0])),
        ('*/10 * * * *', state(last=-30), 2, decision(0, 1, [-20, -10])),
        ('*/10 * * * *', state(last=-30), 7, decision(0, 0, [-20, -10, 0])),
        # before it was first seen
        ('*/10 * * * *', state(first_seen=0), 3, NOTHING),
        ('*/10 * * * *', state(first_seen=-1), 3, decision(0, 1)),
        # during its last run
        ('* * * * *', state(last=-10, busy=-2), 0, decision(0, 1, [-1])),
        ('* * * * *', state(last=-10, busy=0), 0, NOTHING),
        # once more: a failed run in another minute, a lost one at once and within its grace
        ('0 * * * *', state(last=0, retry='failed', busy=0), 0, NOTHING),
        ('0 * * * *', state(last=0, retry='failed', busy=0), 1, decision(0, 2)),
        ('0 * * * *', state(last=0, retry='failed', busy=None), 0, decision(0, 2)),
        ('0 * * * *', state(last=0, retry='failed', busy=3, attempt=4), 50, decision(0, 5)),
        ('0 * * * *', state(last=0, retry='lost'), 0, decision(0, 2)),
        ('0 * * * *', state(last=0, retry='lost', attempt=2), 5, decision(0, 3)),
        ('0 * * * *', state(last=0, retry='lost'), 6, decision(cancel_retry=0)),
        # after its wait, which begins with the minute of the end
        ('0 * * * *', state(last=0, retry='failed', busy=3, wait=600.0), 12, NOTHING),
        ('0 * * * *', state(last=0, retry='failed', busy=3, wait=600.0), 13, decision(0, 2)),
        ('0 * * * *', state(last=0, retry='failed', busy=3, wait=600.0), 50, decision(0, 2)),
        ('0 * * * *', state(last=0, retry='failed', busy=3, wait=601.0), 13, NOTHING),
        ('0 * * * *', state(last=0, retry='failed', busy=3, wait=0.0), 3, NOTHING),
        ('0 * * * *', state(last=0, retry='failed', busy=3, wait=7200.0), 60, decision(60, 1)),
        # a lost one has none
        ('0 * * * *', state(last=0, retry='lost', busy=0, wait=600.0), 0, decision(0, 2)),
        # until a newer minute is due
        ('*/5 * * * *', state(last=0, retry='failed', busy=0), 5, decision(5, 1)),
        ('*/5 * * * *', state(last=0, retry='lost'), 11, decision(10, 1, [5])),
        # paused until a minute, which is the first to run for again
        ('*/5 * * * *', state(last=-15, until=10), 0, decision(0, 0, paused=[-10, -5, 0])),
        ('*/5 * * * *', state(last=0, until=10), 4, NOTHING),
        ('*/5 * * * *', state(last=0, until=10), 10, decision(10, 1, paused=[5])),
        ('*/5 * * * *', state(last=0, until=10), 16, decision(15, 1, [10], [5])),
        ('*/10 * * * *', state(last=0, until=10), 16, decision(10, 0, [10])),
        # what was owed before the pause began: caught up after it, or missed, and a newer paused minute takes its place
        ('*/5 * * * *', state(last=-5, until=10, since=1), 2, WAITING),
        ('*/5 * * * *', state(last=-5, until=4, since=1), 4, decision(0, 1)),
        ('*/5 * * * *', state(last=-5, until=10, since=1), 6, decision(5, 0, [0], [5])),
        ('*/5 * * * *', state(last=-5, until=10, since=1), 10, decision(10, 1, [0], [5])),
        ('*/20 * * * *', state(last=-20, until=30, since=1), 6, decision(0, 0, [0])),
        # the minute in which it began
        ('*/5 * * * *', state(last=-5, until=10, since=0.5), 1, decision(0, 0, paused=[0])),
        ('0 * * * *', state(last=0, retry='failed', busy=0, until=10), 9, NOTHING),
        ('0 * * * *', state(last=0, retry='failed', busy=0, until=10), 10, decision(0, 2)),
        ('0 * * * *', state(last=0, retry='lost', until=4), 3, NOTHING),
        ('0 * * * *', state(last=0, retry='lost', until=4), 4, decision(0, 2)),
        # a schedule that was changed at minute 1: what only the new one has, what both have, what comes later
        ('*/10 * * * *', state(last=-30, changed=1, before='30 * * * *'), 2, NOTHING),
        ('*/10 * * * *', state(last=-30, changed=1, before='0,30 * * * *'), 2, decision(0, 1)),
        ('*/10 * * * *', state(last=-30, changed=1, before='30 * * * *'), 10, decision(10, 1)),
        ('*/10 * * * *', state(last=-30, changed=0, before='30 * * * *'), 0, decision(0, 1)),
        # and then begun, so that the change is long past
        ('*/10 * * * *', state(last=10, changed=1, before='30 * * * *'), 20, decision(20, 1)),
    ],
)
def test_a_task_runs_for_the_newest_owed_minute(cron, known, now, expected):
    assert decide(task(cron), known, at(now), GRACE) == expected


def model(job, before, known, now, grace):
    """Return the decision by looking at each minute.

    :param before: the crontab line before the last change of the schedule.
    """
    owed, paused, minute = [], [], known.first_seen + MINUTE
    until = known.pause.until if known.pause else at(-(10**6))
    while minute <= now:
        begun = known.last_minute is not None and minute <= known.last_minute
        running = known.busy_until is not None and minute <= known.busy_until
        due = job.check(minute)
        if known.schedule_changed_at is not None and minute < known.schedule_changed_at:
            due = due and task(before).check(minute)
        if due and not begun and not running:
            (paused if minute < until else owed).append(minute)
        minute += MINUTE
    if owed and now - owed[-1] <= grace:
        return Decision(owed[-1], 1, tuple(owed[:-1]), tuple(paused))
    if owed or paused:
        return Decision((owed or paused)[-1], 0, tuple(owed), tuple(paused))
    if now < until or known.retry_reason is None:
        return NOTHING
    if known.retry_reason in ('failed', 'unsent') and known.busy_until and now <= known.busy_until:
        return NOTHING
    if known.retry_reason in ('lost', 'unsent') and (not grace or now - known.last_minute > grace):
        return Decision(cancel_retry=known.last_minute)
    return Decision(known.last_minute, known.attempt + 1)


minutes = st.integers(-90, 90)
crons = st.sampled_from(
    ['* * * * *', '*/5 * * * *', '0 * * * *', '7,8 * * * *', '30 2 * * *', '59 1 23 11 *', '0 3 * * 2']
)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(crons, crons, minutes, st.none() | minutes, st.none() | minutes, st.none() | minutes, minutes, st.data())
def test_the_decision_agrees_with_a_minute_by_minute_model(cron, before, first, last, busy, changed, now, data):
    retry = data.draw(st.sampled_from([None, 'failed', 'lost', 'unsent'])) if last is not None else None
    attempt, until = data.draw(st.integers(1, 4)), data.draw(st.none() | minutes)
    known = state(first, last, busy, retry, attempt, changed, before, until)
    grace = timedelta(minutes=data.draw(st.integers(0, 90)))
    job = task(cron)
    assert decide(job, known, at(now), grace) == model(job, before, known, at(now), grace)


@pytest.mark.parametrize(
    ('cron', 'days', 'apart'),
    [('* * * * *', 400, 1), ('*/5 * * * *', 400, 5), ('0 * * * *', 400, 60), ('0 3 * * *', 4000, 1440)],
)
def test_of_too_many_owed_minutes_the_newest_count(cron, days, apart):
    now = INSTANT + timedelta(days=days, hours=1)
    owed = owed_minutes(task(cron), state(), now)
    assert len(owed) == MOST_MISSED
    assert owed[-1] == now
    assert owed[0] == now - (MOST_MISSED - 1) * apart * MINUTE


def test_exactly_the_recordable_number_of_minutes_is_complete():
    owed = owed_minutes(task('* * * * *'), state(first_seen=0), at(MOST_MISSED))
    assert owed == tuple(at(minute) for minute in range(1, MOST_MISSED + 1))


def test_daylight_saving_repeats_intervals_and_not_fixed_times():
    berlin = 'Europe/Berlin'
    after = datetime(2020, 10, 24, 22, 0, tzinfo=timezone.utc)
    known = replace(state(), first_seen=after)
    now = after + timedelta(hours=5)
    fixed = owed_minutes(task('30 2 * * *', berlin), known, now)
    assert fixed == (datetime(2020, 10, 25, 0, 30, tzinfo=timezone.utc),)
    hourly = owed_minutes(task('30 * * * *', berlin), known, now)
    assert len(hourly) == 5
    assert all(minute.tzinfo is timezone.utc for minute in hourly)


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
def test_busy_minutes_last_until_the_end_of_the_run(last, busy, expected):
    assert busy_minutes(task('*/10 * * * *'), state(last=last, busy=busy)) == tuple(map(at, expected))


def test_of_a_very_long_run_the_newest_minutes_count():
    busy = busy_minutes(task('* * * * *'), state(last=0, busy=10 * MOST_MISSED))
    assert (len(busy), busy[-1]) == (MOST_MISSED, at(10 * MOST_MISSED))


@pytest.mark.parametrize(
    ('now', 'grace', 'expected'),
    [
        # each server ticks in the minute in which it could not be enqueued
        (1, 5, NOTHING),
        (2, 5, decision(0, 2)),
        (5, 5, decision(0, 2)),
        (6, 5, decision(cancel_retry=0)),
        (2, 0, decision(cancel_retry=0)),
        # a newer minute takes its place
        (10, 5, decision(10, 1)),
    ],
)
def test_an_unsent_run_is_enqueued_at_the_next_minutes(now, grace, expected):
    known = state(last=0, busy=1, retry='unsent')
    assert decide(task('*/10 * * * *'), known, at(now), timedelta(minutes=grace)) == expected


def test_without_grace_a_lost_run_is_never_repeated():
    known = state(last=0, retry='lost')
    assert decide(task('0 * * * *'), known, at(0), timedelta(0)) == decision(cancel_retry=0)


@pytest.mark.parametrize(
    ('cron', 'known', 'now', 'repeated'),
    [
        ('0 * * * *', state(last=0), 1, True),
        ('0 * * * *', state(last=0), 6, False),
        ('*/2 * * * *', state(last=0), 1, True),
        ('*/2 * * * *', state(last=0), 2, False),
        ('*/2 * * * *', state(last=0), 3, False),
        # a tick has recorded the newer minute while the run seemed to go on
        ('*/2 * * * *', state(last=0, busy=2), 3, True),
        ('0 * * * *', state(last=0, since=1, until=9), 1, True),
        ('*/2 * * * *', state(last=0, since=1, until=9), 2, False),
    ],
)
def test_a_lost_run_is_repeated_unless_something_drops_that(cron, known, now, repeated):
    assert may_repeat_lost(task(cron), known, at(now), GRACE) is repeated
    assert not may_repeat_lost(task(cron), known, at(now), timedelta(0))
    # as it is decided afterwards
    decision = decide(task(cron), replace(known, retry_reason='lost'), at(now), GRACE)
    assert (decision in (NOTHING, Decision(known.last_minute, 2))) is repeated


def test_a_lost_run_of_a_task_of_each_minute_comes_first():
    job = task('*/2 * * * *', missed='each')
    assert may_repeat_lost(job, state(last=0), at(2), GRACE)
    # minutes of a pause are recorded before that
    assert not may_repeat_lost(job, state(last=0, since=1, until=9), at(2), GRACE)


def test_a_lost_run_that_has_no_minute_is_not_repeated():
    assert not may_repeat_lost(task('0 * * * *'), state(), at(1), GRACE)


@pytest.mark.parametrize('previous', [None, '', 'of a later version', '1 2 3 4 5 00 No/Such_Zone'])
def test_an_unreadable_previous_schedule_counts_as_unknown(previous):
    known = replace(state(last=-30, changed=1), previous_schedule=previous)
    assert decide(task('*/10 * * * *'), known, at(2), GRACE) == decision(0, 1, [-20, -10])


@pytest.mark.parametrize('retry', ['failed', 'lost', 'unsent'])
def test_a_pause_without_end_skips_all(retry):
    known = replace(state(last=0, retry=retry), pause=Pause(None, 'why', None))
    assert decide(task('0 * * * *'), known, at(59), GRACE) == NOTHING
    assert decide(task('0 * * * *'), known, at(120), GRACE) == decision(120, 0, paused=[60, 120])


TENTHS = '*/10 * * * *'


@pytest.mark.parametrize(
    ('cron', 'known', 'now', 'expected'),
    [
        # due now, and not yet
        (TENTHS, state(last=-10), 0, decision(0, 1)),
        (TENTHS, state(last=0), 9, NOTHING),
        # the oldest that is not too long ago comes first
        (TENTHS, state(last=-30), 0, decision(-20, 1)),
        (TENTHS, state(last=-30), 5, decision(-20, 1)),
        (TENTHS, state(last=-50), 0, decision(-30, 1, [-40])),
        (TENTHS, state(last=-50, busy=-35), 0, decision(-30, 1, [-40])),
        (TENTHS, state(last=-50), 41, decision(10, 1, [-40, -30, -20, -10, 0])),
        ('0 * * * *', state(last=-300), 59, decision(0, 0, [-240, -180, -120, -60, 0])),
        # once in a minute over all servers
        (TENTHS, state(last=-30, busy=0), 0, WAITING),
        (TENTHS, state(last=-30, busy=0), 1, decision(-20, 1)),
        (TENTHS, state(last=0, busy=0), 0, NOTHING),
        # minutes during a run are owed
        (TENTHS, state(last=-30, busy=-5), -4, decision(-20, 1)),
        # a repeated run comes before newer minutes
        (TENTHS, state(last=-30, retry='failed', busy=0), 0, WAITING),
        (TENTHS, state(last=-30, retry='failed', busy=0), 1, decision(-30, 2)),
        (TENTHS, state(last=-30, retry='failed', busy=0, wait=600.0), 9, WAITING),
        (TENTHS, state(last=-30, retry='failed', busy=0, wait=600.0), 10, decision(-30, 2)),
        (TENTHS, state(last=0, retry='failed', busy=0, wait=600.0), 9, NOTHING),
        (TENTHS, state(last=-30, retry='lost'), 0, decision(-30, 2)),
        (TENTHS, state(last=-40, retry='lost'), 0, decision(cancel_retry=-40)),
        # of a pause
        (TENTHS, state(last=-30, until=10), 0, decision(0, 0, paused=[-20, -10, 0])),
        (TENTHS, state(last=-30, until=-5), 0, decision(0, 1, paused=[-20, -10])),
        (TENTHS, state(last=-30, retry='failed', busy=-29, until=-15), 0, decision(-10, 1, paused=[-20])),
        (TENTHS, state(last=-30, retry='failed', busy=-29, until=-21), 0, decision(-30, 2)),
        (TENTHS, state(last=0, retry='failed', busy=0, until=10), 9, NOTHING),
        # what only a new schedule has is not owed
        (TENTHS, state(last=-30, changed=-5, before='0 * * * *'), 3, decision(0, 1)),
        (TENTHS, state(first_seen=-15), 0, decision(-10, 1)),
    ],
)
def test_a_task_runs_for_each_owed_minute(cron, known, now, expected):
    assert decide(each(cron), known, at(now), timedelta(minutes=35)) == expected


def test_a_task_of_each_minute_catches_up_a_limited_number():
    decided = decide(each('*/2 * * * *'), state(first_seen=-9000, last=-6000), at(0), timedelta(days=9))
    assert (decided.minute, decided.attempt) == (at(-2 * MOST_MISSED + 2), 1)
    # those before are as many as are recorded
    assert decided.missed == tuple(at(minute) for minute in range(-4 * MOST_MISSED + 2, -2 * MOST_MISSED + 2, 2))


def test_a_task_of_each_minute_owes_those_of_its_run():
    assert busy_minutes(each(TENTHS), state(last=0, busy=25)) == ()


@pytest.mark.slow
@settings(deadline=None)
@given(crons, st.lists(st.booleans(), min_size=1, max_size=90), st.integers(1, 30), st.integers())
def test_each_minute_is_run_or_recorded_once_and_in_order(cron, ticks, grace, seed):
    """Walk through minutes, some of which have no tick, and apply the decisions to the row."""
    job, known, seen, chance = each(cron), state(first_seen=-1), [], random.Random(seed)
    grace = timedelta(minutes=grace)
    for minute in [number for number, ticked in enumerate(ticks) if ticked] + list(range(len(ticks), 400)):
        decided = decide(job, known, at(minute), grace)
        if decided.attempt:
            failed = decided.attempt < 3 and chance.random() < 0.2
            seen += decided.missed if decided.attempt == 1 else ()
            seen += [] if failed else [decided.minute]
            end = minute + (chance.randint(0, 3) if minute < len(ticks) else 0)
            known = replace(
                known,
                last_minute=decided.minute,
                attempt=decided.attempt,
                busy_until=at(end),
                retry_reason='failed' if failed else None,
            )
        elif decided.minute is not None:
            seen += decided.missed
            known = replace(known, last_minute=decided.minute, retry_reason=None)
    due = [minute for minute in (at(number) for number in range(400)) if job.check(minute)]
    assert seen == due[: len(seen)]
    # it catches up where its schedule has time for that
    if cron.partition(' ')[0] not in ('*', '*/2'):
        assert len(seen) >= len(due) - 1


@pytest.mark.parametrize('missed', ['newest', 'each'])
def test_a_task_that_is_off_is_not_retried(missed):
    job = task(TENTHS, missed=missed)
    known = state(last=0, retry='failed', busy=0)
    assert decide(job, known, at(5), GRACE) == decision(0, 2)
    assert may_repeat_lost(job, known, at(5), GRACE)
    job.schedule = Schedule.off()
    assert not may_repeat_lost(job, known, at(5), GRACE)
    assert decide(job, known, at(5), GRACE) == NOTHING


def waiting(waited, **values):
    return replace(state(**values), waited_minute=at(waited))


def test_the_time_in_which_a_run_waits_for_its_engine_does_not_count():
    assert decide(task('0 * * * *'), waiting(59), at(60), GRACE).minute == at(60)
    row = waiting(50, first_seen=-1)
    assert decide(task('0 * * * *'), row, at(51), GRACE) == Decision(at(0), 1)
    assert decide(task('0 * * * *'), row, at(55), GRACE) == Decision(at(0), 1)
    # no tick came any more
    assert decide(task('0 * * * *'), row, at(56), GRACE) == Decision(at(0), 0, (at(0),))


def test_a_run_that_waits_is_not_missed_without_grace():
    row = waiting(0, first_seen=-1)
    assert decide(task('0 * * * *'), row, at(1), timedelta(0)) == Decision(at(0), 1)
    assert decide(task('0 * * * *'), row, at(2), timedelta(0)).missed == (at(0),)


def test_minutes_that_have_waited_until_a_newer_one_are_not_missed():
    row = waiting(3, first_seen=1)
    decision = decide(task('* * * * *'), row, at(6), GRACE)
    assert decision == Decision(at(6), 1, missed=(at(4), at(5)), waited=(at(2), at(3)))
    assert sorted(decision.skipped) == [at(2), at(3), at(4), at(5)]


def test_a_task_of_each_minute_waits_for_all_of_them():
    row = waiting(20, first_seen=-1)
    assert decide(each('*/10 * * * *'), row, at(21), GRACE) == Decision(at(0), 1)


def test_a_repetition_waits_for_its_engine():
    row = waiting(30, last=0, busy=2, retry='lost')
    assert decide(task('0 * * * *'), row, at(31), GRACE) == Decision(at(0), 2)
    assert decide(task('0 * * * *'), row, at(36), GRACE) == Decision(cancel_retry=at(0))


def test_the_first_owed_minute_is_the_oldest_that_is_not_paused():
    task, hour = Task(print, name='task', timezone='UTC', min=0), timedelta(hours=1)
    row = TaskState('task', '', INSTANT - 9 * hour, last_minute=INSTANT - 3 * hour, next_due=INSTANT - 2 * hour)
    assert first_owed(task, row, INSTANT) == INSTANT - 2 * hour
    assert first_owed(task, row, INSTANT - 2 * hour - MINUTE) is None
    over = replace(row, pause=Pause(INSTANT - hour, 'why', None))
    assert first_owed(task, over, INSTANT) == INSTANT - hour
    # of a row that was written without it
    assert first_owed(task, replace(row, next_due=None), INSTANT) is None
    task.schedule = Schedule.off()
    assert first_owed(task, row, INSTANT) is None
