"""Outcomes: of one task that was due, of a whole run for a minute, and of past runs."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any, NamedTuple

from pyramid_cron.printable import class_name
from pyramid_cron.schedules import clock

# how a run ended; missed: it did not happen in time, skipped and paused: it was not to happen
OK, FAILED, LOST, MISSED, SKIPPED, PAUSED = 'ok', 'failed', 'lost', 'missed', 'skipped', 'paused'
# a run that has not ended: it runs, or an engine has it
RUNNING, QUEUED = 'running', 'queued'
# a task that is due while its previous run has been running for too long, or while its row in the store is locked
STUCK, LOCKED = 'stuck', 'locked'
# a task in the store that no process registers any more
UNREGISTERED = 'unregistered'
# a task with a minute in the store that lies in the future
AHEAD = 'ahead'

# all of a report, in the order in which a summary counts them
OUTCOMES = (OK, FAILED, SKIPPED, PAUSED, STUCK, LOCKED, LOST, MISSED, QUEUED)

# outcomes of what a person has named, a task or a minute, that are a success
DONE = (OK, QUEUED)

# outcomes that make a tick fail, and how they are shown of one task and of several
ALARMING = {
    FAILED: ('failed', 'failed'),
    STUCK: ('is stuck', 'are stuck'),
    LOCKED: ('is locked', 'are locked'),
    LOST: ('was lost', 'were lost'),
}

# reasons to skip a task
ALREADY_RUN, NO_TIME_LEFT, STOPPING = 'already run', 'no time left', 'stopping'


class Failures(NamedTuple):
    """The failures of a task in a row, the last of which is that of a report.

    :param number: how many.
    :param first: the minute of the first one; ``None`` if that is not known, as with a store.
    :param last_success: when the task last succeeded; ``None`` if it never did, and without a store.
    """

    number: int
    first: datetime | None = None
    last_success: datetime | None = None


class TaskReport(NamedTuple):
    """The outcome of one task that was due.

    :param name: the task's name.
    :param outcome: ``'ok'``, ``'failed'``, ``'skipped'``, ``'paused'``, ``'stuck'`` if its previous run has been
        running for longer than ``cron.window``, ``'locked'`` if another transaction holds its row in the store,
        ``'lost'`` if the process that ran it is dead, ``'queued'`` if an engine has it, or in a worker ``'missed'`` if
        it came too late.
    :param seconds: how long it ran.
    :param reason: why it did not run.
    :param exception: the exception that it raised.
    :param attempt: how many times it had then begun for its minute.
    :param scheduled_for: that minute, if it is not the one of the run.
    :param failures: the failures in a row that it ended with, by the store or by this process: ``number``, ``first``
        and ``last_success``, as far as they are known.
    """

    name: str
    outcome: str
    seconds: float = 0.0
    reason: str | None = None
    exception: BaseException | None = None
    attempt: int = 1
    scheduled_for: datetime | None = None
    failures: Failures | None = None

    @property
    def error(self) -> str | None:
        """The class of the exception, ``None`` without one."""
        return None if self.exception is None else class_name(self.exception)

    def as_dict(self) -> dict[str, Any]:
        """Return the report for JSON, with the class of an exception and without its message."""
        shown: dict[str, Any] = {'name': self.name, 'outcome': self.outcome, 'seconds': round(self.seconds, 6)}
        if self.reason is not None:
            shown['reason'] = self.reason
        if self.exception is not None:
            shown['exception'] = self.error
        if self.attempt > 1:
            shown['attempt'] = self.attempt
        if self.scheduled_for is not None:
            shown['scheduled_for'] = self.scheduled_for.isoformat()
        return shown


def process_of(pid: int | None, host: str | None) -> str:
    """Return a process for people. The store's reason of a lost run begins with that."""
    return f'process {pid} on {host}'


