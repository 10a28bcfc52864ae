"""Runs in processes of their own, started here: ``pcron perform CONFIG_URI KEY``, which outlives this process."""

from __future__ import annotations

import errno
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Collection, Sequence
from pathlib import Path

from pyramid_cron import detach
from pyramid_cron.errors import CronError

log = logging.getLogger(__name__)

# seconds within which an interpreter starts without site-packages, also on a machine that is short of memory
MOST_SECONDS = 20
PYTHON = re.compile(r'(python|pypy)[\d.]*(\.exe)?', re.IGNORECASE)
STARTED = re.compile(r'(pid|error) (\d+)')


class NotStarted(CronError):
    """A process could not be started."""


class SeparateProcesses:
    """Starts commands in processes of their own, each in a session of its own.

    They have the environment, the working directory and the account of this process. Their output goes to its standard
    error.
    """

    def __init__(self) -> None:
        # of processes that ended up as children of this one, because it is the first of its container
        self._adopted: set[int] = set()
        self._lock = threading.Lock()

    def start(self, command: Sequence[str], *, nice: int = 0, keep_open: Collection[int] = ()) -> int:
        """Start a command, and return the id of its process.

        :param nice: what is added to the niceness of this process.
        :param keep_open: file descriptors that the process gets.
        :raises NotStarted: if the operating system refuses to start it.
        """
        self._reap()
        kept = ','.join(map(str, keep_open))
        script = [interpreter(), '-I', '-S', detach.__file__, str(nice), kept, *command]
        try:
            answered = subprocess.run(
                script,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=_standard_error(),
                pass_fds=tuple(keep_open),
                timeout=MOST_SECONDS,
                check=False,
            )
        except OSError as exc:
            raise NotStarted(f'no process could be started: {_reason(exc.errno, script[0])}') from exc
        except subprocess.TimeoutExpired as exc:
            raise NotStarted(
                f'no process was started within {MOST_SECONDS} s: is the machine short of memory?'
            ) from exc
        found = STARTED.fullmatch(answered.stdout.decode().strip())
        if found is None:
            # not the exit status, which a server that waits for all of its children may have taken
            raise NotStarted('no process was started: the interpreter ended before that, and standard error has why')
        number = int(found[2])
        if found[1] == 'error':
            raise NotStarted(f'no process could be started: {_reason(number, command[0])}')
        self._adopt(number)
        return number

    def _adopt(self, pid: int) -> None:
        """Remember a process if it is a child of this one, as of the first process of a container."""
        if not _has_ended(pid):
            with self._lock:
                self._adopted.add(pid)

    def _reap(self) -> None:
        """Remove what is left of the processes that have ended as children of this one."""
        with self._lock:
            self._adopted = {pid for pid in self._adopted if not _has_ended(pid)}


def interpreter() -> str:
    """Return the path of the Python interpreter: ``sys.executable`` is the server itself under uWSGI and mod_wsgi.

    :raises NotStarted: if there is none.
    """
    if PYTHON.fullmatch(Path(sys.executable or '').name):
        return sys.executable
    found = Path(sys.prefix, 'bin', 'python3')
    if not found.exists():
        raise NotStarted(f'there is no Python interpreter at {found}, beside {sys.executable or "the server"}')
    return str(found)


def perform_command(config_uri: str, key: str, variables: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the words of the command that executes a run: ``pcron perform``, with the interpreter of this process.

    :param config_uri: the configuration file, with the name of its section if that is not ``main``.
    :param key: the key of the run.
    :param variables: variables of the configuration file, as in ``http_port=8080``.
    """
    return interpreter(), '-m', 'pyramid_cron', 'perform', config_uri, key, *variables


def start_run(
    config_uri: str, key: str, variables: Sequence[str] = (), *, nice: int = 0, keep_open: Collection[int] = ()
) -> int:
    """Start an enqueued run in a process of its own, and return the id of that.

    The process loads the application, which takes as long as the start of a server. It begins the run as any worker
    does, once at most: a second process with the same key does nothing.

    :param config_uri: as the following ones in :func:`perform_command`.
    :param nice: as the following one in :meth:`SeparateProcesses.start`.
    :raises NotStarted: if no process can be started.
    """
    pid = _processes.start(perform_command(config_uri, key, variables), nice=nice, keep_open=keep_open)
    log.info('process %d of its own is started for %s', pid, key)
    return pid


_processes = SeparateProcesses()


def _standard_error() -> int:
    """Return the descriptor of standard error, for the output of processes; that of nothing if it is closed."""
    try:
        os.fstat(2)
    except OSError:
        return subprocess.DEVNULL
    return 2


def _has_ended(pid: int) -> bool:
    """Return whether a process has ended or is no child of this one."""
    try:
        return os.waitpid(pid, os.WNOHANG)[0] == pid
    except ChildProcessError:
        return True


def _reason(number: int | None, command: str) -> str:
    text = os.strerror(number or 0)
    if number in (errno.ENOENT, errno.EACCES, errno.ENOEXEC):
        return f'{command}: {text}'
    if number in (errno.EAGAIN, errno.ENOMEM):
        return f'{text}: the machine is short of memory, or the account has as many processes as it may have'
    return text
