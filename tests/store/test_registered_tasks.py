"""Registration in the row of a task: one process changes it, and none while a run is in progress."""

import pytest

from pyramid_cron import Task
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.compare_and_set import CompareAndSet
from pyramid_cron.store.schedule_text import write_schedule
from pyramid_cron.store.schema import tasks
from tests.support.rows import at
from tests.support.servers import INSTANT

pytestmark = pytest.mark.each_database


def test_a_changed_schedule_is_recorded_with_its_minute(task_rows):
    old, new = (Task(print, minute, name='task', timezone='UTC') for minute in (1, 2))
    for task in (old, new):
        assert task_rows.registered.change_schedule(task, task_rows.get(), at(5))
    state = task_rows.get()
    assert (state.first_seen, state.schedule_changed_at, state.next_due) == (at(-1), at(5), at(2))
    assert (state.schedule, state.previous_schedule) == (write_schedule(new), write_schedule(old))


def test_a_schedule_is_changed_by_one_process(task_rows):
    new, other = (Task(print, minute, name='task', timezone='UTC') for minute in (1, 2))
    # both have read the row before either changes it
    before = task_rows.states.load()
    assert task_rows.registered.change_schedule(new, before['task'], at(5))
    assert not task_rows.registered.change_schedule(other, before['task'], at(6))
    state = task_rows.get()
    assert (state.schedule, state.schedule_changed_at) == (write_schedule(new), at(5))


def test_a_running_task_keeps_its_schedule(task_rows):
    task_rows.claim(1)
    before = task_rows.get()
    task = Task(print, 7, name='task')
    assert not task_rows.registered.change_schedule(task, before, at(2))
    assert task_rows.get() == before
    # a process that claims it at the same time comes first
    task_rows.claims.release('task', 'mine')
    idle = task_rows.get()
    task_rows.claim(2)
    assert not task_rows.registered.change_schedule(task, idle, at(3))
    assert task_rows.get().schedule == before.schedule


def test_a_task_is_registered_by_one_process(task_rows):
    task_rows.claim(1)
    task_rows.registered.register([Task(print, name='task')], at(9))
    assert (task_rows.get().first_seen, task_rows.get().run_id) == (at(-1), 'mine')


def test_a_gap_does_not_count_as_time_without_registration(connection, task_rows):
    def last_seen():
        states = task_rows.states.load()
        return {name: round((state.last_seen - INSTANT) / MINUTE) for name, state in states.items()}

    others = {'before': -70, 'long ago': -80, 'claimed': -30, 'later': 12}
    for name, minute in others.items():
        task_rows.registered.register([Task(print, name=name)], at(minute))
    CompareAndSet(connection).change(tasks.c.task == 'claimed', {}, run_id='theirs')
    task_rows.registered.see_after_gap(at(-9), at(10))
    seen = last_seen()
    # the last tick before it was at -10
    assert seen == {'task': 0, 'before': -50, 'long ago': -80, 'claimed': -30, 'later': 12}
    task_rows.registered.see_after_gap(at(500), at(501))
    assert last_seen() == seen


def test_an_unregistered_task_is_reported_by_one_process(task_rows):
    state = task_rows.get()
    assert not state.is_reported
    assert task_rows.registered.report_unregistered(state, at(70))
    assert not task_rows.registered.report_unregistered(state, at(70))
    assert task_rows.get().is_reported
    task_rows.registered.see(['task'], at(80), at(999))
    assert not task_rows.registered.report_unregistered(state, at(81))
    state = task_rows.get()
    assert not state.is_reported
    assert task_rows.registered.report_unregistered(state, at(150))


def test_a_claimed_task_is_not_forgotten(task_rows):
    assert task_rows.claim(1)
    assert not task_rows.registered.forget('task')
    assert task_rows.claims.release('task', 'mine')
    assert task_rows.registered.forget('task')
    assert task_rows.get() is None
    assert not task_rows.registered.forget('task')
