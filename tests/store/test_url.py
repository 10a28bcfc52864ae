"""The URL of the store: malformed ones, and errors of drivers, which show no part of a password."""

import logging
import traceback

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from sqlalchemy import URL, create_engine, make_url
from sqlalchemy.pool import NullPool

from pyramid_cron.claims import Unavailable
from pyramid_cron.store.engine import make_engine
from pyramid_cron.store.url import MALFORMED, conceal, parse_url
from pyramid_cron.testing import tick
from tests.support.pcron import FixedCommand
from tests.support.servers import INSTANT

DRIVERS = ['postgresql+psycopg', 'postgresql+psycopg2', 'mysql+pymysql']

# each with a part of a password, s3cr3t, that is read as something else, or that an error would show
BEHIND_SCHEME = [
    'shop:p@s3cr3t@127.0.0.1:1/shop',
    'shop:s3cr3t@x@127.0.0.1:1/shop',
    'shop:p@s3cr3t/x@127.0.0.1:1/shop',
    'shop:p@x/s3cr3t@127.0.0.1:1/shop',
    'shop:p@s3cr3t:x@127.0.0.1:1/shop',
    'shop:p@s3cr3t?x@127.0.0.1:1/shop',
    'shop:p@s3cr3t?x=1@127.0.0.1:1/shop',
    'shop:p@s3cr3t#x@127.0.0.1:1/shop',
    'shop:p@[s3cr3t]x@127.0.0.1:1/shop',
    'shop:p@s3cr3t x@127.0.0.1:1/shop',
    'shop@s3cr3t@127.0.0.1:1/shop',
    'shop:s3cr3t127.0.0.1/shop',
    'shop:s3cr3t@127.0.0.1:port/shop',
    'shop:s3cr3t@127.0.0.1:/shop',
    'shop:s3cr3t@127.0.0.1:1:2/shop',
    'shop:s3cr3t@127.0.0.1:0/shop',
    'shop:s3cr3t@127.0.0.1:-1/shop',
    'shop:s3cr3t@127.0.0.1:65536/shop',
    'shop:s3cr3t@127.0.0.1:5 4/shop',
    'shop:s3cr3t@[::1/shop',
    'shop:s3cr3t@::1/shop',
    'shop:s3cr3t@"127.0.0.1"/shop',
    "shop:'p@s3cr3t'@127.0.0.1/shop",
    '/shop:s3cr3t@127.0.0.1/shop',
    '//shop:s3cr3t@127.0.0.1/shop',
    '/postgresql://shop:s3cr3t@127.0.0.1/shop',
    'shop:p%00s3cr3t@127.0.0.1:1/shop',
    'shop:s3cr3t%0a@127.0.0.1:1/shop',
    '127.0.0.1:1/shop?user=shop&password=p@s3cr3t',
    '127.0.0.1:1/shop?user=shop&password=s3cr3t%00',
]
WHOLE = [
    ' postgresql+psycopg://shop:s3cr3t@127.0.0.1/shop',
    '"postgresql+psycopg://shop:s3cr3t@127.0.0.1/shop"',
    'DATABASE_URL=postgresql+psycopg://shop:s3cr3t@127.0.0.1/shop',
    'postgresql+psycopg//shop:s3cr3t@127.0.0.1/shop',
    'postgresql+psycopg:/shop:s3cr3t@127.0.0.1/shop',
    'postgresql+psycopg:shop:s3cr3t@127.0.0.1/shop',
    'postgresql +psycopg://shop:s3cr3t@127.0.0.1/shop',
    '://shop:s3cr3t@127.0.0.1/shop',
    'sqlite://shop:s3cr3t@127.0.0.1/shop',
    'sqlite://s3cr3t/shop',
    'shop:s3cr3t@127.0.0.1/shop',
    's3cr3t',
    '${S3CR3T:-s3cr3t}',
]
# which SQLAlchemy or the driver refuses, when the application starts or when it connects
OPTIONS = [
    'shop:s3cr3t@127.0.0.1:1/shop?plugin=s3cr3t',
    'shop@127.0.0.1:1/shop?connect_timeout=s3cr3t',
    'shop@127.0.0.1:1/shop?sslmode=s3cr3t',
    'shop@127.0.0.1:1/shop?port=s3cr3t',
    'shop@127.0.0.1:1/shop?password=p&s3cr3t=x',
    'shop@127.0.0.1:1/shop?passwd=s3cr3t',
    'shop@127.0.0.1:1/shop?service=s3cr3t',
    'shop@127.0.0.1:1/shop?options=s3cr3t&target_session_attrs=s3cr3t',
    'shop@127.0.0.1:1/shop?sslcert=/etc/s3cr3t&sslrootcert=/s3cr3t&ssl_ca=/s3cr3t',
    'shop:s3cr3t@127.0.0.1:1/shop?host=127.0.0.1:1&host=127.0.0.1:x',
    'shop:s3cr3t@127.0.0.1:1/shop?charset=s3cr3t&client_encoding=s3cr3t',
]


