"""Runs that wait for room in their engines, tick by tick. ``test_claims.py`` has those that are skipped."""

from contextlib import contextmanager
from dataclasses import replace

import pytest

from pyramid_cron.claims import ByHand
from pyramid_cron.events import ITaskMissed
from pyramid_cron.outcomes import LOST
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.schema import tasks
from tests.support.enqueueing import LONG, Queue, begin
from tests.support.servers import INSTANT


class Engine(Queue):
    """An engine with room for so many runs, which are those in its list."""

    room = 1

    @contextmanager
    def admit(self):
        yield None if len(self) < self.room else 'it is full'


@pytest.fixture
def queue():
    return Engine()


@pytest.fixture
def limited(servers, queue):
    """Return a function that starts a server with tasks of the limited engine."""

    def start(*names, catch_up=LONG, minutes='*/5', **options):
        server = servers.start(catch_up=catch_up)
        for name in names:
            server.add(name, min=minutes, via=queue, **options)
        server.ready()
        for task in server.registry['cron_tasks']:
            task.engine = replace(task.engine, admit_run=queue.admit)
        return server

    return start


def sent(queue):
    return [handover.key.partition(':')[2] for handover in queue]


@pytest.mark.slow
@pytest.mark.each_database
def test_what_is_over_the_limit_waits_for_a_following_tick(servers, limited, queue):
    server = limited('one', 'two')
    report = server.tick(0)
    assert [(task.name, task.outcome, task.reason) for task in report.tasks] == [
        ('one', 'queued', None),
        ('two', 'skipped', 'it waits for a following tick: it is full'),
    ]
    assert str(report) == 'ok'
    assert servers.row('two')['waited_minute'] == INSTANT
    assert server.store.snapshot().states['two'].waits_since == INSTANT
    [first] = queue
    queue.clear()
    server.tick(1)
    assert sent(queue) == ['two@2020-11-23T02:00Z']
    assert server.store.snapshot().states['two'].waits_since is None
    assert begin(server, first).outcome == begin(server, queue[0]).outcome == 'ok'
    assert servers.history() == ['ok', 'ok']


@pytest.mark.slow
@pytest.mark.each_database
def test_tasks_that_wait_run_in_turn(limited, queue):
    server = limited('one', 'two', 'three', minutes='*')
    for minute in range(7):
        server.tick(minute)
        assert begin(server, queue.pop()).outcome == 'ok'
    assert [name for name, _ in server.ran] == ['one', 'two', 'three', 'one', 'two', 'three', 'one']


@pytest.mark.slow
@pytest.mark.each_database
def test_a_run_waits_longer_than_catch_up(servers, limited, queue, warnings):
    server = limited('one', 'two', catch_up='60', minutes=0)
    server.tick(0)
    for minute in range(1, 10):
        server.tick(minute)
    queue.clear()
    assert server.tick(10).names('queued') == ['two']
    assert [warning for warning in warnings() if 'missed' in warning and 'two' in warning] == []
    assert servers.minutes('missed') in ([], [('one', 0)])


def test_a_run_that_has_waited_begins_in_its_process(servers, limited, queue):
    server = limited('one', 'two', minutes=0)
    server.tick(0)
    queue.clear()
    server.tick(1)
    # the minute itself is some years ago
    servers.start(catch_up='300').add()
    other = limited('one', 'two', catch_up='300', minutes=0)
    assert begin(other, queue[0]).outcome == 'ok'


@pytest.mark.slow
@pytest.mark.each_database
def test_minutes_until_a_newer_one_are_skipped_and_not_missed(servers, limited, queue, warnings):
    server = limited('one', 'two', minutes='*')
    missed = []
    server.config.add_subscriber(missed.append, ITaskMissed)
    for minute in range(4):
        server.tick(minute)
    assert [pair for pair in servers.minutes('skipped') if pair[0] == 'two'] == [('two', 0), ('two', 1), ('two', 2)]
    assert set(servers.history('reason')) >= {'its engine had no room until the next minute was due'}
    queue.clear()
    server.tick(4)
    assert sent(queue) == ['two@2020-11-23T02:04Z']
    assert servers.minutes('missed') == missed == []


def test_minutes_without_a_tick_are_missed_all_the_same(servers, limited, queue, warnings):
    server = limited('one', 'two', minutes='*')
    server.tick(0)
    server.tick(3)
    assert ('two', 0) in servers.minutes('skipped')
    assert [pair for pair in servers.minutes('missed') if pair[0] == 'two'] == [('two', 1), ('two', 2)]
    assert servers.row('two')['last_outcome'] == 'missed'


def test_a_repetition_waits_as_well(servers, limited, queue):
    server = limited('one', 'two', minutes=0)
    server.tick(0)
    servers.change('two', last_minute=INSTANT, retry_reason=LOST, attempt=1)
    server.tick(1)
    assert servers.row('two')['waited_minute'] == INSTANT + MINUTE
    assert server.store.snapshot().states['two'].waits_since == INSTANT
    queue.clear()
    server.tick(2)
    assert (sent(queue), servers.row('two')['attempt']) == (['two@2020-11-23T02:00Z'], 2)


@pytest.mark.slow
@pytest.mark.each_database
def test_a_run_that_another_server_begins_meanwhile_does_not_wait(servers, limited, queue):
    server, other = limited('one', 'two', minutes=0), limited('two', minutes=0)
    for each in (server, other):
        each.tick(-1)
    queue.room = 0
    real = queue.admit

    def elsewhere():
        queue.room = 2
        other.tick(0)
        queue.room = 0
        return real()

    [task] = [task for task in server.registry['cron_tasks'] if task.name == 'two']
    task.engine = replace(task.engine, admit_run=elsewhere)
    reports = {report.name: report for report in server.tick(0).tasks}
    assert reports['two'].reason == 'already run'
    assert servers.row('two')['waited_minute'] is None


def test_a_run_by_name_waits_for_nothing(servers, limited, queue):
    server = limited('one')
    queue.room = 0
    found = server.registry['cron_claims'].named(server.registry['cron_tasks'], ['one'], ByHand(enqueue=True))
    [run] = found.runs
    assert (run.minute, run.engine.is_limited) == (None, True)
    assert run.claim() is None
    run.interrupt()


def test_a_wait_that_cannot_be_recorded_is_logged(servers, limited, queue, warnings):
    server = limited('one')
    server.tick(-1)
    queue.room = 0
    with server.outage(of=tasks, kind=('update', 'lock')):
        assert server.tick(0).names('skipped') == ['one']
    assert any('it cannot be recorded that task one waits for room in its engine: ' in text for text in warnings())


def test_idle_and_other_tasks_do_not_wait(servers, limited, queue):
    server = servers.start(catch_up=LONG).add('here', min='*').add('there', min='*', via=queue)
    server.tick(0)
    assert server.tick(1).names('ok') == ['here']
