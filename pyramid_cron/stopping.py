"""Stop requests as a task sees them: ``system['stopping']``, and ``system['time_left']`` after that."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pyramid_cron.claims import Run

# returns what ends the process, such as 'SIGTERM', for the record; ``None`` while nothing does
Shutdown = Callable[[], str | None]

# what time_left() returns at most in a run that is to end, in seconds
NO_TIME = -1.0


class StopRequest(NamedTuple):
    """A request that a run ends, at its task's next look.

    :param requested_by: the user, or what ends the process; ``None`` if that is not known.
    :param at: when it was recorded, in UTC; ``None`` for the end of a process.
    """

    requested_by: str | None
    at: datetime | None = None

    @property
    def reason(self) -> str:
        """The reason of the run that has ended because of it."""
        return f'by {self.requested_by}' if self.requested_by else 'on request'


def never() -> None:
    """Return that nothing ends the process."""


def is_not_stopping() -> bool:
    """Return false: ``system['stopping']`` of a run that nothing can stop."""
    return False


class Stopping:
    """Whether one run is to end, as its task sees it: what the task has noticed stays so.

    :param run: the run, of which ``stopped`` is set once its task has noticed that it is to end.
    :param shutdown: returns what ends the process.
    :param time_left: returns the seconds that are left of the order.
    """

    __slots__ = ('_run', '_shutdown', '_time_left')

    def __init__(self, run: Run, shutdown: Shutdown, time_left: Callable[[], float]) -> None:
        self._run = run
        self._shutdown = shutdown
        self._time_left = time_left

    def is_requested(self) -> bool:
        """Return whether the run is to end: ``system['stopping']``."""
        run = self._run
        if run.stopped is None:
            run.stopped = run.stop_request or self._request_of_shutdown()
        return run.stopped is not None

    def time_left(self) -> float:
        """Return the seconds that are left, negative in a run that is to end: ``system['time_left']``."""
        left = self._time_left()
        return min(left, NO_TIME) if self.is_requested() else left

    def _request_of_shutdown(self) -> StopRequest | None:
        cause = self._shutdown()
        return None if cause is None else StopRequest(cause)
