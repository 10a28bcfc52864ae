"""A tick in one statement, with the rows that matter for it."""

from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy import event, text

from pyramid_cron import Task
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.registered_tasks import RegisteredTasks
from pyramid_cron.store.tick_statement import record_and_load
from pyramid_cron.store.ticks import Ticks
from tests.support.servers import INSTANT

pytestmark = pytest.mark.each_database


def record(servers, minute, names=(), nothing_due=False):
    with servers.begin() as connection:
        return record_and_load(connection, INSTANT + minute * MINUTE, 60, list(names), nothing_due)


@pytest.fixture
def registered(servers):
    """Tasks that are due once a year, one of which is running and one waits to be repeated."""
    with servers.begin() as connection:
        names = ['idle', 'other', 'running', 'retried']
        RegisteredTasks(connection).register([Task(print, 0, 0, 1, 1, name=name) for name in names], INSTANT)
    servers.change('running', run_id='run')
    servers.change('retried', retry_reason='failed')
    return servers


def names_of(found):
    return None if found is None else sorted(found)


def test_a_tick_returns_the_rows_that_matter(registered):
    tick, found = record(registered, 0, ['idle', 'unknown'])
    assert (tick.last, tick.before, tick.attention) == (INSTANT, None, True)
    on_postgresql = registered.engine.dialect.name == 'postgresql'
    # elsewhere they are read by themselves
    assert names_of(found) == (['idle', 'retried', 'running'] if on_postgresql else None)


def test_a_tick_returns_the_rows_that_may_owe_it(registered):
    registered.change('other', next_due=INSTANT + MINUTE)
    found = [record(registered, minute)[1] for minute in (0, 1)]
    if registered.engine.dialect.name == 'postgresql':
        assert [names_of(rows) for rows in found] == [['retried', 'running'], ['other', 'retried', 'running']]


def test_a_tick_without_rows_has_none(servers):
    tick, found = record(servers, 3, nothing_due=True)
    assert (tick.last, tick.attention, tick.pruned) == (INSTANT + 3 * MINUTE, False, None)
    assert not found
    assert record(servers, 4)[0].before == INSTANT + 3 * MINUTE


def test_a_tick_of_the_future_is_not_recorded(servers):
    ahead = datetime.now(timezone.utc) + timedelta(days=1)
    with servers.begin() as connection:
        tick, found = record_and_load(connection, ahead, 60, [], False)
        assert (tick.last, tick.before, found) == (ahead, None, None)
        assert Ticks(connection).state() is None


@pytest.fixture(params=['analyzed', 'not analyzed'])
def many(request, servers):
    """A hundred thousand tasks that are due once a year, as another server would have registered them."""
    with servers.begin() as connection:
        RegisteredTasks(connection).register([Task(print, 0, 0, 1, 1, name='pattern')], INSTANT)
    columns = 'app, task, schedule, first_seen, last_seen, next_due, attempt, transactional'
    copied = columns.replace('task,', "'task ' || number,")
    with servers.engine.begin() as connection:
        # it takes longer than a statement of the store may on a busy machine
        connection.execute(text('SET LOCAL statement_timeout = 0'))
        selected = f'SELECT {copied} FROM cron_tasks, generate_series(1, 100000) AS number'
        connection.execute(text(f'INSERT INTO cron_tasks ({columns}) {selected}'))
    with servers.engine.connect().execution_options(isolation_level='AUTOCOMMIT') as connection:
        connection.execute(text('VACUUM cron_tasks'))
        # of the tests before
        connection.execute(text("DELETE FROM pg_statistic WHERE starelid = 'cron_tasks'::regclass"))
        if request.param == 'analyzed':
            connection.execute(text('ANALYZE cron_tasks'))
    return servers


@pytest.mark.slow
@pytest.mark.parametrize('engine', ['postgresql'], indirect=True)
@pytest.mark.parametrize('number', [0, 1, 100])
def test_a_tick_scans_no_table_for_few_tasks(many, number):
    names = [f'task {number}' for number in range(1, number + 1)]
    executions = []
    event.listen(many.engine, 'before_cursor_execute', lambda *arguments: executions.append(arguments))
    assert len(record(many, 0, names)[1]) == number
    [(_, _, statement, parameters, *_)] = executions
    with many.engine.connect() as connection:
        cursor = connection.connection.cursor()
        cursor.execute(f'EXPLAIN {statement}', parameters)
        plan = '\n'.join(row[0] for row in cursor.fetchall())
    assert 'Seq Scan on cron_tasks' not in plan, plan
    # no index is read for all tasks of the application either, at least while none needs attention
    assert 'using cron_tasks_pkey' in plan, plan
