import contextlib
import itertools
import os
import pwd
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import plaster.loaders
import pytest


def shown(value):
    """Return a parameter of a test for its name, which is to be the same in all processes."""
    return re.sub(' at 0x[0-9a-f]+', '', str(value))


@pytest.fixture(scope='session', autouse=True)
def installed_packages_are_read_once():
    """Keep what plaster finds: for each ini file it reads what all installed packages say of themselves."""
    find, found = plaster.loaders.find_loaders, {}

    def find_once(scheme, protocols=None):
        key = scheme, tuple(protocols or ())
        if key not in found:
            found[key] = find(scheme, protocols)
        return found[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plaster.loaders, 'find_loaders', find_once)
        yield


numbers = itertools.count()


@pytest.fixture
def write_module(tmp_path, monkeypatch):
    """Return a function that writes a module of a text, and returns its name, which no other one has."""
    names = []

    def write(text):
        names.append(f'app_of_a_test_{next(numbers)}')
        (tmp_path / f'{names[-1]}.py').write_text(text)
        return names[-1]

    monkeypatch.syspath_prepend(tmp_path)
    yield write
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def local_time():
    """Return a function that sets the machine's local time zone until the test ends."""
    before = os.environ.get('TZ')

    def set_zone(name):
        if name is None:
            os.environ.pop('TZ', None)
        else:
            os.environ['TZ'] = name
        time.tzset()

    yield set_zone
    set_zone(before)


def find_postgresql():
    """Return the folder of PostgreSQL's programs, ``None`` where it is not installed."""
    # Debian keeps what is not for users in a folder of the version
    folders = sorted(Path('/usr/lib/postgresql').glob('*/bin'), key=lambda folder: float(folder.parent.name))
    found = shutil.which('initdb', path=os.pathsep.join([*map(str, reversed(folders)), os.environ['PATH']]))
    return None if found is None else Path(found).resolve().parent


class PostgreSQL:
    """A PostgreSQL server of the tests, which listens on a socket in its folder and nowhere else."""

    def __init__(self, programs, options):
        # /tmp and not pytest's own folder, because the path of a socket has to be short
        self.folder = Path(tempfile.mkdtemp(prefix='pg-'))
        self._programs = programs
        # the server refuses to run as root
        self._account = {}
        if os.geteuid() == 0:
            owner = pwd.getpwnam('nobody')
            self._account = {'user': owner.pw_uid, 'group': owner.pw_gid, 'extra_groups': []}
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        # for processes that tests start under other accounts
        self.folder.chmod(0o755)
        self._flags = ['-c', 'listen_addresses=', '-c', f'unix_socket_directories={self.folder}']
        for name, value in options.items():
            self._flags += ['-c', f'{name}={value}']
        try:
            self._run('initdb', '--username=cron', '--auth=trust', '--encoding=UTF8', '--locale=C', '--no-sync')
            self.start()
        except BaseException:
            shutil.rmtree(self.folder)
            raise
        self._databases = 0

    def _run(self, program, *arguments):
        command = [self._programs / program, f'--pgdata={self.folder / "data"}', *arguments]
        # not to pipes, which the server would inherit and keep open
        with tempfile.TemporaryFile('w+') as output:
            done = subprocess.run(command, cwd=self.folder, stdout=output, stderr=output, **self._account)
            output.seek(0)
            assert done.returncode == 0, output.read()

    def start(self):
        self._run('pg_ctl', 'start', '--wait', f'--log={self.folder / "log"}', f'--options={shlex.join(self._flags)}')

    def kill(self):
        """Kill the server's first process, whose children end once they notice."""
        os.kill(int((self.folder / 'data' / 'postmaster.pid').read_text().split()[0]), signal.SIGKILL)

    def start_again(self):
        """Start it after :meth:`kill`, once what is left of it has ended."""
        deadline = time.monotonic() + 20
        while True:
            try:
                return self.start()
            except AssertionError:
                if time.monotonic() > deadline:
                    raise

    def url(self, database):
        return f'postgresql+psycopg://cron@/{database}?host={self.folder}'

    def execute(self, statement):
        """Execute a statement outside of any transaction, as the server's superuser."""
        # slow to import, and most runs of tests do without
        import psycopg

        with psycopg.connect(host=str(self.folder), user='cron', dbname='postgres', autocommit=True) as connection:
            connection.execute(statement)

    @contextlib.contextmanager
    def database(self):
        """Make an empty database, give its URL for SQLAlchemy, and drop it."""
        self._databases += 1
        name = f'test_{self._databases}'
        self.execute(f'CREATE DATABASE {name}')
        try:
            yield self.url(name)
        finally:
            self.execute(f'DROP DATABASE {name} WITH (FORCE)')

    def stop(self):
        self._run('pg_ctl', 'stop', '--wait', '--mode=immediate')
        shutil.rmtree(self.folder)