def raised(function):
    """Return all that the exception of a function shows, with those that it was raised from, but for lines of code."""
    shown, exc = [], None
    try:
        function()
    except Exception as raised:
        exc = raised
    while exc is not None and len(shown) < 100:
        shown += [repr(exc), *traceback.format_exception_only(exc)]
        exc = exc.__cause__ or (None if exc.__suppress_context__ else exc.__context__)
    return ''.join(shown).lower()


@pytest.mark.parametrize('driver', DRIVERS)
@pytest.mark.parametrize('rest', BEHIND_SCHEME)
def test_a_malformed_url_is_refused_and_not_shown(driver, rest):
    value = f'{driver}://{rest}'
    with pytest.raises(ConfigurationError) as caught:
        make_engine(value, None)
    assert str(caught.value) == MALFORMED
    shown = raised(lambda: make_engine(value, None))
    assert 's3cr3t' not in shown
    assert '127.0.0.1' not in shown


@pytest.mark.parametrize('value', WHOLE)
def test_what_is_no_url_at_all_is_not_shown(value):
    with pytest.raises(ConfigurationError) as caught:
        make_engine(value, None)
    assert str(caught.value).startswith(
        'bad setting cron.store: it is no URL such as postgresql+psycopg://user@host/name'
    )
    assert 's3cr3t' not in raised(lambda: make_engine(value, None))


@pytest.mark.parametrize(
    'value',
    [
        'postgresql+psycopg://shop:p%40s3cr3t@db.example.com:5432/shop',
        'postgresql+psycopg://shop:p#/:%&s3cr3t==@db/shop',
        'postgresql+psycopg://shop:s3cr3t@[fe80::1]/shop',
        'postgresql+psycopg://shop@/shop?host=/var/run/postgresql&sslmode=require',
        'postgresql+psycopg://shop@server:s3cr3t@db/shop',
        'mysql+pymysql://shop:\u0416@db_1/shop?charset=utf8mb4&',
        'sqlite:////var/lib/app@2/cron.sqlite?timeout=5',
        URL.create('postgresql+psycopg', 'shop@server', 's3@cr3t', 'db', 1, 'shop', {'password': 'p@ss'}),
    ],
    ids=str,
)
def test_a_well_formed_url_is_taken(value):
    assert parse_url(value) == make_url(value)


def test_a_url_object_is_checked_too():
    with pytest.raises(ConfigurationError, match='it is no URL'):
        parse_url(URL.create('postgresql+psycopg', 'shop', 'p', 's3cr3t@db', 1, 'shop'))


@pytest.mark.parametrize('driver', DRIVERS)
@pytest.mark.parametrize('rest', OPTIONS)
def test_an_option_that_is_refused_is_not_shown(driver, rest, engines):
    def connect():
        engines(make_engine(f'{driver}://{rest}', None)).connect()

    shown = raised(connect)
    # by its own class and a message of its own
    assert 'error' in shown
    assert 's3cr3t' not in shown


def refusing(url, driver_error, engines, pool=NullPool):
    """Return an engine that another part of the application makes, and that raises an error when it connects."""

    def creator():
        raise driver_error

    return engines(make_engine(engines(create_engine(url, creator=creator, poolclass=pool)), None))


