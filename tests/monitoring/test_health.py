import json
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import delete, insert, update

from pyramid_cron.monitoring.health import MOST_OVERDUE, Health, health_of
from pyramid_cron.monitoring.problem import Problem
from pyramid_cron.store.schema import runs, ticks
from tests.support.servers import INSTANT


def now():
    return datetime.now(timezone.utc)


def ticked(servers, ago=timedelta(0)):
    servers.execute(ticks.update().values(last_minute=now() - ago, done_minute=now() - ago))


def fail(system):
    raise LookupError


@pytest.fixture
def pair(server):
    """A server with the tasks ``task`` and ``other``, which are due every five minutes."""
    return server.add('other')


@pytest.fixture
def health(servers, pair):
    """Return a function that returns the health of a server, whose last tick came just now."""

    def health(server=pair, ago=timedelta(0)):
        server.ready()
        ticked(servers, ago)
        return health_of(server.registry)

    return health


def test_a_recent_tick_without_problems_is_healthy(pair, health):
    pair.tick(0)
    found = health(ago=timedelta(seconds=42))
    assert found.ok
    assert str(found) in ('ok, last tick 42 s ago', 'ok, last tick 43 s ago')
    shown = found.as_dict()
    assert datetime.fromisoformat(shown.pop('last_tick')) == found.last_tick
    assert 42 <= shown.pop('seconds_since_last_tick') < 60
    empty = {
        'no_tick': False,
        'tick_failed': False,
        'failed': [],
        'stuck': [],
        'ahead': [],
        'lost': [],
        'missed': [],
        'overdue': [],
        'stopped': [],
        'slow': [],
        'retrying': [],
        'tolerated': [],
        'acknowledged': [],
        'unregistered': [],
        'paused': [],
        'all_paused': False,
        'problem': None,
    }
    assert shown == {'status': 'ok', **empty}


def test_a_tick_ahead_of_the_database_was_just_now(pair, health):
    pair.tick(0)
    found = health(ago=timedelta(seconds=-30))
    assert str(found) == 'ok, last tick 0 s ago'
    # in JSON too
    assert json.loads(json.dumps(found.as_dict()))['seconds_since_last_tick'] == 0


def test_before_the_first_tick_health_fails(health):
    found = health()
    assert not found.ok
    assert str(found) == 'fail: no tick has come yet'
    shown = found.as_dict()
    assert (shown['last_tick'], shown['seconds_since_last_tick'], shown['no_tick']) == (None, None, True)


@pytest.mark.slow
@pytest.mark.parametrize(('seconds', 'ok'), [(110, True), (121, False), (600, False)])
def test_two_minutes_without_a_tick_fail(pair, health, seconds, ok):
    pair.tick(0)
    found = health(ago=timedelta(seconds=seconds))
    assert found.ok is ok
    assert found.as_dict()['no_tick'] is not ok
    assert str(found).startswith('ok, last tick 11' if ok else 'fail: last tick ')


def test_a_failed_task_is_a_fault_until_it_succeeds(servers, health):
    failing = servers.start().add(body=fail)
    failing.tick(0)
    assert str(health(failing)) == 'fail: last tick 0 s ago; failed: task'
    assert health(failing).as_dict()['failed'] == ['task']
    # a task that was renamed or removed is none of its faults
    assert str(health(servers.start().add('other'))) == 'ok, last tick 0 s ago'
    servers.execute(ticks.update().values(last_minute=INSTANT))
    servers.start().add().tick(5)
    assert health(failing).ok


def test_a_failure_from_before_store_false_is_no_fault(servers, health):
    servers.start().add(body=fail).tick(0)
    found = health(servers.start().add(store=False))
    assert (found.ok, found.problems) == (True, [])


@pytest.mark.slow
def test_a_missed_task_is_a_fault_until_it_runs(servers, pair, health):
    pair.tick(0)
    pair.tick(14)
    # the newest minute was caught up, and its success counts
    assert servers.minutes('missed') == [('other', 5), ('task', 5)]
    assert health().ok
    servers.execute(ticks.update().values(last_minute=INSTANT + timedelta(minutes=14)))
    strict = servers.start(catch_up='0').add().add('other')
    strict.tick(16)
    assert str(health()) == 'fail: last tick 0 s ago; missed: other, task'
    servers.execute(ticks.update().values(last_minute=INSTANT + timedelta(minutes=16)))
    strict.tick(20)
    assert health().ok


def test_a_weekly_task_missed_days_ago_is_a_fault(servers, health):
    weekly = servers.start().add('weekly', min=0, hour=3, dow=0)
    weekly.tick(0)
    weekly.tick(60 * 24 * 2)
    assert servers.minutes('missed') == [('weekly', 60)]
    assert str(health(weekly)) == 'fail: last tick 0 s ago; missed: weekly'


