"""The version of the tables, and their upgrade from the tables before the first release."""

import gc
import sqlite3
import threading
from datetime import timedelta, timezone

import pytest
from sqlalchemy import NullPool, create_engine, event, insert, inspect, select, update
from sqlalchemy.dialects import mysql
from sqlalchemy.exc import OperationalError

from pyramid_cron.errors import Unavailable
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store import metadata
from pyramid_cron.store.database import Database
from pyramid_cron.store.dialects import dialect_of
from pyramid_cron.store.engine import make_engine
from pyramid_cron.store.migrations import (
    RENAMED,
    UNVERSIONED,
    VERSION,
    _of_table,
    has_tables,
    prepare_tables,
    stored_version,
    upgrade,
    upgrade_statements,
)
from pyramid_cron.store.schema import NOT_GOOD, audit, gaps, processes, runs, schema, tasks
from pyramid_cron.store.schema_check import differences
from tests.support import schema_0
from tests.support.mysql_inspector import MySQLInspector
from tests.support.servers import INSTANT, Clock, Servers

SHOWN = '.'.join(map(str, VERSION))
SECOND = timedelta(seconds=1)


def at(minute):
    return (INSTANT + minute * MINUTE).replace(tzinfo=None)


def old_task(task, app='app', **values):
    known = {'schedule': 'a schedule', 'since': at(-60), 'attempt': 1, 'transactional': False}
    return schema_0.tasks, {'app': app, 'task': task, **known, **values}


def old_run(number, task, status, minute=0, app='app', attempt=1, **values):
    times = {'scheduled_for': at(minute), 'started': at(minute) + SECOND, 'finished': at(minute) + 3 * SECOND}
    known = {'attempt': attempt, 'trigger': 'request', 'seconds': 2.0}
    return schema_0.runs, {'id': f'{number}', 'app': app, 'task': task, 'status': status, **times, **known, **values}


ROWS = [
    old_task('never ran'),
    old_task('good', last_minute=at(5), busy_until=at(5), schedule_before='before', changed=at(1)),
    old_run(1, 'good', 'failed', 3, error='LookupError', traceback='Traceback: %(x)s 100 %'),
    old_run(2, 'good', 'ok', 4),
    old_run(3, 'good', 'ok', 5, seconds=1.5, host='here', pid=7),
    old_run(4, 'good', 'skipped', 6, attempt=0, reason='still running'),
    old_task('good', 'other', last_minute=at(9)),
    old_run(5, 'good', 'failed', 9, 'other', error='OSError'),
    old_task('failing', last_minute=at(8), attempt=2, again='failed'),
    old_run(6, 'failing', 'failed', 2, error='IndexError'),
    old_run(7, 'failing', 'ok', 3),
    old_run(8, 'failing', 'failed', 8, error='KeyError'),
    old_run(9, 'failing', 'failed', 8, attempt=2, error='ValueError', started=at(9), finished=at(9) + SECOND),
    old_task('died', last_minute=at(3), again='lost', transactional=True),
    old_run(10, 'died', 'lost', 3, seconds=0.0),
    old_task('missed', last_minute=at(7)),
    old_run(11, 'missed', 'ok', 2),
    old_run(12, 'missed', 'missed', 7, attempt=0, trigger='none', started=at(9), finished=at(9)),
    old_task('running', run_id='13', process='process', began=1.5e9, last_minute=at(9)),
    old_run(13, 'running', 'running', 9, finished=None, seconds=None),
    old_task('queued', run_id='14', queued='14', began=1.5e9),
    old_run(14, 'queued', 'queued', 9, finished=None, seconds=None),
    old_task('unsent', again='unsent', last_minute=at(9)),
    old_task('paused', last_minute=at(1)),
    (schema_0.pauses, {'app': 'app', 'task': 'paused', 'until': at(99), 'reason': 'why', 'by': 'ada'}),
    old_run(15, 'paused', 'ok', 0, scheduled_for=None, trigger='manual', by='ada'),
    old_run(16, 'paused', 'paused', 1, attempt=0),
    old_run(17, 'not registered any more', 'ok'),
    old_run(18, 'failing', 'ok', 9, 'other'),
    (
        schema_0.processes,
        {'id': 'process', 'host': 'here', 'pid': 7, 'place': 'boot', 'born': '123', 'lease_until': 1.5e9},
    ),
    (schema_0.ticks, {'app': 'app', 'last_minute': at(9), 'minute_before': at(8)}),
    (schema_0.gaps, {'app': 'app', 'first': at(1), 'last': at(2)}),
    (schema_0.gaps, {'app': 'other', 'first': at(1), 'last': at(1)}),
]

