"""The URL of the store: malformed ones, and errors of drivers, which show no part of a password."""

import logging

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from sqlalchemy import URL, make_url

from pyramid_cron.errors import Unavailable
from pyramid_cron.store.engine import make_engine
from pyramid_cron.store.url import MALFORMED, parse_url
from pyramid_cron.testing import tick
from tests.support.exceptions import raised
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


@pytest.mark.slow
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


@pytest.mark.slow
@pytest.mark.parametrize('driver', DRIVERS)
@pytest.mark.parametrize('rest', OPTIONS)
def test_an_option_that_is_refused_is_not_shown(driver, rest, engines):
    def connect():
        engines(make_engine(f'{driver}://{rest}', None)).connect()

    shown = raised(connect)
    # by its own class and a message of its own
    assert 'error' in shown
    assert 's3cr3t' not in shown


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


@pytest.mark.slow
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


@pytest.mark.slow
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
