import json
import socket

import pytest
from pyramid import testing
from pyramid.request import Request

from pyramid_cron import CronView
from pyramid_cron.access.log import HINT

LOCAL = {'REMOTE_ADDR': '127.0.0.1', 'HTTP_HOST': 'localhost'}


def noop(system): ...


def fail(system):
    raise LookupError('a secret')


@pytest.mark.parametrize('method', ['get', 'post'])
def test_due_tasks_run_and_the_answer_is_ok(make_app, method):
    ran = []
    app = make_app(ran.append)
    response = getattr(app, method)('/cron', status=200)
    assert response.text == 'ok'
    assert response.content_type == 'text/plain'
    assert 'no-store' in response.headers['Cache-Control']
    assert len(ran) == 1


def test_a_failure_is_500_without_its_message(make_app):
    app = make_app(noop, fail)
    response = app.get('/cron', status=500)
    assert response.text == f'fail: 1 of 2 tasks failed: {__name__}.fail'
    assert response.content_type == 'text/plain'
    assert 'no-store' in response.headers['Cache-Control']


@pytest.mark.parametrize(
    ('accept', 'is_json'),
    [
        (None, False),
        ('*/*', False),
        ('application/json', True),
        ('application/json, */*;q=0.5', True),
        ('application/json;q=0.9, text/plain;q=0.5', True),
        ('text/plain, application/json', False),
        ('application/json;q=0.5, text/plain', False),
        ('text/html, application/json;q=0.1', True),
        ('image/png', False),
        ('application/json;q=0', False),
        ('not an accept header', False),
    ],
)
def test_a_report_is_shown_as_json(make_app, accept, is_json):
    app = make_app(noop)
    response = app.get('/cron', headers={} if accept is None else {'Accept': accept}, status=200)
    assert response.content_type == ('application/json' if is_json else 'text/plain')
    if is_json:
        [task] = response.json['tasks']
        assert task.pop('seconds') >= 0
        assert task == {'name': f'{__name__}.noop', 'outcome': 'ok'}


def test_json_of_a_failure_names_the_exception(make_app):
    response = make_app(fail).get('/cron', headers={'Accept': 'application/json'}, status=500)
    assert response.json['tasks'][0]['exception'] == 'LookupError'
    assert 'a secret' not in response.text
    assert 'no-store' in response.headers['Cache-Control']


def test_a_task_cannot_change_the_answer(make_app):
    def spoil(system):
        response = system['request'].response
        response.status_int = 204
        response.content_type = 'application/pdf'
        response.text = 'spoilt'
        system['request'].method = 'PUT'

    response = make_app(spoil).get('/cron', status=200)
    assert response.text == 'ok'
    assert response.content_type == 'text/plain'


@pytest.fixture
def connection():
    """Return a connection of this process to itself, and the environ of a server that takes a request from it."""
    with socket.create_server(('127.0.0.1', 0)) as server, socket.create_connection(server.getsockname()) as client:
        accepted, (address, port) = server.accept()
        with accepted:
            server_port = str(server.getsockname()[1])
            yield client, {'REMOTE_ADDR': address, 'REMOTE_PORT': str(port), 'SERVER_PORT': server_port}


def serve(app, **environ):
    """Return the answer to a request of a server, and not of WebTest, which sets no port."""
    return Request.blank('/cron', environ).get_response(app.app)


def test_a_connection_of_the_own_account_is_served(make_app, connection, caplog):
    _, environ = connection
    assert serve(make_app(noop), **environ).text == 'ok'
    assert caplog.records == []


def test_a_connection_without_an_owner_is_refused(make_app, connection, caplog):
    client, environ = connection
    client.close()
    ran = []
    answer = serve(make_app(ran.append), **environ)
    assert (answer.status_int, answer.text) == (403, 'fail 127.0.0.1')
    assert ran == []
    [record] = caplog.records
    assert 'no process of this machine holds that connection open' in record.getMessage()


def test_a_server_without_remote_port_is_refused(make_app, caplog):
    ran = []
    answer = serve(make_app(ran.append), REMOTE_ADDR='127.0.0.1')
    assert (answer.status_int, ran) == (403, [])
    [record] = caplog.records
    assert 'REMOTE_PORT' in record.getMessage()
    assert record.getMessage().endswith(HINT)


def test_the_check_of_the_account_is_a_setting(make_app):
    app = make_app(noop, **{'cron.peer_check': 'off'})
    assert serve(app, REMOTE_ADDR='127.0.0.1').text == 'ok'


def test_a_request_that_checks_runs_nothing(make_app):
    ran = []
    app = make_app(ran.append, **{'cron.app': 'shop'})
    answer = app.get('/cron?check', status=200)
    assert answer.text == 'ok: this request may run tasks, and has run none because of ?check; application shop\n'
    assert answer.headers['Cache-Control'] == 'no-store'
    assert app.get('/cron?a=1&check=', status=200).text == answer.text
    assert ran == []
    for query in ('?checks', '?a=check', '?', ''):
        assert app.get(f'/cron{query}', status=200).text.startswith('ok')
    assert len(ran) == 1


@pytest.mark.parametrize('query', ['check', 'quiet', 'a=1&quiet=&b'])
def test_a_refusal_shows_its_kind_on_request(make_app, query):
    answer = make_app().get(f'/cron?{query}', headers={'Via': '1.1 secret-proxy'}, status=403)
    assert answer.text == (
        'fail: refused a request through a proxy: request the application server itself, '
        'or set cron.secret and send it\n'
    )


def test_each_application_logs_ten_refusals_of_a_kind(make_app, caplog):
    for app in (make_app(), make_app()):
        caplog.clear()
        for _ in range(12):
            app.put('/cron', status=405)
        assert len(caplog.records) == 10


def test_refusals_keep_to_text(make_app):
    headers = {'Accept': 'application/json'}
    response = make_app().get('/cron', headers=headers, extra_environ={'REMOTE_ADDR': 'unix'}, status=403)
    assert (response.content_type, response.text) == ('text/plain', 'fail')


def test_the_window_is_a_setting(make_app):
    left = []
    app = make_app(lambda system: left.append(system['time_left']()), **{'cron.window': '3600'})
    app.get('/cron')
    assert 3000 < left[0] <= 3600


def test_the_view_works_as_in_the_original():
    called = []
    with testing.testConfig() as config:
        config.include('pyramid_cron')
        config.add_cron_task(called.append)
        assert CronView(testing.DummyRequest(remote_addr='127.0.0.1'))() == 'ok'
        assert len(called) == 1
        refused = testing.DummyRequest(remote_addr='1.2.3.4')
        answer = CronView(refused)()
        assert refused.response.status_int == 403
        assert isinstance(answer, str)
        assert 'fail' in answer
        assert len(called) == 1


def test_the_view_reads_headers_of_a_dummy_request():
    with testing.testConfig() as config:
        config.include('pyramid_cron')
        config.add_cron_task(noop)
        headers = {'Accept': 'application/json'}
        request = testing.DummyRequest(remote_addr='127.0.0.1', headers=headers)
        report = json.loads(CronView(request)())
        assert (request.response.status_int, request.response.content_type) == (200, 'application/json')
        assert report['tasks'][0]['outcome'] == 'ok'
