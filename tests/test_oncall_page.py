"""The page "At 3 a.m.": its questions are those of ``pcron --help``, its answers those of ``pcron``."""

import re
import shlex
import textwrap
from datetime import timedelta
from pathlib import Path

import pytest

from pyramid_cron.scripts.pcron import PCronCommand
from pyramid_cron.scripts.questions import QUESTIONS
from pyramid_cron.times import TimeError, parse_minute, parse_past
from tests.support.clock import set_clock
from tests.support.night import Night, at

PAGE = (Path(__file__).parent.parent / 'docs' / 'oncall.rst').read_text(encoding='utf-8')
#: 02:04:30 in Berlin
NOW = at('24 01:04:30')
DUE = at('24 01:00')

TASKS = ('invoices', 'export', 'backup', 'report', 'sync', 'mail', 'purge', 'new', 'remind')

APP = """
from pyramid.config import Configurator

def main(global_config, **settings):
    with Configurator(settings=settings) as config:
        config.include('pyramid_cron')
        for name in NAMES:
            config.add_cron_task(print, cron='0 2 * * *', name=f'shop.{name}', retries=1)
        return config.make_wsgi_app()
"""


class Command(PCronCommand):
    now = staticmethod(lambda: NOW)

    def load(self):
        super().load()
        set_clock(self.registry['cron_store'].database.engine, self.now)


@pytest.fixture
def night(tmp_path):
    """The night of the page."""
    night = Night(f'sqlite:///{tmp_path}/cron.sqlite')
    night.tick(at('24 01:04'), problem='task shop.purge: another transaction holds its row')
    for name in TASKS:
        night.task(f'shop.{name}', last_minute=DUE, last_seen=NOW)
    night.run('shop.invoices', DUE, DUE + timedelta(seconds=3), host='web2')
    night.run('shop.export', DUE, DUE + timedelta(seconds=9), 'failed', error='TimeoutError')
    again = {'attempt': 2, 'scheduled_for': DUE}
    night.run('shop.export', at('24 01:02'), at('24 01:02:02'), **again)
    night.run('shop.backup', DUE, DUE + timedelta(seconds=60), 'lost', reason='process 4711 on web1 was killed')
    without = {'attempt': 0, 'trigger': 'none', 'host': None}
    for name, outcome, reason in (
        ('report', 'missed', 'no tick came in time'),
        ('sync', 'skipped', 'still running: process 4711 on web1'),
        ('mail', 'paused', 'paused by ada: the disk is full'),
    ):
        night.run(f'shop.{name}', DUE, outcome=outcome, reason=reason, **without)
    night.change('shop.purge', last_minute=DUE - timedelta(days=1))
    night.change('shop.new', first_seen=at('24 01:04'), last_minute=None)
    yield night
    night.close()


@pytest.fixture
def pcron(night, tmp_path, write_module, monkeypatch, capsys):
    path = tmp_path / 'app.ini'
    module = write_module(APP.replace('NAMES', repr(TASKS)))
    off = 'cron.schedules = shop.remind = off'
    path.write_text(f'[app:main]\nuse = call:{module}:main\n{night.settings}\n{off}\n')
    monkeypatch.delenv('COLUMNS', raising=False)

    def run(line):
        command = Command([word.replace('app.ini', str(path)) for word in shlex.split(line)])
        status = command.run()
        command.registry['cron_store'].database.engine.dispose()
        out, err = capsys.readouterr()
        assert (status, err) == (0, '')
        return out

    return run


def test_the_questions_are_those_of_the_help():
    rows = re.findall(r'^    (.*?) \| ``(pcron .*)``$', PAGE, re.MULTILINE)
    assert rows == [tuple(re.split(' {2,}', line.strip())) for line in QUESTIONS.splitlines() if ' pcron ' in line]


def test_the_answers_are_those_of_the_command(pcron):
    [block] = re.findall(r'^\.\. code-block:: text\n\n((?: +\S.*\n)+)', PAGE, re.MULTILINE)
    shown = textwrap.dedent(block).splitlines()
    assert pcron('pcron list app.ini --at 02:00').splitlines()[: len(shown)] == shown


def test_each_answer_of_the_table_has_its_row():
    answers = re.findall(r'^    (``.*?) \| (?!``pcron)', PAGE, re.MULTILINE)
    words = {word for answer in answers for word in re.findall('``(.*?)``', answer)}
    assert words >= {
        'ok',
        'failed',
        'lost',
        'missed',
        'skipped',
        'paused',
        'did not run yet',
        'not recorded',
        'to come',
    }


def test_the_times_of_the_page_are_understood():
    section = PAGE.partition('\nTimes\n')[2].partition('Without the database')[0]
    past, _, at_ = section.partition('``--at``')
    texts = [text for text in re.findall('``(.*?)``', past) if not text.startswith(('--', 'pcron'))]
    assert len(texts) == 10
    for text in texts[:9]:
        assert parse_past(text, NOW, None) <= NOW
    # of a later day than NOW is the minute of the example
    with pytest.raises(TimeError, match='in the future'):
        parse_past('2026-12-24 02:00', at('01 00:00'), None)
    for text in re.findall('``(.*?)``', at_)[:3]:
        assert parse_minute(text, NOW, None)
