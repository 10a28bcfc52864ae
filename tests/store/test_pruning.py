"""Pruning: which process deletes old records, how many, and what happens if it cannot."""

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import event, func, insert, select, update

from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.pruning import (
    FIRST_STEP,
    LEAST_STEP,
    LONGEST,
    MOST_STEP,
    PAUSE,
    PERIOD,
    STEP_SECONDS,
    Pruning,
    _next_step,
)
from pyramid_cron.store.schema import gaps, processes, runs, ticks
from tests.support.enqueueing import begin
from tests.support.servers import INSTANT, Clock
from tests.support.statements import GONE, Statement

pytestmark = pytest.mark.each_database

KEEP = timedelta(minutes=30)
DAYS = timedelta(days=1)


def record(servers, count, started, **values):
    """Insert runs that began at an instant and have ended."""
    row = {'app': 'app', 'task': 'task', 'attempt': 1, 'trigger': 'request', 'outcome': 'ok'} | values
    row |= {'started': started, 'finished': started}
    with servers.engine.begin() as connection:
        connection.execute(insert(runs), [row | {'id': uuid4().hex} for _ in range(count)])


def old(servers):
    """Return how many of the runs that :func:`record` has inserted are left."""
    return len([row for row in servers.rows(runs) if row['outcome'] == 'old'])


@pytest.fixture
def many(servers):
    """Sixteen processes with a task each, and a tick for which nothing is due."""
    many = [servers.start(keep_history='2').add(f'task {number}', min=30) for number in range(16)]
    for server in many:
        server.tick(29)
    return many


def deletions(executed):
    return [statement for statement in executed if statement.matches(of=runs, kind='delete')]


@pytest.mark.slow
def test_one_of_sixteen_processes_deletes_after_a_tick(servers, many):
    record(servers, 5, INSTANT - 3 * DAYS, outcome='old')
    deleted = []
    for server in many:
        with server.executed() as executed:
            assert str(server.tick(30)) == 'ok'
        deleted.append(len(deletions(executed)))
    assert deleted == [1, *[0] * 15]
    assert old(servers) == 0


@pytest.mark.slow
def test_a_tick_that_runs_nothing_deletes_nothing(servers, many):
    record(servers, 5, INSTANT - 3 * DAYS, outcome='old')
    with many[0].executed() as executed:
        many[0].tick(29)
    assert [statement for statement in executed if statement.matches(of=ticks, sets='pruned_minute')] == []
    assert old(servers) == 5


@pytest.mark.slow
def test_the_first_tick_of_a_process_deletes(servers, server):
    """As that of ``pcron tick`` is, which is its last one too."""
    record(servers, 5, INSTANT - 100 * DAYS, outcome='old')
    server.tick(0)
    assert old(servers) == 0


@pytest.mark.slow
def test_a_process_asks_once_a_minute(servers):
    server = servers.start().add('one', min='*').add('other', min='*')
    with server.executed() as executed:
        server.tick(0)
    assert len([statement for statement in executed if statement.matches(of=ticks, sets='pruned_minute')]) == 1


@pytest.mark.slow
def test_a_worker_deletes(servers, web, worker, queue):
    web.tick(0)
    servers.execute(update(ticks).values(pruned_minute=None))
    record(servers, 5, INSTANT - 100 * DAYS, outcome='old')
    begin(worker, queue[0])
    assert old(servers) == 0


@pytest.mark.slow
def test_runs_by_name_delete_without_any_tick(servers, server):
    record(servers, 5, INSTANT - 100 * DAYS, outcome='old')
    server.tick(names=['task'])
    assert servers.rows(ticks) == []
    assert old(servers) == 0


