"""The database of the store: connections for threads and forked processes, and the tables at the first use."""

import contextlib
import os
import threading

import pytest
from sqlalchemy import event, inspect, text

from pyramid_cron.errors import Unavailable
from pyramid_cron.store import metadata
from pyramid_cron.store.database import Database
from pyramid_cron.store.engine import make_engine
from pyramid_cron.store.migrations import prepare_tables, upgrade
from pyramid_cron.store.schema import runs
from pyramid_cron.store.sqlite_file import sqlite_file

pytestmark = pytest.mark.each_database


def synchronous(connection):
    return connection.scalar(text('PRAGMA synchronous'))


def test_sqlite_waits_for_the_disk_except_for_ticks(tmp_path, engines):
    database = Database(engines(make_engine(f'sqlite:///{tmp_path}/cron.sqlite', None)), 'app', True)
    with database.begin() as connection:
        assert synchronous(connection) == 2
        assert connection.scalar(text('PRAGMA journal_mode')) == 'wal'
    with database.autocommit() as connection:
        assert synchronous(connection) == 1
    with pytest.raises(ValueError, match='no luck'), database.autocommit():
        raise ValueError('no luck')
    with database.begin() as connection:
        assert synchronous(connection) == 2


@pytest.mark.slow
def test_an_exit_within_a_statement_passes_through(server):
    def end(*args):
        raise SystemExit

    server.tick(0)
    event.listen(server.engine, 'after_cursor_execute', end)
    with pytest.raises(SystemExit), server.claims.database.autocommit() as connection:
        connection.clock()
    # or is caught
    with server.claims.database.autocommit() as connection, contextlib.suppress(SystemExit):
        connection.clock()
    event.remove(server.engine, 'after_cursor_execute', end)
    assert not server.tick(1).problem


@pytest.mark.slow
def test_a_connection_that_ended_meanwhile_costs_no_tick(servers):
    server = servers.start().add(min='*')
    server.tick(0)
    # as when the database has restarted: each driver notices at another call
    with server.engine.connect() as connection:
        connection.connection.driver_connection.close()
    assert str(server.tick(1)) == 'ok'


def test_an_error_of_the_driver_itself_is_one_of_the_database(postgresql, engines):
    engine = engines(make_engine(postgresql, None))
    database = Database(engine, 'app', True)
    with database.begin():
        pass
    # psycopg refuses to change the isolation within a transaction
    event.listen(engine, 'checkout', lambda connection, record, proxy: connection.execute('SELECT 1'))
    with pytest.raises(Unavailable, match='INTRANS') as caught, database.autocommit():
        pass
    assert caught.value.disconnected


@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_a_broken_file_makes_the_store_unavailable(tmp_path, servers):
    server = servers.start().add(min='*')
    server.tick(0)
    for path in tmp_path.glob('cron.sqlite*'):
        path.write_bytes(b'no database ' * 1000)
    for minute in (1, 2):
        assert server.tick(minute).problem.startswith('the store is not available: ')


def test_the_first_use_makes_the_tables(empty_url, engines):
    database = Database(engines(make_engine(empty_url, None)), 'app', True)
    assert inspect(database.engine).get_table_names() == []
    with database.begin() as connection:
        assert connection.app == 'app'
    assert sorted(inspect(database.engine).get_table_names()) == sorted(metadata.tables)


@pytest.mark.slow
@pytest.mark.parametrize('use', [Database.begin, Database.autocommit], ids=lambda use: use.__name__)
def test_without_create_tables_missing_ones_are_unavailable(empty_url, engines, use):
    database = Database(engines(make_engine(empty_url, None)), 'app', False)
    for _ in range(2):
        with (
            pytest.raises(Unavailable, match=r'^the tables of the store are missing: apply what "pcron store upgrade'),
            use(database),
        ):
            pass
    assert inspect(database.engine).get_table_names() == []
    upgrade(database.engine)
    with use(database) as connection:
        assert connection.scalars(connection.select(runs, runs.c.id)) == []


