"""Differences of the tables of a database: each is named."""

import pytest
from sqlalchemy import inspect
from sqlalchemy.dialects import mysql

from pyramid_cron.store import metadata
from pyramid_cron.store.dialects import CHARSET, collation_of
from pyramid_cron.store.engine import make_engine
from pyramid_cron.store.migrations import upgrade
from pyramid_cron.store.schema import gaps, runs, tasks, ticks
from pyramid_cron.store.schema_check import differences
from tests.support import schema_0
from tests.support.mysql_inspector import MySQLInspector


@pytest.fixture
def empty(empty_url, engines):
    return engines(make_engine(empty_url, None))


@pytest.fixture
def made(empty):
    upgrade(empty)
    return empty


def change(engine, *statements):
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def found(engine, *tables):
    with engine.connect() as connection:
        inspector = inspect(connection)
        wanted = tables or metadata.sorted_tables
        return [text for table in wanted for text in differences(inspector, table, engine.dialect)]


def test_fresh_tables_have_no_differences(made):
    assert found(made) == []


def test_tables_of_another_tool_have_no_differences(empty):
    metadata.create_all(empty)
    assert found(empty) == []


@pytest.mark.parametrize('empty_url', ['sqlite'], indirect=True)
def test_an_index_of_few_rows_is_wanted_where_it_exists(made):
    change(made, 'DROP INDEX cron_tasks_needing_attention')
    assert len(found(made)) == 1
    with made.connect() as connection:
        inspector = MySQLInspector(connection)
        texts = [text for table in (tasks, runs) for text in differences(inspector, table, mysql.dialect())]
        assert not any('index' in text for text in texts)


def test_a_missing_table_is_named(made):
    change(made, 'DROP TABLE cron_gaps')
    assert found(made) == ['no table cron_gaps']


def test_no_table_at_all_is_named(empty):
    assert found(empty) == [f'no table {table.name}' for table in metadata.sorted_tables]


def test_a_missing_column_is_named(made):
    change(made, 'ALTER TABLE cron_runs DROP COLUMN note')
    assert found(made) == ['no column cron_runs.note']


def test_a_missing_index_is_named(made):
    of = ' ON cron_runs' if made.dialect.name in ('mysql', 'mariadb') else ''
    change(made, f'DROP INDEX cron_runs_by_start{of}')
    assert found(made) == ['no index cron_runs_by_start on cron_runs (app, started)']


@pytest.mark.slow
@pytest.mark.parametrize('empty_url', ['sqlite', 'postgresql'], indirect=True)
def test_a_missing_partial_index_is_named(made):
    change(made, 'DROP INDEX cron_tasks_needing_attention', 'DROP INDEX cron_runs_not_good_by_start')
    assert found(made) == [
        'no index cron_runs_not_good_by_start on cron_runs (app, not_good, started)',
        'no index cron_tasks_needing_attention on cron_tasks (app, task)',
    ]


def test_an_index_on_other_columns_is_named(made):
    of = ' ON cron_runs' if made.dialect.name in ('mysql', 'mariadb') else ''
    change(made, f'DROP INDEX cron_runs_by_start{of}', 'CREATE INDEX cron_runs_by_start ON cron_runs (started, app)')
    assert found(made) == ['no index cron_runs_by_start on cron_runs (app, started)']


RIGHT = {
    'app': 'VARCHAR(100)',
    'first_minute': 'TIMESTAMP',
    'last_minute': 'TIMESTAMP',
    'problem': 'TEXT',
}


def replace_gaps(engine, key='app, first_minute', **types):
    """Make the table of gaps anew, with other types of its columns, or another key."""
    columns = {name: types.get(name, type_) for name, type_ in RIGHT.items()}
    text = ', '.join(f'{name} {type_} NOT NULL' for name, type_ in columns.items())
    options = ''
    if engine.dialect.name == 'mariadb':
        text = text.replace('TIMESTAMP', 'DATETIME(6)')
        options = f' CHARACTER SET {CHARSET} COLLATE {collation_of(engine.dialect)}'
    change(engine, 'DROP TABLE cron_gaps', f'CREATE TABLE cron_gaps ({text}, PRIMARY KEY ({key})){options}')


