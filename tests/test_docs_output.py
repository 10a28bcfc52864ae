"""What docs/output.rst shows of a run."""

import re
import shlex

import pytest

from pyramid_cron.scripts.pcron import main
from tests.test_docs import block


@pytest.fixture
def run(write_module, tmp_path, capsys):
    """Run a command with the example, and return what it prints."""
    module, ini = write_module(block('output', 'import logging')), tmp_path / 'stock.ini'
    ini.write_text(block('output', '[app:main]').replace('call:stock:', f'call:{module}:'))

    def run(line):
        assert main(shlex.split(line.replace('stock.ini', str(ini)))) == 0
        return capsys.readouterr().out

    return run


def without_times(text):
    return re.sub(r'\d\d:\d\d:\d\d', 'TIME', text[text.index('note ') :]).splitlines()


def test_note_and_log_are_shown(run):
    run('pcron run stock.ini shop.prices')
    shown = without_times(block('output', 'Tue 2026-12-01'))
    assert without_times(run('pcron history stock.ini shop.prices -v')) == shown