#: the last results of the tasks after the upgrade; what is left out is null, and so is a count of no failures 0
RESULTS = {
    ('app', 'never ran'): {},
    ('app', 'good'): {
        'last_outcome': 'ok',
        'last_outcome_for': at(5),
        'last_finished': at(5) + 3 * SECOND,
        'last_seconds': 1.5,
        'last_success_for': at(5),
        'last_success_at': at(5) + 3 * SECOND,
    },
    ('other', 'good'): {
        'last_outcome': 'failed',
        'last_outcome_for': at(9),
        'last_finished': at(9) + 3 * SECOND,
        'last_seconds': 2.0,
        'failures_in_a_row': 1,
        'last_error': 'OSError',
    },
    ('app', 'failing'): {
        'last_outcome': 'failed',
        'last_outcome_for': at(8),
        'last_finished': at(9) + SECOND,
        'last_seconds': 2.0,
        'last_success_for': at(3),
        'last_success_at': at(3) + 3 * SECOND,
        'failures_in_a_row': 2,
        'last_error': 'ValueError',
    },
    ('app', 'died'): {
        'last_outcome': 'lost',
        'last_outcome_for': at(3),
        'last_finished': at(3) + 3 * SECOND,
        'last_seconds': 0.0,
        'failures_in_a_row': 1,
    },
    ('app', 'missed'): {
        'last_outcome': 'missed',
        'last_outcome_for': at(7),
        'last_finished': at(2) + 3 * SECOND,
        'last_seconds': 2.0,
        'last_success_for': at(2),
        'last_success_at': at(2) + 3 * SECOND,
    },
    ('app', 'running'): {},
    ('app', 'queued'): {},
    ('app', 'unsent'): {},
    ('app', 'paused'): {
        'last_outcome': 'ok',
        'last_finished': at(0) + 3 * SECOND,
        'last_seconds': 2.0,
        'last_success_at': at(0) + 3 * SECOND,
    },
}


def expected_rows():
    """Return the rows of each table after the upgrade."""
    found = {}
    for old_table, values in ROWS:
        table = metadata.tables[old_table.name]
        renamed = RENAMED.get(table, {})
        row = dict.fromkeys(column.name for column in table.columns)
        row |= {renamed.get(name, name): value for name, value in values.items()}
        if table is tasks:
            row |= {'failures_in_a_row': 0} | RESULTS[row['app'], row['task']]
        if table is runs:
            row['not_good'] = NOT_GOOD.get(row['outcome'])
        found.setdefault(table.name, []).append(row)
    found |= {'cron_schema': [{'version': SHOWN}], 'cron_audit': []}
    return {name: sorted(rows, key=key) for name, rows in found.items()}


def key(row):
    return [str(row.get(name)) for name in ('app', 'task', 'id', 'first_minute')]


def stored_rows(engine):
    found = {}
    with engine.connect() as connection:
        for table in metadata.sorted_tables:
            rows = [dict(row) for row in connection.execute(select(table)).mappings()]
            for row in rows:
                for name, value in row.items():
                    if getattr(value, 'tzinfo', None) is timezone.utc:
                        row[name] = value.replace(tzinfo=None)
            found[table.name] = sorted(rows, key=key)
    return found


def assert_upgraded(engine):
    """Check that the tables are as they should be, with the rows of the old ones."""
    assert stored_rows(engine) == expected_rows()
    with engine.connect() as connection:
        inspector = inspect(connection)
        found = [text for table in metadata.sorted_tables for text in differences(inspector, table, engine.dialect)]
        assert found == []
        names = {index['name'] for index in inspector.get_indexes('cron_runs')}
        assert not names & {'cron_runs_by_end', 'cron_runs_not_good'}
        assert list(upgrade_statements(connection)) == []
        assert has_tables(connection, True)


def make_old_tables(engine):
    """Make the tables before the first release, in place of all others."""
    metadata.drop_all(engine)
    schema_0.metadata.drop_all(engine)
    schema_0.metadata.create_all(engine)
    with engine.begin() as connection:
        for table, values in ROWS:
            connection.execute(insert(table).values(values))


@pytest.fixture
def empty(empty_url, engines):
    """An engine of a database without tables."""
    engine = engines(make_engine(empty_url, None))
    if engine.dialect.name == 'sqlite':
        # hundreds of commits need not wait for the disk
        event.listen(engine, 'connect', lambda connection, record: connection.execute('PRAGMA synchronous = OFF'))
    return engine


