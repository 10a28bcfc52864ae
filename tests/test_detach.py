"""The script that starts a command and exits: ``detach.py``."""

import errno
import os
import runpy
import signal
import subprocess
import sys

import pytest

from pyramid_cron import detach


@pytest.fixture
def fifo(tmp_path):
    """Return a path that is read until the command that writes to it has ended."""
    path = tmp_path / 'fifo'
    os.mkfifo(path)
    return path


def shell(text, path):
    return ['/bin/sh', '-c', f'exec >{path}; {text}']


def pid_of(answer):
    word, number = answer.split()
    assert word == 'pid'
    return int(number)


def test_a_command_begins_a_session_of_its_own(fifo):
    pid = pid_of(detach.main(['0', '', *shell('read -r _ </dev/null; ps -o sid= -p $$; exit 3', fifo)]))
    assert int(fifo.read_text()) == pid
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3


def test_its_output_goes_to_standard_error(fifo):
    script = [
        sys.executable,
        '-I',
        '-S',
        detach.__file__,
        '0',
        '',
        '/bin/sh',
        '-c',
        f'echo one; echo two >&2; : >{fifo}',
    ]
    with subprocess.Popen(script, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        fifo.read_text()
        output, errors = process.communicate()
    assert (output.split()[0], errors, process.returncode) == ('pid', 'one\ntwo\n', 0)


def test_a_command_is_as_nice_as_it_is_to_be():
    pid = pid_of(detach.main(['7', '', '/bin/sleep', '60']))
    assert os.getpriority(os.PRIO_PROCESS, pid) == min(os.getpriority(os.PRIO_PROCESS, 0) + 7, 19)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_named_descriptors_stay_open_and_no_other():
    kept, other = os.pipe(), os.pipe()
    for descriptor in (*kept, *other):
        os.set_inheritable(descriptor, True)
    looks = f'test -e /proc/self/fd/{kept[1]} && ! test -e /proc/self/fd/{other[1]}'
    pid = pid_of(detach.main(['0', f'{kept[0]},{kept[1]}', '/bin/sh', '-c', looks]))
    assert os.waitpid(pid, 0)[1] == 0
    for descriptor in (*kept, *other):
        os.close(descriptor)


def test_a_command_that_is_not_there_is_an_error(tmp_path):
    assert detach.main(['0', '', str(tmp_path / 'nothing')]) == f'error {errno.ENOENT}'


def test_the_script_prints_what_became_of_it(monkeypatch, capfd, tmp_path):
    monkeypatch.setattr(sys, 'argv', [detach.__file__, '0', '', str(tmp_path)])
    runpy.run_path(detach.__file__, run_name='__main__')
    assert capfd.readouterr().out == f'error {errno.EACCES}'