@pytest.mark.slow
def test_gaps_and_processes_are_deleted_as_well(servers):
    server = servers.start(keep_history='2').add(min='*').add('held', min=59)
    server.tick(0)
    silent = {'host': 'elsewhere', 'pid': 1, 'lease_until': 0.0}
    servers.execute(insert(processes).values([silent | {'id': 'silent'}, silent | {'id': 'holds'}]))
    minutes = {'app': 'app', 'first_minute': INSTANT - 4 * DAYS}
    servers.execute(insert(gaps).values(minutes | {'last_minute': INSTANT - 3 * DAYS}))
    server.clock.sleep(60)
    # found by the tick after this
    found = server.registry['cron_claims'].due(server.registry['cron_tasks'], INSTANT + PERIOD, 'request')
    servers.change('held', run_id='other', process='holds', started_at=0.0)
    found.finish()
    assert {row['id'] for row in servers.rows(processes)} == {server.claims.own.process.id, 'holds'}
    assert servers.gaps() == [(1, 9)]


@pytest.mark.slow
def test_a_run_in_progress_is_not_deleted(servers, server):
    for run_id in ('one', 'other'):
        record(servers, 1, INSTANT - 100 * DAYS, outcome='running')
        servers.execute(update(runs).where(runs.c.outcome == 'running').values(id=run_id, finished=None, outcome='old'))
    server.tick(-1)
    servers.change(run_id='one')
    Pruning(server.claims.database, KEEP).prune(INSTANT)
    assert [row['id'] for row in servers.rows(runs) if row['outcome'] == 'old'] == ['one']


@pytest.mark.slow
def test_a_failed_deletion_does_not_fail_the_tick(servers, warnings):
    server = servers.start(keep_history='2').add(min='*')
    record(servers, 1, INSTANT - 3 * DAYS)
    with server.outage(kind='delete'):
        assert str(server.tick(0)) == 'ok'
    assert warnings() == [f'the history cannot be pruned: {GONE}']


@pytest.mark.slow
def test_a_record_that_is_locked_keeps_no_task_from_running(servers, warnings):
    server = servers.start(keep_history='2').add('one', min='*').add('other', min='*')
    record(servers, 1, INSTANT - 3 * DAYS)
    with server.silence(kind='delete'):
        assert str(server.tick(0)) == 'ok'
    assert len(warnings()) == 1
    assert server.ran == [('one', 0), ('other', 0)]


@pytest.mark.slow
def test_a_database_that_did_not_answer_is_not_pruned(servers, server, warnings):
    with server.silence(of=runs, kind='update') as waited:
        server.tick(0)
    assert len(waited) == 1
    assert [warning for warning in warnings() if 'pruned' in warning] == []


@pytest.mark.each_server
def test_a_record_that_another_transaction_holds_is_left(servers):
    record(servers, 2, INSTANT - DAYS)
    held = servers.rows(runs)[0]['id']
    pruning = Pruning(servers.start().claims.database, KEEP)
    with servers.engine.begin() as other:
        other.execute(select(runs.c.id).where(runs.c.id == held).with_for_update())
        pruning.prune(INSTANT)
    assert [row['id'] for row in servers.rows(runs)] == [held]


class Paced:
    """A pruning of which each step takes so many seconds."""

    def __init__(self, servers, seconds):
        self.servers, self.seconds = servers, seconds
        self.clock, self.slept = Clock(), []
        self.database = servers.start().claims.database
        self.pruning = Pruning(self.database, KEEP, self.clock, self.sleep)

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.clock.sleep(seconds)

    def prune(self, now=INSTANT):
        """Prune as of an instant, and return how many runs each step has deleted."""
        deleted = []

        def take(connection, cursor, text, parameters, context, executemany):
            if Statement.of(text, context).matches(of=runs, kind='delete'):
                deleted.append(cursor.rowcount)
                self.clock.sleep(self.seconds)

        event.listen(self.database.engine, 'after_cursor_execute', take)
        try:
            self.pruning.prune(now)
        finally:
            event.remove(self.database.engine, 'after_cursor_execute', take)
        return deleted


