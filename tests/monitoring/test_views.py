"""The routes of health and metrics, and their access."""

import logging
import sys

import pytest
from prometheus_client.parser import text_string_to_metric_families
from pyramid.config import Configurator
from pyramid.request import Request
from webtest import TestApp

from pyramid_cron.schedules.clock import current_minute
from pyramid_cron.store.schema import tasks
from pyramid_cron.testing import tick

LOCAL = {'REMOTE_ADDR': '127.0.0.1', 'HTTP_HOST': 'localhost'}
SECRET = 'correct horse battery staple'

routes = pytest.mark.parametrize('path', ['/cron/health', '/cron/metrics'])


@pytest.fixture
def make_app(tmp_path):
    """Return a function that makes an application with a store, whose attribute ``ran`` has the runs of its task."""
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
        registry['cron_store'].database.engine.dispose()


def test_health_runs_nothing(make_app):
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


def test_health_is_shown_as_json(make_app):
    app = make_app()
    app.get('/cron')
    answer = app.get('/cron/health', headers={'Accept': 'application/json'}, status=200)
    assert answer.content_type == 'application/json'
    assert answer.json['status'] == 'ok'
    assert answer.json['failed'] == []


def test_the_window_of_the_settings_makes_a_run_stuck(make_app):
    app = make_app(**{'cron.window': '10'})
    app.get('/cron')
    engine = app.app.registry['cron_store'].database.engine
    with engine.begin() as connection:
        connection.execute(tasks.update().values(run_id='other', started_at=tasks.c.started_at - 20))
    assert '; stuck: task (running for 2' in app.get('/cron/health', status=503).text


def test_prometheus_reads_the_metrics(make_app):
    app = make_app()
    tick(app.app.registry, current_minute())
    answer = app.get('/cron/metrics', status=200)
    assert answer.headers['Content-Type'] == 'text/plain; version=0.0.4; charset=utf-8'
    assert answer.headers['Cache-Control'] == 'no-store'
    (found,) = (
        family for family in text_string_to_metric_families(answer.text) if family.name == 'pyramid_cron_no_tick'
    )
    assert [(sample.labels, sample.value) for sample in found.samples] == [({}, 0)]


@routes
def test_a_database_that_is_away_is_503(make_app, tmp_path, path):
    app = make_app(**{'cron.store': f'sqlite:///{tmp_path}'})
    answer = app.get(path, status=503)
    assert answer.text == 'fail: the store is not available: unable to open database file'


def test_a_database_without_tables_is_503(make_app, postgresql):
    app = make_app(**{'cron.store': postgresql, 'cron.create_tables': 'false'})
    assert app.get('/cron/health', status=503).text == 'fail: no tick has come yet'
    answer = app.get('/cron/health', headers={'Accept': 'application/json'}, status=503)
    assert answer.json['no_tick'] is True
    assert answer.json['status'] == 'fail'


@pytest.mark.slow
@routes
@pytest.mark.parametrize(('method', 'status'), [('GET', 200), ('HEAD', 200), ('POST', 405), ('PUT', 405)])
def test_methods_are_those_of_reading(make_app, path, method, status):
    app = make_app()
    app.get('/cron')
    answer = app.request(path, method=method, status=status)
    if status == 405:
        assert answer.headers['Allow'] == 'GET, HEAD'
    elif method == 'HEAD':
        assert (answer.body, answer.content_length > 0) == (b'', True)


@routes
def test_strangers_are_refused(make_app, path, caplog):
    app = make_app(environ={'REMOTE_ADDR': '192.0.2.1', 'HTTP_HOST': 'localhost'})
    answer = app.get(path, status=403)
    assert answer.text == 'fail 192.0.2.1'
    assert any('192.0.2.1' in record.getMessage() for record in caplog.records if record.levelno == logging.WARNING)


@routes
def test_only_the_secret_opens(make_app, path):
    app = make_app(environ={'REMOTE_ADDR': '192.0.2.1'}, **{'cron.secret': SECRET})
    app.get('/cron', headers={'Authorization': f'Bearer {SECRET}'}, status=200)
    answer = app.get(path, status=401)
    assert answer.headers['WWW-Authenticate'] == 'Bearer'
    app.get(path, headers={'Cron-Secret': 'another'}, status=401)
    app.get(path, headers={'Cron-Secret': SECRET}, status=200)


MONITOR_SECRET = 'incorrect horse battery'


