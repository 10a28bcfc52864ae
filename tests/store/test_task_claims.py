"""Claims on the row of a task, each in its situation."""

import functools

import pytest
from sqlalchemy import text

from pyramid_cron import Task
from pyramid_cron.schedules import clock
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.last_result import of_failure
from pyramid_cron.store.task_claims import TaskClaims
from tests.support.rows import Rows, at
from tests.support.threads import call_meanwhile

pytestmark = pytest.mark.each_database


def test_a_minute_is_claimed_once(task_rows):
    assert task_rows.claim(1)
    assert not task_rows.claim(1, run_id='theirs')
    assert not task_rows.claim(2, run_id='theirs')
    assert task_rows.claims.release('task', 'mine')
    assert not task_rows.claim(1)
    assert not task_rows.claim(0)
    assert task_rows.claim(2)
    state = task_rows.get()
    assert (state.last_minute, state.attempt, state.run_id, state.started) == (at(2), 1, 'mine', clock.EPOCH)


def test_a_further_attempt_is_claimed_only_for_a_retry(task_rows):
    assert not task_rows.claim(1, attempt=2)
    assert task_rows.claim(1)
    assert task_rows.claims.release('task', 'mine', retry_reason='failed')
    assert not task_rows.claim(0, attempt=2)
    assert not task_rows.claim(2, attempt=2)
    assert task_rows.claim(1, attempt=2)
    assert (task_rows.get().retry_reason, task_rows.get().attempt) == (None, 2)
    assert task_rows.claims.release('task', 'mine', retry_reason='failed')
    # for a process that has read the row before that attempt
    assert not task_rows.claim(1, attempt=2)
    assert task_rows.claim(1, attempt=3)
    assert task_rows.claims.release('task', 'mine')
    assert not task_rows.claim(1, attempt=4)


def test_a_run_by_name_claims_no_minute(task_rows):
    task_rows.claim(1)
    task_rows.claims.release('task', 'mine', retry_reason='failed')
    assert task_rows.claim(None)
    assert not task_rows.claim(None, run_id='theirs')
    assert task_rows.claims.release('task', 'mine')
    state = task_rows.get()
    assert (state.last_minute, state.retry_reason, state.attempt) == (at(1), 'failed', 1)


def test_a_claim_is_not_transactional_yet(task_rows):
    task_rows.claim(1)
    assert task_rows.claims.set_transactional('task', 'mine', True)
    assert task_rows.get().transactional
    assert task_rows.claims.set_transactional('task', 'mine', True)
    task_rows.claims.release('task', 'mine')
    task_rows.claim(2)
    assert not task_rows.get().transactional


def test_only_the_fencing_token_releases_a_run(connection, task_rows):
    task_rows.claim(1, handed_over_for='x')
    others = TaskClaims(StoreConnection(connection._connection, 'other'))
    for end in (
        'release',
        'mark_enqueued',
        'expire_enqueued',
        'reap',
        functools.partial(TaskClaims.claim_enqueued, run_id='theirs', process='they'),
        functools.partial(TaskClaims.set_transactional, transactional=True),
    ):
        call = getattr(TaskClaims, end) if isinstance(end, str) else end
        assert not call(task_rows.claims, 'task', 'theirs')
        assert not call(others, 'task', 'mine')
    assert task_rows.get().run_id == 'mine'
    assert task_rows.claims.release('task', 'mine')
    assert not task_rows.claims.release('task', 'mine')


@pytest.mark.slow
@pytest.mark.parametrize(
    ('transactional', 'enqueued', 'attempt', 'retry'),
    [
        (True, False, 1, 'lost'),
        (True, False, 2, 'lost'),
        (True, False, 3, None),
        (False, False, 1, None),
        # its process died before the run was enqueued
        (False, True, 1, 'lost'),
        (False, True, 3, 'lost'),
    ],
)
def test_a_reaped_run_repeats_if_nothing_was_committed(task_rows, transactional, enqueued, attempt, retry):
    for number in range(1, attempt + 1):
        assert task_rows.claim(1, number, handed_over_for='x' if enqueued else None)
        assert task_rows.claims.set_transactional('task', 'mine', transactional)
        assert task_rows.claims.reap('task', 'mine', **of_failure('lost', at(1), at(2)))
        assert not task_rows.claims.reap('task', 'mine')
    state = task_rows.get()
    assert state.retry_reason == retry
    assert (state.run_id, state.process, state.handed_over_for) == (None, None, None)
    assert (state.last_outcome, state.last_outcome_for, state.failures_in_a_row) == ('lost', at(1), attempt)


