"""Queued runs that no worker has begun: when a tick enqueues them again, and what stands in the store."""

from datetime import timedelta

import pytest
from sqlalchemy import insert

from pyramid_cron.claims import Delivery
from pyramid_cron.orders import run_through
from pyramid_cron.queue_engine import MessageState
from pyramid_cron.queues.handover import EngineAdapter
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.errors import Locked
from pyramid_cron.store.schema import processes, tasks
from pyramid_cron.store.sending_again import record_worker_failure, sent_after
from pyramid_cron.store.task_claims import TaskClaims
from pyramid_cron.store.task_state import TaskState
from tests.support.enqueueing import LONG, begin
from tests.support.servers import INSTANT

PATIENCE = timedelta(seconds=400)
NOW = INSTANT.timestamp()
DAY = '86400'
WAITS = MessageState('its job waits', waits=True)


def state_of(waited, **values):
    queued = {'run_id': 'token', 'handed_over_for': 'x', 'started_at': NOW - waited}
    return TaskState('task', '', INSTANT, **queued | values)


@pytest.mark.parametrize(
    ('waited', 'sent_ago', 'after_ago'),
    [
        (99, None, None),
        (100, None, 0),
        (199, None, 99),
        # of an earlier run
        (199, 250, 99),
        (199, 99, None),
        (199, 10, None),
        (200, 100, 0),
        (200, 0, None),
        (399, 250, 199),
        (399, 199, None),
        # by a clock that was ahead
        (199, -10, 99),
    ],
)
def test_a_run_is_enqueued_again_after_a_quarter_and_a_half(waited, sent_ago, after_ago):
    state = state_of(waited, sent_again_at=None if sent_ago is None else NOW - sent_ago)
    assert sent_after(state, PATIENCE, INSTANT) == (None if after_ago is None else NOW - after_ago)


def test_no_other_run_is_enqueued_again():
    running = state_of(200, handed_over_for=None)
    assert sent_after(running, PATIENCE, INSTANT) is None
    assert sent_after(state_of(200, started_at=None), PATIENCE, INSTANT) is None


class Waiting:
    """A queued run of one server, and the time that passes."""

    def __init__(self, servers, queue, **options):
        self.servers, self.queue = servers, queue
        self.web = servers.start(catch_up=DAY).add(via=queue, **options)

    def wait(self, part):
        """Let so much of its time pass as the database sees it."""
        row = self.servers.row()
        passed = part * float(DAY)
        sent = row['sent_again_at']
        self.servers.change(
            started_at=row['started_at'] - passed, **({} if sent is None else {'sent_again_at': sent - passed})
        )

    def reasons(self):
        return self.servers.history('outcome', 'reason')


@pytest.fixture
def waiting(servers, queue):
    waiting = Waiting(servers, queue)
    waiting.web.tick(0)
    # whose time does not end before it begins, although its minute is long past
    servers.change(attempt=2)
    return waiting


@pytest.mark.slow
@pytest.mark.each_database
def test_a_lost_message_is_sent_again_twice(waiting, queue, warnings):
    sent = queue.copy()
    queue.clear()
    for _ in range(2):
        waiting.web.tick(1)
        assert queue == []
        waiting.wait(0.26)
        waiting.web.tick(2)
        waiting.web.tick(3)
        assert [handover.key for handover in queue] == [handover.key for handover in sent]
        queue.clear()
    waiting.wait(0.4)
    waiting.web.tick(4)
    assert queue == []
    assert waiting.reasons() == [('queued', 'no worker has begun it; enqueued again')]
    again = 'task task is enqueued again with tests.support.enqueueing.Queue, because no worker has begun it'
    assert warnings() == [again, again]


@pytest.mark.slow
@pytest.mark.each_database
def test_the_message_that_comes_second_does_nothing(servers, queue, waiting):
    worker = servers.start(catch_up=LONG).add(via=queue)
    waiting.wait(0.3)
    waiting.web.tick(1)
    assert len(queue) == 2
    assert [begin(worker, handover).outcome for handover in queue] == ['ok', 'skipped']
    assert worker.ran == [('task', 0)]
    assert waiting.reasons() == [('ok', None)]


@pytest.mark.slow
@pytest.mark.each_database
def test_one_of_two_servers_sends_again(servers, queue, waiting):
    other = servers.start(catch_up=DAY).add(via=queue)
    other.ready()
    waiting.wait(0.3)
    [run] = waiting.web.registry['cron_claims'].due(waiting.web.registry['cron_tasks'], INSTANT + MINUTE, 'x').again
    other.tick(1)
    assert len(queue) == 2
    assert run.shared.claim_again([run]) == []
    assert other.claims.claim_again([run]) == []


@pytest.mark.slow
@pytest.mark.each_database
def test_a_sending_by_a_clock_that_was_ahead_does_not_count(queue, waiting):
    waiting.servers.change(sent_again_at=1e12)
    waiting.web.tick(1)
    assert len(queue) == 1
    waiting.wait(0.3)
    waiting.servers.change(sent_again_at=1e12)
    waiting.web.tick(2)
    waiting.web.tick(3)
    assert len(queue) == 2