def test_a_lost_task_is_a_fault(servers, pair, health):
    pair.tick(0)
    servers.hold(lease_until=0.0)
    pair.tick(1)
    assert str(health()) == 'fail: last tick 0 s ago; lost: task'


@pytest.mark.slow
@pytest.mark.parametrize(
    ('window', 'text'),
    [
        ('700', 'ok, last tick 0 s ago'),
        ('55', 'fail: last tick 0 s ago; stuck: task (running for 10 min)'),
    ],
)
def test_a_run_longer_than_the_window_is_stuck(servers, server, health, window, text):
    server.tick(0)
    servers.hold()
    servers.change(started_at=now().timestamp() - 600)
    found = health(servers.start(window=window).add())
    assert str(found) == text
    assert found.as_dict()['stuck'] == ([] if found.ok else ['task'])


def test_a_failed_task_stays_failed_while_it_runs(servers, health):
    failing = servers.start().add(body=fail)
    failing.tick(0)
    servers.hold()
    servers.change(started_at=now().timestamp())
    assert str(health(failing)) == 'fail: last tick 0 s ago; failed: task'


def test_a_paused_task_is_shown_and_no_fault(servers, pair, health):
    pair.tick(0)
    pair.store.pause(['task'], reason='why')
    pair.store.pause(['other'], reason='why', until=now() - timedelta(minutes=1))
    found = health()
    assert str(found) == 'ok, last tick 0 s ago; paused: task'
    assert found.as_dict()['paused'] == ['task']
    # the pause of a task that was renamed has to be found
    assert str(health(servers.start().add('other'))) == 'ok, last tick 0 s ago; paused: task'


@pytest.mark.slow
@pytest.mark.parametrize(('setting', 'text'), [('warn', 'ok, '), ('fail', 'fail: ')])
def test_an_unregistered_task_is_a_fault_on_request(servers, pair, health, setting, text):
    pair.tick(0)
    server = servers.start(unregistered=setting).add('other')
    server.tick(0)
    for minutes, more in ((60, ''), (61, '; unregistered: task')):
        servers.execute(ticks.update().values(minute_before=INSTANT + timedelta(minutes=minutes)))
        servers.change('other', last_seen=INSTANT + timedelta(minutes=minutes))
        found = health(server)
        assert str(found) == f'{text if more else "ok, "}last tick 0 s ago{more}'
    assert found.as_dict()['unregistered'] == ['task']


def test_minutes_skipped_by_a_pause_are_no_fault(servers, pair, health):
    pair.tick(0)
    pair.store.pause(['task'], reason='why', until=INSTANT + timedelta(minutes=30))
    servers.paused_from(1)
    pair.tick(5)
    assert servers.minutes('paused') == [('task', 5)]
    assert health().ok


@pytest.mark.slow
def test_a_task_that_was_never_due_is_no_fault(pair, health):
    pair.add('yearly', min=0, hour=0, day=1, month=1).tick(0)
    assert health().ok


def test_another_application_of_the_database_does_not_count(servers, pair, health):
    servers.start(app='shop').add(body=fail).tick(0)
    pair.tick(0)
    assert health().ok


def test_health_does_not_depend_on_the_history(servers, health):
    failing = servers.start().add(body=fail).add('missed', min=1, catch_up=0).add('lost', min=0)
    failing.tick(0)
    servers.hold('lost', lease_until=0.0)
    failing.tick(2)
    before = str(health(failing))
    assert before == 'fail: last tick 0 s ago; lost: lost; failed: task; missed: missed'
    servers.execute(delete(runs))
    assert str(health(failing)) == before
    run = {'app': 'app', 'attempt': 1, 'trigger': 'request', 'started': now(), 'finished': now(), 'outcome': 'ok'}
    servers.execute(insert(runs).values([run | {'id': name, 'task': name} for name in ('task', 'missed', 'lost')]))
    assert str(health(failing)) == before


def test_a_failure_outlives_the_pruned_history(servers, health):
    yearly = servers.start(keep_history='2').add('yearly', fail, min=0, hour=2, day=23, month=11)
    yearly.tick(0)
    servers.execute(update(runs).values(started=INSTANT - timedelta(days=3)))
    yearly.add('often', min='*')
    yearly.config.commit()
    # old records are deleted once in ten minutes
    yearly.tick(10)
    assert ('yearly', 'failed') not in servers.history('task', 'outcome')
    assert str(health(yearly)) == 'fail: last tick 0 s ago; failed: yearly'


