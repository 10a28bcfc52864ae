"""Where ``env.py`` of an application is, and whether it names the store."""

import os
import sys

import pytest
from sqlalchemy import inspect, text

from pyramid_cron.store.alembic_check import find_env, knows_store, shares_database

WITH_ENV = ['[alembic]\nscript_location = migrations\n', '[alembic]\nscript_location = %(here)s/migrations\n']


@pytest.fixture
def env(tmp_path):
    (tmp_path / 'migrations').mkdir()
    path = tmp_path / 'migrations' / 'env.py'
    path.write_text('')
    return path


@pytest.mark.parametrize('text', [*WITH_ENV, f'[alembic]\nfile_template = %%(year)d\n{WITH_ENV[0][10:]}'])
def test_it_is_found_below_the_folder_of_the_ini_file(tmp_path, env, text):
    (tmp_path / 'shop.ini').write_text(text)
    assert find_env(f'{tmp_path}/shop.ini') == env
    assert find_env(f'{tmp_path}/shop.ini#staging') == env


def test_it_is_found_where_the_command_runs(tmp_path, env, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'etc').mkdir()
    (tmp_path / 'etc' / 'shop.ini').write_text(WITH_ENV[0])
    found = find_env('etc/shop.ini')
    assert found is not None
    assert os.path.samefile(found, env)


def test_it_is_found_by_alembic_ini_beside_the_ini_file(tmp_path, env):
    (tmp_path / 'shop.ini').write_text('[app:main]\nuse = egg:shop\n')
    (tmp_path / 'alembic.ini').write_text(WITH_ENV[1])
    assert find_env(f'{tmp_path}/shop.ini') == env


def test_it_is_found_in_a_package(tmp_path, write_module):
    package = write_module('')
    (tmp_path / f'{package}.py').unlink()
    folder = tmp_path / package
    (folder / 'alembic').mkdir(parents=True)
    (folder / '__init__.py').touch()
    (folder / 'alembic' / 'env.py').touch()
    (tmp_path / 'shop.ini').write_text(f'[alembic]\nscript_location = {package}:alembic\n')
    assert find_env(f'{tmp_path}/shop.ini') == folder / 'alembic' / 'env.py'
    assert package not in sys.modules


@pytest.mark.parametrize(
    'text',
    [
        '',
        'no ini file',
        '[app:main]\nuse = egg:shop\n',
        '[alembic]\nscript_location = elsewhere\n',
        '[alembic]\nscript_location = no_such_package:alembic\n',
        '[alembic]\nscript_location = /no.such:folder\n',
        '[alembic]\nversion_locations = versions\n',
    ],
)
def test_it_is_not_found(tmp_path, env, text):
    (tmp_path / 'shop.ini').write_text(text)
    assert find_env(f'{tmp_path}/shop.ini') is None
    assert find_env('egg:shop') is None


@pytest.mark.parametrize(
    ('text', 'known'),
    [
        ('from pyramid_cron.store import include_name', True),
        ('import pyramid_cron.store', True),
        ('from pyramid_cron import store', True),
        ('from pyramid_cron import stored', False),
        ('from shop.models.meta import Base', False),
    ],
)
def test_a_file_that_names_the_store_knows_it(env, text, known):
    env.write_text(f'from alembic import context\n{text}\n')
    assert knows_store(env) is known


def test_a_database_is_shared_if_it_has_a_version(engine):
    assert not shares_database(inspect(engine))
    with engine.begin() as connection:
        connection.execute(text('CREATE TABLE alembic_version (version_num VARCHAR(32))'))
    try:
        assert shares_database(inspect(engine))
    finally:
        with engine.begin() as connection:
            connection.execute(text('DROP TABLE alembic_version'))
