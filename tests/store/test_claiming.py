"""Claims of several runs: the first that is free, or all that go to one engine."""

import pytest
from pyramid.scripting import prepare
from sqlalchemy import select

from pyramid_cron import runner
from pyramid_cron.errors import Unavailable
from pyramid_cron.events import ITaskMissed
from pyramid_cron.orders import Order
from pyramid_cron.reports import TaskReport
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store import claiming
from pyramid_cron.store.schema import runs as history
from pyramid_cron.store.schema import tasks
from pyramid_cron.store.tick_work import FEWEST_LOOKS
from tests.support.enqueueing import LONG, Queue
from tests.support.servers import INSTANT
from tests.support.statements import GONE
from tests.support.threads import without_threads

pytestmark = pytest.mark.each_database
NAMES = [f'task {number:02}' for number in range(9)]


@pytest.fixture
def queue():
    return Queue()


@pytest.fixture
def two(servers):
    """Two servers with nine tasks that are due each minute."""
    found = [servers.start(), servers.start()]
    for server in found:
        for name in NAMES:
            server.add(name, min='*')
    for server in found:
        server.tick(0)
        server.ran.clear()
    return found


def names(runs):
    return [run.task.name for run in runs]


@pytest.mark.slow
def test_each_process_claims_the_first_that_is_free(two):
    first, second = two
    mine, others = first.runs(1), second.runs(1)
    assert names(first.claims.claim_first(mine).runs) == NAMES[:1]
    # as long as the first is free, no other is looked at
    claimed = second.claims.claim_first(others)
    assert (names(claimed.runs), names(claimed.not_free)) == ([], NAMES[:FEWEST_LOOKS])
    claimed = second.claims.claim_first(others)
    assert (names(claimed.runs), names(claimed.not_free)) == (NAMES[1:2], NAMES[:1])


@pytest.mark.slow
def test_what_is_not_free_is_explained_together(servers, two):
    first, second = two
    mine, others = first.runs(1), second.runs(1)
    for run in mine[:2]:
        first.claims.claim(run)
    mine[0].release(TaskReport(NAMES[0], 'ok'))
    servers.change(NAMES[2], last_minute=None)
    with second.executed() as statements:
        reasons = second.claims.why_not_free(others[:3])
    assert [reason and reason.reason for reason in reasons] == ['already run', 'already run', None]
    # the rows of those that may be free
    assert len(statements) == 1


@pytest.mark.slow
def test_a_run_that_is_free_after_all_runs(servers, two):
    """A row that is locked for a moment is passed over, and looked at again at the end."""
    first, _ = two
    claims = first.claims
    claim_first, passed = claims.claim_first, []

    def pass_over_once(runs):
        runs = list(runs)
        if not passed:
            servers.change(NAMES[0], run_id='other')
            passed.append(runs[0])
            return claim_first(runs)._replace(runs=[], not_free=runs[:1])
        return claim_first(runs)

    claims.claim_first = pass_over_once
    why_not_free = claims.why_not_free

    def free_again(runs):
        servers.change(NAMES[0], run_id=None)
        return why_not_free(runs)

    claims.why_not_free = free_again
    report = first.tick(1)
    assert report.names('ok') == NAMES
    assert names(passed) == NAMES[:1]
    assert [name for name, _ in first.ran] == [*NAMES[1:], NAMES[0]]


@pytest.mark.slow
def test_a_claim_without_an_answer_is_of_any_run_that_it_looked_at(servers, two, warnings):
    """It may stand although the answer was lost, and then none of these runs must stay claimed."""
    first, second = two
    mine, others = first.runs(1), second.runs(1)
    first.claims.claim(mine[0])
    second.claims.claim_first(others)
    tokens = {run.run_id for run in others}
    with second.answer_lost(), pytest.raises(Unavailable):
        second.claims.claim_first(others)
    assert servers.row(NAMES[1])['run_id'] in tokens
    second.claims.own.heartbeat.beat()
    assert servers.row(NAMES[1])['run_id'] is None
    assert servers.row(NAMES[1])['retry_reason'] == 'lost'
    # the next tick repeats it, and this one reports that
    [why] = second.claims.why_not_free(others[1:2])
    assert (why.outcome, why.reason) == ('lost', 'a process was lost that had claimed it, and the next tick repeats it')
    assert second.tick(2).names('ok') != []


@pytest.mark.slow
def test_a_refused_claim_is_a_failure_of_its_task_alone(two, warnings):
    first, _ = two
    with first.outage(of=history, kind='insert', times=1):
        report = first.tick(1)
    assert report.names('failed') == NAMES[:1]
    assert report.names('ok') == NAMES[1:]


