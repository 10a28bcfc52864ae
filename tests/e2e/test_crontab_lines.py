"""The crontab lines of the documentation notice what keeps tasks from running."""

import os
import re
import socket
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

ADDRESS = "'http://localhost:6543/cron?quiet'"
FAILED = 'fail: 1 of 2 tasks due at 2026-11-23 09:08+00:00\n'
LOGIN = '<p>Please log in.</p>\n'
# the status, the body or the place of a redirect
WAYS = {
    'fine': (200, ''),
    'failed': (500, FAILED),
    'refused': (403, 'fail\n'),
    'login': (200, LOGIN),
    'to-login': (302, '/login'),
    'to-https': (301, 'https://localhost:{port}/fine'),
    'to-itself': (307, '/to-itself'),
    'moved': (308, '/fine'),
}


class Handler(BaseHTTPRequestHandler):
    """Answers in the way that the path names, and never if there is none. Redirects have no body."""

    def do_GET(self):
        self.server.requested.append(self.path)
        way = self.path.strip('/')
        if way not in WAYS:
            self.server.over.wait(60)
            return
        status, text = WAYS[way]
        self.send_response(status)
        if 300 <= status < 400:
            self.send_header('Location', text.format(port=self.server.server_port))
            text = ''
        self.send_header('Content-Length', str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

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
    assert {name for name, _ in lines} >= {'README.rst', 'quickstart.rst', 'machine.rst', 'security.rst'}
    assert {name for name, _ in lines} >= {'unix-socket.crontab', 'demo.crontab'}
    options = 'curl -sSLm 300 --fail-with-body '
    assert [name for name, command in lines if not command.startswith(options)] == []
    assert [name for name, command in lines if not command.endswith("/cron?quiet'")] == []
    # which has a meaning of its own in a crontab
    assert [name for name, command in lines if '%' in command] == []


def test_the_line_of_the_readme_fits_a_terminal(root):
    [line] = re.findall(r'(?m)^ +\* \* \* \* \* .*$', (root / 'README.rst').read_text())
    assert len(line) <= 80


@pytest.fixture
def line(program, root, server):
    """Run the line of the README for another path of another server, with a shorter time if there is one."""
    command = dict(documented(root))['README.rst']
    assert command.endswith(ADDRESS)

    def run(path, max_time=300):
        program('curl')
        address = f"'http://localhost:{server.server_port}/{path}'"
        changed = command.replace(ADDRESS, address).replace('m 300', f'm {max_time}')
        environ = {'PATH': os.environ['PATH'], 'HOME': '/nonexistent', 'NO_PROXY': '*'}
        done = subprocess.run(['sh', '-c', changed], env=environ, capture_output=True, text=True, timeout=60)
        return done.returncode, done.stdout, done.stderr

    return run


def test_they_print_nothing_when_all_is_well(line):
    assert line('fine') == (0, '', '')


@pytest.mark.parametrize(('path', 'body'), [('failed', FAILED), ('refused', 'fail\n')])
def test_they_print_the_reason_of_an_error(line, path, body):
    status, out, err = line(path)
    assert (status, out) == (22, body)
    assert f'error: {WAYS[path][0]}' in err


def test_they_print_the_page_behind_a_redirect(line):
    assert line('to-login') == (0, LOGIN, '')


@pytest.mark.parametrize(('path', 'error'), [('to-https', 35), ('to-itself', 47)])
def test_they_notice_a_redirect_that_leads_nowhere(line, path, error):
    status, out, err = line(path)
    assert (status, out) == (error, '')
    assert err.startswith(f'curl: ({error}) ')


def test_they_request_a_trigger_that_has_moved(line, server):
    assert line('moved') == (0, '', '')
    assert server.requested == ['/moved', '/fine']


def test_they_notice_a_server_that_hangs(line):
    status, out, err = line('for-ever', max_time=1)
    assert (status, out) == (28, '')
    assert err.startswith('curl: (28) ')


def test_they_notice_that_there_is_no_server(line, server):
    with socket.socket() as unused:
        unused.bind(('127.0.0.1', 0))
        server.server_port = unused.getsockname()[1]
        assert line('fine')[0] == 7
