"""Leases: their renewal by heartbeats, and what is pruned."""

import os
import socket
import threading

import pytest
from sqlalchemy import delete, insert, update

from pyramid_cron.missed_minutes import LONGEST
from pyramid_cron.store import leases
from pyramid_cron.store.leases import KEPT_SECONDS, LONGEST_SECONDS, Heartbeat, Process
from pyramid_cron.store.liveness import PidNamespace
from pyramid_cron.store.schema import processes, tasks
from tests.support.servers import INSTANT
from tests.support.threads import call_meanwhile, without_threads

pytestmark = pytest.mark.each_database


def renew(servers, process):
    with servers.begin() as connection:
        process.renew(connection)
        return connection.clock()


def test_a_lease_is_renewed_by_the_databases_clock(servers):
    process = Process(90)
    now = renew(servers, process)
    (row,) = servers.rows(processes)
    assert row['lease_until'] == pytest.approx(now + 90, abs=5)
    assert (row['id'], row['pid'], row['host']) == (process.id, os.getpid(), process.host)
    assert (row['boot_and_pidns'], row['process_started']) == (process.namespace.name, process.started)
    servers.execute(update(processes).values(lease_until=0.0))
    renew(servers, process)
    (row,) = servers.rows(processes)
    assert row['lease_until'] == pytest.approx(now + 90, abs=5)


def test_a_pruned_process_is_inserted_again(servers):
    process = Process(90, PidNamespace(None))
    for _ in range(2):
        now = renew(servers, process)
        (row,) = servers.rows(processes)
        assert (row['id'], row['boot_and_pidns']) == (process.id, None)
        assert row['lease_until'] == pytest.approx(now + 90, abs=5)
        servers.execute(update(processes).values(lease_until=1.0))
        with servers.begin() as connection:
            assert leases.prune(connection, 9) == 1
        assert servers.rows(processes) == []


@pytest.mark.slow
def test_a_pruned_process_that_lives_keeps_its_run(servers):
    """The row of the process goes while its task runs: it returns with a heartbeat, before another server ticks."""
    other = servers.start(window='10e9').add(min='*')
    reports = []

    def body(system):
        servers.execute(delete(processes))
        server.claims._beat()
        (row,) = servers.rows(processes)
        assert row['id'] == servers.row()['process'] == server.claims.own.process.id
        # as for a server elsewhere, which has to believe the lease
        servers.execute(update(processes).values(boot_and_pidns='another boot'))
        reports.append(other.tick(1))

    server = servers.start().add(body=body, min='*')
    assert str(server.tick(0)) == 'ok'
    assert [task.outcome for task in reports[0].tasks] == ['skipped']
    assert (server.ran, other.ran) == ([('task', 0)], [])


@pytest.mark.slow
def test_a_pruned_process_claims_again(servers):
    server = servers.start().add(min='*')
    for minute in range(2):
        assert str(server.tick(minute)) == 'ok'
        (row,) = servers.rows(processes)
        assert row['id'] == server.claims.own.process.id
        servers.execute(delete(processes))
    assert server.ran == [('task', 0), ('task', 1)]


def test_processes_with_claims_or_leases_are_not_pruned(servers):
    with servers.begin() as connection:
        now = connection.clock()
    for id_, until in (
        ('expired', now - KEPT_SECONDS - 60),
        ('claiming', now - KEPT_SECONDS - 60),
        ('recent', now - KEPT_SECONDS + 60),
        ('living', now + LONGEST_SECONDS - 60),
        ('ahead', now + LONGEST_SECONDS + 60),
    ):
        servers.execute(insert(processes).values(id=id_, host='here', pid=1, lease_until=until))
    # a process can claim tasks of several applications
    values = {'schedule': '', 'first_seen': INSTANT, 'attempt': 1, 'transactional': False, 'run_id': 'run'}
    servers.execute(insert(tasks).values(app='other', task='task', process='claiming', **values))
    with servers.begin() as connection:
        assert leases.prune(connection, 9) == 2
    assert sorted(row['id'] for row in servers.rows(processes)) == ['claiming', 'living', 'recent']