@pytest.fixture
def old(empty):
    """An engine of a database with the tables before the first release."""
    make_old_tables(empty)
    return empty


@pytest.fixture
def servers_of():
    """Return a function that starts a server on a database."""
    started = []

    def start(engine):
        started.append(Servers(engine))
        return started[-1].start()

    yield start
    for servers in started:
        servers.end()


def set_version(engine, version):
    with engine.begin() as connection:
        connection.execute(update(schema).values(version=version))


def version_of(engine):
    with engine.connect() as connection:
        return stored_version(connection)


@pytest.mark.slow
def test_old_tables_are_upgraded_in_place(old):
    assert version_of(old) == (0, 0)
    prepare_tables(old, True)
    assert version_of(old) == VERSION
    assert_upgraded(old)


@pytest.mark.slow
@pytest.mark.each_database
def test_tables_of_version_1_0_are_upgraded(empty):
    upgrade(empty)
    name = empty.dialect.name
    added = {'cron_runs_by_minute', 'cron_runs_not_good_by_start', 'cron_runs_not_good_by_task'}
    with empty.begin() as connection:
        for index in sorted(runs.indexes, key=lambda index: index.name):
            if index.name in added:
                index.drop(connection)
        connection.exec_driver_sql('ALTER TABLE cron_runs DROP COLUMN not_good')
        if dialect_of(name).has_partial_indexes:
            where = "outcome IN ('failed', 'lost', 'missed')"
            connection.exec_driver_sql(f'CREATE INDEX cron_runs_not_good ON cron_runs (app, started) WHERE {where}')
        for number, outcome in enumerate(['failed', 'lost', 'missed', 'ok', 'running', 'skipped', 'paused']):
            row = old_run(number, 'task', outcome)[1]
            connection.execute(insert(runs).values(row | {'outcome': row.pop('status'), 'task': outcome}))
    set_version(empty, '1.0')
    prepare_tables(empty, True)
    assert_current(empty)
    found = {row['task']: row['not_good'] for row in stored_rows(empty)['cron_runs']}
    expected = {'failed': 'fault', 'lost': 'fault', 'missed': 'missed'}
    assert found == dict.fromkeys(['ok', 'running', 'skipped', 'paused']) | expected


def test_tables_of_version_1_1_get_those_of_1_2(empty):
    upgrade(empty)
    with empty.begin() as connection:
        audit.drop(connection)
    set_version(empty, '1.1')
    prepare_tables(empty, True)
    assert_current(empty)


@pytest.mark.slow
def test_a_server_goes_on_after_an_upgrade(old, servers_of):
    server = servers_of(old).add('good', min='*', timezone='UTC').add('running', min='*')
    report = server.tick(10)
    outcomes = sorted((task.name, task.outcome) for task in report.tasks)
    assert outcomes == [('good', 'ok'), ('running', 'lost'), ('running', 'ok')]
    states = server.store.states()
    assert states['good'].last_outcome_for == INSTANT + 10 * MINUTE
    assert (states['failing'].retry_reason, states['failing'].failures_in_a_row) == ('failed', 2)
    assert set(server.store.paused()) <= {'paused'}
    with server.store.queries() as queries:
        assert [run.outcome for run in queries.past_runs(9, ['failing'])] == ['failed', 'failed', 'ok', 'failed']
        assert [run.requested_by for run in queries.past_runs(9, ['paused'])] == [None, 'ada']


def test_an_upgrade_by_sql_does_the_same(old):
    # each statement on its own, as a client of the database executes them
    with old.connect().execution_options(isolation_level='AUTOCOMMIT') as connection:
        for statement in list(upgrade_statements(connection)):
            connection.exec_driver_sql(statement)
    assert_upgraded(old)


def interrupted(engine, most):
    """Execute so many statements of an upgrade, each committed on its own; return whether others are left."""
    with engine.connect().execution_options(isolation_level='AUTOCOMMIT') as connection:
        for number, statement in enumerate(upgrade_statements(connection)):
            if number == most:
                return True
            connection.exec_driver_sql(statement)
    return False


@pytest.fixture
def step(request):
    """After how many more statements an upgrade is interrupted the next time."""
    return 1 if request.config.getoption('thorough') else 9


@pytest.mark.slow
def test_an_interrupted_upgrade_goes_on(old, step):
    number = 0
    while interrupted(old, number):
        prepare_tables(old, True)
        assert_upgraded(old)
        make_old_tables(old)
        number += step
    assert number > 30
    assert_upgraded(old)


