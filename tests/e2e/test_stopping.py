"""Runs that are to end early, in real servers, workers and commands: by ``pcron stop``, and by SIGTERM."""

import json
import os
import signal
import subprocess
import textwrap
import threading

import pytest
import redis
from sqlalchemy import make_url

# a worker loads the application at its first message, on machines that do much else
PATIENCE = 90

APP = '''
import time
from pathlib import Path

from pyramid.config import Configurator

HERE = Path(__file__).parent


def work(system):
    """Keeps its place in a file, and ends early if it is to."""
    done = HERE / 'done'
    while not (HERE / 'enough').exists():
        if system['stopping']():
            assert system['time_left']() < 0
            return
        with done.open('a') as file:
            file.write('x')
        time.sleep(0.05)


def main(global_config, **settings):
    config = Configurator(settings=settings)
    config.include('pyramid_cron')
    config.add_cron_task(work, min='*', name='work')
    return config.make_wsgi_app()
'''

CELERY = """
from pathlib import Path

import celery
from pyramid_cron.queues.celery import add_perform

app = celery.Celery('shop', broker='{broker}')
add_perform(app, str(Path(__file__).with_name('shop.ini')))
"""

PROCRASTINATE = """
from pathlib import Path

import procrastinate
from pyramid_cron.queues.procrastinate import add_perform

app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo='{conninfo}'))
add_perform(app, str(Path(__file__).with_name('shop.ini')))
"""


class Site:
    """The files of an application, and the commands that use them."""

    def __init__(self, folder, program, start, until):
        self.folder = folder
        self.program = program
        self.start_program = start
        self.until = until

    def write(self, port=0, store='sqlite:///%(here)s/cron.sqlite', **settings):
        (self.folder / 'shop.py').write_text(APP)
        lines = [f'cron.{name} = {value}' for name, value in settings.items()]
        text = f"""
        [app:main]
        use = call:shop:main
        cron.store = {store}
        cron.app = shop
        cron.timezone = UTC
        cron.lease = 3
        cron.peer_check = off
        """
        server = f"""
        [server:main]
        use = egg:waitress
        listen = 127.0.0.1:{port}
        """
        (self.folder / 'shop.ini').write_text('\n'.join([textwrap.dedent(text), *lines, textwrap.dedent(server)]))
        return self

    def start(self, name, *words, **options):
        variables = [f'PYTHONPATH={self.folder}', 'PYTHONUNBUFFERED=1']
        return self.start_program(self.program('env'), *variables, self.program(name), *words, **options)

    def pcron(self, *words, status=0):
        environ = {**os.environ, 'COLUMNS': '200', 'PYTHONPATH': str(self.folder)}
        command = [self.program('pcron'), words[0], 'shop.ini', *words[1:]]
        done = subprocess.run(
            command, cwd=self.folder, env=environ, capture_output=True, text=True, timeout=PATIENCE, check=False
        )
        print(done.args, done.stdout, done.stderr)
        assert done.returncode == status
        return done.stdout

    def runs(self):
        entries = json.loads(self.pcron('history', '--json'))['entries']
        return [(entry['outcome'], entry['reason']) for entry in entries if entry['kind'] == 'run' and entry['attempt']]

    def wait_for_work(self, process):
        self.until(lambda: (self.folder / 'done').exists(), 'the task works', PATIENCE, process)

    def wait_for(self, outcome, process=None):
        self.until(lambda: outcome in self.runs(), f'a run is {outcome}', PATIENCE, process)

    def user(self):
        return self.program('id') and subprocess.run(['id', '-un'], capture_output=True, text=True).stdout.strip()

    def stop(self):
        # whether its process seems to live depends on the speed of the machine, with so short a lease
        assert self.pcron('stop', 'work').startswith('work is to stop: its process ')

    def stopped(self):
        return ('stopped', f'by {self.user()}')


@pytest.fixture
def site(tmp_path, program, start, until):
    return Site(tmp_path, program, start, until)


@pytest.fixture
def broker(redis_server):
    """A Redis that is empty."""
    with redis.Redis(unix_socket_path=str(redis_server.socket)) as client:
        client.flushall()
    return redis_server


def serve(site, kind, port):
    commands = {
        'waitress': ['pserve', 'shop.ini'],
        'gunicorn': ['gunicorn', '--paste', 'shop.ini', '--bind', f'127.0.0.1:{port}'],
    }
    name, *words = commands[kind]
    return site.start(name, *words, listen=('127.0.0.1', port))


