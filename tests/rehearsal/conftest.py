"""Fixtures of rehearsals: the drivers' connections can be held back in each test."""

import pytest

from pyramid_cron.rehearsal.drivers import held_drivers
from pyramid_cron.rehearsal.held import REHEARSAL
from tests.support.rehearsed import Site


@pytest.fixture(autouse=True)
def held():
    with held_drivers():
        yield
    REHEARSAL.findings = None
    REHEARSAL.not_held.clear()


@pytest.fixture
def database(request, tmp_path):
    """The URL of an empty database, of the kind that is the parameter, SQLite without one."""
    driver = getattr(request, 'param', 'sqlite')
    if driver == 'sqlite':
        yield f'sqlite:///{tmp_path}/shop.sqlite'
        return
    if driver == 'mariadb':
        # those of the driver run always, and the tasks made at random with --mariadb
        with request.getfixturevalue('mariadb_server').database() as url:
            yield url
        return
    yield request.getfixturevalue('postgresql').replace('+psycopg', f'+{driver}')


@pytest.fixture
def make_site(database):
    """Return a function that makes an application."""
    made = []

    def make(**options):
        made.append(Site(database, **options))
        return made[-1]

    yield make
    for site in made:
        site.end()


@pytest.fixture
def site(make_site):
    return make_site()


@pytest.fixture
def connection(site):
    connection = site.direct()
    yield connection
    connection.close()
