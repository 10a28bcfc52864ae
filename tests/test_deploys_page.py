"""The examples of docs/deploys.rst: what ``pcron`` prints for its files."""

import importlib
import re
import sys
import textwrap
from datetime import datetime, timezone
from pathlib import Path

import pytest
from pyramid.exceptions import ConfigurationError
from pyramid.paster import get_app

from pyramid_cron.scripts.pcron import PCronCommand
from pyramid_cron.scripts.plan import LABELS, ORDER
from pyramid_cron.store.deploy_plan import SAME
from pyramid_cron.testing import tick

PAGE = (Path(__file__).parent.parent / 'docs' / 'deploys.rst').read_text(encoding='utf-8')
BLOCKS = re.findall(r'^\.\. code-block:: \w+\n((?: +:.*\n)*)\n((?: +\S.*\n|\n)+)', PAGE, re.MULTILINE)
NOW = datetime(2026, 12, 23, 23, 7, tzinfo=timezone.utc)


def block(start):
    """Return the block of the page that begins with some text."""
    [found] = [text for _, text in BLOCKS if textwrap.dedent(text).strip().startswith(start)]
    return textwrap.dedent(found).strip()


@pytest.fixture
def files(tmp_path, monkeypatch):
    """The files of the page, in the current directory."""
    for options, text in BLOCKS:
        if ':caption:' in options:
            (tmp_path / options.split(':caption:')[1].strip()).write_text(textwrap.dedent(text))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.invalidate_caches()
    yield tmp_path
    for module in 'shop', 'before', 'test_staging':
        sys.modules.pop(module, None)


@pytest.fixture
def pcron(files, monkeypatch, capsys):
    """Run the command at ``NOW`` in 80 columns, and return its exit status and what it printed."""
    monkeypatch.setenv('COLUMNS', '80')

    def run(*argv):
        command = PCronCommand(['pcron', *argv])
        command.now = lambda: NOW
        return command.run(), capsys.readouterr().out.strip()

    return run


def test_the_list_of_staging_is_that_of_the_page(pcron):
    assert pcron('list', 'staging.ini') == (0, block('NEXT RUN'))


BEFORE = """
from shop import Configurator, invoices, remind

def stock(system): ...

def main(global_config, **settings):
    with Configurator(settings={**settings, 'cron.app': 'shop'}) as config:
        config.include('pyramid_cron')
        config.add_cron_task(remind, cron='0 9 * * mon-fri', name='shop.mail')
        config.add_cron_task(stock, cron='*/15 * * * *', name='shop.stock')
        config.add_cron_task(invoices, cron='30 3 * * *')
        return config.make_wsgi_app()
"""


@pytest.mark.slow
def test_the_plan_of_the_page_is_that_of_its_application(files, pcron):
    (files / 'before.py').write_text(BEFORE)
    store = f'cron.timezone = Europe/Berlin\ncron.store = sqlite:///{files}/cron.sqlite\n'
    for name, module in ('before.ini', 'before'), ('production.ini', 'shop'):
        (files / name).write_text(f'[app:main]\nuse = call:{module}:main\n{store}')
    before = get_app('before.ini').registry
    try:
        # not ahead of the clock of the machine
        tick(before, NOW.replace(year=2020))
        before['cron_store'].pause(['shop.mail'], reason='mail is down', requested_by='ada')
        assert pcron('plan', 'production.ini') == (3, block('gone'))
        assert pcron('plan', 'production.ini', '--gone', 'shop.mail', '--gone', 'shop.stock')[0] == 0
    finally:
        before['cron_store'].database.engine.dispose()


def test_each_word_of_the_plan_has_a_row():
    table = PAGE.partition('Word | The task | Status\n')[2].partition('\n\n')[0]
    shown = [word for line in table.splitlines() for word in re.findall('``(.*?)``', line.partition('|')[0])]
    changes = [LABELS.get(change, change) for change in ORDER if change != SAME]
    assert sorted(shown) == sorted([*changes, 'paused', 'running', 'enqueued'])


def test_the_test_of_the_page_passes(files):
    importlib.import_module('test_staging').test_staging_sends_no_mail()


def test_a_line_for_no_task_has_the_message_of_the_page(files):
    with pytest.raises(ConfigurationError) as caught:
        importlib.import_module('shop').main({}, **{'cron.schedules': 'shop.remnd = off'})
    assert str(caught.value) == block('bad setting')


def test_the_dict_of_the_page_is_taken(files):
    settings = {}
    [statement] = re.findall(r"``(settings\['cron.schedules'\] = .*?)``", PAGE)
    exec(statement, {'settings': settings})
    tasks = importlib.import_module('shop').main({}, **settings).registry['cron_tasks']
    assert [str(task.schedule) for task in tasks] == ['off', '30 3 * * *']
