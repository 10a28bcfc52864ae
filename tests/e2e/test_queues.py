"""Enqueued runs: the files and commands of the pages, word by word, with real workers and brokers."""

import importlib.util
import json
import os
import re
import shlex
import shutil
import socket
import ssl
import subprocess
import textwrap
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.error import HTTPError

import pytest
import redis
import yaml
from sqlalchemy import make_url

from pyramid_cron.queues import Handover

# a worker loads the application at its first message, on machines that do much else
PATIENCE = 90

BLOCK = re.compile(
    r'^(?P<indent> *)\.\. code-block:: (?P<language>\w+)\n(?:(?P=indent)    :caption: (?P<caption>\S+)\n)?\n'
    r'(?P<body>(?:(?:(?P=indent)    .*)?\n)+)',
    re.MULTILINE,
)


# a process of a worker that is killed when it gets its first message
DIES_ONCE = """
import os, signal
from pyramid.paster import get_app

def load():
    died = Path(__file__).with_name('died')
    if not died.exists():
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return get_app(str(Path(__file__).with_name('shop.ini')))

add_perform(app, load, acks_late=True)
"""


@dataclass
class Site:
    """A folder with the files of a page, and the page itself."""

    folder: Path
    program: object
    blocks: list
    replaced: dict

    def _fitted(self, text):
        for theirs, ours in self.replaced.items():
            text = text.replace(theirs, ours)
        return text

    def shown(self, language):
        return [text for kind, _, text in self.blocks if kind == language]

    def write(self, *more):
        """Write the files of the page, and others."""
        text = ''.join(text for *_, text in self.blocks)
        assert all(theirs in text for theirs in self.replaced), self.replaced
        for name, content in [*((name, content) for _, name, content in self.blocks if name), *more]:
            (self.folder / name).write_text(self._fitted(content))

    def command(self, *beginning):
        """Return the words of the one command of the page that begins with these."""
        lines = [shlex.split(self._fitted(line)) for text in self.shown('sh') for line in text.splitlines()]
        [(name, *words)] = [words for words in lines if words[: len(beginning)] == list(beginning)]
        # the page exports the first; with the second what a task prints is in the log of a worker at once
        return [self.program('env'), 'PYTHONPATH=.', 'PYTHONUNBUFFERED=1', self.program(name), *words]

    def run(self, command):
        environ = {**os.environ, 'COLUMNS': '80'}
        done = subprocess.run(command, cwd=self.folder, env=environ, capture_output=True, text=True, timeout=PATIENCE)
        print(done.args, done.stdout, done.stderr)
        assert done.returncode == 0
        return done.stdout

    def pcron(self, *words):
        return self.run([self.program('env'), 'PYTHONPATH=.', self.program('pcron'), *words])

    def statuses(self):
        return [entry.get('outcome') for entry in json.loads(self.pcron('history', 'shop.ini', '--json'))['entries']]


@pytest.fixture
def site(root, program, tmp_path):
    """Return a function that returns the site of an engine, in which some texts are replaced."""

    def make(title, **replaced):
        """Make what the page has before its first title, and below this one, or else on the page of other queues."""
        engines, others = [(root / 'docs' / f'{name}.rst').read_text('utf-8') for name in ('engines', 'otherqueues')]
        before, *sections = re.split(r'^(.+)\n-+\n', engines, flags=re.MULTILINE)
        found = BLOCK.finditer(before + (sections[sections.index(title) + 1] if title in sections else others))
        blocks = [
            (block['language'], block['caption'], textwrap.dedent(block['body']).strip() + '\n') for block in found
        ]
        return Site(tmp_path, program, blocks, replaced)

    return make


@pytest.fixture
def broker(redis_server):
    """A Redis that is empty."""
    with redis.Redis(unix_socket_path=str(redis_server.socket)) as client:
        client.flushall()
    return redis_server


def alike(text):
    """Return a text without what differs from run to run."""
    # the minute, where it is over before a worker begins
    text = re.sub(r', for \d\d:\d\d', '', text)
    text = re.sub(r'\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun)\b', 'Day', text.replace(socket.gethostname(), 'worker1'))
    return re.sub(r'\d+', '0', text).split()


def hand_over_as_the_page_shows(site, worker, until, engine='celery'):
    """Tick once, and wait for a worker that runs until the record is ok."""
    ticked, history = site.shown('text')
    assert alike(site.run(site.command('pcron', 'tick'))) == alike(ticked.replace('with celery', f'with {engine}'))
    until(lambda: site.statuses() == ['ok'], 'the record is ok', PATIENCE, worker)
    assert alike(site.run(site.command('pcron', 'history'))) == alike(history)
    assert 'invoices for' in worker.log.read_text()


def test_celery(site, broker, start, until):
    page = site('Celery', **{'redis://localhost:6379': broker.url})
    page.write()
    hand_over_as_the_page_shows(page, start(*page.command('celery')), until)


def test_a_message_of_a_celery_process_that_was_killed_is_delivered_again(site, broker, start, until):
    page = site('Celery', **{'redis://localhost:6379': broker.url})
    page.write()
    via = page.folder / 'via_celery.py'
    lines = via.read_text().replace("add_perform(app, str(Path(__file__).with_name('shop.ini')))", DIES_ONCE)
    assert DIES_ONCE in lines
    via.write_text(lines)
    page.run(page.command('pcron', 'tick'))
    worker = start(*page.command('celery'))
    until(lambda: page.statuses() == ['ok'], 'the record is ok', PATIENCE, worker)
    assert (page.folder / 'died').exists()


