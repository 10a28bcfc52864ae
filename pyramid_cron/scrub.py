"""The scrubbing of texts before they are kept: by default of parameters of failed statements, and by ``cron.scrub``."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyramid_cron.callables import dotted_path
from pyramid_cron.isolation import OF_SERVERS, ends_process
from pyramid_cron.printable import log_error
from pyramid_cron.statement_parameters import leave_out_parameters

if TYPE_CHECKING:
    from pyramid_cron.settings import Settings

log = logging.getLogger(__name__)

# in place of a text that could not be scrubbed
NOT_SCRUBBED = '[left out, because cron.scrub failed: see the log]'
# seconds between two lines of the log about a function that fails
LOG_INTERVAL = 60


class Scrubbed(str):
    """A text that may be kept. It is not scrubbed for a second time."""

    __slots__ = ()


class Scrubber:
    """Scrubs texts before they are kept.

    :param function: the setting ``cron.scrub``.
    :param keep_parameters: the setting ``cron.keep_parameters``.
    :param monotonic: a monotonic clock in seconds.
    """

    def __init__(
        self,
        function: Callable[[str], str] | None = None,
        keep_parameters: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._function = function
        self._keep_parameters = keep_parameters
        self._monotonic = monotonic
        self._last_logged = -math.inf

    def __call__(self, text: str) -> Scrubbed:
        """Return a text as it may be kept. What the function of the application raises is logged, and not raised."""
        if isinstance(text, Scrubbed):
            return text
        if not self._keep_parameters:
            text = leave_out_parameters(text)
        if self._function is None:
            return Scrubbed(text)
        try:
            scrubbed = self._function(text)
            if isinstance(scrubbed, str):
                return Scrubbed(scrubbed)
        except BaseException as exc:
            if ends_process(exc, OF_SERVERS):
                raise
            self._log(exc, 'failed')
        else:
            self._log(None, f'returned a {type(scrubbed).__name__}')
        return Scrubbed(NOT_SCRUBBED)

    def _log(self, exc: BaseException | None, problem: str) -> None:
        """Log a problem of the function, for all texts of a minute once: one run has several."""
        now = self._monotonic()
        if now - self._last_logged < LOG_INTERVAL:
            return
        self._last_logged = now
        shown = dotted_path(self._function)
        log_error(log, exc, 'cron.scrub: %s %s: a text is not kept', shown, problem)


def scrubber_of(registry: Any, settings: Settings | None = None) -> Scrubber:
    """Return the scrubber of an application, which is made at the first call.

    :param settings: its settings, if they are not in its registry yet.
    """
    made: Scrubber | None = registry.get('cron_scrubber')
    if made is None:
        settings = settings or registry['cron_settings']
        made = registry['cron_scrubber'] = Scrubber(settings.scrub, settings.keep_parameters)
    return made


# without the settings of an application
DEFAULT_SCRUBBER = Scrubber()