# what makes it fast, and loses data only if the machine dies; and two-phase commits
DEFAULTS = {'fsync': 'off', 'synchronous_commit': 'off', 'full_page_writes': 'off', 'max_prepared_transactions': '10'}


@pytest.fixture(scope='session')
def start_postgresql():
    """Return a function that starts a PostgreSQL server, which ends with the tests.

    Where there is none installed the test is skipped, or fails if ``CI`` is set.
    """
    servers = []

    def start(**options):
        """Start one with these options of its configuration file, such as ``fsync='on'``."""
        programs = find_postgresql()
        if programs is None:
            lacking = pytest.fail if os.environ.get('CI') else pytest.skip
            lacking('PostgreSQL is not installed')
        servers.append(PostgreSQL(programs, DEFAULTS | options))
        return servers[-1]

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope='session')
def postgresql_server(start_postgresql):
    """A PostgreSQL server that all tests share: a :class:`PostgreSQL`."""
    return start_postgresql()


@pytest.fixture
def postgresql(postgresql_server):
    """The URL for SQLAlchemy of an empty PostgreSQL database, which is dropped after the test."""
    with postgresql_server.database() as url:
        yield url


class Redis:
    """A Redis server of the tests, which listens on a socket in its folder and nowhere else, and keeps what it has."""

    def __init__(self):
        self.folder = Path(tempfile.mkdtemp(prefix='redis-'))
        self.socket = self.folder / 'socket'
        self.start()

    def start(self):
        options = {'port': '0', 'unixsocket': self.socket, 'dir': self.folder, 'save': '', 'appendonly': 'yes'}
        flags = [str(part) for name, value in options.items() for part in (f'--{name}', value)]
        # with the clock of the machine: under that of faketime it does not come up
        environ = {name: value for name, value in os.environ.items() if name != 'LD_PRELOAD'}
        self._process = subprocess.Popen(['redis-server', *flags], stdout=subprocess.DEVNULL, env=environ)
        deadline = time.monotonic() + 10
        while not self._answers():
            assert self._process.poll() is None
            assert time.monotonic() < deadline

    def _answers(self):
        with socket.socket(socket.AF_UNIX) as client:
            try:
                client.connect(str(self.socket))
            except OSError:
                return False
            client.sendall(b'PING\r\n')
            # while it reads its file it answers something else
            return client.recv(100).startswith(b'+PONG')

    @property
    def url(self):
        """For Celery."""
        return f'redis+socket://{self.socket}'

    def stop(self):
        self._process.terminate()
        self._process.wait()

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder)


@pytest.fixture(scope='session')
def redis_server():
    """A :class:`Redis` that all tests share. Where there is none the test is skipped, or fails if ``CI`` is set."""
    if shutil.which('redis-server') is None:
        lacking = pytest.fail if os.environ.get('CI') else pytest.skip
        lacking('Redis is not installed')
    server = Redis()
    yield server
    server.remove()
