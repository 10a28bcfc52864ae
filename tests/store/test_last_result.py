"""The last result on the row of a task."""

from datetime import timedelta

import pytest

from pyramid_cron import TaskReport
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.last_result import of_end, of_failure, of_missed, of_unbegun
from pyramid_cron.store.run_end import RunEnd
from tests.support.servers import INSTANT

pytestmark = pytest.mark.each_database

NOW = INSTANT + timedelta(seconds=90, microseconds=5)


def at(minute):
    return INSTANT + minute * MINUTE


def end(states, outcome, minute, exception=None):
    report = TaskReport('task', outcome, 1.5, exception=exception)
    states.claim('task', None, 1, run_id='mine', process='me', started_at=0.0)
    states.release('task', 'mine', **of_end(RunEnd.of(report), minute, NOW))
    state = states.get('task')
    assert (state.last_finished, state.last_seconds) == (NOW, 1.5)
    return state


def test_a_success_ends_the_failures_in_a_row(states):
    for number in (1, 2):
        state = end(states, 'failed', at(number), LookupError('no luck'))
        assert (state.last_outcome, state.last_outcome_for) == ('failed', at(number))
        assert (state.failures_in_a_row, state.last_error) == (number, 'LookupError')
        assert (state.last_success_at, state.last_success_for) == (None, None)
    state = end(states, 'ok', at(3))
    assert (state.last_outcome, state.last_outcome_for) == ('ok', at(3))
    assert (state.failures_in_a_row, state.last_error) == (0, None)
    assert (state.last_success_at, state.last_success_for) == (NOW, at(3))


def test_a_success_by_name_is_no_scheduled_one(states):
    end(states, 'ok', at(1))
    state = end(states, 'ok', None)
    assert (state.last_outcome, state.last_outcome_for) == ('ok', None)
    assert (state.last_success_at, state.last_success_for) == (NOW, at(1))


def test_a_miss_leaves_the_failures_in_a_row(states):
    end(states, 'failed', at(1), LookupError('no luck'))
    assert states.record_outcome('task', **of_missed(at(2)))
    state = states.get('task')
    assert (state.last_outcome, state.last_outcome_for) == ('missed', at(2))
    assert (state.failures_in_a_row, state.last_error) == (1, 'LookupError')
    assert states.record_outcome('task', **of_failure('lost', None, NOW))
    state = states.get('task')
    assert (state.last_outcome, state.last_outcome_for) == ('lost', None)
    assert (state.failures_in_a_row, state.last_error) == (2, None)


def test_an_unbegun_run_was_missed_or_by_name_lost(states):
    assert of_unbegun(at(1), NOW) == of_missed(at(1))
    assert states.record_outcome('task', **of_unbegun(None, NOW))
    state = states.get('task')
    assert (state.last_outcome, state.last_finished, state.failures_in_a_row) == ('lost', NOW, 1)
