"""The report of a run as lines of text."""

from __future__ import annotations

from collections.abc import Iterator

from pyramid_cron.outcomes import EXCUSED, LOST
from pyramid_cron.reports import RunReport, TaskReport


def format_report(report: RunReport) -> Iterator[str]:
    """Yield a line for the problem of a run, if it has one, and for each of its tasks."""
    if report.problem is not None:
        yield f'problem  {report.problem}'
    width = max([8, *(len(task.outcome) for task in report.tasks)])
    for task in report.tasks:
        yield format_task_report(task, width)


def format_task_report(task: TaskReport, width: int = 8) -> str:
    """Return a line for one task of a run.

    :param width: the columns of the outcome.
    """
    detail = task.key or task.error or task.reason
    # the end of a lost run is unknown, and so is how long it took
    text = task.name if task.outcome == LOST else f'{task.name}, {task.seconds:.3f} s'
    if task.scheduled_for is not None:
        text += f', for {task.scheduled_for.isoformat(" ", "minutes")}'
    if task.attempt > 1:
        text += f', attempt {task.attempt}'
    text += EXCUSED.get(task.excuse, '')
    if task.engine is not None:
        text += f', with {task.engine}' if task.key else f', could not be enqueued with {task.engine}'
    return f'{task.outcome:{width}} {text}{f": {detail}" if detail else ""}'
