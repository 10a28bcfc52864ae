"""The application of a configuration file."""

import json
import sys

import pytest

from tests.support.pcron import PURGE


def test_an_application_without_pyramid_cron_is_refused(pcron, ini):
    path = ini(include='')
    message = f"the application of {path} does not include pyramid_cron: add config.include('pyramid_cron')"
    assert pcron('list', path) == (2, '', f'pcron: {message}\n')


@pytest.mark.parametrize(
    ('settings', 'problem'),
    [
        ('cron.timezone = Europe/Berln', "ConfigurationError: bad setting cron.timezone = 'Europe/Berln'"),
        ('use = call:no_such_module:main', "ModuleNotFoundError: No module named 'no_such_module'"),
        ('use = call:pyramid_cron:no_such_function', "module 'pyramid_cron' has no attribute 'no_such_function'"),
        ('use = egg:no_such_package', 'PackageNotFoundError: '),
        ('use = other', "No section 'other'"),
    ],
)
def test_a_broken_application_is_one_line_and_status_2(pcron, ini, settings, problem):
    path = ini(PURGE, settings='')
    with open(path, 'a') as file:
        file.write(f'[app:broken]\nuse = main\n{settings}\n'.replace('use = main\nuse', 'use'))
    status, out, err = pcron('list', f'{path}#broken')
    assert (status, out, err.count('\n')) == (2, '', 1)
    assert err.startswith(f'pcron: the application of {path}#broken cannot be made: {problem}')


@pytest.mark.parametrize('file', ['local_shop.py', 'local_shop/__init__.py'])
def test_a_module_of_the_folder_that_is_not_installed_has_a_remedy(pcron, ini, monkeypatch, tmp_path, file):
    path = ini(PURGE, settings='')
    with open(path, 'a') as ini_file:
        ini_file.write('[app:local]\nuse = call:local_shop:main\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, 'path', [folder for folder in sys.path if folder not in ('', str(tmp_path))])
    assert 'PYTHONPATH' not in pcron('list', f'{path}#local')[2]
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).touch()
    status, _, err = pcron('list', f'{path}#local')
    assert status == 2
    assert err.endswith(
        "ModuleNotFoundError: No module named 'local_shop'; "
        'it is in this folder and not installed: install its package, or set PYTHONPATH=.\n'
    )


def test_an_application_that_raises_shows_where(pcron, ini):
    # a mistake in it, and not in how the command is used
    with pytest.raises(KeyError):
        pcron('list', ini('purge, **{}["missing"]'))


PARTS = """
import functools

from pyramid.config import Configurator


def urlmap(loader, global_conf, **mounts):
    apps = {path: loader.get_app(name, global_conf=global_conf) for path, name in mounts.items()}

    def app(environ, start_response):
        path = environ['PATH_INFO']
        prefix = max((prefix for prefix in apps if path.startswith(prefix)), key=len)
        if prefix != '/':
            environ.update(SCRIPT_NAME=prefix, PATH_INFO=path[len(prefix):])
        return apps[prefix](environ, start_response)

    return app


def filter(global_conf):
    def around(app):
        def filtered(environ, start_response):
            print('filtered')
            return app(environ, start_response)
        return filtered
    return around


def make(name, cron, global_conf, **settings):
    with Configurator(settings=settings) as config:
        if cron:
            config.include('pyramid_cron')
            config.add_cron_task(lambda system: print(name, 'ran'), min='*', name=name)
        return config.make_wsgi_app()


shop = functools.partial(make, 'shop', True)
site = functools.partial(make, 'site', True)
plain = functools.partial(make, 'plain', False)
"""

MAP = """
[composite:main]
use = call:{module}:urlmap
/ = site
/shop = shop

[composite:mounted]
use = call:{module}:urlmap
/ = plain
/shop = shop

[composite:nothing]
use = call:{module}:urlmap
/ = plain

[pipeline:piped]
pipeline = filter shop

[filter-app:filtered]
paste.filter_factory = {module}:filter
next = shop

[application:shop]
use = call:{module}:shop

[app:site]
use = call:{module}:site
filter-with = filter

[app:plain]
use = call:{module}:plain

[filter:filter]
use = call:{module}:filter
"""


