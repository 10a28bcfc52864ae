"""Reading the rows of tasks."""

import pytest

from pyramid_cron import Task
from pyramid_cron.claims import Pause
from pyramid_cron.store.leases import Process
from pyramid_cron.store.liveness import ProcessState
from pyramid_cron.store.pause_times import FOR_EVER
from pyramid_cron.store.pauses import Pauses
from pyramid_cron.store.schedule_text import write_schedule
from pyramid_cron.store.schema import processes
from pyramid_cron.store.task_rows import MOST_NAMES
from pyramid_cron.store.task_state import TaskState
from tests.support.rows import at

pytestmark = pytest.mark.each_database


def test_claimed_tasks_are_loaded_besides_named_ones(task_rows):
    for name in ('other', 'third', 'fourth'):
        task_rows.registered.register([Task(print, name=name)], at(0))
    task_rows.claim(1)
    assert task_rows.results.record_outcome('third', retry_reason='failed')
    assert set(task_rows.states.load(['other'])) == {'other', 'task', 'third'}
    assert set(task_rows.states.load([])) == {'task', 'third'}
    assert task_rows.states.get('none') is None
    everything = {'other', 'task', 'third', 'fourth'}
    assert set(task_rows.states.load()) == everything
    many = [str(number) for number in range(MOST_NAMES)]
    assert set(task_rows.states.load(many)) == {'task', 'third'}
    # as a list they are one parameter, however many
    has_arrays = task_rows.states._connection.dialect.has_arrays
    assert set(task_rows.states.load([*many, 'more'])) == ({'task', 'third'} if has_arrays else everything)
    assert set(task_rows.states.load_renamed_too([*many, 'other'])) == (
        {'other', 'task', 'third'} if has_arrays else everything
    )
    assert set(task_rows.states.load_behind([*many, 'task', 'third'], at(1))) == (
        {'third'} if has_arrays else everything
    )


def test_a_state_has_its_process_and_pause(connection, task_rows):
    schedule = write_schedule(Task(print, name='task'))
    assert task_rows.get() == TaskState(
        'task', schedule, at(-1), last_seen=at(0), next_due=at(0), callable='builtins.print'
    )
    process = Process(90)
    process.renew(connection)
    task_rows.claim(1, process=process.id)
    pause = Pause(at(9), 'why', 'ada')
    Pauses(connection).pause(['task'], pause, at(0))
    state = task_rows.get()
    mine = process.host, process.pid, process.namespace.name, process.started
    assert state.process == ProcessState(*mine, False, state.process.lease_until)
    assert 80 < state.process.lease_until - connection.clock() <= 90
    assert state.pause == pause._replace(since=at(0))
    connection.execute(connection.update(processes).values(lease_until=0.0))
    assert task_rows.get().process.lease_over
    connection.execute(connection.delete(processes))
    # one that was deleted is not alive
    assert task_rows.get().process == ProcessState(None, None, None, None, True)


@pytest.mark.parametrize(
    ('until', 'end', 'paused'), [(None, FOR_EVER, True), (at(1), at(1), True), (at(0), at(0), False)]
)
def test_a_pause_lasts_until_its_end(task_rows, connection, until, end, paused):
    assert not task_rows.get().is_paused(at(0))
    assert task_rows.get().paused_until is None
    Pauses(connection).pause(['task'], Pause(until, 'why', None), at(0))
    state = task_rows.get()
    assert state.pause == Pause(until, 'why', None, since=at(0))
    assert state.paused_until == end
    assert state.is_paused(at(0)) is paused


def test_a_state_without_a_claim_has_not_started(task_rows):
    state = task_rows.get()
    assert (state.is_claimed, state.is_enqueued, state.started) == (False, False, None)
