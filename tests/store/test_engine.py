"""The engine of ``cron.store``: its values, its pool, its time limits, and what it refuses."""

import contextlib
import sys

import pytest
from pyramid.exceptions import ConfigurationError
from sqlalchemy import create_engine, make_url, select, text
from sqlalchemy.exc import DBAPIError

from pyramid_cron.store.database import Database
from pyramid_cron.store.dialects import database_clock
from pyramid_cron.store.engine import make_engine

pytestmark = pytest.mark.each_database

PASSWORD = 's3cr3t'


def works(engine):
    with engine.connect() as connection:
        return connection.scalar(select(database_clock())) > 0


# what applications name in their settings
ENGINES = {}


def make_one(registry):
    ENGINES['registry'] = registry
    return ENGINES['engine']


def make_none(registry):
    return 'no engine'


def test_a_url_an_engine_or_a_function_is_accepted(url, engines):
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
        assert engine.hide_parameters
    assert ENGINES['registry'] == 'the registry'
    del sys.modules['store_of_an_application']


def test_a_dotted_name_may_have_a_colon(engines, tmp_path):
    ENGINES['engine'] = engines(create_engine(f'sqlite:///{tmp_path}/cron.sqlite'))
    package = type(sys)('application')
    package.store = sys.modules[__name__]
    sys.modules.update({'application': package, 'application.store': package.store})
    assert works(engines(make_engine('application.store:make_one', None)))
    del sys.modules['application'], sys.modules['application.store']


@pytest.mark.parametrize('level', ['REPEATABLE READ', 'SERIALIZABLE'])
def test_the_store_has_a_pool_and_isolation_level_itself(postgresql, engines, level):
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


# of new connections, by what begins and ends it; and what shows the level of a connection
SERIALIZABLE = {
    'postgresql': (
        "ALTER DATABASE {} SET default_transaction_isolation = 'serializable'",
        'ALTER DATABASE {} RESET default_transaction_isolation',
        'SHOW transaction_isolation',
    ),
    'mariadb': (
        'SET GLOBAL TRANSACTION ISOLATION LEVEL SERIALIZABLE',
        'SET GLOBAL TRANSACTION ISOLATION LEVEL REPEATABLE READ',
        'SELECT @@tx_isolation',
    ),
}


@pytest.mark.each_server
@pytest.mark.parametrize('of', ['url', 'engine'])
def test_each_statement_has_the_isolation_level_of_the_store(url, engines, of):
    plain = engines(create_engine(url, isolation_level='AUTOCOMMIT'))
    begin, end, show = (text(sql.format(plain.url.database)) for sql in SERIALIZABLE[plain.dialect.name])
    value = url if of == 'url' else engines(create_engine(url, isolation_level='SERIALIZABLE'))
    database = Database(engines(make_engine(value, None)), 'app', create_tables=True)
    with plain.connect() as connection, contextlib.ExitStack() as stack:
        connection.execute(begin)
        stack.callback(connection.execute, end)
        with engines(create_engine(url)).connect() as other:
            assert other.scalar(show).lower() == 'serializable'
        # the second time with the connection that the first one has returned to the pool
        for connect in (database.begin, database.autocommit, database.reading) * 2:
            with connect() as store:
                assert store.scalar(show).lower().replace('-', ' ') == 'read committed'


@pytest.mark.slow
def test_a_store_works_beside_an_exhausted_pool(servers):
    own = create_engine(servers.url, pool_size=1, max_overflow=0, pool_timeout=0.1)
    with own.connect():
        server = servers.start(store=own).add(body=lambda system: server.claims._beat(), min='*')
        for minute in range(3):
            assert str(server.tick(minute)) == 'ok'
    own.dispose()


def test_a_store_has_five_connections_at_once(tmp_path, engines):
    engine = engines(make_engine(f'sqlite:///{tmp_path}/cron.sqlite', None))
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(engine.connect())


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
def test_a_bad_value_is_refused_without_its_password(value, monkeypatch):
    monkeypatch.setitem(sys.modules, 'pymysql', None)
    with pytest.raises(ConfigurationError) as caught:
        make_engine(value, None)
    assert str(caught.value).startswith('bad setting cron.store')
    exc = caught.value
    while exc is not None:
        assert PASSWORD not in str(exc)
        exc = None if exc.__suppress_context__ else exc.__cause__ or exc.__context__


