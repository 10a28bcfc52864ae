"""Access to the trigger: a table of requests, each sent to a real application as a server would pass it on."""

import base64
import logging

import pytest
from paste.deploy.config import PrefixMiddleware
from pyramid import testing
from pyramid.config import Configurator
from pyramid.request import Request
from pyramid.security import Denied
from webtest import TestApp

from pyramid_cron import CronView
from pyramid_cron.access.rules import Rules
from tests.support.access_cases import (
    BROWSER,
    HOST,
    LAN,
    METHOD,
    NO_SECRET,
    OK,
    PEER,
    PREFIX,
    PROXY,
    SECRET,
    STRANGER,
    UTF8_SECRET,
    Case,
    allow,
    bearer,
    judge,
    make_app,
    row,
    run_case,
    send,
    warnings_of,
)

pytestmark = pytest.mark.usefixtures('no_name_is_looked_up')

MALICIOUS = 'x\r\n\t\x00\x1b[31m\x7f\x85forged'


class PermitNothing:
    def identity(self, request):
        return None

    def authenticated_userid(self, request):
        return None

    def permits(self, request, context, permission):
        return Denied('no permission at all')


def guard_with_permission(config):
    config.set_security_policy(PermitNothing())
    config.set_default_permission('edit')


def guard_with_csrf_token(config):
    config.set_default_csrf_options(require_csrf=True)


def basic(credentials):
    return {'Authorization': 'Basic ' + base64.b64encode(credentials.encode()).decode()}


PEERS = [
    row('peer: curl on this machine', OK),
    row('peer: curl on this machine, without a port', OK, host='localhost'),
    row('peer: prequest, which sends no Host', OK, host=None),
    row('peer: loopback in IPv6', OK, peer='::1', host='[::1]:6543'),
    row('peer: loopback in IPv6, long form', OK, peer='0:0:0:0:0:0:0:1'),
    row('peer: loopback mapped into IPv6', OK, peer='::ffff:127.0.0.1'),
    row('peer: loopback mapped into IPv6, in hex', OK, peer='::ffff:7f00:1'),
    row('peer: loopback in IPv6 with a scope', PEER, peer='::1%lo', body='fail'),
    row('peer: loopback in IPv6 with the scope of another', PEER, peer='::1%eth0', host='[::1]', body='fail'),
    row(
        'peer: loopback with a scope though every address is allowed',
        PEER,
        settings=allow('::/0'),
        peer='::1%1',
        body='fail',
    ),
    row('peer: another loopback address', PEER, peer='127.0.0.6'),
    row('peer: another loopback address, mapped', PEER, peer='::ffff:127.0.0.6', body='fail 127.0.0.6'),
    row('peer: loopback as a deprecated compatible address', PEER, peer='::127.0.0.1', body='fail ::7f00:1'),
    row('peer: a stranger', PEER, peer=STRANGER),
    row('peer: a stranger mapped into IPv6', PEER, peer='::ffff:203.0.113.7', body='fail 203.0.113.7'),
    row('peer: a stranger in IPv6', PEER, peer='2001:db8::7'),
    row('peer: link-local with a scope', PEER, peer='fe80::1%eth0', body='fail'),
    row('peer: empty, as on a unix socket', PEER, peer='', body='fail'),
    row('peer: missing', PEER, peer=None, body='fail'),
    row('peer: localhost, as on a unix socket', PEER, peer='localhost', body='fail'),
    row('peer: 0.0.0.0, as on a unix socket', PEER, peer='0.0.0.0', body='fail'),
    row(
        'peer: 0.0.0.0 though every address is allowed', PEER, settings=allow('0.0.0.0/0'), peer='0.0.0.0', body='fail'
    ),
    row('peer: :: though every address is allowed', PEER, settings=allow('::/0'), peer='::', body='fail'),
    row('peer: 0.0.0.0 mapped', PEER, settings=allow('0.0.0.0/0 ::/0'), peer='::ffff:0.0.0.0', body='fail'),
    row('peer: with a port', PEER, peer='127.0.0.1:4711', body='fail'),
    row('peer: with leading zeros', PEER, peer='127.0.0.01', body='fail'),
    row('peer: with a blank', PEER, peer=' 127.0.0.1', body='fail'),
    row('peer: a number', PEER, peer='2130706433', body='fail'),
    row('peer: two, as a trusting middleware may write', PEER, peer=f'127.0.0.1, {STRANGER}', body='fail'),
    row('peer: a script', PEER, peer='<script>', body='fail'),
    row('peer: unix:', PEER, peer='unix:', body='fail'),
]

