"""Ends of runs that could not be written in time: kept in memory, each by itself, and tried again until they are."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from pyramid_cron.errors import Unavailable
from pyramid_cron.printable import message
from pyramid_cron.store.database import Database
from pyramid_cron.store.run_end import Ending

log = logging.getLogger(__name__)

# seconds after which a row of the history is given up. The release of a task never is: nothing else releases it while
# this process lives
MOST_SECONDS_LATE = 86400
# endings that are kept
MOST_ENDINGS = 1000


HISTORY_LOCKED = 'another transaction holds its row in the history'


class _Entry(NamedTuple):
    ending: Ending
    since: float
    problem: str | None


class Late:
    """The ends of runs that could not be written in time.

    :param database: the database of the store.
    :param monotonic: a monotonic clock in seconds.
    """

    def __init__(self, database: Database, monotonic: Callable[[], float]) -> None:
        self._database = database
        self._monotonic = monotonic
        # by the fencing token of the run, in the order in which they are tried
        self._entries: dict[str, _Entry] = {}

    def __bool__(self) -> bool:
        return bool(self._entries)

    def write_now(self, ending: Ending) -> None:
        """Write an end, and keep its row in the history for later if only that cannot be written.

        :raises Unavailable: if the task cannot be released; then nothing is kept.
        """
        problem = HISTORY_LOCKED
        try:
            ending.write(self._database)
        except Unavailable as exc:
            if not ending.is_released:
                raise
            problem = str(exc)
        if not ending.is_done:
            self.add(ending, problem)

    def add(self, ending: Ending, problem: str | None = None) -> None:
        """Keep what is left of an end.

        :param problem: why it cannot be written yet, which is logged once; ``None`` if that is not known.
        """
        entry = self._entries.setdefault(ending.run_id, _Entry(ending, self._monotonic(), None))
        self._explain(entry, problem)
        while len(self._entries) > MOST_ENDINGS:
            # first those that hold no task
            run_id = min(self._entries, key=lambda run_id: not self._entries[run_id].ending.is_released)
            self._give_up(self._entries.pop(run_id))

    def problem_of(self, run_id: str | None) -> str | None:
        """Return why the task of a run that has ended cannot be released yet, ``None`` if that is not so."""
        entry = None if run_id is None else self._entries.get(run_id)
        return None if entry is None or entry.ending.is_released else entry.problem or 'not tried yet'

    def write(self, history: bool = True) -> None:
        """Try what is left, each end in transactions of its own; one that fails stays, and is not in the way of others.

        :param history: whether to write the history of runs that hold no task, too, which may have to wait for a lock.
        """
        for run_id, entry in list(self._entries.items()):
            if entry.ending.is_released and not history:
                continue
            problem = self._try(entry.ending)
            if problem is None:
                self._entries.pop(run_id, None)
                log.info('the end of task %s is recorded', entry.ending.task)
                continue
            if entry.ending.is_released and self._monotonic() - entry.since > MOST_SECONDS_LATE:
                self._give_up(self._entries.pop(run_id, entry))
                continue
            # to the end, so that others are tried first the next time
            self._entries[run_id] = self._entries.pop(run_id, entry)
            self._explain(entry, problem)

    def _try(self, ending: Ending) -> str | None:
        """Return why an end cannot be written, ``None`` if it is."""
        try:
            try:
                ending.write(self._database)
            except Unavailable as exc:
                if not exc.disconnected:
                    raise
                # the connection was idle while the database restarted
                ending.write(self._database)
        except Exception as exc:
            return message(exc)
        return None if ending.is_done else HISTORY_LOCKED

    def _explain(self, entry: _Entry, problem: str | None) -> None:
        if problem is None:
            return
        if entry.problem is None:
            what = 'history' if entry.ending.is_released else 'end'
            log.error('the %s of task %s cannot be recorded yet: %s', what, entry.ending.task, problem)
        self._entries[entry.ending.run_id] = entry._replace(problem=problem)

    def _give_up(self, entry: _Entry) -> None:
        log.error('the end of task %s is not recorded, and is given up: %s', entry.ending.task, entry.problem)
