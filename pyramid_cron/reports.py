"""Reports of a run for a minute, and of each task that was due in it, as text and JSON."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any, NamedTuple

from pyramid_cron.outcomes import ALARMING, ALREADY_RUN, EXCUSED, SKIPPED, STOPPED
from pyramid_cron.printable import class_name
from pyramid_cron.schedules import clock


class Failures(NamedTuple):
    """The failures of a task in a row, the last of which is that of a report.

    :param number: how many runs have failed, were lost or missed. The attempts of a run count once.
    :param first: the minute of the first one; ``None`` if that is not known, as with a store.
    :param last_success: when the task last succeeded; ``None`` if it never did, and without a store.
    """

    number: int
    first: datetime | None = None
    last_success: datetime | None = None


class TaskReport(NamedTuple):
    """The outcome of one task that was due.

    :param name: the task's name.
    :param outcome: ``'ok'``, ``'failed'``, ``'stopped'`` if its end was requested and it ended early,
        ``'skipped'``, ``'paused'``, ``'stuck'`` if its previous run takes more than twice as long as expected
        (:ref:`stuck`), ``'locked'`` if another transaction holds its row in the store, ``'lost'`` if the process that
        ran it is dead, ``'queued'`` if an engine has it; in a worker also ``'missed'`` if its message came too late.
    :param seconds: how many seconds it ran.
    :param reason: why it did not run, or by which user it was stopped.
    :param exception: the exception that it raised.
    :param attempt: the number of this attempt for its minute, from 1 on.
    :param scheduled_for: its minute, if that is not the minute of the tick.
    :param failures: the failures in a row, a named tuple: ``number``, how many runs have failed; ``first``, the minute
        of the first one; ``last_success``, when a run last succeeded. The store counts them; without a store,
        this process does.
    :param raised_skip: whether the task began and raised :exc:`.Skip`.
    :param excuse: why a failure is no alarm: ``'retrying'``, ``'tolerated'``, ``'acknowledged'``, or
        ``'paused'`` if the task is paused when the run fails.
        It is ``'retrying'`` for a stopped task too, if a following tick runs the task again for its minute.
    :param failed_since: since when the task had been failing, if this success has ended an alarm.
    :param engine: the engine that has it, or could not take it.
    :param key: its key, if an engine has it.
    """

    name: str
    outcome: str
    seconds: float = 0.0
    reason: str | None = None
    exception: BaseException | None = None
    attempt: int = 1
    scheduled_for: datetime | None = None
    failures: Failures | None = None
    raised_skip: bool = False
    excuse: str | None = None
    failed_since: datetime | None = None
    engine: str | None = None
    key: str | None = None

    @property
    def is_fault(self) -> bool:
        """Whether a person on call has to look at it: then the answer is 500."""
        return self.outcome in ALARMING and self.excuse is None

    @property
    def error(self) -> str | None:
        """The class of the exception, ``None`` without one."""
        return None if self.exception is None else class_name(self.exception)

    def as_dict(self) -> dict[str, Any]:
        """Return the report for JSON, with the class of an exception and without its message.

        ``name``, ``outcome`` and ``seconds`` are always there. ``reason``, ``exception``, ``excuse``,
        ``scheduled_for``, ``engine`` and ``key`` are there if they have a value, and ``attempt`` from 2 on.
        """
        shown: dict[str, Any] = {'name': self.name, 'outcome': self.outcome, 'seconds': round(self.seconds, 6)}
        if self.reason is not None:
            shown['reason'] = self.reason
        if self.exception is not None:
            shown['exception'] = self.error
        if self.excuse is not None:
            shown['excuse'] = self.excuse
        if self.attempt > 1:
            shown['attempt'] = self.attempt
        if self.scheduled_for is not None:
            shown['scheduled_for'] = self.scheduled_for.isoformat()
        if self.engine is not None:
            shown['engine'] = self.engine
        if self.key is not None:
            shown['key'] = self.key
        return shown


class RunReport(NamedTuple):
    """The outcome of a run for a minute.

    :param instant: the minute, aware.
    :param zone: the time zone that it is shown in, ``None`` for the machine's.
    :param seconds: how many seconds it took.
    :param tasks: a report for each task that was due, in their order.
    :param problem: why the tick could not run all due tasks, which may then be missing from ``tasks``.
    :param brief_problem: the same without the message of the database's error, which only the log should hold.
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
        """Return the names of the tasks with an outcome, in the order of ``tasks``.

        :param outcome: a word such as ``'ok'``, see :class:`TaskReport`.
        """
        return [task.name for task in self.tasks if task.outcome == outcome]

    @property
    def failed(self) -> bool:
        """Whether a person on call has to look at it: then the answer is 500."""
        return self.problem is not None or any(task.is_fault for task in self.tasks)

    def __str__(self) -> str:
        if not self.tasks and self.problem is None:
            # most minutes of most applications
            return 'ok'
        parts = [] if self.problem is None else [self.problem]
        total = f' of {len(self.tasks)} tasks'
        for excuse in (None, *EXCUSED):
            for outcome, (one, more) in ALARMING.items():
                tasks = [task for task in self.tasks if (task.outcome, task.excuse) == (outcome, excuse)]
                if tasks:
                    shown = ', '.join(f'{task.name} ({task.reason})' if task.reason else task.name for task in tasks)
                    what = f'{one if len(tasks) == 1 else more}{EXCUSED.get(excuse, "")}'
                    parts.append(f'{len(tasks)}{total} {what}: {shown}')
                    # only the first part has the total
                    total = ''
        if self.failed:
            return f'fail: {"; ".join(parts)}'
        stopped = [f'{task.name} ({task.reason})' for task in self.tasks if task.outcome == STOPPED]
        skipped = [f'{task.name} ({task.reason})' for task in self.tasks if task.raised_skip]
        for word, names in (STOPPED, stopped), (SKIPPED, skipped):
            if names:
                parts.append(f'{len(names)}{total} {word}: {", ".join(names)}')
                total = ''
        already = sum(task.reason == ALREADY_RUN for task in self.tasks)
        if already:
            parts.append(f'{already}{total} already run for {self.minute:%H:%M}')
        return f'ok: {"; ".join(parts)}' if parts else 'ok'

    def as_dict(self) -> dict[str, Any]:
        """Return the report for JSON: ``minute`` (ISO 8601), ``seconds``, ``tasks``, ``problem`` if there is one."""
        shown: dict[str, Any] = {
            'minute': self.minute.isoformat(),
            'seconds': round(self.seconds, 6),
            'tasks': [task.as_dict() for task in self.tasks],
        }
        if self.problem is not None:
            shown['problem'] = self.problem
        return shown
