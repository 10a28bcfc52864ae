"""The loop of ``pcron work``: one tick at the beginning of each minute, in the foreground."""

from __future__ import annotations

import logging
import queue
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from pyramid_cron.clock import MINUTE, minute_of

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT)

# the longest wait, after which the clock is read again: somebody may have set it
LONGEST_WAIT = MINUTE.total_seconds()


def work(
    tick: Callable[[datetime], object],
    *,
    now: Callable[[], datetime],
    wait: Callable[[float], bool],
) -> None:
    """Tick in each minute from the next one on, as early in it as possible, until the waiting is ended.

    Each wait is for the beginning of a minute of the clock, so that what a tick takes never adds up. No minute is
    ticked twice, nor one before the last one that was: if the clock is set back, nothing is run until it has caught up.
    An :class:`Exception` of a tick is logged.

    :param tick: called with the instant at which the minute began.
    :param now: the clock, in UTC.
    :param wait: waits for so many seconds, or returns true at once when it is time to end.
    """
    last = minute_of(now())
    log.info('waiting for the first minute, %s', last + MINUTE)
    held = False
    while not wait(_seconds(last + MINUTE, now())):
        minute = minute_of(now())
        if minute < last and not held:
            log.warning(
                'the clock was set back to %s: nothing runs until %s, so that no minute runs twice; '
                'restart this if the time before was wrong',
                minute,
                last + MINUTE,
            )
            held = True
        if minute <= last:
            continue
        missed = (minute - last) // MINUTE - 1
        if missed:
            log.warning(
                'skipped %d min from %s on: the machine slept, its clock was set, or the run before took too long',
                missed,
                last + MINUTE,
            )
        last, held = minute, False
        try:
            tick(minute)
        except Exception:
            log.exception('the run for %s failed', minute)


def _seconds(until: datetime, now: datetime) -> float:
    return min(max((until - now).total_seconds(), 0.0), LONGEST_WAIT)


@contextmanager
def until_signalled() -> Iterator[Callable[[float], bool]]:
    """Yield a function that waits for so many seconds, and returns true at once when SIGTERM or SIGINT have come.

    The signals then end nothing by themselves. It has to be called in the main thread.
    """
    # the lock of a threading.Event is not reentrant: a signal while it is held would wait for itself
    came: queue.SimpleQueue[int] = queue.SimpleQueue()

    def wait(seconds: float) -> bool:
        try:
            number = came.get(timeout=seconds)
        except queue.Empty:
            return False
        log.info('ended by %s', signal.Signals(number).name)
        return True

    before = {number: signal.signal(number, lambda number, frame: came.put(number)) for number in SIGNALS}
    try:
        yield wait
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
