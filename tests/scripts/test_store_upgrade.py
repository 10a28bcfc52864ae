"""``pcron store upgrade``."""

import shutil
import sqlite3
import subprocess
from datetime import datetime, timedelta

import pytest
from sqlalchemy import create_engine, insert, inspect, text

from pyramid_cron.scripts.store_upgrade import upgrade_script, upgrade_tables
from pyramid_cron.store.engine import make_engine
from pyramid_cron.store.migrations import stored_version
from tests.support import schema_0
from tests.support.pcron import FixedCommand

PURGE = "purge, min=0, name='purge'"
MINUTE = datetime(2026, 11, 24, 2, 0)
LATER = MINUTE + timedelta(seconds=2)


@pytest.fixture
def store(tmp_path):
    return tmp_path / 'cron.sqlite'


class Command(FixedCommand):
    def run(self):
        try:
            return super().run()
        finally:
            if self.registry['cron_store'] is not None:
                # or else the file is not complete without its log
                self.registry['cron_store'].database.engine.dispose()


@pytest.fixture
def upgrade(pcron, ini, store):
    """Run the command, and return its exit status and what it printed."""

    def run(*options, settings=''):
        path = ini(PURGE, settings=f'cron.app = shop\ncron.store = sqlite:///{store}\n{settings}')
        return pcron('store', 'upgrade', path, *options, command=Command)

    return run


def make_old(engine, status='failed'):
    """Make the tables as they were before the first release, with a task whose last run has failed."""
    schema_0.metadata.create_all(engine)
    task = {'app': 'shop', 'task': 'purge', 'schedule': 's', 'since': MINUTE, 'attempt': 1, 'transactional': False}
    run = {'id': '1', 'app': 'shop', 'task': 'purge', 'scheduled_for': MINUTE, 'attempt': 1, 'trigger': 'request'}
    run |= {'started': LATER, 'finished': LATER, 'status': status, 'seconds': 0.5, 'error': "it's 100 %"}
    with engine.begin() as connection:
        connection.execute(insert(schema_0.tasks).values(last_minute=MINUTE, again='failed', began=1.5, **task))
        connection.execute(insert(schema_0.runs).values(by='ada', **run))
        connection.execute(
            insert(schema_0.pauses).values(app='shop', task='purge', until=MINUTE, reason='it is "full"', by='ada')
        )
        connection.execute(insert(schema_0.ticks).values(app='shop', last_minute=MINUTE))


def make_old_file(path):
    engine = create_engine(f'sqlite:///{path}')
    make_old(engine)
    engine.dispose()


def content(path):
    """Return the columns and keys of each table, the indexes, and all rows, in an order that does not depend on DDL."""
    engine = create_engine(f'sqlite:///{path}')
    with engine.connect() as connection:
        inspector = inspect(connection)
        found = {'mode': connection.scalar(text('PRAGMA journal_mode')), 'version': stored_version(connection)}
        for table in sorted(inspector.get_table_names()):
            columns = sorted((column['name'], str(column['type'])) for column in inspector.get_columns(table))
            names = ', '.join(f'"{name}"' for name, _ in columns)
            rows = connection.execute(text(f'SELECT {names} FROM {table}')).all()
            key = inspector.get_pk_constraint(table)['constrained_columns']
            indexes = sorted((index['name'], index['column_names']) for index in inspector.get_indexes(table))
            found[table] = columns, key, indexes, rows
    engine.dispose()
    return found


def execute(path, script):
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()


def test_it_creates_the_tables_once(upgrade, store):
    status, out, err = upgrade(settings='cron.create_tables = false')
    assert (status, err) == (0, '')
    assert out.startswith('created the tables of version 1.2: ')
    assert out.endswith(' statements\n')
    assert content(store)['version'] == (1, 2)
    assert upgrade() == (0, 'the tables are of version 1.2\n', '')


def test_it_upgrades_older_tables_in_place(upgrade, store):
    make_old_file(store)
    status, out, err = upgrade(settings='cron.create_tables = false')
    assert (status, err) == (0, '')
    assert out.startswith('upgraded from 0.0 to 1.2: ')
    found = content(store)
    names = [name for name, _ in found['cron_tasks'][0]]
    [row] = found['cron_tasks'][3]
    values = dict(zip(names, row, strict=True))
    assert (values['last_outcome'], values['last_error'], values['failures_in_a_row']) == ('failed', "it's 100 %", 1)
    assert (values['retry_reason'], values['started_at']) == ('failed', 1.5)


def test_its_sql_makes_the_same_tables(upgrade, store, tmp_path):
    script = upgrade('--sql')[1]
    # not even an empty file
    assert list(tmp_path.glob('*.sqlite*')) == []
    assert script.startswith('-- creates the tables of the store, version 1.2\n')
    execute(tmp_path / 'by_script.sqlite', script)
    upgrade()
    assert content(tmp_path / 'by_script.sqlite') == content(store)


