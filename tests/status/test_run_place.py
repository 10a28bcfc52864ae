"""The texts of the confirmation of "Run now": where a run happens, and how long it takes."""

import sys
from datetime import datetime, timezone

import pytest
from pyramid.config import Configurator

from pyramid_cron import Task
from pyramid_cron.status.run_place import describe_place
from pyramid_cron.store.task_state import TaskState

FIRST_SEEN = datetime(2026, 11, 30, 2, 0, tzinfo=timezone.utc)


@pytest.fixture
def registry():
    """That of an application without a store."""
    with Configurator() as config:
        config.include('pyramid_cron')
    return config.registry


@pytest.fixture
def stored(tmp_path):
    """That of an application with a store."""
    with Configurator(settings={'cron.store': f'sqlite:///{tmp_path}/cron.sqlite', 'cron.app': 'shop'}) as config:
        config.include('pyramid_cron')
    yield config.registry
    config.registry['cron_store'].database.engine.dispose()


def state(good_seconds):
    return TaskState('task', '* * * * *', FIRST_SEEN, good_seconds=good_seconds)


@pytest.mark.parametrize(
    ('expect', 'good_seconds', 'text'),
    [
        (None, None, 'The usual length is not known.'),
        (600, None, 'The run is expected to take 10 min.'),
        (None, '12', 'Its last good run took 12.0 s.'),
        (600, '0.25 190 3', 'It usually takes 3.0 s; the longest of its last 3 good runs took 3 min 10 s.'),
        (None, '1 2 3 4', 'It usually takes 2.0 s; the longest of its last 4 good runs took 4.0 s.'),
        (None, 'of a later version', 'The usual length is not known.'),
    ],
)
def test_the_length_of_a_run_is_known_from_those_before(registry, expect, good_seconds, text):
    assert describe_place(registry, Task(print, min=0, expect=expect), state(good_seconds))[1] == text


@pytest.mark.parametrize(
    ('values', 'text'),
    [
        ({'last_outcome': 'ok', 'last_seconds': 75.0}, 'Its last good run took 75 s.'),
        ({'last_outcome': 'failed', 'last_seconds': 75.0}, 'The usual length is not known.'),
        ({'last_outcome': 'ok'}, 'The usual length is not known.'),
    ],
)
def test_a_task_may_have_run_by_hand_only(registry, values, text):
    state = TaskState('task', '* * * * *', FIRST_SEEN, **values)
    assert describe_place(registry, Task(print, min=0), state)[1] == text


def test_without_a_row_nothing_is_known_of_the_length(registry):
    assert describe_place(registry, Task(print, min=0), None)[1] == 'The usual length is not known.'


def test_a_task_without_an_engine_keeps_the_browser_waiting(registry):
    [place, _] = describe_place(registry, Task(print, min=0), None)
    assert place == 'The task runs in this web server, and the page returns when the task has ended.'


def test_a_task_with_an_engine_runs_in_a_worker(registry):
    task = Task(print, min=0)
    task.engine = 'celery:queue=slow'
    [place, _] = describe_place(registry, task, None)
    assert place == 'The run is enqueued with celery:queue=slow, and a worker runs the task. The page returns at once.'


def test_a_task_may_always_run_in_a_process_of_its_own(registry):
    task = Task(print, min=0)
    task.engine = 'process:nice=10'
    assert describe_place(registry, task, None)[0] == 'The task runs in its own process. The page returns at once.'


def test_with_a_store_a_run_may_be_in_a_process_of_its_own(stored, tmp_path, monkeypatch):
    task = Task(print, min=0)
    monkeypatch.setattr(sys, 'argv', ['waitress-serve'])
    [place, _] = describe_place(stored, task, None)
    assert place == (
        'The task runs in this web server, and the page returns when the task has ended. The task would run in its own '
        'process if the configuration file were known: set cron.config_uri = %(__file__)s in the section of the '
        'application.'
    )
    (tmp_path / 'shop.ini').touch()
    monkeypatch.setattr(sys, 'argv', ['pserve', f'{tmp_path}/shop.ini'])
    [place, _] = describe_place(stored, task, None)
    assert place == 'The task runs in its own process. The page returns at once.'
