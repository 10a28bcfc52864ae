"""``pcron rehearse``: a run that is rolled back."""

import io
import re
import shlex
import sqlite3
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import pytest

from pyramid_cron.rehearsal.findings import Findings, Write
from pyramid_cron.rehearsal.held import REHEARSAL
from pyramid_cron.scripts.rehearse import LIMITS, findings_lines

PAGE = Path(__file__).parents[2] / 'docs' / 'rehearse.rst'
APP = """
import sqlite3
import subprocess
import sys

from pyramid.config import Configurator
from pyramid.response import Response


def connection(system):
    return sqlite3.connect(system['registry'].settings['shop'])


def invoices(system):
    with connection(system) as shop:
        shop.execute("INSERT INTO invoices VALUES (1, ?)", [str(system['scheduled_for'])])
        shop.execute("INSERT INTO invoices VALUES (2, ?)", [str(system['since'])])
    print([text for number, text in shop.execute('SELECT * FROM invoices')])


def exports(system):
    subprocess.run([sys.executable, '-c', ''])


def fails(system):
    raise RuntimeError('why')


def closed(handler, registry):
    return lambda request: Response(status=503)


def main(global_config, **settings):
    with Configurator(settings=settings) as config:
        config.include('pyramid_cron')
        if 'closed' in settings:
            config.add_tween(__name__ + '.closed')
        config.add_cron_task(invoices, min=0, hour=2, name='shop.invoices')
        config.add_cron_task(exports, min=0, hour=3, name='shop.exports')
        config.add_cron_task(fails, min=0, hour=3, name='shop.fails', store=False)
        return config.make_wsgi_app()
"""
INI = """
[app:main]
use = call:{module}:main
cron.timezone = Europe/Berlin
shop = {path}/shop.sqlite
{settings}
"""


@pytest.fixture
def shop(tmp_path):
    path = tmp_path / 'shop.sqlite'
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute('CREATE TABLE invoices (number integer, text text)')
    return path


@pytest.fixture
def rehearse(pcron, shop, write_module, tmp_path):
    """Return a function that calls the command, and returns its status and what it printed."""
    module = write_module(APP)

    def run(*arguments, settings='', command='rehearse'):
        path = tmp_path / 'shop.ini'
        path.write_text(INI.format(module=module, path=tmp_path, settings=settings))
        return pcron(command, str(path), *arguments, columns=200)

    yield run
    assert REHEARSAL.findings is None
    REHEARSAL.not_held.clear()


def example(kind):
    """Return the first example of a kind on the page about rehearsals."""
    page = PAGE.read_text(encoding='utf-8')
    return textwrap.dedent(re.search(rf'\.\. code-block:: {kind}\n(?:    :.*\n)*\n((?:    .*\n|\n)+)', page)[1]).strip()


def test_the_page_shows_what_the_command_prints(pcron, tmp_path, write_module):
    module, path = write_module(example('python')), tmp_path / 'shop.ini'
    path.write_text(example('ini').replace('call:shop:', f'call:{module}:'))
    with closing(sqlite3.connect(tmp_path / 'shop.sqlite')) as connection, connection:
        connection.executescript("""
            CREATE TABLE customers (id integer); INSERT INTO customers VALUES (1), (2), (3);
            CREATE TABLE reminders (id integer); INSERT INTO reminders VALUES (1), (2);
            CREATE TABLE invoices (customer integer, month text);
        """)
    words = shlex.split(example('sh').replace('shop.ini', str(path)))
    status, out, _ = pcron(*words[1:], columns=80)
    # SQLAlchemy may execute one of its own with the first connection
    out = re.sub('statements: [23]', 'statements: 2', re.sub(r'[\d.]+ s', '0.012 s', out))
    assert (status, out.strip()) == (0, example('text'))
    assert invoices(tmp_path / 'shop.sqlite') == []


def invoices(shop):
    with closing(sqlite3.connect(shop)) as connection:
        return connection.execute('SELECT * FROM invoices').fetchall()


def test_it_shows_what_the_task_would_write(rehearse, shop):
    status, out, err = rehearse('shop.invoices', '--for', '2026-12-24 02:00', '--yes')
    lines = out.splitlines()
    assert lines[0] == "['2026-12-24 02:00:00+01:00', 'None']"
    assert lines[1].startswith('ok       shop.invoices, 0.')
    assert lines[1].endswith(', for 2026-12-24 02:00+01:00')
    assert lines[2:] == [
        'It would write, and all of that was rolled back:',
        '    invoices: insert 2',
        'statements: 3',
        'commits by itself: yes, once; held back',
    ]
    assert (status, err, invoices(shop)) == (0, '', [])


