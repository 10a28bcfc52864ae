"""What became of a run and of each of its tasks."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any, NamedTuple

from pyramid_cron import clock

OK, FAILED, SKIPPED = 'ok', 'failed', 'skipped'


class TaskReport(NamedTuple):
    """What became of one task that was due.

    :param name: the task's name.
    :param status: ``'ok'``, ``'failed'`` or ``'skipped'``.
    :param seconds: how long it ran.
    :param reason: why it was skipped.
    :param exception: what it raised.
    """

    name: str
    status: str
    seconds: float = 0.0
    reason: str | None = None
    exception: Exception | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the report for JSON; of an exception it tells the class, not the message."""
        shown: dict[str, Any] = {'name': self.name, 'status': self.status, 'seconds': round(self.seconds, 6)}
        if self.reason is not None:
            shown['reason'] = self.reason
        if self.exception is not None:
            shown['exception'] = type(self.exception).__name__
        return shown


class RunReport(NamedTuple):
    """What became of one run.

    :param instant: the minute it ran for, aware.
    :param zone: the time zone that it is shown in, ``None`` for the machine's.
    :param seconds: how long it took.
    :param tasks: a report for each task that was due, in the order in which they had their turn.
    """

    instant: datetime
    zone: tzinfo | None
    seconds: float
    tasks: tuple[TaskReport, ...]

    @property
    def minute(self) -> datetime:
        """The minute it ran for, aware and in the time zone that it is shown in."""
        return clock.to_zone(self.instant, self.zone)

    def names(self, status: str) -> list[str]:
        """Return the names of the tasks that have this status."""
        return [task.name for task in self.tasks if task.status == status]

    def __str__(self) -> str:
        failed = self.names(FAILED)
        if not failed:
            return 'ok'
        return f'fail: {len(failed)} of {len(self.tasks)} tasks failed: {", ".join(failed)}'

    def as_dict(self) -> dict[str, Any]:
        """Return the report for JSON."""
        return {
            'minute': self.minute.isoformat(),
            'seconds': round(self.seconds, 6),
            'tasks': [task.as_dict() for task in self.tasks],
        }
