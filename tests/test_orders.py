"""Runs without HTTP: whose tasks they are, and how they are asked to stop."""

from datetime import datetime, timezone

import pytest
from pyramid.config import Configurator
from webtest import TestApp

from pyramid_cron.orders import NotRun, Order, run_through

NOON = datetime(2026, 12, 24, 12, 0, tzinfo=timezone.utc)


class Application:
    """An application with three tasks, and what has run of them."""

    def __init__(self, **tasks):
        self.ran = []
        with Configurator() as config:
            config.include('pyramid_cron')
            for name in ('first', 'second', 'third'):
                config.add_cron_task(tasks.get(name) or self.task(name), min='*', name=name, idle=name == 'third')
            self.app = config.make_wsgi_app()
        self.registry = self.app.registry

    def task(self, name):
        return lambda system: self.ran.append(f'{name} {system["request"].method}')


def test_a_run_that_comes_to_another_application_runs_nothing():
    shop, site = Application(), Application()
    with pytest.raises(NotRun, match='another application answered, which has tasks of its own, and none of them ran'):
        run_through(site.app, shop.registry, NOON)
    assert shop.ran == site.ran == []


def test_a_run_is_of_the_application_of_its_registry_whatever_is_around_it():
    shop = Application()
    run_through(lambda environ, start_response: shop.app(environ, start_response), shop.registry, NOON)
    assert shop.ran == ['first GET', 'second GET', 'third GET']


def test_a_run_can_be_requested_by_post():
    shop = Application()
    run_through(shop.app, shop.registry, NOON, method='POST')
    assert shop.ran == ['first POST', 'second POST', 'third POST']


def test_an_order_that_nobody_stops_runs_to_its_end():
    assert Order(None, NOON).stop() is False


def test_what_is_left_over_once_the_run_is_asked_to_stop_is_skipped_and_named(caplog):
    asked = []
    shop = Application(first=lambda system: asked.append('to stop'))
    report = run_through(shop.app, shop.registry, NOON, stop=lambda: bool(asked))
    assert [(task.name, task.outcome, task.reason) for task in report.tasks] == [
        ('first', 'ok', None),
        ('second', 'skipped', 'stopping'),
        ('third', 'skipped', 'stopping'),
    ]
    assert caplog.messages == ['task second is skipped: stopping', 'task third is skipped: stopping']
    assert shop.ran == []
    # they are free to run again
    assert run_through(shop.app, shop.registry, NOON, ['second']).names('ok') == ['second']


def test_a_run_that_is_asked_to_stop_before_its_first_task_runs_none():
    shop = Application()
    report = run_through(shop.app, shop.registry, NOON, stop=lambda: True)
    assert report.names('skipped') == ['first', 'second', 'third']
    assert shop.ran == []


def test_by_http_nothing_stops_a_run():
    shop = Application()
    client = TestApp(shop.app, extra_environ={'REMOTE_ADDR': '127.0.0.1', 'HTTP_HOST': 'localhost'})
    assert client.get('/cron').text == 'ok'
    assert len(shop.ran) == 3
