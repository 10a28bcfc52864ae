"""The row of a task as a value."""

from dataclasses import replace
from datetime import timedelta

import pytest

from pyramid_cron.claims import Pause
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.task_state import FOR_EVER, UNREGISTERED_AFTER, ProcessState, TaskState
from tests.support.servers import INSTANT

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


def test_a_minute_has_begun_with_a_later_one():
    assert not IDLE.has_begun(INSTANT)
    begun = replace(IDLE, last_minute=INSTANT)
    assert [begun.has_begun(INSTANT + minutes * MINUTE) for minutes in (-1, 0, 1)] == [True, True, False]


@pytest.mark.parametrize(('due', 'owes'), [(None, True), (INSTANT, True), (INSTANT + MINUTE, False)])
def test_a_row_is_looked_at_from_its_next_due_minute(due, owes):
    assert replace(IDLE, next_due=due).owes_from(INSTANT) is owes


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