@pytest.mark.slow
def test_runs_of_one_engine_are_enqueued_together(servers, queue):
    server = servers.start(catch_up=LONG)
    for name in NAMES:
        server.add(name, via=queue, min=1)
    server.tick(0)
    with server.executed() as statements:
        report = server.tick(1)
    assert report.names('queued') == NAMES
    assert [handover.task for handover in queue] == NAMES
    assert {row['process'] for row in servers.rows(tasks)} == {None}
    marks = [statement for statement in statements if statement.matches(of=tasks, kind='update', sets='process')]
    on_postgresql = servers.engine.dialect.name == 'postgresql'
    # one claim and one mark; elsewhere a claim for each in one transaction
    assert len(marks) == (2 if on_postgresql else len(NAMES) + 1)
    assert server.claims.own.heartbeat.is_idle


class Picky(Queue):
    """A queue that refuses one task."""

    def __call__(self, handover):
        if handover.task == NAMES[4]:
            raise ConnectionError('not this one')
        super().__call__(handover)


@pytest.mark.slow
def test_a_task_that_is_not_sent_keeps_no_other(servers, warnings):
    queue = Picky()
    server = servers.start(catch_up=LONG)
    for name in NAMES:
        server.add(name, via=queue, min=1)
    report = server.tick(1)
    assert report.names('failed') == [NAMES[4]]
    assert report.names('queued') == [name for name in NAMES if name != NAMES[4]]
    assert servers.row(NAMES[4])['retry_reason'] == 'unsent'
    assert server.claims.own.heartbeat.is_idle


@pytest.mark.slow
def test_without_a_record_that_they_are_sent_they_are_recorded_one_by_one(servers, queue, warnings):
    server = servers.start(catch_up=LONG)
    for name in NAMES:
        server.add(name, via=queue, min=1)
    server.tick(0)

    def fail(run_ids):
        raise Unavailable(GONE)

    server.claims.mark_enqueued = fail
    with server.executed() as statements:
        report = server.tick(1)
    assert report.names('queued') == NAMES
    assert {row['process'] for row in servers.rows(tasks)} == {None}
    assert server.claims.own.heartbeat.is_idle
    assert len([found for found in statements if found.matches(of=tasks, kind='update', sets='process')]) > len(NAMES)


@pytest.mark.slow
def test_an_interrupted_batch_is_sent_again(servers, queue):
    class Stops(Queue):
        def __call__(self, handover):
            if len(self) == 3:
                raise KeyboardInterrupt
            super().__call__(handover)

    stops = Stops()
    server = servers.start(catch_up=LONG)
    for name in NAMES:
        server.add(name, via=stops, min=1)
    with pytest.raises(KeyboardInterrupt):
        server.tick(1)
    sent = {row['task'] for row in servers.rows(tasks) if row['retry_reason'] is None}
    assert sent == set(NAMES[:3])
    assert {row['process'] for row in servers.rows(tasks)} == {None}


@pytest.mark.slow
def test_a_locked_run_of_a_batch_is_claimed_by_itself(servers, queue, warnings):
    server = servers.start(catch_up=LONG)
    for name in NAMES:
        server.add(name, via=queue, min=1)
    server.tick(0)
    if servers.engine.dialect.name == 'sqlite':
        return
    with servers.engine.connect() as other:
        other.execute(select(tasks).where(tasks.c.task == NAMES[2]).with_for_update())
        report = server.tick(1)
    assert report.names('locked') == [NAMES[2]]
    assert len(report.names('queued')) == len(NAMES) - 1


@pytest.mark.slow
def test_a_batch_without_a_database_fails_task_by_task(servers, queue, warnings):
    server = servers.start(catch_up=LONG)
    for name in NAMES:
        server.add(name, via=queue, min=1)
    server.tick(0)
    with server.outage(of=history, kind='insert'):
        report = server.tick(1)
    assert report.names('failed') == NAMES
    assert {str(task.exception) for task in report.tasks} == {GONE}
    assert queue == []


class WithinClaim:
    """An engine that enqueues within the claim, and refuses one task."""

    within_claim, broker = True, 'a broker'
    is_limited = False

    def __init__(self):
        self.batches = []

    def key(self, run):
        return f'shop:{run.task.name}'

    def enqueue_all(self, runs, connection):
        self.batches.append(len(runs))
        if NAMES[4] in names(runs):
            raise ConnectionError('not this one')


def enqueue_with(server, engine):
    """Add tasks that are due at the next tick and have an engine, and send a tick before that."""
    for name in NAMES:
        server.add(name, min=1)
    server.ready()
    for name in NAMES:
        server.task(name).engine = engine
    server.tick(0)


