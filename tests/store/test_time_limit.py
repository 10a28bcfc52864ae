"""The end of waits for a server that does not answer: real PostgreSQL, whose process for a connection is frozen."""

import contextlib
import os
import signal
import socket
import sqlite3
import threading

import pytest
from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import OperationalError

from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.database import Database
from pyramid_cron.store.engine import make_engine
from pyramid_cron.store.time_limit import WAIT, Wait, Watchdog, limit_waits, limited, unlimited
from tests.support.threads import without_threads

DRIVERS = ['psycopg', 'psycopg2']


@pytest.fixture(params=DRIVERS)
def hasty(request, postgresql, engines):
    """An engine whose connections wait for less than half a second."""
    engine = engines(create_engine(postgresql.replace('+psycopg', f'+{request.param}')))
    limit_waits(engine, Watchdog(looks=4, interval=0.1))
    return engine


@contextlib.contextmanager
def frozen(connection):
    """Freeze the server's process of a connection of a driver in the ``with``."""
    pid = connection.info.backend_pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def driver(connection):
    return connection.connection.driver_connection


def answers(engine):
    with engine.connect() as connection:
        return connection.scalar(text('SELECT 1')) == 1


def execute(connection):
    connection.execute(text('SELECT 1'))


def use_without_sqlalchemy(connection):
    with StoreConnection(connection, 'app').limited():
        driver(connection).cursor().execute('SELECT 1')


@pytest.mark.parametrize(
    'use', [execute, lambda c: c.commit(), lambda c: c.rollback()], ids=['execute', 'commit', 'rollback']
)
def test_a_frozen_server_is_not_waited_for(hasty, use):
    with contextlib.ExitStack() as stack, hasty.connect() as connection:
        execute(connection)
        stack.enter_context(frozen(driver(connection)))
        with pytest.raises(OperationalError):
            use(connection)
        assert connection.invalidated
    assert answers(hasty)


def test_a_use_of_the_driver_itself_is_limited(hasty):
    with hasty.connect() as connection, frozen(driver(connection)):
        with pytest.raises(hasty.dialect.loaded_dbapi.OperationalError):
            use_without_sqlalchemy(connection)
        connection.invalidate()
    assert answers(hasty)


def test_a_connection_is_returned_to_the_pool_in_time(hasty):
    pooled = hasty.raw_connection()
    pooled.cursor().execute('SELECT 1')
    with frozen(pooled.driver_connection):
        pooled.close()
    assert answers(hasty)


def test_the_first_statements_of_a_connection_are_limited(hasty):
    with contextlib.ExitStack() as stack:

        @event.listens_for(hasty, 'connect', insert=True)
        def freeze(connection, record):
            stack.enter_context(frozen(connection))

        with pytest.raises(OperationalError):
            answers(hasty)
        event.remove(hasty, 'connect', freeze)
    assert answers(hasty)


@pytest.mark.slow
def test_an_upgrade_may_take_longer(hasty):
    slow = text('SELECT pg_sleep(0.7)')
    with hasty.connect() as connection:
        with unlimited(connection):
            connection.execute(slow)
        with pytest.raises(OperationalError):
            connection.execute(slow)


class DriverWithLimit(sqlite3.Connection):
    """A connection that keeps a limit of its own where PyMySQL does."""

    _read_timeout = 5


def test_the_limit_of_a_driver_is_lifted_too(engines):
    engine = engines(create_engine('sqlite://', connect_args={'factory': DriverWithLimit}))
    with engine.connect() as connection:
        with limited(connection), unlimited(connection):
            assert driver(connection)._read_timeout is None
        assert driver(connection)._read_timeout == 5


@pytest.mark.slow
def test_a_frozen_mariadb_is_not_waited_for(mariadb_server, mariadb, engines):
    engine = engines(make_engine(f'{mariadb}&read_timeout=1', None))
    assert answers(engine)
    os.kill(mariadb_server.pid, signal.SIGSTOP)
    try:
        # an open connection, and a new one, which the server's kernel accepts
        for _ in range(2):
            with pytest.raises(OperationalError, match='timed out'):
                answers(engine)
    finally:
        os.kill(mariadb_server.pid, signal.SIGCONT)
    assert answers(engine)