def test_an_interrupted_creation_goes_on(empty, step):
    number = 0
    while interrupted(empty, number):
        prepare_tables(empty, True)
        assert_current(empty)
        metadata.drop_all(empty)
        number += step
    assert number > 10
    assert_current(empty)


def assert_current(engine):
    assert version_of(engine) == VERSION
    with engine.connect() as connection:
        inspector = inspect(connection)
        for table in metadata.sorted_tables:
            assert list(differences(inspector, table, engine.dialect)) == []


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.slow
def test_a_killed_process_leaves_an_upgrade_to_the_next(old, step):
    left = [0]

    def kill(*_):
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    event.listen(old, 'after_cursor_execute', kill)
    after = 0
    while True:
        # the statements that inspect the tables count too
        after += 10 * step
        left[0] = after
        try:
            prepare_tables(old, True)
        except Killed:
            pass
        else:
            break
        # a real process takes its open cursors with it, one of which can hold the lock of SQLite; here it hangs in a
        # cycle of references with the exception that has just ended
        gc.collect()
        left[0] = 0
        prepare_tables(old, True)
        assert_upgraded(old)
        make_old_tables(old)
    left[0] = 0
    assert after > 50
    assert_upgraded(old)


def at_once(number, url, engines, call):
    """Call a function with engines of a database in so many threads at once, and return what they raised."""
    barrier, failed = threading.Barrier(number), []

    def start():
        engine = engines(make_engine(url, None))
        barrier.wait()
        try:
            call(engine)
        except Exception as exc:
            failed.append(exc)

    threads = [threading.Thread(target=start) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return failed


def test_servers_upgrade_the_tables_at_once(old, empty_url, engines):
    assert at_once(4, empty_url, engines, lambda engine: prepare_tables(engine, True)) == []
    assert_upgraded(old)


@pytest.mark.slow
def test_servers_make_the_tables_at_once(empty, empty_url, engines):
    assert at_once(8, empty_url, engines, lambda engine: prepare_tables(engine, True)) == []
    assert sorted(inspect(empty).get_table_names()) == sorted(metadata.tables)
    assert_current(empty)


def test_tables_that_cannot_be_made_are_tried_ten_times(tmp_path):
    path = tmp_path / 'cron.sqlite'
    sqlite3.connect(path).close()
    slept = []
    engine = create_engine(f'sqlite:///file:{path}?mode=ro&uri=true', poolclass=NullPool)
    with pytest.raises(OperationalError, match='readonly'):
        prepare_tables(engine, True, slept.append)
    assert len(slept) == 9
    assert all(0.01 <= seconds <= 0.1 for seconds in slept)


def test_tables_that_are_waited_for_are_tried_once(tmp_path):
    path = tmp_path / 'cron.sqlite'
    sqlite3.connect(path).close()
    clock = Clock()
    engine = create_engine(f'sqlite:///file:{path}?mode=ro&uri=true', poolclass=NullPool)
    event.listen(engine, 'handle_error', lambda context: clock.sleep(4))
    with pytest.raises(OperationalError, match='readonly'):
        prepare_tables(engine, True, clock.sleep, clock)
    assert clock.now == 1000 + 4


def test_current_tables_are_left_alone(empty):
    upgrade(empty)
    executed = []
    event.listen(empty, 'before_cursor_execute', lambda *given: executed.append(given[2]))
    prepare_tables(empty, True)
    with empty.connect() as connection:
        assert list(upgrade_statements(connection)) == []
    prepare_tables(empty, False)
    upgrade(empty)
    assert_current(empty)
    assert [text for text in executed if text.startswith(('CREATE', 'ALTER', 'DROP', 'INSERT', 'UPDATE'))] == []


@pytest.mark.parametrize('create', [True, False])
def test_tables_of_a_newer_minor_version_are_used(empty, create):
    upgrade(empty)
    newer = f'{VERSION[0]}.{VERSION[1] + 7}'
    set_version(empty, newer)
    with empty.begin() as connection:
        connection.exec_driver_sql('ALTER TABLE cron_tasks ADD COLUMN of_a_later_version INTEGER')
    prepare_tables(empty, create)
    with empty.connect() as connection:
        assert has_tables(connection, create)
        assert list(upgrade_statements(connection)) == []
        assert stored_version(connection) == (VERSION[0], VERSION[1] + 7)


@pytest.mark.parametrize('create', [True, False])
def test_tables_of_a_newer_major_version_are_refused(empty, create):
    upgrade(empty)
    set_version(empty, f'{VERSION[0] + 1}.3')
    message = (
        rf'^the tables of the store are of version {VERSION[0] + 1}\.3, which is newer than this pyramid_cron knows '
        rf'\({VERSION[0]}\.{VERSION[1]}\): upgrade pyramid_cron here$'
    )
    with pytest.raises(Unavailable, match=message):
        prepare_tables(empty, create)
    with empty.connect() as connection, pytest.raises(Unavailable, match=message):
        has_tables(connection, create)
    database = Database(empty, 'app', create)
    for use in (database.begin, database.autocommit, database.reading):
        with pytest.raises(Unavailable, match=message), use():
            pass


@pytest.mark.parametrize('version', ['', '1', 'one.two', '1.0.0'])
def test_an_unreadable_version_is_refused(empty, version):
    upgrade(empty)
    set_version(empty, version)
    for use in (lambda: prepare_tables(empty, True), lambda: version_of(empty), lambda: upgrade(empty)):
        with pytest.raises(Unavailable, match=f"^the version '{version}' of the tables in cron_schema cannot be read$"):
            use()


@pytest.mark.parametrize('with_version', [True, False])
def test_tables_of_another_tool_need_no_version(empty, with_version):
    metadata.create_all(empty)
    if not with_version:
        schema.drop(empty)
    for create in (False, True):
        assert version_of(empty) == VERSION
        prepare_tables(empty, create)
        with empty.connect() as connection:
            assert has_tables(connection, create)
    # which an upgrade records
    upgrade(empty)
    assert_current(empty)
    assert stored_rows(empty)['cron_schema'] == [{'version': SHOWN}]


def test_without_create_tables_missing_ones_are_refused(empty):
    message = (
        '^the tables of the store are missing: apply what "pcron store upgrade CONFIG_URI --sql" prints, '
        r'or set cron\.create_tables = true$'
    )
    with pytest.raises(Unavailable, match=message):
        prepare_tables(empty, False)
    assert inspect(empty).get_table_names() == []
    with empty.connect() as connection:
        assert not has_tables(connection, False)


def test_without_create_tables_old_ones_are_refused(old):
    message = (
        rf'^the tables of the store are of version 0\.0, older than {SHOWN}: apply what "pcron store upgrade '
        r'CONFIG_URI --sql" prints, or set cron\.create_tables = true$'
    )
    with pytest.raises(Unavailable, match=message):
        prepare_tables(old, False)
    database = Database(old, 'app', False)
    for use in (database.begin, database.autocommit, database.reading):
        with pytest.raises(Unavailable, match=message), use():
            pass
    assert version_of(old) == (0, 0)


def test_reading_old_tables_waits_for_a_tick(old):
    database = Database(old, 'app', True)
    message = rf'^the tables of the store are of version 0\.0, older than {SHOWN}: the first tick upgrades them$'
    with pytest.raises(Unavailable, match=message), database.reading():
        pass
    assert version_of(old) == (0, 0)
    with database.begin():
        pass
    with database.reading() as connection:
        assert len(connection.scalars(connection.select(runs, runs.c.id))) == 16
        assert connection.scalars(connection.select(processes, processes.c.boot_and_pidns)) == ['boot']


def test_names_are_compared_by_their_bytes(empty):
    make_old_tables(empty)
    upgrade(empty)
    assert_upgraded(empty)
    values = {'schedule': '', 'first_seen': INSTANT, 'attempt': 0, 'transactional': False}
    for name in ('Good', 'göod', 'good ', 'good\N{GRINNING FACE}'):
        with empty.begin() as connection:
            connection.execute(insert(tasks).values(app='app', task=name, **values))


def test_mysql_converts_old_tables_and_limits_no_index(tmp_path, engines):
    """The statements for MySQL, which the tests of MariaDB execute, made of the tables of another database."""
    engine = engines(make_engine(f'sqlite:///{tmp_path}/cron.sqlite', None))
    make_old_tables(engine)
    with engine.connect() as connection:
        inspector = MySQLInspector(connection)
        ddl = [str(text) for table in metadata.sorted_tables for text in _of_table(inspector, table, mysql.dialect())]
    converted = 'ALTER TABLE {} CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin'
    assert converted.format('cron_runs') in ddl
    assert converted.format('cron_ticks') not in ddl
    assert any('cron_tasks_by_next_due' in text for text in ddl)
    assert not any('cron_tasks_needing_attention' in text for text in ddl)
    [whole] = [text for text in ddl if 'INDEX cron_runs_not_good_by_start' in text]
    assert 'WHERE' not in whole


@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_tables_of_which_one_is_missing_have_no_version(engine):
    with engine.begin() as connection:
        gaps.drop(connection)
        schema.drop(connection)
        assert stored_version(connection) == UNVERSIONED
