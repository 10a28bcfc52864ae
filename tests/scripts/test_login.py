"""The account that runs a command."""

import sys

from pyramid_cron.scripts.login import login_name


def test_an_account_has_its_name(monkeypatch):
    monkeypatch.setenv('LOGNAME', 'ada')
    assert login_name() == 'ada'


def test_an_account_without_a_name_has_none(monkeypatch):
    for name in ('LOGNAME', 'USER', 'LNAME', 'USERNAME'):
        monkeypatch.delenv(name, raising=False)
    # as if the system had no list of accounts
    monkeypatch.setitem(sys.modules, 'pwd', None)
    assert login_name() is None
