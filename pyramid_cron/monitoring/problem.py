"""One thing that is wrong with the tasks of an application: its kind, and its words for health, page and ``pcron``."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pyramid_cron.durations import duration, format_length, run_duration
from pyramid_cron.outcomes import (
    ACKNOWLEDGED,
    AHEAD,
    EXCUSED,
    FAILED,
    LOST,
    MISSED,
    OVERDUE,
    PAUSED,
    RETRYING,
    SLOW,
    STOPPED,
    STUCK,
    TOLERATED,
    UNREGISTERED,
)

if TYPE_CHECKING:
    from pyramid_cron.alarm import Acknowledged
    from pyramid_cron.claims import Pause
    from pyramid_cron.stopping import StopRequest

#: the kinds of problems of all tasks
OF_TICKS = NO_TICK, TICK_FAILED = 'no tick', 'tick failed'
#: what is wrong with a task in one word, the most urgent first: the kind of a problem, or its excuse
WORDS = (
    STUCK,
    AHEAD,
    LOST,
    FAILED,
    MISSED,
    OVERDUE,
    STOPPED,
    SLOW,
    RETRYING,
    TOLERATED,
    ACKNOWLEDGED,
    UNREGISTERED,
    PAUSED,
)
#: the kinds that are shown, and are no fault
NO_FAULTS = (OVERDUE, STOPPED, SLOW, UNREGISTERED, PAUSED)


@dataclass(frozen=True)
class Problem:
    """Something that is wrong, or that a person on call has to know.

    :param kind: ``'no tick'``, ``'tick failed'``, or of one task ``'stuck'``, ``'ahead'``, ``'lost'``, ``'failed'``,
        ``'missed'``, ``'overdue'``, ``'stopped'``, ``'slow'``, ``'unregistered'`` or ``'paused'``.
    :param task: the name of the task, ``None`` if it concerns all of them.
    :param since: the last tick, the last that did all of its work, the beginning of the run that is stuck, when the
        run that is overdue was enqueued, the end of the run that failed, was stopped or was found lost, the minute that
        was missed or that lies in the future, the last tick of a process that had the unregistered task, or ``None``
        where that is not known.
    :param minute: the minute of the run that failed, was stopped, was lost or is overdue, or that was missed; ``None``
        for a run by name.
    :param seconds: how long there was no tick, the stuck run has been running, the overdue one queued, or the failed
        one took.
    :param error: the class of the exception of a failed run, by which user a run was stopped, why the overdue one has
        not begun, what the last tick could not do, or how far ahead of the database's clock a row is.
    :param message: the first line of the message of the exception of a failed run.
    :param runs: how many runs in a row have failed, were lost or missed, the last one among them.
    :param failing_since: since when, ``None`` if that is not known.
    :param never_begun: whether the overdue task has no run for the minute, so that it is neither queued nor waits.
    :param pause: the pause of a paused task; of two, that which ends last.
    :param shorter_pause: the other one of two.
    :param next_attempt: the minute of the first tick that may repeat the failed or stopped run, ``None`` if none does.
    :param acknowledged: by which user, since when and why it is acknowledged, ``None`` if it is not.
    :param stop: the request that the stuck run ends, ``None`` if there is none.
    :param excuse: why it is no fault, see :class:`.Failing`; ``None`` if it is one, or if none of its kind is.
    """

    kind: str
    task: str | None = None
    since: datetime | None = None
    minute: datetime | None = None
    seconds: float | None = None
    error: str | None = None
    pause: Pause | None = None
    next_attempt: datetime | None = None
    excuse: str | None = None
    acknowledged: Acknowledged | None = None
    shorter_pause: Pause | None = None
    stop: StopRequest | None = None
    message: str | None = None
    runs: int = 1
    failing_since: datetime | None = None
    never_begun: bool = False

    @property
    def is_of_all(self) -> bool:
        """Whether it is that all tasks are paused, of which each has this problem."""
        return self.pause is not None and self.pause.of_all

    @property
    def is_fault(self) -> bool:
        """Whether health fails because of it."""
        return self.kind not in NO_FAULTS and self.excuse is None

    @property
    def may_be_acknowledged(self) -> bool:
        """Whether a person may acknowledge it, and has not."""
        return self.kind in (FAILED, LOST, MISSED) and self.acknowledged is None

    @property
    def word(self) -> str:
        """What is wrong, in one word, by which health and metrics count it."""
        return self.excuse or self.kind

    @property
    def why(self) -> str:
        """What went wrong, as far as it is known: of a failed run the class of the exception, and its message."""
        return ': '.join(filter(None, [self.error, self.message]))

    @property
    def overdue_text(self) -> str:
        """For how long the overdue run has not begun: ``queued for 75 s``, ``due for 3 h 12 min``."""
        return f'{"due" if self.never_begun else "queued"} for {self.length}'

    @property
    def length(self) -> str:
        """For how long it has lasted, where that is known: of a task that is due in whole minutes."""
        if self.never_begun and self.since is not None:
            return format_length(self.since, self.since + timedelta(seconds=self.seconds or 0.0))
        return '' if self.seconds is None else run_duration(self.seconds)

    @property
    def stop_text(self) -> str:
        """That the run in progress is to end, and by which user; empty if it is not."""
        by = None if self.stop is None else self.stop.requested_by
        return f'stop requested by {by}' if by else 'stop requested' if self.stop else ''

    def as_sentence(self) -> str:
        """Return it for people, with a capital at the beginning."""
        text = str(self)
        return text[:1].upper() + text[1:]

    def __str__(self) -> str:
        if self.kind == NO_TICK:
            return 'no tick has come yet' if self.seconds is None else f'no tick for {duration(self.seconds)}'
        if self.kind == STUCK and self.seconds is not None:
            stop = f', {self.stop_text}' if self.stop is not None else ''
            return f'{self.kind}, running for {run_duration(self.seconds)}{stop}'
        if self.kind == OVERDUE and self.seconds is not None:
            return f'{self.kind}, {self.overdue_text}{EXCUSED.get(self.excuse, "")}: {self.error}'
        text = f'{self.kind}{EXCUSED.get(self.excuse, "")}'
        return f'{text}: {self.why}' if self.why else text