def test_procrastinate(site, postgresql, start, until):
    url = make_url(postgresql)
    page = site('procrastinate', **{':///shop': f'://cron@/{url.database}?host={url.query["host"]}'})
    page.write()
    page.run(page.command('procrastinate', '--app=via_procrastinate.app', 'schema'))
    worker = start(*page.command('procrastinate', '--app=via_procrastinate.app', 'worker'))
    hand_over_as_the_page_shows(page, worker, until, 'procrastinate')


@pytest.fixture
def other(site, broker):
    """Return a function that returns the site of one of the other queues, which has been handed a run."""

    def make(module):
        page = site('Any other queue', **{'redis://localhost:6379': f'unix://{broker.socket}', 'VIA': module})
        *_, ini = page.shown('text')
        page.write(('shop.ini', ini))
        assert 'queued   shop.invoices' in page.pcron('tick', 'shop.ini')
        assert page.statuses() == ['queued']
        return page

    return make


def test_rq(other):
    page = other('via_rq')
    page.run([*page.command('rq'), '--burst'])
    assert page.statuses() == ['ok']


@pytest.mark.parametrize(('module', 'name'), [('via_dramatiq', 'dramatiq'), ('via_huey', 'huey_consumer')])
def test_dramatiq_and_huey(other, start, until, module, name):
    page = other(module)
    worker = start(*page.command(name))
    until(lambda: page.statuses() == ['ok'], 'the record is ok', PATIENCE, worker)
    assert 'invoices for' in worker.log.read_text()


class Kubernetes(BaseHTTPRequestHandler):
    """Creates Jobs as the API server does, as far as these tests use it."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers['Content-Length']))
        job = yaml.safe_load(body)
        if self.headers['Authorization'] != 'Bearer a token' or self.headers['Content-Type'] != 'application/yaml':
            self._answer(403, 'Forbidden')
        elif job['metadata']['name'] in self.server.jobs:
            self._answer(409, 'AlreadyExists')
        else:
            self.server.jobs[job['metadata']['name']] = self.path, job
            self._answer(201, None)

    def _answer(self, status, reason):
        answer = json.dumps({'kind': 'Status', 'reason': reason}).encode()
        self.send_response(status)
        self.send_header('Content-Length', str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)


@pytest.fixture
def account(program, tmp_path):
    """The folder that a pod finds its account in: a token, a namespace, and the certificate of the API server."""
    folder = tmp_path / 'account'
    folder.mkdir()
    subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-days', '1']
    made = ['-newkey', 'rsa:2048', '-nodes', '-keyout', folder / 'key', '-out', folder / 'ca.crt']
    subprocess.run([program('openssl'), 'req', '-x509', *made, *subject], check=True, capture_output=True)
    (folder / 'token').write_text('a token')
    (folder / 'namespace').write_text('shop')
    return folder


@pytest.fixture
def kubernetes(account):
    """A server that answers as that of a cluster: there is none here."""
    server = HTTPServer(('localhost', 0), Kubernetes)
    server.jobs = {}
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(account / 'ca.crt', account / 'key')
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def jobs(root, site, account, kubernetes):
    """The site of an application that makes Jobs."""
    page = site(
        'Any other queue',
        **{
            'https://kubernetes.default.svc': f'https://localhost:{kubernetes.server_port}',
            '/var/run/secrets/kubernetes.io/serviceaccount': str(account),
            'VIA': 'via_job',
        },
    )
    *_, ini = page.shown('text')
    page.write(('shop.ini', ini))
    shutil.copy(root / 'docs' / 'deploy' / 'job.yaml', page.folder)
    return page


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def handover(key):
    return Handover(key, 'a task', None, None, '/srv/shop.ini')


def test_the_command_of_the_created_job_runs_the_task(jobs, kubernetes):
    assert 'queued   shop.invoices' in jobs.pcron('tick', 'shop.ini')
    [(path, job)] = kubernetes.jobs.values()
    assert path == '/apis/batch/v1/namespaces/shop/jobs'
    assert (job['apiVersion'], job['kind'], job['spec']['backoffLimit']) == ('batch/v1', 'Job', 0)
    [container] = job['spec']['template']['spec']['containers']
    # what the container would do
    assert container['command'][0] == 'pcron'
    assert 'ok       shop.invoices' in jobs.pcron(*container['command'][1:])
    assert jobs.statuses() == ['ok']


def test_the_name_of_a_job_is_a_dns_label_and_that_of_its_key_alone(jobs):
    module = load(jobs.folder / 'via_job.py')
    keys = [
        'shop:a@2026-11-24T02:00Z',
        'shop:a@2026-11-24T02:01Z',
        'shop:A@2026-11-24T02:00Z',
        '@',
        'ü' * 99,
        'a-' * 99,
    ]
    names = [module.name(key) for key in keys]
    assert [module.name(key) for key in keys] == names
    assert len(set(names)) == len(keys)
    assert [name for name in names if not re.fullmatch(r'[a-z]([a-z0-9-]{0,61}[a-z0-9])?', name)] == []


def test_a_job_that_is_there_already_is_not_an_error_and_other_answers_are(jobs, kubernetes, account):
    module = load(jobs.folder / 'via_job.py')
    sent = handover('shop:"odd\\ $name@2026-11-24T02:00Z')
    for _ in range(2):
        module.send(sent)
    [(_, job)] = kubernetes.jobs.values()
    assert job['spec']['template']['spec']['containers'][0]['command'] == list(sent.command)
    (account / 'token').write_text('another')
    with pytest.raises(HTTPError, match='403'):
        module.send(sent)


def test_the_manifest_is_valid_before_it_is_filled_in(root):
    assert yaml.safe_load((root / 'docs' / 'deploy' / 'job.yaml').read_text())['metadata']['name'] == '$NAME'
