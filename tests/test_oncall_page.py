"""The page "At 3 a.m.": the questions of ``pcron --help``, and what the commands print after one made night."""

import re
import shlex
import textwrap
from datetime import timedelta
from pathlib import Path

import pytest
from pyramid.paster import get_app
from sqlalchemy import update
from webtest import TestApp

from pyramid_cron import Task
from pyramid_cron.schedules.clock import parse_zone
from pyramid_cron.scripts.pcron import PCronCommand
from pyramid_cron.scripts.questions import QUESTIONS
from pyramid_cron.store.schedule_text import write_schedule
from pyramid_cron.store.schema import processes
from tests.support.clock import set_clock
from tests.support.night import Night, at

PAGE = (Path(__file__).parent.parent / 'docs' / 'oncall.rst').read_text(encoding='utf-8')
#: 02:04:30 in Berlin
NOW = at('24 01:04:30')
DUE = at('24 01:00')
SYNC_BEGAN = at('24 00:50')

TASKS = {f'shop.{name}': '0 2 * * *' for name in ('invoices', 'export', 'backup', 'report', 'mail', 'purge', 'new')}
TASKS |= {'shop.sync': '*/10 * * * *', 'shop.vat': '30 3 * * *'}
GONE = {'shop.stock': '15 4 * * *'}

APP = """
from pyramid.config import Configurator
from pyramid.csrf import CookieCSRFStoragePolicy
from pyramid.security import NO_PERMISSION_REQUIRED as ANYBODY

def work(system):
    pass

def main(global_config, **settings):
    with Configurator(settings=settings) as config:
        config.include('pyramid_cron')
        for name, line in TASKS.items():
            options = {'catch_up': 120} if name == 'shop.report' else {}
            config.add_cron_task(work, cron=line, name=name, retries=1, **options)
        config.include('pyramid_cron.status')
        config.set_csrf_storage_policy(CookieCSRFStoragePolicy())
        config.add_cron_status('/admin/cron', permission=ANYBODY, write_permission=ANYBODY)
        return config.make_wsgi_app()
"""

TRACEBACK = """\
Traceback (most recent call last):
  File "/srv/shop/export.py", line 12, in export
    send(rows)
TimeoutError: no answer from the supplier
"""

LOCKED = 'another transaction holds its row'

BLOCK = re.compile(r'^\.\. code-block:: text\n\n((?: +\S.*\n)+)', re.MULTILINE)


class Command(PCronCommand):
    now = staticmethod(lambda: NOW)

    def load(self):
        super().load()
        set_clock(self.registry['cron_store'].database.engine, self.now)


def stored(line):
    return write_schedule(Task(print, cron=line, timezone=parse_zone('Europe/Berlin')))


@pytest.fixture
def night(tmp_path):
    """The night of the page."""
    night = Night(f'sqlite:///{tmp_path}/cron.sqlite')
    night.tick(at('24 01:04'), problem=f'task shop.purge: {LOCKED}')
    for name, line in {**TASKS, **GONE}.items():
        night.task(name, schedule=stored(line), last_minute=DUE, last_seen=NOW)
    night.change('shop.vat', good_seconds='95 120 130 140 160')
    night.run('shop.invoices', DUE, DUE + timedelta(seconds=3), host='web2')
    error = {'error': 'TimeoutError', 'traceback': TRACEBACK}
    output = {'note': '4 of 9 files', 'log': '02:00:08 WARNING shop.export: file 5 has no rows'}
    night.run('shop.export', DUE, DUE + timedelta(seconds=9), 'failed', **error, **output)
    last = {'last_outcome': 'failed', 'last_outcome_for': DUE, 'last_finished': DUE + timedelta(seconds=9)}
    night.change('shop.export', **last, last_error='TimeoutError', failures_in_a_row=1)
    night.run('shop.backup', DUE, DUE + timedelta(seconds=60), 'lost', reason='process 4711 on web1 was killed')
    without = {'attempt': 0, 'trigger': 'none', 'host': None}
    for name, outcome, reason in (
        ('report', 'missed', f'ticks failed: task shop.report: {LOCKED}'),
        ('sync', 'skipped', 'still running: process 12 on web2'),
        ('mail', 'paused', 'paused by ada: the disk is full'),
    ):
        night.run(f'shop.{name}', DUE, outcome=outcome, reason=reason, **without)
    night.claim('shop.sync', SYNC_BEGAN, attempt=1)
    night.execute(update(processes).values(lease_until=(NOW + timedelta(minutes=1)).timestamp()))
    night.run('shop.sync', SYNC_BEGAN, None, 'running', host='web2', pid=12)
    night.pause('shop.mail', at('23 15:40'))
    night.change('shop.purge', last_minute=DUE - timedelta(days=1))
    night.change('shop.new', first_seen=at('24 01:03'), last_minute=None)
    yield night
    night.close()