def test_a_run_that_a_worker_begins_meanwhile_is_not_sent_again(servers, queue, waiting):
    worker = servers.start(catch_up=LONG).add(via=queue)
    worker.ready()
    waiting.wait(0.3)
    with waiting.web.overtaken(of=tasks, kind=('lock', 'update'), by=lambda: begin(worker, queue[0])):
        waiting.web.tick(1)
    assert len(queue) == 1
    assert waiting.reasons() == [('ok', None)]


def test_a_failed_sending_is_repeated_at_the_next_tick(queue, waiting, warnings):
    waiting.wait(0.3)
    queue.broken = ConnectionError('no broker')
    assert not waiting.web.tick(1).failed
    assert warnings() == ['task task cannot be enqueued again: ConnectionError: no broker']
    assert waiting.reasons() == [('queued', 'it cannot be enqueued again: ConnectionError: no broker')]
    queue.broken = None
    waiting.web.tick(2)
    waiting.web.tick(3)
    assert len(queue) == 2


def test_what_is_due_in_the_same_tick_runs_too(servers, queue):
    waiting = Waiting(servers, queue)
    waiting.web.add('other', min='*')
    waiting.web.tick(0)
    waiting.wait(0.3)
    assert waiting.web.tick(1).names('ok') == ['other']
    assert len(queue) == 2


def test_a_due_minute_is_skipped_while_it_is_sent_again(queue, waiting):
    waiting.wait(0.3)
    assert waiting.web.tick(5).names('skipped') == ['task']
    assert len(queue) == 2


def test_a_run_by_name_is_sent_again_under_its_key(servers, queue, waiting):
    worker = servers.start(catch_up=LONG).add(via=queue)
    begin(worker, queue.pop())
    run_through(waiting.web.config.make_wsgi_app(), waiting.web.registry, INSTANT, ['task'], enqueue=True)
    waiting.wait(0.3)
    waiting.web.tick(1)
    first, second = queue
    assert first.key == second.key
    assert [begin(worker, handover).outcome for handover in queue] == ['ok', 'skipped']


def test_a_paused_task_is_sent_again_once_it_is_resumed(queue, waiting):
    waiting.web.store.pause(['task'], reason='a deploy')
    waiting.wait(0.3)
    waiting.web.tick(1)
    assert len(queue) == 1
    waiting.web.store.resume(['task'])
    waiting.web.tick(2)
    assert len(queue) == 2


def test_a_task_without_an_engine_is_not_sent_again(servers, queue, waiting):
    waiting.wait(0.3)
    servers.start(catch_up=DAY).add(via=False).tick(1)
    servers.start(catch_up=DAY).add('other').tick(2)
    servers.start(catch_up=DAY).add('new', was='task', via=queue).tick(3)
    assert len(queue) == 1


def test_a_run_that_is_being_sent_is_not_sent_again(servers, queue, waiting):
    values = {'id': 'p', 'host': 'h', 'pid': 1, 'boot_and_pidns': 'x', 'lease_until': 1e12}
    servers.execute(insert(processes).values(values))
    servers.change(process='p')
    waiting.wait(0.3)
    waiting.web.tick(1)
    assert len(queue) == 1


@pytest.mark.slow
def test_runs_are_sent_again_together(servers, queue):
    web = servers.start(catch_up=DAY)
    for number in range(20):
        web.add(str(number), via=queue)
    web.tick(0)
    for number in range(20):
        servers.change(str(number), started_at=servers.row(str(number))['started_at'] - 30000)
    with web.executed() as statements:
        web.tick(1)
    assert len(queue) == 40
    # for each the row of its task, which a server locks before, and the history; and what a tick needs
    assert len(statements) <= (50 if servers.engine.dialect.name == 'sqlite' else 70)


def test_a_queued_run_costs_a_tick_no_statement_more(queue, waiting):
    waiting.web.tick(1)
    with waiting.web.executed() as statements:
        waiting.web.tick(2)
    waiting.wait(0.3)
    waiting.web.tick(3)
    with waiting.web.executed() as after:
        waiting.web.tick(4)
    assert len(after) == len(statements)


def test_what_the_engine_still_has_is_not_sent_again(servers, queue, waiting, warnings, monkeypatch):
    monkeypatch.setattr(EngineAdapter, 'message_states', lambda engine, runs, connection: {runs[0].token: WAITS})
    waiting.wait(0.3)
    waiting.web.tick(1)
    waiting.web.tick(2)
    assert len(queue) == 1
    assert warnings() == []
    assert waiting.reasons() == [('queued', 'its job waits')]


def test_an_engine_that_cannot_look_sends_nothing(queue, waiting, warnings, monkeypatch):
    def fail(engine, runs, connection):
        raise ValueError('no table')

    monkeypatch.setattr(EngineAdapter, 'message_states', fail)
    waiting.wait(0.3)
    waiting.web.tick(1)
    assert warnings() == ['task task is not enqueued again: it cannot be enqueued: ValueError: no table']
    monkeypatch.undo()
    waiting.web.tick(2)
    assert len(queue) == 2


