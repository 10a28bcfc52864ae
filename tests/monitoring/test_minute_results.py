"""What became of a minute at which a task is due."""

from dataclasses import replace
from datetime import timedelta, timezone

import pytest
from sqlalchemy import delete, insert

from pyramid_cron import Task
from pyramid_cron.claims import Pause
from pyramid_cron.monitoring.examine import Examination
from pyramid_cron.monitoring.minute_results import MinuteResult, describe_result, results_of
from pyramid_cron.monitoring.problems import find_problems
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.schema import runs
from pyramid_cron.store.snapshot import Snapshot
from pyramid_cron.store.task_state import TaskState
from pyramid_cron.store.ticks import TickState
from tests.support.servers import INSTANT

UTC = timezone.utc
#: a row that owes nothing after INSTANT
IDLE = TaskState('task', '', INSTANT - timedelta(days=1), last_seen=INSTANT, last_minute=INSTANT)


def ticked(minute, problem=None):
    """Return the state of ticks of which the last one came at a minute after INSTANT."""
    last = INSTANT + minute * MINUTE
    return TickState(last, last, problem, last - MINUTE)


def text_of(minute):
    return f'{minute:%H:%M}'


@pytest.fixture
def look(server):
    """Return a function that describes what became of a minute for a row, some minutes after it."""

    def look(state=IDLE, minute=5, ticks=None, later=0, catch_up=5, **options):
        task = Task(print, name='task', **({'min': '*/5', 'timezone': 'UTC'} | options))
        states = {} if state is None else {'task': state}
        now = INSTANT + (minute + later) * MINUTE
        snapshot = Snapshot(states, ticks, now, catch_up=catch_up * MINUTE)
        examination = Examination(snapshot, find_problems(snapshot, [task], 300))
        server.ready()
        [result] = results_of(server.registry, [task], INSTANT + minute * MINUTE, examination).values()
        return describe_result(result, now, bool(examination.stuck), text_of)

    return look


def test_what_is_recorded_comes_first(servers, server, look):
    server.tick(5)
    servers.execute(runs.update().values(host='web2', pid=12, seconds=3.25, started=INSTANT + 5 * MINUTE))
    assert look() == 'ok in 3.2 s, process 12 on web2'


def test_each_attempt_is_described(servers, server, look):
    server.tick(5)
    begun = {'app': 'app', 'task': 'task', 'trigger': 'request', 'attempt': 1, 'scheduled_for': INSTANT + 5 * MINUTE}
    failed = {'started': INSTANT + 5 * MINUTE, 'finished': INSTANT + 6 * MINUTE, 'seconds': 60.0}
    servers.execute(runs.update().values(host='web2', pid=12, seconds=3.25, attempt=2, started=INSTANT + 7 * MINUTE))
    servers.execute(
        insert(runs).values(id='1', host='web1', pid=4, outcome='failed', error='OSError', **begun, **failed)
    )
    assert look() == (
        'failed in 60 s, process 4 on web1: OSError; ok in 3.2 s, began at 02:07, attempt 2, process 12 on web2'
    )


def test_a_run_for_a_minute_in_which_it_is_not_due_is_described(servers, server, look):
    server.add('other')
    server.tick(5)
    assert look(min=3).startswith('ok in ')


@pytest.mark.parametrize(
    ('outcome', 'reason', 'text'),
    [
        ('missed', 'no tick came in time', 'missed: no tick came in time'),
        ('skipped', 'still running: process 4 on web1', 'skipped: still running: process 4 on web1'),
        ('paused', 'paused by ada: the disk is full', 'paused by ada: the disk is full'),
        ('paused', None, 'paused'),
    ],
)
def test_a_minute_without_a_run_has_its_reason(servers, look, outcome, reason, text):
    minute = INSTANT + 5 * MINUTE
    without = {'attempt': 0, 'trigger': 'none', 'scheduled_for': minute, 'started': minute}
    servers.execute(insert(runs).values(id='1', app='app', task='task', outcome=outcome, reason=reason, **without))
    assert look() == text


def test_without_a_tick_nothing_runs(look):
    assert look(state=None) == 'did not run yet: no tick has come yet'
    assert look() == 'did not run yet: no tick has come yet; the next tick runs it'
    assert look(ticks=ticked(4)) == 'did not run yet: no tick has come for it; the next tick runs it'
    assert look(ticks=ticked(4), later=3) == (
        'did not run yet: no tick has come for it (no tick for 4 min); the next tick runs it'
    )
    assert look(ticks=ticked(4), later=4, catch_up=2) == (
        'did not run: no tick has come for it (no tick for 5 min); the next tick records it as missed'
    )


def test_a_deploy_that_has_not_ticked_is_named(look):
    assert look(state=None, ticks=ticked(5)) == (
        'did not run yet: no tick has come of a process that has it registered'
    )


def test_a_tick_may_have_left_it(look):
    assert look(ticks=ticked(5)) == 'did not run yet: no tick has come to it yet; the next tick runs it'
    locked = 'task: another transaction holds its row'
    assert look(ticks=ticked(5, locked)) == f'did not run yet: the last tick failed: {locked}; the next tick runs it'


