"""Missed and lost minutes: sent to subscribers once over all servers, and recorded."""

from datetime import timedelta

import pytest
from zope.interface.verify import verifyObject

from pyramid_cron import events
from pyramid_cron.events import ITaskLost, ITaskMissed
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.schema import gaps, runs, tasks
from tests.support.servers import INSTANT
from tests.support.statements import GONE


@pytest.fixture
def sent():
    return []


@pytest.fixture
def start(servers, sent):
    """Return a function that starts a server with a subscriber that keeps the events."""

    def start(**settings):
        def subscribe(config):
            for interface in (ITaskMissed, ITaskLost):
                config.add_subscriber(sent.append, interface)

        return servers.start(include=subscribe, **settings)

    return start


@pytest.mark.slow
def test_missed_minutes_are_sent_once(start, sent, warnings):
    one, other = (start(catch_up='0').add() for _ in range(2))
    one.tick(0)
    warnings()
    one.tick(11)
    for server in (other, one):
        server.tick(11)
        server.tick(12)
    (event,) = sent
    assert (event.name, event.minutes) == ('task', (INSTANT + 5 * MINUTE, INSTANT + 10 * MINUTE))
    assert verifyObject(ITaskMissed, event)
    assert (
        'task task was missed and does not run for 2 minutes from 2020-11-23 02:05+00:00 to 2020-11-23 02:10+00:00'
        in warnings()
    )


@pytest.mark.slow
def test_a_server_that_comes_second_sends_nothing(start, sent, servers):
    one, other = (start(catch_up='0').add() for _ in range(2))
    one.tick(0)
    one.tick(11)
    sent.clear()
    one.tick(16)
    with other.overtaken(of=tasks, kind='update', sets='retry_reason', by=lambda: one.tick(21)):
        other.tick(21)
    assert [event.minutes for event in sent] == [(INSTANT + 15 * MINUTE,), (INSTANT + 20 * MINUTE,)]
    assert len(servers.minutes('missed')) == 4


def test_a_miss_before_a_caught_up_run_is_sent(start, sent):
    server = start().add()
    server.tick(0)
    server.tick(11)
    assert server.ran == [('task', 0), ('task', 10)]
    assert [event.minutes for event in sent] == [(INSTANT + 5 * MINUTE,)]


@pytest.mark.slow
def test_a_lost_run_is_sent_once(servers, start, sent):
    one, other = (start().add() for _ in range(2))
    one.tick(0)
    servers.hold(lease_until=0.0)
    for server in (one, other, one):
        server.tick(1)
        server.tick(2)
    (event,) = sent
    assert verifyObject(ITaskLost, event)
    assert (event.name, event.minute, event.host, event.pid, event.will_retry) == (
        'task',
        INSTANT,
        'elsewhere',
        4711,
        False,
    )
    assert event.key == 'app:task@2020-11-23T02:00Z'


@pytest.mark.slow
def test_a_lost_run_is_sent_with_its_retry(servers, start, sent):
    server = start().add()
    server.tick(0)
    servers.hold(lease_until=0.0)
    servers.change(transactional=True)
    server.tick(1)
    assert [(event.name, event.will_retry) for event in sent] == [('task', True)]
    assert server.ran == [('task', 0), ('task', 0)]


def test_a_subscriber_that_raises_changes_nothing(servers, caplog):
    def fail(event):
        raise LookupError('no chat')

    server = servers.start(include=lambda config: config.add_subscriber(fail, ITaskMissed)).add()
    server.tick(0)
    assert not server.tick(11).failed
    assert server.ran == [('task', 0), ('task', 10)]
    assert 'a subscriber of TaskMissed failed' in caplog.messages


def test_events_provide_their_interfaces():
    until = INSTANT + timedelta(hours=1)
    assert verifyObject(events.ITaskPaused, events.TaskPaused('task', until, 'why', 'ada'))
    assert verifyObject(events.ITaskResumed, events.TaskResumed('task', 'ada'))


def test_busy_minutes_of_killed_ticks_are_recorded_later(start, servers):
    server = start().add()
    server.tick(0)
    # as a run from 2:00 to 2:12 leaves it, and a tick at 2:10 that was killed before it could record anything
    servers.change(busy_until=INSTANT + 12 * MINUTE)
    server.tick(15)
    assert servers.minutes('ok') == [('task', 0), ('task', 15)]
    assert servers.minutes('skipped') == [('task', 5), ('task', 10)]


def test_paused_minutes_are_recorded_with_the_reason(start, servers, sent):
    server = start(catch_up='0').add()
    server.tick(0)
    server.store.pause(['task'], reason='why', until=INSTANT + 8 * MINUTE, requested_by='ada')
    servers.paused_from(1)
    server.tick(11)
    reasons = sorted((row['scheduled_for'], row['outcome'], row['reason']) for row in servers.rows(runs))
    assert [row[1:] for row in reasons] == [
        ('ok', None),
        ('paused', 'paused by ada: why'),
        ('missed', 'no tick came in time'),
    ]
    assert [event.minutes for event in sent] == [(INSTANT + 10 * MINUTE,)]


def test_one_missed_minute_is_logged_as_one(start, warnings):
    server = start(catch_up='0').add()
    server.tick(0)
    server.tick(6)
    assert 'task task was missed and does not run for 2020-11-23 02:05+00:00' in warnings()