@pytest.mark.slow
@pytest.mark.parametrize('create', [True, False])
def test_reading_makes_no_tables(empty_url, engines, create):
    database = Database(engines(make_engine(empty_url, None)), 'app', create)
    with database.reading() as connection:
        assert connection is None
    if sqlite_file(database.engine.url) is not None:
        assert not sqlite_file(database.engine.url).exists()
        database.engine.connect().close()
        with database.reading() as connection:
            assert connection is None
    assert inspect(database.engine).get_table_names() == []
    # and finds those that another process has made meanwhile
    upgrade(database.engine)
    with database.reading() as connection:
        assert connection.scalars(connection.select(runs, runs.c.id)) == []


@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_tables_are_checked_once(servers):
    server = servers.start()
    for use in (server.store.states, server.store.states):
        with server.executed() as executed:
            use()
    assert [statement.kind for statement in executed] == ['select']


def test_threads_make_the_tables_once(empty_url, engines, monkeypatch):
    made = []

    def prepare_once(engine, create):
        made.append(create)
        prepare_tables(engine, create)

    monkeypatch.setattr('pyramid_cron.store.database.prepare_tables', prepare_once)
    database = Database(engines(make_engine(empty_url, None)), 'app', True)
    barrier = threading.Barrier(4)

    def use():
        barrier.wait()
        with database.begin() as connection:
            connection.execute(connection.select(runs, runs.c.id))

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [True]


def test_a_forked_process_opens_other_connections(servers):
    database = Database(servers.engine, 'app', True)
    with database.begin():
        pass
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            opened = []
            event.listen(servers.engine, 'connect', lambda *_: opened.append(True))
            with database.begin() as connection:
                connection.clock()
            with database.begin():
                pass
            code = 0 if opened == [True] else 2
        finally:
            os._exit(code)
    os.close(reader)
    os.close(writer)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with database.begin() as connection:
        assert connection.clock() > 0


@pytest.mark.parametrize('use', [Database.begin, Database.reading], ids=lambda use: use.__name__)
def test_connections_of_another_process_are_left_alone(servers, use):
    database, pool = Database(servers.engine, 'app', True), servers.engine.pool
    with database.begin() as connection:
        parents = connection.driver_connection
        # as in a child that was forked meanwhile
        database._process = -1
        with use(database) as other:
            assert other.driver_connection is not parents
        assert database._process == os.getpid()
        # which has not been closed
        assert connection.clock() > 0
    pool.dispose()


def back_up(server, path):
    """Write a copy of a database while it is open, as the shell of SQLite does."""
    with server.engine.connect().execution_options(isolation_level='AUTOCOMMIT') as connection:
        connection.exec_driver_sql(f"VACUUM INTO '{path}'")


@pytest.fixture
def file(servers):
    return sqlite_file(servers.engine.url)


@pytest.fixture
def left(warnings):
    """Return a function that returns what was logged about files since the last call, without its second half."""
    return lambda: [text.partition(' while')[0] for text in warnings() if text.startswith('cron.store: ')]


@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_a_replaced_file_is_opened_at_the_next_tick(servers, file, left):
    server = servers.start().add(min='*')
    server.tick(0)
    back_up(server, file.with_name('backup'))
    server.tick(1)
    file.with_name('backup').replace(file)
    assert str(server.tick(2)) == 'ok'
    assert left() == [f'cron.store: the file {file} was replaced']
    # the backup does not have it, and the log of the old file is not applied
    servers.engine.dispose()
    assert servers.minutes('ok') == [('task', 0), ('task', 2)]
    assert str(server.tick(3)) == 'ok'
    assert left() == []


