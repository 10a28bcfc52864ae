import functools
from datetime import datetime, timezone

import pytest

from pyramid_cron import Task
from pyramid_cron.tasks import Tasks, dotted_path


def purge(system):
    """Remove what is old."""


def nested():
    def inner(system): ...

    return inner


class Job:
    def __call__(self, system): ...

    def run(self, system): ...


def add(tasks, task):
    tasks.add(task, task)
    return task


def test_the_signature_is_that_of_the_original():
    task = Task(purge, range(0, 60, 10), {17, 11}, '*', '*', '*', False)
    assert task.f is purge
    assert task.check(datetime(2014, 3, 1, 17, 10)) is True
    assert task.check(datetime(2014, 3, 1, 17, 32)) is False
    assert task.check(datetime(2014, 3, 1, 12, 10)) is False


@pytest.mark.parametrize(
    ('f', 'path'),
    [
        (purge, 'purge'),
        (nested(), 'nested.<locals>.inner'),
        (Job, 'Job'),
        (Job(), 'Job'),
        (Job().run, 'Job.run'),
        (functools.partial(functools.partial(purge), {}), 'purge'),
    ],
    ids=str,
)
def test_a_task_is_named_by_its_dotted_path(f, path):
    assert dotted_path(f) == f'{__name__}.{path}'
    assert Task(f).name == f'{__name__}.{path}'


def test_a_given_name_is_kept_and_shown():
    task = Task(purge, name='nightly purge')
    assert task.name == 'nightly purge'
    assert repr(task) == '<Task nightly purge>'


@pytest.mark.parametrize('name', ['', ' ', 'two\nlines', 'bell\a', 5, b'purge'])
def test_a_name_that_a_log_line_cannot_show_is_refused(name):
    with pytest.raises(ValueError, match='name='):
        Task(purge, name=name)


@pytest.mark.parametrize('idle', ['no', None, 2])
def test_idle_is_true_or_false(idle):
    with pytest.raises(ValueError, match='idle='):
        Task(purge, idle=idle)


def test_tasks_keep_their_order_and_can_be_counted():
    tasks = Tasks()
    added = [add(tasks, Task(purge, name=name)) for name in 'cab']
    assert list(tasks) == added
    assert len(tasks) == 3


def test_due_tasks_come_in_the_order_of_registration():
    tasks = Tasks()
    first = add(tasks, Task(nested()))
    add(tasks, Task(nested(), min=7))
    third = add(tasks, Task(nested(), min=[8]))
    assert tasks.due(datetime(2026, 11, 23, 9, 8, tzinfo=timezone.utc)) == [first, third]


def test_tasks_that_share_a_dotted_path_are_numbered():
    tasks = Tasks()
    names = [add(tasks, Task(nested())).name for _ in range(3)]
    path = f'{__name__}.nested.<locals>.inner'
    assert names == [path, f'{path}#2', f'{path}#3']


def test_a_given_name_belongs_to_one_task():
    tasks = Tasks()
    add(tasks, Task(purge))
    with pytest.raises(ValueError, match='belongs to another'):
        add(tasks, Task(nested(), name=f'{__name__}.purge'))


def test_a_second_task_under_the_same_key_takes_the_place_of_the_first():
    tasks = Tasks()
    tasks.add('key', Task(purge, min=1))
    second = Task(purge, min=2)
    tasks.add('key', second)
    assert list(tasks) == [second]
    assert second.name == f'{__name__}.purge'


def test_a_task_is_claimed_once_until_it_is_released():
    tasks = Tasks()
    task, other = add(tasks, Task(nested())), add(tasks, Task(nested()))
    assert tasks.claim(task)
    assert not tasks.claim(task)
    assert tasks.claim(other)
    tasks.release(task)
    assert tasks.claim(task)
