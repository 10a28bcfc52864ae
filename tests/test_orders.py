"""Runs without HTTP: the application they belong to, and how they are stopped."""

from datetime import datetime, timezone

import pytest
from pyramid.config import Configurator
from webtest import TestApp

from pyramid_cron.orders import NotRun, Order, run_through

NOON = datetime(2026, 12, 24, 12, 0, tzinfo=timezone.utc)


class Application:
    """An application with three tasks, and what has run of them."""

    def __init__(self, settings=None, **tasks):
        self.ran = []
        with Configurator(settings=settings or {}) as config:
            config.include('pyramid_cron')
            for name in ('first', 'second', 'third'):
                config.add_cron_task(tasks.get(name) or self.task(name), min='*', name=name, idle=name == 'third')
            self.app = config.make_wsgi_app()
        self.registry = self.app.registry

    def task(self, name):
        return lambda system: self.ran.append(f'{name} {system["request"].method}')


def test_another_application_runs_nothing():
    shop, site = Application(), Application()
    with pytest.raises(NotRun, match='another application answered, which has tasks of its own, and none of them ran'):
        run_through(site.app, shop.registry, NOON)
    assert shop.ran == site.ran == []


def test_a_wrapped_application_runs_its_own_tasks():
    shop = Application()
    run_through(lambda environ, start_response: shop.app(environ, start_response), shop.registry, NOON)
    assert shop.ran == ['first GET', 'second GET', 'third GET']


def test_the_method_of_a_request_is_a_setting():
    shop = Application({'cron.method': 'post'})
    run_through(shop.app, shop.registry, NOON)
    assert shop.ran == ['first POST', 'second POST', 'third POST']


def test_an_order_has_no_stop_by_default():
    assert Order(None, NOON).stop() is False


def test_tasks_left_over_by_a_stop_are_skipped(caplog):
    stops = []
    shop = Application(first=lambda system: stops.append('now'))
    report = run_through(shop.app, shop.registry, NOON, stop=lambda: bool(stops))
    assert [(task.name, task.outcome, task.reason) for task in report.tasks] == [
        ('first', 'ok', None),
        ('second', 'skipped', 'stopping'),
        ('third', 'skipped', 'stopping'),
    ]
    assert caplog.messages == ['task second is skipped: stopping', 'task third is skipped: stopping']
    assert shop.ran == []
    # they are free to run again
    assert run_through(shop.app, shop.registry, NOON, ['second']).names('ok') == ['second']


def test_a_stop_before_the_first_task_runs_none():
    shop = Application()
    report = run_through(shop.app, shop.registry, NOON, stop=lambda: True)
    assert report.names('skipped') == ['first', 'second', 'third']
    assert shop.ran == []


def test_a_request_by_http_runs_all_tasks():
    shop = Application()
    client = TestApp(shop.app, extra_environ={'REMOTE_ADDR': '127.0.0.1', 'HTTP_HOST': 'localhost'})
    assert client.get('/cron').text == 'ok'
    assert len(shop.ran) == 3


def test_a_redirect_names_the_setting_to_change():
    def redirect(environ, start_response):
        start_response('302 Found', [('Location', 'https://shop.example/cron')])
        return [b'']

    with pytest.raises(NotRun, match=r'it redirects to https://shop\.example/cron; set cron\.url to the address'):
        run_through(redirect, Application().registry, NOON)