NETWORKS = [
    row('network: inside', OK, settings=LAN, peer='10.1.2.3', host='app.internal'),
    row('network: inside, mapped', OK, settings=LAN, peer='::ffff:10.1.2.3', host='app.internal'),
    row('network: inside, IPv6', OK, settings=LAN, peer='fd00::5', host='[fd00::1]:6543'),
    row('network: outside', PEER, settings=LAN, peer='11.1.2.3', host='app.internal'),
    row('network: loopback is not in it', PEER, settings=LAN),
    row('network: with a scope', PEER, settings=allow('fe80::/10'), peer='fe80::1%eth0', body='fail'),
    row('network: without a scope', OK, settings=allow('fe80::/10'), peer='fe80::1', host='app.internal'),
    row('network: after a comma', OK, settings=allow('192.0.2.1,10.0.0.0/8'), peer='10.1.2.3'),
    row('network: written as mapped', OK, settings=allow('::ffff:10.0.0.0/104'), peer='10.1.2.3'),
    row('network: written as mapped, outside', PEER, settings=allow('::ffff:10.0.0.0/104'), peer='11.1.2.3'),
    row('network: all of IPv6 is not IPv4', PEER, settings=allow('::/0'), peer=STRANGER),
    row('network: several lines', OK, settings=allow('192.0.2.1\n  10.0.0.0/8'), peer='10.1.2.3'),
    row('network: all of loopback', OK, settings=allow('127.0.0.0/8'), peer='127.0.0.6'),
    row('network: all of loopback, another host', HOST, settings=allow('127.0.0.0/8'), peer='127.0.0.6', host='a.b'),
    row('network: secret sent, none set', OK, bearer(SECRET)),
    row('network: secret sent by a stranger, none set', PEER, bearer(SECRET), peer=STRANGER),
]

