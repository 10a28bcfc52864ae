"""Errors of drivers that connect, which show no part of a password."""

import pytest
from sqlalchemy import create_engine, make_url
from sqlalchemy.pool import NullPool

from pyramid_cron.store.conceal import conceal
from pyramid_cron.store.engine import make_engine
from tests.support.exceptions import raised

DRIVERS = ['postgresql+psycopg', 'postgresql+psycopg2', 'mysql+pymysql']


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
