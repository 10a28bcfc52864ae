"""Servers and proxies under accounts of their own, as Debian runs them. The proxies know only where the application
is, and every account reaches them.
"""

import pwd
import re
import subprocess

import pytest

from tests.support.proxies import PROXIES

OUTSIDER = ('--interface', '127.0.0.2')
APPLICATION, ANYBODY = 'daemon', 'nobody'

# what an outsider can add to a request, each by itself
LIES = [
    (),
    *(
        ('-H', f'{name}: {value}')
        for value in ('127.0.0.1', '')
        for name in (
            'X-Forwarded-For',
            'X-Real-IP',
            'CF-Connecting-IP',
            'CDN-Loop',
            'Fastly-Client-IP',
            'Fly-Client-IP',
            'True-Client-IP',
            'X-Client-IP',
            'X-Cluster-Client-IP',
            'X-Envoy-External-Address',
            'X-Forwarded-Host',
            'X-Original-Forwarded-For',
        )
    ),
    ('-H', 'Forwarded: for=127.0.0.1'),
    ('-H', 'Via: 1.1 localhost'),
    ('-H', 'X-Forwarded-Prefix: /'),
    ('-H', 'X-Forwarded-Port: 0'),
    # what a header between two neighbours names is not passed on
    ('-H', 'Connection: X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Proto, X-Forwarded-Server, Via'),
    ('-H', 'REMOTE_ADDR: 127.0.0.1', '-H', 'REMOTE-PORT: 1'),
    ('-H', 'Cron-Secret: localhost'),
    ('-H', 'Authorization: Bearer localhost'),
    ('-H', 'X-HTTP-Method-Override: GET'),
    ('-H', 'Sec-Fetch-Site: none'),
    ('--http1.0',),
    ('-X', 'POST', '-d', ''),
]
PATHS = ['/cron', '//cron', '/cron%0a', '/cron%0A?', '/%63ron', '/x/../cron', '/cron?x']


@pytest.fixture
def tmp_path(folder_of_all):
    return folder_of_all


@pytest.fixture
def served(program, serve, server_kind):
    """The demo, by a server under an account of its own."""
    program('curl', superuser=True)
    return serve(server_kind, account=APPLICATION)


@pytest.mark.parametrize('kind', PROXIES)
def test_no_stranger_passes_through_a_proxy(served, proxy, curl, kind):
    url = proxy(kind, served.port)
    assert '/admin/cron' in curl(f'{url}/', *OUTSIDER).body
    hosts = [f'Host: {host}' for host in ('localhost', f'127.0.0.1:{served.port}', '[::1]', 'example.com')]
    for host in hosts:
        for path in PATHS:
            answer = curl(url + path, *OUTSIDER, '--path-as-is', '-H', host)
            assert answer.status in (400, 403, 404), (host, path)
    for lie in LIES:
        assert curl(f'{url}/cron', *OUTSIDER, '-H', hosts[0], *lie).status == 403, lie
    # gunicorn takes the prefix off the path, unless the proxy keeps the header
    answer = curl(f'{url}/x/cron', *OUTSIDER, '-H', hosts[0], '-H', 'SCRIPT_NAME: /x')
    assert answer.status in (400, 403, 404)
    assert served.journal == ''
    assert 'begins' not in served.log


def test_curl_gets_in_as_the_servers_account_and_as_root_and_not_as_anybody(served, curl):
    refused = curl(f'{served.url}/cron', account=ANYBODY)
    assert (refused.status, refused.body) == (403, 'fail 127.0.0.1')
    assert f'from the account {ANYBODY} (' in served.log
    assert f'the server runs as {APPLICATION} (' in served.log
    assert 'make it as the account of the server, or as root by curl' in served.log
    # as a forwarder of root does
    refused = curl(f'{served.url}/cron?quiet')
    assert (refused.status, 'by root from a port of 1024 or above: ' in refused.body) == (403, True)
    assert served.journal == ''
    for account, options in ((APPLICATION, []), (None, ['--local-port', '600-1023'])):
        # the second one may be for the same minute
        assert curl(f'{served.url}/cron', '-fsS', *options, account=account).body.startswith('ok')
    assert 'sent the mail' in served.journal
    assert 'by their address alone' not in served.log


def test_roots_documented_line_gets_in_from_a_port_of_root(served, root):
    lines = re.findall(r'(?m)^ +\* \* \* \* \* (curl .*--local-port.*)$', (root / 'docs' / 'machine.rst').read_text())
    [line] = lines
    assert 'http://localhost:6543/cron' in line
    command = line.replace('http://localhost:6543', served.url)
    assert subprocess.check_output(['sh', '-c', command], stderr=subprocess.STDOUT) == b''
    assert 'sent the mail' in served.journal
    # which no other account may have
    entry = pwd.getpwnam(ANYBODY)
    refused = subprocess.run(['sh', '-c', command], user=entry.pw_uid, group=entry.pw_gid, extra_groups=[])
    assert refused.returncode == 45


def test_the_path_and_the_prefix_that_get_past_a_proxys_rule_are_not_the_triggers(served, curl, server_kind):
    assert curl(f'{served.url}/cron%0a').status == 404
    answer = curl(f'{served.url}/x/cron', '-H', 'SCRIPT_NAME: /x')
    assert answer.status == (403 if server_kind == 'gunicorn' else 404)
    assert served.journal == ''
