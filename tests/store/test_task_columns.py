"""The typed state of a row, with its process and its pause."""

import pytest

from pyramid_cron.claims import Pause
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.schema import processes, tasks
from pyramid_cron.store.task_columns import is_named, of_names
from pyramid_cron.store.task_rows import TaskStates
from tests.support.servers import INSTANT

pytestmark = pytest.mark.each_database


def state(servers, name='task'):
    with servers.begin() as connection:
        return TaskStates(connection).get(name)


@pytest.mark.slow
def test_a_state_has_the_process_of_its_run(servers, server):
    server.tick(0)
    assert state(servers).process is None
    servers.hold(lease_until=0.0)
    process = state(servers).process
    assert (process.host, process.pid, process.boot_and_pidns) == ('elsewhere', 4711, 'another boot')
    assert (process.lease_over, process.lease_until) == (True, 0.0)


@pytest.mark.slow
def test_a_process_that_is_not_known_has_no_lease(servers, server):
    server.tick(0)
    servers.hold()
    assert state(servers).process.lease_over is False
    servers.execute(processes.delete())
    process = state(servers).process
    assert (process.host, process.lease_over) == (None, True)


@pytest.mark.slow
def test_a_state_has_its_pause(servers, server):
    server.tick(0)
    server.store.pause(['task'], reason='a reason', until=INSTANT.replace(year=2090))
    assert (state(servers).pause.reason, state(servers).pause.until) == ('a reason', INSTANT.replace(year=2090))
    server.store.pause(['task'], reason='for ever')
    assert state(servers).pause.until is None
    assert state(servers).pause_of_all is None


@pytest.mark.slow
def test_a_state_has_the_pause_of_all_tasks(servers, server):
    server.tick(0)
    server.store.pause(['*'], reason='a reason', requested_by='ada')
    servers.paused_from(1)
    begun = INSTANT + MINUTE
    assert state(servers).pause_of_all == Pause(None, 'a reason', 'ada', of_all=True, since=begun)
    assert state(servers).pause is None
    server.store.pause(['task'], reason='its own')
    assert (state(servers).pause.reason, state(servers).pause_of_all.reason) == ('its own', 'a reason')


def test_rows_are_found_by_their_names(servers):
    names = ['one', 'two', "it's", 'ü']
    server = servers.start()
    for name in names:
        server.add(name)
    server.tick(1)
    with servers.begin() as connection:
        query = connection.select(tasks, tasks.c.task).where(is_named(connection.dialect))
        assert sorted(connection.scalars(query, of_names(["it's", 'ü', 'none']))) == ["it's", 'ü']
        assert connection.scalars(query, of_names([])) == []
