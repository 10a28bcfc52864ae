"""Held connections of SQLite."""

import contextlib
import sqlite3

import pytest

from pyramid_cron.rehearsal.findings import Findings, NotHeldBack, Write
from pyramid_cron.rehearsal.held import REHEARSAL


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / 'a.sqlite')


@pytest.fixture
def connection(path):
    connection = sqlite3.connect(path)
    with connection:
        connection.execute('CREATE TABLE items (id integer primary key, what blob)')
        connection.executemany('INSERT INTO items (what) VALUES (?)', [('a',), ('b',)])
    yield connection
    connection.close()


def kept(path):
    other = sqlite3.connect(path)
    try:
        return [row[0] for row in other.execute('SELECT what FROM items ORDER BY id')]
    finally:
        other.close()


def seen(connection):
    return [row[0] for row in connection.execute('SELECT what FROM items ORDER BY id')]


def test_without_a_rehearsal_it_is_as_any_other(connection, path):
    connection.execute("INSERT INTO items (what) VALUES ('c')")
    connection.rollback()
    connection.executescript("INSERT INTO items (what) VALUES ('c'); SELECT 1;")
    with contextlib.suppress(ZeroDivisionError), connection:
        connection.execute("INSERT INTO items (what) VALUES ('d')")
        raise ZeroDivisionError
    assert kept(path) == ['a', 'b', 'c']
    connection.isolation_level = None
    assert connection.isolation_level is None
    connection.execute('BEGIN')
    connection.execute('DELETE FROM items')
    connection.execute('COMMIT')
    assert kept(path) == []
    other = sqlite3.connect(':memory:')
    connection.backup(other)
    assert seen(other) == []
    other.close()


def test_a_commit_becomes_a_savepoint(connection, path):
    findings = Findings()
    with REHEARSAL.going_on(findings), findings.in_task():
        connection.commit()
        for what in 'cd':
            connection.execute('INSERT INTO items (what) VALUES (?)', what)
            connection.commit()
        connection.execute('DELETE FROM items')
        connection.rollback()
        assert seen(connection) == ['a', 'b', 'c', 'd']
        connection.execute('SAVEPOINT mine')
        connection.execute('DELETE FROM items')
        connection.execute('ROLLBACK TO mine')
        connection.execute('RELEASE mine')
        assert seen(connection) == ['a', 'b', 'c', 'd']
    assert seen(connection) == kept(path) == ['a', 'b']
    assert findings.commits == 2
    assert findings.rows == {Write(path, 'items', 'insert'): 2, Write(path, 'items', 'delete'): 8}
    # and commits are commits again
    connection.execute('DELETE FROM items')
    connection.commit()
    assert kept(path) == []


def test_a_rollback_before_any_commit_is_one(connection):
    with REHEARSAL.going_on(Findings()):
        connection.execute('DELETE FROM items')
        connection.execute('ROLLBACK')
        assert not connection.in_transaction
        with contextlib.suppress(ZeroDivisionError), connection:
            connection.execute('DELETE FROM items')
            raise ZeroDivisionError
        assert seen(connection) == ['a', 'b']


def test_each_statement_in_autocommit_mode_is_a_transaction(connection):
    findings = Findings()
    with REHEARSAL.going_on(findings), findings.in_task():
        connection.execute("INSERT INTO items (what) VALUES ('c')")
        # as the driver does, this commits
        connection.isolation_level = None
        connection.execute("UPDATE items SET what = 'x'")
        connection.rollback()
        assert seen(connection) == ['x', 'x', 'x']
        connection.execute('BEGIN IMMEDIATE')
        connection.execute('DELETE FROM items')
        connection.rollback()
        assert seen(connection) == ['x', 'x', 'x']
        connection.isolation_level = ''
    assert findings.commits == 2


def test_sqlite_itself_refuses_what_goes_around(connection, path):
    with REHEARSAL.going_on(Findings()):
        plain = sqlite3.Cursor(connection)
        for text in ("INSERT INTO items (what) VALUES ('c')", 'PRAGMA user_version = 3', 'SAVEPOINT a', 'BEGIN'):
            with pytest.raises(sqlite3.DatabaseError, match='not authorized'):
                plain.execute(text)
        connection.execute("INSERT INTO items (what) VALUES ('c')")
        for commit in (lambda: plain.execute('COMMIT'), lambda: sqlite3.Connection.commit(connection)):
            with pytest.raises(sqlite3.DatabaseError, match='not authorized'):
                commit()
    assert kept(path) == ['a', 'b']


def test_pragmas_of_the_file_are_left(connection):
    with REHEARSAL.going_on(Findings()):
        connection.execute('PRAGMA journal_mode = wal')
        connection.execute('PRAGMA user_version = 7')
        connection.execute('PRAGMA foreign_keys = on')
        assert connection.execute('PRAGMA user_version').fetchone() == (7,)
    values = [connection.execute(f'PRAGMA {name}').fetchone()[0] for name in ('journal_mode', 'user_version')]
    assert values == ['delete', 0]


def test_an_authorizer_of_the_application_counts_too(connection):
    connection.set_authorizer(lambda action, *names: sqlite3.SQLITE_DENY if action == 9 else sqlite3.SQLITE_OK)
    with REHEARSAL.going_on(Findings()):
        connection.execute("UPDATE items SET what = 'x'")
        with pytest.raises(sqlite3.DatabaseError, match='not authorized'):
            connection.execute('DELETE FROM items')


def test_a_backup_into_a_database_is_refused(connection, path):
    findings, other = Findings(), sqlite3.connect(':memory:')
    with REHEARSAL.going_on(findings), pytest.raises(NotHeldBack):
        connection.backup(other)
    assert findings.refused == ['a backup of SQLite into :memory:']
    other.close()


@pytest.mark.skipif(not hasattr(sqlite3.Connection, 'blobopen'), reason='Python 3.10 opens no blobs')
def test_a_blob_is_written_in_a_transaction(connection, path):
    with REHEARSAL.going_on(Findings()):
        with connection.blobopen('items', 'what', 1) as blob:
            blob.write(b'z')
        assert seen(connection)[0] in ('z', b'z')
    assert kept(path) == ['a', 'b']
    with connection.blobopen('items', 'what', 1, readonly=True) as blob:
        assert blob.read() == b'a'


class OwnConnection(sqlite3.Connection):
    def size(self):
        return len(seen(self))


def test_classes_of_the_application_are_kept(connection, path):
    own = sqlite3.connect(path, 5.0, 0, '', True, OwnConnection)
    with REHEARSAL.going_on(Findings()):
        own.execute('DELETE FROM items')
        own.commit()
        assert own.size() == 0
    assert own.size() == 2
    own.close()
    with pytest.raises(TypeError, match='is no class of connections'):
        sqlite3.connect(path, factory=lambda *args, **options: None)