class PastRun(NamedTuple):
    """One run of a task in the history, or a due minute without one. Its instants are in UTC.

    :param task: the name of the task.
    :param outcome: that of a :class:`TaskReport`, ``'running'`` or ``'queued'``.
    :param scheduled_for: the minute it was for; ``None`` for a run by name.
    :param attempt: how many times it had then begun for this minute; 0 if it did not begin.
    :param trigger: ``'request'``, ``'command'``, ``'manual'``, ``'queue'``, or ``'none'`` if it did not begin.
    :param host: the machine it ran on.
    :param pid: its process there.
    :param started: when it began.
    :param finished: when it ended, or was found to have ended.
    :param seconds: how long it took.
    :param reason: why it did not run, or not to its end.
    :param error: the class of the exception that it raised.
    :param traceback: the end of the traceback.
    :param requested_by: the user that requested a run by name, if known.
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

    @property
    def process(self) -> str:
        """The process that ran it, for people; empty if none did."""
        return '' if self.host is None else process_of(self.pid, self.host)

    @property
    def why(self) -> str:
        """Its error or its reason; empty if that is only its process, as mostly for a lost run."""
        why = self.error or self.reason or ''
        return '' if self.process and why.startswith(self.process) else why


class RunReport(NamedTuple):
    """The outcome of a run for a minute.

    :param instant: the minute, aware.
    :param zone: the time zone that it is shown in, ``None`` for the machine's.
    :param seconds: how long it took.
    :param tasks: a report for each task that was due, in their order.
    :param problem: why other tasks may have been due that did not run.
    :param brief_problem: the same without words of the database, which only the log should hold.
    """

    instant: datetime
    zone: tzinfo | None
    seconds: float
    tasks: tuple[TaskReport, ...]
    problem: str | None = None
    brief_problem: str | None = None

    @property
    def minute(self) -> datetime:
        """The minute it ran for, aware and in the time zone that it is shown in."""
        return clock.to_zone(self.instant, self.zone)

    def names(self, outcome: str) -> list[str]:
        """Return the names of the tasks with an outcome."""
        return [task.name for task in self.tasks if task.outcome == outcome]

    @property
    def failed(self) -> bool:
        """Whether a person on call has to look at it: then the answer is 500."""
        return self.problem is not None or any(task.outcome in ALARMING for task in self.tasks)

    def __str__(self) -> str:
        if not self.tasks and self.problem is None:
            # most minutes of most applications
            return 'ok'
        parts = [] if self.problem is None else [self.problem]
        total = f' of {len(self.tasks)} tasks'
        for outcome, (one, more) in ALARMING.items():
            tasks = [task for task in self.tasks if task.outcome == outcome]
            if tasks:
                shown = ', '.join(f'{task.name} ({task.reason})' if task.reason else task.name for task in tasks)
                parts.append(f'{len(tasks)}{total} {one if len(tasks) == 1 else more}: {shown}')
                # only the first part has the total
                total = ''
        if parts:
            return f'fail: {"; ".join(parts)}'
        already = sum(task.reason == ALREADY_RUN for task in self.tasks)
        return f'ok: {already} of {len(self.tasks)} tasks already run for {self.minute:%H:%M}' if already else 'ok'

    def as_dict(self) -> dict[str, Any]:
        """Return the report for JSON."""
        shown: dict[str, Any] = {
            'minute': self.minute.isoformat(),
            'seconds': round(self.seconds, 6),
            'tasks': [task.as_dict() for task in self.tasks],
        }
        if self.problem is not None:
            shown['problem'] = self.problem
        return shown


def duration(seconds: float) -> str:
    """Return a length of time for people: ``75 s``, ``12 min``, ``3 h 12 min``."""
    if seconds < 120:
        return f'{seconds:.0f} s'
    hours, minutes = divmod(int(seconds) // 60, 60)
    return f'{hours} h {minutes} min' if hours else f'{minutes} min'


def format_seconds(seconds: float) -> str:
    """Return how long a run took, to the millisecond if that is below a second: ``0.250 s``, ``1.3 s``, ``5 min``."""
    return f'{seconds:.3f} s' if seconds < 1 else f'{seconds:.1f} s' if seconds < 60 else duration(seconds)


def format_length(start: datetime, end: datetime) -> str:
    """Return the time from one instant to a later one in full minutes: ``3 h 12 min``, ``4 d 12 h``."""
    # in UTC: within one time zone the difference would be that of the wall clock
    minutes = (clock.to_instant(end) - clock.to_instant(start)) // clock.MINUTE
    days, hours = minutes // 1440, minutes // 60 % 24
    parts = [(days, 'd'), (hours, 'h'), (0 if days else minutes % 60, 'min')]
    return ' '.join(f'{number} {unit}' for number, unit in parts if number) or '0 min'
