"""Requests to the trigger, each sent to a real application as a server would pass it on, and their outcomes."""

import logging
from dataclasses import dataclass, field
from ipaddress import ip_network

import pytest
from pyramid.config import Configurator
from webtest import TestApp

from pyramid_cron.access.rules import Rules, Sender, refuse

SECRET = 'correct-horse-battery'
UTF8_SECRET = 'schlüssel-für-die-uhr-✓'
STRANGER = '203.0.113.7'
LOOPBACK = (ip_network('127.0.0.1'), ip_network('::1'))

# the status of the answer, a part of the reason in the warning, and a part of its remedy
OK = (200, None, None)
PEER = (403, 'is not in cron.allowed_ips', 'add its address to cron.allowed_ips')
NO_ADDRESS = (403, 'is not in cron.allowed_ips', 'have the server listen at an address')
PROXY = (403, 'it came through a proxy', 'request the application server itself, or set cron.secret')
PREFIX = (403, 'it carries the header SCRIPT_NAME', "the server's own configuration")
HOST = (403, 'its header Host is', 'request http://localhost instead, or set cron.secret')
BROWSER = (403, 'a browser made it', 'set cron.secret')
NO_SECRET = (401, 'does not carry the secret', "'Authorization: Bearer' or 'Cron-Secret:' with cron.secret's value")
METHOD = (405, 'the method is', 'use GET or POST')

EXTRA_HEADERS = {401: {'WWW-Authenticate': 'Bearer'}, 405: {'Allow': 'GET, POST'}}


@dataclass
class Case:
    status: int
    why: str
    remedy: str
    settings: dict = field(default_factory=dict)
    peer: str = '127.0.0.1'
    host: str = 'localhost:6543'
    method: str = 'GET'
    query: str = ''
    body: str = None
    configure: object = None
    headers: dict = field(default_factory=dict)


def row(name, outcome, headers=None, **case):
    if outcome is PEER and case.get('body') == 'fail':
        outcome = NO_ADDRESS
    return pytest.param(Case(*outcome, headers=headers or {}, **case), id=name)


def make_app(settings, ran=None, configure=None):
    config = Configurator(settings=settings)
    if configure is not None:
        configure(config)
    config.include('pyramid_cron')
    config.add_cron_task(([] if ran is None else ran).append, min='*')
    # lint would refuse some requests that servers pass on
    return TestApp(config.make_wsgi_app(), lint=False)


def send(app, case):
    request = app.RequestClass.blank('/cron' + case.query, method=case.method)
    del request.environ['HTTP_HOST']
    request.environ.pop('REMOTE_ADDR', None)
    if case.host is not None:
        request.environ['HTTP_HOST'] = case.host
    if case.peer is not None:
        request.environ['REMOTE_ADDR'] = case.peer
    for name, value in case.headers.items():
        request.environ['HTTP_' + name.upper().replace('-', '_')] = value
    return app.do_request(request, status='*')


def warnings_of(caplog):
    return [(r.name, r.levelno, r.getMessage()) for r in caplog.records if r.levelno >= logging.WARNING]


def judge(environ, peer='127.0.0.1', secret=None, allowed_ips=LOOPBACK):
    return refuse(Rules(secret, allowed_ips), Sender('GET', peer, environ), [].append)


def bearer(secret):
    # as a server decodes the bytes that curl sent
    return {'Authorization': 'Bearer ' + secret.encode().decode('latin-1')}


def allow(networks):
    return {'cron.allowed_ips': networks}


LAN = allow('10.0.0.0/8 fd00::/8')


def run_case(case, caplog):
    """Send a request, and check its answer, its log, and whether tasks ran."""
    caplog.set_level(logging.DEBUG)
    ran = []
    answer = send(make_app(case.settings, ran, case.configure), case)
    assert answer.status_int == case.status
    assert len(ran) == (1 if case.status == 200 else 0)

    expected = 'ok' if case.status == 200 else f'fail {case.peer}'
    assert answer.text == (expected if case.body is None else case.body)
    assert answer.content_type == 'text/plain'
    assert 'no-store' in answer.headers['Cache-Control']
    extra = {name: answer.headers[name] for name in ('Allow', 'WWW-Authenticate') if name in answer.headers}
    assert extra == EXTRA_HEADERS.get(case.status, {})

    warned = warnings_of(caplog)
    if case.status == 200:
        assert warned == []
    else:
        ((logger, level, message),) = warned
        assert (logger, level) == ('pyramid_cron.access.log', logging.WARNING)
        reason, remedy = message.split('; to allow it, ')
        assert case.why in reason
        assert case.remedy in remedy
        assert message.isprintable()

    sent = case.headers.get('Authorization', '').partition(' ')[2]
    other = case.headers.get('Cron-Secret')
    logged = f'{caplog.text} {[vars(record) for record in caplog.records]}'
    for secret in filter(None, (SECRET, UTF8_SECRET, sent, other)):
        assert secret not in logged
        assert secret not in answer.text