class Beats:
    """A function to beat with, which a test can wait for."""

    def __init__(self, fails=False):
        self.fails = fails
        self.count = threading.Semaphore(0)

    def __call__(self):
        self.count.release()
        if self.fails:
            raise ValueError('no luck')

    def wait(self, times):
        return all(self.count.acquire(timeout=10) for _ in range(times))


def threads():
    return {thread for thread in threading.enumerate() if thread.name == 'pyramid_cron heartbeat'}


@pytest.fixture
def begin():
    """Return a function that begins a heartbeat, and returns its thread."""
    begun = []

    def start(heartbeat):
        before = threads()
        heartbeat.begin()
        begun.append(heartbeat)
        (thread,) = threads() - before
        return thread

    yield start
    for heartbeat in begun:
        while heartbeat._count > 0:
            heartbeat.end()
        wake(heartbeat)


def wake(heartbeat):
    """Let the thread of a heartbeat see at once that there is no run any more."""
    if heartbeat._socket is not None:
        heartbeat._socket.close()


def has_ended(thread):
    thread.join(10)
    return not thread.is_alive()


def test_a_heart_beats_until_the_last_run_ends(begin):
    beats = Beats()
    heartbeat = Heartbeat(beats, 0.001)
    thread = begin(heartbeat)
    heartbeat.begin()
    assert beats.wait(3)
    heartbeat.end()
    assert beats.wait(3)
    heartbeat.end()
    assert has_ended(thread)
    # and again
    again = begin(heartbeat)
    heartbeat.end()
    assert has_ended(again)


def test_a_heart_beats_once_after_its_last_run(begin, caplog):
    beats = Beats(fails=True)
    heartbeat = Heartbeat(beats, 0.001)
    thread = begin(heartbeat)
    heartbeat.begin()
    heartbeat.end(after_beat=True)
    heartbeat.end(after_beat=True)
    assert beats.wait(3)
    assert thread.is_alive()
    beats.fails = False
    assert has_ended(thread)
    # and again
    again = begin(heartbeat)
    assert beats.wait(3)
    heartbeat.end()
    assert has_ended(again)


def test_a_failed_beat_is_logged_and_repeated(begin, caplog):
    beats = Beats(fails=True)
    heartbeat = Heartbeat(beats, 0.001)
    thread = begin(heartbeat)
    assert beats.wait(3)
    heartbeat.end()
    assert has_ended(thread)
    assert 'the lease of this process could not be renewed: no luck' in caplog.messages


def test_the_next_run_finds_the_thread_of_the_last(begin):
    beats = Beats()
    heartbeat = Heartbeat(beats, 3600)
    thread = begin(heartbeat)
    heartbeat.end()
    before = threads()
    heartbeat.begin()
    assert threads() == before
    heartbeat.end()
    wake(heartbeat)
    assert has_ended(thread)
    assert beats.count.acquire(blocking=False) is False


def test_two_runs_at_once_have_one_heartbeat(begin, monkeypatch):
    others, make = [], socket.socketpair

    def make_meanwhile():
        # between the look for a heartbeat and the entry of this one
        if not others:
            others.append(call_meanwhile(heartbeat.begin))
        return make()

    monkeypatch.setattr(socket, 'socketpair', make_meanwhile)
    heartbeat, before = Heartbeat(Beats(), 3600), threads()
    heartbeat.begin()
    assert has_ended(others[0])
    found = threads() - before
    heartbeat.end()
    heartbeat.end()
    wake(heartbeat)
    assert len(found) == 1
    assert has_ended(*found)


def test_a_run_that_begins_at_an_end_has_a_heartbeat(begin):
    class Lock:
        """A lock before which, as the thread wants to end, another run begins and waits for it."""

        def __init__(self):
            self.lock = threading.Lock()

        def __enter__(self):
            self.lock.acquire()
            if threading.current_thread() is thread and not others:
                others.append(call_meanwhile(heartbeat.begin))

        def __exit__(self, *exc):
            self.lock.release()

    others = []
    heartbeat = Heartbeat(Beats(), 3600)
    thread = begin(heartbeat)
    heartbeat._lock = Lock()
    before = threads() - {thread}
    heartbeat.end()
    wake(heartbeat)
    assert has_ended(thread)
    assert has_ended(others[0])
    assert len(threads() - before) == 1


