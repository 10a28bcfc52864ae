"""Passes runs to their engines, and waits in one order for no broker twice that does not answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyramid_cron.errors import EngineNotAnswering

# seconds, of all runs together, from which on a broker that fails counts as one that does not answer
LONG_WAIT = 2.0


def broker_of(engine: Any) -> object:
    """Return what identifies the broker of an engine, as a key of dictionaries."""
    # a callable need not be hashable
    return engine.broker if isinstance(engine.broker, str) else id(engine.broker)


class Sender:
    """Passes the runs of one order to their engines.

    :param monotonic: a monotonic clock in seconds.
    """

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        # the seconds that runs have waited for each broker in vain
        self._waits: dict[object, float] = {}

    def is_silent(self, engine: Any) -> bool:
        """Return whether an engine has not answered in this order: one wait in a tick is enough."""
        return self._waits.get(broker_of(engine), 0.0) >= LONG_WAIT

    def send(self, run: Any) -> None:
        """Pass a run to its engine.

        :raises Exception: if that fails, or if the engine has not answered before.
        """
        engine, began = run.engine, self._monotonic()
        if self.is_silent(engine):
            raise EngineNotAnswering(
                f'{engine} did not answer for a task before, and is not waited for again in this run'
            )
        try:
            engine.enqueue(run)
        except BaseException:
            key = broker_of(engine)
            self._waits[key] = self._waits.get(key, 0.0) + self._monotonic() - began
            raise
