"""Headers that close access."""

import pytest

from tests.support.access_cases import BROWSER, HOST, LAN, OK, PEER, PREFIX, PROXY, STRANGER, row, run_case

pytestmark = pytest.mark.usefixtures('no_name_is_looked_up')

HOSTS = [
    # the original resolved these and compared the result with the peer
    row('host: stranger, own address', PEER, peer=STRANGER, host='203.0.113.7'),
    row('host: stranger, own address in decimal', PEER, peer=STRANGER, host='3405803783'),
    row('host: stranger, own address in hex', PEER, peer=STRANGER, host='0xcb007107'),
    row('host: stranger, own address in octal', PEER, peer=STRANGER, host='0313.0.0161.7'),
    row('host: stranger, own address with a port', PEER, peer=STRANGER, host='203.0.113.7:80'),
    row('host: stranger, own address in IPv6', PEER, peer='2001:db8::7', host='[2001:db8::7]'),
    row('host: stranger, a name that cannot resolve', PEER, peer=STRANGER, host='nowhere.invalid'),
    row('host: stranger, localhost', PEER, peer=STRANGER, host='localhost'),
    row('host: stranger, none', PEER, peer=STRANGER, host=None),
    row('host: 127.0.0.1', OK, host='127.0.0.1'),
    row('host: 127.0.0.1 with a port', OK, host='127.0.0.1:6543'),
    row('host: ::1', OK, host='[::1]'),
    row('host: ::1 with a port', OK, host='[::1]:6543'),
    row('host: ::1 without brackets', HOST, host='::1'),
    row('host: upper case', OK, host='LOCALHOST'),
    row('host: mixed case with a port', OK, host='LocalHost:6543'),
    row('host: a site, as a proxy passes it on', HOST, host='www.example.com'),
    row('host: a site, peer in IPv6', HOST, peer='::1', host='www.example.com'),
    row('host: a site, peer mapped', HOST, peer='::ffff:127.0.0.1', host='www.example.com', body='fail 127.0.0.1'),
    row('host: begins with localhost', HOST, host='localhost.evil.example'),
    row('host: ends with localhost', HOST, host='evil-localhost'),
    row('host: below localhost', HOST, host='evil.localhost'),
    row('host: a name that points at this machine', HOST, host='127.0.0.1.nip.io'),
    row('host: cannot resolve', HOST, host='nowhere.invalid:6543'),
    row('host: decimal loopback', HOST, host='2130706433'),
    row('host: hex loopback', HOST, host='0x7f000001'),
    row('host: short loopback', HOST, host='127.1'),
    row('host: another loopback address', HOST, host='127.0.0.6'),
    row('host: 0.0.0.0, which browsers connect to this machine', HOST, host='0.0.0.0:6543'),
    row('host: mapped loopback', HOST, host='[::ffff:127.0.0.1]'),
    row('host: dots that are no dots', HOST, host='127x0x0x1'),
    row('host: empty', HOST, host=''),
    row('host: only a port', HOST, host=':6543'),
    row('host: a port that is none', HOST, host='localhost:http'),
    row('host: a port too long', HOST, host='localhost:123456'),
    row('host: user information', HOST, host='localhost:6543@evil.example'),
    row('host: two', HOST, host='localhost, evil.example'),
    row('host: a blank before', HOST, host=' localhost'),
    row('host: a line end after', HOST, host='localhost\n'),
]

# no header of a proxy opens access, and each of them closes it, whatever its value
PROXIES = [
    row(f'proxy: {header}: {value or "empty"}', PROXY, {header: value})
    for header in (
        'CDN-Loop',
        'CF-Connecting-IP',
        'Fastly-Client-IP',
        'Fly-Client-IP',
        'Forwarded',
        'Forwarded-For',
        'True-Client-IP',
        'Via',
        'X-Client-IP',
        'X-Cluster-Client-IP',
        'X-Envoy-External-Address',
        'X-Forwarded',
        'X-Forwarded-Anything',
        'X-Forwarded-For',
        'X-Forwarded-Host',
        'X-Forwarded-Port',
        'X-Forwarded-Prefix',
        'X-Forwarded-Proto',
        'X-Forwarded-Server',
        'X-Original-Forwarded-For',
        'X-Real-IP',
    )
    for value in ('127.0.0.1', 'for=127.0.0.1', STRANGER, '')
]
PROXIES += [
    row('proxy: of a stranger', PEER, {'X-Forwarded-For': '127.0.0.1', 'X-Real-IP': '127.0.0.1'}, peer=STRANGER),
    row('proxy: on the network', PROXY, {'X-Forwarded-For': '10.9.9.9'}, settings=LAN, peer='10.1.2.3', host='a.b'),
    row('proxy: names like those of proxies', OK, {'X-Forward': 'x', 'Viable': 'x', 'X-Request-Id': 'x'}),
    row('proxy: the header SCRIPT_NAME', PREFIX, {'SCRIPT_NAME': '/shop'}),
    row('proxy: the header SCRIPT_NAME, empty', PREFIX, {'SCRIPT_NAME': ''}),
]

