"""What became of a run and of each of its tasks."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any, NamedTuple

from pyramid_cron.schedules import clock

OK, FAILED, SKIPPED, STUCK, LOST = 'ok', 'failed', 'skipped', 'stuck', 'lost'
# of a task that runs elsewhere: that it will, and that it was due too long ago to
HANDED_OVER, MISSED = 'handed over', 'missed'
# of what is remembered beside these: a run that has not ended, or not begun, and a minute that somebody did not want
RUNNING, QUEUED, PAUSED = 'running', 'queued', 'paused'

# of what somebody has to hear, and how it is told of one task and of several
ALARMING = {
    FAILED: ('failed', 'failed'),
    STUCK: ('is stuck', 'are stuck'),
    LOST: ('was lost', 'were lost'),
}

# reasons to skip a task
ALREADY_RUN, NO_TIME_LEFT, STOPPING = 'already run', 'no time left', 'stopping'


class TaskReport(NamedTuple):
    """What became of one task that was due.

    :param name: the task's name.
    :param outcome: ``'ok'``, ``'failed'``, ``'skipped'``, ``'stuck'`` if a run of it has been running for longer than
        ``cron.window``, ``'lost'`` if the process that ran it has ended, ``'handed over'`` if it runs elsewhere, or
        there ``'missed'`` if it was due too long ago.
    :param seconds: how long it ran.
    :param reason: why it was not run.
    :param exception: what it raised.
    :param attempt: how many times it had then begun for its minute.
    :param scheduled_for: that minute, if it is not the one of the run.
    """

    name: str
    outcome: str
    seconds: float = 0.0
    reason: str | None = None
    exception: BaseException | None = None
    attempt: int = 1
    scheduled_for: datetime | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the report for JSON; of an exception it tells the class, not the message."""
        shown: dict[str, Any] = {'name': self.name, 'outcome': self.outcome, 'seconds': round(self.seconds, 6)}
        if self.reason is not None:
            shown['reason'] = self.reason
        if self.exception is not None:
            shown['exception'] = type(self.exception).__name__
        if self.attempt > 1:
            shown['attempt'] = self.attempt
        if self.scheduled_for is not None:
            shown['scheduled_for'] = self.scheduled_for.isoformat()
        return shown


def process_of(pid: int | None, host: str) -> str:
    """Return a process for people. What the store records as the reason of a lost run begins with that."""
    return f'process {pid} on {host}'


class PastRun(NamedTuple):
    """What is remembered of one run of a task. Its instants are in UTC.

    :param task: the name of the task.
    :param outcome: that of a :class:`TaskReport`, ``'running'``, or ``'queued'`` for what was handed over and has not
        begun.
    :param scheduled_for: the minute it was for; ``None`` if somebody asked for it by name.
    :param attempt: how many times it had then begun for this minute; 0 if it did not begin.
    :param trigger: what asked for it: ``'request'``, ``'command'``, ``'manual'``, or ``'none'`` if it did not begin.
    :param host: the machine it ran on.
    :param pid: its process there.
    :param started: when it began.
    :param finished: when it ended, or was found to have ended.
    :param seconds: how long it took.
    :param reason: why it was not run, or not to its end.
    :param error: the class of what it raised.
    :param traceback: the end of the traceback.
    :param requested_by: who asked for it, if that was by name and is known.
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
        """What it raised, or why it was not run; empty if that is no more than its process, as mostly for the lost."""
        told = self.error or self.reason or ''
        return '' if self.process and told.startswith(self.process) else told


class RunReport(NamedTuple):
    """What became of one run.

    :param instant: the minute it ran for, aware.
    :param zone: the time zone that it is shown in, ``None`` for the machine's.
    :param seconds: how long it took.
    :param tasks: a report for each task that was due, in the order in which they had their turn.
    :param problem: why other tasks may have been due that did not run.
    """

    instant: datetime
    zone: tzinfo | None
    seconds: float
    tasks: tuple[TaskReport, ...]
    problem: str | None = None

    @property
    def minute(self) -> datetime:
        """The minute it ran for, aware and in the time zone that it is shown in."""
        return clock.to_zone(self.instant, self.zone)

    def names(self, outcome: str) -> list[str]:
        """Return the names of the tasks that have this outcome."""
        return [task.name for task in self.tasks if task.outcome == outcome]

    @property
    def failed(self) -> bool:
        """Whether something happened of which somebody has to hear."""
        return self.problem is not None or any(task.outcome in ALARMING for task in self.tasks)

    def __str__(self) -> str:
        if not self.tasks and self.problem is None:
            # most minutes of most applications
            return 'ok'
        told = [] if self.problem is None else [self.problem]
        total = f' of {len(self.tasks)} tasks'
        for outcome, (one, more) in ALARMING.items():
            tasks = [task for task in self.tasks if task.outcome == outcome]
            if tasks:
                shown = ', '.join(f'{task.name} ({task.reason})' if task.reason else task.name for task in tasks)
                told.append(f'{len(tasks)}{total} {one if len(tasks) == 1 else more}: {shown}')
                # said once
                total = ''
        if told:
            return f'fail: {"; ".join(told)}'
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
    """Return a time for people: ``75 s``, ``12 min``, ``3 h 12 min``."""
    if seconds < 120:
        return f'{seconds:.0f} s'
    hours, minutes = divmod(int(seconds) // 60, 60)
    return f'{hours} h {minutes} min' if hours else f'{minutes} min'
