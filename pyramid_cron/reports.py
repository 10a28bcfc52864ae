"""What became of a run and of each of its tasks."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Any, NamedTuple

from pyramid_cron import clock

OK, FAILED, SKIPPED, STUCK = 'ok', 'failed', 'skipped', 'stuck'

# reasons to skip a task of which nobody has to be warned
ALREADY_RUN, STOPPING = 'already run', 'stopping'


class TaskReport(NamedTuple):
    """What became of one task that was due.

    :param name: the task's name.
    :param status: ``'ok'``, ``'failed'``, ``'skipped'``, or ``'stuck'`` if a run of it has been running for longer than
        ``cron.window``.
    :param seconds: how long it ran.
    :param reason: why it was not run.
    :param exception: what it raised.
    """

    name: str
    status: str
    seconds: float = 0.0
    reason: str | None = None
    exception: BaseException | None = None

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

    @property
    def failed(self) -> bool:
        """Whether a task failed or is stuck, of which somebody has to hear."""
        return any(task.status in (FAILED, STUCK) for task in self.tasks)

    def __str__(self) -> str:
        failed = self.names(FAILED)
        stuck = [f'{task.name} ({task.reason})' for task in self.tasks if task.status == STUCK]
        told = [f'failed: {", ".join(failed)}'] if failed else []
        if stuck:
            told.append(f'{"is" if len(stuck) == 1 else "are"} stuck: {", ".join(stuck)}')
        counts = [len(names) for names in (failed, stuck) if names]
        if told:
            told[0] = f'of {len(self.tasks)} tasks {told[0]}'
            return 'fail: ' + '; '.join(f'{count} {text}' for count, text in zip(counts, told, strict=True))
        already = sum(task.reason == ALREADY_RUN for task in self.tasks)
        return f'ok: {already} of {len(self.tasks)} tasks already run for {self.minute:%H:%M}' if already else 'ok'

    def as_dict(self) -> dict[str, Any]:
        """Return the report for JSON."""
        return {
            'minute': self.minute.isoformat(),
            'seconds': round(self.seconds, 6),
            'tasks': [task.as_dict() for task in self.tasks],
        }


def duration(seconds: float) -> str:
    """Return a time for people: ``75 s``, ``12 min``, ``3 h 12 min``."""
    if seconds < 120:
        return f'{seconds:.0f} s'
    hours, minutes = divmod(int(seconds) // 60, 60)
    return f'{hours} h {minutes} min' if hours else f'{minutes} min'