@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_a_removed_file_is_made_anew(servers, file, left):
    server = servers.start().add(min='*')
    server.tick(0)
    file.unlink()
    assert server.store.states() == {}
    assert left() == [f'cron.store: the file {file} was removed']
    assert str(server.tick(1)) == 'ok'
    servers.engine.dispose()
    assert servers.minutes('ok') == [('task', 1)]
    assert left() == []


@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_a_removed_folder_makes_the_store_unavailable(servers, file, left):
    folder = file.parent / 'folder'
    folder.mkdir()
    server = servers.start(store=f'sqlite:///{folder}/cron.sqlite').add(min='*')
    server.tick(0)
    folder.rename(file.parent / 'moved')
    for minute in (1, 2):
        assert server.tick(minute).problem == 'the store is not available: unable to open database file'
    assert left() == [f'cron.store: the file {folder}/cron.sqlite was removed']
    (file.parent / 'moved').rename(folder)
    assert str(server.tick(3)) == 'ok'
    assert set(server.store.states()) == {'task'}


@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_without_create_tables_a_removed_file_is_unavailable(servers, file):
    server = servers.start(create_tables='false').add(min='*')
    server.tick(0)
    back_up(server, file.with_name('backup'))
    file.unlink()
    for minute in (1, 2):
        problem = 'the tables of the store are missing: apply what "pcron store upgrade'
        assert server.tick(minute).problem.startswith(problem)
    file.with_name('backup').replace(file)
    assert server.tick(3).problem is None


@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_a_symbolic_link_can_be_switched(servers, file, left):
    link = file.with_name('link')
    link.symlink_to(file)
    server = servers.start(store=f'sqlite:///{link}').add(min='*')
    server.tick(0)
    back_up(server, file.with_name('other'))
    server.tick(1)
    link.unlink()
    link.symlink_to(file.with_name('other'))
    server.tick(2)
    assert left() == [f'cron.store: the file {link} was replaced']
    # the old file is complete
    assert servers.minutes('ok') == [('task', 0), ('task', 1)]


@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_a_run_of_a_removed_file_has_failed(servers, file):
    server = servers.start().add(min='*', body=lambda system: file.unlink())
    [task] = server.tick(0).tasks
    assert (task.outcome, str(task.exception)) == (
        'failed',
        'the run has no record in the store any more, because its database was replaced or emptied meanwhile',
    )


@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_the_end_of_a_run_can_wait_for_a_file(servers, file, warnings):
    server = servers.start(create_tables='false').add(min='*', body=lambda system: file.unlink())
    assert server.tick(0).names('ok') == ['task']
    assert [text.partition(': the tables')[0] for text in warnings()][1:] == [
        'the end of task task cannot be recorded yet',
        'it cannot be recorded that the tick for 2020-11-23 02:00+00:00 is done',
        'the history cannot be pruned',
    ]


@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_threads_leave_a_replaced_file_once(servers, file, left):
    database = servers.start().store.database
    lock = database._lock

    class Overtaken:
        """A lock that another thread got before."""

        def __enter__(self):
            database._lock = lock
            with database.begin():
                pass

        def __exit__(self, *exc):
            pass

    with database.begin():
        pass
    file.unlink()
    database._lock = Overtaken()
    with database.begin() as connection:
        assert connection.scalars(connection.select(runs, runs.c.id)) == []
    assert left() == [f'cron.store: the file {file} was removed']


@pytest.mark.parametrize('engine', ['postgresql'], indirect=True)
@pytest.mark.parametrize('ends_process', [False, True])
def test_a_connection_that_cannot_be_rolled_back_is_dropped(servers, ends_process):
    database = servers.start().store.database

    def fail():
        with database.begin() as connection:
            connection.rows(connection.select(runs, runs.c.id))
            servers.end_connections()
            if ends_process:
                raise SystemExit
            connection.rows(connection.select(runs, runs.c.id))

    with pytest.raises(SystemExit if ends_process else Unavailable):
        fail()
    with database.begin() as connection:
        assert connection.rows(connection.select(runs, runs.c.id)) == []
