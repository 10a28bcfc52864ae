from asyncio import CancelledError
from datetime import datetime, timezone

import pytest
from pyramid.config import Configurator
from webtest import TestApp
from zope.interface.verify import verifyObject

from pyramid_cron import Skip
from pyramid_cron.events import (
    IRunFinished,
    IRunStarted,
    ITaskFinished,
    ITaskStarted,
    ITickFinished,
    RunFinished,
    RunStarted,
    TaskFinished,
    TaskStarted,
)
from pyramid_cron.testing import tick
from tests.support.exceptions import Refused

LOCAL = {'REMOTE_ADDR': '127.0.0.1', 'HTTP_HOST': 'localhost'}


def good(system): ...


def bad(system):
    raise LookupError('bad')


@pytest.fixture
def config():
    config = Configurator()
    config.include('pyramid_cron')
    config.add_cron_task(good, name='good')
    config.add_cron_task(bad, name='bad', idle=True)
    return config


def run(config):
    return TestApp(config.make_wsgi_app(), extra_environ=LOCAL).get('/cron', expect_errors=True)


def test_a_run_sends_its_events_in_order(config):
    events = []
    for interface in (IRunStarted, ITaskStarted, IRunFinished):
        # that a task has finished is an event of its start's interface too
        config.add_subscriber(events.append, interface)
    run(config)
    assert [type(event) for event in events] == [
        RunStarted,
        TaskStarted,
        TaskFinished,
        TaskStarted,
        TaskFinished,
        RunFinished,
    ]
    begun, _, succeeded, _, failed, ended = events
    assert [task.name for task in begun.tasks] == ['good', 'bad']
    assert (succeeded.task.name, succeeded.outcome, succeeded.exception) == ('good', 'ok', None)
    assert (failed.task.name, failed.outcome, str(failed.exception)) == ('bad', 'failed', 'bad')
    assert succeeded.seconds >= 0
    assert succeeded.scheduled_for == begun.minute
    assert ended.report.names('failed') == ['bad']
    assert ended.request is begun.request


@pytest.mark.parametrize('interface', [IRunStarted, ITaskStarted, ITaskFinished, IRunFinished])
def test_events_have_what_their_interfaces_promise(config, interface):
    events = []
    config.add_subscriber(events.append, interface)
    run(config)
    assert events
    for event in events:
        assert verifyObject(interface, event)


def test_a_subscriber_of_all_events_receives_tasks(config):
    events = []
    config.add_subscriber(events.append)
    run(config)
    assert [type(event) for event in events].count(TaskFinished) == 2


def test_a_skipped_task_has_finished_without_a_start(config):
    events = []
    config.add_subscriber(events.append, ITaskStarted)
    config.commit()
    claims = config.registry['cron_claims']
    for task in config.registry['cron_tasks']:
        assert claims.claim(task, None) is None
    run(config)
    assert [(type(event), event.outcome) for event in events] == [(TaskFinished, 'skipped')] * 2


def test_a_run_with_nothing_due_is_no_event():
    config = Configurator()
    config.include('pyramid_cron')
    events = []
    config.add_subscriber(events.append, IRunStarted)
    config.add_subscriber(events.append, IRunFinished)
    assert run(config).text == 'ok'
    assert events == []


@pytest.mark.parametrize('interface', [IRunStarted, ITaskStarted, ITaskFinished, IRunFinished])
@pytest.mark.parametrize('exc', [ValueError, CancelledError])
def test_a_subscriber_that_raises_is_logged(config, caplog, interface, exc):
    def fail(event):
        raise exc('the subscriber is broken')

    config.add_subscriber(fail, interface)
    assert run(config).text == 'fail: 1 of 2 tasks failed: bad'
    assert 'a subscriber of' in caplog.text
    assert 'the subscriber is broken' in caplog.text


def test_a_subscriber_can_end_the_process(config):
    def end(event):
        raise KeyboardInterrupt

    config.add_subscriber(end, IRunFinished)
    with pytest.raises(KeyboardInterrupt):
        run(config)


@pytest.mark.parametrize('interface', [IRunStarted, ITaskStarted, ITaskFinished, IRunFinished])
def test_without_a_server_a_subscribers_exit_is_logged(config, caplog, interface):
    def end(event):
        raise SystemExit('the subscriber stops')

    config.add_subscriber(end, interface)
    report = tick(config.make_wsgi_app().registry, datetime(2026, 11, 23, 9, 8, tzinfo=timezone.utc))
    assert [(task.name, task.outcome) for task in report.tasks] == [('good', 'ok'), ('bad', 'failed')]
    assert 'SystemExit: the subscriber stops' in caplog.text


def test_a_subscriber_whose_exception_cannot_be_shown_changes_nothing(config, caplog):
    def refuse(event):
        raise Refused

    config.add_subscriber(refuse, IRunStarted)
    assert '1 of 2 tasks failed: bad' in run(config)
    assert 'a subscriber of RunStarted failed: Refused, which cannot be shown' in caplog.messages


def test_each_tick_is_an_event_also_with_nothing_due(config):
    ends = []
    config.add_subscriber(ends.append, ITickFinished)
    registry = config.make_wsgi_app().registry
    minute = datetime(2026, 11, 23, 9, 8, tzinfo=timezone.utc)
    report = tick(registry, minute)
    # a run by name is none
    tick(registry, minute, ['good'])
    [end] = ends
    assert verifyObject(ITickFinished, end)
    assert end.report is report
    empty = Configurator()
    empty.include('pyramid_cron')
    empty.add_subscriber(ends.append, ITickFinished)
    assert run(empty).text == 'ok'
    assert [str(end.report) for end in ends[1:]] == ['ok']


def test_begin_and_end_of_a_run_have_its_key(config):
    config.registry.package_name = 'shop'
    events = []
    config.add_subscriber(events.append, ITaskStarted)
    registry = config.make_wsgi_app().registry
    tick(registry, datetime(2026, 11, 23, 9, 8, tzinfo=timezone.utc), ['good'])
    tick(registry, datetime(2026, 11, 23, 9, 9, tzinfo=timezone.utc))
    keys = [event.key for event in events]
    assert keys[2:] == 2 * ['shop:good@2026-11-23T09:09Z'] + 2 * ['shop:bad@2026-11-23T09:09Z']
    # of a run by name it is another one each time
    assert keys[0] == keys[1] != keys[2]
    assert {event.attempt for event in events} == {1}


def test_a_skipped_run_finishes_without_an_exception(config):
    def skip(system):
        raise Skip('no new file')

    events = []
    config.add_cron_task(skip, name='skip')
    config.add_subscriber(events.append, ITaskFinished)
    run(config)
    found = {event.task.name: (event.outcome, event.exception, event.reason, event.raised_skip) for event in events}
    assert found['skip'] == ('skipped', None, 'no new file', True)
    assert found['good'] == ('ok', None, None, False)