def send(app, path, peer='192.0.2.1', secret=None, **headers):
    """Return the status of the answer to a request of a peer."""
    headers |= {} if secret is None else {'Authorization': f'Bearer {secret}'}
    return app.get(path, headers=headers, extra_environ={'REMOTE_ADDR': peer}, status='*').status_int


@pytest.mark.slow
@routes
@pytest.mark.parametrize('secret', [{}, {'cron.secret': SECRET}], ids=['addresses', 'secret'])
def test_the_secret_of_a_monitor_only_reads(make_app, path, secret):
    app = make_app(**{'cron.monitor_secret': MONITOR_SECRET}, **secret)
    app.get('/cron', headers={'Authorization': f'Bearer {SECRET}'})
    assert send(app, path, secret=MONITOR_SECRET) == 200
    assert send(app, '/cron', secret=MONITOR_SECRET) == (401 if secret else 403)
    assert send(app, path, secret='another') == 401
    assert send(app, path) == 401
    # what may trigger may read
    assert send(app, path, peer='127.0.0.1', secret=SECRET) == 200
    assert len(app.ran) == 1


@routes
def test_the_addresses_of_a_monitor_only_read(make_app, path):
    app = make_app(**{'cron.monitor_ips': '192.0.2.0/24', 'cron.secret': SECRET})
    app.get('/cron', headers={'Authorization': f'Bearer {SECRET}'})
    assert send(app, path) == 200
    assert send(app, '/cron') == 401
    assert send(app, path, Via='1.1 p') == 403
    assert send(app, path, peer='198.51.100.1') == 403
    assert send(app, path, peer='198.51.100.1', secret=SECRET) == 200


@pytest.mark.slow
@routes
def test_both_of_a_monitor_are_needed_if_both_are_set(make_app, path):
    app = make_app(**{'cron.monitor_ips': '192.0.2.0/24', 'cron.monitor_secret': MONITOR_SECRET})
    app.get('/cron')
    assert send(app, path) == 401
    assert send(app, path, peer='198.51.100.1', secret=MONITOR_SECRET) == 403
    assert send(app, path, secret=MONITOR_SECRET) == 200


@routes
def test_a_local_monitor_needs_no_account(make_app, path):
    app = make_app(**{'cron.monitor_ips': '127.0.0.1'})
    app.get('/cron')
    # by a server that does not set the port of its peer
    for target, status in ((path, 200), ('/cron', 403)):
        request = Request.blank(target, {'REMOTE_ADDR': '127.0.0.1', 'HTTP_HOST': 'localhost'})
        assert request.get_response(app.app).status_int == status
    assert send(app, path, peer='127.0.0.1', Host='example.com') == 403


def test_a_refused_monitor_is_logged_with_its_setting(make_app, caplog):
    app = make_app(**{'cron.monitor_ips': '192.0.2.0/24'})
    send(app, '/cron/health?check', peer='198.51.100.1')
    [record] = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert record.getMessage() == (
        "refused a request for health or metrics: the peer '198.51.100.1' is not in cron.monitor_ips; to allow it, "
        'add its address to cron.monitor_ips, or set cron.monitor_secret and send it'
    )


@pytest.mark.parametrize(
    ('prefix', 'path', 'expected'),
    [
        ('/intern', '/cron', '/intern/cron'),
        (None, '/tick/', '/tick'),
    ],
)
def test_the_routes_are_below_the_path_of_the_trigger(make_app, prefix, path, expected):
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
    app.get(path, status=200)


def test_without_prometheus_client_metrics_are_501(make_app, monkeypatch):
    app = make_app()
    # as if it were not installed
    monkeypatch.setitem(sys.modules, 'prometheus_client', None)
    answer = app.get('/cron/metrics', status=501)
    assert answer.text == (
        "fail: prometheus_client is not installed, or too old: run: pip install 'pyramid_cron[metrics]'"
    )


def test_a_store_set_after_the_include_is_logged(make_app, tmp_path, caplog):
    config = Configurator()
    config.include('pyramid_cron')
    config.add_settings({'cron.store': f'sqlite:///{tmp_path}/cron.sqlite'})
    app = TestApp(config.make_wsgi_app(), extra_environ=LOCAL)
    app.get('/cron/health', status=404)
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        "cron.store was set after config.include('pyramid_cron'): there are no routes cron_health and cron_metrics, "
        'and nothing notices that ticks have stopped; set it before'
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
