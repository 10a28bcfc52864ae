"""Connections of an application, and the rule that nothing else builds statements."""

import ast
from pathlib import Path

import pytest
from sqlalchemy import insert, literal
from sqlalchemy.exc import IntegrityError

import pyramid_cron
from pyramid_cron.errors import Unavailable
from pyramid_cron.schedules import clock
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.dialects import BY_NAME
from pyramid_cron.store.schema import gaps, pauses, processes, runs, tasks, ticks
from tests.support.servers import INSTANT

pytestmark = pytest.mark.each_database

PACKAGE = Path(pyramid_cron.__file__).parent
#: modules that write statements of their own: for all applications, or for the tables themselves
OWN_STATEMENTS = {
    'store/connection.py',
    'store/dialects.py',
    'store/migrations.py',
    'store/upgraded_rows.py',
    'store/schema_check.py',
    'store/check.py',
}
BUILDERS = {'select', 'insert', 'update', 'delete', 'exists', 'text', 'union', 'union_all', 'values', 'table'}
TABLES = {'tasks', 'pauses', 'processes', 'ticks', 'gaps', 'runs', 'schema'}
FOLDERS = 'store', 'monitoring', 'status', 'scripts'


def builders(path):
    """Yield the ways of building a statement that a module has."""
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.ImportFrom) and (node.module or '').split('.')[0] == 'sqlalchemy':
            yield from (alias.name for alias in node.names if alias.name in BUILDERS)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split('.')[0] == 'sqlalchemy')
        elif isinstance(node, ast.Attribute) and node.attr == 'exec_driver_sql':
            yield node.attr
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in TABLES:
            # a method of a table, such as runs.select()
            yield from BUILDERS & {node.attr}


MODULES = [path for folder in FOLDERS for path in sorted((PACKAGE / folder).rglob('*.py'))]


@pytest.mark.slow
@pytest.mark.parametrize('path', MODULES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_only_a_connection_builds_statements(path):
    if path.relative_to(PACKAGE).as_posix() not in OWN_STATEMENTS:
        # text() of the schema makes a condition of an index
        allowed = {'text'} if path.name == 'schema.py' else set()
        assert set(builders(path)) - allowed == set()


def test_the_rule_finds_each_way_of_building():
    found = {name for name in OWN_STATEMENTS if set(builders(PACKAGE / name))}
    assert {'store/connection.py', 'store/migrations.py'} <= found


@pytest.fixture
def two(servers):
    """Two connections of applications that have a row with the same keys in each table."""
    for app in ('app', 'other'):
        values = {'schedule': app, 'first_seen': INSTANT, 'attempt': 0, 'transactional': False}
        servers.execute(insert(tasks).values(app=app, task='task', **values))
    with servers.engine.begin() as connection:
        yield StoreConnection(connection, 'app'), StoreConnection(connection, 'other')


def schedules(connection):
    return connection.scalars(connection.select(tasks, tasks.c.schedule))


def test_an_application_selects_its_own_rows(two):
    mine, other = two
    assert (schedules(mine), schedules(other)) == (['app'], ['other'])
    assert mine.scalar(mine.select(tasks, tasks.c.schedule)) == 'app'
    assert mine.scalar(mine.select(gaps, gaps.c.app)) is None
    assert mine.rows(mine.select_new(literal(1))) == [('app', 1)]


def test_an_application_updates_and_deletes_its_own_rows(two):
    mine, other = two
    assert mine.execute(mine.update(tasks).values(schedule='new')) == 1
    assert (schedules(mine), schedules(other)) == (['new'], ['other'])
    assert mine.execute(mine.delete(tasks)) == 1
    assert (schedules(mine), schedules(other)) == ([], ['other'])


def test_an_application_inserts_its_own_rows(two):
    mine, other = two
    for connection in two:
        connection.execute(connection.insert(gaps).values(first_minute=INSTANT, last_minute=INSTANT))
        for last in (1, 2):
            values = {'first_minute': INSTANT + clock.MINUTE, 'last_minute': INSTANT + last * clock.MINUTE}
            connection.execute(connection.insert_new(gaps).values(values))
    for connection in two:
        found = connection.scalars(connection.select(gaps, gaps.c.last_minute).order_by(gaps.c.first_minute))
        assert found == [INSTANT, INSTANT + clock.MINUTE]
    rows = [{'first_minute': INSTANT + hours * clock.THREE_HOURS, 'last_minute': INSTANT} for hours in (1, 2)]
    mine.execute(mine.insert(gaps), rows)
    assert len(mine.scalars(mine.select(gaps, gaps.c.app))) == 4
    assert len(other.scalars(other.select(gaps, gaps.c.app))) == 2


def test_a_condition_looks_at_own_rows(two):
    mine, other = two
    mine.execute(mine.update(tasks).values(run_id='x'))
    found = [
        connection.scalar(connection.select(tasks, connection.exists(tasks).where(tasks.c.run_id == 'x')))
        for connection in two
    ]
    assert list(map(bool, found)) == [True, False]
    anywhere = other.select(ticks, other.in_any_application(tasks).where(tasks.c.run_id == 'x'))
    other.execute(other.insert(ticks).values(last_minute=INSTANT))
    assert bool(other.scalar(anywhere)) is True


def test_tasks_of_one_name_differ_by_application(two):
    mine, _ = two
    both = tasks.alias()
    pairs = mine.select(tasks, tasks.c.app, both.c.app).join_from(tasks, both, mine.same_task(tasks, both))
    assert mine.rows(pairs) == [('app', 'app')]


def test_processes_belong_to_no_application(two):
    mine, other = two
    mine.execute(mine.insert(processes).values(id='process', host='here', pid=1, lease_until=1.0))
    assert other.scalars(other.select(processes, processes.c.id)) == ['process']
    assert other.execute(other.update(processes).values(lease_until=2.0)) == 1
    other.execute(other.insert_new(processes).values(id='process', host='there', pid=2, lease_until=1.0))
    assert mine.scalars(mine.select(processes, processes.c.host)) == ['here']
    assert other.execute(other.delete(processes)) == 1


def test_an_error_of_the_database_is_unavailable(two):
    mine, _ = two
    values = {'first_minute': INSTANT, 'last_minute': INSTANT}
    mine.execute(mine.insert(gaps).values(values))
    with pytest.raises(Unavailable, match=r'the store is not available: .+') as raised:
        mine.execute(mine.insert(gaps).values(values))
    assert isinstance(raised.value.__cause__, IntegrityError)
    assert not raised.value.disconnected


@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_a_value_that_cannot_be_read_is_unavailable(servers):
    servers.start().add().tick()
    with servers.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE cron_tasks SET first_seen = 'yesterday'")
    with servers.begin() as connection, pytest.raises(Unavailable, match='yesterday'):
        connection.rows(connection.select(tasks, tasks.c.first_seen))


def test_a_connection_has_the_databases_clock_and_differences(servers, two):
    mine, _ = two
    assert abs(mine.clock() - clock.now().timestamp()) < 5
    assert mine.dialect is BY_NAME[servers.engine.dialect.name]
    assert hasattr(mine.driver_connection, 'cursor')


@pytest.mark.parametrize('table', [gaps, pauses, runs, tasks, ticks], ids=lambda table: table.name)
def test_each_table_but_processes_has_the_application(servers, table):
    with servers.begin() as connection:
        assert 'app' in table.c
        assert connection.scalars(connection.select(table, table.c.app)) == []
