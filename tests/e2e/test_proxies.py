"""Outsiders, for whom 127.0.0.2 stands, in front of a proxy that runs beside the application."""

import re
import subprocess

import pytest

OUTSIDER = ('--interface', '127.0.0.2')

HOST = 'proxy_set_header Host $host;'
FOR = 'proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;'
PROTO = 'proxy_set_header X-Forwarded-Proto $scheme;'
REAL_IP = 'proxy_set_header X-Real-IP $remote_addr;'


@pytest.fixture
def nginx(start, program, root, free_port, tmp_path):
    """Start nginx with docs/deploy/nginx.conf, in front of an application server, and return its URL.

    ``headers`` replaces all that it sets, and takes out the location that refuses /cron.
    """
    executable = program('nginx', superuser=True)

    def run(backend, headers=None):
        port = free_port()
        text = (root / 'docs' / 'deploy' / 'nginx.conf').read_text()
        replaced = {
            'listen 80;': f'listen 127.0.0.1:{port};',
            'http://127.0.0.1:6543;': f'http://127.0.0.1:{backend};',
            '/run/nginx.pid': f'{tmp_path}/nginx.pid',
            '/var/log/nginx/error.log': 'stderr',
            '/var/log/nginx/access.log': f'{tmp_path}/access.log',
        }
        for documented, real in replaced.items():
            assert text.count(documented) == 1, documented
            text = text.replace(documented, real)
        if headers is not None:
            text, count = re.subn(r'location ~ \^/cron\(/\|\$\) \{[^}]*\}', '', text)
            assert count == 1
            text = re.sub(r' +proxy_set_header .*\n', '', text)
            text = re.sub(r'(proxy_pass .*;)', '\n'.join([r'\1', *headers]), text)
        (tmp_path / 'nginx.conf').write_text(text)
        arguments = ['-p', str(tmp_path), '-c', 'nginx.conf', '-e', 'stderr', '-g', 'daemon off;']
        start(executable, *arguments, listen=('127.0.0.1', port))
        return f'http://127.0.0.1:{port}'

    return run


def test_behind_nginx_only_the_local_curl_gets_in(serve, server_kind, nginx, curl):
    server = serve(server_kind)
    proxy = nginx(server.port)
    assert '/admin/cron' in curl(f'{proxy}/', *OUTSIDER).body
    for path in (
        '/cron',
        '/cron?',
        '/cron/health',
        '/cron/metrics',
        '/cron/',
        '//cron',
        '/%63ron',
        '/./cron',
        '/x/../cron',
    ):
        for host in ('example.com', 'localhost', f'127.0.0.1:{server.port}'):
            answer = curl(f'{proxy}{path}', *OUTSIDER, '--path-as-is', '-H', f'Host: {host}')
            assert answer.status == 404
    assert server.journal == ''
    assert 'refused' not in server.log

    assert curl(f'{server.url}/cron', '-f').body == 'ok'
    assert 'sent the mail' in server.journal


# what the library does on its own, where nginx does not refuse /cron: with some of these headers nothing but the
# account that nginx runs under distinguishes its requests from those of a local curl
SETUPS = {
    'all that the docs set': [HOST, FOR, PROTO, REAL_IP],
    'no X-Real-IP': [HOST, FOR, PROTO],
    'no Host': [FOR],
    'only Host': [HOST],
    'nothing': [],
}


@pytest.mark.parametrize('headers', SETUPS.values(), ids=SETUPS)
@pytest.mark.parametrize('kind', ['waitress', 'waitress.ini', 'gunicorn'])
def test_the_library_refuses_outsiders_without_the_help_of_nginx(serve, nginx, curl, root, kind, headers):
    if kind == 'waitress.ini':
        section = (root / 'docs' / 'deploy' / 'waitress.ini').read_text()
        trust = dict(re.findall(r'(?m)^(trusted_\w+) = (.*)$', section))
        assert sorted(trust) == ['trusted_proxy', 'trusted_proxy_headers']
        server = serve('waitress', server=trust)
    else:
        server = serve(kind)
    proxy = nginx(server.port, headers)
    for host in ('example.com', 'localhost'):
        assert curl(f'{proxy}/cron', *OUTSIDER, '-H', f'Host: {host}').status == 403
        assert curl(f'{proxy}/cron', *OUTSIDER, '-H', f'Host: {host}', '-H', 'X-Forwarded-For: 127.0.0.1').status == 403
    assert server.journal == ''
    assert curl(f'{server.url}/cron', '-f').body == 'ok'


def test_with_a_secret_no_proxy_matters(serve, server_kind, nginx, curl):
    secret = 'a secret of more than 16 characters'
    server = serve(server_kind, settings={'cron.secret': secret})
    proxy = nginx(server.port, [])
    assert curl(f'{proxy}/cron', *OUTSIDER, '-H', 'Host: localhost').status == 401
    assert server.journal == ''
    for header in (f'Authorization: Bearer {secret}', f'Cron-Secret: {secret}'):
        # the second one may be for the same minute
        assert curl(f'{proxy}/cron', *OUTSIDER, '-H', header).body.startswith('ok')


def test_apache_accepts_the_documented_configuration(program, root, tmp_path):
    executable = program('apache2')
    modules = ['mpm_event', 'authz_core', 'proxy', 'proxy_http', 'headers']
    lines = [f'LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so' for name in modules]
    lines += [
        'ServerName localhost',
        f'PidFile {tmp_path}/pid',
        f'ErrorLog {tmp_path}/error.log',
        'Listen 127.0.0.1:80',
    ]
    (tmp_path / 'apache2.conf').write_text('\n'.join([*lines, f'Include {root}/docs/deploy/apache.conf', '']))
    done = subprocess.run(
        [executable, '-t', '-d', str(tmp_path), '-f', str(tmp_path / 'apache2.conf')], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