WITH_SECRET = {'cron.secret': SECRET}
WITH_BOTH = {'cron.secret': SECRET, 'cron.allowed_ips': '10.0.0.0/8'}
SECRETS = [
    row(f'secret: {name}', outcome, headers, settings=WITH_SECRET, peer=STRANGER, host='www.example.com')
    for name, headers, outcome in (
        ('right', bearer(SECRET), OK),
        ('scheme in lower case', {'Authorization': f'bearer {SECRET}'}, OK),
        ('scheme in upper case', {'Authorization': f'BEARER {SECRET}'}, OK),
        ('two blanks', {'Authorization': f'Bearer  {SECRET} '}, OK),
        ('missing', {}, NO_SECRET),
        ('one character short', bearer(SECRET[:-1]), NO_SECRET),
        ('first character missing', bearer(SECRET[1:]), NO_SECRET),
        ('one character longer', bearer(SECRET + 'x'), NO_SECRET),
        ('one character wrong', bearer(SECRET[:-1] + 'x'), NO_SECRET),
        ('in upper case', bearer(SECRET.upper()), NO_SECRET),
        ('twice', bearer(f'{SECRET}, Bearer {SECRET}'), NO_SECRET),
        ('quoted', bearer(f'"{SECRET}"'), NO_SECRET),
        ('after a tab', {'Authorization': f'Bearer\t{SECRET}'}, NO_SECRET),
        ('before a line end', bearer(SECRET + '\n'), NO_SECRET),
        ('before a no-break space', {'Authorization': f'Bearer {SECRET}\xa0'}, NO_SECRET),
        ('password of Basic', basic(f'cron:{SECRET}'), NO_SECRET),
        ('user of Basic', basic(f'{SECRET}:'), NO_SECRET),
        ('as it is under Basic', {'Authorization': f'Basic {SECRET}'}, NO_SECRET),
        ('in Base64 under Bearer', {'Authorization': 'Bearer ' + basic(SECRET)['Authorization'][6:]}, NO_SECRET),
        ('under Token', {'Authorization': f'Token {SECRET}'}, NO_SECRET),
        ('without scheme', {'Authorization': SECRET}, NO_SECRET),
        ('without a blank', {'Authorization': f'Bearer{SECRET}'}, NO_SECRET),
        ('empty header', {'Authorization': ''}, NO_SECRET),
        ('only the scheme', {'Authorization': 'Bearer'}, NO_SECRET),
        ('empty credentials', {'Authorization': 'Bearer '}, NO_SECRET),
        ('garbage that is not UTF-8', {'Authorization': 'Bearer ' + '\xff\xfe\x80' * 7}, NO_SECRET),
        ('garbage that is not Latin-1', {'Authorization': 'Bearer ' + '✓' * len(SECRET)}, NO_SECRET),
        ('in a cookie', {'Cookie': f'secret={SECRET}'}, NO_SECRET),
        ('in the other header', {'Cron-Secret': SECRET}, OK),
        ('in the other header, blanks around it', {'Cron-Secret': f' {SECRET} '}, OK),
        ('in the other header, beside a wrong one', {'Cron-Secret': SECRET, 'Authorization': 'Bearer wrong-horse'}, OK),
        ('beside a wrong one in the other header', {'Cron-Secret': 'wrong-horse', **bearer(SECRET)}, OK),
        ('one character short in the other header', {'Cron-Secret': SECRET[:-1]}, NO_SECRET),
        ('with a scheme in the other header', {'Cron-Secret': f'Bearer {SECRET}'}, NO_SECRET),
        ('empty in the other header', {'Cron-Secret': ''}, NO_SECRET),
        ('not Latin-1 in the other header', {'Cron-Secret': '✓' * len(SECRET)}, NO_SECRET),
        ('in a header of another name', {'X-Cron-Secret': SECRET}, NO_SECRET),
        ('for a proxy', {'Proxy-Authorization': f'Bearer {SECRET}'}, NO_SECRET),
    )
]
SECRETS += [
    row('secret: not from this machine either', NO_SECRET, settings=WITH_SECRET),
    row('secret: in the query', NO_SECRET, settings=WITH_SECRET, query=f'?secret={SECRET}'),
    row('secret: as access_token in the query', NO_SECRET, settings=WITH_SECRET, query=f'?access_token={SECRET}'),
    row('secret: posted', OK, bearer(SECRET), settings=WITH_SECRET, method='POST'),
    row('secret: HEAD', METHOD, bearer(SECRET), settings=WITH_SECRET, method='HEAD', body=''),
    row('secret: PUT without it', METHOD, settings=WITH_SECRET, method='PUT'),
    row('secret: not ASCII', OK, bearer(UTF8_SECRET), settings={'cron.secret': UTF8_SECRET}),
    row(
        'secret: not ASCII, sent as Latin-1',
        NO_SECRET,
        {'Authorization': f'Bearer {"é" * 16}'},
        settings={'cron.secret': 'é' * 16},
    ),
    row('secret: not ASCII, short', NO_SECRET, bearer(UTF8_SECRET[:-1]), settings={'cron.secret': UTF8_SECRET}),
    row(
        'secret: with a blank inside',
        OK,
        bearer('open sesame, please'),
        settings={'cron.secret': 'open sesame, please'},
    ),
    *(
        row(f'secret: peer is {peer!r}', OK, bearer(SECRET), settings=WITH_SECRET, peer=peer)
        for peer in ('', None, 'localhost', '0.0.0.0', 'unix:')
    ),
    *(
        row(f'secret: not sent, peer is {peer!r}', NO_SECRET, settings=WITH_SECRET, peer=peer, body='fail')
        for peer in ('', None, 'localhost', '0.0.0.0')
    ),
    row(
        'secret: proxies do not matter',
        OK,
        bearer(SECRET) | {'X-Forwarded-For': STRANGER, 'Forwarded': 'for=unknown', 'Via': '1.1 p', 'X-Real-IP': ''},
        settings=WITH_SECRET,
    ),
    row('secret: a lone Via does not matter', OK, bearer(SECRET) | {'Via': '1.1 p'}, settings=WITH_SECRET),
    row('secret: the header SCRIPT_NAME', PREFIX, bearer(SECRET) | {'SCRIPT_NAME': '/x'}, settings=WITH_SECRET),
    row('secret: Host does not matter', OK, bearer(SECRET), settings=WITH_SECRET, host='www.example.com'),
    row('secret: Origin does not matter', OK, bearer(SECRET) | {'Origin': 'http://x.y'}, settings=WITH_SECRET),
    row('secret and network: both', OK, bearer(SECRET), settings=WITH_BOTH, peer='10.1.2.3'),
    row('secret and network: mapped', OK, bearer(SECRET), settings=WITH_BOTH, peer='::ffff:10.1.2.3'),
    row('secret and network: only the secret', PEER, bearer(SECRET), settings=WITH_BOTH, peer=STRANGER),
    row('secret and network: only the secret, local', PEER, bearer(SECRET), settings=WITH_BOTH),
    row('secret and network: the secret, no peer', PEER, bearer(SECRET), settings=WITH_BOTH, peer=None, body='fail'),
    row('secret and network: only the network', NO_SECRET, settings=WITH_BOTH, peer='10.1.2.3'),
    row('secret and network: neither', NO_SECRET, settings=WITH_BOTH, peer=STRANGER),
    row(
        'secret and network: the client of a proxy does not matter',
        OK,
        bearer(SECRET) | {'X-Forwarded-For': STRANGER},
        settings=WITH_BOTH,
        peer='10.1.2.3',
        host='www.example.com',
    ),
    row(
        'secret and network: the client of a proxy does not help',
        PEER,
        bearer(SECRET) | {'X-Forwarded-For': '10.1.2.3'},
        settings=WITH_BOTH,
        peer=STRANGER,
    ),
]

