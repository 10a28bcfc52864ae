"""The record of one run, with those of its minute."""

import pytest
from sqlalchemy import event, insert

from pyramid_cron.claims import Delivery
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.run_records import find_record
from pyramid_cron.store.schema import runs
from tests.support.servers import INSTANT

pytestmark = pytest.mark.each_database

FIRST, SECOND, BY_HAND = ('a' * 32, 'b' * 32, 'c' * 32)


@pytest.fixture
def server(servers):
    server = servers.start().add()
    server.tick(1)
    return server


@pytest.fixture
def record(servers, server):
    """Return a function that records a run."""

    def record(run_id, minute=INSTANT, task='task', app='app', attempt=1, **values):
        values = {'outcome': 'failed', 'trigger': 'request', 'started': INSTANT + attempt * MINUTE} | values
        row = {'id': run_id, 'task': task, 'app': app, 'scheduled_for': minute, 'attempt': attempt}
        servers.execute(insert(runs).values(row | values))

    return record


@pytest.fixture
def find(server):
    """Return a function that finds a record: its id, and those of all of its minute."""

    def find(minute=INSTANT, token=None, run_id=None, task='task'):
        with server.store.database.reading() as connection:
            found = find_record(connection, Delivery(task, minute, token), run_id)
        return found and (found.run.id, [attempt.id for attempt in found.attempts])

    return find


@pytest.mark.slow
def test_a_minute_has_all_of_its_attempts(record, find):
    record(SECOND, attempt=2, outcome='ok')
    record(FIRST)
    record('d' * 32, INSTANT + MINUTE)
    record('e' * 32, task='other')
    record('f' * 32, app='another')
    assert find() == (SECOND, [FIRST, SECOND])
    assert find(run_id=FIRST) == (FIRST, [FIRST, SECOND])
    # such as that of a record which was deleted
    assert find(run_id='0' * 32) == (SECOND, [FIRST, SECOND])
    assert find(run_id='d' * 32) == (SECOND, [FIRST, SECOND])
    assert find(INSTANT - MINUTE) is None
    assert find(task='another') is None


def test_a_run_by_name_is_found_by_its_token(record, find):
    record(BY_HAND, None)
    record('f' * 32, None, app='another')
    assert find(None, BY_HAND) == (BY_HAND, [BY_HAND])
    assert find(None, BY_HAND, task='other') is None
    assert find(None, 'f' * 32) is None
    assert find(None, '0' * 32) is None


def test_the_token_of_a_run_of_a_minute_finds_all_of_its_attempts(record, find):
    record(FIRST)
    record(SECOND, attempt=2)
    assert find(None, FIRST) == (FIRST, [FIRST, SECOND])


@pytest.mark.parametrize('digit', ['0', 'f', 'c'])
def test_a_run_is_found_by_each_token_with_its_key(record, find, digit):
    record(FIRST)
    record(BY_HAND, None)
    # beside it in the order of keys
    record(f'{BY_HAND[:21]}b{"f" * 10}', None)
    record(f'{BY_HAND[:21]}d{"0" * 10}', None)
    assert find(None, BY_HAND[:22] + 10 * digit)[0] == BY_HAND
    # as the link to a queued run has it
    assert find(run_id=FIRST[:22] + 10 * digit)[0] == FIRST


def test_note_and_log_are_those_of_the_run(record, server):
    record(FIRST, note='3 refused', log='line 1\nline 2')
    record(SECOND, attempt=2)
    with server.store.database.reading() as connection:
        first, second = (find_record(connection, Delivery('task', INSTANT), run_id) for run_id in (FIRST, SECOND))
    assert (first.note, first.log) == ('3 refused', 'line 1\nline 2')
    assert (second.note, second.log) == (None, None)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['', 'x' * 300, 'nul \0', 'lone \udcff', '🎉'])
def test_any_text_can_be_a_name(find, name):
    assert find(task=name) is None


# how the others go about it depends on what they know of the sizes
@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_a_record_is_found_by_indexes(record, find, server, servers):
    record(FIRST)
    executed = []
    event.listen(server.engine, 'before_cursor_execute', lambda *given: executed.append((given[2], given[3])))
    assert find(None, FIRST) == (FIRST, [FIRST])
    of_runs = []
    with servers.engine.connect() as connection:
        for statement, values in executed:
            plan = [row.detail for row in connection.exec_driver_sql(f'EXPLAIN QUERY PLAN {statement}', values)]
            of_runs += [step for step in plan if 'cron_runs' in step]
    assert [step.partition(' USING INDEX ')[2] for step in of_runs] == [
        'sqlite_autoindex_cron_runs_1 (id>? AND id<?)',
        'cron_runs_by_minute (app=? AND scheduled_for=?)',
        'sqlite_autoindex_cron_runs_1 (id=?)',
    ]