@pytest.mark.slow
def test_a_batch_that_fails_is_taken_apart(servers, warnings):
    server = servers.start(catch_up=LONG)
    engine = WithinClaim()
    enqueue_with(server, engine)
    report = server.tick(1)
    assert report.names('failed') == [NAMES[4]]
    assert report.names('queued') == [name for name in NAMES if name != NAMES[4]]
    # halves of nine until it is one of two, and then each by itself
    assert engine.batches == [9, 4, 5, 2, 3, 1, 1]
    assert [row['task'] for row in servers.rows(tasks) if row['run_id'] is None] == [NAMES[4]]
    failed = (NAMES[4], 'failed', 'it cannot be enqueued: ConnectionError: not this one')
    assert failed in servers.history('task', 'outcome', 'reason')


@pytest.mark.slow
def test_many_tasks_are_enqueued_in_batches(servers, queue, monkeypatch):
    # so that the test needs no thousand tasks
    monkeypatch.setattr(claiming, 'LARGEST_BATCH', 4)
    server = servers.start(catch_up=LONG)
    engine = WithinClaim()
    engine.enqueue_all = lambda runs, connection: engine.batches.append(len(runs))
    enqueue_with(server, engine)
    assert server.tick(1).names('queued') == NAMES
    # the last one by itself
    assert engine.batches == [4, 4, 1]


@pytest.mark.slow
@pytest.mark.parametrize('claim', ['claim_first', 'claim_all'])
def test_without_a_heartbeat_nothing_stays_claimed(servers, two, claim, warnings):
    first, _ = two
    runs = first.runs(1)
    # without the thread of the tick before
    first.claims.own._begin()
    with without_threads(), pytest.raises(RuntimeError):
        getattr(first.claims, claim)(runs)
    first.claims.own.heartbeat.beat()
    assert {row['run_id'] for row in servers.rows(tasks)} == {None}


@pytest.mark.slow
def test_runs_that_skip_minutes_are_claimed_in_turn(servers, two, warnings):
    first, second = two
    first.tick(2)
    mine, others = first.runs(5), second.runs(5)
    assert mine[0].decision.missed
    assert names(first.claims.claim_first(mine).runs) == NAMES[:1]
    claimed = second.claims.claim_first(others)
    claimed = second.claims.claim_first(others)
    assert (names(claimed.runs), names(claimed.not_free)) == (NAMES[1:2], NAMES[:1])
    # only those of the tasks that are claimed, and before their runs
    kept = [row for row in servers.rows(history) if row['scheduled_for'] > INSTANT + 2 * MINUTE]
    kept.sort(key=lambda row: (row['task'], row['started']))
    skipping = [(name, outcome) for name in NAMES[:2] for outcome in ('missed', 'missed', 'running')]
    assert [(row['task'], row['outcome']) for row in kept] == skipping


@pytest.mark.slow
def test_a_batch_after_a_gap_records_what_it_skips(servers, queue, warnings):
    missed = []
    server = servers.start(include=lambda config: config.add_subscriber(missed.append, ITaskMissed), catch_up=LONG)
    for name in NAMES:
        server.add(name, via=queue, min=(1, 2, 3, 4))
    server.tick(0)
    with server.executed() as statements:
        report = server.tick(4)
    assert report.names('queued') == NAMES
    assert len([row for row in servers.rows(history) if row['outcome'] == 'missed']) == 3 * len(NAMES)
    assert [(event.name, len(event.minutes)) for event in missed] == [(name, 3) for name in NAMES]
    inserts = [found for found in statements if found.matches(of=history, kind='insert')]
    # what they skip is one; the claim is another, or one for each run
    assert len(inserts) == (2 if servers.engine.dialect.name == 'postgresql' else 1 + len(NAMES))


@pytest.mark.slow
@pytest.mark.parametrize('claim', ['claim_first', 'claim_all'])
def test_an_interrupt_before_runs_begin_leaves_none_claimed(servers, two, claim):
    def stop(event):
        raise KeyboardInterrupt

    first = servers.start(include=lambda config: config.add_subscriber(stop, ITaskMissed))
    for name in NAMES:
        first.add(name, min='*')
    runs = first.runs(5)
    with pytest.raises(KeyboardInterrupt):
        getattr(first.claims, claim)(runs)
    first.claims.own.heartbeat.beat()
    assert {row['run_id'] for row in servers.rows(tasks)} == {None}
    assert first.claims.own.heartbeat.is_idle


@pytest.mark.slow
def test_nothing_is_enqueued_after_a_stop(servers, queue, warnings):
    server = servers.start(catch_up=LONG)
    for name in NAMES:
        server.add(name, via=queue, min=1)
    server.tick(0)
    order = Order(server.registry, INSTANT + MINUTE, stop=lambda: True)
    with prepare(registry=server.registry) as env:
        report = runner.run(env['request'], order)
    assert {task.reason for task in report.tasks} == {'stopping'}
    assert queue == []
