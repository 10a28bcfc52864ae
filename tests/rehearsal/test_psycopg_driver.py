"""What only psycopg has: transactions in a ``with``, streams, copies, server-side cursors."""

import contextlib

import psycopg
import pytest
from psycopg import sql
from psycopg.rows import dict_row

from pyramid_cron.rehearsal.cursors import held_class
from pyramid_cron.rehearsal.findings import Findings
from pyramid_cron.rehearsal.held import REHEARSAL
from pyramid_cron.rehearsal.psycopg_driver import HeldPsycopgCursor

pytestmark = pytest.mark.parametrize('database', ['psycopg'], indirect=True)


def count(connection):
    return connection.execute('SELECT count(*) AS count FROM items').fetchone()


def insert(connection):
    connection.execute(sql.SQL('INSERT INTO {} (what) VALUES (%s)').format(sql.Identifier('items')), ['x'])


def test_a_transaction_in_a_with(connection):
    with connection.transaction():
        insert(connection)
    findings = Findings()
    with REHEARSAL.going_on(findings), findings.in_task():
        with connection.transaction():
            insert(connection)
            with connection.transaction():
                insert(connection)
        connection.rollback()
        assert count(connection) == (8,)
        connection.rollback()
        with contextlib.suppress(ZeroDivisionError), connection.transaction():
            insert(connection)
            raise ZeroDivisionError
        assert count(connection) == (8,)
        connection.autocommit = True
        with connection.transaction():
            insert(connection)
        connection.rollback()
        assert count(connection) == (9,)
    assert findings.commits > 1
    assert count(connection) == (6,)


def test_all_methods_of_cursors(connection):
    connection.row_factory = dict_row
    findings = Findings()
    with REHEARSAL.going_on(findings):
        cursor = connection.cursor()
        cursor.executemany('INSERT INTO items (what) VALUES (%s)', [['a'], ['b']])
        with cursor.copy('COPY items (id, what) FROM STDIN') as copy:
            copy.write_row((70, 'c'))
        assert count(connection) == {'count': 8}
        assert len(list(cursor.stream('SELECT id FROM items'))) == 8
        with connection.cursor('named') as named:
            named.execute('SELECT id FROM items')
            assert len(named.fetchall()) == 8
    assert findings.statements == 5
    assert sum(findings.rows.values()) == 3
    assert count(connection) == {'count': 5}


def test_classes_of_the_application_are_kept(site):
    class Own(psycopg.Cursor):
        pass

    class OwnConnection(psycopg.Connection):
        pass

    url = site.engine.url
    made = OwnConnection.connect(host=url.query['host'], user='cron', dbname=url.database, cursor_factory=Own)
    assert isinstance(made, OwnConnection)
    assert isinstance(made.cursor(), Own)
    assert held_class(type(made.cursor()), HeldPsycopgCursor) is type(made.cursor())
    again = type(made).connect(host=url.query['host'], user='cron', dbname=url.database)
    assert type(again) is type(made)
    for connection in (made, again):
        connection.close()


def test_the_kind_of_a_transaction_is_set_where_none_is_open(connection):
    connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
    connection.isolation_level = None
    with REHEARSAL.going_on(Findings()):
        connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        assert connection.execute('SHOW transaction_isolation').fetchone() == ('serializable',)
        connection.commit()
        connection.isolation_level = None
        connection.deferrable = True
        connection.read_only = True
        assert connection.isolation_level == psycopg.IsolationLevel.SERIALIZABLE
    connection.read_only = connection.deferrable = None
