"""The history: rows of runs, and of due minutes without one."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from pyramid_cron.schedules import clock
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.history import Enqueued, History, WithoutRun
from pyramid_cron.store.schema import NOT_GOOD, runs
from tests.support.servers import INSTANT

pytestmark = pytest.mark.each_database

BEGUN = {
    'id': 'run',
    'task': 'task',
    'scheduled_for': INSTANT,
    'attempt': 1,
    'trigger': 'request',
    'requested_by': None,
    'host': 'here',
    'pid': 7,
}
SOON = timedelta(seconds=30)
NEVER = INSTANT + timedelta(days=9999)


def test_a_run_is_recorded_from_begin_to_end(servers):
    with servers.begin() as connection:
        History(connection).begin(**BEGUN)
    (row,) = servers.rows(runs)
    assert {name: row[name] for name in BEGUN} == BEGUN
    assert (row['app'], row['outcome'], row['finished'], row['seconds']) == ('app', 'running', None, None)
    assert abs(row['started'] - clock.now()) < SOON
    with servers.begin() as connection:
        History(connection).end('run', outcome='ok', seconds=1.5)
    (row,) = servers.rows(runs)
    assert {name: row[name] for name in BEGUN} == BEGUN
    assert (row['outcome'], row['seconds']) == ('ok', 1.5)
    assert abs(row['finished'] - clock.now()) < SOON
    assert (row['reason'], row['error'], row['traceback']) == (None, None, None)


def test_an_enqueued_run_begins_under_its_own_token(servers):
    with servers.begin() as connection:
        History(connection).begin('queued', **BEGUN)
    servers.execute(update(runs).values(started=INSTANT))
    with servers.begin() as connection:
        History(connection).begin_enqueued('run', id='another', host='there', pid=8)
        assert History(connection).outcome_of('run') is None
        assert History(connection).outcome_of('another') == 'running'
    (row,) = servers.rows(runs)
    changed = {'id': 'another', 'host': 'there', 'pid': 8}
    assert {name: row[name] for name in BEGUN} == BEGUN | changed
    assert abs(row['started'] - clock.now()) < SOON


def test_the_outcome_and_minute_of_a_run_are_found(servers):
    with servers.begin() as connection:
        history = History(connection)
        history.begin(**BEGUN)
        history.begin(**BEGUN | {'id': 'named', 'scheduled_for': None})
        assert [history.outcome_of(run_id) for run_id in ('run', 'none')] == ['running', None]
        assert [history.enqueued(run_id) for run_id in ('run', 'none')] == [Enqueued(None, 1), None]
        assert [history.request_of(run_id) for run_id in ('run', 'named', 'none')] == [
            (INSTANT, 'request'),
            (None, 'request'),
            (None, None),
        ]


def test_minutes_without_a_run_are_recorded_once(servers):
    for minutes in ([0, 1], [1, 2], []):
        with servers.begin() as connection:
            due = [INSTANT + minute * MINUTE for minute in minutes]
            History(connection).record_without_run([WithoutRun('task', due, 'missed', 'why')])
    with servers.begin() as connection:
        History(connection).record_without_run([WithoutRun('task', [INSTANT], 'skipped', 'why')])
    with servers.begin('other') as connection:
        History(connection).record_without_run([WithoutRun('task', [INSTANT], 'missed', 'why')])
    assert servers.minutes('missed') == [('task', 0), ('task', 0), ('task', 1), ('task', 2)]
    assert servers.minutes('skipped') == [('task', 0)]
    rows = servers.rows(runs)
    assert {(row['reason'], row['attempt'], row['trigger']) for row in rows} == {('why', 0, 'none')}
    assert all(row['started'] == row['finished'] and abs(row['started'] - clock.now()) < SOON for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize('outcome', ['ok', 'failed', 'lost', 'missed', 'queued'])
def test_an_end_that_is_not_good_is_marked(servers, outcome):
    with servers.begin() as connection:
        History(connection).begin(**BEGUN)
        History(connection).record_without_run([WithoutRun('other', [INSTANT], outcome, 'why')])
    assert {row['task']: row['not_good'] for row in servers.rows(runs)} == {
        'task': None,
        'other': NOT_GOOD.get(outcome),
    }
    with servers.begin() as connection:
        History(connection).end('run', outcome=outcome)
    assert {row['not_good'] for row in servers.rows(runs)} == {NOT_GOOD.get(outcome)}
    with servers.begin() as connection:
        History(connection).end('run', outcome='ok')
    assert [row['not_good'] for row in servers.rows(runs) if row['task'] == 'task'] == [None]


def test_old_runs_are_pruned_and_those_in_progress_kept(servers):
    servers.start().add().tick(1)
    servers.change(run_id='0')
    with servers.begin() as connection:
        history = History(connection)
        for number in range(4):
            history.begin(**BEGUN | {'id': str(number)})
            if number:
                history.end(str(number), outcome='ok')
    for number, days in enumerate([3, 3, 2, 1]):
        servers.execute(update(runs).where(runs.c.id == str(number)).values(started=INSTANT - timedelta(days=days)))
    with servers.begin() as connection:
        before = INSTANT - timedelta(days=2)
        assert History(connection).prune(before, 9) == (1, INSTANT - timedelta(days=3))
        assert History(connection).prune(before, 9) == (0, None)
    assert sorted(row['id'] for row in servers.rows(runs)) == ['0', '2', '3']


def test_the_oldest_runs_are_pruned_first(servers):
    minutes = [INSTANT + minute * MINUTE for minute in range(3)]
    with servers.begin() as connection:
        History(connection).record_without_run([WithoutRun('task', minutes, 'missed', 'why')])
    servers.execute(update(runs).values(started=runs.c.scheduled_for))
    with servers.begin() as connection:
        # before those are looked at that an earlier call has left
        assert History(connection).prune(NEVER, 2, minutes[1]) == (2, minutes[2])
        assert History(connection).prune(NEVER, 2, minutes[2]) == (0, minutes[2])
    assert servers.minutes('missed') == [('task', 0)]
    with servers.begin() as connection:
        History(connection).record_without_run([WithoutRun('task', minutes[1:], 'missed', 'why')])
    servers.execute(update(runs).values(started=runs.c.scheduled_for))
    with servers.begin() as connection:
        assert History(connection).prune(NEVER, 2) == (2, minutes[1])
    assert servers.minutes('missed') == [('task', 2)]


def test_runs_of_the_same_instant_are_pruned_in_steps(servers):
    with servers.begin() as connection:
        History(connection).record_without_run(
            [WithoutRun('task', [INSTANT + n * MINUTE for n in range(5)], 'missed', 'why')]
        )
    servers.execute(update(runs).values(started=INSTANT))
    with servers.begin() as connection:
        history = History(connection)
        assert [history.prune(NEVER, 2, INSTANT).number for _ in range(4)] == [2, 2, 1, 0]
