"""The tables: instants, names, and indexes that the databases use."""

from datetime import timedelta, timezone

import pytest
from sqlalchemy import event, insert, inspect
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import CreateTable

from pyramid_cron.store import metadata
from pyramid_cron.store.queries import Queries
from pyramid_cron.store.schema import gaps, runs, tasks, ticks, wants_index
from pyramid_cron.store.task_rows import TaskStates
from pyramid_cron.store.ticks import Ticks
from tests.support.servers import INSTANT

PRECISE = INSTANT + timedelta(microseconds=123456)
#: rows of each kind for the statements that are explained
MANY = 3000


@pytest.mark.parametrize('hours', [0, -5, 5.5])
def test_an_instant_returns_in_utc(servers, hours):
    zoned = PRECISE.astimezone(timezone(timedelta(hours=hours)))
    servers.execute(ticks.insert().values(app='app', last_minute=zoned))
    (row,) = servers.rows(ticks)
    assert row['last_minute'] == PRECISE
    assert row['last_minute'].tzinfo is timezone.utc
    assert row['minute_before'] is None


def test_mysql_keeps_fractions_of_a_second():
    assert 'DATETIME(6)' in str(CreateTable(runs).compile(dialect=mysql.dialect()))


def test_the_tables_are_named_for_the_package():
    assert sorted(metadata.tables) == [
        'cron_gaps',
        'cron_pauses',
        'cron_processes',
        'cron_runs',
        'cron_schema',
        'cron_tasks',
        'cron_ticks',
    ]


def test_names_are_compared_by_their_bytes(servers):
    for app in ('app', 'App', 'äpp', 'app '):
        servers.execute(gaps.insert().values(app=app, first_minute=INSTANT, last_minute=INSTANT))
    assert len(servers.rows(gaps)) == 4


def test_a_name_with_a_blank_at_its_end_is_another(servers):
    for minute, name in enumerate(['good ', 'good']):
        assert str(servers.start().add(name, min='*').tick(minute)) == 'ok'
    assert servers.minutes('ok') == [('good', 1), ('good ', 0)]


def test_a_partial_index_is_made_where_possible(servers):
    name = servers.engine.dialect.name
    partial = {'cron_tasks_needing_attention', 'cron_runs_not_good'}
    everywhere = {'cron_tasks_by_next_due', 'cron_runs_by_task', 'cron_runs_by_start'}
    inspector = inspect(servers.engine)
    found = {index['name'] for table in (tasks, runs) for index in inspector.get_indexes(table.name)}
    assert found == everywhere | (partial if name in ('sqlite', 'postgresql') else set())
    wanted = {index.name for table in (tasks, runs) for index in table.indexes if wants_index(index, name)}
    assert wanted == found
    assert {index.name for table in (tasks, runs) for index in table.indexes} == everywhere | partial


def fill(servers):
    """Insert so many rows that an index is worth its while, a few of them with a claim or a fault."""
    base = {'app': 'app', 'schedule': '', 'first_seen': INSTANT, 'attempt': 0, 'transactional': False}
    run = {'app': 'app', 'attempt': 1, 'trigger': 'request', 'outcome': 'ok'}
    with servers.engine.begin() as connection:
        connection.execute(insert(tasks), [{'task': f'{number}', **base} for number in range(MANY)])
        connection.execute(insert(tasks).values({'task': 'claimed', **base, 'run_id': 'run'}))
        started = [INSTANT + number * timedelta(minutes=1) for number in range(MANY)]
        rows = [{'id': f'{n}', 'task': f'{n % 9}', 'started': minute, **run} for n, minute in enumerate(started)]
        connection.execute(insert(runs), rows)
        for number, outcome in enumerate(['failed', 'lost', 'missed', 'missed']):
            bad = {'id': f'{number}-bad', 'task': f'{number}', **run, 'started': started[number], 'outcome': outcome}
            connection.execute(insert(runs).values(bad))
    with servers.engine.connect().execution_options(isolation_level='AUTOCOMMIT') as connection:
        connection.exec_driver_sql('ANALYZE')


def plans(servers, call):
    """Return how the database executes each statement of a function of a connection of the store."""
    executed = []

    def listen(connection, cursor, text, values, context, executemany):
        executed.append((text, values))

    with servers.begin() as connection:
        event.listen(servers.engine, 'before_cursor_execute', listen)
        try:
            call(connection)
        finally:
            event.remove(servers.engine, 'before_cursor_execute', listen)
    explain = 'EXPLAIN QUERY PLAN' if servers.engine.dialect.name == 'sqlite' else 'EXPLAIN'
    with servers.engine.connect() as connection:
        return [
            '\n'.join(str(row[-1]) for row in connection.exec_driver_sql(f'{explain} {text}', values))
            for text, values in executed
        ]


ON_BOTH = {
    'tick': (lambda c: Ticks(c).record(INSTANT, 60), 'cron_tasks_needing_attention'),
    'faults': (lambda c: Queries(c).past_runs(9, faults=True), 'cron_runs_not_good'),
    'recent faults': (lambda c: Queries(c).past_runs(9, faults=True, since=INSTANT), 'cron_runs_not_good'),
    'missed': (lambda c: Queries(c).missed(9), 'cron_runs_not_good'),
    'recently missed': (lambda c: Queries(c).missed(9, since=INSTANT), 'cron_runs_not_good'),
}
# SQLite reads all tasks for these, of which it has few
ON_POSTGRESQL = {
    'claimed': (lambda c: TaskStates(c).load([]), 'cron_tasks_needing_attention'),
    'named': (lambda c: TaskStates(c).load(['1', '2']), 'cron_tasks_needing_attention'),
}


def assert_used(servers, call, index):
    fill(servers)
    (plan,) = plans(servers, call)
    assert index in plan
    assert 'Seq Scan on cron_runs' not in plan
    assert 'Seq Scan on cron_tasks' not in plan


@pytest.mark.parametrize('engine', ['sqlite', 'postgresql'], indirect=True)
@pytest.mark.parametrize(('call', 'index'), ON_BOTH.values(), ids=ON_BOTH)
def test_a_partial_index_is_used(servers, call, index):
    assert_used(servers, call, index)


@pytest.mark.parametrize('engine', ['postgresql'], indirect=True)
@pytest.mark.parametrize(('call', 'index'), ON_POSTGRESQL.values(), ids=ON_POSTGRESQL)
def test_postgresql_finds_claimed_tasks_by_their_index(servers, call, index):
    assert_used(servers, call, index)
