"""The last result on the row of a task."""

from datetime import timedelta

import pytest

from pyramid_cron import TaskReport
from pyramid_cron.alarm import Failing
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.last_result import of_end, of_failure, of_missed, of_unbegun
from pyramid_cron.store.run_end import RunEnd
from tests.support.servers import INSTANT

pytestmark = pytest.mark.each_database

NOW = INSTANT + timedelta(seconds=90, microseconds=5)


def at(minute):
    return INSTANT + minute * MINUTE


def end(task_rows, outcome, minute, exception=None):
    report = TaskReport('task', outcome, 1.5, exception=exception)
    task_rows.claims.claim('task', None, 1, run_id='mine', process='me', started_at=0.0)
    task_rows.claims.release('task', 'mine', **of_end(RunEnd.of(report), minute, NOW))
    state = task_rows.get()
    assert (state.last_finished, state.last_seconds) == (NOW, 1.5)
    return state


def test_a_success_ends_the_failures_in_a_row(task_rows):
    for number in (1, 2):
        state = end(task_rows, 'failed', at(number), LookupError('no luck'))
        assert (state.last_outcome, state.last_outcome_for) == ('failed', at(number))
        assert (state.failures_in_a_row, state.last_error) == (number, 'LookupError')
        assert (state.last_message, state.failing_since is None) == ('no luck', False)
        assert (state.last_success_at, state.last_success_for) == (None, None)
    state = end(task_rows, 'ok', at(3))
    assert (state.last_outcome, state.last_outcome_for) == ('ok', at(3))
    assert (state.failures_in_a_row, state.last_error) == (0, None)
    # since when it had failed stays in the row until one process has reported that it is well again
    assert (state.last_message, state.failing_since) == (None, None)
    assert (state.last_success_at, state.last_success_for) == (NOW, at(3))


def test_a_success_by_name_is_no_scheduled_one(task_rows):
    end(task_rows, 'ok', at(1))
    state = end(task_rows, 'ok', None)
    assert (state.last_outcome, state.last_outcome_for) == ('ok', None)
    assert (state.last_success_at, state.last_success_for) == (NOW, at(1))


def test_a_miss_leaves_the_failures_in_a_row(task_rows):
    end(task_rows, 'failed', at(1), LookupError('no luck'))
    assert task_rows.results.record_outcome('task', **of_missed(at(2)))
    state = task_rows.get()
    assert (state.last_outcome, state.last_outcome_for) == ('missed', at(2))
    assert (state.failures_in_a_row, state.last_error, state.last_message) == (1, 'LookupError', 'no luck')
    assert task_rows.results.record_outcome('task', **of_failure('lost', None, NOW))
    state = task_rows.get()
    assert (state.last_outcome, state.last_outcome_for) == ('lost', None)
    assert (state.failures_in_a_row, state.last_error, state.last_message) == (2, None, None)


def test_an_unbegun_run_was_missed_or_by_name_lost(task_rows):
    assert of_unbegun(at(1), NOW) == of_missed(at(1))
    assert task_rows.results.record_outcome('task', **of_unbegun(None, NOW))
    state = task_rows.get()
    assert (state.last_outcome, state.last_finished, state.failures_in_a_row) == ('lost', NOW, 1)


def skip(task_rows, minute, attempt=1, before=None):
    task_rows.claims.claim('task', None, 1, run_id='mine', process='me', started_at=0.0)
    end = RunEnd('skipped', 0.5, 'no new file')
    assert task_rows.claims.release('task', 'mine', **of_end(end, minute, NOW + MINUTE, attempt, before))
    state = task_rows.get()
    return state.last_outcome, state.last_outcome_for, state.last_finished, state.last_seconds


def test_a_skip_replaces_a_success_or_a_miss(task_rows):
    skipped = 'skipped', at(2), NOW + MINUTE, 0.5
    assert skip(task_rows, at(2)) == skipped
    end(task_rows, 'ok', at(1))
    assert skip(task_rows, at(2)) == skipped
    assert task_rows.results.record_outcome('task', **of_missed(at(1)))
    assert skip(task_rows, at(2)) == skipped
    state = task_rows.get()
    assert (state.last_success_at, state.last_success_for, state.failures_in_a_row) == (NOW, at(1), 0)