@pytest.mark.slow
@pytest.mark.parametrize(
    ('types', 'differing'),
    [
        ({}, []),
        ({'app': 'VARCHAR(200)'}, []),
        ({'app': 'VARCHAR(20)'}, ['app']),
        ({'last_minute': 'VARCHAR(20)'}, ['last_minute']),
        ({'last_minute': 'INTEGER'}, ['last_minute']),
        ({'last_minute': 'DOUBLE PRECISION'}, ['last_minute']),
        ({'last_minute': 'DATE'}, ['last_minute']),
        ({'app': 'INTEGER', 'first_minute': 'INTEGER'}, ['app', 'first_minute']),
    ],
)
def test_a_wrong_type_is_named(made, types, differing):
    replace_gaps(made, **types)
    texts = found(made)
    assert [text.partition(' is ')[0] for text in texts] == [f'type of cron_gaps.{name}' for name in differing]
    for text, name in zip(texts, differing, strict=True):
        wanted = gaps.c[name].type.compile(dialect=made.dialect)
        assert text.endswith(f', not {wanted}')


def test_a_text_without_a_length_takes_any(made):
    if made.dialect.name in ('mysql', 'mariadb'):
        # which has no key of a TEXT
        change(made, 'ALTER TABLE cron_runs MODIFY error TEXT')
    else:
        replace_gaps(made, app='TEXT')
    assert found(made) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ('key', 'shown'),
    [
        ('app', 'app'),
        ('app, last_minute', 'app, last_minute'),
        ('app, first_minute, last_minute', 'app, first_minute, last_minute'),
        # in any order it is the same
        ('first_minute, app', None),
    ],
)
def test_a_wrong_key_is_named(made, key, shown):
    replace_gaps(made, key)
    assert found(made) == ([] if shown is None else [f'key of cron_gaps is ({shown}), not (app, first_minute)'])


def test_a_missing_key_is_named(made):
    change(made, 'DROP TABLE cron_ticks', f'CREATE TABLE cron_ticks AS SELECT * FROM ({TICKS}) AS ticks')
    assert 'key of cron_ticks is (), not (app)' in found(made)


TICKS = "SELECT 'app' AS app"


def test_a_collation_of_mysql_is_named(made):
    with made.connect() as connection:
        inspector = MySQLInspector(connection)
        texts = [text for table in (ticks, gaps) for text in differences(inspector, table, mysql.dialect())]
    assert texts == ['collation of cron_gaps is latin1_swedish_ci, not utf8mb4_0900_bin']


# of the table, of columns to come, and of one column
@pytest.mark.parametrize(
    'setting',
    [
        'CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_bin',
        'COLLATE utf8mb4_bin',
        'MODIFY app VARCHAR(100) COLLATE utf8mb4_bin NOT NULL',
    ],
)
@pytest.mark.parametrize('scheme', ['mariadb', 'mysql'])
def test_a_wrong_collation_is_named_and_set(mariadb, engines, scheme, setting):
    engine = engines(make_engine(mariadb.replace('mariadb', scheme, 1), None))
    upgrade(engine)
    assert found(engine) == []
    change(engine, f'ALTER TABLE cron_gaps {setting}')
    assert found(engine) == ['collation of cron_gaps is utf8mb4_bin, not utf8mb4_nopad_bin']
    upgrade(engine)
    assert found(engine) == []


def test_old_tables_lack_what_was_added(empty):
    schema_0.metadata.create_all(empty)
    texts = found(empty, tasks, runs)
    assert 'no column cron_tasks.first_seen' in texts
    assert 'no column cron_runs.outcome' in texts
    assert 'no index cron_tasks_by_next_due on cron_tasks (app, next_due)' in texts