def test_an_upgrade_of_mariadb_may_take_longer(mariadb, engines):
    engine = engines(make_engine(f'{mariadb}&read_timeout=1', None))
    with engine.connect() as connection, unlimited(connection):
        connection.execute(text('SELECT SLEEP(1.2)'))


def test_the_stores_connections_are_limited(postgresql, tmp_path, engines):
    with engines(make_engine(postgresql, None)).connect() as connection:
        assert isinstance(connection.info[WAIT], Wait)
    # which is no server
    with engines(make_engine(f'sqlite:///{tmp_path}/cron.sqlite', None)).connect() as connection:
        assert WAIT not in connection.info


def watchdogs():
    return [thread.name for thread in threading.enumerate()].count('pyramid_cron watchdog')


@pytest.fixture
def ends():
    """Return a function that returns the two ends of a connection."""
    kept = []

    def make():
        kept.extend(pair := socket.socketpair())
        return pair

    yield make
    for end in kept:
        end.close()


def test_the_watchdog_wakes_up_for_each_wait(ends):
    watchdog = Watchdog(looks=2, interval=0.01)
    for _ in range(2):
        waiting, server = ends()
        wait = Wait(watchdog, waiting.fileno())
        wait.begin()
        # it sleeps after that
        assert server.recv(1) == b''


def test_one_thread_watches_all_waits(ends):
    before = watchdogs()
    watchdog = Watchdog(looks=2, interval=0.01)
    answers = []

    def wait():
        waiting, server = ends()
        Wait(watchdog, waiting.fileno()).begin()
        answers.append(server.recv(1))

    threads = [threading.Thread(target=wait) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [b''] * 3
    assert watchdogs() == before + 1


def test_a_thread_that_cannot_begin_begins_with_the_next_wait(ends):
    watchdog = Watchdog(looks=2, interval=0.01)
    (refused, _), (waiting, server) = ends(), ends()
    wait = Wait(watchdog, refused.fileno())
    with without_threads(), pytest.raises(RuntimeError):
        wait.begin()
    assert watchdog._waits == {}
    Wait(watchdog, waiting.fileno()).begin()
    assert server.recv(1) == b''
    assert refused.send(b'!') == 1


def test_a_wait_that_has_ended_is_not_cut(ends):
    watchdog = Watchdog(looks=2, interval=0.01)
    (ended, _), (waiting, server) = ends(), ends()
    wait = Wait(watchdog, ended.fileno())
    wait.begin()
    wait.end()
    Wait(watchdog, waiting.fileno()).begin()
    assert server.recv(1) == b''
    assert ended.send(b'!') == 1


def test_a_connection_that_is_closed_already_is_left_alone(ends):
    watchdog = Watchdog(looks=2, interval=0.01)
    (gone, other), (waiting, server) = ends(), ends()
    wait = Wait(watchdog, gone.fileno())
    gone.shutdown(socket.SHUT_RDWR)
    other.close()
    wait.cut()
    Wait(watchdog, waiting.fileno()).begin()
    assert server.recv(1) == b''


@pytest.mark.slow
def test_a_forked_process_has_a_watchdog_of_its_own(postgresql, engines):
    database = Database(engines(make_engine(postgresql, None)), 'app', True)
    with database.begin() as connection:
        connection.clock()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            before = watchdogs()
            with database.begin() as connection:
                connection.clock()
            code = 0 if (before, watchdogs()) == (0, 1) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    with database.begin() as connection:
        assert connection.clock() > 0


def test_a_driver_without_a_socket_is_left_alone(tmp_path, engines):
    engine = engines(create_engine(f'sqlite:///{tmp_path}/any.sqlite'))
    limit_waits(engine)
    with engine.begin() as connection:
        assert connection.scalar(text('SELECT 1')) == 1
        assert WAIT not in connection.connection.record_info
