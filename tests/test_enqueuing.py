"""Which runs are enqueued together, and what becomes of each."""

from datetime import datetime, timezone

import pytest

from pyramid_cron import Task
from pyramid_cron.claims import Claimed
from pyramid_cron.enqueuing import Enqueuing, batches
from pyramid_cron.not_claimed import NotClaimed
from pyramid_cron.orders import Order
from pyramid_cron.outcomes import FAILED, QUEUED
from pyramid_cron.reports import TaskReport

MINUTE = datetime(2026, 11, 30, 2, 0, tzinfo=timezone.utc)


class Engine:
    """An engine that keeps the names of the tasks that it enqueues."""

    is_limited = False

    def __init__(self, broker='a broker', within_claim=False, refuses=()):
        self.broker, self.within_claim, self.refuses = broker, within_claim, refuses
        self.enqueued = []

    def key(self, run):
        return f'shop:{run.task.name}'

    def enqueue(self, run):
        if run.task.name in self.refuses:
            raise self.refuses[run.task.name]
        self.enqueued.append(run.task.name)


class Run:
    """A run that claims nothing by itself."""

    not_claimed, minute, attempt = None, MINUTE, 1

    @staticmethod
    def excuse(error):
        return None

    def __init__(self, name, engine, shared='shared', idle=False):
        self.task = Task(print, name=name, idle=idle)
        self.engine, self.shared = engine, shared
        self.interrupted = False

    def interrupt(self):
        self.interrupted = True


class Shared:
    """Claims of runs that are all free but for some."""

    def __init__(self, taken=(), fails=False):
        self.taken, self.fails, self.marked = taken, fails, []

    def claim_all(self, runs):
        free = [run for run in runs if run.task.name not in self.taken]
        return Claimed(free, [run for run in runs if run not in free])

    def mark_enqueued(self, runs):
        if self.fails:
            raise ValueError('no luck')
        self.marked += names(runs)


def names(runs):
    return [run.task.name for run in runs]


@pytest.fixture
def enqueuing():
    return Enqueuing(Order(None, MINUTE), lambda run, report: report._replace(reason='released'))


def test_runs_are_enqueued_together_by_their_broker():
    celery, slow, other = Engine('celery'), Engine('celery'), Engine([])
    runs = [Run(str(number), engine) for number, engine in enumerate([celery, other, slow, None, other, Engine('x')])]
    assert [names(batch) for _, batch in batches(runs)] == [['0', '2'], ['1', '4']]


def test_equal_callables_are_not_one_broker():
    one, other = Engine([]), Engine([])
    assert batches([Run('one', one), Run('other', other)]) == []


@pytest.mark.parametrize('change', [{'idle': True}, {'shared': None}])
def test_some_runs_are_enqueued_by_themselves(change):
    engine = Engine()
    assert batches([Run('one', engine, **change), Run('other', engine, **change)]) == []


def test_a_run_that_may_not_begin_is_not_enqueued():
    engine = Engine()
    runs = [Run('one', engine), Run('other', engine), Run('third', engine)]
    runs[0].not_claimed = NotClaimed('paused')
    assert [names(batch) for _, batch in batches(runs)] == [['other', 'third']]


def test_what_is_claimed_is_sent_and_recorded_together(enqueuing):
    engine, shared = Engine(), Shared(taken=['taken'])
    runs = [Run(name, engine) for name in ('one', 'taken', 'other')]
    reports, claimed = enqueuing.enqueue_all(shared, runs)
    assert (engine.enqueued, shared.marked) == (['one', 'other'], ['one', 'other'])
    assert {run.task.name: report.outcome for run, report in reports.items()} == {'one': QUEUED, 'other': QUEUED}
    assert names(claimed.not_free) == ['taken']


def test_an_engine_within_the_claim_has_sent_them(enqueuing):
    engine, shared = Engine(within_claim=True), Shared()
    reports, _ = enqueuing.enqueue_all(shared, [Run('one', engine), Run('other', engine)])
    assert (engine.enqueued, shared.marked) == ([], [])
    assert [report.outcome for report in reports.values()] == [QUEUED, QUEUED]


