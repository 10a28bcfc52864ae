"""The row of a task as a value."""

from dataclasses import replace
from datetime import timedelta

import pytest

from pyramid_cron.alarm import Failing
from pyramid_cron.claims import Pause
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.liveness import ProcessState
from pyramid_cron.store.pause_times import FOR_EVER
from pyramid_cron.store.task_state import UNREGISTERED_AFTER, TaskState
from tests.support.servers import INSTANT

NOW = INSTANT + 9 * MINUTE
IDLE = TaskState('task', '', INSTANT)
PROCESS = ProcessState('web1', 7, None, None, False)
RUNNING = replace(IDLE, run_id='token', process=PROCESS, started_at=100.0)
QUEUED = replace(RUNNING, process=None, handed_over_for='token')


@pytest.mark.parametrize(
    ('state', 'stuck', 'doing'),
    [(IDLE, False, None), (RUNNING, False, 'running'), (RUNNING, True, 'stuck'), (QUEUED, False, 'queued')],
)
def test_a_claimed_run_is_doing_one_thing(state, stuck, doing):
    assert state.in_progress(stuck) == doing
    assert state.is_claimed is (doing is not None)
    assert state.is_enqueued is (doing == 'queued')


def test_only_a_run_in_a_process_has_a_length():
    assert [state.running_seconds(107.0) for state in (IDLE, RUNNING, QUEUED)] == [None, 7.0, None]
    assert RUNNING.running_seconds(90.0) == 0.0


@pytest.mark.parametrize(
    ('started', 'busy_until', 'may'),
    [(None, None, False), (9, None, True), (9, 8, True), (9.5, 9, False), (9, 12, False)],
)
def test_a_run_on_request_leaves_its_minutes_owed(started, busy_until, may):
    began = None if started is None else (INSTANT + started * MINUTE).timestamp()
    until = None if busy_until is None else INSTANT + busy_until * MINUTE
    assert replace(IDLE, started_at=began, busy_until=until).may_have_run_on_request is may


@pytest.mark.parametrize(
    ('values', 'text'),
    [
        ({'good_seconds': '120 180'}, 'usually 2 to 3 min'),
        # a run by hand is not among the good runs of the row
        ({'last_outcome': 'ok', 'last_seconds': 75.0}, 'the last good run took 75 s'),
        ({'last_outcome': 'failed', 'last_seconds': 75.0}, 'None'),
        ({'last_outcome': 'ok'}, 'None'),
        ({'good_seconds': 'of a later version'}, 'None'),
    ],
)
def test_the_usual_length_is_that_of_good_runs(values, text):
    assert str(replace(IDLE, **values).usual) == text


SIX = '2 2 2 2 2'


@pytest.mark.parametrize(
    ('state', 'slower', 'text'),
    [
        (RUNNING, False, ''),
        (replace(RUNNING, good_seconds='6 6 6 6 6'), False, 'usually 6.0 s'),
        (replace(RUNNING, good_seconds=SIX), True, 'slower than usual (2.0 s)'),
        (replace(RUNNING, good_seconds='2 2'), False, 'usually 2.0 s'),
        # whatever the run before it took
        (replace(QUEUED, good_seconds=f'{SIX} 9', last_outcome='ok', last_seconds=9.0), False, ''),
        (IDLE, False, ''),
        (
            replace(IDLE, good_seconds=f'{SIX} 9', last_outcome='ok', last_seconds=9.0),
            True,
            'slower than usual (2.0 s)',
        ),
        (replace(IDLE, good_seconds=f'{SIX} 2', last_outcome='ok', last_seconds=2.0), False, ''),
        (replace(IDLE, good_seconds=f'{SIX}', last_outcome='failed', last_seconds=9.0), False, ''),
        (replace(IDLE, good_seconds=f'{SIX} 9', last_outcome='ok'), False, ''),
        (replace(IDLE, last_outcome='ok', last_seconds=9.0), False, ''),
    ],
)
def test_a_run_may_be_slower_than_usual(state, slower, text):
    assert state.is_slower_than_usual(107.0) is slower
    assert state.compare(107.0) == text


