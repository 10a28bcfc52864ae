"""Runs in processes of their own, under real servers that are killed, with real kills."""

import json
import os
import signal
import sqlite3
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

# on machines that do much else: an application is loaded for each run
PATIENCE = 90
# seconds after which gunicorn kills a worker, and seconds that a task takes
TIMEOUT, LONGER = 2, 5


@dataclass
class Site:
    """A folder with an application, and its server."""

    folder: Path
    program: object
    until: object

    @property
    def ini(self):
        return str(self.folder / 'shop.ini')

    def write(self, tasks='task process', seconds=0.0, session=False, **settings):
        values = {
            'use': 'call:own_process:main',
            'seconds': seconds,
            'cron.app': 'shop',
            'cron.timezone': 'UTC',
            'cron.store': f'sqlite:///{self.folder}/effects.sqlite',
            **({'cron.session': 'dbsession'} if session else {}),
            **settings,
            'tasks': tasks.replace('; ', '\n    '),
        }
        lines = [f'{name} = {value}' for name, value in values.items()]
        (self.folder / 'shop.ini').write_text('\n'.join(['[app:main]', *lines, '', *SERVER]))

    def pcron(self, *words, status=0):
        environ = {**os.environ, 'PYTHONPATH': str(Path(__file__).parent / 'apps'), 'COLUMNS': '200'}
        command = [self.program('pcron'), words[0], self.ini, *words[1:]]
        # a pipe of its errors would end with the processes that it starts
        with (self.folder / 'errors').open('a') as errors:
            done = subprocess.run(
                command,
                cwd=self.folder,
                env=environ,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                timeout=PATIENCE,
            )
        print(done.args, done.stdout)
        assert done.returncode == status
        return done.stdout

    def outcomes(self):
        with sqlite3.connect(self.folder / 'effects.sqlite') as connection:
            found = connection.execute('SELECT task, outcome, attempt FROM cron_runs ORDER BY started, attempt')
            return [tuple(row) for row in found]

    def row(self):
        with sqlite3.connect(self.folder / 'effects.sqlite') as connection:
            connection.row_factory = sqlite3.Row
            return dict(connection.execute('SELECT * FROM cron_tasks').fetchone())

    def effects(self):
        with sqlite3.connect(self.folder / 'effects.sqlite') as connection:
            return [name for (name,) in connection.execute('SELECT task FROM effects')]

    def wait_for(self, *outcomes):
        wanted = [('task', *each) if len(each) == 2 else each for each in outcomes]
        self.until(lambda: self.outcomes() == wanted, f'the records are {wanted}', PATIENCE)

    def began(self, name='task'):
        """Wait until a task has begun, and return its process and niceness."""
        file = self.folder / f'{name}.pid'
        self.until(file.exists, f'{name} begins', PATIENCE)
        pid, nice = map(int, file.read_text().split())
        file.unlink()
        return pid, nice

    def end(self):
        (self.folder / 'end').touch()


SERVER = ['[server:main]', 'use = egg:waitress#main', 'listen = 127.0.0.1:PORT']


@pytest.fixture
def site(tmp_path, program, until, monkeypatch):
    # the folder of the places
    monkeypatch.setenv('TMPDIR', str(tmp_path))
    site = Site(tmp_path, program, until)
    yield site
    # what still runs ends
    site.end()


@pytest.fixture
def serve(site, start, free_port, program):
    """Serve the site, and return its process and the address of the trigger."""

    def run(kind, *words):
        port = free_port()
        file = site.folder / 'shop.ini'
        file.write_text(file.read_text().replace('PORT', str(port)))
        command = {
            'pserve': [program('pserve'), 'shop.ini'],
            'gunicorn': [program('gunicorn'), '--paste', 'shop.ini', '--bind', f'127.0.0.1:{port}', *words],
        }[kind]
        return start(*command, listen=('127.0.0.1', port)), f'http://127.0.0.1:{port}/cron'

    return run


def family(pid):
    """Return a process with its children."""
    children = Path(f'/proc/{pid}/task/{pid}/children').read_text().split()
    return [pid, *(each for child in children for each in family(int(child)))]


def states(pids):
    """Return the states of processes, of those that are there."""
    found = [Path(f'/proc/{pid}/stat') for pid in pids]
    return [file.read_text().rpartition(')')[2].split()[0] for file in found if file.exists()]


def is_alive(pid):
    return bool(states([pid])) and states([pid]) != ['Z']


def test_a_task_takes_longer_than_a_worker_of_gunicorn_may(site, serve, curl):
    site.write(seconds=LONGER)
    process, url = serve('gunicorn', '--worker-class', 'sync', '--timeout', str(TIMEOUT))
    assert curl(url, max_time=PATIENCE).body == 'ok'
    site.end()
    site.wait_for(('ok', 1))
    assert 'WORKER TIMEOUT' not in process.log.read_text()


def test_the_same_task_in_the_request_is_killed(site, serve, curl, until):
    # the control: the time-out is there
    site.write('task -', seconds=LONGER)
    process, url = serve('gunicorn', '--worker-class', 'sync', '--timeout', str(TIMEOUT))
    curl(url, max_time=PATIENCE)
    until(lambda: 'WORKER TIMEOUT' in process.log.read_text(), 'the worker is killed', PATIENCE)