@pytest.mark.slow
def test_quick_steps_become_longer(servers):
    record(servers, 21 * FIRST_STEP + 7, INSTANT - DAYS)
    assert Paced(servers, STEP_SECONDS / 9).prune() == [FIRST_STEP, 4 * FIRST_STEP, 16 * FIRST_STEP, 7]
    assert servers.rows(runs) == []


@pytest.mark.slow
def test_steps_take_the_time_that_they_are_to_take(servers):
    record(servers, 4 * FIRST_STEP, INSTANT - DAYS)
    paced = Paced(servers, 2 * STEP_SECONDS)
    assert paced.prune() == [FIRST_STEP, FIRST_STEP // 2, *[LEAST_STEP] * 10]
    assert paced.slept == [pytest.approx(STEP_SECONDS)] * 12


@pytest.mark.slow
def test_it_ends_after_its_time(servers):
    steps = 4
    record(servers, 4 * FIRST_STEP, INSTANT - DAYS)
    paced = Paced(servers, LONGEST / (steps - 1) / (1 + PAUSE))
    began = paced.clock.now
    assert len(paced.prune()) == steps - 1
    assert paced.clock.now - began < LONGEST
    left = len(servers.rows(runs))
    # at the next tick, with as many as the last step was to delete
    assert paced.prune()[0] == LEAST_STEP
    assert len(servers.rows(runs)) < left


@pytest.mark.parametrize(
    ('step', 'seconds', 'expected'),
    [
        (1000, STEP_SECONDS, 1000),
        (1000, STEP_SECONDS * 2, 500),
        (1000, STEP_SECONDS / 2, 2000),
        (1000, 0.0, 4000),
        (1000, 0.001, 4000),
        (4000, 0.001, MOST_STEP),
        (1000, 60.0, LEAST_STEP),
    ],
)
def test_a_step_is_as_long_as_the_one_before_permits(step, seconds, expected):
    assert _next_step(step, seconds) == expected


@pytest.mark.slow
def test_runs_do_not_pile_up(servers):
    each, left, paced = LEAST_STEP + 1, [], Paced(servers, 2 * STEP_SECONDS)
    for minute in range(36):
        record(servers, each, INSTANT + minute * MINUTE)
        paced.prune(INSTANT + minute * MINUTE)
        with servers.engine.connect() as connection:
            left.append(connection.scalar(select(func.count()).select_from(runs)))
    assert left[-3:] == [31 * each] * 3


@pytest.mark.slow
def test_one_tick_of_a_clock_ahead_deletes_nothing(servers):
    server = servers.start(keep_history='2').add(min='*')
    server.tick(0)
    record(servers, 1, INSTANT, outcome='old')
    server.tick(60 * 24 * 9)
    assert old(servers) == 1
    server.tick(60 * 24 * 9 + 10)
    assert old(servers) == 0


@pytest.mark.slow
def test_a_tick_deletes_once_in_a_while(servers):
    server = servers.start(keep_history='2').add(min='*')
    server.tick(0)
    record(servers, 1, INSTANT - 3 * DAYS, outcome='old')
    for minute, left in ((1, 1), (PERIOD // MINUTE - 1, 1), (PERIOD // MINUTE, 0)):
        server.tick(minute)
        assert old(servers) == left


@pytest.mark.slow
def test_the_next_tick_deletes_what_is_left(servers):
    server = servers.start(keep_history='2').add(min='*')
    server.tick(0)
    record(servers, 2 * FIRST_STEP, INSTANT - 3 * DAYS, outcome='old')
    # no time for a second step
    server.claims._pruning._monotonic = lambda: server.clock.sleep(LONGEST) or server.clock()
    server.tick(PERIOD // MINUTE)
    assert old(servers) == FIRST_STEP
    server.claims._pruning._monotonic = server.clock
    server.tick(PERIOD // MINUTE + 1)
    assert old(servers) == 0
