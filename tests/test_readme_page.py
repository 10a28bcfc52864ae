"""The README: its order, its length, its example as files, and its numbers. Its commands are run by ``.ci/run``."""

import re
import sys
import textwrap
from datetime import datetime, timezone
from importlib.metadata import metadata
from pathlib import Path

import pytest

from pyramid_cron.scripts.pcron import PCronCommand
from tests.support.databases import DATABASES

ROOT = Path(__file__).parent.parent
README = (ROOT / 'README.rst').read_text(encoding='utf-8')

# the tests that hold what each item of "What you get" promises, beside those below
HELD_BY = [
    ('tests/e2e/test_cron.py', 'the_crontab_line_of_the_readme_runs_the_demo'),
    ('tests/test_transactions.py', 'each_task_is_committed_or_rolled_back_by_itself'),
    ('tests/e2e/test_cron.py', 'cron_mails_what_failed_and_nothing_else'),
    ('tests/test_docs.py', 'the_runs_on_days_on_which_the_clocks_change_are_those_of_the_tables'),
    ('tests/e2e/test_accounts.py', 'curl_gets_in_as_the_servers_account_and_as_root_and_not_as_anybody'),
    ('tests/e2e/test_accounts.py', 'no_stranger_passes_through_a_proxy'),
    ('tests/e2e/test_kills.py', 'effects_and_records_agree_whatever_is_killed'),
    ('tests/store/test_missed.py', 'a_missed_minute_is_the_last_outcome'),
    ('tests/store/test_reap.py', 'a_lost_run_is_reported_with_its_process'),
    ('tests/e2e/test_status.py', 'a_task_is_run_paused_and_resumed_without_a_script'),
    ('tests/e2e/test_status.py', 'nothing_is_wider_than_the_window'),
    ('tests/e2e/test_processes.py', 'a_task_takes_longer_than_a_worker_of_gunicorn_may'),
    ('tests/e2e/test_queues.py', 'celery'),
    ('tests/e2e/test_queues.py', 'procrastinate'),
]


def section(title):
    """Return the text of a section."""
    return re.search(rf'^{title}\n-+\n(.*?)(?=^[-]{{4,}}$|\Z)', README, re.DOTALL | re.MULTILINE)[1]


def blocks(language):
    """Return the blocks of code in a language, without their indentation."""
    found = re.findall(rf'^\.\. code-block:: {language}\n\n((?: +\S.*\n|\n)+)', README, re.MULTILINE)
    return [textwrap.dedent(block).strip() + '\n' for block in found]


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """Return the path of the example's ini file, beside its module."""
    for name, language in {'shop.py': 'python', 'shop.ini': 'ini'}.items():
        [text] = blocks(language)
        (tmp_path / name).write_text(text, encoding='utf-8')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, 'shop', raising=False)
    yield tmp_path / 'shop.ini'
    sys.modules.pop('shop', None)


def test_it_is_as_long_as_a_readme_may_be():
    assert 80 <= len(README.splitlines()) <= 120


def test_its_sections_are_in_the_order_in_which_a_reader_decides():
    titles = re.findall(r'^(.+)\n-{4,}$', README, re.MULTILINE)
    assert titles == ['What you get', 'An example', 'What it is not for', 'Try it', 'Links']
    assert len(re.findall('(?m)^- ', section('What you get'))) == 8
    assert README.index('.. image:: docs/status.png') < README.index('What it is not for')


@pytest.mark.parametrize(('path', 'name'), HELD_BY)
def test_what_it_promises_is_held_by_a_test(path, name):
    assert f'\ndef test_{name}(' in (ROOT / path).read_text(encoding='utf-8')


def test_pcron_list_prints_what_is_shown(shop, monkeypatch, capsys):
    monkeypatch.setenv('COLUMNS', '80')
    command = PCronCommand(['pcron', 'list', str(shop)])
    command.now = lambda: datetime(2026, 11, 28, 22, 54, tzinfo=timezone.utc)
    assert command.run() == 0
    [shown] = blocks('text')
    assert capsys.readouterr().out == shown


def test_the_task_forgets_what_is_old(shop):
    import shop as example

    example.last_seen.update(old=0, new=example.time.time())
    example.purge({})
    assert list(example.last_seen) == ['new']


def test_as_many_processes_are_killed_as_the_harness_kills_without_an_option():
    text = (ROOT / 'tests' / 'kills' / '__main__.py').read_text(encoding='utf-8')
    kills = int(re.search(r"'--kills', type=int, default=(\d+)", text)[1])
    assert f'{kills * len(DATABASES):,} processes' in ' '.join(README.split())
    named = [name for name in DATABASES if name in section('What you get').lower()]
    assert named == list(DATABASES)


def test_its_links_are_files_of_the_checkout():
    links = re.findall(r'<([\w/.]+)>`_', section('Links'))
    assert len(links) >= 6
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_on_pypi_no_link_leads_to_a_file_that_is_not_there():
    """Of the installed package: install a checkout again when the README has changed."""
    shown = metadata('pyramid_cron').get_payload()
    targets = re.findall(r'<([^>\s]+)>`_|image:: (\S+)', shown)
    assert len(targets) > 8
    assert [target for target in map(''.join, targets) if not target.startswith('https://')] == []
