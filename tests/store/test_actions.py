"""The actions of people, which the history shows."""

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import insert

from pyramid_cron.history_entries import ActionEntry
from pyramid_cron.names import ALL_TASKS
from pyramid_cron.schedules import clock
from pyramid_cron.store.actions import Actions
from pyramid_cron.store.schema import audit, runs
from tests.support.servers import INSTANT

pytestmark = pytest.mark.each_database

DAYS = timedelta(days=1)


@pytest.fixture
def made(servers):
    """The servers of a store with its tables."""
    servers.start().add().tick()
    return servers


def insert_entries(servers, *entries, app='app'):
    """Insert entries, each of a task and an instant."""
    with servers.engine.begin() as connection:
        rows = [{'id': uuid4().hex, 'app': app, 'task': task, 'at': at, 'action': 'paused'} for task, at in entries]
        connection.execute(insert(audit), rows)


@pytest.mark.slow
def test_an_action_is_recorded_for_each_task(made):
    before = clock.now() - timedelta(seconds=5)
    with made.begin() as connection:
        until = INSTANT + DAYS
        Actions(connection).record('paused', ['b', 'a'], requested_by='ada', reason='why', until=until)
        found = Actions(connection).newest(9)
    assert sorted(entry._replace(at=INSTANT) for entry in found) == [
        ActionEntry(name, 'paused', INSTANT, 'ada', 'why', until) for name in ('a', 'b')
    ]
    assert all(before < entry.at < clock.now() + timedelta(seconds=5) for entry in found)


def test_an_action_without_a_task_is_not_recorded(made):
    with made.begin() as connection:
        Actions(connection).record('resumed', [])
    assert made.rows(audit) == []


@pytest.mark.slow
def test_an_action_is_no_run(made):
    before = made.rows(runs)
    with made.begin() as connection:
        Actions(connection).record('forgotten', ['task'])
    assert made.rows(runs) == before


@pytest.mark.slow
def test_entries_are_found_by_task_and_time(made):
    insert_entries(
        made, ('a', INSTANT), ('b', INSTANT + DAYS), (ALL_TASKS, INSTANT + 2 * DAYS), ('a', INSTANT + 3 * DAYS)
    )
    insert_entries(made, ('a', INSTANT), app='other')
    with made.begin() as connection:

        def found(*args, **options):
            return [(entry.task, (entry.at - INSTANT).days) for entry in Actions(connection).newest(*args, **options)]

        assert found(9) == [('a', 3), ('*', 2), ('b', 1), ('a', 0)]
        assert found(2) == [('a', 3), ('*', 2)]
        # what was done to all tasks was done to this one
        assert found(9, ['a']) == [('a', 3), ('*', 2), ('a', 0)]
        assert found(9, ['b'], since=INSTANT + DAYS) == [('*', 2), ('b', 1)]
        assert found(9, since=INSTANT + 2 * DAYS) == [('a', 3), ('*', 2)]


@pytest.mark.slow
def test_old_entries_are_deleted_after_a_tick(servers):
    server = servers.start(keep_history='2').add(min='*')
    server.tick()
    insert_entries(servers, ('task', INSTANT - 3 * DAYS), ('task', INSTANT - DAYS))
    insert_entries(servers, ('task', INSTANT - 3 * DAYS), app='other')
    server.tick(20)
    assert sorted((row['app'], row['at'] - INSTANT) for row in servers.rows(audit)) == [
        ('app', -DAYS),
        ('other', -3 * DAYS),
    ]


@pytest.mark.slow
def test_a_renamed_task_keeps_its_entries(servers):
    servers.start().add('old').tick(0)
    insert_entries(servers, ('old', INSTANT), ('another', INSTANT))
    servers.start().add('new', was='old').tick(1)
    assert sorted(row['task'] for row in servers.rows(audit)) == ['another', 'new']


@pytest.mark.slow
def test_entries_of_a_clock_that_was_ahead_are_dated_as_of_now(made):
    insert_entries(made, ('a', INSTANT), ('b', INSTANT + 9 * DAYS))
    with made.begin() as connection:
        Actions(connection).take_back(INSTANT + DAYS, INSTANT + 2 * DAYS)
    assert sorted((row['task'], row['at']) for row in made.rows(audit)) == [
        ('a', INSTANT),
        ('b', INSTANT + 2 * DAYS),
    ]
