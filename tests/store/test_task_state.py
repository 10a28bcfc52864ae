"""The statements by which processes agree, each in the situation that it is for."""

import functools
from datetime import datetime, timezone

import pytest
from sqlalchemy import create_engine, insert, select
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite

from pyramid_cron import Task
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store import task_state
from pyramid_cron.store.schema import metadata, tasks, ticks

pytestmark = pytest.mark.each_database

INSTANT = datetime(2020, 11, 23, 2, 0, tzinfo=timezone.utc)
AHEAD = datetime(2100, 1, 1, tzinfo=timezone.utc)


class Plain(SQLiteDialect_pysqlite):
    """SQLite under a name that nobody knows, for the statements that any database understands."""

    name = 'plain'
    supports_statement_cache = True


@pytest.fixture
def plain(made_sqlite, tmp_path, url):
    """An engine that is not known for what it can do, if the database of the test is SQLite."""
    registry.register('plain', __name__, 'Plain')
    registry.impls['plain'] = lambda: Plain
    engine = create_engine(url.replace('sqlite:', 'plain:'))
    yield engine
    engine.dispose()


def at(minute):
    return INSTANT + minute * MINUTE


def told(tick):
    return tick.last, tick.before, tick.attention


@pytest.mark.parametrize('which', ['known', 'plain'])
def test_a_tick_is_taken_note_of_and_told_what_was_before_it(request, servers, which):
    engine = servers.engine if which == 'known' else request.getfixturevalue('plain')
    seen = []
    with engine.begin() as connection:
        for minute in (0, 1, 1, 5, 3):
            seen.append(told(task_state.tick(connection, 'app', at(minute), 60)))
        assert seen == [
            (at(0), None, False),
            (at(1), at(0), False),
            (at(1), at(0), False),
            (at(5), at(1), False),
            (at(5), at(1), False),
        ]
        clock = task_state.tick(connection, 'app', at(6), 60).clock
        assert abs(clock - datetime.now(timezone.utc).timestamp()) < 5


@pytest.mark.parametrize('which', ['known', 'plain'])
@pytest.mark.parametrize('first', [True, False])
def test_a_tick_of_a_minute_that_is_still_far_is_not_taken_note_of(request, servers, which, first):
    engine = servers.engine if which == 'known' else request.getfixturevalue('plain')
    with engine.begin() as connection:
        if not first:
            task_state.tick(connection, 'app', at(0), 60)
        clock = task_state.tick(connection, 'app', AHEAD, 60).clock
        assert AHEAD.timestamp() - clock > 60
        assert list(connection.scalars(select(ticks.c.last_minute))) == ([] if first else [at(0)])


@pytest.mark.parametrize(
    ('values', 'attention'),
    [({}, False), ({'run_id': 'x'}, True), ({'again': 'failed'}, True), ({'run_id': 'x', 'app': 'other'}, False)],
)
def test_a_tick_is_told_of_tasks_that_run_or_are_to_run_once_more(servers, values, attention):
    row = {'app': 'app', 'task': 'task', 'schedule': '', 'since': at(0), 'attempt': 0, 'transactional': False}
    servers.execute(insert(tasks).values(row | values))
    with servers.engine.begin() as connection:
        assert task_state.tick(connection, 'app', at(0), 60).attention is attention


@pytest.fixture
def connection(servers):
    with servers.engine.begin() as connection:
        task_state.deploy(connection, 'app', [Task(print, name='task')], {}, at(0))
        yield connection


def take(connection, minute, attempt=1, run_id='mine', **values):
    minute = None if minute is None else at(minute)
    values = {'run_id': run_id, 'process': 'me', 'began': 0.0, 'transactional': False} | values
    return task_state.take(connection, 'app', 'task', minute, attempt, **values)


def row(connection):
    return task_state.known(connection, 'app', ['task'])['task']


def test_a_minute_is_taken_once(connection):
    assert take(connection, 1)
    assert not take(connection, 1, run_id='theirs')
    assert not take(connection, 2, run_id='theirs')
    assert task_state.give_back(connection, 'app', 'task', 'mine')
    assert not take(connection, 1)
    assert not take(connection, 0)
    assert take(connection, 2)
    assert (row(connection)['last_minute'], row(connection)['attempt']) == (at(2), 1)


def test_a_further_attempt_is_taken_only_where_one_is_to_be_made(connection):
    assert not take(connection, 1, attempt=2)
    assert take(connection, 1)
    assert task_state.give_back(connection, 'app', 'task', 'mine', again='failed')
    assert not take(connection, 0, attempt=2)
    assert not take(connection, 2, attempt=2)
    assert take(connection, 1, attempt=2)
    assert (row(connection)['again'], row(connection)['attempt']) == (None, 2)
    assert task_state.give_back(connection, 'app', 'task', 'mine')
    assert not take(connection, 1, attempt=3)


