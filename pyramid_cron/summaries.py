"""The summaries of several tasks: read with their states and problems from the store, sorted, due in a span."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from pyramid_cron.claims import Pause
from pyramid_cron.errors import Unavailable
from pyramid_cron.schedules.schedule import CALENDAR_ENDS
from pyramid_cron.schedules.spans import Span
from pyramid_cron.task_summary import TaskSummary, summarize
from pyramid_cron.tasks import Task

if TYPE_CHECKING:
    from pyramid_cron.monitoring.problem import Problem


class Summaries(NamedTuple):
    """The summaries of tasks, and what concerns all of them.

    :param tasks: the summaries.
    :param of_ticks: the problem that ticks do not come or fail, ``None`` if there is none and without a store.
    :param not_registered: the problems of tasks in the store that are not registered here.
    :param pause_of_all: the pause of all tasks, if one is in force.
    :param error: why the summaries lack states and problems.
    """

    tasks: list[TaskSummary]
    of_ticks: Problem | None = None
    not_registered: Sequence[Problem] = ()
    pause_of_all: Pause | None = None
    error: Unavailable | None = None


def summarize_all(registry: Any, tasks: Iterable[Task], instant: datetime, count: int) -> Summaries:
    """Return the summaries of tasks, each with its next ``count`` runs."""
    examination, error = None, None
    if registry['cron_store'] is not None:
        from pyramid_cron.monitoring.examine import examine

        try:
            examination = examine(registry)
        except Unavailable as exc:
            error = exc
    if examination is None:
        return Summaries([summarize(task, instant, count) for task in tasks], error=error)
    snapshot, problems = examination.snapshot, examination.by_task()
    summaries = [
        summarize(task, instant, count, snapshot.state_of(task), problems.get(task.name, ()), examination.is_silent)
        for task in tasks
    ]
    registered = {task.name for task in registry['cron_tasks']}
    others = [problem for problem in examination.problems if problem.task and problem.task not in registered]
    return Summaries(summaries, examination.of_ticks, others, examination.snapshot.pause_of_all)


def sort_by_next_run(summaries: Iterable[TaskSummary]) -> list[TaskSummary]:
    """Return the next to run first, and tasks without a next run last."""
    return sorted(summaries, key=lambda summary: summary.next_instant or CALENDAR_ENDS)


def due_between(tasks: Iterable[Task], first: datetime, last: datetime) -> list[str]:
    """Return the names of the tasks that are due in a minute from ``first`` to ``last``."""
    span = Span(first, last)
    return [task.name for task in tasks if span.has_due(task.schedule, task.timezone)]
