"""The claims of docs/porting.rst; ``tests/e2e/test_port.py`` runs its application with a real worker."""

import importlib
import re
import textwrap
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import celery
import pytest
import sqlalchemy
from pyramid.config import Configurator
from sqlalchemy.orm import Session
from webtest import TestApp

from pyramid_cron import Skip
from pyramid_cron.schedules.clock import current_minute
from pyramid_cron.testing import tick

ROOT = Path(__file__).parent.parent
MINUTE = timedelta(minutes=1)
# one for the whole process
MEMORY = 'memory://'


@pytest.fixture(autouse=True)
def examples(monkeypatch):
    """Import the example from the checkout, as it need not be installed."""
    monkeypatch.syspath_prepend(ROOT / 'examples')


@pytest.fixture
def example():
    """Return a function that returns a module of the example."""
    return lambda name: importlib.import_module(f'pyramid_cron_port.{name}')


@pytest.fixture
def make_app(example, tmp_path):
    """Return a function that returns the application with these tasks in place of its own, and its tables."""
    engines = []

    def make(*tasks, **settings):
        settings |= {
            'sqlalchemy.url': f'sqlite:///{tmp_path}/port.sqlite',
            'tm.manager_hook': 'pyramid_tm.explicit_manager',
            'celery.broker_url': MEMORY,
        }
        with Configurator(settings=settings) as config:
            for part in ('pyramid_tm', 'pyramid_cron_port.models', 'pyramid_cron_port.queue', 'pyramid_cron'):
                config.include(part)
            config.include('pyramid_cron_port.tasks')
            for task in tasks:
                config.add_cron_task(task, min='*')
        engines.append(config.registry['engine'])
        example('models').Base.metadata.create_all(engines[-1])
        return TestApp(config.make_wsgi_app())

    yield make
    with celery.Celery(broker=MEMORY, set_as_current=False).connection_for_read() as connection:
        connection.SimpleQueue('celery').clear()
    for engine in engines:
        engine.dispose()


def switch_on(app, models):
    with Session(app.app.registry['engine']) as session, session.begin():
        session.add(models.Flag(name=models.READ_ONLY, is_on=True))


def emails(app, models):
    with Session(app.app.registry['engine']) as session:
        return list(session.scalars(sqlalchemy.select(models.Account.email)))


def messages(app):
    """Return how many messages are queued."""
    with app.app.registry['celery'].connection_for_read() as connection:
        return connection.SimpleQueue('celery').qsize()


def beat_schedule(**names):
    """Return what the page's block with the schedule of beat defines."""
    page = (ROOT / 'docs' / 'porting.rst').read_text(encoding='utf-8')
    [code] = re.findall(r'^    from celery.schedules import crontab\n(?:    .*\n|\n)+', page, re.MULTILINE)
    exec(textwrap.dedent(code), names)
    return names


def test_a_schedule_of_beat_is_due_when_it_was_after_it_has_moved(example):
    beat, options = [], {}

    def task(**given):
        return lambda function: options.setdefault(function, given) and function

    there = beat_schedule(task=task, Busy=example('tasks').Busy)
    config = Configurator()
    config.add_directive('add_periodic_task', lambda config, when, task: beat.append((when, options[task])))
    there['includeme'](config)
    with Configurator(settings={'celery.broker_url': MEMORY, 'cron.via': 'celery'}) as config:
        config.include('pyramid_cron_port.queue')
        config.include('pyramid_cron')
        config.include('pyramid_cron_port.schedule')
    moved = list(config.registry['cron_tasks'])

    def is_due(when, minute):
        fields = (minute.minute, when.minute), (minute.hour, when.hour), (minute.isoweekday() % 7, when.day_of_week)
        return all(value in allowed for value, allowed in fields)

    week = [datetime(2026, 3, 2) + number * MINUTE for number in range(7 * 1440)]
    for (when, given), task in zip(beat, moved, strict=True):
        assert [minute for minute in week if is_due(when, minute)] == list(filter(task.check, week))
        assert given['expires'] == task.catch_up.total_seconds()
    *_, (_, given) = beat
    limits = 'celery:soft_time_limit={soft_time_limit},time_limit={time_limit}'.format(**given)
    assert [str(task.engine) for task in moved] == ['None', 'celery', limits]
    # with the waits doubled each time
    waits = [given['retry_backoff'] * 2**number for number in range(given['max_retries'])]
    assert [wait.total_seconds() for wait in moved[2].retry_waits] == waits


def test_a_function_of_beat_receives_its_request(example):
    with_request, received = example('schedule').with_request, []
    request = SimpleNamespace(read_only=True)
    with_request(received.append, writes=False)({'request': request})
    assert received == [request]
    with pytest.raises(Skip, match='read-only mode'):
        with_request(received.append)({'request': request})
    assert received == [request]


def first(system):
    add(system, 'first')


def second(system):
    add(system, 'second')


def add(system, email):
    models = importlib.import_module('pyramid_cron_port.models')
    system['request'].db.add(models.Account(email=email))


@pytest.mark.parametrize(('requests', 'kept'), [('each', []), ('one', ['second'])])
def test_the_read_only_mode_reaches_each_task_that_has_a_request_of_its_own(make_app, example, requests, kept):
    app = make_app(first, second, **{'cron.requests': requests})
    switch_on(app, example('models'))
    assert tick(app, current_minute()).names('ok') == [
        'tests.test_porting_page.first',
        'tests.test_porting_page.second',
    ]
    assert emails(app, example('models')) == kept


def queue_mail(request, **options):
    sender = request.task(importlib.import_module('pyramid_cron_port.tasks').send_mail)
    sender.apply_async(('account@example.com', 'soon'), **options)


@pytest.mark.slow
@pytest.mark.parametrize(
    ('end', 'is_on', 'sent'),
    [('returns', False, 1), ('raises', False, 0), ('cannot commit', False, 0), ('returns', True, 0)],
)
def test_what_a_task_queues_is_sent_once_it_has_committed(make_app, example, end, is_on, sent):
    def remind(system):
        request = system['request']
        # the second has the key of the first
        for _ in range(2 if end == 'cannot commit' else 1):
            request.db.add(example('models').Account(id=1, email='account@example.com'))
        queue_mail(request)
        assert messages(app) == 0
        if end == 'raises':
            raise LookupError

    app = make_app(remind, **{'cron.requests': 'each'})
    if is_on:
        switch_on(app, example('models'))
    tick(app, current_minute())
    assert messages(app) == sent
    assert len(emails(app, example('models'))) == sent


def test_what_is_tried_again_is_sent_at_once(make_app):
    def remind(system):
        # as a task of Celery does that has failed
        queue_mail(system['request'], retries=1)
        raise LookupError

    app = make_app(remind)
    tick(app, current_minute())
    assert messages(app) == 1