def test_a_commit_in_between_forbids_a_repetition(task_rows):
    task_rows.claim(1)
    assert task_rows.claims.set_transactional('task', 'mine', True)
    assert task_rows.claims.set_transactional('task', 'mine', False)
    assert task_rows.claims.reap('task', 'mine')
    assert task_rows.get().retry_reason is None


@pytest.mark.parametrize('pending', [None, 'failed', 'lost'])
def test_a_reaped_run_may_be_forbidden_to_repeat(task_rows, pending):
    assert task_rows.claim(1)
    assert task_rows.claims.release('task', 'mine', retry_reason=pending)
    # which leaves that
    assert task_rows.claim(None, handed_over_for='x')
    # the row decides, and not the value for a backfill
    assert task_rows.claims.reap('task', 'mine', may_repeat=False, will_retry=pending is None)
    # the last run by schedule is still repeated
    assert (task_rows.get().retry_reason, task_rows.get().will_retry) == (pending, pending is not None)


def test_an_enqueued_run_begins_under_another_token(task_rows):
    task_rows.claim(1, handed_over_for='x')
    assert not task_rows.get().is_enqueued
    assert task_rows.claims.mark_enqueued('task', 'mine')
    assert task_rows.get().is_enqueued
    assert task_rows.claims.claim_enqueued('task', 'mine', run_id='another', process='they', started_at=1.0)
    assert not task_rows.claims.claim_enqueued('task', 'mine', run_id='third', process='they', started_at=1.0)
    assert not task_rows.claims.claim_enqueued('task', 'another', run_id='third', process='they', started_at=1.0)
    assert not task_rows.claims.expire_enqueued('task', 'another')
    # its engine reports it later than the worker
    assert not task_rows.claims.mark_enqueued('task', 'mine')
    state = task_rows.get()
    assert (state.run_id, state.handed_over_for, state.process.host) == ('another', None, None)


def test_an_enqueued_run_expires_once(task_rows):
    task_rows.claim(1, handed_over_for='x')
    assert task_rows.claims.expire_enqueued('task', 'mine', last_outcome='missed')
    assert not task_rows.claims.expire_enqueued('task', 'mine')
    state = task_rows.get()
    assert (state.run_id, state.handed_over_for, state.last_outcome) == (None, None, 'missed')


@pytest.mark.each_server
@pytest.mark.parametrize(
    'change', [TaskClaims.release, functools.partial(TaskClaims.claim_enqueued, run_id='theirs', process='they')]
)
def test_what_comes_only_once_waits_for_a_lock(servers, change):
    def change_meanwhile():
        with servers.begin() as connection:
            changed.append(change(TaskClaims(connection), 'task', 'mine'))

    changed = []
    with servers.begin() as connection:
        task_rows = Rows(connection)
        task_rows.registered.register([Task(print, name='task')], at(0))
        task_rows.claim(1, handed_over_for='x')
    with servers.begin() as other:
        Rows(other).results.extend_busy('task', at(1))
        thread = call_meanwhile(change_meanwhile)
    thread.join(10)
    assert changed == [True]


# only it shows versions of rows
@pytest.mark.parametrize('engine', ['postgresql'], indirect=True)
def test_a_further_savepoint_makes_no_version_of_the_row(connection, task_rows):
    task_rows.claim(1)
    versions = []
    for _ in range(2):
        assert task_rows.claims.set_transactional('task', 'mine', True)
        versions.append(connection.scalar(text('SELECT ctid FROM cron_tasks')))
    assert versions[0] == versions[1]
