"""The application of docs/porting.rst: a server, a worker, Redis and PostgreSQL, with ticks by HTTP."""

import contextlib
import json
import os
import re
import socket
import subprocess
import textwrap
from datetime import datetime, timedelta, timezone

import psycopg
import pytest
import redis
from sqlalchemy import make_url

# a worker loads the application, on machines that do much else
PATIENCE = 150


class Site:
    """The installed example with an ini file of its own, its database, and what it sends and writes."""

    def __init__(self, folder, ini, connection, metrics, run):
        self.ini = ini
        self._connection = connection
        self.folder = folder
        self._socket = metrics
        self._run = run
        self._metrics = []

    def pcron(self, *words):
        return self._run('pcron', *words)

    def fill(self):
        """Make an account with a token that expires soon, and one with two, of which one expired long ago."""
        self.execute(
            "INSERT INTO accounts (id, email) SELECT i, 'account' || i || '@example.com' FROM unnest('{1,2}'::int[]) i"
        )
        self.execute(
            "INSERT INTO tokens (id, account_id, expires) VALUES (1, 1, now() + interval '3 days'),"
            " (2, 2, now() - interval '30 days'), (3, 2, now() + interval '30 days')"
        )

    def execute(self, statement):
        self._connection.execute(statement)

    def rows(self, statement):
        return self._connection.execute(statement).fetchall()

    def tokens(self):
        return [number for [number] in self.rows('SELECT id FROM tokens ORDER BY id')]

    def reminded(self):
        return [number for [number] in self.rows('SELECT id FROM accounts WHERE reminded IS NOT NULL')]

    @contextlib.contextmanager
    def lock(self):
        """Hold what the tasks lock the tokens with."""
        self.execute("SELECT pg_advisory_lock(hashtext('tokens'))")
        yield
        self.execute("SELECT pg_advisory_unlock(hashtext('tokens'))")

    @property
    def mails(self):
        return [path.read_text() for path in (self.folder / 'mail').glob('*.eml')]

    @property
    def metrics(self):
        """What has been sent until now."""
        while True:
            try:
                self._metrics.append(self._socket.recv(1000).decode())
            except BlockingIOError:
                return self._metrics

    def outcomes(self, task):
        """Return the attempts and outcomes of a task, the oldest first."""
        found = self.rows(f"SELECT attempt, outcome FROM cron_runs WHERE task LIKE '%.{task}' ORDER BY started")
        return [(attempt, outcome) for attempt, outcome in found]


def lines(process):
    """Return the structured log of a process."""
    return [json.loads(line) for line in process.log.read_text().splitlines() if line.startswith('{')]


def ends(process, task):
    """Return what the log has of the ends of a task."""
    return [
        (line['outcome'], line['attempt'], line['will_retry'], line['reason'])
        for line in lines(process)
        if line['message'] == 'task ended' and line['task'] == f'pyramid_cron_port.tasks.{task}'
    ]


def shown(page):
    """Return the texts that a page shows: of ``pcron run`` the first lines, of ``pcron history`` one run."""
    blocks = re.findall(r'^\.\. code-block:: text\n\n((?:    .*\n|\n)+)', page.read_text('utf-8'), re.MULTILINE)
    ran, history = map(textwrap.dedent, blocks)
    return ran.partition('@')[0], history.partition('UTC\n')[2]


def alike(text):
    """Return the words of a text, without what differs from run to run."""
    return re.sub(r'\d+', '0', text.replace(socket.gethostname(), 'worker1').replace('@', ' ')).split()


@pytest.fixture
def site(root, program, postgresql, redis_server, tmp_path, free_port):
    """A site with its tables; purge_tokens is due in a minute that is past, and the other tasks are due now."""
    with redis.Redis(unix_socket_path=str(redis_server.socket)) as client:
        client.flushall()
    metrics = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    metrics.bind(('127.0.0.1', 0))
    metrics.setblocking(False)
    url = make_url(postgresql)
    earlier = datetime.now(timezone.utc) - timedelta(minutes=5)
    text = (root / 'examples' / 'port.ini').read_text()
    for theirs, ours in {
        'postgresql+psycopg:///port': postgresql,
        'redis://localhost:6379': redis_server.url,
        'localhost:8125': f'127.0.0.1:{metrics.getsockname()[1]}',
        '%(here)s/var/mail': '%(here)s/mail',
        'listen = localhost:6543': f'listen = 127.0.0.1:{free_port()}',
        'cron.timezone = UTC': f"""cron.timezone = UTC
cron.schedules =
    pyramid_cron_port.tasks.count_tokens = * * * * *
    pyramid_cron_port.tasks.remind = * * * * *
    pyramid_cron_port.tasks.purge_tokens = {earlier.minute} * * * *
""",
    }.items():
        assert theirs in text
        text = text.replace(theirs, ours)
    ini = tmp_path / 'port.ini'
    ini.write_text(text)

    def run(name, *words):
        environ = {**os.environ, 'LOGNAME': 'ada'}
        done = subprocess.run([program(name), *words], capture_output=True, text=True, timeout=PATIENCE, env=environ)
        print(done.args, done.stdout, done.stderr)
        assert done.returncode == 0
        return done.stdout

    with metrics, psycopg.connect(host=url.query['host'], user='cron', dbname=url.database, autocommit=True) as opened:
        run('python', '-m', 'pyramid_cron_port.tables', str(ini))
        yield Site(tmp_path, ini, opened, metrics, run)