def test_one_that_cannot_be_looked_at_keeps_no_other(servers, queue, warnings, monkeypatch):
    def fail(engine, runs, connection):
        if any(run.task.name == 'bad' for run in runs):
            raise ValueError
        return {}

    web = servers.start(catch_up=DAY).add('bad', via=queue).add('good', via=queue)
    web.tick(0)
    for name in ('bad', 'good'):
        servers.change(name, started_at=servers.row(name)['started_at'] - 30000)
    monkeypatch.setattr(EngineAdapter, 'message_states', fail)
    web.tick(1)
    assert [handover.task for handover in queue] == ['bad', 'good', 'good']


def test_without_the_store_nothing_is_sent_again(queue, waiting, warnings):
    waiting.wait(0.3)
    with waiting.web.outage(of=tasks, kind='update', sets='sent_again_at'):
        waiting.web.tick(1)
    [warning] = warnings()
    assert warning.startswith('1 queued runs are not enqueued again: ')
    assert len(queue) == 1


def test_a_run_that_nobody_begins_is_missed_with_the_reason(queue, waiting, servers):
    waiting.wait(0.3)
    waiting.web.tick(1)
    waiting.wait(0.8)
    waiting.web.tick(2)
    assert waiting.reasons() == [('missed', 'no worker began it in 26 h 24 min, though it was enqueued again')]


def test_a_run_whose_message_waits_is_missed_with_that_reason(queue, waiting, monkeypatch):
    monkeypatch.setattr(EngineAdapter, 'message_states', lambda engine, runs, connection: {runs[0].token: WAITS})
    waiting.wait(0.3)
    waiting.web.tick(1)
    waiting.wait(0.8)
    waiting.web.tick(2)
    assert waiting.reasons() == [('missed', 'no worker began it in 26 h 24 min: its job waits')]


def test_a_worker_that_failed_before_the_task_is_told_apart(queue, waiting, servers):
    delivery = Delivery('task', INSTANT)
    record_worker_failure(waiting.web.claims.database, delivery, LookupError('no such task'), 7, 'h')
    failed = 'a worker failed before the task: LookupError: no such task, process 7 on h'
    assert waiting.reasons() == [('queued', failed)]
    waiting.wait(0.3)
    waiting.web.tick(1)
    assert waiting.reasons() == [('queued', f'{failed}; enqueued again')]
    waiting.wait(0.8)
    waiting.web.tick(2)
    reason = (
        'a worker failed before the task, and none began it in 26 h 24 min: LookupError: no such task, process 7 on h'
    )
    assert waiting.reasons() == [('missed', reason)]


def test_a_failed_job_counts_as_a_failed_worker(queue, waiting, servers, monkeypatch):
    failed = MessageState('its job failed', is_failed=True)
    monkeypatch.setattr(EngineAdapter, 'message_states', lambda engine, runs, connection: {runs[0].token: failed})
    waiting.wait(0.3)
    waiting.web.tick(1)
    assert len(queue) == 2
    assert waiting.reasons() == [('queued', 'its job failed; enqueued again')]
    assert waiting.web.store.states()['task'].worker_failure == 'its job failed'


@pytest.mark.parametrize('delivery', [Delivery('gone', INSTANT), Delivery('task', INSTANT + MINUTE)])
def test_the_failure_of_another_run_is_not_recorded(waiting, delivery):
    record_worker_failure(waiting.web.claims.database, delivery, LookupError(), 7, 'h')
    assert waiting.reasons() == [('queued', None)]


def test_a_failure_after_the_run_has_begun_is_not_recorded(servers, queue, waiting):
    database = waiting.web.claims.database
    worker = servers.start(catch_up=LONG).add(via=queue)
    worker.ready()

    def fail():
        record_worker_failure(database, Delivery('task', INSTANT), LookupError(), 7, 'h')

    with waiting.web.overtaken(of=tasks, kind='update', sets='not_begun', by=lambda: begin(worker, queue[0])):
        fail()
    fail()
    assert waiting.reasons() == [('ok', None)]


def test_a_failure_of_an_earlier_run_is_forgotten(queue, waiting, servers):
    record_worker_failure(waiting.web.claims.database, Delivery('task', INSTANT), LookupError(), 7, 'h')
    worker = servers.start(catch_up=LONG).add(via=queue)
    begin(worker, queue[0])
    waiting.web.tick(5)
    assert waiting.web.store.states()['task'].worker_failure is None


def test_a_row_that_is_locked_is_sent_again_at_the_next_tick(servers, queue, waiting, monkeypatch):
    def locked(*arguments):
        raise Locked

    waiting.wait(0.3)
    monkeypatch.setattr(TaskClaims, 'send_again', locked)
    waiting.web.tick(1)
    assert len(queue) == 1
    monkeypatch.undo()
    waiting.web.tick(2)
    assert len(queue) == 2
