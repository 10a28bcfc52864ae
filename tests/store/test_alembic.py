"""``include_name``, with Alembic as it compares a database with the metadata of an application."""

import subprocess
import sys

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from pyramid_cron.store import include_name, metadata
from pyramid_cron.store.alembic import TABLES
from pyramid_cron.store.migrations import upgrade
from tests.support import schema_0

LIGHT = """
import sys

import pyramid_cron

before = set(sys.modules)
from pyramid_cron.store import include_name

print(sorted(set(sys.modules) - before))
"""


@pytest.fixture
def dropped(engine):
    """Return a function that returns the tables that Alembic drops from the database with the options of ``env.py``."""
    upgrade(engine)
    # of other tests, such as an engine's
    others = set(sqlalchemy.inspect(engine).get_table_names()) - TABLES
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text('CREATE TABLE cron_tasks_of_ours (id INTEGER)'))

    def compare(**options):
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts=options)
            differences = compare_metadata(context, sqlalchemy.MetaData())
        found = {(table.schema, table.name) for kind, table in differences if kind == 'remove_table'}
        return {(schema, name) for schema, name in found if name not in others}

    yield compare
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text('DROP TABLE cron_tasks_of_ours'))


def test_it_has_all_tables_of_all_versions():
    assert set(metadata.tables) | set(schema_0.metadata.tables) == TABLES


@pytest.mark.each_database
def test_alembic_leaves_the_tables_of_the_store_alone(dropped):
    ours = {(None, 'cron_tasks_of_ours')}
    assert dropped() == ours | {(None, name) for name in metadata.tables}
    assert dropped(include_name=include_name) == ours


@pytest.mark.each_database
def test_it_works_within_a_function_of_the_application(dropped):
    def ours_too(name, type_, parent_names):
        return include_name(name, type_, parent_names) and name != 'cron_tasks_of_ours'

    assert dropped(include_name=ours_too) == set()


@pytest.mark.slow
@pytest.mark.each_server
def test_tables_of_the_store_in_another_schema_are_left_alone(engine, dropped):
    if engine.dialect.name != 'postgresql':
        pytest.skip('a schema is a database there')
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text('CREATE SCHEMA jobs'))
        connection.execution_options(schema_translate_map={None: 'jobs'})
        metadata.tables['cron_tasks'].create(connection)
        connection.execute(sqlalchemy.text('CREATE TABLE jobs.mine (id INTEGER)'))
    try:
        found = dropped(include_name=include_name, include_schemas=True)
    finally:
        with engine.begin() as connection:
            connection.execute(sqlalchemy.text('DROP SCHEMA jobs CASCADE'))
    assert found == {(None, 'cron_tasks_of_ours'), ('jobs', 'mine')}


@pytest.mark.parametrize(
    ('name', 'type_'), [('cron_tasks', 'column'), ('cron_runs', 'schema'), (None, 'schema'), ('cron_mails', 'table')]
)
def test_anything_but_these_tables_is_included(name, type_):
    assert include_name(name, type_, {'schema_name': None, 'table_name': 'mails'})


@pytest.mark.slow
def test_importing_it_imports_nothing_else():
    done = subprocess.run([sys.executable, '-c', LIGHT], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['pyramid_cron.store', 'pyramid_cron.store.alembic']"
