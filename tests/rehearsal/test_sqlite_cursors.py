"""Cursors of SQLite in a rehearsal."""

import sqlite3

import pytest

from pyramid_cron.rehearsal.findings import Findings
from pyramid_cron.rehearsal.held import REHEARSAL
from tests.support.items import count


@pytest.fixture
def connection(tmp_path):
    connection = sqlite3.connect(tmp_path / 'a.sqlite')
    with connection:
        connection.execute('CREATE TABLE items (what text)')
        connection.execute("INSERT INTO items VALUES ('a')")
    yield connection
    connection.close()


def test_a_script_is_executed_by_its_statements(connection):
    findings = Findings()
    with REHEARSAL.going_on(findings), findings.in_task():
        connection.executescript("INSERT INTO items VALUES ('c;'); BEGIN; DELETE FROM items; COMMIT; ; SELECT 1")
        assert count(connection) == 0
        connection.executescript('BEGIN; DELETE FROM items;')
    assert findings.commits == 2
    assert count(connection) == 1


def test_without_a_rehearsal_a_script_is_as_any_other(connection):
    connection.executescript("INSERT INTO items VALUES ('b'); INSERT INTO items VALUES ('c')")
    assert count(connection) == 3


class OwnCursor(sqlite3.Cursor):
    pass


def test_cursors_of_the_application_are_kept(connection):
    with REHEARSAL.going_on(Findings()):
        for factory in (OwnCursor, OwnCursor, lambda connection: OwnCursor(connection)):
            cursor = connection.cursor(factory)
            assert isinstance(cursor, OwnCursor)
            cursor.execute('DELETE FROM items')
        assert connection.cursor(type(cursor)).execute('SELECT count(*) FROM items').fetchone() == (0,)
        assert isinstance(connection.cursor(lambda connection: connection.cursor()), sqlite3.Cursor)
    assert count(connection) == 1
