"""Waiting for a row that another transaction holds: for a moment, and not again for a while."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pyramid_cron.store.errors import Locked

# seconds: another server's claim takes milliseconds, or as long as its disk
PATIENCE, INTERVAL = 1.0, 0.02
# seconds after a vain wait in which nothing waits: the rest of a tick
WITHOUT_PATIENCE = 30.0

Result = TypeVar('Result')


class Patience:
    """Calls functions again that meet a locked row.

    :param monotonic: a monotonic clock in seconds.
    :param sleep: waits for so many seconds.
    """

    def __init__(self, monotonic: Callable[[], float], sleep: Callable[[float], object]) -> None:
        self._monotonic = monotonic
        self._sleep = sleep
        self._none_until = monotonic()

    def call(self, function: Callable[[], Result]) -> Result:
        """Return what a function returns, called again while the row that it changes is locked.

        :raises Locked: if it stays locked.
        """
        end = self._monotonic() + PATIENCE
        while True:
            try:
                return function()
            except Locked:
                now = self._monotonic()
                if now >= end:
                    self._none_until = now + WITHOUT_PATIENCE
                if now < self._none_until:
                    raise
            self._sleep(INTERVAL)
