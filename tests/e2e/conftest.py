"""Real servers, a real curl and a real cron. Run with ``pytest tests/e2e -o addopts=--import-mode=importlib``.

Everything listens on loopback. What is missing is a skip on a developer's machine and a failure where ``CI`` is set.
"""

import os
import pwd
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from tests.support.proxies import write_proxy

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
# the account of proxies, as on Debian
PROXY = 'www-data'
PATH = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get('PATH', ''), '/usr/sbin', '/sbin'])

# of a browser that requests nothing by itself
ARGUMENTS = [
    '--headless',
    '--no-sandbox',
    '--disable-gpu',
    '--disable-quic',
    '--no-first-run',
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
]


def lacking(reason):
    if os.environ.get('CI'):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def wait_until(true, what, seconds=20, process=None):
    deadline = time.monotonic() + seconds
    while not true():
        assert process is None or process.poll() is None, f'{what}: the process ended with {process.returncode}'
        assert time.monotonic() < deadline, f'{what}: not within {seconds} seconds'
        time.sleep(0.05)


def listens(address):
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as client:
        return client.connect_ex(address) == 0


def identity(account):
    """Return the arguments with which subprocess runs something under an account."""
    if account is None:
        return {}
    entry = pwd.getpwnam(account)
    return {'user': entry.pw_uid, 'group': entry.pw_gid, 'extra_groups': []}


@pytest.fixture(scope='session')
def root():
    """The top of the checkout."""
    return ROOT


@pytest.fixture(scope='session')
def program():
    """Find a program by its name."""

    def find(name, *, superuser=False):
        if superuser and os.geteuid() != 0:
            lacking(f'{name} has to run as root')
        path = shutil.which(name, path=PATH)
        if path is None:
            lacking(f'{name} is not installed')
        return path

    return find


@pytest.fixture
def until():
    """Wait until a function returns true, or fail."""
    return wait_until


@pytest.fixture
def free_port():
    """Find an unused port of 127.0.0.1."""

    def find():
        with socket.socket() as server:
            server.bind(('127.0.0.1', 0))
            return server.getsockname()[1]

    return find


