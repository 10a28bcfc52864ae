"""Reading the history for people: the strips of runs, a minute, and who asked for a run."""

import re
from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy import event, insert

from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store import queries
from pyramid_cron.store.schema import runs

pytestmark = pytest.mark.each_database

INSTANT = datetime(2020, 11, 23, 2, 0, tzinfo=timezone.utc)


@pytest.fixture
def server(servers):
    return servers.start().add().add('other').add('new')


@pytest.fixture
def ask(server):
    """Ask one of the functions of the module."""

    def ask(function, *arguments):
        with server.claims.database.begin() as connection:
            return function(connection, 'app', *arguments)

    # which makes the task known
    server.tick(1)
    return ask


@pytest.fixture
def record(servers, server):
    """Record runs of which only this matters."""

    def record(outcome, minute, task='task', app='app', late=timedelta(seconds=1), **values):
        record.number += 1
        scheduled = INSTANT + minute * MINUTE
        known = {'attempt': 1, 'trigger': 'request', 'started': scheduled + late, 'scheduled_for': scheduled}
        row = {'id': str(record.number), 'task': task, 'app': app, 'outcome': outcome, **known, **values}
        servers.execute(insert(runs).values(row))

    record.number = 0
    return record


def test_a_strip_has_the_last_runs_of_each_task_the_newest_last(ask, record):
    for minute, outcome in enumerate(['ok', 'failed', 'lost', 'ok'], 10):
        record(outcome, minute)
    record('skipped', 12, 'other')
    record('ok', 12, 'removed')
    record('ok', 12, app='another')
    assert ask(queries.strips, 3) == {'task': ['failed', 'lost', 'ok'], 'other': ['skipped']}


def test_of_what_was_missed_at_once_the_newest_minutes_are_in_the_strip(ask, record):
    found = timedelta(minutes=30)
    record('ok', 1)
    for minute in (5, 4, 3, 2):
        record('missed' if minute != 5 else 'skipped', minute, started=INSTANT + found, attempt=0)
    assert ask(queries.strips, 3) == {'task': ['missed', 'missed', 'skipped']}
    assert ask(queries.strips, 9) == {'task': ['ok', 'missed', 'missed', 'missed', 'skipped']}


# how PostgreSQL goes about it depends on what it knows of the sizes
@pytest.mark.parametrize('engine', ['sqlite'], indirect=True)
def test_of_a_long_history_no_more_is_read_for_strips_than_is_shown(server, servers, ask):
    asked = []
    event.listen(server.engine, 'before_cursor_execute', lambda *given: asked.append((given[2], given[3])))
    ask(queries.strips, 30)
    (statement, values) = asked[-1]
    with servers.engine.connect() as connection:
        plan = [row.detail for row in connection.exec_driver_sql(f'EXPLAIN QUERY PLAN {statement}', values)]
    of_runs = [step for step in plan if 'cron_runs_' in step]
    assert len(of_runs) == 2
    for step in of_runs:
        # those of one task, from the newest on or from a time on
        assert re.search(r'cron_runs_by_task \(app=\? AND task=\?', step), plan
    assert 'started>?' in of_runs[1]


def test_for_a_minute_there_is_what_became_of_the_tasks_that_were_due(ask, record):
    record('failed', 5)
    record('ok', 5, attempt=2, late=timedelta(minutes=3))
    record('ok', 6)
    record('missed', 5, 'other', late=timedelta(hours=5))
    record('ok', 5, 'not asked for')
    record('ok', 5, app='another')
    # nobody looks for it so late
    record('missed', 5, late=timedelta(days=8))
    minute = INSTANT + 5 * MINUTE
    found = ask(queries.for_minute, ['task', 'other'], minute)
    assert [(run.task, run.outcome, run.attempt) for run in found] == [
        ('other', 'missed', 1),
        ('task', 'failed', 1),
        ('task', 'ok', 2),
    ]
    assert ask(queries.for_minute, [], minute) == []


def test_it_is_known_when_somebody_last_asked_for_a_task(ask, record):
    record('ok', 1, trigger='manual')
    record('ok', 3, trigger='manual')
    record('ok', 4)
    record('ok', 5, 'other', trigger='manual')
    record('ok', 5, app='another', trigger='manual')
    last = INSTANT + 3 * MINUTE + timedelta(seconds=1)
    assert ask(queries.by_hand_since, 'task', INSTANT) == last
    assert ask(queries.by_hand_since, 'task', last) == last
    assert ask(queries.by_hand_since, 'task', last + timedelta(seconds=1)) is None
