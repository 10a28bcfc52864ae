"""``cron.url``: its values, and the URLs of requests while tasks run."""

from datetime import datetime, timezone

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from pyramid.httpexceptions import HTTPMovedPermanently
from pyramid.request import Request
from webtest import TestApp

from pyramid_cron import testing
from pyramid_cron.external_url import BaseURL, seen_from_outside
from pyramid_cron.orders import NotRun, run_through
from pyramid_cron.settings import Settings

NOON = datetime(2026, 12, 24, 12, 0, tzinfo=timezone.utc)
LOCAL = {'REMOTE_ADDR': '127.0.0.1', 'HTTP_HOST': 'localhost:6543', 'SERVER_PORT': '6543'}
SHOP = 'https://shop.example.com:8443/the-shop'


@pytest.mark.parametrize(
    ('value', 'parsed', 'host'),
    [
        ('https://shop.example.com', ('https', 'shop.example.com', 443, ''), 'shop.example.com'),
        ('http://shop.example.com/', ('http', 'shop.example.com', 80, ''), 'shop.example.com'),
        ('https://shop.example.com:443', ('https', 'shop.example.com', 443, ''), 'shop.example.com'),
        ('http://shop.example.com:443', ('http', 'shop.example.com', 443, ''), 'shop.example.com:443'),
        ('HTTPS://Shop.Example.com/Shop', ('https', 'shop.example.com', 443, '/Shop'), 'shop.example.com'),
        ('http://10.0.0.1:6543/a/b/', ('http', '10.0.0.1', 6543, '/a/b'), '10.0.0.1:6543'),
        ('http://localhost:65535/~me', ('http', 'localhost', 65535, '/~me'), 'localhost:65535'),
        # WSGI has the bytes of UTF-8, each a character
        ('https://shop.example.com/my%20shop', ('https', 'shop.example.com', 443, '/my shop'), None),
        ('https://xn--mller-kva.example/f%C3%BCr', ('https', 'xn--mller-kva.example', 443, '/f\xc3\xbcr'), None),
    ],
)
def test_a_url_is_scheme_host_port_and_script_name(value, parsed, host):
    url = Settings.parse({'cron.url': value}).url
    assert url == BaseURL(*parsed)
    assert url.environ()['HTTP_HOST'] == (host or parsed[1])


@pytest.mark.parametrize(
    ('value', 'text'),
    [
        ('HTTPS://Shop.Example.com:443/', 'https://shop.example.com'),
        ('http://localhost:6543/a/b/', 'http://localhost:6543/a/b'),
        ('https://shop.example.com/f%c3%bcr', 'https://shop.example.com/f%C3%BCr'),
    ],
)
def test_a_url_is_a_text_again(value, text):
    assert BaseURL.parse(value).text == text


@pytest.mark.parametrize(
    'value',
    [
        '',
        None,
        5,
        b'https://shop.example.com',
        'shop.example.com',
        '//shop.example.com',
        'shop.example.com:443',
        'ftp://shop.example.com',
        'https:/shop.example.com',
        'https://',
        'https:///shop',
        'https://:443',
        'https://shop.example.com:',
        'https://shop.example.com:x',
        'https://shop.example.com:-1',
        'https://shop.example.com:123456',
        'https://me@shop.example.com',
        'https://me:secret@shop.example.com',
        'https://shop.example.com?',
        'https://shop.example.com/?a=b',
        'https://shop.example.com#',
        'https://shop.example.com/#top',
        'https://shop.example.com/my shop',
        'https://shop.example.com/my%2shop',
        'https://shop.example.com//shop',
        'https://shop.example.com/shop//',
        'https://shop example.com',
        ' https://shop.example.com',
        'https://shop.example.com ',
        'https://shop.example.com\n',
        'https://shop.\nexample.com',
        'https://shop.example.com\\shop',
        'https://müller.example',
        'https://shop.example.com/für',
        'https://[::1]:6543',
        'https://shop.example.com https://example.com',
    ],
)
def test_any_other_text_is_refused_with_an_example(value):
    with pytest.raises(ConfigurationError, match=r'as in https://example\.com/shop: no user, query') as refused:
        Settings.parse({'cron.url': value})
    assert str(refused.value).startswith(f'bad setting cron.url = {value!r}: ')


@pytest.mark.parametrize('port', ['0', '65536', '99999'])
def test_a_port_out_of_range_is_refused(port):
    with pytest.raises(ConfigurationError, match='its port has to be from 1 to 65535'):
        Settings.parse({'cron.url': f'https://shop.example.com:{port}'})


def test_a_path_that_is_no_utf_8_is_refused():
    with pytest.raises(ConfigurationError, match=r'bad setting cron\.url'):
        Settings.parse({'cron.url': 'https://shop.example.com/%ff'})


def everything(request):
    return {
        'url': request.url,
        'application_url': request.application_url,
        'route_url': request.route_url('order', id=5),
        'route_path': request.route_path('order', id=5),
        'static_url': request.static_url('pyramid:static/logo.png'),
        'other scheme': request.route_url('order', id=5, _scheme='http'),
        'host': request.host,
        'domain': request.domain,
        'port': request.host_port,
        'path': request.path,
    }


OUTSIDE = {
    'url': 'https://shop.example.com:8443/the-shop/cron',
    'application_url': 'https://shop.example.com:8443/the-shop',
    'route_url': 'https://shop.example.com:8443/the-shop/orders/5',
    'route_path': '/the-shop/orders/5',
    'static_url': 'https://shop.example.com:8443/the-shop/static/logo.png',
    'other scheme': 'http://shop.example.com/the-shop/orders/5',
    'host': 'shop.example.com:8443',
    'domain': 'shop.example.com',
    'port': '8443',
    'path': '/the-shop/cron',
}


