"""The routes for whoever watches the application, and who may ask there."""

import logging
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pyramid.config import Configurator
from sqlalchemy import text
from webtest import TestApp

from pyramid_cron.schedules.clock import current_minute
from pyramid_cron.testing import tick

LOCAL = {'REMOTE_ADDR': '127.0.0.1', 'HTTP_HOST': 'localhost'}
SECRET = 'correct horse battery staple'

routes = pytest.mark.parametrize('path', ['/cron/health', '/cron/metrics'])


@pytest.fixture
def make_app(tmp_path):
    """Return a function that makes an application with a store, and tells what its task ran for."""
    made = []

    def make(prefix=None, change=lambda config: None, environ=LOCAL, **settings):
        settings = {'cron.store': f'sqlite:///{tmp_path}/cron.sqlite', 'cron.timezone': 'UTC', **settings}
        config = Configurator(settings=settings)
        change(config)
        config.include('pyramid_cron', route_prefix=prefix)
        ran = []
        config.add_cron_task(ran.append, min='*', name='task')
        app = TestApp(config.make_wsgi_app(), extra_environ=environ)
        app.ran = ran
        made.append(config.registry)
        return app

    yield make
    for registry in made:
        registry['cron_claims'].database.engine.dispose()


def test_health_runs_nothing_and_tells_of_the_last_tick(make_app):
    app = make_app()
    answer = app.get('/cron/health', status=503)
    assert answer.text == 'fail: no tick has come yet'
    assert app.ran == []
    app.get('/cron', status=200)
    assert len(app.ran) == 1
    answer = app.get('/cron/health', status=200)
    assert answer.text.startswith('ok, last tick ')
    assert answer.content_type == 'text/plain'
    assert answer.headers['Cache-Control'] == 'no-store'
    assert len(app.ran) == 1


def test_who_prefers_json_gets_it(make_app):
    app = make_app()
    app.get('/cron')
    answer = app.get('/cron/health', headers={'Accept': 'application/json'}, status=200)
    assert answer.content_type == 'application/json'
    assert answer.json['status'] == 'ok'
    assert answer.json['failed'] == []


def test_a_task_that_is_stuck_is_judged_by_the_window_of_the_settings(make_app):
    app = make_app(**{'cron.window': '10'})
    app.get('/cron')
    engine = app.app.registry['cron_claims'].database.engine
    with engine.begin() as connection:
        connection.execute(text("UPDATE cron_tasks SET run_id = 'other', began = began - 20"))
    assert '; stuck: task (running for 2' in app.get('/cron/health', status=503).text


def test_metrics_are_what_prometheus_reads(make_app):
    app = make_app()
    tick(app.app.registry, current_minute())
    answer = app.get('/cron/metrics', status=200)
    assert answer.headers['Content-Type'] == 'text/plain; version=0.0.4; charset=utf-8'
    assert answer.headers['Cache-Control'] == 'no-store'
    (found,) = (
        family for family in text_string_to_metric_families(answer.text) if family.name == 'pyramid_cron_task_failed'
    )
    assert [(sample.labels, sample.value) for sample in found.samples] == [({'task': 'task'}, 0)]


@routes
def test_a_database_that_is_away_is_503_with_the_reason(make_app, tmp_path, path):
    app = make_app(**{'cron.store': f'sqlite:///{tmp_path}/no/folder/cron.sqlite'})
    answer = app.get(path, status=503)
    assert answer.text == 'fail: the store cannot be asked: unable to open database file'


def test_a_database_without_the_tables_is_503_too(make_app, postgresql):
    app = make_app(**{'cron.store': postgresql, 'cron.create_tables': 'false'})
    assert app.get('/cron/health', status=503).text.startswith('fail: the store cannot be asked: relation "cron_ticks"')
    answer = app.get('/cron/health', headers={'Accept': 'application/json'}, status=503)
    assert answer.json['problem'].startswith('the store cannot be asked')
    assert answer.json['status'] == 'fail'


@routes
@pytest.mark.parametrize(('method', 'status'), [('GET', 200), ('POST', 200), ('HEAD', 405), ('PUT', 405)])
def test_methods_are_those_of_the_trigger(make_app, path, method, status):
    app = make_app()
    app.get('/cron')
    answer = app.request(path, method=method, status=status)
    if status == 405:
        assert answer.headers['Allow'] == 'GET, POST'


@routes
def test_strangers_are_refused(make_app, path, caplog):
    app = make_app(environ={'REMOTE_ADDR': '192.0.2.1', 'HTTP_HOST': 'localhost'})
    answer = app.get(path, status=403)
    assert answer.text == 'fail 192.0.2.1'
    assert any('192.0.2.1' in record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)


@routes
def test_the_secret_opens_and_nothing_else_does(make_app, path):
    app = make_app(environ={'REMOTE_ADDR': '192.0.2.1'}, **{'cron.secret': SECRET})
    app.get('/cron', headers={'Authorization': f'Bearer {SECRET}'}, status=200)
    answer = app.get(path, status=401)
    assert answer.headers['WWW-Authenticate'] == 'Bearer'
    app.get(path, headers={'Cron-Secret': 'another'}, status=401)
    app.get(path, headers={'Cron-Secret': SECRET}, status=200)


@pytest.mark.parametrize(
    ('prefix', 'path', 'expected'),
    [
        ('/intern', '/cron', '/intern/cron'),
        (None, '/tick/', '/tick'),
    ],
)
def test_the_routes_are_behind_the_path_of_the_trigger(make_app, prefix, path, expected):
    app = make_app(prefix, **{'cron.path': path})
    app.get(f'{expected}/health', status=503)
    app.get(f'{expected}/metrics', status=200)
    app.get(f'{expected}/health%0a', status=404)


@routes
def test_neither_a_permission_nor_a_token_is_needed(make_app, path):
    class Nobody:
        def identity(self, request):
            return None

        authenticated_userid = identity

        def permits(self, request, context, permission):
            return False

    def strict(config):
        config.set_security_policy(Nobody())
        config.set_default_permission('admin')
        config.set_default_csrf_options(require_csrf=True)

    app = make_app(change=strict)
    app.post('/cron', status=200)
    app.post(path, status=200)


def test_without_the_package_the_metrics_say_what_to_install(make_app, monkeypatch):
    app = make_app()
    # as if it were not installed
    monkeypatch.setitem(sys.modules, 'prometheus_client', None)
    answer = app.get('/cron/metrics', status=501)
    assert answer.text == (
        "fail: the metrics need a package that is not installed: pip install 'pyramid_cron[metrics]'"
    )


def test_a_store_that_is_set_after_the_include_has_no_such_routes_and_the_log_says_so(make_app, tmp_path, caplog):
    config = Configurator()
    config.include('pyramid_cron')
    config.add_settings({'cron.store': f'sqlite:///{tmp_path}/cron.sqlite'})
    app = TestApp(config.make_wsgi_app(), extra_environ=LOCAL)
    app.get('/cron/health', status=404)
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        "cron.store was set after config.include('pyramid_cron'): there are no routes cron_health and cron_metrics; "
        'set it before'
    ]
    caplog.clear()
    make_app()
    assert caplog.messages == []


def test_without_a_store_there_are_no_such_routes():
    config = Configurator()
    config.include('pyramid_cron')
    app = TestApp(config.make_wsgi_app(), extra_environ=LOCAL)
    app.get('/cron', status=200)
    app.get('/cron/health', status=404)
