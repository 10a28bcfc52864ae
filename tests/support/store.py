"""Fixtures of the tests that need a store."""

import shutil

import pytest
from sqlalchemy import delete

from pyramid_cron import Task
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.engine import make_engine
from pyramid_cron.store.migrations import upgrade
from pyramid_cron.store.schema import metadata, schema
from tests.support.rows import Rows
from tests.support.servers import INSTANT, Servers


@pytest.fixture(scope='session')
def made_sqlite(tmp_path_factory):
    """A file with the tables, for copies: quicker than to make them for each test."""
    path = tmp_path_factory.mktemp('store') / 'made.sqlite'
    engine = make_engine(f'sqlite:///{path}', None)
    upgrade(engine)
    engine.dispose()
    return path


@pytest.fixture(scope='session')
def made_postgresql(postgresql_server):
    """The engine of a database with the tables, for one test after another: quicker than one for each."""
    with postgresql_server.database() as url:
        engine = make_engine(url, None)
        upgrade(engine)
        engine.dispose()
        yield engine


@pytest.fixture(scope='session')
def made_mariadb(mariadb_server):
    """The same of a database of MariaDB."""
    with mariadb_server.database() as url:
        engine = make_engine(url, None)
        upgrade(engine)
        engine.dispose()
        yield engine


def pytest_generate_tests(metafunc):
    """Choose the databases of a test that uses :func:`engine` or :func:`empty_url`.

    Each such test runs on SQLite. One that is marked with ``each_database``, or each with ``--thorough``, runs on
    PostgreSQL as well, and on MariaDB with ``--mariadb``. One that is marked with ``each_server`` leaves SQLite out.
    """
    option = metafunc.config.getoption
    each = ['sqlite', 'postgresql', 'mariadb'] if option('mariadb') else ['sqlite', 'postgresql']
    marker = metafunc.definition.get_closest_marker
    marked = option('thorough') or marker('each_database')
    if marker('each_server'):
        marked, each = True, each[1:]
    for name in ('engine', 'empty_url'):
        if name in metafunc.fixturenames and not parametrized(metafunc.definition, name):
            metafunc.parametrize(name, each if marked else ['sqlite'], indirect=True)


def parametrized(item, name):
    """Check whether a test has parameters of this name by a mark of its own."""
    return any(name in mark.args[0] for mark in item.iter_markers('parametrize'))


@pytest.fixture
def engine(request, tmp_path):
    """An engine of a database with the tables of the store and nothing in them, of the kind that is the parameter."""
    if request.param == 'sqlite':
        path = tmp_path / 'cron.sqlite'
        shutil.copy(request.getfixturevalue('made_sqlite'), path)
        engine = make_engine(f'sqlite:///{path}', None)
    else:
        engine = request.getfixturevalue(f'made_{request.param}')
        with engine.begin() as connection:
            for table in set(metadata.sorted_tables) - {schema}:
                connection.execute(delete(table))
    yield engine
    # of a server as well: under faketime the time limits of a connection that lasts sometimes end it at once
    engine.dispose()


@pytest.fixture
def empty_url(request, tmp_path):
    """The URL of a database without tables, of the kind that is the parameter."""
    if request.param == 'sqlite':
        return f'sqlite:///{tmp_path}/cron.sqlite'
    return request.getfixturevalue(request.param)


@pytest.fixture
def engines():
    """Return a function that disposes of an engine after the test, and returns it."""
    kept = []

    def keep(engine):
        kept.append(engine)
        return engine

    yield keep
    for engine in kept:
        engine.dispose()


@pytest.fixture
def url(engine):
    return engine.url.render_as_string(hide_password=False)


@pytest.fixture
def servers(engine):
    servers = Servers(engine)
    yield servers
    servers.end()


@pytest.fixture
def server(servers):
    """A server with one task, which is due every five minutes."""
    return servers.start().add()


@pytest.fixture
def warnings(caplog):
    """Return a function that returns the warnings and errors of the log since the last call."""

    def take():
        found = [record.getMessage() for record in caplog.records if record.levelname in ('WARNING', 'ERROR')]
        caplog.clear()
        return found

    caplog.set_level('DEBUG', 'pyramid_cron')
    return take


@pytest.fixture
def connection(engine):
    """A connection of an application."""
    with engine.begin() as plain:
        yield StoreConnection(plain, 'app')


@pytest.fixture
def task_rows(connection):
    """The rows of an application with one task."""
    task_rows = Rows(connection)
    task_rows.registered.register([Task(print, name='task')], INSTANT)
    return task_rows
