"""The row of a task, and the statements by which processes agree on it, each in its situation."""

import functools

import pytest
from sqlalchemy import text

from pyramid_cron import Task
from pyramid_cron.claims import Pause
from pyramid_cron.schedules import clock
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.errors import Locked
from pyramid_cron.store.last_result import of_failure
from pyramid_cron.store.leases import Process
from pyramid_cron.store.pauses import Pauses
from pyramid_cron.store.schedule_text import write_schedule
from pyramid_cron.store.schema import processes, tasks
from pyramid_cron.store.task_rows import MOST_NAMES, TaskStates
from pyramid_cron.store.task_state import FOR_EVER, ProcessState, TaskState
from tests.support.servers import INSTANT
from tests.support.threads import call_meanwhile

pytestmark = pytest.mark.each_database


def at(minute):
    return INSTANT + minute * MINUTE


def claim(states, minute, attempt=1, run_id='mine', **values):
    values = {'run_id': run_id, 'process': 'me', 'started_at': 0.0} | values
    return states.claim('task', None if minute is None else at(minute), attempt, **values)


def test_a_minute_is_claimed_once(states):
    assert claim(states, 1)
    assert not claim(states, 1, run_id='theirs')
    assert not claim(states, 2, run_id='theirs')
    assert states.release('task', 'mine')
    assert not claim(states, 1)
    assert not claim(states, 0)
    assert claim(states, 2)
    state = states.get('task')
    assert (state.last_minute, state.attempt, state.run_id, state.started) == (at(2), 1, 'mine', clock.EPOCH)


def test_a_further_attempt_is_claimed_only_for_a_retry(states):
    assert not claim(states, 1, attempt=2)
    assert claim(states, 1)
    assert states.release('task', 'mine', retry_reason='failed')
    assert not claim(states, 0, attempt=2)
    assert not claim(states, 2, attempt=2)
    assert claim(states, 1, attempt=2)
    assert (states.get('task').retry_reason, states.get('task').attempt) == (None, 2)
    assert states.release('task', 'mine', retry_reason='failed')
    # for a process that has read the row before that attempt
    assert not claim(states, 1, attempt=2)
    assert claim(states, 1, attempt=3)
    assert states.release('task', 'mine')
    assert not claim(states, 1, attempt=4)


def test_a_run_by_name_claims_no_minute(states):
    claim(states, 1)
    states.release('task', 'mine', retry_reason='failed')
    assert claim(states, None)
    assert not claim(states, None, run_id='theirs')
    assert states.release('task', 'mine')
    state = states.get('task')
    assert (state.last_minute, state.retry_reason, state.attempt) == (at(1), 'failed', 1)


def test_a_claim_is_not_transactional_yet(states):
    claim(states, 1)
    assert states.set_transactional('task', 'mine', True)
    assert states.get('task').transactional
    assert states.set_transactional('task', 'mine', True)
    states.release('task', 'mine')
    claim(states, 2)
    assert not states.get('task').transactional


def test_only_the_fencing_token_releases_a_run(connection, states):
    claim(states, 1, handed_over_for='x')
    others = TaskStates(StoreConnection(connection._connection, 'other'))
    for end in (
        'release',
        'mark_enqueued',
        'expire_enqueued',
        'reap',
        functools.partial(TaskStates.claim_enqueued, run_id='theirs', process='they'),
        functools.partial(TaskStates.set_transactional, transactional=True),
    ):
        call = getattr(TaskStates, end) if isinstance(end, str) else end
        assert not call(states, 'task', 'theirs')
        assert not call(others, 'task', 'mine')
    assert states.get('task').run_id == 'mine'
    assert states.release('task', 'mine')
    assert not states.release('task', 'mine')


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
def test_a_reaped_run_repeats_if_nothing_was_committed(states, transactional, enqueued, attempt, retry):
    for number in range(1, attempt + 1):
        assert claim(states, 1, number, handed_over_for='x' if enqueued else None)
        assert states.set_transactional('task', 'mine', transactional)
        assert states.reap('task', 'mine', **of_failure('lost', at(1), at(2)))
        assert not states.reap('task', 'mine')
    state = states.get('task')
    assert state.retry_reason == retry
    assert (state.run_id, state.process, state.handed_over_for) == (None, None, None)
    assert (state.last_outcome, state.last_outcome_for, state.failures_in_a_row) == ('lost', at(1), attempt)


def test_a_commit_in_between_forbids_a_repetition(states):
    claim(states, 1)
    assert states.set_transactional('task', 'mine', True)
    assert states.set_transactional('task', 'mine', False)
    assert states.reap('task', 'mine')
    assert states.get('task').retry_reason is None