@pytest.fixture
def start(tmp_path):
    """Start a program that is ended with the test, and wait until it listens at an address, if there is one."""
    processes = []
    # gunicorn puts a socket into the home directory
    environ = {'PATH': PATH, 'PYTHONPATH': str(HERE / 'apps'), 'HOME': str(tmp_path)}

    def run(*command, listen=None, account=None):
        log = tmp_path / f'{len(processes)}-{Path(command[0]).name}.log'
        with log.open('wb') as output:
            process = subprocess.Popen(
                command,
                cwd=tmp_path,
                env={**os.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                **identity(account),
            )
        processes.append((process, log))
        if listen is not None:
            wait_until(lambda: listens(listen), f'{command[0]} listens', process=process)
        process.log = log
        return process

    yield run
    for process, log in reversed(processes):
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        # pytest shows this for a test that failed
        print(f'--- {log.name}\n{log.read_text()}')


@dataclass
class Answer:
    exit_code: int
    status: int
    #: in lower case: servers differ in how they write the names
    headers: str
    body: str


@pytest.fixture
def curl(program, tmp_path):
    """Request something with curl, and return its answer."""
    executable = program('curl')
    # -q: whatever is in the user's ~/.curlrc
    always = ['-q', '-sS', '--noproxy', '*', '-w', '%{http_code}']
    number = 0

    def request(url, *options, max_time=20, account=None):
        nonlocal number
        number += 1
        headers, body = tmp_path / f'{number}.headers', tmp_path / f'{number}.body'
        done = subprocess.run(
            [executable, *always, '--max-time', str(max_time), '-o', body, '-D', headers, *options, url],
            capture_output=True,
            text=True,
            **identity(account),
        )
        print(f'curl {" ".join(options)} {url}: {done.stdout} {done.stderr}')
        return Answer(
            done.returncode,
            int(done.stdout),
            headers.read_text().lower() if headers.exists() else '',
            body.read_text() if body.exists() else '',
        )

    return request


@dataclass
class Server:
    port: int | None
    folder: Path
    process: subprocess.Popen

    @property
    def url(self):
        return f'http://localhost:{self.port}'

    @property
    def worker(self):
        """The number of the process that answers: the server's own, or its child."""
        children = Path(f'/proc/{self.process.pid}/task/{self.process.pid}/children').read_text().split()
        return int(children[0]) if children else self.process.pid

    @property
    def journal(self):
        journal = self.folder / 'var' / 'journal.txt'
        return journal.read_text() if journal.exists() else ''

    @property
    def log(self):
        return self.process.log.read_text()


@pytest.fixture
def ini(tmp_path):
    """Write the demo's ini file, with settings of its own, with the tasks of apps/trouble.py if any are named.

    Without ``store`` it has none: then a test does not depend on what another request in its minute has run.
    """

    def write(*, port=None, settings=(), server=(), tasks='', store=False):
        text = (ROOT / 'examples' / 'demo.ini').read_text()
        if not store:
            text, removed = re.subn('(?m)^cron.store = .*\n', '', text)
            assert removed == 1
        if port is not None:
            text = text.replace('listen = localhost:6543', f'listen = 127.0.0.1:{port}')
        if tasks:
            text = text.replace('use = egg:pyramid_cron_demo', f'use = call:trouble:main\ntrouble.tasks = {tasks}')
        for section, added in {'app:main': settings, 'server:main': server}.items():
            lines = [f'[{section}]', *(f'{name} = {value}' for name, value in dict(added).items())]
            text = text.replace(lines[0], '\n'.join(lines))
        path = tmp_path / 'demo.ini'
        path.write_text(text)
        return path

    return write


@pytest.fixture
def serve(start, program, ini, free_port, tmp_path):
    """Serve the demo, or the tasks of apps/trouble.py, on a free port with the server of that name.

    ``account`` is whom the server runs as; it has to be able to write into ``tmp_path``.
    """

    def run(kind, account=None, **options):
        port = free_port()
        path = ini(port=port, **options)
        commands = {
            'waitress': ['pserve', str(path)],
        }
        for worker, arguments in {'': ['--threads', '4'], ' sync': [], ' gevent': ['-k', 'gevent']}.items():
            bind = ['--paste', str(path), '--bind', f'127.0.0.1:{port}']
            commands[f'gunicorn{worker}'] = ['gunicorn', *bind, *arguments]
        if account is not None:
            commands['waitress'] = ['python', str(HERE / 'under_account.py'), account, str(path), str(port)]
            # loads the application before it changes the account
            commands['gunicorn'] += ['--preload', '--user', account, '--group', identity(account)['group']]
        name, *arguments = map(str, commands[kind])
        process = start(program(name), *arguments, listen=('127.0.0.1', port))
        return Server(port, tmp_path, process)

    return run


@pytest.fixture
def folder_of_all():
    """A folder that every account can write to, unlike that of pytest."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


@pytest.fixture
def proxy(program, start, free_port, tmp_path):
    """Start a proxy under an account of its own in front of an application server, and return its URL."""

    def run(kind, backend, more=''):
        port = free_port()
        name, *arguments = write_proxy(kind, tmp_path, account=PROXY, port=port, backend=backend, more=more)
        executable = program(name, superuser=True)
        start(executable, *arguments, listen=('127.0.0.1', port), account=PROXY if kind == 'caddy' else None)
        return f'http://127.0.0.1:{port}'

    return run


@pytest.fixture(params=['waitress', 'gunicorn'])
def server_kind(request):
    return request.param


@pytest.fixture(scope='module')
def chromium(program):
    """Debian's chromium."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program('chromium'), args=ARGUMENTS)
        yield browser
        browser.close()


def page_block(page, start):
    """Return the block of text of a page that begins with some text, without its indentation."""
    text = (ROOT / 'docs' / f'{page}.rst').read_text()
    blocks = re.findall(r'(?m)^\.\. code-block:: text\n(?: +:.*\n)*\n((?: +\S.*\n|\n)+)', text)
    [found] = [block for block in map(textwrap.dedent, blocks) if block.startswith(start)]
    return found.strip()


@pytest.fixture
def deploy_doctor(program, tmp_path):
    """Check that ``pcron doctor`` prints what the page about a way to deploy shows, on a machine with one crontab."""

    def check(page, ini, port, crontab=None, account='demo', folder=None, python=None, environ=os.environ):
        elsewhere = tmp_path / 'elsewhere'
        (elsewhere / 'usr' / 'sbin').mkdir(parents=True)
        (elsewhere / 'usr' / 'sbin' / 'sendmail').touch()
        (elsewhere / 'crontab').write_text(crontab or '')
        script = elsewhere / 'print-crontab'
        script.write_text(f'#!/bin/sh\n{f"cat {elsewhere}/crontab" if crontab else "exit 1"}\n')
        script.chmod(0o755)
        done = subprocess.run(
            [python or program('python'), HERE / 'doctor_elsewhere.py', elsewhere, ini],
            cwd=folder or tmp_path,
            env={**environ, 'PYTHONPATH': os.pathsep.join([str(HERE / 'apps'), environ.get('PYTHONPATH', '')])},
            capture_output=True,
            text=True,
            timeout=60,
        )
        print(done.stdout, done.stderr)
        assert (done.returncode, done.stderr) == (0, '')
        real_account = pwd.getpwuid(os.geteuid()).pw_name

        def alike(text):
            # lines of a terminal begin wherever the words are long
            text = ' '.join(text.replace(f':{port}', ':6543').replace(str(tmp_path), '/var/lib/demo').split())
            text = re.sub(rf'\b{real_account}\b', account, text).replace('deployed', 'demo')
            text = re.sub(r'postgresql\+psycopg://\S+,', 'the database,', text)
            text = re.sub(r'[\d.]+ (ms|s|min)\b', 'some time', text).replace('ahead of', 'behind')
            return re.sub(r'\d+', '0', re.sub(r'\w{3} \d\d:\d\d \([+-]\d{4}\)', 'now', text))

        assert alike(done.stdout) == alike(page_block(page, 'ok    request'))

    return check
