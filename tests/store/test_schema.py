"""The tables: names, and indexes that the databases use."""

import re
from datetime import timedelta

import pytest
from sqlalchemy import column, event, insert, inspect, select, table
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import CreateTable

from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store import metadata
from pyramid_cron.store.history import History
from pyramid_cron.store.queries import Queries
from pyramid_cron.store.schema import NOT_GOOD, gaps, runs, tasks, wants_index
from pyramid_cron.store.task_rows import TaskStates
from pyramid_cron.store.ticks import Ticks
from tests.support.servers import INSTANT

PRECISE = INSTANT + timedelta(microseconds=123456)
#: rows of each kind for the statements that are explained
MANY = 3000


def test_mysql_keeps_fractions_of_a_second():
    assert 'DATETIME(6)' in str(CreateTable(runs).compile(dialect=mysql.dialect()))


def test_the_tables_are_named_for_the_package():
    assert sorted(metadata.tables) == [
        'cron_audit',
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


def test_an_index_of_few_rows_is_made_where_possible(servers):
    name = servers.engine.dialect.name
    partial = {'cron_tasks_needing_attention', 'cron_runs_by_hand'}
    everywhere = {
        'cron_tasks_by_next_due',
        'cron_runs_by_minute',
        'cron_runs_by_start',
        'cron_runs_by_task',
        'cron_runs_not_good_by_start',
        'cron_runs_not_good_by_task',
    }
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
        rows = [
            {'id': f'{n}', 'task': f'{n % 9}', 'started': minute, 'scheduled_for': minute, **run}
            for n, minute in enumerate(started)
        ]
        connection.execute(insert(runs), rows)
        for number, outcome in enumerate(['failed', 'lost', 'missed', 'missed']):
            bad = {'id': f'{number}-bad', 'task': f'{number}', **run, 'started': started[number], 'outcome': outcome}
            bad |= {'scheduled_for': started[number], 'not_good': NOT_GOOD[outcome]}
            connection.execute(insert(runs).values(bad))


def analyze(servers):
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
    'runs': (lambda c: Queries(c).past_runs(9), 'cron_runs_by_start'),
    'recent runs': (lambda c: Queries(c).past_runs(9, since=INSTANT), 'cron_runs_by_start'),
    'runs of a task': (lambda c: Queries(c).past_runs(9, ['3']), 'cron_runs_by_task'),
    'runs of tasks': (lambda c: Queries(c).past_runs(9, ['3', '4']), 'cron_runs_by_task'),
    'faults': (lambda c: Queries(c).past_runs(9, faults=True), 'cron_runs_not_good_by_start'),
    'recent faults': (lambda c: Queries(c).past_runs(9, faults=True, since=INSTANT), 'cron_runs_not_good_by_start'),
    'faults of a task': (lambda c: Queries(c).past_runs(9, ['1'], faults=True), 'cron_runs_not_good_by_'),
    'missed': (lambda c: Queries(c).missed(9), 'cron_runs_not_good_by_start'),
    'recently missed': (lambda c: Queries(c).missed(9, since=INSTANT), 'cron_runs_not_good_by_start'),
    'missed of a task': (lambda c: Queries(c).missed(9, ['3']), 'cron_runs_not_good_by_'),
    'minute': (lambda c: Queries(c).for_minute(['1', '2'], INSTANT), 'cron_runs_by_minute'),
    'minute of a task': (lambda c: Queries(c).became_of('1', INSTANT), 'cron_runs_by_minute'),
    'by hand': (lambda c: Queries(c).runs_by_hand(9), 'cron_runs_by_hand'),
    'recently by hand': (lambda c: Queries(c).runs_by_hand(9, since=INSTANT), 'cron_runs_by_hand'),
    'by hand of tasks': (lambda c: Queries(c).runs_by_hand(9, ['1', '2']), 'cron_runs_by_hand'),
    'last by hand': (lambda c: Queries(c).by_hand_since('1', INSTANT), 'cron_runs_by_'),
}
# SQLite reads all tasks for these, of which it has few
ON_POSTGRESQL = {
    'claimed': (lambda c: TaskStates(c).load([]), 'cron_tasks_needing_attention'),
    'named': (lambda c: TaskStates(c).load(['1', '2']), 'cron_tasks_needing_attention'),
    'strips': (lambda c: Queries(c).strips(3), 'cron_runs_by_task'),
}