def test_the_statuses(rehearse):
    status, out, _ = rehearse('shop.fails', '--yes')
    assert (status, out.splitlines()[1:]) == (
        1,
        ['It writes nothing that can be seen.', 'statements: 0', 'commits by itself: no'],
    )
    status, out, _ = rehearse('shop.exports', '--yes')
    assert (status, out.splitlines()[4:]) == (3, ['NOT HELD BACK:', f'    process started: {sys.executable} -c'])


def test_the_task_finds_its_last_success(rehearse, tmp_path, shop):
    settings = f'cron.store = sqlite:///{tmp_path}/cron.sqlite\ncron.keep_history = 100000'
    for arguments in (['--at', '2026-12-23 02:00'],):
        rehearse(*arguments, settings=settings, command='tick')
    assert len(invoices(shop)) == 2
    status, out, _ = rehearse('shop.invoices', '--yes', settings=settings)
    assert status == 0
    assert out.splitlines()[0].endswith("'2026-12-23 02:00:00+01:00']")
    assert len(invoices(shop)) == 2
    with closing(sqlite3.connect(tmp_path / 'cron.sqlite')) as connection:
        assert connection.execute("SELECT count(*) FROM cron_runs WHERE outcome = 'ok'").fetchone() == (1,)
    (tmp_path / 'junk.sqlite').write_bytes(b'no database' * 100)
    status, out, err = rehearse('shop.invoices', '--yes', settings=settings.replace('cron.sqlite', 'junk.sqlite'))
    assert (status, out.splitlines()[0].endswith("'None']")) == (0, True)
    assert err.startswith("pcron: without system['since']: ")


def terminal(text):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    return Terminal(text)


@pytest.mark.parametrize(('answer', 'begins'), [('y\n', True), ('n\n', False), ('\n', False), ('', False)])
def test_it_prompts_on_a_terminal(rehearse, monkeypatch, answer, begins):
    monkeypatch.setattr(sys, 'stdin', terminal(answer))
    monkeypatch.setattr(sys.stdout, 'isatty', lambda: True, raising=False)
    status, out, _ = rehearse('shop.invoices')
    assert out.startswith(LIMITS[0])
    assert 'Rehearse shop.invoices now? [y/N]' in out
    assert (status, 'Nothing was run.' in out, 'insert 2' in out) == ((0, False, True) if begins else (1, True, False))


@pytest.mark.parametrize(
    ('arguments', 'problem'),
    [
        (['shop.invoices'], 'rehearse runs the task, and prompts before that on a terminal: elsewhere it needs --yes'),
        ([], "name the tasks to rehearse; 'pcron list' shows their names"),
        (['shop.invoices', 'shop.exports', '--yes'], 'name one task to rehearse'),
        (['shop.invioces', '--yes'], "no cron task is named 'shop.invioces'; is shop.invoices meant?"),
        (['shop.invoices', '--yes', '--for', 'once'], "--for 'once' is not a time such as '2026-12-24 00:00' or 02:00"),
    ],
)
def test_wrong_uses(rehearse, arguments, problem):
    assert rehearse(*arguments)[::2] == (2, f'pcron: {problem}\n')


def test_an_application_that_cannot_be_held_back(rehearse):
    REHEARSAL.not_held.update(['pyodbc', 'mariadb'])
    status, _, err = rehearse('shop.invoices', '--yes')
    problem = 'the application has connections of mariadb, pyodbc, which cannot be held back; nothing was run'
    assert (status, err) == (2, f'pcron: {problem}\n')


def test_an_application_that_answers_before(rehearse):
    status, _, err = rehearse('shop.invoices', '--yes', settings='closed = true')
    assert (status, err) == (1, 'pcron: the application answered 503 Service Unavailable before its tasks could run\n')


def test_many_lines_are_cut():
    findings = Findings()
    for number in range(32):
        findings.escape(f'file written: {number}')
    lines = list(findings_lines(findings, 80))
    assert lines[-2:] == ['    file written: 29', '    and 2 more']


def test_the_lines_of_all_that_can_be_found():
    findings = Findings()
    for write, rows in {
        Write('shop', 'items', 'insert'): 1200,
        Write('shop', 'items', 'delete'): 3,
        Write('stock', 'items', 'create'): 0,
    }.items():
        findings.write(write, rows)
    with findings.in_task():
        findings.commit()
        findings.commit()
    findings.violate('a key')
    findings.mail('to ada')
    findings.refuse('a driver')
    findings.escape('a file')
    assert list(findings_lines(findings, 80)) == [
        'It would write, and all of that was rolled back:',
        '    shop: items: delete 3, insert 1,200',
        '    stock: items: create',
        'statements: 0',
        'commits by itself: yes, 2 times; held back',
        'Its commit would fail:',
        '    a key',
        'Mails that were not sent:',
        '    to ada',
        'Refused, so that the run is not as it would be:',
        '    a driver',
        'NOT HELD BACK:',
        '    a file',
    ]
