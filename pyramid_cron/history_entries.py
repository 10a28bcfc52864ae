"""Entries of the history: past runs, and actions of users."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from pyramid_cron.outcomes import QUEUED

# what has failed, was lost or missed, and was ok in the end by a backfill
MADE_GOOD = 'made good'
# what a user did, in the history beside the outcomes of runs
BY_HAND = 'by hand'
# the trigger of a run for a past minute that was requested
BACKFILL = 'backfill'


def process_of(pid: int | None, host: str | None) -> str:
    """Return a process for people. The store's reason of a lost run begins with that."""
    return f'process {pid} on {host}'


class ActionEntry(NamedTuple):
    """An action of a user, such as a pause.

    :param task: the name of the task, :data:`pyramid_cron.names.ALL_TASKS` for all of them.
    :param action: what was done: ``'paused'``, ``'resumed'``, ``'forgotten'`` and so on.
    :param at: when, in UTC.
    :param requested_by: the user, if known.
    :param reason: why, if there is a reason.
    :param until: when its effect ends by itself, in UTC; ``None`` if it does not.
    """

    task: str
    action: str
    at: datetime
    requested_by: str | None = None
    reason: str | None = None
    until: datetime | None = None


class PastRun(NamedTuple):
    """One run of a task in the history, or a due minute without one. Its instants are in UTC.

    :param task: the name of the task.
    :param outcome: that of a :class:`.TaskReport`, ``'running'`` or ``'queued'``.
    :param scheduled_for: the minute it was for; ``None`` for a run by name.
    :param attempt: how many times it had then begun for this minute; 0 if it did not begin.
    :param trigger: ``'request'``, ``'command'``, ``'manual'``, ``'backfill'``, ``'queue'``, or ``'none'`` if it did not
        begin.
    :param host: the machine it ran on.
    :param pid: its process there.
    :param started: when it began.
    :param finished: when it ended, or was found to have ended.
    :param seconds: how long it took.
    :param reason: why it did not run, or not to its end: of an exception, the first line of the message.
    :param error: the class of the exception that it raised.
    :param traceback: the end of the traceback.
    :param requested_by: the user that requested a run by name or for a past minute, if known.
    :param made_good_by: the user of the backfill that made its minute ok in the end, empty if not known;
        ``None`` if there was none.
    :param note: the note of its task in one line, once it has ended; its log is read by itself.
    :param id: what identifies it in the history; the fencing token of a run that has begun.
    """

    task: str
    outcome: str
    scheduled_for: datetime | None
    attempt: int
    trigger: str
    host: str | None
    pid: int | None
    started: datetime
    finished: datetime | None
    seconds: float | None
    reason: str | None
    error: str | None
    traceback: str | None
    requested_by: str | None = None
    made_good_by: str | None = None
    id: str | None = None
    note: str | None = None

    @property
    def process(self) -> str:
        """The process that ran it, for people; empty if none did."""
        # while it is queued, that is the process that has enqueued it
        return '' if self.host is None or self.outcome == QUEUED else process_of(self.pid, self.host)

    @property
    def made_good(self) -> str:
        """By which user its minute was made good, for people; empty if it was not."""
        if self.made_good_by is None:
            return ''
        return f'{MADE_GOOD} by {self.made_good_by}' if self.made_good_by else MADE_GOOD

    @property
    def why(self) -> str:
        """Its error and its reason; empty if that is only its process, as mostly for a lost run."""
        why = ': '.join(filter(None, [self.error, self.reason]))
        return '' if self.process and why.startswith(self.process) else why
