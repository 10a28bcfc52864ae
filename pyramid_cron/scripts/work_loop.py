"""The loop of ``pcron work``: one tick at the beginning of each minute, in the foreground."""

from __future__ import annotations

import logging
import os
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, tzinfo
from typing import Any

from pyramid_cron.schedules.clock import MINUTE, minute_of, to_zone

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)

# the longest wait, after which the clock is read again: somebody may have set it
LONGEST_WAIT = MINUTE.total_seconds()

# of what signals write to wake the waiting
MOST_BYTES = 4096


def work(
    tick: Callable[[datetime], object],
    *,
    since: datetime,
    zone: tzinfo | None,
    now: Callable[[], datetime],
    wait: Callable[[float], bool],
) -> None:
    """Tick in each minute after ``since``, as early in it as possible, until the waiting is ended.

    Each wait is for the beginning of a minute of the clock, so that what a tick takes never adds up. No minute is
    ticked twice, nor one before the last one that was: if the clock is set back, nothing is run until it has caught up.
    An :class:`Exception` of a tick is logged.

    :param tick: called with the instant at which the minute began.
    :param since: the minute before the first.
    :param zone: the time zone of what is logged, ``None`` for the machine's.
    :param now: the clock, in UTC.
    :param wait: waits for so many seconds, or returns true at once when it is time to end.
    """
    last, held = since, False
    while not wait(_seconds(last + MINUTE, now())):
        minute = minute_of(now())
        if minute < last and not held:
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
        except Exception:
            log.exception('the run for %s failed', to_zone(minute, zone))


def _seconds(until: datetime, now: datetime) -> float:
    return min(max((until - now).total_seconds(), 0.0), LONGEST_WAIT)


class Ending:
    """Whether it is time to end: once SIGTERM or SIGINT have come.

    :param notice: written to the standard error at the first signal if that comes while nothing is waited for.
    """

    def __init__(self, notice: str = '') -> None:
        self.pid = os.getpid()
        self.notice = f'{notice}\n'.encode() if notice else b''
        #: the last signal that has come
        self.number: signal.Signals | None = None
        self.waiting = False
        self._wakened: socket.socket
        self._before: dict[int, Any] = {}

    def asked(self) -> bool:
        """Tell whether it is time to end."""
        return self.number is not None

    def wait(self, seconds: float) -> bool:
        """Wait for so many seconds, or return true at once when it is time to end.

        It has to be called in the body of :meth:`by_signals`.
        """
        self.waiting = True
        until = time.monotonic() + seconds
        try:
            # a signal of another kind ends the waiting too early
            while self.number is None and seconds > 0:
                select.select([self._wakened], [], [], seconds)
                with suppress(BlockingIOError):
                    self._wakened.recv(MOST_BYTES)
                seconds = until - time.monotonic()
        finally:
            self.waiting = False
        if self.number is None:
            return False
        log.info('ended by %s', self.number.name)
        return True

    @contextmanager
    def by_signals(self) -> Iterator[None]:
        """Let the first signal in the body of a ``with`` ask for the end, and each further one interrupt what runs.

        It has to be called in the main thread.
        """
        # written to when a signal comes, in whatever thread: Python handles it in the main thread, but does not wake
        # that from a lock or a queue
        self._wakened, waker = socket.socketpair()
        with self._wakened, waker:
            self._wakened.setblocking(False)
            waker.setblocking(False)
            wakeup = signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
            self._before = {number: signal.signal(number, self._handle) for number in SIGNALS}
            try:
                yield
            finally:
                for number, handler in self._before.items():
                    signal.signal(number, handler)
                signal.set_wakeup_fd(wakeup)

    def _handle(self, number: int, frame: object) -> None:
        if os.getpid() != self.pid:
            # a task has forked, and its child is ended in this way
            signal.signal(number, self._before[number])
            signal.raise_signal(number)
            return
        first, self.number = self.number is None, signal.Signals(number)
        if not first:
            raise KeyboardInterrupt
        if not self.waiting:
            # print() and logging may be what the signal interrupts
            with suppress(OSError):
                os.write(2, self.notice)
