"""Databases to kill processes over."""

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import DEFAULTS, PostgreSQL, find_postgresql


@contextmanager
def sqlite(folder):
    yield f'sqlite:///{folder / "store.sqlite"}'


@contextmanager
def postgresql_server(**options):
    server = PostgreSQL(find_postgresql(), DEFAULTS | options)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def postgresql(folder):
    with postgresql_server() as server, server.database() as url:
        yield url


@contextmanager
def mariadb(folder):
    """A server of its own in a folder, by way of Debian's package mariadb-server and the driver PyMySQL."""
    # the path of a socket has to be short
    data = Path(tempfile.mkdtemp(prefix='maria-'))
    options = ['--no-defaults', f'--datadir={data / "data"}']
    account = []
    if os.geteuid() == 0:
        shutil.chown(data, 'nobody')
        account = ['--user=nobody']
    socket = data / 'socket'
    with (folder / 'mariadb.log').open('wb') as log:
        subprocess.run(
            ['mariadb-install-db', *options, *account, '--auth-root-authentication-method=normal'],
            check=True,
            stdout=log,
            stderr=log,
        )
        server = subprocess.Popen(
            ['mariadbd', *options, *account, f'--socket={socket}', f'--pid-file={data / "pid"}', '--skip-networking'],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            client = ['mariadb', '--no-defaults', f'--socket={socket}', '--user=root', '-e', 'CREATE DATABASE kills']
            deadline = time.monotonic() + 30
            while subprocess.run(client, stderr=log).returncode:
                assert time.monotonic() < deadline, 'MariaDB does not answer'
                # a server tells nobody when it is ready
                time.sleep(0.1)
            yield f'mariadb+pymysql://root@/kills?unix_socket={socket}'
        finally:
            server.kill()
            server.wait()
            shutil.rmtree(data)


DATABASES = {'sqlite': sqlite, 'postgresql': postgresql, 'mariadb': mariadb}
