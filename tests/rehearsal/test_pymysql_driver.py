"""Held connections of MariaDB, by PyMySQL."""

import pymysql
import pytest
from pymysql.constants import CLIENT

from pyramid_cron.rehearsal.findings import Findings, NotHeldBack, Write
from pyramid_cron.rehearsal.held import REHEARSAL
from tests.support.items import count, execute, insert
from tests.support.rehearsed import plain_classes

pytestmark = pytest.mark.parametrize('database', ['mariadb'], indirect=True)


@pytest.fixture
def other(site):
    other = site.direct()
    other.autocommit(True)
    yield other
    other.close()


@pytest.mark.slow
def test_without_a_rehearsal_it_is_as_any_other(connection, other):
    insert(connection)
    connection.rollback()
    insert(connection)
    connection.commit()
    assert count(other) == 6
    assert other.get_autocommit()


@pytest.mark.slow
def test_a_commit_becomes_a_savepoint(connection, other, site):
    findings, name = Findings(), site.engine.url.database
    with REHEARSAL.going_on(findings), findings.in_task():
        connection.commit()
        for _ in range(2):
            insert(connection)
            connection.commit()
        execute(connection, 'DELETE FROM items')
        connection.rollback()
        assert count(connection) == 7
        connection.begin()
        insert(connection)
        execute(connection, 'COMMIT')
        assert count(connection) == 8
    assert findings.commits == 3
    assert findings.rows == {Write(name, 'items', 'insert'): 3, Write(name, 'items', 'delete'): 7}
    assert count(connection) == count(other) == 5
    insert(connection)
    connection.commit()
    assert count(other) == 6
    assert (findings.refused, findings.escaped, findings.violations) == ([], [], [])


@pytest.mark.slow
def test_each_statement_in_autocommit_mode_is_a_transaction(other):
    findings = Findings()
    with REHEARSAL.going_on(findings), findings.in_task():
        insert(other)
        other.rollback()
        assert count(other) == 6
        other.autocommit(False)
        insert(other)
        other.rollback()
        assert count(other) == 6
        insert(other)
        execute(other, 'SET autocommit = 1')
        other.rollback()
        assert count(other) == 7
        assert other.get_autocommit()
        other.begin()
        insert(other)
        other.rollback()
        assert count(other) == 7
    assert other.get_autocommit()
    assert count(other) == 5
    assert execute(other, 'SELECT @@innodb_lock_wait_timeout').fetchall() == ((0,),)


@pytest.mark.slow
def test_what_may_commit_by_itself_is_refused(connection, other):
    findings, (kind, cursor) = Findings(), plain_classes(connection)
    texts = [
        'TRUNCATE items',
        'CREATE TABLE a (a int)',
        '/*! COMMIT */',
        'SET STATEMENT max_statement_time = 1 FOR COMMIT',
    ]
    with REHEARSAL.going_on(findings):
        insert(connection)
        for text in [*texts, "SET sql_mode = '', autocommit = 1"]:
            with pytest.raises(NotHeldBack):
                cursor(connection).execute(text)
        kind.commit(connection)
        cursor(connection).execute('COMMIT')
        kind.query(connection, 'COMMIT')
        execute(connection, 'CREATE TEMPORARY TABLE a (a int)')
        execute(connection, 'DROP TEMPORARY TABLE a')
    assert len(findings.refused) == 4
    assert count(other) == 5


@pytest.mark.slow
def test_tables_without_transactions_are_reported(connection, other):
    execute(connection, 'CREATE TABLE plain (a int) ENGINE = MyISAM')
    findings = Findings()
    with REHEARSAL.going_on(findings):
        execute(connection, 'INSERT INTO plain VALUES (1)')
    assert findings.escaped == [f'tables of {connection.label} that support no transactions were changed']


@pytest.mark.slow
def test_a_transaction_from_before_is_refused(connection):
    insert(connection)
    with REHEARSAL.going_on(Findings()), pytest.raises(NotHeldBack):
        insert(connection)
    connection.rollback()


@pytest.mark.slow
def test_a_connection_that_is_opened_later_is_held_back(site, other):
    url = site.engine.url
    with REHEARSAL.going_on(Findings()):
        plain = pymysql.connect(
            unix_socket=url.query['unix_socket'], user='root', client_flag=CLIENT.MULTI_STATEMENTS, defer_connect=True
        )
        plain.connect()
        assert plain.label == 'MariaDB'
        plain.select_db(url.database)
        insert(plain)
        plain.commit()
        with pytest.raises(pymysql.err.ProgrammingError):
            execute(plain, 'SELECT 1; SELECT 2')
        closed = site.direct()
        insert(closed)
        closed.close()
    assert count(other) == 5
    plain.close()


@pytest.mark.slow
def test_a_connection_that_is_closed_raises_what_the_driver_raises(site):
    closed = site.direct()
    closed.close()
    with REHEARSAL.going_on(Findings()), pytest.raises(pymysql.err.InterfaceError):
        insert(closed)
