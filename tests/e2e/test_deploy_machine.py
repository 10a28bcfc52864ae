"""The files of the page about a machine with gunicorn, nginx and systemd, as they stand: only paths are replaced."""

import re
import shlex
import signal
import socket
import subprocess
import threading

import pytest

from tests.support.systemd import read_unit, verify_unit

SECRET = 'replace this by a random secret'
# of a machine with much to do, on which the first tick makes the tables
PATIENCE = 100
OUTSIDER = ('--interface', '127.0.0.2')


@pytest.fixture
def unit(root):
    """The sections of the unit."""
    return read_unit(root / 'docs' / 'deploy' / 'demo.service')


@pytest.fixture
def settings_of_gunicorn(root):
    settings = {}
    exec((root / 'docs' / 'deploy' / 'gunicorn.conf.py').read_text(), settings)
    return settings


class Machine:
    """The folders of the machine, below one of the test."""

    def __init__(self, root, tmp_path, port, gunicorn):
        self.folder, self.port = tmp_path, port
        self.paths = {
            '/srv/demo/.venv/bin/gunicorn': gunicorn,
            '/etc/demo': str(tmp_path),
            '/var/lib/demo': str(tmp_path),
            '/srv/demo': str(tmp_path),
            '127.0.0.1:6543': f'127.0.0.1:{port}',
            'localhost:6543': f'localhost:{port}',
            'egg:demo': 'call:deployed:main',
        }
        for name in ('production.ini', 'gunicorn.conf.py', 'demo.crontab', 'demo.service'):
            (tmp_path / name).write_text(self.real((root / 'docs' / 'deploy' / name).read_text()))
        (tmp_path / '.cron-header').write_text(f'Authorization: Bearer {SECRET}\n')
        [self.line] = re.findall(r'(?m)^\* \* \* \* \* (curl .*)$', (tmp_path / 'demo.crontab').read_text())

    def real(self, text):
        """Return a text with the paths of this machine."""
        for documented, real in self.paths.items():
            text = text.replace(documented, real)
        return text

    @property
    def journal(self):
        journal = self.folder / 'journal.txt'
        return journal.read_text().split() if journal.exists() else []

    def cron(self):
        """Run the line as cron does, and return the text of the mail and the status."""
        environ = {'HOME': str(self.folder), 'PATH': '/usr/bin:/bin', 'LOGNAME': 'demo', 'SHELL': '/bin/sh'}
        done = subprocess.run(
            ['/bin/sh', '-c', self.line],
            cwd=self.folder,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=300,
        )
        return done.stdout, done.returncode


@pytest.fixture
def machine(root, tmp_path, free_port, program, monkeypatch):
    program('curl')
    monkeypatch.setenv('DEPLOYED', str(tmp_path))
    return Machine(root, tmp_path, free_port(), program('gunicorn'))


@pytest.fixture
def service(machine, unit, start, monkeypatch, tmp_path):
    """Start what the unit starts, as systemd does: it waits for the message of gunicorn."""
    address = str(tmp_path / 'notify')
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        manager.settimeout(PATIENCE)
        monkeypatch.setenv('NOTIFY_SOCKET', address)
        assert unit['Service']['Type'] == 'notify'
        process = start(*shlex.split(machine.real(unit['Service']['ExecStart'])))
        assert 'READY=1' in manager.recv(1000).decode().splitlines()
        # nothing else that the test starts has it
        monkeypatch.delenv('NOTIFY_SOCKET')
        yield process


def workers(process):
    with open(f'/proc/{process.pid}/task/{process.pid}/children') as children:
        return set(children.read().split())


@pytest.fixture
def tick_in_progress(machine, until):
    """Return a function that starts a tick that goes on until the file ``hold`` is gone, and returns what it gives."""
    threads = []

    def begin():
        mails = []
        (machine.folder / 'hold').touch()
        thread = threading.Thread(target=lambda: mails.append(machine.cron()))
        threads.append(thread)
        thread.start()
        until(lambda: machine.journal == ['begins'], 'the task begins', PATIENCE)
        return mails

    yield begin
    (machine.folder / 'hold').unlink(missing_ok=True)
    for thread in threads:
        thread.join()


def test_systemd_finds_nothing_wrong_with_the_unit(machine, program, tmp_path):
    service = tmp_path / 'demo.service'
    assert verify_unit(program('systemd-analyze'), service) == ''
    # it does find what is wrong
    service.write_text(service.read_text().replace('KillMode=mixed', 'KillMode=gently\nKilMode=mixed'))
    found = verify_unit(program('systemd-analyze'), service)
    assert 'gently' in found
    assert 'KilMode' in found