# its only other thread is the heartbeat
@pytest.mark.filterwarnings('ignore:This process:DeprecationWarning')
def test_a_forked_process_does_not_keep_a_heartbeat(begin):
    thread = begin(heartbeat := Heartbeat(Beats(), 0.001))
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writer)
        os.read(reader, 1)
        os._exit(0)
    heartbeat.end()
    ended = has_ended(thread)
    os.close(reader)
    os.close(writer)
    os.waitpid(child, 0)
    assert ended


def test_a_heartbeat_goes_on_while_something_is_left(begin):
    left = iter([True, True])
    heartbeat = Heartbeat(lambda: next(left, False), 0.001)
    thread = begin(heartbeat)
    heartbeat.end(after_beat=True)
    assert has_ended(thread)
    assert list(left) == []


def test_an_end_during_a_beat_that_leaves_something_has_another_beat(begin):
    def beat():
        beats.append(0)
        if len(beats) == 1:
            heartbeat.end(after_beat=True)

    beats = []
    heartbeat = Heartbeat(beat, 0.001)
    assert has_ended(begin(heartbeat))
    assert len(beats) == 2


def test_a_heartbeat_without_a_thread_has_not_begun():
    heartbeat = Heartbeat(print, 3600)
    with without_threads(), pytest.raises(RuntimeError):
        heartbeat.begin()
    assert (heartbeat._count, heartbeat._socket) == (0, None)


@pytest.mark.slow
def test_a_run_without_a_heartbeat_does_not_begin(servers, server, warnings):
    server.ready()
    with without_threads():
        assert server.tick(0).failed
    assert server.ran == []
    assert server.tick(1).tasks[0].attempt == 2
    assert server.ran == [('task', 0)]


def test_a_named_run_without_a_heartbeat_does_not_begin(servers, server, warnings):
    server.ready()
    with without_threads():
        assert server.tick(names=['task']).failed
    assert server.ran == []
    assert str(server.tick(names=['task'])) == 'ok'


def test_a_heartbeat_keeps_no_process_alive(begin):
    assert begin(Heartbeat(Beats(), 3600)).daemon


@pytest.mark.slow
def test_a_task_longer_than_its_lease_is_not_reaped(servers, begin):
    """The heartbeat of the server beats as often as it can, while the lease is set back behind its back."""
    found = []
    other = servers.start(window='10e9').add(min='*')

    def body(system):
        renewed = threading.Event()
        beat = server.claims._beat

        def beat_once():
            beat()
            renewed.set()

        servers.execute(update(processes).values(lease_until=0.0, boot_and_pidns='another boot'))
        quick = Heartbeat(beat_once, 0.001)
        begin(quick)
        assert renewed.wait(10)
        quick.end()
        found.append(other.tick(1))

    server = servers.start().add(body=body, min='*')
    assert str(server.tick(0)) == 'ok'
    assert [task.reason.partition(':')[0] for task in found[0].tasks] == ['still running']


def test_a_heart_beats_three_times_a_lease(servers):
    before, during = threads(), set()
    server = servers.start(lease='30').add(body=lambda system: during.update(threads() - before))
    server.tick()
    assert server.claims.own.heartbeat._seconds == 10
    (thread,) = during
    wake(server.claims.own.heartbeat)
    assert has_ended(thread)


def test_the_longest_lease_has_a_heartbeat(begin):
    """A socket refuses to wait for longer than some weeks, which would end the thread with an error."""
    heartbeat = Heartbeat(print, LONGEST.total_seconds() / 3)
    thread = begin(heartbeat)
    heartbeat.end()
    wake(heartbeat)
    assert has_ended(thread)
