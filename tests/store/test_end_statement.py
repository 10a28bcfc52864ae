"""The end of a run in one statement: the row of its task, its record and its tick."""

import pytest
from sqlalchemy import delete, select

from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.end_statement import end_at_once
from pyramid_cron.store.run_end import RunEnd
from pyramid_cron.store.schema import runs, ticks
from tests.support.servers import INSTANT

pytestmark = pytest.mark.parametrize('engine', ['postgresql'], indirect=True)
FAILED = RunEnd('failed', 1.5, error='ValueError', traceback='…')


@pytest.fixture
def run(servers):
    """A run that has begun."""
    server = servers.start().add(min='*')
    server.tick(0)
    [run] = server.runs(1)
    assert run.claim() is None
    return run


def end(servers, run, end=FAILED, tick=None, run_id=None):
    values = {'last_outcome': end.outcome, 'retry_reason': None}
    with servers.begin() as connection:
        return end_at_once(connection, run.task.name, run_id or run.run_id, values, end, tick)


def state(servers):
    row = servers.row()
    return row['run_id'], row['process'], row['last_outcome']


@pytest.mark.slow
def test_an_end_is_written_to_both_rows(servers, run):
    assert end(servers, run) is True
    assert state(servers) == (None, None, 'failed')
    columns = 'outcome', 'error', 'traceback', 'seconds', 'not_good'
    assert servers.history(*columns)[-1] == ('failed', 'ValueError', '…', 1.5, 'fault')
    assert servers.rows(runs)[-1]['finished'] is not None


@pytest.mark.slow
def test_another_fencing_token_changes_nothing(servers, run):
    assert end(servers, run, run_id='another', tick=INSTANT + 9 * MINUTE) is False
    assert state(servers)[0] == run.run_id
    assert servers.history() == ['ok', 'running']
    assert servers.rows(ticks)[0]['done_minute'] != INSTANT + 9 * MINUTE


@pytest.mark.slow
def test_a_record_that_is_locked_changes_nothing(servers, run):
    with servers.engine.connect() as other:
        other.execute(select(runs).where(runs.c.id == run.run_id).with_for_update())
        assert end(servers, run) is False
    assert state(servers)[0] == run.run_id
    assert end(servers, run) is True


def test_a_record_that_was_deleted_keeps_no_task(servers, run):
    servers.execute(delete(runs))
    assert end(servers, run) is True
    assert state(servers) == (None, None, 'failed')
    assert servers.history() == []


@pytest.mark.slow
def test_the_last_end_of_a_tick_records_that_it_is_done(servers, run):
    minute = INSTANT + MINUTE
    assert servers.rows(ticks)[0]['done_minute'] == INSTANT
    assert end(servers, run, tick=minute) is True
    assert (servers.rows(ticks)[0]['done_minute'], servers.rows(ticks)[0]['problem']) == (minute, None)
