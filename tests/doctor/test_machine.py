import getpass
import os
import time
from datetime import datetime, timezone

import pytest

from pyramid_cron.doctor.machine import account_name, examine_account, examine_zone, is_root, uid_of
from pyramid_cron.settings import Settings

NOW = datetime(2026, 12, 24, 11, 0, tzinfo=timezone.utc)


def test_the_account_has_a_name(monkeypatch):
    import pwd

    assert account_name() == pwd.getpwuid(os.geteuid()).pw_name
    # an account without a name, which could not read the files of this Python
    monkeypatch.setattr(os, 'geteuid', lambda: 4242424)
    assert account_name() == '4242424'
    monkeypatch.delattr(os, 'geteuid')
    assert account_name() == getpass.getuser()


def test_root_and_uids_are_known(monkeypatch):
    assert is_root() == (os.geteuid() == 0)
    assert uid_of('root') == 0
    with pytest.raises(LookupError):
        uid_of('no-such-account')
    monkeypatch.delattr(os, 'geteuid')
    assert not is_root()


def test_the_account_is_not_that_of_all_lines():
    assert examine_account('me', ['me']).text == 'checked as me'
    assert examine_account('me', ['root', 'shop', 'me']).text == (
        'checked as me, and lines of crontabs are of me, root, shop'
    )


def zone(environ, **settings):
    [found] = examine_zone(Settings.parse(settings), environ, NOW)
    return found


def test_a_zone_of_the_settings_is_ok():
    found = zone({'TZ': 'Nowhere'}, **{'cron.timezone': 'Europe/Berlin'})
    assert found == ('ok', 'zone', 'schedules are in Europe/Berlin, where it is Thu 12:00 (+0100)', '')


@pytest.mark.parametrize(
    ('name', 'status', 'text'),
    [
        (None, 'ok', '; cron.timezone is not set'),
        ('America/New_York', 'warn', "here Thu 06:00 (-0500) by TZ='America/New_York'"),
        ('Nowhere/Else', 'fail', "TZ='Nowhere/Else' names no time zone"),
    ],
)
def test_local_time_depends_on_the_environment(local_time, name, status, text):
    local_time(name)
    assert time.tzname
    found = zone(os.environ)
    assert found.status == status
    assert text in found.text