def test_a_minute_has_begun_with_a_later_one():
    assert not IDLE.has_begun(INSTANT)
    begun = replace(IDLE, last_minute=INSTANT)
    assert [begun.has_begun(INSTANT + minutes * MINUTE) for minutes in (-1, 0, 1)] == [True, True, False]


@pytest.mark.parametrize(('due', 'owes'), [(None, True), (INSTANT, True), (INSTANT + MINUTE, False)])
def test_a_row_is_looked_at_from_its_next_due_minute(due, owes):
    assert replace(IDLE, next_due=due).owes_from(INSTANT) is owes


@pytest.mark.parametrize(
    ('minutes', 'after', 'after_each'),
    [((None, None), 0, 0), ((2, None), 2, 2), ((2, 5), 5, 2), ((2, 1), 2, 2), ((-2, -1), 0, 0), ((None, 4), 4, 0)],
)
def test_a_task_owes_minutes_after_its_last_run(minutes, after, after_each):
    last, busy_until = (None if minute is None else INSTANT + minute * MINUTE for minute in minutes)
    state = replace(IDLE, last_minute=last, busy_until=busy_until)
    assert state.owed_after(each=False) == INSTANT + after * MINUTE
    assert state.owed_after(each=True) == INSTANT + after_each * MINUTE


@pytest.mark.parametrize(
    ('ago', 'unregistered'),
    [(None, False), (UNREGISTERED_AFTER, False), (UNREGISTERED_AFTER + MINUTE, True)],
)
def test_a_task_that_no_tick_has_seen_is_unregistered(ago, unregistered):
    state = replace(IDLE, last_seen=None if ago is None else INSTANT - ago)
    assert state.is_unregistered(INSTANT) is unregistered
    assert not state.is_unregistered(None)
    assert not replace(state, run_id='token').is_unregistered(INSTANT)


def test_a_pause_without_an_end_lasts():
    assert IDLE.paused_until is None
    paused = replace(IDLE, pause=Pause(None, 'why', None))
    assert paused.paused_until == FOR_EVER
    assert paused.is_paused(INSTANT + timedelta(days=1000))
    assert not replace(IDLE, pause=Pause(INSTANT, 'why', None)).is_paused(INSTANT)


@pytest.mark.parametrize(
    ('values', 'at'),
    [
        ({}, None),
        ({'retry_reason': 'failed'}, None),
        ({'retry_reason': 'failed', 'busy_until': INSTANT}, INSTANT + MINUTE),
        ({'retry_reason': 'failed', 'busy_until': INSTANT, 'retry_wait': 600.0}, INSTANT + 10 * MINUTE),
        ({'retry_reason': 'failed', 'busy_until': INSTANT, 'run_id': 'token'}, None),
        ({'retry_reason': 'lost', 'busy_until': INSTANT, 'retry_wait': 600.0}, None),
        ({'busy_until': INSTANT, 'retry_wait': 600.0}, None),
    ],
)
def test_a_failed_run_is_repeated_from_a_minute_on(values, at):
    assert TaskState('task', '', INSTANT, **values).retry_at == at


@pytest.mark.parametrize(
    ('state', 'attempt', 'runs'),
    [
        (IDLE, 1, 1),
        (replace(IDLE, last_outcome='failed', failed_runs=2), 1, 3),
        (replace(IDLE, last_outcome='failed', failed_runs=2), 2, 2),
        (replace(IDLE, last_outcome='lost', failures_in_a_row=2), 1, 3),
        # what stands there until the success is reported
        (replace(IDLE, last_outcome='ok', failed_runs=2), 1, 1),
        (replace(IDLE, last_outcome='ok', failed_runs=2), 2, 1),
        # a run that was skipped in between is neither
        (replace(IDLE, last_outcome='skipped', failed_runs=2), 1, 3),
    ],
)
def test_one_more_failure_is_counted_as_the_row_will(state, attempt, runs):
    assert state.failing_again(attempt, False) == Failing(runs)
    assert state.failing_again(attempt, True) == Failing(runs, will_retry=True)


