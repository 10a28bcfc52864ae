"""The loop of ``pcron work``: one tick at the beginning of each minute, in the foreground."""

from __future__ import annotations

import logging
import os
import queue
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, tzinfo
from typing import Any

from pyramid_cron.clock import MINUTE, minute_of, to_zone

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)

# the longest wait, after which the clock is read again: somebody may have set it
LONGEST_WAIT = MINUTE.total_seconds()

# after so many seconds at the most a signal is noticed that came just before the waiting began, or in another thread:
# Python handles it in the main thread only, and does not wake that for it
LONGEST_SLEEP = 1.0


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
        # the lock of a threading.Event is not reentrant: a signal while it is held would wait for itself
        self._came: queue.SimpleQueue[signal.Signals] = queue.SimpleQueue()
        self.waiting = False
        self._before: dict[int, Any] = {}

    def asked(self) -> bool:
        """Tell whether it is time to end."""
        return self.number is not None

    def wait(self, seconds: float) -> bool:
        """Wait for so many seconds, or return true at once when it is time to end."""
        self.waiting = True
        until = time.monotonic() + seconds
        try:
            while True:
                left = until - time.monotonic()
                with suppress(queue.Empty):
                    number = self._came.get(timeout=max(0.0, min(left, LONGEST_SLEEP)))
                    log.info('ended by %s', number.name)
                    return True
                if left <= LONGEST_SLEEP:
                    return False
        finally:
            self.waiting = False

    @contextmanager
    def by_signals(self) -> Iterator[None]:
        """Let the first signal in the body of a ``with`` ask for the end, and each further one interrupt what runs.

        It has to be called in the main thread.
        """
        self._before = {number: signal.signal(number, self._handle) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in self._before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: object) -> None:
        if os.getpid() != self.pid:
            # a task has forked, and its child is ended in this way
            signal.signal(number, self._before[number])
            signal.raise_signal(number)
            return
        first, self.number = self.number is None, signal.Signals(number)
        if not first:
            raise KeyboardInterrupt
        self._came.put(self.number)
        if not self.waiting:
            # print() and logging may be what the signal interrupts
            with suppress(OSError):
                os.write(2, self.notice)
