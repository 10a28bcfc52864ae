"""Tasks with ``store=False`` beside those of the store."""

import pytest
from webtest import TestApp

from pyramid_cron.store.schema import tasks
from tests.support.enqueueing import LONG, begin


def test_a_task_with_store_false_runs_everywhere(servers):
    first, second = (servers.start().add().add('free', min='*/5', store=False) for _ in range(2))
    assert [task.name for task in first.tick().tasks] == ['task', 'free']
    second.tick()
    assert second.ran == [('free', 0)]
    assert str(second.tick()) == 'ok: 2 of 2 tasks already run for 02:00'
    assert servers.history('task', 'outcome') == [('task', 'ok')]
    # by name too, and in the order of the names
    assert [task.name for task in second.tick(names=['free', 'task']).tasks] == ['free', 'task']


@pytest.mark.slow
def test_without_the_database_only_memory_tasks_run(servers, warnings):
    server = servers.start().add(min='*').add('free', min='*', store=False)
    server.ready()
    app = TestApp(server.config.make_wsgi_app(), extra_environ={'REMOTE_ADDR': '127.0.0.1'})
    with server.outage():
        answer = app.get('/cron', status=500, headers={'Accept': 'application/json'})
    assert answer.json['problem'] == 'the store is not available: the database has gone'
    assert [task['name'] for task in answer.json['tasks']] == ['free']
    assert [name for name, _ in server.ran] == ['free']
    assert any('the store is not available: the database has gone' in warning for warning in warnings())


@pytest.mark.slow
def test_without_the_database_memory_tasks_run_by_name(servers, warnings):
    server = servers.start().add().add('free', store=False)
    with server.outage():
        alone, both = server.tick(names=['free']), server.tick(names=['task', 'free'])
    assert (alone.problem, both.problem) == (None, 'the store is not available: the database has gone')
    assert [name for name, _ in server.ran] == ['free', 'free']


def test_an_interrupted_memory_task_is_released(servers):
    def stop(system):
        raise KeyboardInterrupt

    server = servers.start().add(body=stop, min='*', store=False)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            server.tick(0)


def test_an_enqueued_memory_task_does_not_use_the_store(servers, queue):
    web = servers.start(catch_up=LONG).add(via=queue, store=False)
    web.tick(0)
    assert servers.rows(tasks) == []
    assert begin(web, queue[0]).outcome == 'ok'
    assert begin(web, queue[0]).outcome == 'ok'
    assert web.ran == [('task', 0)] * 2