@pytest.mark.slow
@pytest.mark.parametrize('engine', ['sqlite', 'postgresql'], indirect=True)
def test_pruning_reads_old_runs_only(servers):
    fill(servers)
    if servers.engine.dialect.name == 'postgresql':
        analyze(servers)
    old, deleted = plans(servers, lambda c: History(c).prune(INSTANT + 9 * MINUTE, 9))
    assert re.search(r'(?s)cron_runs_by_start.*started.? ?<.*cron_tasks_needing_attention', old)
    # by their starts as well: SQLite would look for the keys among all runs otherwise
    assert re.search('(?s)cron_runs_by_start .*started.? ?>|cron_runs_pkey', deleted)
    assert 'Seq Scan' not in old + deleted


@pytest.mark.slow
@pytest.mark.parametrize('engine', ['sqlite', 'postgresql'], indirect=True)
def test_a_renamed_history_is_found_by_its_index(servers):
    fill(servers)
    if servers.engine.dialect.name == 'postgresql':
        analyze(servers)
    newest, renamed = plans(servers, lambda c: History(c).rename('1', 'new', 9))
    assert 'cron_runs_by_task' in newest
    assert re.search('(?s)cron_runs_by_.*started.? ?>|cron_runs_pkey', renamed)
    assert 'Seq Scan' not in newest + renamed


def assert_used(servers, readings):
    for what, (call, index) in readings.items():
        of_table = re.match('cron_(runs|tasks)', index)[0]
        for plan in plans(servers, call):
            assert index in plan, what
            assert not re.search(f'(Seq Scan on|SCAN) {of_table}(?! USING)', plan), what


@pytest.mark.slow
@pytest.mark.parametrize('engine', ['sqlite', 'postgresql'], indirect=True)
def test_each_reading_uses_an_index(servers):
    fill(servers)
    if servers.engine.dialect.name == 'sqlite':
        # which has no statistics unless a person makes some
        assert_used(servers, ON_BOTH)
    analyze(servers)
    assert_used(servers, ON_BOTH)


@pytest.mark.slow
@pytest.mark.parametrize('engine', ['postgresql'], indirect=True)
def test_postgresql_finds_claimed_tasks_and_strips_by_an_index(servers):
    fill(servers)
    analyze(servers)
    assert_used(servers, ON_POSTGRESQL)


def updates_of_runs(servers):
    """Return how many updates of runs PostgreSQL has counted, and how many of these left the indexes alone."""
    # what ends reports its counts
    servers.end_connections()
    statistics = table('pg_stat_user_tables', *map(column, ('relname', 'n_tup_upd', 'n_tup_hot_upd')))
    with servers.engine.connect() as connection:
        row = connection.execute(select(statistics).where(statistics.c.relname == runs.name)).one()
    return row.n_tup_upd, row.n_tup_hot_upd


@pytest.mark.parametrize('engine', ['postgresql'], indirect=True)
def test_ends_of_good_runs_change_no_index(servers):
    with servers.engine.begin() as connection:
        # a page that is full of other rows has no room for them
        connection.exec_driver_sql('TRUNCATE cron_runs')
    server = servers.start()
    for number in range(3):
        server.add(f'task {number}', min='*')
    server.tick(0)
    before = updates_of_runs(servers)
    server.tick(1)
    after = updates_of_runs(servers)
    assert [new - old for new, old in zip(after, before, strict=True)] == [3, 3]
