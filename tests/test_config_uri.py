"""The configuration file that a server was started with: ``config_uri.py``."""

import sys

import pytest

from pyramid_cron.config_uri import Configuration, configuration
from pyramid_cron.settings import Settings

NO_SETTING = Settings.parse({})
KEY = 'shop:task@2026-11-24T02:00Z'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / 'shop.ini').touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def find(*argv, **environ):
    return configuration(NO_SETTING, argv, environ)


@pytest.mark.parametrize(
    ('argv', 'section', 'variables'),
    [
        (['/venv/bin/pserve', 'shop.ini'], '', ()),
        (
            ['pserve', '--reload', '-n', 'admin', 'shop.ini', 'http_port=8080', 'a=b'],
            '#admin',
            ('http_port=8080', 'a=b'),
        ),
        (['pserve', 'shop.ini#admin', '--app-name=other'], '#admin', ()),
        (['/site/pyramid/scripts/pserve.py', '-q', 'shop.ini'], '', ()),
        (['gunicorn', '--paste', 'shop.ini', '-b', ':8080'], '', ()),
        (['/site/gunicorn/__main__.py', '-w4', '--paste=shop.ini#admin', '--paste-global', 'a=b'], '#admin', ('a=b',)),
        (['/venv/bin/pcron', 'work', 'shop.ini'], '', ()),
        (['pcron', 'run', 'shop.ini#admin', 'one', '--here', 'a=b'], '#admin', ('a=b',)),
        (['/site/pyramid_cron/__main__.py', 'perform', 'shop.ini', f'{KEY}=', 'a=b'], '', ('a=b',)),
        (['pcron', 'store', 'check', 'shop.ini'], '', ()),
    ],
)
def test_the_file_is_found_in_the_words_of_a_server(folder, argv, section, variables):
    assert find(*argv) == Configuration(f'{folder}/shop.ini{section}', variables)


def test_gunicorn_takes_words_from_its_variable(folder):
    found = find('gunicorn', '-b', ':8080', GUNICORN_CMD_ARGS='--paste shop.ini --workers 2')
    assert found == Configuration(f'{folder}/shop.ini')


@pytest.mark.parametrize(
    'argv',
    [
        [],
        ['waitress-serve', 'shop.ini'],
        ['/venv/bin/pytest', 'shop.ini'],
        ['/site/uvicorn/__main__.py', 'shop.ini'],
        ['pserve', '--reload'],
        ['pserve', '--no-such-option', '--reload-interval'],
        ['gunicorn', 'shop:app'],
        ['pserve', 'other.ini'],
        ['-c'],
    ],
)
def test_other_words_name_none(folder, argv):
    assert find(*argv) is None


def test_words_that_a_program_refuses_name_none(folder, capsys):
    assert find('pserve', '--reload-interval', 'often', 'shop.ini') in (None, Configuration(f'{folder}/shop.ini'))
    assert find('pcron', 'nothing', 'shop.ini') is None
    capsys.readouterr()


def test_a_file_is_found_after_a_change_of_the_directory(folder, monkeypatch):
    monkeypatch.chdir('/')
    assert find('pserve', 'shop.ini') is None
    assert find('pserve', 'shop.ini', PWD=str(folder)) == Configuration(f'{folder}/shop.ini')
    assert find('pserve', f'{folder}/shop.ini') == Configuration(f'{folder}/shop.ini')


def test_a_uri_with_a_scheme_stays_as_it_is():
    assert find('pserve', 'egg:shop#main') == Configuration('egg:shop#main')


def test_the_setting_comes_first(folder):
    settings = Settings.parse({'cron.config_uri': 'other.ini'})
    assert configuration(settings, ['pserve', 'shop.ini'], {}) == Configuration('other.ini')


def test_this_process_is_examined_by_default(folder, monkeypatch):
    monkeypatch.setattr(sys, 'argv', ['pserve', 'shop.ini'])
    assert configuration(NO_SETTING) == Configuration(f'{folder}/shop.ini')
