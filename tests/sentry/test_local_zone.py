"""The name of the machine's time zone."""

from datetime import datetime, timezone

import pytest

from pyramid_cron.sentry.local_zone import local_zone_name

NOW = datetime(2026, 11, 23, tzinfo=timezone.utc)


@pytest.fixture
def name(tmp_path, local_time):
    """Return a function that returns the name on a machine in a time zone, set up by files or by ``TZ``."""

    def find(machine, environ=None, link=None, text=None):
        local_time(machine)
        localtime, file = tmp_path / 'localtime', tmp_path / 'timezone'
        if link is not None:
            localtime.symlink_to(f'/usr/share/zoneinfo/{link}')
        if text is not None:
            file.write_text(text)
        return local_zone_name(NOW, environ or {}, str(localtime), str(file))

    return find


@pytest.mark.parametrize('value', ['Asia/Tokyo', ':Asia/Tokyo'])
def test_it_is_that_of_tz(name, value):
    assert name('Asia/Tokyo', {'TZ': value}, link='Europe/Berlin', text='Europe/Berlin') == 'Asia/Tokyo'


@pytest.mark.parametrize('link', ['Europe/Berlin', 'posix/Europe/Berlin', 'right/Europe/Berlin'])
def test_without_tz_it_is_that_of_the_link(name, link):
    assert name('Europe/Berlin', link=link, text='Asia/Tokyo') == 'Europe/Berlin'


def test_without_a_link_it_is_that_of_the_file(name):
    assert name('Australia/Lord_Howe', text='Australia/Lord_Howe\n') == 'Australia/Lord_Howe'


@pytest.mark.slow
@pytest.mark.parametrize('name_in_file', ['Europe/Berlin', '../etc/passwd', ''])
def test_a_name_that_is_not_that_of_the_machine_does_not_count(name, name_in_file):
    assert name('Asia/Tokyo', text=name_in_file) is None


def test_a_rule_in_place_of_a_name_has_none(name):
    assert name('CET-1CEST,M3.5.0,M10.5.0/3', {'TZ': 'CET-1CEST,M3.5.0,M10.5.0/3'}) is None


def test_without_any_file_the_machine_is_at_utc(name):
    assert name('UTC') == 'UTC'
    assert name('UTC', {'TZ': 'UTC0'}) == 'UTC'
