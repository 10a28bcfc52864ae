import http.client
import socket
import ssl

import pytest

from pyramid_cron.doctor.address import parse_url
from pyramid_cron.doctor.answers import SentRequest, interpret, no_answer, not_sent
from pyramid_cron.doctor.request import Answer

URL = 'http://localhost/cron'
OWN = 'http://localhost:6543/cron'
ALLOWED = 'ok: this request may run tasks, and has run none because of ?check; application '


def sent(**values):
    return SentRequest(**{'address': parse_url(URL, '/cron'), 'app': 'shop', 'path': '/cron', 'account': 'me'} | values)


def refused(kind, remedy='do something'):
    return f'fail: refused a request {kind}: {remedy}'


def test_an_allowed_request_is_ok():
    assert interpret(sent(), Answer(200, ALLOWED + 'shop\n')) == (
        'ok',
        'request',
        f'{URL} allows me to run the tasks of shop',
        '',
    )
    found = interpret(sent(sent_secret=True), Answer(200, ALLOWED + 'shop'))
    assert found.text == f'{URL} allows me to run the tasks of shop with the secret'


@pytest.mark.parametrize(
    ('answer', 'text', 'remedy'),
    [
        (Answer(200, ALLOWED + 'other\x1b'), r'is the application other\x1b, not shop', 'the path of shop'),
        (Answer(403, refused('by a browser')), 'refuses requests by a browser (403)', 'do something'),
        (Answer(401, refused('without the secret')), 'refuses requests without the secret (401)', 'do something'),
        (Answer(403, refused('from other accounts')), '(403), and this is the account me', 'do something'),
        (
            Answer(403, refused('through a proxy')),
            'refuses requests through a proxy (403)',
            f'do something; it listens at {OWN}',
        ),
        (Answer(302, '', 'https://example.com/login'), 'redirects (302) to https://example.com/login', OWN),
        (Answer(304, ''), 'redirects (304) to nowhere', OWN),
        (Answer(403, 'fail 127.0.0.1'), 'refuses the request (403)', 'restart the server if it runs an older'),
        (Answer(403, '<h1>Forbidden', None, 'nginx'), 'is not pyramid_cron, by the header Server: nginx', OWN),
        (Answer(401, 'log in'), 'refuses the request (401), and that is not pyramid_cron', OWN),
        (Answer(404, '', None, 'nginx'), 'is not found (404), by the header Server: nginx', 'the trigger is /cron'),
        (Answer(502, ''), 'answers 502: the application behind it does not answer', 'start'),
        (Answer(200, 'ok: 1 of 1 tasks already run for 09:30'), 'has run what was due', 'restart the server'),
        (Answer(500, 'fail: 1 of 1 tasks failed: shop.purge'), 'has run what was due', 'restart the server'),
        (Answer(500, 'Internal Server Error'), 'answers 500', 'traceback'),
        (Answer(200, 'okay, ' + 'a page\n' * 99), "answers 200 'okay, a page", 'include pyramid_cron before'),
        (Answer(200, ''), "answers 200 '', and that is not this application", 'the port of shop'),
        (Answer(400, 'fail'), "answers 400 'fail', and that is not", 'the port of shop'),
        (Answer(203, ALLOWED + 'shop'), 'and that is not this application', 'the port of shop'),
        (Answer(400, 'Bad Request'), "answers 400 'Bad Request'", 'the port of shop'),
    ],
)
def test_any_other_answer_fails_with_a_remedy(answer, text, remedy):
    found = interpret(sent(own=parse_url(OWN, '/cron')), answer)
    assert found.status == 'fail'
    assert text in found.text
    assert remedy in found.remedy
    assert len(found.text) < 200


def test_without_another_address_none_is_named():
    assert interpret(sent(), Answer(403, refused('through a proxy'))).remedy == 'do something'
    assert interpret(sent(), Answer(302, '', '/')).remedy.endswith('request the application server itself')


def test_a_wrong_secret_is_not_a_missing_one():
    found = interpret(sent(sent_secret=True), Answer(401, refused('without the secret')))
    assert 'refuses the secret of this configuration (401)' in found.text
    assert 'WSGIPassAuthorization' in found.remedy
    found = interpret(sent(sent_secret=True), Answer(403, refused('from other addresses')))
    assert found.text == f'{URL} refuses requests from other addresses (403)'


def test_the_server_is_named_for_a_proxy_alone():
    found = interpret(sent(own=parse_url(OWN, '/cron')), Answer(403, refused('by a browser')))
    assert found.remedy == 'do something'


def test_a_line_with_a_header_may_send_the_secret():
    found = interpret(sent(line_sends_header=True), Answer(401, refused('without the secret')))
    assert (found.status, found.text) == ('ok', f'{URL} requires a secret, and the line sends a header')
    assert interpret(sent(line_sends_header=True), Answer(403, refused('by a browser'))).status == 'fail'


@pytest.mark.parametrize(
    ('exc', 'text', 'remedy'),
    [
        (ConnectionRefusedError(), f'nothing listens at {URL}', 'start the server'),
        (FileNotFoundError(), f'there is no socket at {URL}', 'start the server'),
        (TimeoutError('timed out'), 'does not answer', 'busy'),
        (socket.gaierror(-2, 'Name or service not known'), 'its name has no address', 'the URL'),
        (ssl.SSLCertVerificationError('self-signed'), 'self-signed', 'curl refuses it as well'),
        (PermissionError(13, 'Permission denied'), 'Permission denied', 'the account me'),
        (OSError(113, 'No route to host'), 'cannot be reached: [Errno 113] No route to host', 'the network'),
        (http.client.RemoteDisconnected('closed'), 'answers no HTTP: RemoteDisconnected', 'correct the scheme'),
        (http.client.BadStatusLine('SSH-2.0'), 'answers no HTTP: BadStatusLine: SSH-2.0', 'correct the scheme'),
        (ConnectionResetError(104, 'reset'), 'answers no HTTP: ConnectionResetError', 'correct the scheme'),
    ],
)
def test_no_answer_fails_with_a_remedy(exc, text, remedy):
    found = no_answer(sent(), exc)
    assert (found.status, found.topic) == ('fail', 'request')
    assert text in found.text
    assert remedy in found.remedy


def test_a_secret_that_is_not_sent_is_a_failure():
    found = not_sent(sent(address=parse_url('http://example.com', '/cron')))
    assert found.status == 'fail'
    assert found.text.startswith('http://example.com/cron is http to another machine')
