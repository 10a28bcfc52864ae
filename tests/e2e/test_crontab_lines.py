"""The crontab lines of the documentation notice what keeps tasks from running."""

import os
import re
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

ADDRESS = 'http://localhost:6543/cron'
WAYS = {'redirect': 301, 'other': 308, 'error': 500, 'refused': 403, 'fine': 200}


class Handler(BaseHTTPRequestHandler):
    """Answers with the status in the path, and never if there is none."""

    def do_GET(self):
        self.server.requested.append(self.path)
        way = self.path.strip('/')
        if way not in WAYS:
            self.server.over.wait(60)
            return
        self.send_response(WAYS[way])
        if 300 <= WAYS[way] < 400:
            self.send_header('Location', '/fine')
        self.send_header('Content-Length', '0')
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    with ThreadingHTTPServer(('127.0.0.1', 0), Handler) as server:
        server.requested, server.over = [], threading.Event()
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.over.set()
        server.shutdown()
        thread.join()


def documented(root):
    """Return the crontab lines of the documentation, with the place of each, without their five fields."""
    files = [root / 'README.rst', *sorted((root / 'docs').glob('*.rst')), *sorted((root / 'docs').glob('*/*.crontab'))]
    return [
        (file.name, command)
        for file in files
        for command in re.findall(r'(?m)^ *\* \* \* \* \* +(curl .*)$', file.read_text())
    ]


def test_each_has_the_same_options(root):
    lines = documented(root)
    assert {name for name, _ in lines} >= {'README.rst', 'quickstart.rst', 'production.rst', 'unix-socket.crontab'}
    options = 'curl -fsSL --max-redirs 0 --max-time 300 -o /dev/null '
    assert [name for name, command in lines if not command.startswith(options)] == []


@pytest.fixture
def line(program, root, server):
    """Run the line of the README for another path of another server, with a shorter time if there is one."""
    command = dict(documented(root))['README.rst']
    assert command.endswith(ADDRESS)

    def run(path, max_time=300):
        program('curl')
        address = f'http://localhost:{server.server_port}/{path}'
        changed = command.replace(ADDRESS, address).replace('--max-time 300', f'--max-time {max_time}')
        environ = {'PATH': os.environ['PATH'], 'HOME': '/nonexistent', 'NO_PROXY': '*'}
        done = subprocess.run(['sh', '-c', changed], env=environ, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    return run


def test_they_print_nothing_when_all_is_well(line):
    assert line('fine') == (0, '', '')


@pytest.mark.parametrize('path', ['redirect', 'other'])
def test_they_notice_a_redirect_and_do_not_follow_it(line, server, path):
    status, out, err = line(path)
    assert (status, out) == (47, '')
    assert err.startswith('curl: (47) ')
    assert server.requested == [f'/{path}']


@pytest.mark.parametrize('path', ['error', 'refused'])
def test_they_notice_an_error(line, path):
    status, out, err = line(path)
    assert (status, out) == (22, '')
    assert f'error: {WAYS[path]}' in err


def test_they_notice_a_server_that_hangs(line):
    status, out, err = line('for-ever', max_time=1)
    assert (status, out) == (28, '')
    assert err.startswith('curl: (28) ')


def test_they_notice_that_there_is_no_server(line, server):
    with socket.socket() as unused:
        unused.bind(('127.0.0.1', 0))
        server.server_port = unused.getsockname()[1]
        assert line('fine')[0] == 7
