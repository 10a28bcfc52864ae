import os
import signal
import subprocess
import sys
import threading

import pytest
from sqlalchemy import select, update

from pyramid_cron.store import leases
from pyramid_cron.store.leases import Heartbeat, Place, Process
from pyramid_cron.store.schema import database_clock, processes

pytestmark = pytest.mark.each_database

LINUX = pytest.mark.skipif(not sys.platform.startswith('linux'), reason='what /proc shows is Linux')


@pytest.fixture
def child():
    """Return a function that starts a process, which waits until it is killed or its input ends."""
    started = []

    def start():
        started.append(
            subprocess.Popen(
                [sys.executable, '-c', 'input(); input()'], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdin.close()


def known(place, pid, born, lease_over=False):
    return {'place': place, 'pid': pid, 'born': born, 'lease_over': lease_over}


@LINUX
def test_a_process_of_this_machine_has_ended_when_it_is_dead_even_if_nobody_has_fetched_its_status(child):
    here = Place.here()
    process = child()
    row = known(here.name, process.pid, here.born(process.pid))
    assert not here.has_ended(row)
    process.send_signal(signal.SIGKILL)
    # until it is a zombie, and no further
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    os.kill(process.pid, 0)
    assert here.has_ended(row)
    process.wait()
    assert here.has_ended(row)


@LINUX
def test_a_later_process_of_the_same_number_is_another(child):
    here = Place.here()
    assert here.has_ended(known(here.name, child().pid, 'long ago'))


@LINUX
def test_a_stopped_process_has_not_ended(child):
    here = Place.here()
    process = child()
    row = known(here.name, process.pid, here.born(process.pid))
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    assert not here.has_ended(row)


@pytest.mark.parametrize(('lease_over', 'ended'), [(False, False), (True, True), (None, True)])
@pytest.mark.parametrize('place', ['another boot', None])
def test_of_a_process_of_another_place_only_the_lease_tells(place, lease_over, ended):
    assert Place.here().has_ended(known(place, 4711, 'then', lease_over)) is ended


def test_where_no_place_can_be_told_only_the_lease_tells(tmp_path):
    nowhere = Place.here(tmp_path)
    assert nowhere.name is None
    assert nowhere.born(os.getpid()) is None
    assert not nowhere.has_ended(known(None, os.getpid(), None))
    assert nowhere.has_ended(known(None, os.getpid(), None, True))


@LINUX
def test_all_processes_of_a_machine_have_one_place():
    code = 'from pyramid_cron.store.leases import Place; print(Place.here().name)'
    shown = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True).stdout
    assert shown.strip() == Place.here().name


@pytest.mark.parametrize('state', ['S', 'R', 'D', 'Z', 'X'])
def test_the_time_of_birth_is_found_behind_any_name(tmp_path, state):
    (tmp_path / '7').mkdir()
    fields = ' '.join(str(number) for number in range(4, 53))
    (tmp_path / '7' / 'stat').write_bytes(b'7 (a) Z (\xff b) ' + f'{state} {fields}'.encode())
    assert Place('here', tmp_path).born(7) == (None if state in 'ZX' else '22')


def test_a_lease_is_renewed_by_the_databases_clock_and_begins_with_the_first_renewal(servers):
    process = Process(90)
    with servers.engine.begin() as connection:
        process.renew(connection)
        now = connection.scalar(select(database_clock()))
    (row,) = servers.rows(processes)
    assert row['lease_until'] == pytest.approx(now + 90, abs=5)
    assert (row['id'], row['pid'], row['host']) == (process.id, os.getpid(), process.host)
    assert (row['place'], row['born']) == (process.place.name, process.born)
    servers.execute(update(processes).values(lease_until=0.0))
    with servers.engine.begin() as connection:
        process.renew(connection)
    (row,) = servers.rows(processes)
    assert row['lease_until'] == pytest.approx(now + 90, abs=5)


def test_a_process_that_was_forgotten_makes_itself_known_again(servers):
    process = Process(90, Place(None))
    for _ in range(2):
        with servers.engine.begin() as connection:
            process.renew(connection)
            connection.execute(update(processes).values(lease_until=1.0))
            leases.prune(connection)
        assert servers.rows(processes) == []


class Beats:
    """Something to beat, which a test can wait for."""

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
    """Return a function that begins a heartbeat, and gives its thread."""
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


def ended(thread):
    thread.join(10)
    return not thread.is_alive()


def test_a_heart_beats_until_the_last_run_has_ended(begin):
    beats = Beats()
    heartbeat = Heartbeat(beats, 0.001)
    thread = begin(heartbeat)
    heartbeat.begin()
    assert beats.wait(3)
    heartbeat.end()
    assert beats.wait(3)
    heartbeat.end()
    assert ended(thread)
    # and again
    again = begin(heartbeat)
    heartbeat.end()
    assert ended(again)


def test_a_beat_that_fails_is_told_and_the_next_one_comes(begin, caplog):
    beats = Beats(fails=True)
    heartbeat = Heartbeat(beats, 0.001)
    thread = begin(heartbeat)
    assert beats.wait(3)
    heartbeat.end()
    assert ended(thread)
    assert 'the lease of this process could not be renewed: no luck' in caplog.messages


def test_a_run_that_is_shorter_than_a_beat_has_none(begin):
    beats = Beats()
    heartbeat = Heartbeat(beats, 3600)
    thread = begin(heartbeat)
    heartbeat.end()
    assert ended(thread)
    assert beats.count.acquire(blocking=False) is False


def test_the_thread_of_a_heartbeat_does_not_keep_a_process_alive(begin):
    assert begin(Heartbeat(Beats(), 3600)).daemon


def test_a_task_that_takes_longer_than_its_lease_is_not_taken_over(servers, begin):
    """The heartbeat of the server beats as often as it can, while the lease is set back behind its back."""
    found = []
    other = servers.start(window='10e9').add(min='*')

    def body(system):
        renewed = threading.Event()
        beat = server.claims._beat

        def beat_once():
            beat()
            renewed.set()

        servers.execute(update(processes).values(lease_until=0.0, place='another boot'))
        quick = Heartbeat(beat_once, 0.001)
        begin(quick)
        assert renewed.wait(10)
        quick.end()
        found.append(other.tick(1))

    server = servers.start().add(body=body, min='*')
    assert str(server.tick(0)) == 'ok'
    assert [task.reason.partition(':')[0] for task in found[0].tasks] == ['still running']


def test_a_heart_beats_three_times_in_a_lease_and_only_while_tasks_run(servers):
    before, during = threads(), set()
    server = servers.start(lease='30').add(body=lambda system: during.update(threads() - before))
    server.tick()
    assert server.claims._heartbeat._seconds == 10
    (thread,) = during
    assert ended(thread)
