"""The checks that the settings name."""

import pytest

from pyramid_cron import Task
from pyramid_cron.healthchecks.checks import FAIL, START, SUCCESS, Check, Checks
from pyramid_cron.settings import Settings

KEY = 'https://hc.example/KEY/{slug}?create=1'


def checks(lines='', whole=None):
    settings = {'cron.healthchecks_tasks': lines} | ({} if whole is None else {'cron.healthchecks': whole})
    return Checks(Settings.parse(settings))


def tasks(*names):
    return [Task(print, name=name) for name in names]


def success(check):
    return check and check.url(SUCCESS)


def test_a_signal_is_added_to_the_path():
    check = Check.parse('https://hc.example/ping/5c0f/?create=1')
    assert check.url(SUCCESS) == 'https://hc.example/ping/5c0f?create=1'
    assert check.url(START, 'a-b') == 'https://hc.example/ping/5c0f/start?create=1&rid=a-b'
    assert Check.parse('http://[::1]:8000/u').url(FAIL, 'a') == 'http://[::1]:8000/u/fail?rid=a'


def test_each_task_has_the_check_of_its_line():
    found = checks({'*': KEY, 'a.b': 'https://hc.example/uuid', 'c': 'chosen', 'd': 'off'})
    assert success(found.of_task('a.b')) == 'https://hc.example/uuid'
    assert success(found.of_task('c')) == 'https://hc.example/KEY/chosen?create=1'
    assert found.of_task('d') is None
    # also one whose name is a signal
    for name in ('e.f', 'log'):
        slug = name.replace('.', '-')
        assert success(found.of_task(name)) == f'https://hc.example/KEY/{slug}?create=1'
    assert found.of_all is None


def test_without_lines_no_task_has_a_check():
    found = checks(whole='https://hc.example/uuid')
    assert found.of_task('a') is None
    assert success(found.of_all) == 'https://hc.example/uuid'
    assert checks('* = off').of_task('a') is None


BAD_URLS = [
    ('hc.example/SECRET', 'it has to be a URL such as https://hc-ping.com/UUID'),
    ('ftp://hc.example/SECRET', 'it has to be a URL such as https://hc-ping.com/UUID'),
    ('https:///SECRET', 'it has to be a URL such as https://hc-ping.com/UUID'),
    ('https://hc.example:0/SECRET', 'it has to be a URL such as https://hc-ping.com/UUID'),
    ('https://hc.example:99999/SECRET', 'Port out of range 0-65535'),
    ('https://hc.example/SECRET a', 'no blank'),
    ('https://hc.example/SECRET#a', 'no part after a #'),
    ('https://hc.example/SECRET/{slug}', 'no brace but for {slug} of a task'),
    ('https://hc.example/SECRETé', 'no blank'),
    ('https://SECRET:b@hc.example/', 'the URL may have no user and no password'),
    ('https://hc.example/SECRET/start', 'leave out the last part of the path'),
]


@pytest.mark.parametrize(('url', 'message'), BAD_URLS)
def test_a_bad_url_is_refused_and_not_shown(url, message):
    with pytest.raises(ValueError, match=r'bad setting cron\.healthchecks: ') as caught:
        checks(whole=url)
    assert message in str(caught.value)
    assert 'SECRET' not in str(caught.value)


@pytest.mark.parametrize(
    ('lines', 'message'),
    [
        ({'*': 'https://hc.example/SECRET'}, "the line of '*': it needs {slug}, as in https://hc-ping.com/KEY/{slug}"),
        ({'*': 'SECRET'}, "the line of '*': it needs {slug}"),
        ({'a': 'slug'}, "the line of 'a': it is neither off nor a URL such as https://hc-ping.com/UUID; a slug needs"),
        ({'a': 'slug', '*': 'off'}, 'a slug needs a line for *'),
        ({'a': 'A SECRET', '*': KEY}, 'it has to have 1 to 100 of the characters a-z'),
        ({'a': 'https://SECRET:b@hc.example/'}, "the line of 'a': the URL may have no user and no password"),
    ],
)
def test_a_bad_line_is_refused_and_not_shown(lines, message):
    with pytest.raises(ValueError, match=r'bad setting cron\.healthchecks_tasks: ') as caught:
        checks(lines)
    assert message in str(caught.value)
    assert 'SECRET' not in str(caught.value)


def test_a_line_for_no_task_is_refused():
    with pytest.raises(ValueError, match=r"healthchecks_tasks: 'shop\.synk' names no cron task; is shop\.sync meant"):
        checks({'shop.synk': 'off'}).check_tasks(tasks('shop.sync'))


def test_two_tasks_do_not_share_a_check():
    checks({'*': KEY}).check_tasks(tasks('a', 'b'))
    checks({'a': 'off'}).check_tasks(tasks('a', 'b'))
    with pytest.raises(ValueError, match='the tasks') as caught:
        checks({'*': 'https://hc.example/SECRET/{slug}'}).check_tasks(tasks('a.b', 'a-b'))
    assert 'a.b and a-b' in str(caught.value)
    assert 'SECRET' not in str(caught.value)