class Shop:
    """An application with a task that records URLs of its request, and a tween that records the environ."""

    def __init__(self, task=None, **settings):
        self.urls = []
        self.beside = []
        with Configurator(settings=settings) as config:
            config.include('pyramid_cron')
            config.add_route('order', '/orders/{id}')
            config.add_static_view('static', 'pyramid:static')
            config.add_cron_task(task or self.task, min='*', name='task')
            config.registry['beside'] = self.beside
            config.add_tween(f'{__name__}.beside')
            self.app = config.make_wsgi_app()

    def task(self, system):
        self.urls.append(everything(system['request']))


def beside(handler, registry):
    def tween(request):
        registry['beside'].append(dict(request.environ))
        try:
            return handler(request)
        finally:
            registry['beside'].append(dict(request.environ))

    return tween


def by_http(shop):
    assert TestApp(shop.app).get('/cron', extra_environ=LOCAL).text == 'ok'


def in_process(shop):
    assert run_through(shop.app, shop.app.registry, NOON).names('ok') == ['task']


def of_a_test(shop):
    assert testing.tick(TestApp(shop.app, extra_environ=LOCAL), NOON).names('ok') == ['task']


def of_a_registry(shop):
    assert testing.tick(shop.app.registry, NOON).names('ok') == ['task']


@pytest.mark.parametrize('run', [by_http, in_process, of_a_test, of_a_registry])
def test_tasks_see_the_url_of_the_setting(run):
    shop = Shop(**{'cron.url': SHOP})
    run(shop)
    expected = dict(OUTSIDE)
    if run is of_a_registry:
        # its request has no path
        expected['url'] = expected['application_url'] + '/'
        expected['path'] = '/the-shop/'
    assert shop.urls == [expected]


def test_without_the_setting_tasks_see_the_triggers_url():
    shop = Shop()
    by_http(shop)
    assert shop.urls[0]['url'] == 'http://localhost:6543/cron'
    assert shop.urls[0]['route_url'] == 'http://localhost:6543/orders/5'
    in_process(shop)
    assert shop.urls[1]['url'] == 'http://localhost/cron'


@pytest.mark.parametrize('missing', [(), ('HTTP_HOST',)], ids=['with Host', 'without'])
def test_outside_the_run_the_request_is_unchanged(missing):
    shop = Shop(**{'cron.url': SHOP, 'cron.secret': 'sixteen chars 16'})
    environ = {**LOCAL, 'HTTP_AUTHORIZATION': 'Bearer sixteen chars 16'}
    request = Request.blank('/cron', environ=environ)
    for key in missing:
        del request.environ[key]
    assert request.get_response(shop.app).text == 'ok'
    assert shop.urls[0]['url'] == OUTSIDE['url']
    keys = ('wsgi.url_scheme', 'HTTP_HOST', 'SERVER_NAME', 'SERVER_PORT', 'SCRIPT_NAME')
    before, after = ({key: environ.get(key) for key in keys} for environ in shop.beside)
    assert before == after
    assert before['wsgi.url_scheme'] == 'http'
    assert ('HTTP_HOST' in shop.beside[1]) is not bool(missing)


def test_an_interrupted_run_restores_the_request():
    def interrupted():
        with seen_from_outside(environ, BaseURL.parse(SHOP)):
            assert environ['HTTP_HOST'] == 'shop.example.com:8443'
            raise KeyboardInterrupt

    environ = {'HTTP_HOST': 'localhost'}
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert environ == {'HTTP_HOST': 'localhost'}


def test_access_is_decided_by_the_original_request():
    shop = Shop(**{'cron.url': 'http://localhost'})
    client = TestApp(shop.app)
    assert client.get('/cron', extra_environ=LOCAL | {'HTTP_HOST': 'shop.example.com'}, status=403)
    shop = Shop(**{'cron.url': 'http://shop.example.com'})
    assert TestApp(shop.app).get('/cron', extra_environ=LOCAL).text == 'ok'


def test_under_a_mount_only_the_script_name_is_replaced():
    shop = Shop(**{'cron.url': SHOP})
    TestApp(shop.app).get('/cron', extra_environ=LOCAL | {'SCRIPT_NAME': '/mounted'})
    assert shop.urls == [OUTSIDE]
    assert [environ['SCRIPT_NAME'] for environ in shop.beside] == ['/mounted', '/mounted']


def test_a_url_without_a_path_removes_the_mount():
    shop = Shop(**{'cron.url': 'https://shop.example.com'})
    TestApp(shop.app).get('/cron', extra_environ=LOCAL | {'SCRIPT_NAME': '/mounted'})
    assert shop.urls[0]['url'] == 'https://shop.example.com/cron'


def https_only(app):
    def middleware(environ, start_response):
        if environ['wsgi.url_scheme'] == 'https':
            return app(environ, start_response)
        return HTTPMovedPermanently('https://shop.example.com/cron')(environ, start_response)

    return middleware


def test_middleware_that_forces_https_passes_a_run():
    shop = Shop(**{'cron.url': SHOP})
    assert run_through(https_only(shop.app), shop.app.registry, NOON).names('ok') == ['task']


def test_without_the_setting_the_message_names_it():
    shop = Shop()
    with pytest.raises(NotRun) as raised:
        run_through(https_only(shop.app), shop.app.registry, NOON)
    assert str(raised.value) == (
        'the application answered 301 Moved Permanently before its tasks could run: '
        'it redirects to https://shop.example.com/cron; set cron.url to the address that its requests come to'
    )
    assert shop.urls == []
