"""Nothing that a task does is kept: tasks made at random, and the same with protections taken out."""

import contextlib
import sqlite3

import pytest
from sqlalchemy import text

from pyramid_cron.rehearsal import postgresql
from pyramid_cron.rehearsal.held import REHEARSAL, Rehearsal
from pyramid_cron.rehearsal.pymysql_driver import HeldPyMySQL
from pyramid_cron.rehearsal.sqlite import HeldSQLite
from tests.support.rehearsed import Program

# as it is before a fixture replaces it
real_connect = sqlite3.connect
DATABASES = pytest.mark.parametrize('database', ['sqlite', 'psycopg', 'psycopg2', 'mariadb'], indirect=True)
# for each way of transactions
TASKS = 100
OF_CONTROL = 30


@pytest.fixture(autouse=True)
def mariadb_on_request(request):
    kind = getattr(request.node, 'callspec', None)
    if kind is not None and kind.params.get('database') == 'mariadb' and not request.config.getoption('mariadb'):
        pytest.skip('runs with --mariadb')


def changing(site, tasks):
    """Return the first task of some made at random after which the database is another one, ``None`` without one."""
    before = site.dump()
    for seed in range(tasks):
        program = Program(site, seed)
        site.rehearse(program)
        program.end()
        if site.dump() != before:
            return f'{seed}: {program!r}'
    return None


def tasks_for(site):
    # MariaDB takes four times as long
    return TASKS if site.engine.dialect.name in ('sqlite', 'postgresql') else OF_CONTROL


@pytest.mark.slow
@DATABASES
@pytest.mark.parametrize('by', ['pyramid_tm', 'session'])
def test_no_task_changes_the_database(make_site, by):
    site = make_site(by=by)
    assert changing(site, tasks_for(site)) is None


@pytest.mark.slow
@DATABASES
def test_without_the_rehearsal_tasks_change_it(make_site, monkeypatch):
    monkeypatch.setattr(Rehearsal, 'going_on', lambda *args: contextlib.nullcontext())
    assert changing(make_site(), OF_CONTROL) is not None


@pytest.mark.slow
@DATABASES
def test_without_the_protection_of_the_database_tasks_change_it(make_site, monkeypatch):
    site = make_site()
    monkeypatch.setattr(HeldSQLite, '_authorize', lambda *args: sqlite3.SQLITE_OK)
    monkeypatch.setattr(postgresql, 'BEGIN', 'SET TRANSACTION READ WRITE')
    monkeypatch.setattr(postgresql, 'ARM', ['SELECT 1'])
    monkeypatch.setattr(HeldPyMySQL, '_held', lambda self, findings, text, sql: sql)
    assert 'around' in changing(site, TASKS)


@pytest.mark.parametrize('database', ['psycopg', 'psycopg2'], indirect=True)
def test_without_transactions_that_only_read_tasks_change_it(make_site, monkeypatch):
    site = make_site()
    monkeypatch.setattr(postgresql, 'ARM', ['SELECT 1'])
    assert 'around' in changing(site, TASKS)


def test_a_connection_from_before_is_not_held_back(make_site, database, held):
    """What the fixture does belongs before the application is loaded."""
    connection = real_connect(database.removeprefix('sqlite:///'))
    site = make_site()
    before = site.dump()

    def body(system):
        with connection:
            connection.execute("INSERT INTO items (what) VALUES ('x')")

    site.rehearse(body)
    connection.close()
    assert site.dump() != before


def test_an_error_of_one_connection_keeps_no_other_from_being_rolled_back(site):
    class Broken:
        check = staticmethod(lambda *args: None)

        def arm(self, *args):
            raise RuntimeError

        drop = arm

    broken = Broken()
    REHEARSAL.add(broken)
    before = site.dump()
    site.rehearse(lambda system: site.engine.connect().execute(text('DELETE FROM items')))
    assert site.dump() == before
    REHEARSAL.drop()