@pytest.mark.parametrize(
    ('value', 'problem'),
    [
        ('mysql+pymysql://host/name', '; install the driver of mysql+pymysql'),
        ('no.such.name', 'no URL, and no name that resolves: ModuleNotFoundError'),
        (5, 'a int is no URL, no engine of SQLAlchemy, and no function that returns one'),
        (make_none, '.make_none returned a str, no engine of SQLAlchemy'),
        ('nosuch://host/name', "Can't load plugin: sqlalchemy.dialects:nosuch"),
    ],
)
def test_a_bad_value_is_explained(value, problem, monkeypatch):
    monkeypatch.setitem(sys.modules, 'pymysql', None)
    with pytest.raises(ConfigurationError) as caught:
        make_engine(value, None)
    assert problem in str(caught.value)


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


def test_statements_have_time_limits(postgresql, engines):
    engine = engines(make_engine(postgresql, None))
    limits = {'statement_timeout': '4s', 'lock_timeout': '4s', 'idle_in_transaction_session_timeout': '10s'}
    # also after the rollback that ends the first transaction
    for _ in range(2):
        with engine.connect() as connection:
            assert {name: connection.scalar(text(f'SHOW {name}')) for name in limits} == limits


READ_ONLY = {
    'postgresql': 'SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY',
    'mariadb': 'SET SESSION TRANSACTION READ ONLY',
}


def make_read_only(engine):
    """Make the connections that are in the pool read-only, as those to a primary that has become a replica are."""
    with engine.connect() as connection:
        connection.execute(text(READ_ONLY[engine.dialect.name]))
        connection.commit()


@pytest.mark.parametrize('name', READ_ONLY)
def test_a_connection_that_cannot_write_is_replaced(request, name, engines):
    engine = engines(make_engine(request.getfixturevalue(name), None))
    make_read_only(engine)
    write = text('CREATE TABLE written (number integer)')
    with pytest.raises(DBAPIError) as caught, engine.begin() as connection:
        connection.execute(write)
    assert caught.value.connection_invalidated
    with engine.begin() as connection:
        connection.execute(write)


@pytest.mark.slow
def test_a_tick_leaves_a_primary_that_became_a_replica(postgresql, servers):
    server = servers.start(store=postgresql).add(min='*')
    assert str(server.tick(0)) == 'ok'
    make_read_only(server.engine)
    assert str(server.tick(1)) == 'ok'
    assert server.ran == [('task', 0), ('task', 1)]


def test_another_error_keeps_the_connection(url, engines):
    engine = engines(make_engine(url, None))
    with pytest.raises(DBAPIError) as caught, engine.connect() as connection:
        connection.execute(text('nonsense'))
    assert not caught.value.connection_invalidated


def test_a_connection_is_replaced_after_some_minutes(postgresql, engines):
    assert engines(make_engine(postgresql, None)).pool._recycle == 600


def test_arguments_in_a_url_are_kept(postgresql, engines):
    engine = engines(make_engine(f'{postgresql}&connect_timeout=9', None))
    with engine.connect() as connection:
        parameters = connection.connection.driver_connection.info.get_parameters()
    assert parameters['connect_timeout'] == '9'
    assert parameters['tcp_user_timeout'] == '4000'


RELATIVE = [
    'sqlite:///cron.sqlite',
    'sqlite:///var/cron.sqlite',
    'sqlite:///../cron.sqlite',
    'sqlite:///~/cron.sqlite',
    'sqlite:///%(here)s/cron.sqlite',
    'sqlite:///file:cron.sqlite?mode=rw&uri=true',
    # which is no URI without uri=true
    'sqlite:///file:/var/cron.sqlite',
]


@pytest.mark.parametrize('url', RELATIVE)
def test_a_relative_path_is_refused_in_any_form(url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ENGINES['engine'] = create_engine(url)
    for value in (url, make_url(url), ENGINES['engine'], make_one):
        with pytest.raises(ConfigurationError) as caught:
            make_engine(value, None)
        assert ' is relative, so that ' in str(caught.value)
        assert 'write sqlite:///%(here)s/' in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_database_without_isolation_levels_has_none(tmp_path, engines):
    engine = engines(make_engine(f'sqlite:///{tmp_path}/cron.sqlite', None))
    assert engine.hide_parameters
    with engine.connect() as connection:
        assert connection.scalar(text('PRAGMA busy_timeout')) == 4000
        assert connection.scalar(text('PRAGMA synchronous')) == 2


def test_values_without_a_type_are_read_in_utc(postgresql, engines):
    plain = engines(create_engine(postgresql))
    with plain.begin() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {plain.url.database} SET timezone TO 'Asia/Tokyo'")
    with engines(make_engine(postgresql, None)).connect() as connection:
        assert connection.scalar(text('SHOW timezone')) == 'UTC'
