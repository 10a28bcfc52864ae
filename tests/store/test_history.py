from datetime import datetime, timedelta, timezone

import pytest

from pyramid_cron import TaskReport
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store import history
from pyramid_cron.store.schema import gaps, runs

INSTANT = datetime(2020, 11, 23, 2, 0, tzinfo=timezone.utc)
BEGUN = {
    'id': 'run',
    'app': 'app',
    'task': 'task',
    'scheduled_for': INSTANT,
    'attempt': 1,
    'trigger': 'request',
    'host': 'here',
    'pid': 7,
    'started': INSTANT,
}


@pytest.fixture
def connection(servers):
    with servers.engine.connect() as connection:
        yield connection


def test_a_run_is_recorded_from_its_beginning_to_its_end(servers, connection):
    history.begin(connection, **BEGUN)
    connection.commit()
    (row,) = servers.rows(runs)
    assert (row['outcome'], row['finished'], row['seconds']) == ('running', None, None)
    history.end(connection, 'run', TaskReport('task', 'ok', 1.5), INSTANT + MINUTE)
    connection.commit()
    (row,) = servers.rows(runs)
    assert {name: row[name] for name in BEGUN} == BEGUN
    assert (row['outcome'], row['finished'], row['seconds']) == ('ok', INSTANT + MINUTE, 1.5)
    assert (row['reason'], row['error'], row['traceback']) == (None, None, None)


def test_of_a_failure_the_class_and_the_end_of_the_traceback_are_kept(servers, connection):
    class Wrong(Exception):
        pass

    def fail():
        raise Wrong('at last ' + 'x' * 9000 + 'the end')

    history.begin(connection, **BEGUN)
    try:
        fail()
    except Wrong as exc:
        history.end(connection, 'run', TaskReport('task', 'failed', exception=exc), INSTANT)
    connection.commit()
    (row,) = servers.rows(runs)
    assert row['error'].endswith('<locals>.Wrong')
    assert len(row['traceback']) == 8000
    assert row['traceback'].endswith('the end\n')


def test_minutes_without_a_run_are_recorded_once_each(servers, connection):
    for minutes in ([0, 1], [1, 2], []):
        history.record_unbegun(
            connection, 'app', 'task', [INSTANT + minute * MINUTE for minute in minutes], 'missed', 'why', INSTANT
        )
    history.record_unbegun(connection, 'app', 'task', [INSTANT], 'skipped', 'why', INSTANT)
    history.record_unbegun(connection, 'other', 'task', [INSTANT], 'missed', 'why', INSTANT)
    connection.commit()
    assert servers.minutes('missed') == [('task', 0), ('task', 0), ('task', 1), ('task', 2)]
    assert servers.minutes('skipped') == [('task', 0)]
    assert {(row['reason'], row['attempt'], row['trigger']) for row in servers.rows(runs)} == {('why', 0, 'none')}


def test_a_gap_is_recorded_once(servers, connection):
    assert history.record_gap(connection, 'app', INSTANT, INSTANT + MINUTE)
    assert not history.record_gap(connection, 'app', INSTANT, INSTANT + 2 * MINUTE)
    assert history.record_gap(connection, 'other', INSTANT, INSTANT)
    connection.commit()
    assert len(servers.rows(gaps)) == 2


def test_what_is_too_old_is_removed_and_what_has_not_ended_is_kept(servers, connection):
    for number, finished in enumerate([None, -3, -2, -1]):
        history.begin(connection, **BEGUN | {'id': str(number)})
        if finished is not None:
            history.end(connection, str(number), TaskReport('task', 'ok'), INSTANT + finished * timedelta(days=1))
    for days in (3, 1):
        end = INSTANT - timedelta(days=days)
        history.record_gap(connection, 'app', end - MINUTE, end)
    history.record_gap(connection, 'other', INSTANT - timedelta(days=9), INSTANT - timedelta(days=9))
    assert history.prune(connection, 'app', INSTANT - timedelta(days=2)) == 1
    assert history.prune(connection, 'app', INSTANT - timedelta(days=2)) == 0
    connection.commit()
    assert sorted(row['id'] for row in servers.rows(runs)) == ['0', '2', '3']
    assert sorted((row['app'], row['last']) for row in servers.rows(gaps)) == [
        ('app', INSTANT - timedelta(days=1)),
        ('other', INSTANT - timedelta(days=9)),
    ]