@pytest.mark.parametrize('kind', ['pserve', 'gunicorn'])
def test_a_task_goes_on_when_its_server_is_killed(site, serve, curl, kind, until):
    site.write('task process:nice=3')
    process, url = serve(kind)
    assert curl(url, max_time=PATIENCE).body == 'ok'
    pid, nice = site.began()
    assert nice == min(os.nice(0) + 3, 19)
    server = family(process.pid)
    assert pid not in server
    for each in server:
        os.kill(each, signal.SIGKILL)
    process.wait()
    site.wait_for(('running', 1))
    site.end()
    site.wait_for(('ok', 1))
    until(lambda: not is_alive(pid), 'the process ends', PATIENCE)


@pytest.mark.parametrize('kind', ['pserve', 'gunicorn'])
def test_a_server_keeps_no_zombie_and_its_other_children(site, serve, curl, kind, until):
    site.write(child='yes')
    process, url = serve(kind)
    assert curl(url, max_time=PATIENCE).body == 'ok'
    pid, _ = site.began()
    before = family(process.pid)
    assert len(before) > 1
    os.kill(pid, signal.SIGKILL)
    until(lambda: not is_alive(pid), 'the process is killed', PATIENCE)
    assert family(process.pid) == before
    assert 'Z' not in states(before)
    # found by the next tick, of the same minute or not
    answer = curl(url, max_time=PATIENCE)
    assert (answer.status, 'lost' in answer.body) == (500, True), answer.body
    assert ('task', 'lost', 1) in site.outcomes()
    for child in before[1:]:
        os.kill(child, signal.SIGKILL)


def test_what_systemd_kills_is_repeated_if_nothing_was_kept(site, serve, curl, until):
    site.write(session=True)
    process, url = serve('gunicorn')
    assert curl(url, max_time=PATIENCE).body == 'ok'
    pid, _ = site.began()
    # as a control group
    for each in [*family(process.pid), pid]:
        os.kill(each, signal.SIGKILL)
    process.wait()
    until(lambda: not is_alive(pid), 'the process is killed', PATIENCE)
    site.pcron('tick')
    other, _ = site.began()
    assert other != pid
    site.end()
    site.wait_for(('lost', 1), ('ok', 2))
    assert site.effects() == ['task']


def test_what_systemd_kills_is_lost_at_the_next_tick(site, serve, curl, until):
    site.write()
    process, url = serve('pserve')
    assert curl(url, max_time=PATIENCE).body == 'ok'
    pid, _ = site.began()
    for each in [*family(process.pid), pid]:
        os.kill(each, signal.SIGKILL)
    process.wait()
    until(lambda: not is_alive(pid), 'the process is killed', PATIENCE)
    assert 'lost     task' in site.pcron('tick', status=1)
    assert site.outcomes()[0] == ('task', 'lost', 1)


def test_what_is_over_the_limit_begins_at_a_following_tick(site, serve, curl):
    site.write('one process:at_most=1; two process:at_most=1')
    _, url = serve('gunicorn', '--workers', '2')
    assert curl(url, max_time=PATIENCE).body == 'ok'
    site.began('one')
    listed = {task['name']: task for task in json.loads(site.pcron('list', '--json'))['tasks']}
    assert listed['two']['last']['waits_since'] is not None
    # of another server process, whose places are the same
    assert 'it waits for a following tick: 1 process of this engine runs on' in site.pcron('tick')
    site.end()
    site.until(lambda: ('one', 'ok', 1) in site.outcomes(), 'the first one ends', PATIENCE)
    # the kernel releases the place when the process is gone
    site.until(lambda: 'queued   two' in site.pcron('tick'), 'there is a place', PATIENCE)
    site.until(lambda: ('two', 'ok', 1) in site.outcomes(), 'the second one ends', PATIENCE)
    assert not [outcome for _, outcome, _ in site.outcomes() if outcome in ('missed', 'lost', 'failed')]


def test_a_process_that_ends_before_its_task_is_missed(site, serve, curl, until):
    site.write(**{'cron.config_uri': '/nothing/shop.ini'})
    process, url = serve('gunicorn')
    assert curl(url, max_time=PATIENCE).body == 'ok'
    until(lambda: 'pcron: there is no file /nothing/shop.ini' in process.log.read_text(), 'the log has why', PATIENCE)
    assert site.outcomes() == [('task', 'queued', 1)]
    # as if it had been enqueued an hour ago
    with sqlite3.connect(site.folder / 'effects.sqlite') as connection:
        connection.execute('UPDATE cron_tasks SET started_at = started_at - 3600')
    curl(url, max_time=PATIENCE)
    assert ('task', 'missed', 1) in site.outcomes()


def test_a_frozen_process_is_taken_over_and_keeps_nothing(site, serve, curl, until):
    site.write(session=True, **{'cron.lease': '2'})
    _, url = serve('gunicorn')
    assert curl(url, max_time=PATIENCE).body == 'ok'
    pid, _ = site.began()
    os.kill(pid, signal.SIGSTOP)
    until(lambda: ('task', 'lost', 1) in tick_and_read(site, curl, url), 'its lease expires', PATIENCE)
    site.end()
    until(lambda: ('task', 'ok', 2) in site.outcomes(), 'it is repeated', PATIENCE)
    os.kill(pid, signal.SIGCONT)
    until(lambda: not is_alive(pid), 'it ends', PATIENCE)
    assert site.effects().count('task') == len([each for each in site.outcomes() if each[1] == 'ok'])


def tick_and_read(site, curl, url):
    curl(url, max_time=PATIENCE)
    return site.outcomes()
