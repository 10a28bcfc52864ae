"""The command without its script: ``python -m pyramid_cron``."""

import runpy
import sys

import pytest


def test_the_module_is_the_command(monkeypatch, capsys):
    monkeypatch.setattr(sys, 'argv', ['pcron', '--version'])
    with pytest.raises(SystemExit) as ended:
        runpy.run_module('pyramid_cron', run_name='__main__')
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith('pyramid_cron ')
