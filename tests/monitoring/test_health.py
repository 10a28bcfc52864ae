"""Whether all is well, by what is in the store."""

import json
from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy import insert, update

from pyramid_cron.monitoring.health import Health, examine
from pyramid_cron.store.schema import runs, ticks

INSTANT = datetime(2020, 11, 23, 2, 0, tzinfo=timezone.utc)


def now():
    return datetime.now(timezone.utc)


@pytest.fixture
def look(servers, server):
    """Return a function that returns the health of an application with the tasks ``task`` and ``other``."""
    server.add('other', min='*/5')

    def look(names=('task', 'other'), ticked=timedelta(0), window=55.0):
        if ticked is not None:
            servers.execute(ticks.update().values(last_minute=now() - ticked))
        with servers.engine.connect() as connection:
            return examine(connection, 'app', dict.fromkeys(names, window))

    return look


def fail(system):
    raise LookupError


def test_with_a_tick_of_late_and_no_faults_all_is_well(server, look):
    server.tick(0)
    found = look(ticked=timedelta(seconds=42))
    assert found.ok
    assert str(found) in ('ok, last tick 42 s ago', 'ok, last tick 43 s ago')
    shown = found.as_dict()
    assert datetime.fromisoformat(shown.pop('last_tick')) == found.last_tick
    assert 42 <= shown.pop('seconds_since_last_tick') < 60
    empty = {'failed': [], 'stuck': [], 'lost': [], 'missed': [], 'paused': [], 'problem': None}
    assert shown == {'status': 'ok', **empty}


def test_a_tick_of_a_minute_that_has_only_begun_elsewhere_is_no_seconds_ago(server, look):
    server.tick(0)
    found = look(ticked=timedelta(seconds=-30))
    assert str(found) == 'ok, last tick 0 s ago'
    # in JSON too
    assert json.loads(json.dumps(found.as_dict()))['seconds_since_last_tick'] == 0


def test_before_the_first_tick_nothing_is_well(look):
    found = look(ticked=None)
    assert not found.ok
    assert str(found) == 'fail: no tick has come yet'
    assert found.as_dict()['last_tick'] is None
    assert found.as_dict()['seconds_since_last_tick'] is None


@pytest.mark.parametrize(('seconds', 'ok'), [(110, True), (121, False), (600, False)])
def test_more_than_two_minutes_without_a_tick_are_too_many(server, look, seconds, ok):
    server.tick(0)
    found = look(ticked=timedelta(seconds=seconds))
    assert found.ok is ok
    assert str(found).startswith('ok, last tick 11' if ok else 'fail: last tick ')


def test_what_failed_in_its_last_run_is_a_fault_until_it_succeeds(servers, look):
    failing = servers.start().add(body=fail)
    failing.tick(0)
    assert str(look()) == 'fail: last tick 0 s ago; failed: task'
    assert look().as_dict()['failed'] == ['task']
    # of a task that was renamed or removed nobody has to hear
    assert str(look(names=['other'])) == 'ok, last tick 0 s ago'
    servers.execute(ticks.update().values(last_minute=INSTANT))
    servers.start().add().tick(5)
    assert look().ok


def test_what_was_missed_is_a_fault_until_it_runs(servers, server, look):
    server.tick(0)
    server.tick(14)
    # caught up, so that the last word is a success
    assert servers.minutes('missed') == [('other', 5), ('task', 5)]
    assert look().ok
    servers.execute(ticks.update().values(last_minute=INSTANT + timedelta(minutes=14)))
    other = servers.start(catch_up='0').add().add('other', min='*/5')
    other.tick(16)
    assert str(look()) == 'fail: last tick 0 s ago; missed: other, task'
    servers.execute(ticks.update().values(last_minute=INSTANT + timedelta(minutes=16)))
    other.tick(20)
    assert look().ok


def test_what_was_lost_is_a_fault(servers, server, look):
    server.tick(0)
    servers.hold(lease_until=0.0)
    # later than the run that did succeed
    servers.execute(update(runs).where(runs.c.id == 'other').values(started=now()))
    server.tick(1)
    assert str(look()) == 'fail: last tick 0 s ago; lost: task'


def test_what_runs_for_longer_than_the_window_is_stuck(servers, server, look):
    server.tick(0)
    servers.hold()
    servers.change(began=now().timestamp() - 600)
    assert str(look(window=700)) == 'ok, last tick 0 s ago'
    found = look()
    assert str(found) == 'fail: last tick 0 s ago; stuck: task (running for 10 min)'
    assert found.as_dict()['stuck'] == ['task']
    assert look(names=['other']).ok


def test_a_paused_task_is_told_and_is_no_fault(server, look):
    server.tick(0)
    server.claims.pause(['task'], reason='why')
    server.claims.pause(['other'], reason='why', until=now() - timedelta(minutes=1))
    found = look()
    assert str(found) == 'ok, last tick 0 s ago; paused: task'
    assert found.as_dict()['paused'] == ['task']
    assert str(look(names=['other'])) == 'ok, last tick 0 s ago'


def test_what_was_paused_meanwhile_is_no_outcome(servers, server, look):
    server.tick(0)
    server.claims.pause(['task'], reason='why', until=INSTANT + timedelta(minutes=30))
    server.tick(5)
    assert servers.minutes('paused') == [('task', 5)]
    assert look().ok


def test_a_task_that_was_never_due_yet_is_no_fault(server, look):
    server.add('yearly', min=0, hour=0, day=1, month=1)
    server.tick(0)
    assert look(names=['task', 'other', 'yearly']).ok


def test_another_application_in_the_database_does_not_matter(servers, server, look):
    server.tick(0)
    run = {'app': 'other', 'attempt': 1, 'trigger': 'request', 'started': now(), 'outcome': 'failed'}
    servers.execute(insert(runs).values(id='x', task='task', **run))
    assert look().ok


def test_why_nothing_can_be_told_is_told():
    assert str(Health(problem='the store cannot be asked')) == 'fail: the store cannot be asked'
    assert Health(problem='why').as_dict()['problem'] == 'why'
    assert not Health(silence=timedelta(0), problem='why').ok
