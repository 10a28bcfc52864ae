"""Refused requests: the reason and the remedy, and a log of them with a limit for each kind."""

from __future__ import annotations

import logging
import threading
from typing import NamedTuple

log = logging.getLogger(__name__)

MAX_LOGGED = 10
WINDOW_SECONDS = 60.0


class Refusal(NamedTuple):
    """The reason why a request may not trigger a run.

    :param status: the HTTP status, 401, 403 or 405.
    :param kind: the words that all refusals for this reason share, such as ``'through a proxy'``.
    :param why: the reason, with what this request sent.
    :param remedy: how to make a request of this kind allowed.
    """

    status: int
    kind: str
    why: str
    remedy: str


class RefusalLog:
    """The log of one application's refusals: ten of a kind in a minute, then the number of further ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # by kind: when its minute began, and the number of refusals since
        self._minutes: dict[str, tuple[float, int]] = {}
        self._unchecked = False

    def note(self, refusal: Refusal | None, now: float) -> None:
        """Count a refusal, log it below the limit of its kind, and log the totals of the minutes that are over.

        :param refusal: ``None`` for an allowed request, which only logs the totals.
        :param now: seconds of a monotonic clock.
        """
        if refusal is None and not self._minutes:
            return
        count = 0
        with self._lock:
            over = {kind: minute for kind, minute in self._minutes.items() if now - minute[0] >= WINDOW_SECONDS}
            for kind in over:
                del self._minutes[kind]
            if refusal is not None:
                began, count = self._minutes.get(refusal.kind, (now, 0))
                self._minutes[refusal.kind] = began, count + 1
        for kind, (began, refused) in over.items():
            if refused > MAX_LOGGED:
                log.warning(
                    'refused %d more requests to run cron tasks %s in %.0f seconds',
                    refused - MAX_LOGGED,
                    kind,
                    now - began,
                )
        if refusal is not None and count < MAX_LOGGED:
            log.warning('refused a request to run cron tasks: %s; to allow it, %s', refusal.why, refusal.remedy)

    def unchecked(self, why: str) -> None:
        """Log once that requests from this machine are judged without the account behind the connection.

        :param why: the reason why the account is unknown.
        """
        with self._lock:
            logged, self._unchecked = self._unchecked, True
        if not logged:
            log.warning(
                'requests from this machine to run cron tasks are judged by their address alone, because %s: '
                'if a proxy runs here, set cron.secret',
                why,
            )
