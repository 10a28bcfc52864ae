"""Held connections of PostgreSQL, by both drivers."""

import contextlib

import pytest

from pyramid_cron.rehearsal import postgresql
from pyramid_cron.rehearsal.findings import Findings, NotHeldBack, Write
from pyramid_cron.rehearsal.held import REHEARSAL
from tests.support.items import count, execute, insert
from tests.support.rehearsed import plain_classes

pytestmark = pytest.mark.parametrize('database', ['psycopg', 'psycopg2'], indirect=True)


@pytest.fixture
def other(site):
    other = site.direct()
    yield other
    other.close()


def test_without_a_rehearsal_it_is_as_any_other(connection, other):
    insert(connection)
    connection.rollback()
    insert(connection)
    connection.commit()
    assert count(other) == 6
    connection.autocommit = True
    insert(connection)
    assert connection.autocommit
    other.rollback()
    assert count(other) == 7


def test_a_commit_becomes_a_savepoint(connection, other, site):
    findings, name = Findings(), site.engine.url.database
    with REHEARSAL.going_on(findings), findings.in_task():
        connection.commit()
        for _ in range(2):
            insert(connection)
            connection.commit()
        execute(connection, b'DELETE FROM items')
        connection.rollback()
        assert count(connection) == 7
    assert findings.commits == 2
    assert findings.rows == {Write(name, 'items', 'insert'): 2, Write(name, 'items', 'delete'): 7}
    assert count(connection) == count(other) == 5
    connection.rollback()
    insert(connection)
    connection.commit()
    other.rollback()
    assert count(other) == 6
    assert (findings.refused, findings.escaped, findings.violations) == ([], [], [])


def test_texts_that_end_a_transaction(connection):
    findings = Findings()
    with REHEARSAL.going_on(findings), findings.in_task():
        execute(connection, 'BEGIN')
        insert(connection)
        execute(connection, 'COMMIT')
        execute(connection, 'DELETE FROM items')
        execute(connection, 'ROLLBACK')
        assert count(connection) == 6
        with pytest.raises(NotHeldBack):
            execute(connection, 'DELETE FROM items; COMMIT')
        assert count(connection) == 6
    assert findings.commits == 1


def test_after_an_error_a_commit_is_a_rollback(connection):
    with REHEARSAL.going_on(Findings()):
        insert(connection)
        connection.commit()
        insert(connection)
        with pytest.raises(Exception, match='division by zero'):
            execute(connection, 'SELECT 1 / 0')
        connection.commit()
        assert count(connection) == 6
        connection.rollback()


def test_each_statement_in_autocommit_mode_is_a_transaction(connection):
    findings = Findings()
    with REHEARSAL.going_on(findings), findings.in_task():
        connection.autocommit = True
        insert(connection)
        with pytest.raises(Exception, match='division by zero'):
            execute(connection, 'SELECT 1 / 0')
        connection.rollback()
        assert connection.autocommit
        assert count(connection) == 6
        execute(connection, 'BEGIN')
        insert(connection)
        connection.rollback()
        assert count(connection) == 6
    assert connection.autocommit
    assert count(connection) == 5


def test_the_connection_is_left_as_it_was(connection):
    connection.autocommit = True
    with REHEARSAL.going_on(Findings()):
        insert(connection)
        assert execute(connection, 'SHOW default_transaction_read_only').fetchone() == ('on',)
    assert connection.autocommit
    assert execute(connection, 'SHOW default_transaction_read_only').fetchone() == ('off',)
    assert count(connection) == 5


def test_the_server_itself_refuses_what_goes_around(site, other):
    findings = Findings()
    with REHEARSAL.going_on(findings):
        fresh = site.direct()
        kind, cursor = plain_classes(fresh)
        with pytest.raises(Exception, match='in a read-only transaction'):
            cursor(fresh).execute('DELETE FROM items')
        fresh.rollback()
        insert(fresh)
        with pytest.raises(Exception, match='rehearses this task, and holds back its commits'):
            kind.commit(fresh)
        fresh.rollback()
        insert(fresh)
        fresh.commit()
        cursor(fresh).execute('ROLLBACK')
        cursor(fresh).execute('SELECT 1')
        # the savepoint is gone
        fresh.rollback()
        insert(fresh)
        cursor(fresh).execute('ROLLBACK')
        insert(fresh)
        fresh.close()
    assert count(other) == 5


def test_what_was_committed_all_the_same_is_reported(connection, other, monkeypatch):
    monkeypatch.setattr(postgresql, 'BEGIN', 'SET TRANSACTION READ WRITE')
    kind, _ = plain_classes(connection)
    findings = Findings()
    with REHEARSAL.going_on(findings):
        insert(connection)
        kind.commit(connection)
    assert findings.escaped == [f'a transaction in {connection.info.dbname} was committed']
    assert count(other) == 6


def test_a_transaction_from_before_is_refused(connection):
    insert(connection)
    findings = Findings()
    with REHEARSAL.going_on(findings):
        for call in (lambda: insert(connection), lambda: setattr(connection, 'autocommit', True)):
            with pytest.raises(NotHeldBack):
                call()
    assert findings.refused == [f'a transaction in {connection.info.dbname} that had begun before the rehearsal']
    connection.rollback()


def test_what_a_commit_would_refuse_is_reported(connection):
    execute(connection, 'ALTER TABLE items ADD CONSTRAINT one UNIQUE (what) DEFERRABLE INITIALLY DEFERRED')
    connection.commit()
    findings = Findings()
    with REHEARSAL.going_on(findings):
        insert(connection)
        insert(connection)
        connection.commit()
    [why] = findings.violations
    assert why.startswith('duplicate key value violates unique constraint "one"')
    connection.rollback()
    execute(connection, 'ALTER TABLE items DROP CONSTRAINT one')
    connection.commit()


def test_a_with_commits_or_rolls_back(site, other):
    findings = Findings()
    with site.direct() as plain:
        insert(plain)
    plain.close()
    with REHEARSAL.going_on(findings), findings.in_task():
        with contextlib.closing(site.direct()) as outer, outer as connection:
            insert(connection)
        with contextlib.closing(site.direct()) as outer, contextlib.suppress(ZeroDivisionError), outer as connection:
            insert(connection)
            raise ZeroDivisionError
    assert findings.commits == 1
    assert count(other) == 6


def test_two_phases_are_refused(connection):
    findings = Findings()
    with REHEARSAL.going_on(findings), pytest.raises(NotHeldBack):
        connection.tpc_begin('a')
    connection.tpc_begin(connection.xid(1, 'a', 'b'))
    connection.tpc_rollback()


def test_a_connection_that_was_closed_is_left(connection):
    with REHEARSAL.going_on(Findings()):
        insert(connection)
        connection.close()
