"""What leaves the process is reported."""

import os
import smtplib
import socket
import sqlite3
import subprocess
import sys
import threading

import pytest

from pyramid_cron.rehearsal.findings import Findings, NotHeldBack
from pyramid_cron.rehearsal.held import REHEARSAL
from pyramid_cron.rehearsal.process_events import EVENTS, watch_process


@pytest.fixture
def escaped():
    """Return a function that returns what a call lets escape."""
    watch_process()
    watch_process()

    def during(call, *args):
        findings = Findings()
        with REHEARSAL.going_on(findings):
            call(*args)
        return findings.escaped

    return during


def test_files(tmp_path, escaped):
    path, other = tmp_path / 'a', str(tmp_path / 'b')
    assert escaped(path.write_text, 'x') == [f'file written: {path}']
    assert escaped(path.read_text) == []
    assert escaped(lambda: os.close(os.open(path, os.O_APPEND))) == [f'file written: {path}']
    assert escaped(os.rename, os.fsencode(path), other) == [f'file renamed: {path}']
    assert escaped(os.remove, other) == [f'file removed: {other}']
    assert escaped(os.mkdir, tmp_path / '__pycache__') == []
    assert escaped(lambda: open('/dev/null', 'w').close()) == []
    assert escaped(lambda: os.fdopen(os.dup(1), 'w').close()) == []


def test_connections(tmp_path, escaped):
    with socket.create_server(('127.0.0.1', 0)) as server:
        host, port = server.getsockname()
        assert escaped(lambda: socket.create_connection((host, port)).close()) == [f'connection to {host}:{port}']
    path = str(tmp_path / 'socket')
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(path)
        server.listen()
        assert escaped(client.connect, path) == [f'connection to {path}']


def test_processes(escaped):
    assert escaped(subprocess.run, [sys.executable, '-c', '']) == [f'process started: {sys.executable} -c ']
    assert escaped(lambda: subprocess.run('true', shell=True))[0].startswith('process started: ')
    assert 'process started: true' in escaped(os.system, 'true')


def test_forks(escaped):
    def fork():
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)

    assert escaped(fork) == ['a child process was forked: what it would write is held back, and not shown']


def test_connections_of_drivers_are_not_reported(tmp_path, escaped):
    assert escaped(lambda: sqlite3.connect(tmp_path / 'a.sqlite').close()) == []
    assert EVENTS['socket.connect'] is not None


def test_what_is_refused(tmp_path):
    watch_process()
    findings = Findings()
    with REHEARSAL.going_on(findings):
        with pytest.raises(NotHeldBack):
            sqlite3.Connection(str(tmp_path / 'a.sqlite'))
        with pytest.raises(NotHeldBack):
            sys.audit('smtplib.send', smtplib.SMTP(), b'')
    assert findings.refused[1] == 'a mail by smtplib'
    assert findings.refused[0].endswith('a.sqlite, that was not made by sqlite3.connect()')


def test_a_connection_that_a_driver_opens_is_its_own(escaped):
    from pyramid_cron.rehearsal.drivers import _opening

    with socket.create_server(('127.0.0.1', 0)) as server:
        connect = _opening(lambda: socket.create_connection(server.getsockname()).close())
        assert escaped(connect) == []


def test_without_a_rehearsal_nothing_is_seen(tmp_path):
    watch_process()
    findings = Findings()
    with REHEARSAL.going_on(findings):
        pass
    (tmp_path / 'a').write_text('x')
    assert findings.escaped == []
    assert threading.active_count()
