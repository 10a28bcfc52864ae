"""What becomes of a request that may not trigger a run: the reason, and the log of it, which nobody can flood."""

from __future__ import annotations

import logging
import threading
from typing import NamedTuple

log = logging.getLogger(__name__)

MOST = 10
SECONDS = 60.0


class Refusal(NamedTuple):
    """Why a request may not trigger a run.

    :param status: the HTTP status, 401, 403 or 405.
    :param kind: what requests with the same reason have in common, such as ``'through a proxy'``.
    :param why: what is wrong with this request.
    :param remedy: what somebody who expected it to be allowed can do.
    """

    status: int
    kind: str
    why: str
    remedy: str


class RefusalLog:
    """Logs the refusals of one application: ten of a kind in a minute, and how many more there were."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # of each kind: when its minute began, and how many there were since
        self._minutes: dict[str, tuple[float, int]] = {}
        self._unchecked = False

    def note(self, refusal: Refusal | None, now: float) -> None:
        """Log a refusal, unless there were too many of its kind, and sum up the minutes that are over.

        :param refusal: ``None`` for a request that may trigger a run: the next tick sums up as well.
        :param now: seconds of a clock that nobody sets.
        """
        if refusal is None and not self._minutes:
            return
        count = 0
        with self._lock:
            over = {kind: minute for kind, minute in self._minutes.items() if now - minute[0] >= SECONDS}
            for kind in over:
                del self._minutes[kind]
            if refusal is not None:
                began, count = self._minutes.get(refusal.kind, (now, 0))
                self._minutes[refusal.kind] = began, count + 1
        for kind, (began, refused) in over.items():
            if refused > MOST:
                log.warning(
                    'refused %d more requests to run cron tasks %s in %.0f seconds', refused - MOST, kind, now - began
                )
        if refusal is not None and count < MOST:
            log.warning('refused a request to run cron tasks: %s; to allow it, %s', refusal.why, refusal.remedy)

    def unchecked(self, why: str) -> None:
        """Say once that the account behind a connection cannot be told.

        :param why: what is missing.
        """
        with self._lock:
            said, self._unchecked = self._unchecked, True
        if not said:
            log.warning(
                'requests from this machine to run cron tasks are judged by their address alone, because %s: '
                'if a proxy runs here, set cron.secret',
                why,
            )
