"""What only psycopg2 has: functions and copies by cursors, sessions."""

import io

import psycopg2
import psycopg2.extensions
import pytest

from pyramid_cron.rehearsal.cursors import held_class
from pyramid_cron.rehearsal.findings import Findings, NotHeldBack
from pyramid_cron.rehearsal.held import REHEARSAL
from pyramid_cron.rehearsal.psycopg2_driver import HeldPsycopg2Cursor
from tests.support.items import count

pytestmark = pytest.mark.parametrize('database', ['psycopg2'], indirect=True)


def test_all_methods_of_cursors(connection):
    findings = Findings()
    with REHEARSAL.going_on(findings):
        cursor = connection.cursor()
        cursor.executemany('INSERT INTO items (what) VALUES (%s)', [['a'], ['b']])
        cursor.copy_from(io.StringIO('70\tc\n'), 'items', columns=('id', 'what'))
        cursor.copy_expert('COPY items (id, what) FROM STDIN', io.StringIO('71\td\n'))
        cursor.callproc('lower', ['A'])
        assert cursor.fetchone() == ('a',)
        assert count(connection) == 9
    assert findings.statements == 5
    assert count(connection) == 5


def test_the_kind_of_a_session(connection):
    connection.set_isolation_level(psycopg2.extensions.ISOLATION_LEVEL_SERIALIZABLE)
    connection.set_session(autocommit=False)
    with REHEARSAL.going_on(Findings()):
        connection.set_isolation_level(psycopg2.extensions.ISOLATION_LEVEL_AUTOCOMMIT)
        assert connection.autocommit
        connection.set_isolation_level(psycopg2.extensions.ISOLATION_LEVEL_REPEATABLE_READ)
        connection.set_session(readonly=False)
        assert not connection.autocommit
        assert count(connection) == 5
        connection.set_session(autocommit=True, readonly=True)
        connection.set_isolation_level(psycopg2.extensions.ISOLATION_LEVEL_READ_COMMITTED)
        assert not connection.autocommit


def test_classes_of_the_application_are_kept(site):
    class Own(psycopg2.extensions.cursor):
        pass

    class OwnConnection(psycopg2.extensions.connection):
        pass

    url = site.engine.url
    dsn = f'host={url.query["host"]} user=cron dbname={url.database}'
    made = psycopg2.connect(dsn, connection_factory=OwnConnection, cursor_factory=Own)
    assert isinstance(made, OwnConnection)
    assert isinstance(made.cursor(), Own)
    assert held_class(type(made.cursor()), HeldPsycopg2Cursor) is type(made.cursor())
    again = psycopg2.connect(dsn, connection_factory=type(made))
    assert type(again) is type(made)
    for connection in (made, again):
        connection.close()
    with REHEARSAL.going_on(Findings()), pytest.raises(NotHeldBack):
        psycopg2.connect(dsn, connection_factory=lambda dsn: None)
