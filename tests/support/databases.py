"""Databases of their own for programs that are no tests."""

from contextlib import contextmanager

from tests.support.mariadb import MariaDB
from tests.support.postgresql import PostgreSQL, find_postgresql


@contextmanager
def sqlite(folder):
    yield f'sqlite:///{folder / "store.sqlite"}'


@contextmanager
def postgresql_server(**options):
    server = PostgreSQL(find_postgresql(), options)
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def postgresql(folder):
    with postgresql_server() as server, server.database() as url:
        yield url


@contextmanager
def mariadb(folder):
    server = MariaDB()
    try:
        with server.database() as url:
            yield url
    finally:
        server.stop()


DATABASES = {'sqlite': sqlite, 'postgresql': postgresql, 'mariadb': mariadb}
