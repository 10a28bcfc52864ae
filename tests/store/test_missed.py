"""What subscribers hear of tasks that were missed or lost, over all servers once."""

from datetime import datetime, timedelta, timezone

import pytest
from zope.interface.verify import verifyObject

from pyramid_cron import events
from pyramid_cron.events import ITaskLost, ITaskMissed
from pyramid_cron.schedules.clock import MINUTE

INSTANT = datetime(2020, 11, 23, 2, 0, tzinfo=timezone.utc)


@pytest.fixture
def heard():
    return []


@pytest.fixture
def start(servers, heard):
    """Start a server whose subscriber keeps what it hears."""

    def start(**settings):
        def subscribe(config):
            for interface in (ITaskMissed, ITaskLost):
                config.add_subscriber(heard.append, interface)

        return servers.start(include=subscribe, **settings)

    return start


def test_minutes_that_were_missed_are_told_once(start, heard, warnings):
    one, other = (start(catch_up='0').add() for _ in range(2))
    one.tick(0)
    warnings()
    one.tick(11)
    for server in (other, one):
        server.tick(11)
        server.tick(12)
    (event,) = heard
    assert (event.name, event.minutes) == ('task', (INSTANT + 5 * MINUTE, INSTANT + 10 * MINUTE))
    assert verifyObject(ITaskMissed, event)
    assert (
        'task task was missed and does not run for 2 minutes from 2020-11-23 02:05+00:00 to 2020-11-23 02:10+00:00'
        in warnings()
    )


def test_a_server_that_another_is_ahead_of_says_nothing(start, heard, servers):
    one, other = (start(catch_up='0').add() for _ in range(2))
    one.tick(0)
    one.tick(11)
    heard.clear()
    one.tick(16)
    with other.overtaken('UPDATE cron_tasks', by=lambda: one.tick(21)):
        other.tick(21)
    assert [event.minutes for event in heard] == [(INSTANT + 15 * MINUTE,), (INSTANT + 20 * MINUTE,)]
    assert len(servers.minutes('missed')) == 4


def test_what_makes_way_for_a_newer_minute_is_told_with_its_claim(start, heard):
    server = start().add()
    server.tick(0)
    server.tick(11)
    assert server.ran == [('task', 0), ('task', 10)]
    assert [event.minutes for event in heard] == [(INSTANT + 5 * MINUTE,)]


def test_a_run_that_was_lost_is_told_once(servers, start, heard):
    one, other = (start().add() for _ in range(2))
    one.tick(0)
    servers.hold(lease_until=0.0)
    for server in (one, other, one):
        server.tick(1)
        server.tick(2)
    (event,) = heard
    assert verifyObject(ITaskLost, event)
    assert (event.name, event.minute, event.host, event.pid, event.will_retry) == (
        'task',
        INSTANT,
        'elsewhere',
        4711,
        False,
    )


def test_a_run_that_is_to_begin_again_is_told_as_lost_with_that(servers, start, heard):
    server = start().add()
    server.tick(0)
    servers.hold(lease_until=0.0)
    servers.change(transactional=True)
    server.tick(1)
    assert [(event.name, event.will_retry) for event in heard] == [('task', True)]
    assert server.ran == [('task', 0), ('task', 0)]


def test_a_subscriber_that_raises_changes_nothing_else(servers, caplog):
    def fail(event):
        raise LookupError('no chat')

    server = servers.start(include=lambda config: config.add_subscriber(fail, ITaskMissed)).add()
    server.tick(0)
    assert not server.tick(11).failed
    assert server.ran == [('task', 0), ('task', 10)]
    assert 'a subscriber of TaskMissed failed' in caplog.messages


def test_the_events_have_what_their_interfaces_say():
    until = INSTANT + timedelta(hours=1)
    assert verifyObject(events.ITaskPaused, events.TaskPaused('task', until, 'why', 'ada'))
    assert verifyObject(events.ITaskResumed, events.TaskResumed('task', 'ada'))


def test_minutes_of_a_long_run_whose_ticks_were_killed_are_recorded_with_the_next_one(start, servers):
    server = start().add()
    server.tick(0)
    # as a run from 2:00 to 2:12 leaves it, and a tick at 2:10 that was killed before it could record anything
    servers.change(busy_until=INSTANT + 12 * MINUTE)
    server.tick(15)
    assert servers.minutes('ok') == [('task', 0), ('task', 15)]
    assert servers.minutes('skipped') == [('task', 5), ('task', 10)]
