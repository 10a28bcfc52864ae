"""The drivers of databases, replaced while an application is loaded and rehearsed."""

import asyncio
import sqlite3
import sys

import psycopg
import pytest

from pyramid_cron.rehearsal.drivers import held_drivers, opens_held_connection
from pyramid_cron.rehearsal.findings import Findings, NotHeldBack
from pyramid_cron.rehearsal.held import REHEARSAL
from pyramid_cron.rehearsal.sqlite import HeldSQLite

FAKE = """
def connect(*args):
    return args
"""


def test_they_are_as_they_were_afterwards(tmp_path, held):
    held = sqlite3.connect
    with held_drivers():
        assert sqlite3.connect is sqlite3.dbapi2.connect is not held
    assert sqlite3.connect is held
    connection = sqlite3.connect(tmp_path / 'a.sqlite')
    assert isinstance(connection, HeldSQLite)
    connection.close()
    assert not opens_held_connection()


def test_a_driver_that_cannot_be_held_back_is_refused(tmp_path, monkeypatch):
    (tmp_path / 'pymssql.py').write_text(FAKE)
    (tmp_path / 'oracledb.py').write_text('raise ImportError')
    monkeypatch.syspath_prepend(tmp_path)
    with held_drivers():
        import pymssql

        assert pymssql.connect(1) == (1,)
        assert REHEARSAL.not_held == {'pymssql'}
        findings = Findings()
        with REHEARSAL.going_on(findings), pytest.raises(NotHeldBack):
            pymssql.connect(1)
    assert findings.refused == ['a connection of pymssql: its commits cannot be held back']
    assert pymssql.connect(2) == (2,)


def test_drivers_that_are_not_installed(monkeypatch):
    connect = psycopg.connect
    for name in ('psycopg', 'psycopg2', 'pymysql'):
        monkeypatch.setitem(sys.modules, name, None)
    with held_drivers():
        assert psycopg.connect is connect


def test_connections_that_are_awaited_are_refused():
    async def connect():
        return await psycopg.AsyncConnection.connect('')

    with REHEARSAL.going_on(Findings()), pytest.raises(NotHeldBack):
        asyncio.run(connect())
    with pytest.raises(RuntimeError, match=r'psycopg\.AsyncConnection cannot be held back'):
        asyncio.run(connect())
