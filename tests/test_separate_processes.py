"""Runs in processes of their own: ``separate_processes.py``."""

import ctypes
import errno
import os
import signal
import sys
from pathlib import Path

import pytest

from pyramid_cron import separate_processes
from pyramid_cron.separate_processes import NotStarted, SeparateProcesses, interpreter, perform_command, start_run

SET_CHILD_SUBREAPER = 36


@pytest.fixture
def fifo(tmp_path):
    """Return a path that is read until the process that writes to it has ended."""
    path = tmp_path / 'fifo'
    os.mkfifo(path)
    return path


@pytest.fixture
def as_first_process():
    """Adopt orphans, as the first process of a container does."""
    prctl = ctypes.CDLL(None).prctl
    assert prctl(SET_CHILD_SUBREAPER, 1) == 0
    yield
    prctl(SET_CHILD_SUBREAPER, 0)


@pytest.fixture
def make_interpreter(tmp_path, monkeypatch):
    """Return a function that puts a shell script in the place of the interpreter."""

    def make(text):
        script = tmp_path / 'python3'
        script.write_text(f'#!/bin/sh\n{text}\n')
        script.chmod(0o755)
        monkeypatch.setattr(sys, 'executable', str(script))

    return make


def writes(text, fifo):
    return ['/bin/sh', '-c', f'exec >{fifo}; {text}']


def test_a_process_is_no_child_of_its_server(fifo):
    pid = SeparateProcesses().start(writes('echo $$', fifo))
    assert int(fifo.read_text()) == pid
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, 0)


def test_a_process_has_environment_and_directory_of_the_server(fifo, monkeypatch, tmp_path):
    monkeypatch.setenv('SHOP', 'open')
    monkeypatch.chdir(tmp_path)
    SeparateProcesses().start(writes('echo $SHOP; pwd', fifo), nice=3)
    assert fifo.read_text().split() == ['open', str(tmp_path)]


def test_a_process_keeps_what_it_is_to_keep_open():
    reads, writes_to = os.pipe()
    SeparateProcesses().start(['/bin/sh', '-c', f'echo hello >/proc/self/fd/{writes_to}'], keep_open=[writes_to])
    os.close(writes_to)
    with os.fdopen(reads) as end:
        assert end.read() == 'hello\n'


def test_a_server_that_ignores_the_end_of_children_starts_processes(fifo):
    before = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        SeparateProcesses().start(writes('echo started', fifo))
        assert fifo.read_text() == 'started\n'
    finally:
        signal.signal(signal.SIGCHLD, before)


def test_a_server_without_standard_error_starts_processes(fifo):
    kept = os.dup(2)
    os.close(2)
    try:
        SeparateProcesses().start(writes('echo nothing >&2; echo started', fifo))
    finally:
        os.dup2(kept, 2)
        os.close(kept)
    assert fifo.read_text() == 'started\n'


def test_the_first_process_of_a_container_keeps_no_zombie(as_first_process, fifo):
    processes = SeparateProcesses()
    ended, lives = processes.start(['/bin/sh', '-c', f'read -r _ <{fifo}']), processes.start(['/bin/sleep', '60'])
    fifo.write_text('end\n')
    os.waitid(os.P_PID, ended, os.WEXITED | os.WNOWAIT)
    other = processes.start(['/bin/sleep', '60'])
    with pytest.raises(ChildProcessError):
        os.waitpid(ended, 0)
    for pid in (lives, other):
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


@pytest.mark.parametrize(
    ('command', 'why'),
    [
        (['/nothing/there'], '/nothing/there: No such file or directory'),
        (['/bin'], '/bin: Permission denied'),
        (['/bin/true', 'x' * 200_000], 'Argument list too long'),
    ],
)
def test_a_command_that_cannot_be_started_is_an_error(command, why):
    with pytest.raises(NotStarted) as caught:
        SeparateProcesses().start(command)
    assert str(caught.value) == f'no process could be started: {why}'


@pytest.mark.parametrize(
    ('script', 'why'),
    [
        (f'echo error {errno.EAGAIN}', 'could be started: Resource temporarily unavailable: the machine is short of'),
        (f'echo error {errno.ENOMEM}', 'could be started: Cannot allocate memory: the machine is short of memory'),
        (f'echo error {errno.EIO}', 'could be started: Input/output error'),
        ('exit 0', 'was started: the interpreter ended before that, and standard error has why'),
        ('echo ImportError', 'was started: the interpreter ended before that'),
    ],
)
def test_an_interpreter_that_does_not_start_it_is_an_error(make_interpreter, script, why):
    make_interpreter(script)
    with pytest.raises(NotStarted, match=f'^no process {why}'):
        SeparateProcesses().start(['/bin/true'])


def test_an_interpreter_that_hangs_is_an_error(make_interpreter, monkeypatch):
    make_interpreter('exec sleep 60')
    monkeypatch.setattr(separate_processes, 'MOST_SECONDS', 0.1)
    with pytest.raises(NotStarted, match=r'no process was started within 0\.1 s: is the machine short of memory'):
        SeparateProcesses().start(['/bin/true'])


def test_an_interpreter_that_is_gone_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, 'executable', str(tmp_path / 'python3.11'))
    with pytest.raises(NotStarted, match=r'no process could be started: .*python3\.11: No such file or directory'):
        SeparateProcesses().start(['/bin/true'])


@pytest.mark.parametrize('name', ['python', 'python3', 'python3.14', 'pypy3.10', 'Python.exe'])
def test_the_interpreter_is_that_of_the_server(monkeypatch, name):
    monkeypatch.setattr(sys, 'executable', f'/opt/bin/{name}')
    assert interpreter() == f'/opt/bin/{name}'


@pytest.mark.parametrize('server', ['/usr/bin/uwsgi', '/usr/sbin/apache2', '', None])
def test_a_server_that_is_no_interpreter_has_one_beside_it(monkeypatch, server):
    monkeypatch.setattr(sys, 'executable', server)
    assert interpreter() == str(Path(sys.prefix, 'bin', 'python3'))


def test_a_server_without_an_interpreter_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, 'executable', '/usr/bin/uwsgi')
    monkeypatch.setattr(sys, 'prefix', str(tmp_path))
    with pytest.raises(NotStarted, match=f'there is no Python interpreter at {tmp_path}/bin/python3, beside /usr/bin/'):
        interpreter()


def test_the_command_is_perform():
    words = perform_command('shop.ini#admin', 'shop:task@2026-11-24T02:00Z', ['http_port=8080'])
    assert words[1:] == (
        '-m',
        'pyramid_cron',
        'perform',
        'shop.ini#admin',
        'shop:task@2026-11-24T02:00Z',
        'http_port=8080',
    )


def test_a_run_is_started_with_the_command(make_interpreter, fifo, caplog):
    caplog.set_level('INFO')
    # in the place of the script and of pcron, which the script starts with the same interpreter
    real = sys.executable
    make_interpreter(f'if [ "$1" = -I ]; then exec {real} "$@"; else echo "$@" >{fifo}; fi')
    pid = start_run('shop.ini', 'shop:task@2026-11-24T02:00Z', ['a=b'], nice=1)
    assert fifo.read_text() == '-m pyramid_cron perform shop.ini shop:task@2026-11-24T02:00Z a=b\n'
    assert caplog.messages == [f'process {pid} of its own is started for shop:task@2026-11-24T02:00Z']
