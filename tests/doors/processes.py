"""Processes of the matrix: started in groups of their own, and all ended, orphans too."""

import contextlib
import ctypes
import os
import random
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from .accounts import command_as

PR_SET_CHILD_SUBREAPER = 36
ROOT_OF_CHECKOUT = Path(__file__).parent.parent.parent
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get('PATH', ''), '/usr/sbin', '/sbin'])
ENVIRON = {
    'PATH': PATH,
    'PYTHONPATH': str(ROOT_OF_CHECKOUT),
    # the account of the server may write here, and must not leave files in the checkout
    'PYTHONDONTWRITEBYTECODE': '1',
}


class NotStarted(Exception):
    """A program that ended, or does not listen."""


class Processes:
    """Processes that are ended with the ``with``."""

    def __init__(self, folder):
        self.folder = folder
        self._started = []

    def __enter__(self):
        return self

    def start(self, name, command, account, environ=None):
        """Start a program under an account, in a folder of its own.

        :param command: called with the folder, it returns the program with its arguments.
        """
        folder = self.folder / name
        folder.mkdir()
        folder.chmod(0o777)
        arguments = command_as(account, list(map(str, command(folder))))
        with (folder / 'log').open('wb') as log:
            # Apache opens /dev/stderr once more, under its account
            (folder / 'log').chmod(0o666)
            process = subprocess.Popen(
                arguments,
                cwd=folder,
                env={**os.environ, **ENVIRON, 'HOME': str(folder), **(environ or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C reaches this process alone, which ends the others in order
                start_new_session=True,
            )
        process.log = folder / 'log'
        self._started.append(process)
        return process

    def __exit__(self, *exc):
        groups = [process.pid for process in reversed(self._started)]
        _signal_groups(groups, signal.SIGTERM)
        deadline = time.monotonic() + 3
        for process in self._started:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.01, deadline - time.monotonic()))
        # what is left in a group whose leader has ended, too
        _signal_groups(groups, signal.SIGKILL)
        for process in self._started:
            process.wait()
        self._started.clear()


def _signal_groups(groups, number):
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, number)


def adopt_orphans():
    """Become the parent of processes whose parents end, so that :func:`end_orphans` finds them."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def end_orphans():
    """Kill what is left of all that this process has started."""
    while children := Path(f'/proc/self/task/{os.getpid()}/children').read_text().split():
        for child in map(int, children):
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)


def listening(port):
    """Check whether something listens at a port of 127.0.0.1."""
    with socket.socket() as client:
        return client.connect_ex(('127.0.0.1', port)) == 0


def wait_for(process, port, seconds=15):
    """Wait until a process listens at a port.

    :raises NotStarted: with the end of its log.
    """
    deadline = time.monotonic() + seconds
    while not listening(port):
        if process.poll() is not None or time.monotonic() > deadline:
            lines = process.log.read_text(errors='replace').strip().splitlines()
            raise NotStarted(lines[-1] if lines else f'it ended with status {process.poll()}')
        time.sleep(0.02)


def free_port():
    """Find an unused port of 127.0.0.1 that the kernel does not give to clients."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as server, contextlib.suppress(OSError):
            server.bind(('127.0.0.1', port))
            return port
