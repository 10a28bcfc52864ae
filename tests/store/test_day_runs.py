"""The runs of a day, from the history."""

from datetime import timedelta

import pytest
from sqlalchemy import insert

from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.queries import Queries
from pyramid_cron.store.schema import NOT_GOOD, gaps, runs
from tests.support.servers import INSTANT

pytestmark = pytest.mark.each_database

FIRST, END = INSTANT, INSTANT + timedelta(days=1)


def at(minute):
    return INSTANT + minute * MINUTE


@pytest.fixture
def server(servers):
    server = servers.start().add().add('other')
    server.tick(1)
    return server


@pytest.fixture
def record(servers, server):
    """Return a function that records a run."""

    def record(outcome, minute, task='task', app='app', **values):
        record.number += 1
        run = {'attempt': 1, 'trigger': 'request', 'started': at(minute), 'scheduled_for': at(minute)}
        run |= {'finished': at(minute), 'not_good': NOT_GOOD.get(outcome)}
        row = {'id': f'{record.number:04}', 'task': task, 'app': app, 'outcome': outcome, **run, **values}
        servers.execute(insert(runs).values(row))

    record.number = 0
    return record


@pytest.fixture
def read(server):
    """Return a function that calls a query, and returns what it finds and whether that is cut."""

    def read(query, *arguments, limit=9):
        with server.store.queries() as queries:
            found = query(queries, *arguments, FIRST, END, limit)
        return [(run.task, run.outcome, round((run.started - INSTANT) / MINUTE)) for run in found.runs], found.cut

    return read


@pytest.mark.slow
def test_runs_that_went_on_in_a_time_are_found(record, read):
    record('ok', -1)
    record('ok', -30, finished=at(0))
    record('ok', -1441, finished=at(0))
    record('running', -10, finished=None)
    record('skipped', 0)
    record('missed', 0)
    record('ok', 1439, 'other', traceback='long')
    record('ok', 1440)
    record('ok', 7, 'third')
    record('ok', 7, app='another')
    found = [('other', 'ok', 1439), ('task', 'skipped', 0), ('task', 'lost', -10), ('task', 'ok', -30)]
    assert read(Queries.runs_between, ['task', 'other']) == (found, False)
    assert read(Queries.runs_between, ['task', 'other'], limit=4) == (found, False)
    assert read(Queries.runs_between, ['task', 'other'], limit=2) == (found[:2], True)
    assert read(Queries.runs_between, ['task']) == (found[1:], False)
    assert read(Queries.runs_between, []) == ([], False)


@pytest.mark.slow
def test_long_texts_are_not_read(record, server):
    record('failed', 3, traceback='long')
    with server.store.queries() as queries:
        [[run], _] = queries.runs_between(['task'], FIRST, END, 9)
        [[same], _] = queries.not_good_between(FIRST, END, 9)
    assert (run, run.traceback) == (same, None)


@pytest.mark.slow
def test_what_went_wrong_is_found_of_all_tasks(record, read):
    record('failed', -1)
    record('failed', 0)
    record('lost', 1439, 'third')
    record('failed', 1440)
    record('ok', 5)
    record('failed', 5, app='another')
    # recorded after the day, or too late
    record('missed', 2000, scheduled_for=at(1439))
    record('missed', 2000, scheduled_for=at(1440))
    record('missed', 20000, scheduled_for=at(7))
    record('missed', 3, scheduled_for=at(-1))
    found = [('task', 'missed', 2000), ('third', 'lost', 1439), ('task', 'failed', 0)]
    assert read(Queries.not_good_between) == (found, False)
    assert read(Queries.not_good_between, limit=2) == (found[:2], True)


def test_the_gaps_of_a_time_are_found(servers, server):
    for first, last in [(-9, -1), (-20, 0), (1000, 1500), (1440, 1450)]:
        servers.execute(insert(gaps).values(app='app', first_minute=at(first), last_minute=at(last)))
    with server.store.queries() as queries:
        found = queries.gaps_between(FIRST, END, 9)
        assert queries.gaps_between(FIRST, END, 1) == found[:1]
    assert [round((gap.first - INSTANT) / MINUTE) for gap in found] == [1000, -20]