@pytest.mark.slow
def test_missed_minutes_are_recorded_and_logged_once(servers, warnings):
    first, second = (servers.start().add('often').add('once', min=2) for _ in range(2))
    for server in (first, second):
        server.tick(0)
    assert warnings() == []
    for server in (first, second, first):
        server.tick(23)
    assert servers.minutes('missed') == [('often', 5), ('often', 10), ('often', 15), ('once', 2)]
    assert warnings() == [
        'no tick came from 2020-11-23 02:01+00:00 to 2020-11-23 02:22+00:00 (22 min)',
        'task once was missed and does not run for 2020-11-23 02:02+00:00',
        'task often was missed and does not run for 3 minutes from 2020-11-23 02:05+00:00 to 2020-11-23 02:15+00:00',
    ]
    # the newest is caught up
    assert first.ran == [('often', 0), ('often', 20)]
    assert second.ran == []
    assert servers.history('task', 'outcome', 'reason', 'attempt')[1] == ('once', 'missed', 'no tick came in time', 0)


def test_a_miss_that_two_servers_find_is_logged_once(servers, warnings):
    first, second = (servers.start().add(min=0) for _ in range(2))
    first.tick(-1)
    second.tick(-1)
    with second.overtaken(of=tasks, kind='update', sets='retry_reason', by=lambda: first.tick(6)):
        second.tick(6)
    assert servers.minutes('missed') == [('task', 0)]
    assert len([warning for warning in warnings() if 'was missed' in warning]) == 1


@pytest.mark.slow
def test_the_newest_500_missed_minutes_are_recorded(servers, warnings):
    server = servers.start().add(min='*')
    server.tick(0)
    server.tick(60 * 24 * 400)
    missed = servers.minutes('missed')
    assert missed == [('task', minute) for minute in range(60 * 24 * 400 - 499, 60 * 24 * 400)]
    assert len(warnings()) == 2
    assert server.ran[1:] == [('task', 60 * 24 * 400)]


def test_a_missed_minute_is_the_last_outcome(servers, warnings):
    server = servers.start(catch_up='0').add(body=lambda system: 1 / 0)
    server.tick(0)
    server.tick(11)
    row = servers.row()
    assert (row['last_outcome'], row['last_outcome_for']) == ('missed', INSTANT + 10 * MINUTE)
    # the minutes that were missed are no failures
    assert (row['failures_in_a_row'], row['last_error']) == (1, 'ZeroDivisionError')


@pytest.mark.slow
def test_a_retry_that_two_servers_cancel_is_logged_once(servers, warnings):
    first, second = (servers.start().add(min=0, hour=2) for _ in range(2))
    first.tick(0)
    servers.change(retry_reason='lost')
    with second.overtaken(of=tasks, kind='update', sets='retry_reason', by=lambda: first.tick(6)):
        second.tick(6)
    assert len([warning for warning in warnings() if 'was missed' in warning]) == 1
    assert servers.row()['retry_reason'] is None


@pytest.mark.slow
def test_a_gap_is_recorded_and_logged_once(servers, warnings):
    first, second = (servers.start().add(min=59) for _ in range(2))
    for minute in (-2, -1):
        first.tick(minute)
        second.tick(minute)
    assert servers.gaps() == []
    for server in (second, first, second):
        server.tick(7)
    second.tick(8)
    assert servers.gaps() == [(0, 6)]
    assert warnings() == ['no tick came from 2020-11-23 02:00+00:00 to 2020-11-23 02:06+00:00 (7 min)']


def test_minutes_of_failed_ticks_are_missed_because_of_that(servers, warnings):
    server = servers.start(catch_up='0').add(min='*')
    server.tick(0)
    with server.outage():
        assert server.tick(1).failed
        assert server.tick(2).failed
    server.tick(3)
    assert {row['reason'] for row in servers.rows(runs) if row['outcome'] == 'missed'} == {f'ticks failed: {GONE}'}
    (gap,) = servers.rows(gaps)
    assert gap['problem'] == GONE
    assert f'ticks failed from 2020-11-23 02:01+00:00 to 2020-11-23 02:02+00:00 (2 min): {GONE}' in warnings()


@pytest.mark.parametrize(
    'request_run',
    [lambda server: server.tick(3, ['task']), lambda server: server.backfill(0, again=True)],
    ids=['by name', 'backfill'],
)
def test_a_minute_during_a_run_on_request_is_missed(servers, request_run):
    # the second run lasts from 2:03 to 2:15, with a tick in each minute
    server = servers.start().add(body=lambda system: len(server.ran) == 2 and [server.tick(at) for at in range(3, 16)])
    server.tick(0)
    request_run(server)
    server.tick(16)
    assert servers.minutes('missed') == [('task', 5), ('task', 10)]
    # each of them has one record, which blames no tick; 2:15 is caught up
    assert servers.minutes('skipped') == [('task', 15)]
    missed = [row['reason'] for row in servers.rows(runs) if row['outcome'] == 'missed']
    assert [reason.partition(' ')[0] for reason in missed] == ['still', 'still']


def test_a_minute_without_a_tick_after_a_run_by_name_is_missed(servers):
    server = servers.start().add()
    server.tick(0)
    server.tick(1, ['task'])
    server.tick(11)
    assert [row['reason'] for row in servers.rows(runs) if row['outcome'] == 'missed'] == ['no tick came in time']


@pytest.mark.slow
def test_an_overlap_is_recorded_once(servers, warnings):
    first, second = (servers.start(window='10e9').add(min='*') for _ in range(2))
    first.tick(0)
    servers.hold()

    second.tick(0)
    with second.overtaken(of=runs, kind='insert', by=lambda: first.tick(1)):
        report = second.tick(1)
    assert report.problem is None
    assert servers.minutes('skipped') == [('task', 1)]