def test_a_run_for_no_minute_takes_none_and_changes_nothing_of_what_is_owed(connection):
    take(connection, 1)
    task_state.give_back(connection, 'app', 'task', 'mine', again='failed')
    before = row(connection)
    assert take(connection, None)
    assert task_state.give_back(connection, 'app', 'task', 'mine')
    assert [row(connection)[name] for name in ('last_minute', 'again', 'attempt')] == [at(1), 'failed', 1]
    assert before['again'] == 'failed'


def test_a_run_is_given_back_by_its_token_alone(connection):
    take(connection, 1)
    for end in (task_state.give_back, task_state.lose, functools.partial(task_state.mark, transactional=False)):
        assert not end(connection, 'app', 'task', 'theirs')
        assert not end(connection, 'other', 'task', 'mine')
    assert row(connection)['run_id'] == 'mine'


@pytest.mark.parametrize(
    ('transactional', 'marked', 'attempt', 'again'),
    [
        (True, False, 1, 'lost'),
        (True, False, 2, 'lost'),
        (True, False, 3, None),
        (True, True, 1, None),
        (False, False, 1, None),
    ],
)
def test_what_died_is_to_run_once_more_if_nothing_of_it_was_committed(
    connection, transactional, marked, attempt, again
):
    for number in range(1, attempt + 1):
        assert take(connection, 1, number, transactional=transactional)
        if marked:
            assert task_state.mark(connection, 'app', 'task', 'mine', transactional=False)
        assert task_state.lose(connection, 'app', 'task', 'mine')
    assert row(connection)['again'] == again
    assert (row(connection)['run_id'], row(connection)['process']) == (None, None)


def test_minutes_are_passed_over_by_one_process_and_not_while_it_runs(connection):
    assert task_state.pass_over(connection, 'app', 'task', at(2))
    for minute in (1, 2):
        assert not task_state.pass_over(connection, 'app', 'task', at(minute))
    take(connection, 3)
    assert not task_state.pass_over(connection, 'app', 'task', at(4))


def test_a_further_attempt_is_given_up_by_one_process_and_for_its_minute(connection):
    take(connection, 1)
    task_state.give_back(connection, 'app', 'task', 'mine', again='lost')
    assert not task_state.give_up(connection, 'app', 'task', at(2))
    assert task_state.give_up(connection, 'app', 'task', at(1))
    assert not task_state.give_up(connection, 'app', 'task', at(1))


# SQLite has one lock for all
@pytest.mark.parametrize('engine', ['postgresql'], indirect=True)
def test_a_lock_that_somebody_holds_on_a_row_makes_nobody_wait(servers):
    with servers.engine.begin() as connection:
        task_state.deploy(connection, 'app', [Task(print, name='task')], {}, at(0))
        take(connection, 1)
    with servers.engine.begin() as frozen, servers.engine.begin() as connection:
        # as a server does that was frozen in the commit of its task
        assert task_state.give_back(frozen, 'app', 'task', 'mine')
        assert not task_state.lose(connection, 'app', 'task', 'mine')
    with servers.engine.begin() as frozen, servers.engine.begin() as connection:
        assert take(frozen, 2)
        assert not take(connection, 2, run_id='theirs')


def test_of_a_schedule_the_one_before_is_kept_and_since_when_it_is_another(servers, connection):
    old, new = (Task(print, minute, name='task', timezone='UTC') for minute in (1, 2))
    for task, minute in ((old, 3), (old, 4), (new, 5), (new, 6)):
        known = task_state.known(connection, 'app', None)
        assert task_state.differ([task], known) is (minute in (3, 5))
        task_state.deploy(connection, 'app', [task], known, at(minute))
    found = row(connection)
    assert [found[name] for name in ('since', 'changed')] == [at(-1), at(5)]
    assert found['schedule'].split()[0] == '4'
    assert found['schedule_before'].split()[0] == '2'


def test_tasks_are_known_with_the_process_that_has_them(servers, connection):
    assert [row(connection)[name] for name in ('host', 'pid', 'lease_over')] == [None, None, None]
    task_state.deploy(connection, 'app', [Task(print, name='other'), Task(print, name='third')], {}, at(0))
    take(connection, 1)
    # beside those that are asked for, those that are running
    assert set(task_state.known(connection, 'app', ['other'])) == {'other', 'task'}
    assert set(task_state.known(connection, 'app', None)) == {'other', 'task', 'third'}
    assert set(task_state.known(connection, 'app', [str(number) for number in range(101)])) == {
        'other',
        'task',
        'third',
    }


def test_minutes_do_not_depend_on_the_time_zone_of_the_database(postgresql):
    engine = create_engine(postgresql)
    with engine.begin() as connection:
        connection.exec_driver_sql(f"ALTER DATABASE {engine.url.database} SET timezone TO 'Asia/Tokyo'")
    engine.dispose()
    metadata.create_all(engine)
    try:
        for number in range(3):
            with engine.begin() as connection:
                told = task_state.tick(connection, 'app', INSTANT + number * MINUTE, 60)
        assert (told.last, told.before) == (INSTANT + 2 * MINUTE, INSTANT + MINUTE)
    finally:
        engine.dispose()
