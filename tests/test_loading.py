"""The application with the tasks, in what wraps it."""

import functools
import sys
from datetime import datetime, timedelta, timezone

import pytest
from paste.deploy.config import PrefixMiddleware
from pyramid.config import Configurator
from webtest import TestApp

from pyramid_cron import perform
from pyramid_cron.loading import NotLoaded, load_file, load_from, registry_of
from pyramid_cron.queues.worker import LazyApplication
from pyramid_cron.run_keys import write_key
from pyramid_cron.schedules.clock import current_minute
from pyramid_cron.testing import due_between, tick

MODULE = """
from pyramid.config import Configurator

def main(global_config, **settings):
    with Configurator(settings=settings) as config:
        config.include('pyramid_cron')
        config.add_cron_task(lambda system: system['request'].environ['filtered'], name='task', min='*')
        return config.make_wsgi_app()

def mark(global_config):
    def around(app):
        def filtered(environ, start_response):
            return app({**environ, 'filtered': True}, start_response)
        return filtered
    return around
"""

# the shape of an application in production behind a proxy that cuts its path
INI = """
[pipeline:main]
pipeline:
  proxy-prefix
  mark
  shop

[app:shop]
use = call:{module}:main
cron.app = shop
cron.timezone = UTC

[filter:proxy-prefix]
use: egg:PasteDeploy#prefix

[filter:mark]
use = call:{module}:mark

[composite:both]
use = egg:Paste#urlmap
/ = shop
"""


@pytest.fixture
def uri(tmp_path, monkeypatch):
    """The file of an application behind filters."""
    module = f'loading_of_{tmp_path.name}'
    (tmp_path / f'{module}.py').write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / 'production.ini'
    file.write_text(INI.format(module=module))
    yield str(file)
    sys.modules.pop(module, None)


def make(cron=True):
    config = Configurator(settings={'cron.app': 'shop', 'cron.timezone': 'UTC'})
    if cron:
        config.include('pyramid_cron')
        config.add_cron_task(print, name='task', min='*')
    return config.make_wsgi_app()


def key():
    return write_key('shop', 'task', current_minute(), None)


class Mounts:
    """Applications by their paths."""

    def __init__(self, *apps):
        self.applications = [(f'/{number}', app) for number, app in enumerate(apps)]
        self.itself = self

    def __call__(self, environ, start_response):
        raise NotImplementedError

    def call(self, environ, start_response):
        raise NotImplementedError


def closure(app):
    def filtered(environ, start_response):
        return app(environ, start_response) or later

    if app is None:
        later = app
    return filtered


def decorated(app):
    @functools.wraps(app.__call__)
    def call(environ, start_response):
        raise NotImplementedError

    return call


WRAPPERS = [
    lambda app: app,
    PrefixMiddleware,
    Mounts,
    closure,
    decorated,
    lambda app: functools.partial(closure, app),
    lambda app: Mounts(make(cron=False), {'/': app}).call,
    lambda app: Mounts(app, PrefixMiddleware(app)),
]


@pytest.mark.parametrize('wrap', WRAPPERS)
def test_the_registry_is_found_in_what_wraps_the_application(wrap):
    app = make()
    assert registry_of(wrap(app)) is app.registry
    assert load_from(lambda: wrap(app)).registry is app.registry


def test_a_wrapper_can_have_the_registry_of_what_it_wraps():
    wrapper, app = Mounts(make(), make()), make()
    wrapper.registry = app.registry
    assert registry_of(wrapper) is app.registry


def test_another_registry_of_a_wrapper_is_none_of_an_application():
    app = make()
    wrapper = PrefixMiddleware(app)
    wrapper.registry = 5
    assert registry_of(wrapper) is app.registry


@pytest.mark.parametrize(
    ('apps', 'found'),
    [
        ([], 'no application that includes'),
        ([False], 'no application that includes'),
        ([True, True], '2 applications of Pyramid that include'),
    ],
)
def test_the_application_with_the_tasks_has_to_be_one(apps, found):
    app = Mounts(*[make(cron) for cron in apps])
    remedy = 'pass the one with the tasks, or set the attribute registry of what wraps it'
    for find in (registry_of, lambda app: load_from(lambda: app), lambda app: perform(app, key())):
        with pytest.raises(NotLoaded) as caught:
            find(app)
        assert str(caught.value) == f'{found} pyramid_cron can be found in the WSGI application, a Mounts: {remedy}'


def test_an_application_that_a_function_makes_need_not_be_found_in_it():
    made = []

    def load():
        made.append(make())
        return lambda environ, start_response: made[0](environ, start_response)

    assert load_from(load).registry is made[0].registry


def test_a_file_with_a_pipeline_is_loaded_with_its_filters(uri):
    loaded = load_file(uri)
    assert isinstance(loaded.app, PrefixMiddleware)
    assert [task.name for task in loaded.registry['cron_tasks']] == ['task']


def test_a_worker_takes_a_file_with_a_pipeline(uri):
    # the task fails if the request has not passed the filter
    assert LazyApplication.of(uri).perform(key()).outcome == 'ok'
    app = load_file(uri).app
    assert perform(app, key()).outcome == 'ok'
    assert LazyApplication.of(lambda: app).perform(key()).outcome == 'ok'


def test_a_worker_names_what_it_cannot_load(uri):
    with pytest.raises(NotLoaded, match=r"has no application 'ship'; it has main, shop, both$"):
        LazyApplication.of(f'{uri}#ship').perform(key())


@pytest.mark.parametrize('tested', [lambda app: app, TestApp])
def test_helpers_of_tests_take_an_application_with_filters(uri, tested):
    target = tested(load_file(uri).app)
    minute = datetime(2026, 11, 23, 2, tzinfo=timezone.utc)
    assert due_between(target, minute, minute + timedelta(minutes=1)) == [(minute, 'task')]
    assert tick(target, minute).names('ok') == ['task']