def test_an_enqueued_run_begins_under_another_token(states):
    claim(states, 1, handed_over_for='x')
    assert not states.get('task').is_enqueued
    assert states.mark_enqueued('task', 'mine')
    assert states.get('task').is_enqueued
    assert states.claim_enqueued('task', 'mine', run_id='another', process='they', started_at=1.0)
    assert not states.claim_enqueued('task', 'mine', run_id='third', process='they', started_at=1.0)
    assert not states.claim_enqueued('task', 'another', run_id='third', process='they', started_at=1.0)
    assert not states.expire_enqueued('task', 'another')
    # its engine reports it later than the worker
    assert not states.mark_enqueued('task', 'mine')
    state = states.get('task')
    assert (state.run_id, state.handed_over_for, state.process.host) == ('another', None, None)


def test_an_enqueued_run_expires_once(states):
    claim(states, 1, handed_over_for='x')
    assert states.expire_enqueued('task', 'mine', last_outcome='missed')
    assert not states.expire_enqueued('task', 'mine')
    state = states.get('task')
    assert (state.run_id, state.handed_over_for, state.last_outcome) == (None, None, 'missed')


def test_only_one_process_skips_minutes(states):
    assert states.skip_to('task', at(2), last_outcome='missed')
    for minute in (1, 2):
        assert not states.skip_to('task', at(minute))
    assert states.get('task').last_outcome == 'missed'
    claim(states, 3)
    assert not states.skip_to('task', at(4))


def test_a_skipped_minute_ends_the_retry_of_an_earlier_one(states):
    claim(states, 1)
    states.release('task', 'mine', retry_reason='failed')
    assert states.skip_to('task', at(2))
    assert states.get('task').retry_reason is None


def test_only_one_process_cancels_a_retry(states):
    claim(states, 1)
    assert not states.cancel_retry('task', at(1))
    states.release('task', 'mine', retry_reason='lost')
    assert not states.cancel_retry('task', at(2))
    assert states.cancel_retry('task', at(1))
    assert not states.cancel_retry('task', at(1))


def test_busy_minutes_only_grow(states):
    for minute, expected in ((5, 5), (3, 5), (7, 7)):
        states.extend_busy('task', at(minute))
        assert states.get('task').busy_until == at(expected)


def test_an_outcome_without_a_claim_needs_an_idle_task(states):
    assert states.record_outcome('task', last_outcome='failed')
    claim(states, 1)
    assert not states.record_outcome('task', last_outcome='missed')
    assert states.get('task').last_outcome == 'failed'


# SQLite has one lock for all
@pytest.mark.each_server
def test_a_locked_row_is_not_waited_for(servers):
    with servers.begin() as connection:
        states = TaskStates(connection)
        states.register([Task(print, name='task')], at(0))
        claim(states, 1)
    with servers.begin() as frozen, servers.begin() as connection:
        # as a server does that was frozen in the commit of its task
        assert TaskStates(frozen).release('task', 'mine')
        with pytest.raises(Locked, match='another transaction holds its row in the store'):
            TaskStates(connection).reap('task', 'mine')
        # nor is one that is not as expected locked
        assert not TaskStates(connection).reap('task', 'theirs')
    with servers.begin() as frozen, servers.begin() as connection:
        assert claim(TaskStates(frozen), 2)
        for change in (
            lambda states: claim(states, 2, run_id='theirs'),
            lambda states: states.skip_to('task', at(3)),
            lambda states: states.record_outcome('task', last_outcome='failed'),
        ):
            with pytest.raises(Locked):
                change(TaskStates(connection))


@pytest.mark.each_server
@pytest.mark.parametrize(
    'change', [TaskStates.release, functools.partial(TaskStates.claim_enqueued, run_id='theirs', process='they')]
)
def test_what_comes_only_once_waits_for_a_lock(servers, change):
    def change_meanwhile():
        with servers.begin() as connection:
            changed.append(change(TaskStates(connection), 'task', 'mine'))

    changed = []
    with servers.begin() as connection:
        states = TaskStates(connection)
        states.register([Task(print, name='task')], at(0))
        claim(states, 1, handed_over_for='x')
    with servers.begin() as other:
        TaskStates(other).extend_busy('task', at(1))
        thread = call_meanwhile(change_meanwhile)
    thread.join(10)
    assert changed == [True]


# only it shows versions of rows
@pytest.mark.parametrize('engine', ['postgresql'], indirect=True)
def test_a_further_savepoint_makes_no_version_of_the_row(connection, states):
    claim(states, 1)
    versions = []
    for _ in range(2):
        assert states.set_transactional('task', 'mine', True)
        versions.append(connection.scalar(text('SELECT ctid FROM cron_tasks')))
    assert versions[0] == versions[1]


def test_a_changed_schedule_is_recorded_with_its_minute(states):
    old, new = (Task(print, minute, name='task', timezone='UTC') for minute in (1, 2))
    for task in (old, new):
        assert states.change_schedule(task, states.get('task'), at(5))
    state = states.get('task')
    assert (state.first_seen, state.schedule_changed_at, state.next_due) == (at(-1), at(5), at(2))
    assert (state.schedule, state.previous_schedule) == (write_schedule(new), write_schedule(old))


