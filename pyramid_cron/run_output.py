"""The output of a run for people, beside its outcome: its note, its progress, and with a store its log."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pyramid_cron.printable import printable
from pyramid_cron.progress import ProgressMeter

if TYPE_CHECKING:
    from pyramid_cron.run_log import RunLog

log = logging.getLogger(__name__)

# characters of a note
LONGEST_NOTE = 500

# called with the name of the task and the meter after each report of progress
ProgressListener = Callable[[str, ProgressMeter], object]


class RunOutput:
    """The output of one run.

    :param task: the name of the task.
    :param monotonic: a monotonic clock in seconds.
    :param listener: called after each report of progress.
    """

    __slots__ = ('_listener', '_task', 'log', 'meter', 'note')

    def __init__(self, task: str, monotonic: Callable[[], float], listener: ProgressListener | None = None) -> None:
        self._task = task
        self._listener = listener
        self.meter = ProgressMeter(monotonic)
        #: the note in one line; empty if it was removed, ``None`` if there was none
        self.note: str | None = None
        #: what the task logs, ``None`` where that is not kept
        self.log: RunLog | None = None

    def take_note(self, text: str) -> None:
        """Keep one line about the run, in place of the one before it, and log it: ``system['note']``.

        :param text: the note; an empty one removes it.
        :raises TypeError: for anything else.
        """
        # not isinstance(), which reads __class__ from a proxy
        if not issubclass(type(text), str):
            raise TypeError(f"system['note'] takes a text, not {type(text).__name__}")
        # a little more than is kept, because cron.scrub may make it shorter
        self.note = printable(' '.join(text[: 8 * LONGEST_NOTE].split()))
        if self.note:
            log.info('task %s notes: %s', self._task, shortened(self.note))

    def report_progress(self, done: Any, total: Any) -> None:
        """Report how much of the work is done: ``system['progress']``, see :meth:`.ProgressMeter.report`."""
        self.meter.report(done, total)
        if self._listener is not None:
            self._listener(self._task, self.meter)


def shortened(note: str) -> str:
    """Return a note with its beginning only if it is too long."""
    return note if len(note) <= LONGEST_NOTE else f'{note[: LONGEST_NOTE - 3]}...'
