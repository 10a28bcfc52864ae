import os
import sqlite3
import subprocess
import sys
import threading

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from sqlalchemy import NullPool, create_engine, event, inspect, make_url, select, text
from sqlalchemy.exc import OperationalError

from pyramid_cron.store import make_claims, metadata
from pyramid_cron.store.database import Database, create_all, make_engine
from pyramid_cron.store.schema import database_clock

pytestmark = pytest.mark.each_database

PASSWORD = 's3cr3t'
MISSING = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] == 'sqlalchemy':
            raise ModuleNotFoundError("No module named 'sqlalchemy'", name=name)

sys.meta_path.insert(0, Missing())
from pyramid.config import Configurator

def start(**settings):
    with Configurator(settings=settings) as config:
        config.include('pyramid_cron')
        config.add_cron_task(print, retries=1, catch_up=60, name='task', min=0)
    return config

start()
assert not [name for name in sys.modules if name.startswith('pyramid_cron.store')]
try:
    start(**{'cron.store': 'sqlite:///cron.sqlite'})
except Exception as exc:
    print(type(exc).__name__, exc)
"""
UNUSED = """
import sys
from datetime import datetime, timezone
from pyramid.config import Configurator
from pyramid_cron.testing import tick

with Configurator() as config:
    config.include('pyramid_cron')
    config.add_cron_task(lambda system: None, min='*', name='task')
