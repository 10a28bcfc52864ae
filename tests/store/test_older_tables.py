"""Readings for a plan, of tables as they are."""

from datetime import timedelta

import pytest
from sqlalchemy import Column, MetaData, Table, insert, inspect, update

from pyramid_cron.claims import Pause
from pyramid_cron.errors import Unavailable
from pyramid_cron.schedules.clock import now
from pyramid_cron.store.database import Database
from pyramid_cron.store.engine import make_engine
from pyramid_cron.store.migrations import VERSION, upgrade
from pyramid_cron.store.older_tables import read_stored_tasks
from pyramid_cron.store.pause_times import FOR_EVER
from pyramid_cron.store.schema import metadata, pauses, schema, tasks
from tests.support import schema_0
from tests.support.servers import INSTANT


@pytest.fixture
def database(empty_url, engines):
    """The database of an application, without tables."""
    return Database(engines(make_engine(empty_url, None)), 'app', True)


@pytest.fixture
def older(database):
    """The same with the tables of version 1.1 and a task."""
    upgrade(database.engine)
    with database.engine.begin() as connection:
        connection.exec_driver_sql('DROP TABLE cron_audit')
        connection.exec_driver_sql('ALTER TABLE cron_tasks DROP COLUMN callable')
        connection.execute(update(schema).values(version='1.1'))
        old = [column for column in tasks.columns if column.name in ('app', 'task', 'schedule', 'first_seen')]
        old += [tasks.c.attempt, tasks.c.transactional]
        table = Table('cron_tasks', MetaData(), *(Column(column.name, column.type) for column in old))
        values = {'schedule': '0 0 0 0 0 00 ', 'first_seen': INSTANT, 'attempt': 0, 'transactional': False}
        connection.execute(insert(table), [{'app': app, 'task': 'task', **values} for app in ('app', 'other')])
    return database


def content(engine):
    """Return the tables of a database, their columns and their rows."""
    inspector = inspect(engine)
    with engine.connect() as connection:
        found = {}
        for name in sorted(inspector.get_table_names()):
            columns = [column['name'] for column in inspector.get_columns(name)]
            rows = connection.exec_driver_sql(f'SELECT * FROM {name}').all()
            found[name] = columns, sorted(map(str, rows))
        return found


@pytest.mark.each_database
def test_tables_of_an_older_minor_version_are_read_and_stay(older):
    before = content(older.engine)
    stored = read_stored_tasks(older)
    assert (stored.version, stored.is_outdated, stored.before) == ((1, 1), True, None)
    assert list(stored.states) == ['task']
    assert (stored.states['task'].first_seen, stored.states['task'].callable) == (INSTANT, None)
    assert content(older.engine) == before
    assert 'cron_audit' not in before


@pytest.mark.each_database
def test_missing_tables_are_not_created(database):
    stored = read_stored_tasks(database)
    assert (stored.version, stored.is_outdated, stored.states, stored.before) == (None, True, {}, None)
    assert abs(stored.now - now()) < timedelta(minutes=1)
    assert inspect(database.engine).get_table_names() == []


def test_a_missing_file_is_not_created(tmp_path, engines):
    database = Database(engines(make_engine(f'sqlite:///{tmp_path}/none.sqlite', None)), 'app', True)
    assert read_stored_tasks(database).version is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.each_database
def test_tables_of_this_version_are_read_with_pauses_and_ticks(servers):
    server = servers.start().add()
    server.tick(0)
    server.tick(1)
    server.store.pause(['task'], reason='why')
    servers.execute(insert(pauses).values(app='app', task='over', until=INSTANT, reason='why'))
    servers.execute(insert(pauses).values(app='other', task='task', until=FOR_EVER, reason='why'))
    before = content(servers.engine)
    stored = read_stored_tasks(server.store.database)
    assert (stored.version, stored.is_outdated, stored.before) == (VERSION, False, INSTANT)
    assert stored.states == server.store.states()
    assert stored.pauses == {'task': Pause(None, 'why', None)}
    assert (stored.pause_of('task'), stored.pause_of('other')) == (Pause(None, 'why', None), None)
    assert stored.states['task'].callable.startswith('tests.support.servers.')
    assert abs(stored.now - now()) < timedelta(minutes=1)
    assert content(servers.engine) == before


def test_tables_of_a_newer_minor_version_are_read(older):
    with older.engine.begin() as connection:
        connection.execute(update(schema).values(version=f'{VERSION[0]}.{VERSION[1] + 1}'))
        connection.exec_driver_sql('ALTER TABLE cron_tasks ADD COLUMN callable TEXT')
    stored = read_stored_tasks(older)
    assert (list(stored.states), stored.is_outdated) == (['task'], False)


def test_tables_of_another_major_version_are_refused(older, database):
    with older.engine.begin() as connection:
        connection.execute(update(schema).values(version='2.0'))
    with pytest.raises(Unavailable, match='newer than this pyramid_cron knows'):
        read_stored_tasks(older)
    metadata.drop_all(database.engine)
    schema_0.metadata.create_all(database.engine)
    with pytest.raises(Unavailable, match=r'of version 0\.0, older than .*: the first tick upgrades them'):
        read_stored_tasks(database)


def test_a_database_that_does_not_answer_is_unavailable(engines):
    database = Database(engines(make_engine('postgresql+psycopg://localhost:1/none', None)), 'app', True)
    with pytest.raises(Unavailable):
        read_stored_tasks(database)