METHODS = [
    row('method: GET', OK, method='GET'),
    row('method: POST', OK, method='POST'),
    row('method: HEAD', METHOD, method='HEAD', body=''),
    row('method: HEAD by a stranger', METHOD, method='HEAD', peer=STRANGER, body=''),
    row('method: PUT by a stranger', METHOD, method='PUT', peer=STRANGER),
    row('method: OPTIONS before a request across sites', METHOD, {'Origin': 'http://evil.example'}, method='OPTIONS'),
    row('method: an override in a header', OK, {'X-HTTP-Method-Override': 'DELETE'}, method='POST'),
    *(
        row(f'method: {method}', METHOD, method=method)
        for method in ('PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'CONNECT', 'BREW', 'PROPFIND', 'get', 'Post')
    ),
]

DEFAULTS = [
    row('default permission: allowed', OK, configure=guard_with_permission),
    row('default permission: allowed to post', OK, configure=guard_with_permission, method='POST'),
    row('default permission: a stranger', PEER, configure=guard_with_permission, peer=STRANGER),
    row('default CSRF check: allowed to post', OK, configure=guard_with_csrf_token, method='POST'),
    row('default CSRF check: a stranger', PEER, configure=guard_with_csrf_token, method='POST', peer=STRANGER),
    row(
        'default CSRF check: with the secret',
        OK,
        bearer(SECRET),
        configure=guard_with_csrf_token,
        settings=WITH_SECRET,
        method='POST',
    ),
]

TABLE = [
    *PEERS,
    *NETWORKS,
    *SECRETS,
    *METHODS,
    *DEFAULTS,
]


@pytest.mark.slow
@pytest.mark.parametrize('case', TABLE)
def test_tasks_run_only_for_allowed_requests(case, caplog):
    run_case(case, caplog)


@pytest.mark.parametrize(
    'changes',
    [
        {'peer': MALICIOUS},
        {'method': MALICIOUS},
        {'host': MALICIOUS},
        *(
            {'headers': {name: MALICIOUS}}
            for name in ('X-Forwarded-For', f'X-Forwarded-{MALICIOUS}', 'Sec-Fetch-Site', 'Origin', 'SCRIPT_NAME')
        ),
        {'headers': {'Authorization': f'Bearer {MALICIOUS}'}, 'settings': WITH_SECRET},
    ],
    ids=lambda changes: next(iter(changes.get('headers', changes))),
)
def test_nothing_sent_writes_control_characters_to_the_log(changes, caplog):
    answer = send(make_app(changes.get('settings', {})), Case(*PEER, **changes))
    assert answer.status_int in (401, 403, 405)
    ((_, _, message),) = warnings_of(caplog)
    assert message.isprintable()
    assert '\x1b' not in answer.text


@pytest.mark.parametrize('header', ['X-Forwarded-For', 'Sec-Fetch-Site', 'Origin', 'Referer', 'SCRIPT_NAME'])
def test_a_long_header_does_not_flood_the_log(header, caplog):
    send(make_app({}), Case(*BROWSER, headers={header: 'a' * 10_000}))
    ((_, _, message),) = warnings_of(caplog)
    assert len(message) < 400


def test_the_warning_has_the_header_and_its_value(caplog):
    send(make_app({}), Case(*PROXY, headers={'X-Real-IP': STRANGER}))
    ((_, _, message),) = warnings_of(caplog)
    assert f"'X-Real-Ip': '{STRANGER}'" in message


def test_of_several_proxy_headers_the_first_name_is_logged():
    environ = {'HTTP_X_REAL_IP': STRANGER, 'HTTP_VIA': '1.1 p', 'HTTP_X_FORWARDED_FOR': STRANGER}
    assert "in the header 'Via': '1.1 p'" in judge(environ).why


def test_a_variable_of_the_server_is_no_header():
    # CGI passes on the process's environment, in which gunicorn has a setting of that name
    environ = {'FORWARDED_ALLOW_IPS': '*', 'SCRIPT_NAME': '/shop', 'HTTP_HOST': 'localhost'}
    assert judge(environ) is None


def test_a_percent_sign_in_a_header_is_logged_unchanged(caplog):
    send(make_app({}), Case(*PROXY, headers={'X-Forwarded-For': '%s %(x)s %d'}))
    ((_, _, message),) = warnings_of(caplog)
    assert "'%s %(x)s %d'" in message


@pytest.mark.parametrize(
    ('networks', 'forged', 'status'), [('127.0.0.1', '127.0.0.1', 403), ('10.0.0.1', '10.0.0.1', 200)]
)
def test_the_prefix_filter_forges_a_peer_but_no_connection(networks, forged, status):
    # docs/security.rst names the second as a limit
    filtered = PrefixMiddleware(make_app(allow(networks)).app, None)
    environ = {'REMOTE_ADDR': STRANGER, 'REMOTE_PORT': '1', 'HTTP_HOST': 'localhost', 'HTTP_X_FORWARDED_FOR': forged}
    # not by WebTest, for which no account is looked up
    assert Request.blank('/cron', environ).get_response(filtered).status_int == status


def test_a_sent_secret_is_never_logged(caplog):
    caplog.set_level(logging.DEBUG)
    send(make_app({}), Case(*PEER, peer=STRANGER, headers=bearer(SECRET), query=f'?secret={SECRET}'))
    assert len(warnings_of(caplog)) == 1
    assert SECRET not in f'{caplog.text} {[vars(record) for record in caplog.records]}'


def test_an_answer_of_failed_tasks_is_not_cached():
    def broken(system):
        raise ValueError

    def add_broken(config):
        config.include('pyramid_cron')
        config.add_cron_task(broken, min='*')

    answer = send(make_app({}, configure=add_broken), Case(*OK))
    assert answer.status_int == 500
    assert 'no-store' in answer.headers['Cache-Control']


@pytest.mark.parametrize(('guard', 'status'), [(guard_with_permission, 403), (guard_with_csrf_token, 400)])
def test_the_other_views_of_an_application_keep_their_guards(guard, status):
    def configure(config):
        guard(config)
        config.add_route('other', '/other')
        config.add_view(lambda request: request.response, route_name='other')
        config.set_session_factory(lambda request: Session())

    class Session(dict):
        def get_csrf_token(self):
            return 'token'

    app = make_app({}, configure=configure)
    assert app.post('/other', status='*').status_int == status
    assert app.post('/cron', headers={'Host': 'localhost'}, extra_environ={'REMOTE_ADDR': '127.0.0.1'}).text == 'ok'


def test_a_request_without_headers_is_judged_by_its_peer():
    assert judge({}) is None
    assert judge({}, peer='127.0.0.2').status == 403


@pytest.mark.parametrize(
    'name', ['x-forwarded-for', 'X-FORWARDED-FOR', 'forwarded', 'Via', 'x-forwarded-proto', 'X-Real-IP']
)
def test_headers_of_a_dummy_request_count_in_any_case(name):
    config = Configurator(settings={})
    config.include('pyramid_cron')
    config.commit()
    local = testing.DummyRequest(remote_addr='127.0.0.1')
    proxied = testing.DummyRequest(remote_addr='127.0.0.1', headers={name: STRANGER})
    local.registry = proxied.registry = config.registry
    assert CronView(local)() == 'ok'
    assert CronView(proxied)() == 'fail 127.0.0.1'


def test_without_networks_the_secret_alone_decides():
    environ = {'HTTP_AUTHORIZATION': f'Bearer {SECRET}'}
    only = {'secret': SECRET.encode(), 'allowed_ips': None}
    assert judge(environ, peer=None, **only) is None
    assert judge({}, **only).status == 401


def test_a_rule_does_not_show_its_secret():
    assert SECRET not in repr(Rules(SECRET.encode(), None))


def test_without_networks_and_secret_only_headers_decide():
    assert judge({}, peer=None, allowed_ips=None) is None
    assert judge({'HTTP_VIA': '1.1 p'}, peer=None, allowed_ips=None).status == 403


@pytest.mark.parametrize(
    ('path', 'settings', 'prefix'),
    [
        ('/cron', {}, None),
        ('/jobs/run', {'cron.path': '/jobs/run'}, None),
        ('/shop/cron', {}, '/shop'),
        ('/cron/', {'cron.path': '/cron/'}, None),
    ],
)
def test_a_path_with_a_newline_is_not_the_triggers(path, settings, prefix):
    config = Configurator(settings={**settings, 'cron.secret': SECRET}, route_prefix=prefix)
    config.include('pyramid_cron')
    app = TestApp(config.make_wsgi_app(), lint=False)
    assert app.get(path, headers=bearer(SECRET)).text == 'ok'
    for wrong in (f'{path}%0a', f'{path}%0A?x', f'{path}%0a%0a', f'%0a{path}', f'{path}%0d', f'{path}%20'):
        app.get(wrong, headers=bearer(SECRET), status=404)


def test_a_newline_in_a_prefix_is_not_the_triggers():
    config = Configurator(settings={'cron.secret': SECRET}, route_prefix='/{shop}')
    config.include('pyramid_cron')
    app = TestApp(config.make_wsgi_app(), lint=False)
    assert app.get('/any/cron', headers=bearer(SECRET)).text == 'ok'
    app.get('/any%0a/cron', headers=bearer(SECRET), status=404)
