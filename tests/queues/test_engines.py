"""The engine of each task: ``engines.py``."""

import sys
from datetime import datetime, timezone

import pytest
from pyramid.exceptions import ConfigurationError

from pyramid_cron.testing import tick

INSTANT = datetime(2026, 11, 24, 2, 0, tzinfo=timezone.utc)

sent = []


def send(handover):
    sent.append(handover.key)


def task(system):
    pass


@pytest.fixture(autouse=True)
def nothing_sent():
    sent.clear()


def error(config):
    with pytest.raises(ConfigurationError) as caught:
        config.commit()
    return str(caught.value)


def test_a_run_is_enqueued_with_a_function(configure):
    config = configure()
    config.add_cron_task(task, via=send, name='task')
    config.commit()
    [report] = tick(config.registry, INSTANT).tasks
    assert (report.outcome, report.as_dict()['outcome']) == ('queued', 'queued')
    assert sent == ['shop:task@2026-11-24T02:00Z']


@pytest.mark.parametrize('via', [f'{__name__}.send', f' {__name__}.send\n', send])
def test_the_setting_applies_to_normal_tasks_without_via(configure, via):
    config = configure(via=via)
    config.add_cron_task(task, name='one')
    config.add_cron_task(task, name='idle', idle=True)
    config.add_cron_task(task, name='here', via=False)
    config.commit()
    report = tick(config.registry, INSTANT)
    assert {done.name: done.outcome for done in report.tasks} == {'one': 'queued', 'idle': 'ok', 'here': 'ok'}
    assert str(report) == 'ok'


def test_a_function_needs_no_store(configure):
    config = configure()
    config.add_cron_task(task, via=send, name='task', store=False)
    config.commit()
    tick(config.registry, INSTANT)
    assert sent == ['shop:task@2026-11-24T02:00Z']


def test_an_idle_task_has_no_engine(configure):
    config = configure()
    with pytest.raises(ConfigurationError, match='an idle task waits for the time that a request has left'):
        config.add_cron_task(task, idle=True, via='celery')
    config.add_cron_task(task, idle=True, via=False)


@pytest.mark.parametrize(
    ('via', 'why'),
    [
        ('selery', 'there is no such engine: there are celery, procrastinate, process, or name a function'),
        ('myapp.nothing', "ModuleNotFoundError: No module named 'myapp'"),
        (f'{__name__}.sendd', f"{__name__} has no 'sendd'; is 'send' meant?"),
        (f'{__name__}.INSTANT', 'is not callable: it is of type datetime; pass a function'),
        (object(), 'is not callable'),
        (lambda: None, 'does not take one argument, handover: '),
        ('celery:queue', "'queue' is no option: there are queue=…, priority=…"),
        ('celery:queue=', "'queue=' is no option"),
        ('celery:colour=red', "'colour=red' is no option"),
        ('celery:priority=high', "invalid literal for int() with base 10: 'high'"),
    ],
)
def test_a_bad_engine_is_refused_at_start_up(configure, via, why):
    config = configure()
    config.add_cron_task(task, via=via, name='task')
    message = error(config)
    assert f'cron task task, via={via!r}: ' in message
    assert why in message


@pytest.mark.parametrize('name', ['celery', 'procrastinate'])
def test_a_missing_engine_is_refused_with_its_extra(configure, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, f'pyramid_cron.queues.{name}', raising=False)
    config = configure(via=name)
    config.add_cron_task(task)
    assert f"run: pip install 'pyramid_cron[{name}]'" in error(config)


@pytest.mark.parametrize('value', ['', ' ', None])
def test_an_empty_setting_is_refused(configure, value):
    with pytest.raises(ConfigurationError, match=r'bad setting cron\.via'):
        configure(via=value)


def test_without_via_no_engine_is_imported(configure, monkeypatch):
    monkeypatch.setitem(sys.modules, 'pyramid_cron.queues.engines', None)
    config = configure()
    config.add_cron_task(task)
    config.commit()
    assert [done.outcome for done in tick(config.registry, INSTANT).tasks] == ['ok']


def test_an_interrupt_passes_through_an_engine(configure):
    def interrupted(handover):
        raise KeyboardInterrupt

    config = configure()
    config.add_cron_task(task, via=interrupted)
    config.commit()
    with pytest.raises(KeyboardInterrupt):
        tick(config.registry, INSTANT)


def test_an_engine_may_have_a_relative_name(configure):
    config = configure().with_package(sys.modules[__name__])
    config.add_cron_task(task, via='.test_engines.send', name='task')
    with pytest.raises(ConfigurationError, match=r"cron task .*has no 'sennd'; is 'send' meant\?"):
        config.add_cron_task(task, via='.test_engines.sennd', name='other')
    config.commit()
    tick(config.registry, INSTANT)
    assert sent == ['shop:task@2026-11-24T02:00Z']


def test_tasks_with_the_same_via_share_an_engine(configure):
    config = configure()
    for name in ('one', 'two'):
        config.add_cron_task(task, via=f'{__name__}.send', name=name)
    config.commit()
    one, two = config.registry['cron_tasks']
    assert one.engine is two.engine


def test_an_engine_needs_no_store_for_catch_up(configure, caplog):
    config = configure()
    config.add_cron_task(task, via=send, name='waits', catch_up=600)
    config.add_cron_task(task, via=send, name='again', retries=1)
    config.commit()
    assert caplog.messages == ['retries=, missed= and catch_up= do nothing until cron.store is set; tasks: again']


def test_by_name_a_task_runs_here(configure):
    config = configure()
    config.add_cron_task(task, via=send, name='task')
    config.commit()
    assert [done.outcome for done in tick(config.registry, INSTANT, ['task']).tasks] == ['ok']
    assert sent == []