@pytest.mark.parametrize(
    ('runs', 'will_retry', 'tolerate', 'alarmed'),
    [(0, False, 0, True), (1, False, 0, True), (1, True, 0, False), (2, True, 0, True), (2, False, 2, False)],
)
def test_a_pause_does_not_change_whether_a_task_has_alarmed(runs, will_retry, tolerate, alarmed):
    state = replace(
        IDLE, last_outcome='failed', failed_runs=runs, will_retry=will_retry, pause=Pause(None, 'why', None)
    )
    assert state.has_alarmed(tolerate) is alarmed


def test_of_two_pauses_that_which_ends_last_comes_first():
    own, of_all = (Pause(INSTANT + timedelta(hours=hours), 'why', None, hours == 2) for hours in (1, 2))
    paused = replace(IDLE, pause=own, pause_of_all=of_all)
    assert paused.pauses_at(INSTANT) == [of_all, own]
    assert paused.pauses_at(own.until) == [of_all]
    assert paused.pauses_at(of_all.until) == []
    assert paused.paused_until == of_all.until
    assert paused.is_paused(own.until)
    lasting = replace(paused, pause=Pause(None, 'why', None), pause_of_all=Pause(None, 'why', None, True))
    assert [pause.of_all for pause in lasting.pauses_at(INSTANT)] == [False, True]


@pytest.mark.parametrize(
    ('values', 'since'),
    [
        ({}, None),
        ({'waited_minute': NOW, 'next_due': NOW - 2 * MINUTE}, NOW - 2 * MINUTE),
        ({'waited_minute': NOW, 'next_due': NOW + MINUTE}, None),
        ({'waited_minute': NOW, 'next_due': NOW, 'run_id': 'a run'}, None),
        ({'waited_minute': NOW, 'next_due': None}, None),
        ({'waited_minute': NOW, 'last_minute': NOW - MINUTE, 'retry_reason': 'lost'}, NOW - MINUTE),
        (
            {
                'waited_minute': NOW,
                'last_minute': NOW - 5 * MINUTE,
                'busy_until': NOW - MINUTE,
                'retry_reason': 'failed',
            },
            NOW - 5 * MINUTE,
        ),
        (
            {
                'waited_minute': NOW,
                'last_minute': NOW - MINUTE,
                'busy_until': NOW + MINUTE,
                'retry_reason': 'failed',
            },
            None,
        ),
    ],
)
def test_a_run_waits_for_its_engine_until_it_is_claimed(values, since):
    assert replace(IDLE, **values).waits_since == since


@pytest.mark.parametrize(
    ('late', 'values', 'minutes'),
    [
        (0, {}, 60),
        (10, {}, 50),
        # a clock that is behind
        (-10, {}, 60),
        (90, {}, 1),
        (10, {'attempt': 2}, 60),
        (10, {'handed_over_for': 'token'}, 60),
        (10, {'last_minute': None}, 60),
        (10, {'started_at': None}, 60),
    ],
)
def test_a_run_that_is_enqueued_late_waits_less_long(late, values, minutes):
    enqueued = (INSTANT + late * MINUTE).timestamp()
    queued = {'handed_over_for': 'minute', 'started_at': enqueued, 'last_minute': INSTANT, 'attempt': 1}
    assert replace(QUEUED, **queued | values).patience(60 * MINUTE) == minutes * MINUTE


def test_a_run_waits_for_a_worker_since_it_was_enqueued():
    assert [state.queued_seconds(107.0) for state in (IDLE, RUNNING, QUEUED)] == [None, None, 7.0]
    assert QUEUED.queued_seconds(90.0) == 0.0


def test_the_time_of_a_run_begins_when_its_engine_has_room():
    values = {'handed_over_for': 'minute', 'last_minute': INSTANT, 'attempt': 1}
    row = replace(QUEUED, **values, started_at=(INSTANT + 4 * MINUTE).timestamp())
    assert row.patience(5 * MINUTE) == MINUTE
    assert replace(row, waited_minute=INSTANT + 3 * MINUTE).patience(5 * MINUTE) == 5 * MINUTE
