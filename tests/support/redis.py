"""Redis servers of the tests."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.support.requirements import lacking


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

    @property
    def pid(self):
        return self._process.pid

    def stop(self):
        self._process.terminate()
        self._process.wait()

    def remove(self):
        self.stop()
        shutil.rmtree(self.folder)


@pytest.fixture(scope='session')
def redis_server():
    """A :class:`Redis` that all tests share. Without Redis the test is skipped, or fails if ``CI`` is set."""
    if shutil.which('redis-server') is None:
        lacking('Redis is not installed')
    server = Redis()
    yield server
    server.remove()