def test_earlier_minutes_may_come_first(look):
    each = {'missed': 'each', 'catch_up': 60}
    first = 'did not run yet: earlier minutes come first, one a minute'
    # the tick at 02:20 has run the task for 02:05, and owes it 02:10 and later
    state = replace(IDLE, last_minute=INSTANT + 5 * MINUTE, busy_until=INSTANT + 20 * MINUTE)
    assert look(state, 10, ticked(20), later=10, **each) == f'{first}; the next tick runs it'
    behind = f'{first}; the next tick runs the task for 2020-11-23 02:10+00:00'
    assert look(state, 15, ticked(20), later=5, **each) == behind
    # a run that is repeated comes first too
    retried = replace(state, retry_reason='failed', attempt=1)
    assert look(retried, 10, ticked(21), later=11, retries=1, **each) == (
        f'{first}; the next tick runs the task for 2020-11-23 02:05+00:00'
    )
    # a later tick has come, and has not run it
    assert look(state, 10, ticked(21), later=11, **each) == (
        'did not run yet: no tick has come to it yet; the next tick runs it'
    )


def test_an_engine_may_have_no_room(look):
    waits = replace(IDLE, waited_minute=INSTANT + 5 * MINUTE, next_due=INSTANT + 5 * MINUTE)
    assert look(waits, ticks=ticked(5)) == 'did not run yet: its engine has no room for it; the next tick runs it'


def test_another_run_may_be_in_progress(look):
    busy = replace(IDLE, run_id='token', started_at=INSTANT.timestamp())
    assert look(busy, ticks=ticked(5)) == (
        'did not run yet: still running: process None on None, since 2020-11-23 02:00:00+00:00'
    )


@pytest.mark.parametrize('missed', ['newest', 'each'])
@pytest.mark.parametrize('last_tick', [4, 5])
@pytest.mark.parametrize('later', [0, 60])
def test_a_minute_of_a_pause_is_paused_before_a_tick(look, missed, last_tick, later):
    # the pause may be over
    pause = Pause(INSTANT + 30 * MINUTE, 'the disk is full', 'ada')
    paused = replace(IDLE, pause=pause, paused_from=INSTANT)
    assert look(paused, ticks=ticked(last_tick), later=later, missed=missed) == 'paused by ada: the disk is full'


def test_a_run_in_progress_skips_the_minutes_of_a_pause(look):
    pause = Pause(None, 'the disk is full', 'ada')
    busy = replace(IDLE, pause=pause, paused_from=INSTANT, run_id='token', started_at=INSTANT.timestamp())
    assert look(busy, ticks=ticked(5)).startswith('did not run yet: still running: ')
    # a task that runs for each minute owes those of its run, without those of the pause
    assert look(busy, ticks=ticked(5), missed='each') == 'paused by ada: the disk is full'


def test_a_pause_holds_an_earlier_minute_back(look):
    later = replace(IDLE, pause=Pause(None, 'the disk is full', 'ada'), paused_from=INSTANT + 7 * MINUTE)
    assert look(later, ticks=ticked(7), later=3) == (
        'did not run yet: no tick has come to it yet; paused by ada: the disk is full'
    )


def test_a_minute_that_is_to_come_has_no_result(look):
    assert look(minute=5, later=-1) == 'to come'


def test_the_store_may_not_have_the_task(look):
    assert look(store=False) == 'not recorded: store=False: each process runs it for itself'


def test_the_row_may_know_more_than_the_history(look):
    done = replace(IDLE, last_minute=INSTANT + 5 * MINUTE, last_outcome='ok', last_outcome_for=INSTANT + 5 * MINUTE)
    assert look(done, ticks=ticked(5)) == 'not recorded: it was ok'
    new = replace(IDLE, first_seen=INSTANT + 5 * MINUTE, last_minute=None)
    assert look(new, ticks=ticked(5)) == (
        'not recorded: the first tick with the task came after 2020-11-23 02:05+00:00'
    )
    assert look(minute=0) == 'not recorded: it is too old, and there is no record of it'


def test_a_task_that_is_not_due_has_no_result(server):
    server.ready()
    snapshot = Snapshot({'task': IDLE}, None, INSTANT)
    assert results_of(server.registry, [Task(print, name='task', min=3)], INSTANT, Examination(snapshot, [])) == {}


def test_there_may_be_no_tables(servers, server, tmp_path):
    empty = servers.start(store=f'sqlite:///{tmp_path}/empty.sqlite').add()
    empty.ready()
    examination = Examination(Snapshot({}, None, INSTANT), find_problems(Snapshot({}, None, INSTANT), [], 300))
    assert results_of(empty.registry, [empty.task()], INSTANT, examination) == {
        'task': MinuteResult('task', INSTANT, (), 'did not run yet', 'no tick has come yet')
    }


def test_the_history_may_be_gone(servers, server, look):
    server.tick(5)
    servers.execute(delete(runs))
    assert look(ticks=ticked(5)) == 'did not run yet: no tick has come to it yet; the next tick runs it'
