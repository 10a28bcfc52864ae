"""The claim of the first runs that are free, in one statement."""

import pytest
from sqlalchemy import select

from pyramid_cron.store.claim_statement import claim_first
from pyramid_cron.store.schema import processes, tasks
from tests.support.servers import INSTANT

pytestmark = pytest.mark.parametrize('engine', ['postgresql'], indirect=True)


@pytest.fixture
def three(servers):
    """A server with three tasks that are due each minute, and the runs that its second tick finds."""
    server = servers.start()
    for name in ('first', 'second', 'third'):
        server.add(name, min='0-58', retries=1)
    server.tick(0)
    return server, server.runs(1)


def claim(servers, server, runs, limit=1):
    with servers.begin() as connection:
        tokens = claim_first(connection, server.claims.own.process, runs, limit)
    return [run.task.name for run in runs if run.run_id in tokens]


def test_the_first_free_run_is_claimed(servers, three):
    server, runs = three
    assert claim(servers, server, runs) == ['first']
    assert claim(servers, server, runs) == ['second']
    row = servers.row('first')
    assert (row['run_id'], row['process']) == (runs[0].run_id, server.claims.own.process.id)
    assert (row['attempt'], row['transactional'], row['handed_over_for']) == (1, False, None)
    begun = [row for row in servers.history('task', 'outcome', 'host', 'trigger') if row[1] == 'running']
    host = server.claims.own.process.host
    assert begun == [('first', 'running', host, 'request'), ('second', 'running', host, 'request')]


def test_several_are_claimed_at_once(servers, three):
    server, runs = three
    servers.change('second', run_id='other')
    assert claim(servers, server, runs, limit=9) == ['first', 'third']
    assert claim(servers, server, runs, limit=9) == []


def test_a_locked_row_is_passed_over(servers, three):
    server, runs = three
    with servers.engine.connect() as other:
        other.execute(select(tasks).where(tasks.c.task == 'first').with_for_update())
        assert claim(servers, server, runs) == ['second']
    assert claim(servers, server, runs) == ['first']


def test_a_minute_that_was_claimed_is_not_free(servers, three):
    server, runs = three
    servers.change('first', last_minute=INSTANT.replace(minute=1))
    assert claim(servers, server, runs) == ['second']


def test_an_attempt_is_claimed_once(servers):
    def fail(system):
        raise ValueError

    server = servers.start().add('first', fail, min=0, retries=2)
    server.tick(0)
    first, other = server.runs(1), server.runs(1)
    assert first[0].attempt == 2
    assert claim(servers, server, first) == ['first']
    assert servers.row('first')['attempt'] == 2
    # another process has repeated it meanwhile
    servers.change('first', run_id=None, retry_reason='failed')
    assert claim(servers, server, other) == []


def test_the_lease_of_a_process_that_was_deleted_begins_anew(servers, three):
    server, runs = three
    servers.execute(processes.delete())
    assert claim(servers, server, runs) == ['first']
    [row] = servers.rows(processes)
    assert (row['id'], row['pid']) == (server.claims.own.process.id, server.claims.own.process.pid)
    before = row['lease_until']
    assert claim(servers, server, runs) == ['second']
    assert servers.rows(processes)[0]['lease_until'] >= before


def test_without_a_claim_no_lease_is_renewed(servers, three):
    server, runs = three
    servers.execute(processes.delete())
    for name in ('first', 'second', 'third'):
        servers.change(name, run_id='other')
    assert claim(servers, server, runs, limit=9) == []
    assert servers.rows(processes) == []