@pytest.fixture
def composite(module, tmp_path):
    """Write an ini file that makes one application of several, and return its path."""
    (tmp_path / f'{module}.py').write_text(PARTS)
    path = tmp_path / 'parts.ini'
    path.write_text(MAP.format(module=module))
    return str(path)


def known(path, *names):
    return f'as in {path}#{names[0]}; {path} has {", ".join(names)}\n'


@pytest.mark.parametrize('command', ['list', 'tick', 'work', 'run'])
def test_several_applications_with_tasks_need_a_section(pcron, composite, command):
    status, out, err = pcron(command, composite)
    assert (status, out) == (2, '')
    assert err == (
        f'pcron: the application of {composite} is made of 2 that include pyramid_cron: '
        f'name the section of one of them, {known(composite, "piped", "filtered", "shop", "site", "plain")}'
    )


@pytest.mark.parametrize(
    ('section', 'lines'),
    [
        ('shop', ['shop ran']),
        ('piped', ['filtered', 'shop ran']),
        ('filtered', ['filtered', 'shop ran']),
        ('site', ['filtered', 'site ran']),
    ],
)
def test_a_named_section_runs_with_its_filters(pcron, composite, section, lines):
    uri, task = f'{composite}#{section}', lines[-1].split()[0]
    assert [task['name'] for task in json.loads(pcron('list', uri, '--json')[1])['tasks']] == [task]
    status, out, err = pcron('tick', uri)
    *printed, _, report = out.splitlines()
    assert (status, printed, report.split(',')[0], err) == (0, lines, f'ok       {task}', '')


def test_another_application_that_answers_needs_a_section(pcron, composite):
    uri = f'{composite}#mounted'
    assert [task['name'] for task in json.loads(pcron('list', uri, '--json')[1])['tasks']] == ['shop']
    status, out, err = pcron('tick', uri)
    assert (status, out) == (1, '')
    assert err == (
        'pcron: the application answered 404 Not Found before its tasks could run; '
        'if that was another application than the one with the tasks, name its section, '
        + known(composite, 'piped', 'filtered', 'shop', 'site', 'plain')
    )


@pytest.mark.parametrize('section', ['plain', 'nothing'])
def test_none_with_tasks_is_refused(pcron, composite, section):
    uri = f'{composite}#{section}'
    message = f"the application of {uri} does not include pyramid_cron: add config.include('pyramid_cron')"
    assert pcron('list', uri) == (2, '', f'pcron: {message}\n')


def test_a_missing_section_is_refused_with_the_others(pcron, composite):
    message = (
        f"{composite} has no application 'ship'; it has main, mounted, nothing, piped, filtered, shop, site, plain"
    )
    assert pcron('list', f'{composite}#ship') == (2, '', f'pcron: {message}\n')


def test_a_file_without_other_sections_needs_one(pcron, module, tmp_path):
    (tmp_path / f'{module}.py').write_text(
        PARTS
        + """
def both(global_conf):
    apps = [shop(global_conf), site(global_conf)]
    return lambda environ, start_response: apps[0](environ, start_response)
"""
    )
    path = tmp_path / 'both.ini'
    path.write_text(f'[app:main]\nuse = call:{module}:both\n')
    status, _, err = pcron('list', str(path))
    assert (status, err.split(': ')[-1]) == (2, f'name the section of one of them, as in {path}#name\n')


@pytest.mark.parametrize('inner', ['site', 'plain'])
def test_the_outer_of_nested_applications_is_used(pcron, module, tmp_path, inner):
    (tmp_path / f'{module}.py').write_text(
        PARTS
        + f"""
from pyramid.wsgi import wsgiapp2

def outer(global_conf, **settings):
    with Configurator(settings=settings) as config:
        config.include('pyramid_cron')
        config.add_cron_task(lambda system: print('outer ran'), min='*', name='outer')
        config.add_route('inner', '/inner/*subpath')
        config.add_view(wsgiapp2({inner}(global_conf)), route_name='inner')
        return config.make_wsgi_app()

def last(global_conf):
    app = outer(global_conf)
    # made later than its own
    app.inner = {inner}(global_conf)
    return app
"""
    )
    path = tmp_path / 'outer.ini'
    path.write_text(f'[app:main]\nuse = call:{module}:last\n')
    status, out, err = pcron('tick', str(path))
    assert (status, out.splitlines()[0], err) == (0, 'outer ran', '')