@pytest.mark.slow
def test_its_sql_upgrades_older_tables_the_same_way(upgrade, store, tmp_path):
    make_old_file(store)
    shutil.copy(store, tmp_path / 'by_script.sqlite')
    before = store.read_bytes()
    script = upgrade('--sql', settings='cron.create_tables = false')[1]
    assert store.read_bytes() == before
    assert script.startswith('-- upgrades the tables of the store from version 0.0 to 1.2\n')
    execute(tmp_path / 'by_script.sqlite', script)
    upgrade()
    assert content(tmp_path / 'by_script.sqlite') == content(store)


@pytest.mark.skipif(shutil.which('sqlite3') is None, reason='needs the shell of SQLite')
def test_its_sql_can_be_piped_into_a_shell(upgrade, store, tmp_path):
    script, path = upgrade('--sql')[1], tmp_path / 'piped.sqlite'
    subprocess.run(['sqlite3', '-bail', path], input=script, check=True, text=True, capture_output=True)
    upgrade()
    assert content(path) == content(store)


@pytest.mark.slow
def test_an_interrupted_script_goes_on_from_where_it_ended(request, upgrade, store, tmp_path):
    make_old_file(store)
    shutil.copy(store, tmp_path / 'whole.sqlite')
    statements = upgrade('--sql')[1].split(';\n')
    for number in range(1, len(statements), 1 if request.config.getoption('thorough') else 9):
        shutil.copy(tmp_path / 'whole.sqlite', store)
        execute(store, ';\n'.join(statements[:number]) + ';')
        execute(store, upgrade('--sql')[1])
        assert content(store)['version'] == (1, 2)
        assert upgrade('--sql')[1] == '-- the tables are of version 1.2: nothing to do\n'


def test_without_anything_to_do_its_sql_is_a_comment(upgrade, store, made_sqlite):
    shutil.copy(made_sqlite, store)
    assert upgrade('--sql') == (0, '-- the tables are of version 1.2: nothing to do\n', '')


def test_tables_of_another_tool_get_their_version(upgrade, store, made_sqlite):
    shutil.copy(made_sqlite, store)
    execute(store, 'DROP TABLE cron_schema')
    assert '\nCREATE TABLE cron_schema (\n' in upgrade('--sql')[1]
    assert upgrade()[1].startswith('completed the tables of version 1.2: ')
    assert content(store)['cron_schema'][3] == [('1.2',)]


def test_it_adds_what_is_missing_in_tables_of_this_version(upgrade, store, made_sqlite):
    shutil.copy(made_sqlite, store)
    execute(store, 'DROP INDEX cron_runs_by_start; ALTER TABLE cron_runs DROP COLUMN note')
    assert upgrade('--sql')[1].startswith('-- completes the tables of the store, version 1.2\n')
    assert upgrade()[1] == 'completed the tables of version 1.2: 2 statements\n'
    assert content(store) == content(made_sqlite)


@pytest.mark.parametrize('options', [[], ['--sql']])
def test_tables_of_a_newer_major_version_are_left_alone(upgrade, store, made_sqlite, options):
    shutil.copy(made_sqlite, store)
    execute(store, "UPDATE cron_schema SET version = '2.0'")
    status, out, err = upgrade(*options)
    assert (status, out) == (1, '')
    assert err.startswith('pcron: the tables of the store are of version 2.0, which is newer than')
    execute(store, "UPDATE cron_schema SET version = '1.7'")
    assert 'the tables are of version 1.7' in upgrade(*options)[1]


@pytest.mark.parametrize('options', [[], ['--sql']])
def test_a_store_that_cannot_be_read_is_one_line(upgrade, store, options):
    store.write_text('no database, but long enough for a header of one' * 100)
    message = 'pcron: the store is not available: file is not a database\n'
    assert upgrade(*options) == (1, '', message)


def test_without_a_store_the_setting_is_named(pcron, ini):
    status, out, err = pcron('store', 'upgrade', ini(PURGE))
    assert (status, out) == (2, '')
    assert err.startswith('pcron: store needs cron.store, which is not set')


@pytest.mark.slow
def test_a_script_for_postgresql_makes_the_same_tables(postgresql_server):
    found = []
    for by_script in (False, True):
        with postgresql_server.database() as url:
            engine = make_engine(url, None)
            try:
                make_old(engine)
                if by_script:
                    script = upgrade_script(engine)
                    with engine.connect() as connection:
                        connection.connection.driver_connection.execute(script)
                        connection.connection.driver_connection.commit()
                else:
                    assert upgrade_tables(engine).startswith('upgraded from 0.0 to 1.2: ')
                with engine.connect() as connection:
                    rows = connection.execute(text('SELECT * FROM cron_tasks')).mappings().all()
                    columns = inspect(connection).get_columns('cron_runs')
                    found.append((stored_version(connection), rows, [column['name'] for column in columns]))
            finally:
                engine.dispose()
    assert found[0] == found[1]
    assert found[0][0] == (1, 2)
