"""MariaDB servers of the tests, by Debian's package mariadb-server and the driver PyMySQL."""

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import time

import pytest

from tests.support.accounts import owned_folder
from tests.support.requirements import lacking

# what loses data only if the machine dies
OPTIONS = [
    '--innodb-flush-log-at-trx-commit=0',
    '--innodb-flush-method=nosync',
    '--debug-no-sync',
    '--innodb-buffer-pool-size=64M',
    '--skip-log-bin',
]


def find_mariadb():
    """Return the path of MariaDB's server, ``None`` where it is not installed."""
    # Debian keeps it in a folder that is not in the path of all accounts
    return shutil.which('mariadbd', path=os.pathsep.join([os.environ['PATH'], '/usr/sbin']))


class MariaDB:
    """A MariaDB server of the tests, which listens on a socket in its folder and nowhere else."""

    def __init__(self):
        self.folder, self._account = owned_folder('maria-')
        self.socket = self.folder / 'socket'
        self._databases = 0
        self._process = None
        try:
            with self._log() as log:
                command = ['mariadb-install-db', *self._flags(), '--auth-root-authentication-method=normal']
                subprocess.run(
                    command,
                    check=True,
                    cwd=self.folder,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    **self._account,
                )
            self.start()
        except BaseException:
            self.stop()
            raise

    def _flags(self):
        return ['--no-defaults', f'--datadir={self.folder / "data"}', f'--tmpdir={self.folder}']

    def _log(self):
        return (self.folder / 'log').open('ab')

    def start(self):
        paths = [f'--socket={self.socket}', f'--pid-file={self.folder / "pid"}', '--skip-networking']
        with self._log() as log:
            self._process = subprocess.Popen(
                [find_mariadb(), *self._flags(), *OPTIONS, *paths],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # a Ctrl-C is for the tests, which end it
                start_new_session=True,
                **self._account,
            )
        deadline = time.monotonic() + 30
        while not self._answers():
            assert self._process.poll() is None, (self.folder / 'log').read_text()[-2000:]
            assert time.monotonic() < deadline, 'MariaDB does not answer'
            # the server has no sign that it is ready
            time.sleep(0.1)

    @property
    def pid(self):
        return self._process.pid

    def _answers(self):
        with socket.socket(socket.AF_UNIX) as client:
            return client.connect_ex(str(self.socket)) == 0

    def url(self, database):
        return f'mariadb+pymysql://root@/{database}?unix_socket={self.socket}'

    def execute(self, statement):
        """Execute a statement as the server's root."""
        # most runs of tests do without
        import pymysql

        connection = pymysql.connect(unix_socket=str(self.socket), user='root', autocommit=True)
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)

    @contextlib.contextmanager
    def database(self):
        """Make an empty database, yield its URL for SQLAlchemy, and drop it."""
        self._databases += 1
        name = f'test_{self._databases}'
        self.execute(f'CREATE DATABASE {name}')
        try:
            yield self.url(name)
        finally:
            self.execute(f'DROP DATABASE {name}')

    def stop(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self.folder)


@pytest.fixture(scope='session')
def mariadb_server():
    """A :class:`MariaDB` that all tests share. Without MariaDB the test is skipped, or fails if ``CI`` is set."""
    if find_mariadb() is None:
        lacking('MariaDB is not installed')
    if importlib.util.find_spec('pymysql') is None:
        lacking('PyMySQL is not installed')
    server = MariaDB()
    yield server
    server.stop()


@pytest.fixture
def mariadb(request):
    """The URL for SQLAlchemy of an empty MariaDB database, which is dropped after the test; needs ``--mariadb``."""
    if not request.config.getoption('mariadb'):
        pytest.skip('runs with --mariadb')
    with request.getfixturevalue('mariadb_server').database() as url:
        yield url