def test_a_schedule_is_changed_by_one_process(states):
    new, other = (Task(print, minute, name='task', timezone='UTC') for minute in (1, 2))
    # both have read the row before either changes it
    before = states.load()
    assert states.change_schedule(new, before['task'], at(5))
    assert not states.change_schedule(other, before['task'], at(6))
    state = states.get('task')
    assert (state.schedule, state.schedule_changed_at) == (write_schedule(new), at(5))


def test_a_running_task_keeps_its_schedule(states):
    claim(states, 1)
    before = states.get('task')
    task = Task(print, 7, name='task')
    assert not states.change_schedule(task, before, at(2))
    assert states.get('task') == before
    # a process that claims it at the same time comes first
    states.release('task', 'mine')
    idle = states.get('task')
    claim(states, 2)
    assert not states.change_schedule(task, idle, at(3))
    assert states.get('task').schedule == before.schedule


def test_a_task_is_registered_by_one_process(states):
    claim(states, 1)
    states.register([Task(print, name='task')], at(9))
    assert (states.get('task').first_seen, states.get('task').run_id) == (at(-1), 'mine')


def test_claimed_tasks_are_loaded_besides_named_ones(states):
    for name in ('other', 'third', 'fourth'):
        states.register([Task(print, name=name)], at(0))
    claim(states, 1)
    assert states.record_outcome('third', retry_reason='failed')
    assert set(states.load(['other'])) == {'other', 'task', 'third'}
    assert set(states.load([])) == {'task', 'third'}
    assert states.get('none') is None
    everything = {'other', 'task', 'third', 'fourth'}
    assert set(states.load()) == everything
    many = [str(number) for number in range(MOST_NAMES)]
    assert set(states.load(many)) == {'task', 'third'}
    # as a list they are one parameter, however many
    has_arrays = states._connection.dialect.has_arrays
    assert set(states.load([*many, 'more'])) == ({'task', 'third'} if has_arrays else everything)
    assert set(states.load_behind([*many, 'task', 'third'], at(1))) == ({'third'} if has_arrays else everything)


def test_a_state_has_its_process_and_pause(connection, states):
    schedule = write_schedule(Task(print, name='task'))
    assert states.get('task') == TaskState('task', schedule, at(-1), last_seen=at(0), next_due=at(0))
    process = Process(90)
    process.renew(connection)
    claim(states, 1, process=process.id)
    pause = Pause(at(9), 'why', 'ada')
    Pauses(connection).pause(['task'], pause, at(0))
    state = states.get('task')
    mine = process.host, process.pid, process.namespace.name, process.started
    assert state.process == ProcessState(*mine, False, state.process.lease_until)
    assert 80 < state.process.lease_until - connection.clock() <= 90
    assert state.pause == pause
    connection.execute(connection.update(processes).values(lease_until=0.0))
    assert states.get('task').process.lease_over
    connection.execute(connection.delete(processes))
    # one that was deleted is not alive
    assert states.get('task').process == ProcessState(None, None, None, None, True)


@pytest.mark.parametrize(
    ('until', 'end', 'paused'), [(None, FOR_EVER, True), (at(1), at(1), True), (at(0), at(0), False)]
)
def test_a_pause_lasts_until_its_end(states, connection, until, end, paused):
    assert not states.get('task').is_paused(at(0))
    assert states.get('task').paused_until is None
    Pauses(connection).pause(['task'], Pause(until, 'why', None), at(0))
    state = states.get('task')
    assert state.pause == Pause(until, 'why', None)
    assert state.paused_until == end
    assert state.is_paused(at(0)) is paused


def test_a_state_without_a_claim_has_not_started(states):
    state = states.get('task')
    assert (state.is_claimed, state.is_enqueued, state.started) == (False, False, None)


def test_a_gap_does_not_count_as_time_without_registration(states):
    others = {'before': -70, 'long ago': -80, 'claimed': -30, 'later': 12}
    for name, minute in others.items():
        states.register([Task(print, name=name)], at(minute))
    states._change(tasks.c.task == 'claimed', {}, run_id='theirs')
    states.see_after_gap(at(-9), at(10))
    seen = {name: round((state.last_seen - INSTANT) / MINUTE) for name, state in states.load().items()}
    # the last tick before it was at -10
    assert seen == {'task': 0, 'before': -50, 'long ago': -80, 'claimed': -30, 'later': 12}
    states.see_after_gap(at(500), at(501))
    assert seen == {name: round((state.last_seen - INSTANT) / MINUTE) for name, state in states.load().items()}


def test_an_unregistered_task_is_reported_by_one_process(states):
    state = states.get('task')
    assert not state.is_reported
    assert states.report_unregistered(state, at(70))
    assert not states.report_unregistered(state, at(70))
    assert states.get('task').is_reported
    states.see(['task'], at(80), at(999))
    assert not states.report_unregistered(state, at(81))
    state = states.get('task')
    assert not state.is_reported
    assert states.report_unregistered(state, at(150))


def test_a_claimed_task_is_not_forgotten(states):
    assert claim(states, 1)
    assert not states.forget('task')
    assert states.release('task', 'mine')
    assert states.forget('task')
    assert states.get('task') is None
    assert not states.forget('task')