def test_the_limits_of_the_files_fit_together(unit, settings_of_gunicorn, machine):
    [seconds] = re.findall(r'-sSLm (\d+) ', machine.line)
    assert settings_of_gunicorn['graceful_timeout'] >= int(seconds)
    assert int(unit['Service']['TimeoutStopSec']) > settings_of_gunicorn['graceful_timeout']
    assert unit['Service']['KillMode'] == 'mixed'


def test_cron_triggers_runs_and_no_visitor_does(machine, service, root, start, program, free_port, curl):
    executable = program('nginx', superuser=True)
    port = free_port()
    text = machine.real((root / 'docs' / 'deploy' / 'nginx.conf').read_text())
    for documented, real in {
        'listen 80;': f'listen 127.0.0.1:{port};',
        '/run/nginx.pid': f'{machine.folder}/nginx.pid',
        '/var/log/nginx/': f'{machine.folder}/nginx-',
    }.items():
        assert documented in text
        text = text.replace(documented, real)
    (machine.folder / 'nginx.conf').write_text(text)
    arguments = ['-p', str(machine.folder), '-c', 'nginx.conf', '-e', 'stderr', '-g', 'daemon off;']
    start(executable, *arguments, listen=('127.0.0.1', port))

    site = f'http://127.0.0.1:{port}'
    assert curl(f'{site}/', *OUTSIDER).body == 'Welcome\n'
    header = ('-H', f'Authorization: Bearer {SECRET}')
    for path in ('/cron', '/cron?quiet', '/cron/health', '/%63ron'):
        assert curl(f'{site}{path}', *OUTSIDER, *header).status == 404, path
    assert curl(f'http://127.0.0.1:{machine.port}/cron').status == 401
    assert machine.journal == []

    assert machine.cron() == ('', 0)
    assert machine.journal == ['begins', 'ends']
    assert 'INFO pyramid_cron.task_runner task deployed.work ended' in service.log.read_text()


def test_a_stop_waits_for_the_task_that_is_running(machine, service, tick_in_progress, until):
    mails = tick_in_progress()
    # KillMode=mixed: the main process alone gets it
    service.send_signal(signal.SIGTERM)
    until(lambda: 'Handling signal: term' in service.log.read_text(), 'gunicorn ends')
    assert service.poll() is None
    (machine.folder / 'hold').unlink()
    assert service.wait(PATIENCE) == 0
    until(lambda: mails, 'curl has its answer')
    assert mails == [('', 0)]
    assert machine.journal == ['begins', 'ends']


def test_a_reload_starts_new_workers_and_ends_the_old_ones_after_their_tasks(
    machine, unit, service, tick_in_progress, until, curl
):
    mails = tick_in_progress()
    before = workers(service)
    assert len(before) == 2
    (machine.folder / 'production.ini').write_text(
        (machine.folder / 'production.ini').read_text().replace(SECRET, 'another secret that is random')
    )
    command = unit['Service']['ExecReload'].replace('$MAINPID', str(service.pid))
    subprocess.run(shlex.split(command), check=True)
    until(lambda: len(workers(service) - before) == 2 and len(workers(service)) == 3, 'new workers are there', PATIENCE)
    assert mails == []
    # the new ones have the new ini file
    header = 'Authorization: Bearer another secret that is random'
    assert curl(f'http://127.0.0.1:{machine.port}/cron?check', '-H', header).status == 200
    (machine.folder / 'hold').unlink()
    until(lambda: not workers(service) & before, 'the old workers have ended', PATIENCE)
    assert mails == [('', 0)]
    assert machine.journal == ['begins', 'ends']


def test_doctor_prints_what_the_page_shows(machine, service, deploy_doctor):
    assert machine.cron() == ('', 0)
    crontab = (machine.folder / 'demo.crontab').read_text()
    deploy_doctor('machine', machine.folder / 'production.ini', machine.port, crontab)


def test_a_stop_does_not_wait_for_ever(machine, tick_in_progress, unit, start, until):
    config = machine.folder / 'gunicorn.conf.py'
    config.write_text(config.read_text().replace('graceful_timeout = 300', 'graceful_timeout = 1'))
    command = shlex.split(machine.real(unit['Service']['ExecStart']))
    process = start(*command, listen=('127.0.0.1', machine.port))
    mails = tick_in_progress()
    process.send_signal(signal.SIGTERM)
    process.wait(PATIENCE)
    until(lambda: mails, 'curl has its answer')
    [(text, status)] = mails
    assert (text.startswith('curl: '), status != 0) == (True, True)
    assert machine.journal == ['begins']