assert str(tick(config.registry, datetime(2020, 1, 1, tzinfo=timezone.utc))) == 'ok'
print([name for name in sys.modules if name.startswith(('pyramid_cron.store', 'sqlalchemy'))])
"""


def python(code, folder='.'):
    command = [sys.executable, '-c', code]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder).stdout.strip()


def test_without_sqlalchemy_the_setting_says_what_to_install_and_nothing_else_changes(tmp_path):
    told = python(MISSING, tmp_path)
    assert 'ConfigurationError' in told
    assert "cron.store: No module named 'sqlalchemy'; run: pip install 'pyramid_cron[store]'" in told


def test_without_the_setting_nothing_of_the_store_is_imported(tmp_path):
    assert python(UNUSED, tmp_path) == '[]'


@pytest.fixture
def engines():
    """A function that keeps an engine for its disposal."""
    kept = []

    def keep(engine):
        kept.append(engine)
        return engine

    yield keep
    for engine in kept:
        engine.dispose()


def works(engine):
    with engine.connect() as connection:
        return connection.scalar(select(database_clock())) > 0


# what applications name in their settings
ENGINES = {}


def make_one(registry):
    ENGINES['registry'] = registry
    return ENGINES['engine']


def make_none(registry):
    return 'sqlite:///cron.sqlite'


def test_a_store_is_a_url_an_engine_a_function_or_the_name_of_one(url, engines):
    ENGINES['engine'] = made = engines(create_engine(url))
    module = sys.modules[__name__]
    sys.modules['store_of_an_application'] = module
    module.AN_ENGINE = made
    values = [
        url,
        make_url(url),
        made,
        make_one,
        'store_of_an_application.make_one',
        'store_of_an_application.AN_ENGINE',
    ]
    for value in values:
        engine = engines(make_engine(value, 'the registry'))
        assert works(engine)
        # never the application's own pool
        assert engine is not made
        assert engine.pool is not made.pool
        assert engine.url == made.url
    assert ENGINES['registry'] == 'the registry'
    del sys.modules['store_of_an_application']


def test_a_name_with_a_colon_is_one_too(engines, tmp_path):
    ENGINES['engine'] = engines(create_engine(f'sqlite:///{tmp_path}/cron.sqlite'))
    package = type(sys)('application')
    package.store = sys.modules[__name__]
    sys.modules.update({'application': package, 'application.store': package.store})
    assert works(engines(make_engine('application.store:make_one', None)))
    del sys.modules['application'], sys.modules['application.store']


@pytest.mark.parametrize('level', ['REPEATABLE READ', 'SERIALIZABLE'])
def test_the_pool_of_an_application_may_be_used_up_and_of_any_isolation_level(postgresql, engines, level):
    own = engines(create_engine(postgresql, pool_size=1, max_overflow=0, pool_timeout=0.1, isolation_level=level))
    with own.connect():
        engine = engines(make_engine(own, None))
        with engine.connect() as connection:
            assert connection.scalar(text('SHOW transaction_isolation')) == 'read committed'
    with engine.connect() as connection:
        assert connection.scalar(text('SHOW transaction_isolation')) == 'read committed'
    with own.connect() as connection:
        assert connection.scalar(text('SHOW transaction_isolation')) == level.lower()
        # and none of the store's limits
        assert connection.scalar(text('SHOW statement_timeout')) == '0'


def test_a_store_works_beside_a_pool_of_one_that_is_used_up(servers):
    own = create_engine(servers.url, pool_size=1, max_overflow=0, pool_timeout=0.1)
    with own.connect():
        server = servers.start(store=own).add(body=lambda system: server.claims._beat(), min='*')
        for minute in range(3):
            assert str(server.tick(minute)) == 'ok'
    own.dispose()


@pytest.mark.parametrize(
    'value',
    [
        'postgresql//user:s3cr3t@host/name',
        'postgresql:user:s3cr3t@host',
        'postgresql+psycopg:user:s3cr3t@db.example.com',
        'user.name:s3cr3t@db.example.com',
        'postgresql://user:s3cr3t@host:port/name',
        'nosuch://user:s3cr3t@host/name',
        'postgresql+nosuch://user:s3cr3t@host/name',
        b'postgresql://user:s3cr3t@host/name',
        ['postgresql://user:s3cr3t@host/name'],
        'mysql+pymysql://user:s3cr3t@host/name',
    ],
)
def test_a_bad_value_is_a_configuration_error_without_the_password(value, monkeypatch):
    monkeypatch.setitem(sys.modules, 'pymysql', None)
    with pytest.raises(ConfigurationError) as caught:
        make_engine(value, None)
    assert str(caught.value).startswith('bad setting cron.store')
    exc = caught.value
    while exc is not None:
        assert PASSWORD not in str(exc)
        exc = None if exc.__suppress_context__ else exc.__cause__ or exc.__context__


@pytest.mark.parametrize(
    ('value', 'told'),
    [
        ('mysql+pymysql://host/name', '; install the driver of mysql+pymysql'),
        ('no.such.name', 'no URL, and no name that resolves: ModuleNotFoundError'),
        (5, 'a int is no URL, no engine of SQLAlchemy, and no function that returns one'),
        (make_none, '.make_none returned a str, no engine of SQLAlchemy'),
        ('nosuch://host/name', "Can't load plugin: sqlalchemy.dialects:nosuch"),
    ],
)
def test_a_bad_value_is_told_with_what_is_wrong_with_it(value, told, monkeypatch):
    monkeypatch.setitem(sys.modules, 'pymysql', None)
    with pytest.raises(ConfigurationError) as caught:
        make_engine(value, None)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    'value',
    [
        'sqlite://',
        'sqlite:///:memory:',
        'sqlite:///file:cron?mode=memory&cache=shared&uri=true',
        'sqlite:///file::memory:?cache=shared&uri=true',
        create_engine('sqlite://'),
    ],
)
def test_a_database_in_memory_is_refused(value):
    with pytest.raises(ConfigurationError, match='and forgets; name a file'):
        make_engine(value, None)


def test_a_bad_store_stops_the_application_when_it_starts():
    with (
        pytest.raises(ConfigurationError, match='a database in memory'),
        Configurator(settings={'cron.store': 'sqlite://'}) as config,
    ):
        config.include('pyramid_cron')


def test_an_application_starts_while_the_database_is_away(tmp_path):
    config = Configurator(settings={'cron.store': f'sqlite:///{tmp_path}/none/cron.sqlite'}, package='tests')
    config.include('pyramid_cron')
    config.commit()
    claims = make_claims(config.registry, config.registry['cron_settings'])
    assert claims.options.app == config.registry.package_name
    with pytest.raises(OperationalError), claims.database.begin():
        pass


def test_statements_of_the_store_have_time_limits(postgresql, engines):
    engine = engines(make_engine(postgresql, None))
    with engine.connect() as connection:
        limits = {'statement_timeout': '4s', 'lock_timeout': '4s', 'idle_in_transaction_session_timeout': '10s'}
        assert {name: connection.scalar(text(f'SHOW {name}')) for name in limits} == limits


def test_what_a_url_says_itself_is_left_alone(postgresql, engines):
    engine = engines(make_engine(f'{postgresql}&connect_timeout=9', None))
    with engine.connect() as connection:
        parameters = connection.connection.driver_connection.info.get_parameters()
    assert parameters['connect_timeout'] == '9'
    assert parameters['tcp_user_timeout'] == '4000'


def synchronous(connection):
    return connection.scalar(text('PRAGMA synchronous'))


def test_a_commit_of_sqlite_is_on_the_disk_and_a_tick_need_not_be(tmp_path, engines):
    database = Database(engines(make_engine(f'sqlite:///{tmp_path}/cron.sqlite', None)), True)
    with database.begin() as connection:
        assert synchronous(connection) == 2
        assert connection.scalar(text('PRAGMA journal_mode')) == 'wal'
    with database.autocommit() as connection:
        assert synchronous(connection) == 1
    with pytest.raises(ValueError, match='no luck'), database.autocommit():
        raise ValueError('no luck')
    with database.begin() as connection:
        assert synchronous(connection) == 2


@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_a_file_that_is_no_database_any_more_is_an_error_of_the_database(tmp_path, servers):
    server = servers.start().add(min='*')
    server.tick(0)
    for path in tmp_path.glob('cron.sqlite*'):
        path.write_bytes(b'no database ' * 1000)
    for minute in (1, 2):
        assert server.tick(minute).problem.startswith('the store cannot be asked: ')


def test_tables_are_made_on_first_use_unless_that_is_switched_off(tmp_path, engines):
    engine = engines(make_engine(f'sqlite:///{tmp_path}/cron.sqlite', None))
    with pytest.raises(OperationalError, match='no such table'), Database(engine, False).begin() as connection:
        connection.execute(select(metadata.tables['cron_runs']))
    database = Database(engine, True)
    assert inspect(engine).get_table_names() == []
    with database.begin():
        pass
    assert sorted(inspect(engine).get_table_names()) == sorted(metadata.tables)


@pytest.fixture(params=['sqlite', 'postgresql'])
def empty(request, tmp_path):
    if request.param == 'sqlite':
        return f'sqlite:///{tmp_path}/cron.sqlite'
    return request.getfixturevalue('postgresql')


def test_any_number_of_servers_make_the_tables_at_once(empty, engines):
    barrier = threading.Barrier(8)
    failed = []

    def start():
        engine = engines(make_engine(empty, None))
        barrier.wait()
        try:
            create_all(engine)
        except Exception as exc:
            failed.append(exc)

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert sorted(inspect(engines(make_engine(empty, None))).get_table_names()) == sorted(metadata.tables)


def test_threads_of_one_process_make_the_tables_once(empty, engines):
    engine = engines(make_engine(empty, None))
    made = []
    event.listen(engine, 'before_cursor_execute', lambda *args: made.append(args[2]))
    database = Database(engine, True)
    barrier = threading.Barrier(4)

    def use():
        barrier.wait()
        with database.begin() as connection:
            connection.execute(select(metadata.tables['cron_runs']))

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len([statement for statement in made if 'CREATE TABLE cron_runs' in statement]) == 1


def test_tables_that_cannot_be_made_are_tried_ten_times(tmp_path):
    path = tmp_path / 'cron.sqlite'
    sqlite3.connect(path).close()
    slept = []
    engine = create_engine(f'sqlite:///file:{path}?mode=ro&uri=true', poolclass=NullPool)
    with pytest.raises(OperationalError, match='readonly'):
        create_all(engine, slept.append)
    assert len(slept) == 9
    assert all(0.01 <= seconds <= 0.1 for seconds in slept)


def test_a_process_that_was_forked_opens_connections_of_its_own(servers):
    database = Database(servers.engine, True)
    with database.begin():
        pass
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            opened = []
            event.listen(servers.engine, 'connect', lambda *_: opened.append(True))
            with database.begin() as connection:
                connection.execute(select(database_clock()))
            with database.begin():
                pass
            code = 0 if opened == [True] else 2
        finally:
            os._exit(code)
    os.close(reader)
    os.close(writer)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with database.begin() as connection:
        assert connection.scalar(select(database_clock())) > 0