def test_what_is_not_sent_is_released_by_itself(enqueuing):
    engine, shared = Engine(refuses={'one': ValueError('not this one')}), Shared()
    reports, _ = enqueuing.enqueue_all(shared, [Run('one', engine), Run('other', engine)])
    assert [(report.outcome, report.reason) for report in reports.values()] == [(FAILED, 'released'), (QUEUED, None)]
    assert shared.marked == ['other']


def test_without_a_record_of_all_each_is_recorded(enqueuing):
    engine, shared = Engine(), Shared(fails=True)
    reports, _ = enqueuing.enqueue_all(shared, [Run('one', engine), Run('other', engine)])
    assert [(report.outcome, report.reason) for report in reports.values()] == [(QUEUED, 'released')] * 2


def test_nothing_is_recorded_if_nothing_is_sent(enqueuing):
    refused = ValueError('none')
    engine, shared = Engine(refuses={'one': refused, 'other': refused}), Shared(fails=True)
    reports, _ = enqueuing.enqueue_all(shared, [Run('one', engine), Run('other', engine)])
    assert [report.exception for report in reports.values()] == [refused, refused]


def test_an_exit_interrupts_what_is_not_sent(enqueuing):
    engine, shared = Engine(refuses={'second': KeyboardInterrupt()}), Shared()
    runs = [Run(name, engine) for name in ('first', 'second', 'third')]
    with pytest.raises(KeyboardInterrupt):
        enqueuing.enqueue_all(shared, runs)
    assert [run.interrupted for run in runs] == [False, True, True]
    assert shared.marked == ['first']


def test_a_run_reports_its_engine(enqueuing, caplog):
    caplog.set_level('INFO', 'pyramid_cron')
    engine = Engine()
    report = enqueuing.enqueue(Run('one', engine))
    assert report == TaskReport('one', QUEUED, report.seconds, engine=str(engine), key='shop:one')
    assert caplog.messages == [f'task one is enqueued with {engine} as shop:one']


def test_a_run_that_is_not_sent_reports_the_engine_that_did_not_take_it(enqueuing):
    engine = Engine(refuses={'one': ValueError('not this one')})
    report = enqueuing.enqueue(Run('one', engine))
    assert (report.outcome, report.engine, report.key) == (FAILED, str(engine), None)


class Waits(Engine):
    """An engine whose broker answers nothing, after a while."""

    def __init__(self, clock, seconds, broker):
        super().__init__(broker)
        self._clock, self._seconds, self.tried = clock, seconds, 0

    def enqueue(self, run):
        self.tried += 1
        self._clock.append(self._clock[-1] + self._seconds)
        raise OSError('no answer')


@pytest.mark.parametrize(('seconds', 'tried'), [(30, 1), (2, 1), (1.5, 2), (0.5, 4), (0.01, 20)])
def test_a_broker_that_is_away_costs_one_wait(seconds, tried):
    clock = [0.0]
    engine, other = Waits(clock, seconds, ['broker']), Waits(clock, 30, 'another')
    enqueuing = Enqueuing(Order(None, MINUTE, monotonic=lambda: clock[-1]), lambda run, report: report)
    for number in range(20):
        assert enqueuing.enqueue(Run(str(number), engine)).outcome == FAILED
        enqueuing.enqueue(Run(f'other {number}', other))
    assert (engine.tried, other.tried) == (tried, 1)


def test_a_claim_that_fails_leaves_each_to_itself(enqueuing, caplog):
    class Broken(Shared):
        def claim_all(self, runs):
            raise RuntimeError('no thread left')

    engine = Engine()
    reports, claimed = enqueuing.enqueue_all(Broken(), [Run('one', engine), Run('other', engine)])
    assert (reports, claimed) == ({}, Claimed([], []))
    assert caplog.messages == ['2 tasks cannot be enqueued together, and are one by one']


def test_an_exit_in_a_claim_passes_through(enqueuing):
    class Stops(Shared):
        def claim_all(self, runs):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        enqueuing.enqueue_all(Stops(), [Run('one', Engine()), Run('other', Engine())])
