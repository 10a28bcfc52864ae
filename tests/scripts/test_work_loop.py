"""The loop of ``pcron work``, and the signals that end it."""

import logging
import os
import signal
import threading
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest

from pyramid_cron.schedules import clock
from pyramid_cron.scripts.work_loop import Shutdown, work
from tests.support.exceptions import Refused
from tests.support.pcron import UTC, noon


class Clock:
    """A clock that moves with every wait, and jumps at the n-th wait by ``jumps[n]`` seconds as well."""

    def __init__(self, start, waits, jumps=None):
        self.instant = start
        self.left = waits
        self.waited = []
        self.jumps = jumps or {}
        self.ticks = []

    def now(self):
        return self.instant

    def wait(self, seconds):
        if len(self.waited) == self.left:
            return True
        self.pass_by(seconds + self.jumps.get(len(self.waited), 0))
        self.waited.append(seconds)
        return False

    def work(self, tick, zone=UTC):
        work(tick, since=clock.minute_of(self.instant), zone=zone, now=self.now, wait=self.wait)

    def pass_by(self, seconds):
        self.instant += timedelta(seconds=seconds)

    def tick(self, minute):
        self.ticks.append((minute, self.instant))


def test_it_ticks_at_the_beginning_of_each_minute(caplog):
    clock = Clock(noon(seconds=17.25), 3)
    clock.work(clock.tick)
    assert clock.ticks == [(noon(1), noon(1)), (noon(2), noon(2)), (noon(3), noon(3))]
    assert clock.waited == [42.75, 60, 60]
    assert caplog.messages == []


def test_the_time_that_ticks_take_does_not_add_up():
    clock = Clock(noon(seconds=30), 3)

    def tick(minute):
        clock.tick(minute)
        clock.pass_by(20.5)

    clock.work(tick)
    assert clock.ticks == [(noon(1), noon(1)), (noon(2), noon(2)), (noon(3), noon(3))]
    assert clock.waited == [30, 39.5, 39.5]


def test_waking_early_ticks_nothing_twice():
    # 0.2 seconds too early each time
    clock = Clock(noon(), 4, {0: -0.2, 2: -0.2})
    clock.work(clock.tick)
    assert [minute for minute, _ in clock.ticks] == [noon(1), noon(2)]
    assert clock.waited == pytest.approx([60, 0.2, 60, 0.2])


def test_a_tick_that_takes_too_long_skips_minutes(caplog):
    clock = Clock(noon(), 3)

    def tick(minute):
        clock.tick(minute)
        if minute == noon(1):
            clock.pass_by(150)

    clock.work(tick)
    # the minute that has begun meanwhile is not lost
    assert clock.ticks == [(noon(1), noon(1)), (noon(3), noon(3, 30)), (noon(4), noon(4))]
    assert clock.waited == [60, 0, 30]
    (message,) = caplog.messages
    assert message.startswith('skipped 1 min from 2026-12-24 12:02:00+00:00 on: ')


def test_a_machine_that_slept_skips_minutes(caplog):
    clock = Clock(noon(), 3, {1: 3600})
    clock.work(clock.tick)
    assert [minute for minute, _ in clock.ticks] == [noon(1), noon(62), noon(63)]
    (message,) = caplog.messages
    assert message.startswith('skipped 60 min from 2026-12-24 12:02:00+00:00 on: ')


def test_a_clock_set_back_ticks_no_minute_twice(caplog):
    clock = Clock(noon(), 9, {2: -300})
    clock.work(clock.tick)
    minutes = [minute for minute, _ in clock.ticks]
    assert minutes == [noon(1), noon(2), noon(3), noon(4)]
    # the clock is read at least once a minute, because it may be set right
    assert max(clock.waited) == 60
    (message,) = caplog.messages
    assert 'was set back to 2026-12-24 11:58:00+00:00: nothing runs until 2026-12-24 12:03:00+00:00' in message


def test_a_clock_that_is_set_back_twice_is_reported_twice(caplog):
    clock = Clock(noon(), 9, {1: -180, 6: -180})
    clock.work(clock.tick)
    assert [minute for minute, _ in clock.ticks] == [noon(1), noon(2), noon(3)]
    assert [message[:22] for message in caplog.messages] == ['the clock was set back'] * 2


@pytest.mark.parametrize('jump', [4 * 3600, 30 * 86400])
def test_a_clock_set_back_for_hours_is_believed(caplog, jump):
    clock = Clock(noon(), 4, {2: -jump})
    clock.work(clock.tick)
    back = noon(3, -jump)
    assert [minute for minute, _ in clock.ticks] == [noon(1), noon(2), back, back + timedelta(minutes=1)]
    (message,) = caplog.messages
    assert message.startswith(f'the clock was set back from {noon(2)} to {back}: it is believed')


