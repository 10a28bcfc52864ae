"""Proxies and forwarders of the matrix, each by the account that connects to the server."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.support.proxies import PROXIES, write_proxy

from .accounts import OTHER, OWN, ROOT
from .servers import missing

HAPROXY_TCP = """
global
    user {account}
    group {account}
defaults
    mode tcp
    timeout connect 20s
    timeout client 20s
    timeout server 20s
listen everybody
    bind 127.0.0.1:{port}
    server application 127.0.0.1:{backend}
"""

NGINX_STREAM_MODULE = '/usr/lib/nginx/modules/ngx_stream_module.so'
NGINX_STREAM = """
load_module {module};
user {account};
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
stream {{
    server {{
        listen 127.0.0.1:{port};
        proxy_pass 127.0.0.1:{backend};
    }}
}}
"""

STUNNEL = """
foreground = yes
pid =
cert = {folder}/both.pem
[everybody]
accept = 127.0.0.1:{port}
connect = 127.0.0.1:{backend}
"""

XINETD = """
service everybody
{{
    type = UNLISTED
    socket_type = stream
    protocol = tcp
    wait = no
    user = root
    bind = 127.0.0.1
    port = {port}
    redirect = 127.0.0.1 {backend}
    instances = UNLIMITED
    cps = 10000 1
}}
"""

SOCKET_PROXYD = '/usr/lib/systemd/systemd-socket-proxyd'
CERTIFICATE = ['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-subj', '/CN=localhost', '-days', '2']

Command = Callable[[Path, int, int], list[object]]


class Front(NamedTuple):
    """What stands between a client and the server.

    :param account: what it connects to the server as, or ``None`` for the client's own connection.
    :param command: from its folder, its port and that of the server to the program with its arguments.
    :param needs: names of programs and paths of files.
    :param starts_as: the account that it is started as; it drops that itself if the other one is not the same.
    """

    name: str
    account: str | None
    command: Command | None = None
    needs: tuple[str, ...] = ()
    starts_as: str = ROOT
    scheme: str = 'http'

    def lacks(self):
        """Return what it needs and this machine does not have."""
        return missing(self.needs)


def proxy(name, kind, account, more=''):
    program = PROXIES[kind][1][0]

    def command(folder, port, backend):
        return write_proxy(kind, folder, account=account, port=port, backend=backend, more=more)

    return Front(name, account, command, (program,), account if kind == 'caddy' else ROOT)


def configured(name, account, text, needs, command, **options):
    """Return a front with a configuration file, whose path the command has in place of ``{}``."""

    def write(folder, port, backend):
        path = folder / 'front.conf'
        module = NGINX_STREAM_MODULE
        path.write_text(text.format(folder=folder, port=port, backend=backend, account=account, module=module))
        return [path if argument == '{}' else argument for argument in command]

    return Front(name, account, write, (command[0], *needs), **options)


def socat(name, account):
    def command(folder, port, backend):
        return ['socat', f'TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr,backlog=100', f'TCP:127.0.0.1:{backend}']

    return Front(f'socat-{name}', account, command, ('socat',), account)


def python(name, account):
    def command(folder, port, backend):
        return [sys.executable, Path(__file__).with_name('forward.py'), port, backend]

    return Front(f'python-{name}', account, command, (), account)


def socket_proxyd():
    def command(folder, port, backend):
        return ['systemd-socket-activate', f'--listen=127.0.0.1:{port}', SOCKET_PROXYD, f'127.0.0.1:{backend}']

    return Front('socket-proxyd-root', ROOT, command, ('systemd-socket-activate', SOCKET_PROXYD))


def stunnel():
    front = configured('stunnel-root', ROOT, STUNNEL, ('openssl',), ['stunnel4', '{}'], scheme='https')

    def command(folder, port, backend):
        files = [folder / 'key.pem', folder / 'cert.pem']
        subprocess.run([*CERTIFICATE, '-keyout', files[0], '-out', files[1]], check=True, capture_output=True)
        (folder / 'both.pem').write_text(''.join(path.read_text() for path in files))
        return front.command(folder, port, backend)

    return front._replace(command=command)


NGINX_COMMAND = ['nginx', '-p', '.', '-c', '{}', '-e', 'stderr', '-g', 'daemon off;']
# Caddy adds these by itself
NO_HEADERS = '\n'.join(
    f'header_up -{name}' for name in ('X-Forwarded-For', 'X-Forwarded-Host', 'X-Forwarded-Proto', 'Via')
)

FRONTS = [
    Front('nothing', None),
    proxy('nginx', 'nginx', OTHER),
    proxy('nginx-host', 'nginx', OTHER, 'proxy_set_header Host $http_host;'),
    proxy('nginx-forwarded', 'nginx', OTHER, 'proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;'),
    proxy('nginx-root', 'nginx', ROOT),
    proxy('nginx-own', 'nginx', OWN),
    proxy('apache', 'apache', OTHER),
    proxy('apache-bare', 'apache', OTHER, 'ProxyAddHeaders Off'),
    proxy('apache-bare-host', 'apache', OTHER, 'ProxyAddHeaders Off\nProxyPreserveHost On'),
    proxy('apache-bare-own', 'apache', OWN, 'ProxyAddHeaders Off'),
    proxy('haproxy', 'haproxy', OTHER),
    proxy('haproxy-forwarded', 'haproxy', OTHER, 'option forwardfor'),
    proxy('haproxy-root', 'haproxy', ROOT),
    proxy('haproxy-own', 'haproxy', OWN),
    proxy('caddy', 'caddy', OTHER),
    proxy('caddy-bare', 'caddy', OTHER, NO_HEADERS),
    proxy('caddy-bare-root', 'caddy', ROOT, NO_HEADERS),
    *(
        configured(f'haproxy-tcp-{name}', account, HAPROXY_TCP, (), ['haproxy', '-db', '-f', '{}'])
        for name, account in (('root', ROOT), ('other', OTHER), ('own', OWN))
    ),
    *(
        configured(f'nginx-stream-{name}', account, NGINX_STREAM, (NGINX_STREAM_MODULE,), NGINX_COMMAND)
        for name, account in (('root', ROOT), ('other', OTHER))
    ),
    *(
        forwarder(name, account)
        for forwarder in (socat, python)
        for name, account in (('root', ROOT), ('other', OTHER), ('own', OWN))
    ),
    stunnel(),
    # xinetd removes its file at the end
    configured('xinetd-root', ROOT, XINETD, (), ['xinetd', '-dontfork', '-f', '{}', '-pidfile', 'xinetd.pid']),
    socket_proxyd(),
]
QUICK = ['nothing', 'nginx', 'python-root', 'python-other', 'python-own']