@pytest.fixture
def ini(night, tmp_path, write_module):
    path = tmp_path / 'app.ini'
    module = write_module(APP.replace('TASKS', repr(TASKS)))
    path.write_text(f'[app:main]\nuse = call:{module}:main\n{night.settings}\n')
    return str(path)


@pytest.fixture
def pcron(ini, monkeypatch, capsys):
    monkeypatch.delenv('COLUMNS', raising=False)
    monkeypatch.setenv('LOGNAME', 'ada')

    def run(line):
        command = Command([word.replace('app.ini', ini) for word in shlex.split(line)])
        command.run()
        command.registry['cron_store'].database.engine.dispose()
        out, err = capsys.readouterr()
        assert err == ''
        return out

    return run


def blocks():
    """Return each command of the page with the lines that it prints there."""
    for block in BLOCK.findall(PAGE):
        command, *lines = textwrap.dedent(block).splitlines()
        yield command.removeprefix('$ '), lines


def without_lengths(text):
    return re.sub(r'\b\d+\.\d{3} s', '0 s', text)


def parts(lines):
    """Return the texts between lines of three dots, which stand for any others."""
    return [part.strip('\n') for part in re.split(r'^\.\.\.$', '\n'.join(lines), flags=re.MULTILINE)]


def test_the_questions_and_commands_are_those_of_the_help():
    titles = re.findall(r'^(.+)\n-{4,}$', PAGE, re.MULTILINE)
    questions = dict(re.split(' {2,}', line.strip()) for line in QUESTIONS.splitlines() if ' pcron ' in line)
    assert questions.popitem()[1] == 'pcron doctor app.ini'
    assert '``pcron doctor app.ini``' in PAGE.partition('\n---')[0]
    assert len(titles) == 10
    # one title has two questions
    assert '\n'.join(titles).replace(', or for', '\nRun it for') == '\n'.join(questions)
    commands = [command for command, _ in blocks()]
    for command, written in zip(questions.values(), commands, strict=True):
        words = re.escape(command).replace('TASK', r'shop\.\w+').replace('WHY', "'.*'")
        assert re.fullmatch(words, written)


@pytest.mark.slow
@pytest.mark.parametrize(('command', 'lines'), blocks())
def test_the_command_prints_what_the_page_shows(command, lines, pcron):
    printed = without_lengths(pcron(command))
    for part in map(without_lengths, parts(lines)):
        assert not part or f'\n{part}\n' in f'\n{printed}'


def test_each_answer_has_a_row_in_the_table():
    answers = re.findall(r'^    (``.*?) \| ', PAGE, re.MULTILINE)
    words = {word for answer in answers for word in re.findall('``(.*?)``', answer)}
    [shown] = [lines for command, lines in blocks() if command == 'pcron list app.ini --at 02:00']
    for line in shown[1:]:
        answer = line[24:] if line.startswith('due') else 'not due'
        assert [word for word in words if answer.startswith(word)], line


@pytest.mark.slow
@pytest.mark.parametrize(
    ('path', 'texts'),
    [
        ('', ['What was due at …?', 'The night at a glance', 'Needs attention', 'state=running']),
        ('/task?name=shop.report', ['Run now …', 'Run for this minute …']),
        ('/task?name=shop.export', ['Run for this minute …', 'Acknowledge …']),
        ('/task?name=shop.sync', ['Stop …', '<button>Stop the run</button>']),
        ('/task?name=shop.mail', ['by ada since Wed 2026-12-23 16:40 until it is resumed: the disk is full']),
    ],
)
def test_the_status_page_has_what_the_page_names(ini, path, texts):
    application = get_app(ini)
    engine = application.registry['cron_store'].database.engine
    set_clock(engine, lambda: NOW)
    try:
        shown = TestApp(application).get(f'/admin/cron{path}').text
    finally:
        engine.dispose()
    for text in texts:
        assert text in shown
