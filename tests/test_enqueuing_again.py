"""Queued runs that are enqueued again: what is sent, and what is left for the next tick."""

import pytest

from pyramid_cron.enqueuing_again import enqueue_again
from pyramid_cron.errors import Unavailable
from pyramid_cron.isolation import OF_COMMANDS
from pyramid_cron.sending import LONG_WAIT, Sender
from tests.test_enqueuing import Engine, Run, names


class Shared:
    """Claims of queued runs that are all to be enqueued again but for some."""

    def __init__(self, taken=(), fails=False):
        self.taken, self.fails = taken, fails
        self.claimed, self.later = [], {}

    def claim_again(self, runs):
        self.claimed.append(names(runs))
        return [run for run in runs if run.task.name not in self.taken]

    def send_again_later(self, failed):
        if self.fails:
            raise Unavailable('no store')
        self.later |= {run.task.name: reason for run, reason in failed.items()}


def runs(engine, shared):
    return [Run(name, engine, shared) for name in ('one', 'other', 'third')]


def again(runs, monotonic=lambda: 0.0):
    enqueue_again(runs, Sender(monotonic), OF_COMMANDS)


def test_those_that_are_claimed_are_sent(caplog):
    engine, shared = Engine(), Shared(taken=['other'])
    again(runs(engine, shared))
    assert (shared.claimed, engine.enqueued) == ([['one', 'other', 'third']], ['one', 'third'])
    assert len(caplog.messages) == 2
    assert shared.later == {}


def test_an_engine_within_the_claim_has_sent_them(caplog):
    engine = Engine(within_claim=True)
    again(runs(engine, Shared()))
    assert engine.enqueued == []
    assert len(caplog.messages) == 3


def test_a_run_without_a_store_is_not_sent_again():
    engine = Engine()
    again([Run('one', engine, None), Run('two', None, Shared())])
    assert engine.enqueued == []


def test_what_cannot_be_sent_is_left_for_the_next_tick(caplog):
    engine, shared = Engine(refuses={'other': ValueError('not this one')}), Shared()
    again(runs(engine, shared))
    assert engine.enqueued == ['one', 'third']
    assert shared.later == {'other': 'ValueError: not this one'}
    assert 'task other cannot be enqueued again: ValueError: not this one' in caplog.messages


def test_a_broker_is_waited_for_once_in_a_tick(caplog):
    clock = [0.0]

    class Slow(Engine):
        def enqueue(self, run):
            clock[0] += LONG_WAIT
            raise TimeoutError

    shared = Shared()
    sender = Sender(lambda: clock[0])
    enqueue_again(runs(Slow(), shared), sender, OF_COMMANDS)
    assert clock == [LONG_WAIT]
    assert set(shared.later) == {'one', 'other', 'third'}
    # and after new runs have waited for it in vain, nothing is claimed
    enqueue_again(runs(Slow(), shared), sender, OF_COMMANDS)
    assert len(shared.claimed) == 1
    assert caplog.messages[-1].startswith('3 queued runs are not enqueued again: ')


def test_an_exit_leaves_the_others_for_the_next_tick():
    engine, shared = Engine(refuses={'other': KeyboardInterrupt()}), Shared()
    with pytest.raises(KeyboardInterrupt):
        again(runs(engine, shared))
    assert set(shared.later) == {'other', 'third'}


def test_without_the_store_a_failure_is_in_the_log(caplog):
    again(runs(Engine(refuses={'one': ValueError()}), Shared(fails=True)))
    assert 'it cannot be recorded that 1 runs were not enqueued again: no store' in caplog.messages
