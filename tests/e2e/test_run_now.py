"""The button "Run now" on the page of a real server: a run that is longer than the server waits, and workers."""

import html
import os
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, build_opener

import pytest
import redis

# a process loads the application, on machines that do much else
PATIENCE = 90
INI = """
[app:main]
use = call:by_hand:main
cron.app = shop
cron.environment = staging
cron.timezone = UTC
cron.store = {store}
{settings}

[server:main]
use = egg:waitress#main
listen = 127.0.0.1:{port}
"""


class Browser:
    """A browser with cookies, on the page of a task."""

    def __init__(self, port):
        self.address = f'http://127.0.0.1:{port}/admin/cron'
        self.opener = build_opener(HTTPCookieProcessor(CookieJar()))

    def page(self, task):
        with self.opener.open(f'{self.address}/task?name={task}', timeout=PATIENCE) as answer:
            return html.unescape(answer.read().decode())

    def press(self, task, page=None):
        """Press the button, and return the message."""
        form = (page or self.page(task)).partition('action="/admin/cron/run"')[2].partition('</form>')[0]
        fields = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', form))
        with self.opener.open(f'{self.address}/run', urlencode(fields).encode(), timeout=PATIENCE) as answer:
            [message] = re.findall(r'role="status">(.*)</p>', html.unescape(answer.read().decode()))
        return message

    def history(self, task):
        """Return the outcomes in the history of a task, the newest first."""
        history = self.page(task).partition('<h2 id="history">')[2]
        return re.findall(r'</span>(\w+)</span>\n<span class="when">', history)


@pytest.fixture
def serve(program, start, free_port, tmp_path):
    """Return a function that starts a server of the application, and returns a browser on its page."""

    def serve(*server, settings='', store='sqlite:///%(here)s/cron.sqlite'):
        port = free_port()
        (tmp_path / 'shop.ini').write_text(INI.format(port=port, settings=settings, store=store))
        words = [word.format(port=port) for word in server]
        start(program(words[0]), *words[1:], listen=('127.0.0.1', port))
        return Browser(port)

    return serve


@pytest.fixture
def pcron(program, tmp_path):
    """Return a function that runs the command, and returns what it printed."""

    def run(*words):
        environ = {**os.environ, 'PYTHONPATH': str(Path(__file__).parent / 'apps')}
        command = [program('pcron'), *words]
        return subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=True).stdout

    return run


# a worker of gunicorn's that takes longer than its time-out is killed
GUNICORN = 'gunicorn', '--timeout', '3', '--bind', '127.0.0.1:{port}', '--paste', 'shop.ini'


@pytest.mark.parametrize('server', [GUNICORN, ('pserve', 'shop.ini')], ids=['gunicorn', 'pserve'])
def test_a_long_run_outlives_the_time_limit_of_the_server(serve, until, server, tmp_path):
    browser = serve(*server)
    shown = browser.page('shop.long')
    assert 'Application shop, environment staging' in re.sub('<[^>]*>', '', shown)
    assert 'The task runs in its own process. The page returns at once.' in shown
    message = browser.press('shop.long', shown)
    pid, key = re.fullmatch(r'shop\.long runs in process (\d+); the key of its run is (\S+)\.', message).groups()
    until(lambda: browser.history('shop.long') == ['running'], 'it runs', PATIENCE)
    assert f'process {pid} on ' in browser.page('shop.long')
    again = browser.press('shop.long', shown)
    assert 'was not run again: it has been run by hand since the page was loaded' in again
    beside = browser.press('shop.long')
    assert re.match(rf'shop\.long was not run: skipped, still running: process {pid} on ', beside)
    until(lambda: browser.history('shop.long') == ['ok'], 'it has ended', PATIENCE)
    assert (tmp_path / 'ran').read_text() == f'{pid}\n'
    assert key.startswith('shop:shop.long@')
    assert 'Its last good run took ' in browser.page('shop.long')


def test_without_a_file_that_is_known_the_browser_waits(serve):
    browser = serve('waitress-serve', '--listen', '127.0.0.1:{port}', 'by_hand:app')
    shown = browser.page('shop.short')
    assert 'The task would run in its own process if the configuration file were known: set cron.config_uri' in shown
    message = browser.press('shop.short', shown)
    assert message.startswith('shop.short ran: ok in ')


def enqueue(browser, engine):
    """Press the button of a task with an engine several times."""
    shown = browser.page('shop.queued')
    assert f'The run is enqueued with {engine}, and a worker runs the task. The page returns at once.' in shown
    message = browser.press('shop.queued', shown)
    pattern = rf'shop\.queued is enqueued with {engine}; the key of its run is shop:shop\.queued@[0-9a-f]+\.'
    assert re.fullmatch(pattern, message)
    assert browser.history('shop.queued') == ['queued']
    assert 'was not run again' in browser.press('shop.queued', shown)
    assert browser.press('shop.queued').startswith('shop.queued was not run: skipped, still queued, since ')


