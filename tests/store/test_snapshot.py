"""What a snapshot returns of a task: its state, and its names."""

from dataclasses import replace

from pyramid_cron import Task
from pyramid_cron.store.snapshot import Snapshot


def test_a_snapshot_has_no_state_of_a_task_outside(server):
    server.tick(0)
    snapshot = server.store.snapshot()
    assert snapshot.state_of(Task(print, name='task')) == snapshot.states['task']
    assert snapshot.state_of(Task(print, name='task', store=False)) is None
    assert snapshot.state_of(Task(print, name='new')) is None


def test_a_snapshot_knows_each_name_of_a_task(server):
    server.tick(0)
    found = server.store.snapshot()
    snapshot = Snapshot({'task': replace(found.states['task'], other_names=('old', 'older'))}, None, found.now)
    assert snapshot.own_names(['task', 'new']) == {'task': 'task', 'old': 'task', 'older': 'task', 'new': 'new'}
    assert [snapshot.own_name(name) for name in ('task', 'older', 'gone')] == ['task', 'task', 'gone']
