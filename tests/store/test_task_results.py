"""Results on the row of a task without a claim."""

import pytest

from tests.support.rows import at

pytestmark = pytest.mark.each_database


def test_only_one_process_skips_minutes(task_rows):
    assert task_rows.results.skip_to('task', at(2), last_outcome='missed')
    for minute in (1, 2):
        assert not task_rows.results.skip_to('task', at(minute))
    assert task_rows.get().last_outcome == 'missed'
    task_rows.claim(3)
    assert not task_rows.results.skip_to('task', at(4))


def test_a_skipped_minute_ends_the_retry_of_an_earlier_one(task_rows):
    task_rows.claim(1)
    task_rows.claims.release('task', 'mine', retry_reason='failed')
    assert task_rows.results.skip_to('task', at(2))
    assert task_rows.get().retry_reason is None


def test_only_one_process_cancels_a_retry(task_rows):
    task_rows.claim(1)
    assert not task_rows.results.cancel_retry('task', at(1))
    task_rows.claims.release('task', 'mine', retry_reason='lost')
    assert not task_rows.results.cancel_retry('task', at(2))
    assert task_rows.results.cancel_retry('task', at(1))
    assert not task_rows.results.cancel_retry('task', at(1))


def test_busy_minutes_only_grow(task_rows):
    for minute, expected in ((5, 5), (3, 5), (7, 7)):
        task_rows.results.extend_busy('task', at(minute))
        assert task_rows.get().busy_until == at(expected)


def test_an_outcome_without_a_claim_needs_an_idle_task(task_rows):
    assert task_rows.results.record_outcome('task', last_outcome='failed')
    task_rows.claim(1)
    assert not task_rows.results.record_outcome('task', last_outcome='missed')
    assert task_rows.get().last_outcome == 'failed'
