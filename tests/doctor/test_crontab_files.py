import os

import pytest

from pyramid_cron.doctor.crontab_files import has_mail, read_crontabs, read_environment

LINE = '* * * * * x\n'


@pytest.fixture
def system(tmp_path):
    """Return a function that writes a file below the root of a system."""
    (tmp_path / 'etc/cron.d').mkdir(parents=True)

    def write(name, text=LINE):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    return write


@pytest.fixture
def crontab(tmp_path):
    """Return a function that writes a command in place of ``crontab``."""

    def write(script):
        path = tmp_path / 'crontab'
        path.write_text(f'#!/bin/sh\n{script}\n')
        path.chmod(0o755)
        return str(path)

    return write


def read(tmp_path, command='/nonexistent/crontab'):
    return read_crontabs('me', tmp_path, command)


def test_the_own_crontab_is_that_of_crontab_l(tmp_path, crontab):
    command = crontab('test "$1" = -l && echo "* * * * * x"')
    [found], unreadable = read(tmp_path, command)
    assert found == ('the crontab of me', LINE, 'me', None)
    assert unreadable == []


def test_no_crontab_is_no_error(tmp_path, crontab):
    assert read(tmp_path, crontab('echo no crontab for me >&2; exit 1')) == ([], [])
    assert read(tmp_path) == ([], [])


@pytest.mark.parametrize('spool', ['var/spool/cron/crontabs', 'var/spool/cron'])
def test_root_reads_the_crontabs_of_all(tmp_path, system, spool):
    system(f'{spool}/shop')
    [found], _ = read(tmp_path)
    assert (found.place, found.account) == (f'{tmp_path}/{spool}/shop', 'shop')


def test_files_of_the_system_are_read(tmp_path, system):
    system('etc/crontab')
    system('etc/cron.d/shop')
    system('etc/cron.d/.placeholder')
    found, _ = read(tmp_path)
    assert [(crontab.place, crontab.account) for crontab in found] == [
        (f'{tmp_path}/etc/crontab', None),
        (f'{tmp_path}/etc/cron.d/shop', None),
    ]
    assert (found[1].ignored is None) == (os.geteuid() == 0)


def test_cron_ignores_files_with_a_dot(tmp_path, system):
    system('etc/cron.d/shop.cron')
    [found], _ = read(tmp_path)
    assert 'names have other characters' in found.ignored


def test_cron_ignores_files_that_others_may_write(tmp_path, system):
    system('etc/cron.d/shop').chmod(0o666)
    [found], _ = read(tmp_path)
    assert 'others may write' in found.ignored


def test_what_cannot_be_read_is_named(tmp_path, system, monkeypatch):
    path = system('etc/cron.d/shop')
    if os.geteuid() == 0:
        # root may read everything: a loop of links stands for a file without a right
        (tmp_path / 'etc/crontab').mkdir()
        assert read(tmp_path)[1] == [f'{tmp_path}/etc/crontab (Is a directory)']
    else:
        path.chmod(0)
        assert read(tmp_path)[1] == [f'{path} (Permission denied)']


def test_the_environment_of_cron_is_read(tmp_path, system):
    assert read_environment(tmp_path) == {}
    system('etc/environment', 'http_proxy=http://proxy:3128\n')
    assert read_environment(tmp_path) == {'http_proxy': 'http://proxy:3128'}


def test_mail_needs_a_program(tmp_path, system):
    assert not has_mail(tmp_path)
    system('usr/sbin/sendmail')
    assert has_mail(tmp_path)