def test_a_stuck_run_of_unknown_length_is_shown():
    found = Health(now(), timedelta(0), [Problem('stuck', 'task')])
    assert str(found) == 'fail: last tick 0 s ago; stuck: task'


def test_a_store_that_is_away_fails(pair):
    pair.ready()
    with pair.outage():
        found = health_of(pair.registry)
    assert str(found) == 'fail: the store is not available: the database has gone'
    assert found.as_dict()['problem'] == 'the store is not available: the database has gone'
    assert not Health(silence=timedelta(0), unavailable='why').ok


def test_a_failed_tick_is_not_healthy(servers, pair, health):
    pair.tick(0)
    servers.execute(ticks.update().values(problem='task other: locked'))
    found = health()
    assert not found.ok
    assert str(found) == 'fail: last tick 0 s ago; tick failed: task other: locked'
    assert (found.as_dict()['tick_failed'], found.as_dict()['problem']) == (True, 'task other: locked')


def test_a_tick_that_a_clock_ahead_has_refused_is_not_remembered(servers, pair, health):
    pair.tick(0)
    pair.claims.failed_ticks.add(datetime(2100, 1, 1, tzinfo=timezone.utc), "ahead of the database's clock")
    assert health().ok


def test_a_failed_run_is_shown_with_its_next_attempt():
    at = datetime(2026, 12, 24, 1, 10, tzinfo=timezone.utc)
    problems = [Problem('failed', 'sync', next_attempt=at), Problem('failed', 'mail')]
    health = Health(at, timedelta(0), problems, zone=ZoneInfo('Europe/Berlin'))
    assert str(health) == 'fail: last tick 0 s ago; failed: sync (next attempt at 02:10), mail'


def test_a_failure_that_is_no_fault_is_named(servers, health):
    server = servers.start().add(body=fail, tolerate=1).add('paused', body=fail)
    server.tick(0)
    server.store.pause(['paused'], reason='it fails')
    assert str(health(server)) == 'ok, last tick 0 s ago; tolerated: task (failed); paused: paused (failed)'
    shown = health(server).as_dict()
    assert (shown['failed'], shown['tolerated'], shown['paused']) == ([], ['task'], ['paused'])


def test_a_pause_of_all_tasks_is_shown_once_and_is_no_fault(pair, health):
    pair.tick(0)
    pair.store.pause(['task'], reason='why')
    pair.store.pause(['*'], reason='the database moves')
    found = health()
    assert found.ok
    assert str(found).endswith('; paused: all tasks, task')
    shown = found.as_dict()
    assert (shown['all_paused'], shown['paused']) == (True, ['other', 'task'])
    pair.store.resume(['*'])
    found = health()
    assert str(found).endswith('; paused: task')
    assert found.as_dict()['all_paused'] is False


def test_a_run_that_no_worker_begins_is_shown_and_no_fault(servers, health):
    web = servers.start(catch_up='300').add(via=lambda handover: None)
    web.tick(0)
    servers.change(started_at=now().timestamp() - 200)
    found = health(web)
    assert found.ok
    assert str(found).partition('; ')[2] in [f'overdue: task (queued for 3 min {rest} s)' for rest in range(20, 60)]
    assert found.as_dict()['overdue'] == ['task']


def test_an_overdue_run_of_unknown_length_is_shown():
    found = Health(now(), timedelta(0), [Problem('overdue', 'task')])
    assert str(found) == 'ok, last tick 0 s ago; overdue: task'


def test_a_task_that_fails_again_is_shown_with_since_when():
    instant = datetime(2026, 11, 24, 18, 0, tzinfo=timezone.utc)
    failed = Problem('failed', 'task', instant, runs=12, failing_since=instant - timedelta(hours=13, minutes=50))
    found = Health(instant, timedelta(0), [failed], zone=timezone.utc, now=instant)
    assert str(found) == 'fail: last tick 0 s ago; failed: task (failing since 04:10, 12 in a row)'


def test_of_many_overdue_tasks_the_first_are_shown():
    overdue = [
        Problem('overdue', f'task{number:02}', INSTANT, INSTANT, 7200.0, 'why', never_begun=True)
        for number in range(MOST_OVERDUE + 3)
    ]
    text = str(Health(INSTANT, timedelta(0), overdue))
    assert text.startswith('ok, last tick 0 s ago; overdue: task00 (due for 2 h), task01 (due for 2 h), ')
    assert text.endswith('task19 (due for 2 h), and 3 more')
    assert len(Health(INSTANT, timedelta(0), overdue).as_dict()['overdue']) == MOST_OVERDUE + 3