def tick_in_background(curl, port):
    """Request a tick, and return its thread and a list that its answer comes to."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(curl(f'http://127.0.0.1:{port}/cron', max_time=PATIENCE)))
    thread.start()
    return thread, answers


@pytest.mark.parametrize('kind', ['waitress', 'gunicorn'])
def test_a_task_in_a_server_is_stopped(site, free_port, curl, kind):
    port = free_port()
    server = serve(site.write(port), kind, port)
    thread, answers = tick_in_background(curl, port)
    site.wait_for_work(server)
    site.stop()
    thread.join(PATIENCE)
    [answer] = answers
    assert (answer.status, answer.body) == (200, f'ok: 1 of 1 tasks stopped: work (by {site.user()})')
    assert site.runs() == [site.stopped()]
    # the next run of the task is not stopped
    site.pcron('stop', 'work', status=1)
    (site.folder / 'enough').touch()
    site.pcron('run', 'work')
    assert site.runs()[-1] == ('ok', None)


def test_a_process_that_is_killed_before_its_task_looks_is_lost(site, free_port, curl):
    port = free_port()
    server = serve(site.write(port), 'waitress', port)
    thread, _ = tick_in_background(curl, port)
    site.wait_for_work(server)
    os.kill(server.pid, signal.SIGSTOP)
    site.stop()
    server.kill()
    thread.join(PATIENCE)
    site.pcron('tick', status=1)
    [(outcome, reason)] = site.runs()[:1]
    assert outcome == 'lost'
    assert reason.startswith('process ')


@pytest.mark.parametrize('words', [['work'], ['run', 'work'], ['tick']], ids=lambda words: words[0])
def test_sigterm_stops_what_a_command_runs(site, words):
    command, *names = words
    process = site.write().start('pcron', command, 'shop.ini', *names)
    site.wait_for_work(process)
    process.send_signal(signal.SIGTERM)
    # a run that was named and was stopped is not done
    assert process.wait(PATIENCE) == (1 if command == 'run' else 0)
    assert site.runs() == [('stopped', 'by SIGTERM')]


def test_celery(site, broker, start):
    site.write(via='celery', celery='via_celery.app')
    (site.folder / 'via_celery.py').write_text(CELERY.format(broker=broker.url))
    worker = site.start('celery', '-A', 'via_celery', 'worker', '--concurrency', '2')
    site.pcron('run', 'work')
    site.wait_for_work(worker)
    site.stop()
    site.wait_for(site.stopped(), worker)
    (site.folder / 'done').unlink()
    site.pcron('run', 'work')
    site.wait_for_work(worker)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(PATIENCE) == 0
    assert site.runs() == [site.stopped(), ('stopped', 'by the end of its worker')]


def test_procrastinate(site, postgresql):
    url = make_url(postgresql)
    conninfo = f'postgresql://cron@/{url.database}?host={url.query["host"]}'
    site.write(store=conninfo.replace('postgresql:', 'postgresql+psycopg:'), via='procrastinate')
    (site.folder / 'via_procrastinate.py').write_text(PROCRASTINATE.format(conninfo=conninfo))
    program = ['procrastinate', '--app=via_procrastinate.app']
    assert site.start(*program, 'schema', '--apply').wait(PATIENCE) == 0
    worker = site.start(*program, 'worker', '--shutdown-graceful-timeout=1')
    site.pcron('run', 'work')
    site.wait_for_work(worker)
    site.stop()
    site.wait_for(site.stopped(), worker)
    (site.folder / 'done').unlink()
    site.pcron('run', 'work')
    site.wait_for_work(worker)
    worker.send_signal(signal.SIGTERM)
    worker.wait(PATIENCE)
    assert site.runs() == [site.stopped(), ('stopped', 'by the end of its worker')]


def test_a_queued_run_that_no_worker_takes_is_ended_by_its_key(site, broker):
    site.write(via='celery', celery='via_celery.app')
    (site.folder / 'via_celery.py').write_text(CELERY.format(broker=broker.url))
    (site.folder / 'enough').touch()
    site.pcron('tick')
    [key] = [line.split()[-1] for line in site.pcron('history', '-v').splitlines() if line.split()[:1] == ['key']]
    assert key.startswith('shop:work@20')
    assert site.pcron('stop', key) == 'work is stopped: it was queued, and no worker begins it any more\n'
    assert site.runs() == [('stopped', f'by {site.user()}, before a worker began it')]
    # its message is still there
    worker = site.start('celery', '-A', 'via_celery', 'worker', '--concurrency', '1', '--loglevel', 'INFO')
    site.until(lambda: ' succeeded in ' in worker.log.read_text(), 'the message has come', PATIENCE, worker)
    assert not (site.folder / 'done').exists()
    assert [outcome for outcome, _ in site.runs()] == ['stopped']
