"""Fixtures of all tests; those of servers and of the store are in ``tests/support``."""

import itertools
import os
import sys
import time

import jinja2
import plaster.loaders
import pytest
from pyramid.config import Configurator
from webtest import TestApp

# a fixture is found by its name in a conftest
from tests.support.mariadb import mariadb, mariadb_server  # noqa: F401
from tests.support.postgresql import postgresql, postgresql_server, start_postgresql  # noqa: F401
from tests.support.redis import redis_server  # noqa: F401
from tests.support.requests import LOCAL
from tests.support.store import (  # noqa: F401
    connection,
    empty_url,
    engine,
    engines,
    made_mariadb,
    made_postgresql,
    made_sqlite,
    pytest_generate_tests,
    server,
    servers,
    task_rows,
    url,
    warnings,
)


@pytest.fixture(scope='session', autouse=True)
def installed_packages_are_read_once():
    """Keep what plaster finds: for each ini file it reads what all installed packages say of themselves."""
    find, found = plaster.loaders.find_loaders, {}

    def find_once(scheme, protocols=None):
        key = scheme, tuple(protocols or ())
        if key not in found:
            found[key] = find(scheme, protocols)
        return found[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plaster.loaders, 'find_loaders', find_once)
        yield


@pytest.fixture(scope='session', autouse=True)
def templates_are_compiled_once():
    """Keep the code of templates: compiling them anew is a sixth of the time of the tests of the page."""
    compile_template, compiled = jinja2.Environment.compile, {}

    def compile_once(environment, source, name=None, filename=None, **options):
        key = source, name, filename, tuple(environment.extensions), tuple(options.items())
        if key not in compiled:
            compiled[key] = compile_template(environment, source, name, filename, **options)
        return compiled[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jinja2.Environment, 'compile', compile_once)
        yield


numbers = itertools.count()


@pytest.fixture
def write_module(tmp_path, monkeypatch):
    """Return a function that writes a module of a text, and returns its name, which no other one has."""
    names = []

    def write(text):
        names.append(f'app_of_a_test_{next(numbers)}')
        (tmp_path / f'{names[-1]}.py').write_text(text)
        return names[-1]

    monkeypatch.syspath_prepend(tmp_path)
    yield write
    for name in names:
        sys.modules.pop(name, None)


@pytest.fixture
def local_time():
    """Return a function that sets the machine's local time zone until the test ends."""
    before = os.environ.get('TZ')

    def set_zone(name):
        if name is None:
            os.environ.pop('TZ', None)
        else:
            os.environ['TZ'] = name
        time.tzset()

    yield set_zone
    set_zone(before)


@pytest.fixture
def make_app():
    """Return a function that makes a WebTest application with these tasks."""

    def make(*tasks, **settings):
        config = Configurator(settings=settings)
        config.include('pyramid_cron')
        for task in tasks:
            config.add_cron_task(task)
        return TestApp(config.make_wsgi_app(), extra_environ=LOCAL)

    return make