BROWSERS = [
    row(f'browser: Sec-Fetch-Site is {value or "empty"}', outcome, {'Sec-Fetch-Site': value})
    for value, outcome in (
        ('none', OK),
        ('same-origin', OK),
        ('same-site', BROWSER),
        ('cross-site', BROWSER),
        ('', BROWSER),
        ('None', BROWSER),
        ('same-origin, cross-site', BROWSER),
    )
]
BROWSERS += [
    row(f'browser: {header} is {value or "empty"}', outcome, {header: value})
    for header in ('Origin', 'Referer')
    for value, outcome in (
        ('http://localhost:6543', OK),
        ('HTTP://LOCALHOST:6543', OK),
        ('http://localhost', BROWSER),
        ('http://localhost:6544', BROWSER),
        ('http://127.0.0.1:6543', BROWSER),
        ('http://evil.example', BROWSER),
        ('http://evil.example:6543', BROWSER),
        ('http://localhost.evil.example:6543', BROWSER),
        ('http://localhost:6543.evil.example', BROWSER),
        ('http://localhost:6543@evil.example', BROWSER),
        ('http://localhost:6543@evil.example:6543', BROWSER),
        ('http://evil.example#@localhost:6543', BROWSER),
        ('http://evil.example?@localhost:6543', BROWSER),
        ('http://evil.example/@localhost:6543', BROWSER),
        ('http://localhost:6543 http://evil.example', BROWSER),
        ('http://localhost:port', BROWSER),
        ('http://localhost:65536', BROWSER),
        ('http://[::1', BROWSER),
        ('http://', BROWSER),
        ('localhost:6543', BROWSER),
        ('file:///x.html', BROWSER),
        ('null', BROWSER),
        ('', BROWSER),
    )
]
BROWSERS += [
    row('browser: Referer is a page of the same site', OK, {'Referer': 'http://localhost:6543/admin?x=//evil.example'}),
    row('browser: Referer is a page of another site', BROWSER, {'Referer': 'http://evil.example/localhost:6543/cron'}),
    row(
        'browser: Origin is the same, Referer is not',
        BROWSER,
        {'Origin': 'http://localhost:6543', 'Referer': 'http://evil.example/'},
    ),
    row(
        'browser: a form on another site',
        BROWSER,
        {'Origin': 'http://evil.example', 'Sec-Fetch-Site': 'cross-site'},
        method='POST',
    ),
    row('browser: Origin with the default port', OK, {'Origin': 'http://localhost:80'}, host='localhost'),
    row('browser: Host with the default port', OK, {'Origin': 'http://localhost'}, host='localhost:80'),
    row('browser: Origin in IPv6', OK, {'Origin': 'http://[::1]:6543'}, host='[::1]:6543'),
    row('browser: on the network', OK, {'Origin': 'http://a.b'}, settings=LAN, peer='10.1.2.3', host='a.b'),
    row('browser: on the network, other site', BROWSER, {'Origin': 'http://c.b'}, settings=LAN, peer='10.1.2.3'),
    row('browser: Origin without a Host', BROWSER, {'Origin': 'http://localhost'}, host=None),
    row('browser: Origin is null without a Host', BROWSER, {'Origin': 'null'}, host=None),
    row('browser: Origin malformed without a Host', BROWSER, {'Origin': 'http://[::1'}, host=None),
    row('browser: Referer malformed without a Host', BROWSER, {'Referer': 'x:y'}, host=None),
    row('browser: Origin is null, Host port is none', BROWSER, {'Origin': 'null'}, host='localhost:99999'),
    row('browser: Origin malformed like Host', BROWSER, {'Origin': 'http://[::1'}, host='localhost:99999'),
    row('browser: Origin is null, Host is none', BROWSER, {'Origin': 'null'}, settings=LAN, peer='10.1.2.3', host='::'),
    row('browser: prefetch', BROWSER, {'Sec-Purpose': 'prefetch'}),
    row('browser: prerender', BROWSER, {'Sec-Purpose': 'prefetch;prerender', 'Sec-Fetch-Site': 'none'}),
    row('browser: prefetch in upper case', BROWSER, {'Sec-Purpose': 'PREFETCH'}),
    row('browser: another purpose', OK, {'Sec-Purpose': 'else'}),
    row('browser: prefetch in an old header', BROWSER, {'Purpose': 'prefetch', 'Sec-Fetch-Site': 'none'}),
    row('browser: prefetch in an old header of Firefox', BROWSER, {'X-Moz': 'prefetch', 'Sec-Fetch-Site': 'none'}),
    row('browser: an old one, without Sec-Fetch-Site', BROWSER, {'Accept-Language': 'de'}),
    row('browser: an old one, without a language', BROWSER, {'Accept-Language': ''}),
    row('browser: the address is typed', OK, {'Accept-Language': 'de', 'Sec-Fetch-Site': 'none'}),
    row('browser: on the network, by http', BROWSER, {'Accept-Language': 'de'}, settings=LAN, peer='10.1.2.3'),
]


@pytest.mark.slow
@pytest.mark.parametrize('case', [*HOSTS, *PROXIES, *BROWSERS])
def test_headers_only_close_access(case, caplog):
    run_case(case, caplog)
