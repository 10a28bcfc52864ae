"""The values of the page that explains which tasks are due at a minute."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from pyramid_cron.schedules import clock
from pyramid_cron.status.formatting import FormattedRun, format_run
from pyramid_cron.status.queries import read_minute
from pyramid_cron.task_summary import LOCAL_TIME, TaskSummary, summarize


class Explanation(NamedTuple):
    """A task at the minute.

    :param name: the name of the task.
    :param why: why it is due or not.
    :param runs: its runs for that minute.
    """

    name: str
    why: str
    runs: Sequence[FormattedRun] = ()


class DuePage(NamedTuple):
    """The values of the page.

    :param at: the minute.
    :param past: whether it is over.
    :param due: the tasks that are due.
    :param others: those that are not.
    :param has_store: whether there is a store.
    :param error: why the store cannot be read.
    """

    at: str
    past: bool
    due: Sequence[Explanation]
    others: Sequence[Explanation]
    has_store: bool
    error: str | None


def build_due_page(registry: Any, instant: datetime, now: datetime) -> DuePage:
    """Return the values of the page for a minute of the past or the future."""
    settings = registry['cron_settings']
    summaries = [summarize(task, instant, 0) for task in registry['cron_tasks']]
    due = [summary for summary in summaries if summary.is_due]
    minute = read_minute(registry, [summary.task.name for summary in due], instant)
    shown = clock.to_zone(instant, settings.timezone)

    def explain(summary: TaskSummary) -> Explanation:
        name = summary.task.name
        formatted = [format_run(run, now, name in minute.stuck, settings.timezone) for run in minute.runs.get(name, [])]
        return Explanation(summary.task.name, summary.explain(), formatted)

    return DuePage(
        at=f'{shown:%a %Y-%m-%d %H:%M} {settings.timezone or LOCAL_TIME}',
        past=instant <= now,
        due=[explain(summary) for summary in due],
        others=[Explanation(summary.task.name, summary.explain()) for summary in summaries if not summary.is_due],
        has_store=minute.has_store,
        error=minute.error,
    )
