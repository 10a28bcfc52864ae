"""Past runs of which the history has no end."""

import pytest
from sqlalchemy import insert

from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.queries import Queries
from pyramid_cron.store.schema import runs
from tests.support.servers import INSTANT

pytestmark = pytest.mark.each_database


def at(minute):
    return INSTANT + minute * MINUTE


@pytest.fixture
def query(servers):
    """Return a function that calls a method of the queries, of a store with the tasks ``task`` and ``other``."""
    server = servers.start().add().add('other')
    server.tick(1)

    def query(method, *arguments):
        with server.store.queries() as queries:
            return method(queries, *arguments)

    return query


@pytest.fixture
def record(servers, query):
    """Return a function that records a run for minute 1 without an end."""

    def record(outcome, task='task', run_id='1', attempt=1):
        known = {'app': 'app', 'trigger': 'request', 'started': at(1), 'scheduled_for': at(1)}
        servers.execute(
            insert(runs).values(known | {'id': run_id, 'task': task, 'outcome': outcome, 'attempt': attempt})
        )

    return record


@pytest.mark.slow
@pytest.mark.parametrize('outcome', ['ok', 'failed', 'lost'])
def test_a_run_without_an_end_has_that_of_its_task(servers, query, record, outcome):
    record('running', attempt=2)
    ended = {
        'last_outcome': outcome,
        'run_id': 'the next run',
        'last_finished': at(2),
        'last_seconds': 1.5,
        'last_error': 'LookupError',
    }
    servers.change('task', last_outcome_for=at(1), attempt=2, **ended)
    (run,) = query(Queries.past_runs, 9)
    assert (run.outcome, run.finished, run.seconds, run.error) == (outcome, at(2), 1.5, 'LookupError')
    assert run.reason.startswith('its end is not in the history')
    assert query(Queries.for_minute, ['task'], at(1)) == query(Queries.became_of, 'task', at(1)) == [run]
    assert query(Queries.strips, 9) == {'task': [outcome]}


@pytest.mark.slow
@pytest.mark.parametrize(
    'later',
    [{'attempt': 3}, {'last_outcome_for': at(5)}, {'last_outcome': 'missed'}, {'last_outcome_for': None}],
)
def test_a_run_without_an_end_is_lost_if_its_task_has_another(servers, query, record, later):
    record('queued', attempt=2)
    ended = {'last_outcome': 'ok', 'last_outcome_for': at(1), 'last_finished': at(2)}
    servers.change('task', **ended | {'attempt': 2} | later)
    (run,) = query(Queries.past_runs, 9)
    assert (run.outcome, run.finished) == ('lost', None)
    assert run.reason.startswith('its end is not in the history')


def test_a_run_in_progress_is_not_lost(servers, query, record):
    record('running')
    record('queued', 'other', '2')
    servers.change('task', run_id='1', last_outcome='ok', last_outcome_for=at(1), attempt=1)
    servers.change('other', run_id='2')
    assert sorted((run.outcome, run.reason) for run in query(Queries.past_runs, 9)) == [
        ('queued', None),
        ('running', None),
    ]
    assert query(Queries.strips, 9) == {'task': ['running'], 'other': ['queued']}


def test_a_run_without_an_end_of_a_removed_task_is_lost(query, record):
    record('running', 'removed')
    assert [run.outcome for run in query(Queries.past_runs, 9)] == ['lost']