@pytest.mark.parametrize('outcome', ['failed', 'lost'])
def test_a_failure_stays_the_last_result_after_a_skip(task_rows, outcome):
    end(task_rows, outcome, at(1), LookupError('no luck'))
    for minute in (at(2), None):
        assert skip(task_rows, minute) == (outcome, at(1), NOW, 1.5)
    state = task_rows.get()
    assert (state.failures_in_a_row, state.last_error) == (1, 'LookupError')


def test_a_further_attempt_that_skips_replaces_the_failure(task_rows):
    end(task_rows, 'failed', at(2), LookupError('no luck'))
    assert skip(task_rows, at(2), attempt=2) == ('skipped', at(2), NOW + MINUTE, 0.5)
    state = task_rows.get()
    assert (state.failures_in_a_row, state.last_error) == (1, None)


def test_runs_in_a_row_are_counted_with_their_attempts_once(task_rows):
    for number in (1, 2, 3):
        task_rows.results.record_outcome('task', retry_reason='failed')
        assert task_rows.claims.claim('task', at(1), number, run_id='mine', process='me', started_at=0.0)
        task_rows.claims.release('task', 'mine', **of_end(RunEnd('failed', 1.5), at(1), NOW))
        assert task_rows.get().failed_runs == 1
    assert task_rows.results.record_outcome('task', **of_missed(at(5), 3))
    assert task_rows.get().failed_runs == 4
    assert task_rows.results.record_outcome('task', **of_failure('lost', None, NOW))
    row = task_rows.get()
    assert (row.failed_runs, row.failing(NOW)) == (5, Failing(5))
    # the first of them
    began = row.failed_since
    assert end(task_rows, 'failed', None).failed_since == began > 0
    assert end(task_rows, 'ok', at(7)).failed_since == began


def test_a_success_is_reported_once_and_not_after_another_failure(task_rows):
    assert not task_rows.results.recover('task')
    end(task_rows, 'failed', at(1))
    assert not task_rows.results.recover('task')
    end(task_rows, 'ok', at(2))
    assert task_rows.results.recover('task')
    assert not task_rows.results.recover('task')
    row = task_rows.get()
    assert (row.failed_runs, row.failed_since) == (0, None)


def test_failures_after_a_success_that_was_not_reported_are_counted_anew(task_rows):
    began = [
        end(task_rows, outcome, at(minute)).failed_since for minute, outcome in enumerate(('failed', 'failed', 'ok'))
    ]
    row = end(task_rows, 'failed', at(3))
    assert row.failed_runs == 1
    assert row.failed_since >= began[-1]


def test_failures_before_a_success_do_not_count_after_a_skip(task_rows):
    for number in (1, 2, 3):
        end(task_rows, 'failed', at(number), LookupError('no luck'))
    assert task_rows.get().failed_runs == 3
    end(task_rows, 'ok', at(4))
    skip(task_rows, at(5))
    assert end(task_rows, 'failed', at(6), LookupError('no luck')).failed_runs == 1


def test_failures_before_a_skip_count_after_it(task_rows):
    end(task_rows, 'failed', at(1), LookupError('no luck'))
    skip(task_rows, at(2))
    assert end(task_rows, 'failed', at(3), LookupError('no luck')).failed_runs == 2


def test_a_run_whose_further_attempt_skips_has_not_failed(task_rows):
    end(task_rows, 'failed', at(1), LookupError('no luck'))
    end(task_rows, 'failed', at(2), LookupError('no luck'))
    skip(task_rows, at(2), attempt=2)
    assert (task_rows.get().failed_runs, task_rows.get().will_retry) == (1, False)


def test_a_miss_before_a_run_whose_further_attempt_skips_is_replaced(task_rows):
    assert task_rows.results.record_outcome('task', **of_missed(at(1)))
    before = end(task_rows, 'failed', at(2), LookupError('no luck'))
    assert before.failed_runs == 2
    assert skip(task_rows, at(2), attempt=2, before=before)[0] == 'skipped'


def test_a_run_whose_further_attempt_skips_begins_no_failures(task_rows):
    before = end(task_rows, 'failed', at(1), LookupError('no luck'))
    assert before.failed_since is not None
    skip(task_rows, at(1), attempt=2, before=before)
    assert (task_rows.get().failed_runs, task_rows.get().failed_since) == (0, None)
