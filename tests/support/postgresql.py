"""PostgreSQL servers of the tests."""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.support.accounts import owned_folder
from tests.support.requirements import lacking

# what makes it fast, and loses data only if the machine dies; and two-phase commits
DEFAULTS = {'fsync': 'off', 'synchronous_commit': 'off', 'full_page_writes': 'off', 'max_prepared_transactions': '10'}


def find_postgresql():
    """Return the folder of PostgreSQL's programs, ``None`` where it is not installed."""
    # Debian keeps what is not for users in a folder of the version
    folders = sorted(Path('/usr/lib/postgresql').glob('*/bin'), key=lambda folder: float(folder.parent.name))
    found = shutil.which('initdb', path=os.pathsep.join([*map(str, reversed(folders)), os.environ['PATH']]))
    return None if found is None else Path(found).resolve().parent


class PostgreSQL:
    """A PostgreSQL server of the tests, which listens on a socket in its folder and nowhere else."""

    def __init__(self, programs, options=None):
        """Make the server's folder and start it.

        :param programs: the folder of PostgreSQL's programs.
        :param options: options of its configuration file, beside :data:`DEFAULTS`.
        """
        self._programs = programs
        self.folder, self._account = owned_folder('pg-')
        self._flags = ['-c', 'listen_addresses=', '-c', f'unix_socket_directories={self.folder}']
        for name, value in (DEFAULTS | (options or {})).items():
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

    def pids(self):
        """Return the process ids of the server: that of its first process, and of its children."""
        first = int((self.folder / 'data' / 'postmaster.pid').read_text().split()[0])
        return [first, *map(int, Path(f'/proc/{first}/task/{first}/children').read_text().split())]

    def kill(self):
        """Kill all processes of the server, the first one first: it would start others."""
        for pid in self.pids():
            # a child may have noticed that its parent is gone
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

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
        """Make an empty database, yield its URL for SQLAlchemy, and drop it."""
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


@pytest.fixture(scope='session')
def start_postgresql():
    """Return a function that starts a PostgreSQL server, which ends with the tests.

    Without PostgreSQL the test is skipped, or fails if ``CI`` is set.
    """
    servers = []

    def start(**options):
        """Start one with these options of its configuration file, such as ``fsync='on'``."""
        programs = find_postgresql()
        if programs is None:
            lacking('PostgreSQL is not installed')
        servers.append(PostgreSQL(programs, options))
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