@pytest.fixture
def server(site, start, program, until):
    """The site's server; its ``url`` is where it listens."""
    [listen] = [line.split()[-1] for line in site.ini.read_text().splitlines() if line.startswith('listen')]
    process = start(program('pserve'), str(site.ini))
    until(lambda: 'Serving on' in process.log.read_text(), 'the server listens', PATIENCE, process)
    process.url = f'http://{listen}'
    return process


@pytest.fixture
def worker(site, start, program):
    command = [program('celery'), '-A', 'pyramid_cron_port.worker', 'worker', '--concurrency', '1']
    return start(program('env'), f'PORT_INI={site.ini}', *command)


@pytest.fixture
def known(site, worker, until):
    """Make the store know the tasks since ten minutes ago, before there is a row that they find.

    A later tick catches up with a minute between.
    """
    at = datetime.now(timezone.utc) - timedelta(minutes=10)
    assert 'queued   pyramid_cron_port.tasks.remind' in site.pcron(
        'tick', str(site.ini), '--at', f'{at:%Y-%m-%d %H:%M}'
    )
    until(lambda: site.outcomes('remind') == [(1, 'ok')], 'the worker has run it', PATIENCE, worker)
    assert site.mails == []
    site.fill()


@pytest.mark.usefixtures('known')
def test_a_task_that_finds_a_lock_taken_is_tried_again(site, server, worker, curl, until):
    with site.lock():
        assert curl(f'{server.url}/cron').body == 'ok'
        until(lambda: site.outcomes('purge_tokens') == [(1, 'failed')], 'it has failed', PATIENCE, worker)
        # what a view queues is tried again by Celery
        assert curl(f'{server.url}/accounts/1/revoke', '-X', 'POST').status == 200
        until(lambda: 'retry: Retry in' in worker.log.read_text(), 'the message is sent again', PATIENCE, worker)
        assert site.tokens() == [1, 2, 3]
    until(lambda: site.tokens() == [2, 3], 'the view has what it queued', PATIENCE, worker)
    # it is tried again at the first tick of the next minute
    [[ended]] = site.rows("SELECT max(finished) FROM cron_runs WHERE task LIKE '%purge_tokens'")
    due = ended.replace(second=0, microsecond=0, tzinfo=timezone.utc) + timedelta(minutes=1)
    until(lambda: datetime.now(timezone.utc) >= due, 'the next minute', PATIENCE)
    assert curl(f'{server.url}/cron').body == 'ok'
    until(lambda: site.outcomes('purge_tokens')[-1] == (2, 'ok'), 'it was tried again', PATIENCE, worker)
    until(lambda: len(ends(worker, 'purge_tokens')) == 2, 'both are in the log', PATIENCE, worker)
    assert ends(worker, 'purge_tokens') == [('failed', 1, True, None), ('ok', 2, False, None)]
    assert site.tokens() == [3]
    assert 'port.tokens_purged:1|g' in site.metrics


@pytest.mark.usefixtures('known')
def test_a_minute_has_its_effect_once(site, server, worker, curl, until):
    (site.folder / 'mail').write_text('in the way of the folder of that name')
    for _ in range(3):
        assert curl(f'{server.url}/cron').status == 200
    until(lambda: site.reminded() == [1], 'the account is marked', PATIENCE, worker)
    until(lambda: 'FileExistsError' in worker.log.read_text(), 'the mail cannot be written', PATIENCE, worker)
    (site.folder / 'mail').unlink()
    until(lambda: site.mails, 'Celery has tried the mail again', PATIENCE, worker)
    [mail] = site.mails
    assert 'To: account1@example.com' in mail
    assert site.metrics.count('port.mails:1|c') == 1
    # this one runs in the server itself
    assert 'port.tokens:2|g' in site.metrics
    name = 'pyramid_cron_port.tasks.count_tokens'
    assert f'port.cron.ended:1|c|#task:{name},outcome:ok' in site.metrics
    # three requests, in a minute or two
    assert set(ends(server, 'count_tokens')) == {('ok', 1, False, None)}
    assert ends(server, 'remind')[0] == ('queued', 1, False, None)
    assert ends(worker, 'remind')[-1] == ('ok', 1, False, None)


@pytest.mark.usefixtures('known')
def test_nothing_is_written_in_the_read_only_mode(root, site, worker, until):
    site.execute("INSERT INTO flags (name, is_on) VALUES ('read-only', true)")
    names = [f'pyramid_cron_port.tasks.{name}' for name in ('count_tokens', 'remind', 'purge_tokens')]
    ran, history = shown(root / 'docs' / 'porting.rst')
    assert alike(site.pcron('run', str(site.ini), *names))[: len(alike(ran))] == alike(ran)
    until(lambda: site.outcomes('remind')[-1] == (1, 'skipped'), 'the worker has skipped it', PATIENCE, worker)
    until(lambda: site.outcomes('purge_tokens') == [(1, 'skipped')], 'the worker has skipped it', PATIENCE, worker)
    assert ' '.join(alike(history)) in ' '.join(alike(site.pcron('history', str(site.ini), names[1])))
    assert site.outcomes('count_tokens')[-1] == (1, 'ok')
    assert ends(worker, 'purge_tokens') == [('skipped', 1, False, 'read-only mode')]
    assert (site.tokens(), site.reminded(), site.mails) == ([1, 2, 3], [], [])
    assert 'port.tokens:2|g' in site.metrics
