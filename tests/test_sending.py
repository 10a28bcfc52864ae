"""Which broker is not waited for again."""

import pytest

from pyramid_cron.errors import EngineNotAnswering
from pyramid_cron.sending import LONG_WAIT, Sender


class Engine:
    """An engine that takes so many seconds to refuse a run."""

    def __init__(self, clock, seconds, broker):
        self.clock, self.seconds, self.broker = clock, seconds, broker

    def __str__(self):
        return 'an engine'

    def enqueue(self, run):
        self.clock.append(self.clock[-1] + self.seconds)
        raise ConnectionError


class Run:
    def __init__(self, engine):
        self.engine = engine


@pytest.mark.parametrize(('seconds', 'second'), [(LONG_WAIT, EngineNotAnswering), (LONG_WAIT / 2, ConnectionError)])
def test_a_broker_that_kept_a_run_waiting_is_not_waited_for_again(seconds, second):
    clock = [0.0]
    sender = Sender(lambda: clock[-1])
    for error in (ConnectionError, second):
        with pytest.raises(error):
            sender.send(Run(Engine(clock, seconds, 'a broker')))
    # the waits of all runs add up
    assert sender.is_silent(Engine(clock, 0, 'a broker'))
    assert not sender.is_silent(Engine(clock, 0, 'another'))