@pytest.mark.parametrize('url', ['{}://shop:s3cr3t@db/shop', '{}://shop:p%40%25s3cr3t@db/shop'])
@pytest.mark.parametrize('driver', DRIVERS)
def test_an_error_that_echoes_the_connection_string_is_concealed(driver, url, engines):
    url = make_url(url.format(driver))
    echoes = [
        url.render_as_string(hide_password=False),
        f"host=db password='{url.password}' dbname=shop",
        repr({'password': url.password}),
        f'invalid connection option in {url.password!r}: {url.password}',
    ]
    dbapi = url.get_dialect().import_dbapi()
    for echo in echoes:
        for kind in (dbapi.OperationalError, dbapi.ProgrammingError, ValueError, LookupError):
            error = kind(echo)
            error.__cause__ = OSError(2, echo)
            error.__context__ = error
            engine = refusing(url, error, engines)
            shown = raised(engine.connect)
            assert kind.__name__.lower() in shown
            assert 's3cr3t' not in shown
            assert '***' in shown


def test_a_character_of_a_password_is_not_shown(engines):
    engine = engines(make_engine('mysql+pymysql://shop:\u0416s3cr3t@127.0.0.1:1/shop', None))
    shown = raised(engine.connect)
    assert 'latin-1' in shown
    assert r'\u0416' not in shown
    assert '\u0416' not in shown


def test_what_helps_is_shown(engines):
    engine = engines(make_engine('postgresql+psycopg://a:a@127.0.0.1:1/shop?host=127.0.0.1&connect_timeout=1', None))
    shown = raised(engine.connect)
    # a password of one character does not take that out of each word
    assert 'connection to server at "127.0.0.1", port ' in shown
    assert 'failed: connection refused' in shown


def test_an_engine_without_secrets_is_left_alone(tmp_path, engines):
    engine = engines(create_engine(f'sqlite:///{tmp_path}/cron.sqlite'))
    before = engine.raw_connection
    conceal(engine)
    assert engine.raw_connection == before


@pytest.fixture
def shop(write_module):
    return write_module(
        'from pyramid.config import Configurator\n'
        'def main(global_config, **settings):\n'
        '    with Configurator(settings=settings) as config:\n'
        '        config.include("pyramid_cron")\n'
        '        config.add_cron_task(print, name="task", min="*")\n'
        '        return config.make_wsgi_app()\n'
    )


@pytest.mark.parametrize('driver', DRIVERS)
@pytest.mark.parametrize('rest', [*BEHIND_SCHEME[:6], *OPTIONS])
def test_no_command_shows_a_part_of_the_url(driver, rest, shop, tmp_path, capsys):
    ini = tmp_path / 'shop.ini'
    ini.write_text(f'[app:main]\nuse = call:{shop}:main\ncron.store = {driver}://{rest.replace("%", "%%")}\n')
    for line in (['store', 'check', str(ini)], ['tick', str(ini)], ['history', str(ini)]):
        command = FixedCommand(['pcron', *line])
        assert command.run() != 0
        printed = ''.join(capsys.readouterr())
        assert 's3cr3t' not in printed
        assert printed


@pytest.mark.parametrize('driver', DRIVERS)
@pytest.mark.parametrize('rest', OPTIONS)
def test_no_answer_and_no_log_shows_a_part_of_the_url(driver, rest, caplog):
    caplog.set_level(logging.DEBUG)
    settings = {'cron.store': f'{driver}://{rest}', 'cron.app': 'shop', 'cron.timezone': 'UTC'}
    config = Configurator(settings=settings)
    config.include('pyramid_cron')
    config.add_cron_task(print, name='task', min='*')
    if raised(config.commit):
        # test_an_option_that_is_refused_is_not_shown
        return
    report = tick(config.registry, INSTANT)
    assert 'the store is not available' in str(report)
    store = config.registry['cron_store']
    with pytest.raises(Unavailable) as caught:
        store.snapshot()
    formatter = logging.Formatter()
    logged = ''.join(map(formatter.format, caplog.records))
    assert 'Traceback' in logged
    assert 's3cr3t' not in f'{report} {report.as_dict()} {caught.value} {logged}'
    store.database.engine.dispose()
