"""Servers of the matrix, each by the command that serves the application at a port, and what that needs."""

import importlib.util
import shutil
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from .processes import PATH, ROOT_OF_CHECKOUT

APPLICATION = 'tests.doors.application:application'
APACHE_MODULES = Path('/usr/lib/apache2/modules')

MOD_WSGI = """
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule wsgi_module {wsgi}
ServerName localhost
PidFile {folder}/pid
ErrorLog /dev/stderr
Mutex file:{folder}
Listen 127.0.0.1:{port}
WSGISocketPrefix {folder}/wsgi
WSGIPythonHome {home}
WSGIPassAuthorization On
{mode}
WSGIScriptAlias / {folder}/served.wsgi
<Location />
    Require all granted
</Location>
"""


class Server(NamedTuple):
    """A server.

    :param needs: names of programs, and of modules of Python with a dot in front.
    :param command: from its folder and its port to the program with its arguments.
    """

    name: str
    needs: tuple[str, ...]
    command: Callable[[Path, int], list[object]]

    def lacks(self):
        """Return what it needs and this machine does not have."""
        return missing(self.needs)


def missing(needs):
    """Return which programs, files and modules (with a dot in front) this machine does not have."""

    def found(name):
        if name.startswith('/'):
            return Path(name).exists()
        if name.startswith('.'):
            return importlib.util.find_spec(name[1:]) is not None
        return shutil.which(name, path=PATH) is not None

    return [name.removeprefix('.') for name in needs if not found(name)]


def gunicorn(worker, *needs):
    arguments = ['--workers', 1, '--worker-class', worker, *(['--threads', 4] if worker == 'gthread' else [])]
    return Server(
        f'gunicorn-{worker}',
        ('gunicorn', *needs),
        lambda folder, port: ['gunicorn', '--bind', f'127.0.0.1:{port}', *arguments, APPLICATION],
    )


def uwsgi(option):
    arguments = ['--master', '--need-app', '--die-on-term', '--module', APPLICATION, '--threads', 2]
    home = ['--home', sys.prefix] if sys.prefix != sys.base_prefix else []
    return Server(
        f'uwsgi-{option}',
        ('uwsgi',),
        lambda folder, port: ['uwsgi', f'--{option}', f'127.0.0.1:{port}', *arguments, *home],
    )


def mod_wsgi(name, mode):
    # Debian's module is built for Debian's Python
    version = sysconfig.get_python_version()
    module = APACHE_MODULES / f'mod_wsgi.so-{version}'
    spec = importlib.util.find_spec('mod_wsgi')
    if spec is not None:
        module = next(Path(spec.submodule_search_locations[0], 'server').glob('mod_wsgi*.so'), module)

    def command(folder, port):
        (folder / 'served.wsgi').write_text('from tests.doors.application import application\n')
        (folder / 'apache.conf').write_text(
            MOD_WSGI.format(
                modules=APACHE_MODULES,
                wsgi=module,
                folder=folder,
                port=port,
                home=sys.prefix,
                mode=mode.format(path=ROOT_OF_CHECKOUT),
            )
        )
        return ['apache2', '-d', folder, '-f', 'apache.conf', '-DFOREGROUND']

    return Server(f'mod_wsgi-{name}', ('apache2', str(module)), command)


def library(name, module):
    kind = name.replace('-', '_')
    return Server(
        name, (module,) if module else (), lambda folder, port: [sys.executable, '-m', 'tests.doors.serve', kind, port]
    )


SERVERS = [
    Server(
        'waitress',
        ('.waitress', 'waitress-serve'),
        lambda folder, port: ['waitress-serve', f'--listen=127.0.0.1:{port}', APPLICATION],
    ),
    # takes the peer's address from a header
    Server(
        'waitress-trusting',
        ('.waitress', 'waitress-serve'),
        lambda folder, port: [
            'waitress-serve',
            f'--listen=127.0.0.1:{port}',
            '--trusted-proxy=127.0.0.1',
            '--trusted-proxy-headers=x-forwarded-for',
            APPLICATION,
        ],
    ),
    gunicorn('sync'),
    gunicorn('gthread'),
    gunicorn('gevent', '.gevent'),
    uwsgi('http-socket'),
    uwsgi('http'),
    mod_wsgi('embedded', 'WSGIPythonPath {path}'),
    mod_wsgi('daemon', 'WSGIDaemonProcess served python-path={path}\nWSGIProcessGroup served'),
    Server(
        'granian',
        ('granian',),
        lambda folder, port: ['granian', '--interface', 'wsgi', '--host', '127.0.0.1', '--port', port, APPLICATION],
    ),
    Server(
        'hypercorn',
        ('hypercorn',),
        lambda folder, port: ['hypercorn', '--bind', f'127.0.0.1:{port}', f'wsgi:{APPLICATION}'],
    ),
    library('uvicorn-asgiref', '.uvicorn')._replace(needs=('.uvicorn', '.asgiref')),
    library('uvicorn-a2wsgi', '.uvicorn')._replace(needs=('.uvicorn', '.a2wsgi')),
    library('bjoern', '.bjoern'),
    library('wsgiref', None),
    library('paste', '.paste'),
    library('cheroot', '.cheroot'),
    library('werkzeug', '.werkzeug'),
    library('tornado', '.tornado'),
    library('twisted', '.twisted'),
    library('gevent', '.gevent'),
]
QUICK = ['waitress', 'gunicorn-gthread', 'wsgiref']