def test_a_clock_that_was_ahead_for_one_tick_ticks_no_minute_between(caplog):
    years = 4 * 365 * 86400
    clock = Clock(noon(), 4, {1: years, 2: -years})
    clock.work(clock.tick)
    assert [minute for minute, _ in clock.ticks] == [noon(1), noon(2, years), noon(3), noon(4)]
    assert max(clock.waited) == 60
    assert len(caplog.messages) == 2


def test_a_tick_that_raises_is_logged_and_the_loop_goes_on(caplog):
    clock = Clock(noon(), 2)

    def tick(minute):
        clock.tick(minute)
        raise RuntimeError('a detail')

    clock.work(tick)
    assert len(clock.ticks) == 2
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert 'a detail' in caplog.text


def test_a_tick_that_exits_ends_the_loop():
    clock = Clock(noon(), 2)

    def tick(minute):
        raise SystemExit(3)

    with pytest.raises(SystemExit, match='3'):
        clock.work(tick)


def test_the_log_is_in_the_applications_time_zone(caplog):
    clock = Clock(noon(), 4, {1: 3600, 2: -7200})

    def tick(minute):
        raise RuntimeError('a detail')

    clock.work(tick, zone=ZoneInfo('Europe/Berlin'))
    assert [message[:62] for message in caplog.messages] == [
        'the run for 2026-12-24 13:01:00+01:00 failed',
        'skipped 60 min from 2026-12-24 13:02:00+01:00 on: the machine ',
        'the run for 2026-12-24 14:02:00+01:00 failed',
        'the clock was set back to 2026-12-24 12:03:00+01:00: nothing r',
    ]


SIGNALS = (signal.SIGTERM, signal.SIGINT)


@pytest.mark.parametrize('number', SIGNALS)
def test_the_first_signal_only_ends_the_wait(number):
    before = {number: signal.getsignal(number) for number in SIGNALS}
    shutdown = Shutdown()
    with shutdown.on_signals():
        assert shutdown.wait(0) is False
        assert (shutdown.requested(), shutdown.cause()) == (False, None)
        signal.raise_signal(number)
        assert (shutdown.requested(), shutdown.cause()) == (True, number.name)
        assert shutdown.wait(600) is True
    assert {number: signal.getsignal(number) for number in before} == before


@pytest.mark.parametrize('first', SIGNALS)
@pytest.mark.parametrize('second', SIGNALS)
def test_each_further_signal_interrupts_what_runs(first, second):
    shutdown = Shutdown()
    with shutdown.on_signals():
        signal.raise_signal(first)
        for number in (second, first):
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(number)
            assert shutdown.signal == number


def test_a_signal_during_a_task_prints_a_notice(capfd):
    shutdown = Shutdown('ending')
    with shutdown.on_signals():
        # the first task runs after a wait
        assert shutdown.wait(0) is False
        signal.raise_signal(signal.SIGINT)
    assert capfd.readouterr() == ('', 'ending\n')


def test_a_signal_during_a_wait_prints_no_notice(capfd):
    shutdown = Shutdown('ending')
    with shutdown.on_signals():

        def interrupt(waiter):
            while not shutdown.waiting:
                pass
            signal.pthread_kill(waiter, signal.SIGINT)

        thread = threading.Thread(target=interrupt, args=[threading.get_ident()])
        thread.start()
        assert shutdown.wait(600) is True
        thread.join()
    assert capfd.readouterr() == ('', '')


def test_a_signal_in_another_thread_ends_the_wait():
    shutdown = Shutdown()

    def interrupt():
        while not shutdown.waiting:
            pass
        # in this thread, so that nothing is interrupted in the main one
        signal.raise_signal(signal.SIGINT)

    with shutdown.on_signals():
        thread = threading.Thread(target=interrupt)
        thread.start()
        assert shutdown.wait(20) is True
        thread.join()


def test_a_forked_child_ends_by_the_signal_itself():
    came = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    try:
        shutdown = Shutdown()
        with shutdown.on_signals():
            # as it is in the child
            shutdown.pid = os.getppid()
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert came == [signal.SIGTERM]
    assert shutdown.requested() is False


def test_a_tick_whose_error_cannot_be_shown_does_not_end_the_loop(caplog):
    def refuse(minute):
        raise Refused

    Clock(noon(-1), 1).work(refuse)
    assert caplog.messages[-1] == 'the run for 2026-12-24 12:00:00+00:00 failed: Refused, which cannot be shown'