def press_twice(browser, task):
    """Press the button of one page twice at the same moment, and return the messages."""
    shown = browser.page(task)
    with ThreadPoolExecutor(2) as pool:
        return sorted(pool.map(lambda _: browser.press(task, shown), range(2)))


@pytest.fixture
def broker(redis_server, monkeypatch):
    with redis.Redis(unix_socket_path=str(redis_server.socket)) as client:
        client.flushall()
    monkeypatch.setenv('BROKER', redis_server.url)
    return redis_server


CELERY = 'via = celery\ncron.celery = by_hand_celery.app'


def test_celery_runs_it(serve, start, program, pcron, until, broker):
    browser = serve(*GUNICORN, settings=CELERY)
    enqueue(browser, 'celery')
    worker = start(program('celery'), '-A', 'by_hand_celery', 'worker', '--concurrency', '1')
    until(lambda: browser.history('shop.queued') == ['running'], 'a worker runs it', PATIENCE, worker)
    until(lambda: browser.history('shop.queued') == ['ok'], 'it has ended', PATIENCE, worker)
    messages = press_twice(browser, 'shop.queued')
    assert messages[0].startswith('shop.queued is enqueued with celery')
    assert messages[1].startswith('shop.queued was not run')
    assert 'shop.queued was not run: skipped, still ' in browser.press('shop.queued')
    until(lambda: browser.history('shop.queued') == ['ok', 'ok'], 'it has ended', PATIENCE, worker)
    assert pcron('run', 'shop.ini', 'shop.outside').splitlines()[1].startswith('queued   shop.outside, ')
    # an hour ago at least, and once only
    minute = f'{datetime.now(timezone.utc) - timedelta(hours=1):%Y-%m-%d %H:00}'
    *_, queued, ok = pcron('run', 'shop.ini', 'shop.queued', '--for', minute).splitlines()
    assert re.fullmatch(rf'queued   shop.queued, \S+ s, for {minute}\+00:00, with celery: shop:shop.queued@\w+', queued)
    assert re.fullmatch(rf'ok       shop.queued, \S+ s, for {minute}\+00:00', ok)
    # claimed in the memory of each process
    assert browser.press('shop.outside').startswith('shop.outside is enqueued with celery')


def test_a_broker_that_is_away_is_shown(serve, broker):
    browser = serve('pserve', 'shop.ini', settings=CELERY)
    broker.stop()
    try:
        message = browser.press('shop.queued')
    finally:
        broker.start()
    assert message.startswith('shop.queued could not be enqueued with celery after ')
    assert browser.history('shop.queued') == ['failed']
    assert browser.press('shop.queued').startswith('shop.queued is enqueued with celery')


def test_procrastinate_runs_it(serve, start, program, until, tmp_path, postgresql, monkeypatch):
    monkeypatch.setenv('DATABASE', postgresql.replace('postgresql+psycopg:', 'postgresql:'))
    browser = serve(*GUNICORN, settings='via = procrastinate', store=postgresql.replace('%', '%%'))
    message = browser.press('shop.queued')
    assert message.startswith('shop.queued was not run: it cannot be enqueued: ')
    assert browser.history('shop.queued') == []
    environ = {**os.environ, 'PYTHONPATH': str(Path(__file__).parent / 'apps')}
    schema = [program('procrastinate'), '--app=by_hand_procrastinate.app', 'schema', '--apply']
    subprocess.run(schema, cwd=tmp_path, env=environ, check=True)
    enqueue(browser, 'procrastinate')
    worker = start(program('procrastinate'), '--app=by_hand_procrastinate.app', 'worker')
    until(lambda: browser.history('shop.queued') == ['ok'], 'it has ended', PATIENCE, worker)


def test_a_task_with_a_process_of_its_own_has_one_by_hand(serve, pcron, until, tmp_path):
    browser = serve(*GUNICORN, settings='via = process')
    shown = browser.page('shop.queued')
    assert 'The task runs in its own process. The page returns at once.' in shown
    message = browser.press('shop.queued', shown)
    assert message.startswith('shop.queued is enqueued with process; the key of its run is ')
    until(lambda: browser.history('shop.queued') == ['ok'], 'it has ended', PATIENCE)
    assert pcron('run', 'shop.ini', 'shop.outside').splitlines()[1].startswith('queued   shop.outside, ')
    until(lambda: browser.history('shop.outside') == ['ok'], 'it has ended', PATIENCE)
    assert pcron('run', 'shop.ini', 'shop.outside', '--here').splitlines()[1].startswith('ok       shop.outside, ')
