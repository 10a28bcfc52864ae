"""The loop of ``pcron work``: one tick at the beginning of each minute, in the foreground."""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime, tzinfo
from typing import Any

from pyramid_cron.printable import log_error
from pyramid_cron.schedules.clock import MINUTE, THREE_HOURS, minute_of, to_zone

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)

# the longest wait, after which the clock is read again, because it may have been set
MAX_WAIT = MINUTE.total_seconds()

# of what signals write to end a wait
MAX_BYTES = 4096


def work(
    tick: Callable[[datetime], object],
    *,
    since: datetime,
    zone: tzinfo | None,
    now: Callable[[], datetime],
    wait: Callable[[float], bool],
) -> None:
    """Tick in each minute after ``since``, as early in it as possible, until ``wait`` returns true.

    Each wait ends at the beginning of a minute of the clock, so that the time that ticks take never adds up. No minute
    is ticked twice, and none that is before a ticked one: after the clock is set back, nothing runs until it has
    reached the last ticked minute again. A clock that is set back by three hours or more was wrong before, and is
    believed now. An :class:`Exception` of a tick is logged.

    :param tick: called with the instant at which the minute began.
    :param since: the minute before the first.
    :param zone: the time zone of times in the log, ``None`` for the machine's.
    :param now: the clock, in UTC.
    :param wait: waits for a number of seconds and returns false, or returns true at once to end the loop.
    """
    last, held = since, False
    while not wait(_seconds(last + MINUTE, now())):
        minute = minute_of(now())
        if last - minute >= THREE_HOURS:
            log.warning(
                'the clock was set back from %s to %s: it is believed, and minutes that have run may run again',
                to_zone(last, zone),
                to_zone(minute, zone),
            )
            last = minute - MINUTE
        elif minute < last and not held:
            log.warning(
                'the clock was set back to %s: nothing runs until %s, so that no minute runs twice; '
                'restart this if the time before was wrong',
                to_zone(minute, zone),
                to_zone(last + MINUTE, zone),
            )
            held = True
        if minute <= last:
            continue
        missed = (minute - last) // MINUTE - 1
        if missed:
            log.warning(
                'skipped %d min from %s on: the machine slept, its clock was set, or the run before took too long',
                missed,
                to_zone(last + MINUTE, zone),
            )
        last, held = minute, False
        try:
            tick(minute)
        except Exception as exc:
            log_error(log, exc, 'the run for %s failed', to_zone(minute, zone))


def _seconds(until: datetime, now: datetime) -> float:
    return min(max((until - now).total_seconds(), 0.0), MAX_WAIT)


class Shutdown:
    """The request to end that SIGTERM or SIGINT make.

    :param notice: written to the standard error at the first signal, unless the process is waiting then.
    """

    def __init__(self, notice: str = '') -> None:
        self.pid = os.getpid()
        self.notice = f'{notice}\n'.encode() if notice else b''
        #: the last signal that has come
        self.signal: signal.Signals | None = None
        self.waiting = False
        self._woken: socket.socket
        self._before: dict[int, Any] = {}

    def requested(self) -> bool:
        return self.signal is not None

    def cause(self) -> str | None:
        """Return the signal that ends the process, for the tasks in progress."""
        return None if self.signal is None else self.signal.name

    def wait(self, seconds: float) -> bool:
        """Wait for a number of seconds and return false, or return true as soon as a signal has come.

        It has to be called in the body of :meth:`on_signals`.
        """
        self.waiting = True
        until = time.monotonic() + seconds
        try:
            # a signal of another kind ends select() too early
            while self.signal is None and seconds > 0:
                select.select([self._woken], [], [], seconds)
                with suppress(BlockingIOError):
                    self._woken.recv(MAX_BYTES)
                seconds = until - time.monotonic()
        finally:
            self.waiting = False
        if self.signal is None:
            return False
        log.info('ended by %s', self.signal.name)
        return True

    @contextmanager
    def on_signals(self, signals: Sequence[signal.Signals] = SIGNALS) -> Iterator[None]:
        """Handle signals in the body of a ``with``: the first requests the end, each further one interrupts what runs.

        It has to be called in the main thread.
        """
        # Python writes to it when a signal comes, in whichever thread: it handles the signal in the main thread, but
        # does not wake that from a lock or a queue
        self._woken, waker = socket.socketpair()
        with self._woken, waker:
            self._woken.setblocking(False)
            waker.setblocking(False)
            wakeup = signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
            self._before = {number: signal.signal(number, self._handle) for number in signals}
            try:
                yield
            finally:
                for number, handler in self._before.items():
                    signal.signal(number, handler)
                signal.set_wakeup_fd(wakeup)

    def _handle(self, number: int, frame: object) -> None:
        if os.getpid() != self.pid:
            # this is a child that a task has forked, which ends as it would without the handler
            signal.signal(number, self._before[number])
            signal.raise_signal(number)
            return
        first, self.signal = self.signal is None, signal.Signals(number)
        if not first:
            raise KeyboardInterrupt
        if not self.waiting:
            # not by print() or logging, within which the signal may have come
            with suppress(OSError):
                os.write(2, self.notice)
