"""The log of refused requests, with a limit for each kind."""

from __future__ import annotations

import logging
import threading

from pyramid_cron.access.refusal import Refusal

log = logging.getLogger(__name__)

MAX_LOGGED = 10
WINDOW_SECONDS = 60.0

HINT = "; pyramid_cron 0.1 did not refuse such requests: 'pcron doctor' shows what a set-up lacks"


class RefusalLog:
    """The log of one application's refusals: ten of a kind in a minute, then the number of further ones."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # by purpose and kind: when its minute began, and the number of refusals since
        self._minutes: dict[tuple[str, str], tuple[float, int]] = {}
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
            over = {key: minute for key, minute in self._minutes.items() if now - minute[0] >= WINDOW_SECONDS}
            for key in over:
                del self._minutes[key]
            if refusal is not None:
                key = refusal.purpose, refusal.kind
                began, count = self._minutes.get(key, (now, 0))
                self._minutes[key] = began, count + 1
        for (purpose, kind), (began, refused) in over.items():
            if refused > MAX_LOGGED:
                log.warning(
                    'refused %d more requests %s %s in %.0f seconds', refused - MAX_LOGGED, purpose, kind, now - began
                )
        if refusal is not None and count < MAX_LOGGED:
            log.warning(
                'refused a request %s: %s; to allow it, %s%s',
                refusal.purpose,
                refusal.why,
                refusal.remedy,
                HINT if refusal.was_allowed else '',
            )

    def log_unchecked(self, why: str) -> None:
        """Log once that requests from this machine are allowed or refused without the account behind the connection.

        :param why: the reason why the account is unknown.
        """
        with self._lock:
            logged, self._unchecked = self._unchecked, True
        if not logged:
            log.warning(
                'requests from this machine are allowed or refused by their address alone, because %s: '
                'if a proxy runs here, set cron.secret',
                why,
            )
