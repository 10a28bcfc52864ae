"""The values of the page that explains which tasks are due at a minute."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import Any, NamedTuple

from pyramid_cron.schedules import clock
from pyramid_cron.status.formatting import FormattedRun, format_run, format_span, format_time
from pyramid_cron.status.queries import MinuteReading, read_minute
from pyramid_cron.task_summary import LOCAL_TIME, TaskSummary, summarize


class Explanation(NamedTuple):
    """A task at the minute.

    :param name: the name of the task.
    :param why: why it is due or not.
    :param runs: what is recorded of that minute.
    :param without_record: what became of it, if it is over and nothing is recorded of it.
    """

    name: str
    why: str
    runs: Sequence[FormattedRun] = ()
    without_record: str = ''


class DuePage(NamedTuple):
    """The values of the page.

    :param at: the minute.
    :param past: whether it is over.
    :param due: the tasks that are due.
    :param others: those that are not.
    :param has_store: whether there is a store.
    :param error: why the store cannot be read.
    :param no_tick: that no tick came for it, or that ticks failed; empty if that is not known of it.
    :param before: the minute before it, for the address of its page.
    :param after: the minute after it.
    """

    at: str
    past: bool
    due: Sequence[Explanation]
    others: Sequence[Explanation]
    has_store: bool
    error: str | None
    no_tick: str
    before: str
    after: str


def build_due_page(registry: Any, instant: datetime, now: datetime, zone: tzinfo | None) -> DuePage:
    """Return the values of the page for a minute of the past or the future.

    :param zone: the time zone of its times, ``None`` for the machine's.
    """
    summaries = [summarize(task, instant, 0) for task in registry['cron_tasks']]
    due = [summary for summary in summaries if summary.is_due]
    minute = read_minute(registry, [summary.task for summary in due], instant)
    shown = clock.to_zone(instant, zone)

    def why(summary: TaskSummary) -> str:
        # the fields are those of the time zone of the task, and the minute above them is in another
        elsewhere = '' if summary.zone_name == str(zone or LOCAL_TIME) else f' ({summary.zone_name})'
        return f'{summary.explain()}{elsewhere}'

    def explain(summary: TaskSummary) -> Explanation:
        name = summary.task.name
        result = minute.results.get(name)
        if result is None or instant > now:
            return Explanation(name, why(summary))
        formatted = [format_run(run, now, name in minute.stuck, zone) for run in result.runs]
        return Explanation(name, why(summary), formatted, '' if result.runs else result.describe_absence())

    return DuePage(
        at=f'{shown:%a %Y-%m-%d %H:%M} {zone or LOCAL_TIME}',
        past=instant <= now,
        due=[explain(summary) for summary in due],
        others=[Explanation(summary.task.name, why(summary)) for summary in summaries if not summary.is_due],
        has_store=minute.has_store,
        error=minute.error,
        no_tick=_format_no_tick(minute, instant, now, zone),
        before=(instant - clock.MINUTE).isoformat(timespec='minutes'),
        after=(instant + clock.MINUTE).isoformat(timespec='minutes'),
    )


def _format_no_tick(minute: MinuteReading, instant: datetime, now: datetime, zone: tzinfo | None) -> str:
    """Return that no tick came for a minute, or that ticks failed; empty if neither is known."""
    gap, last = minute.gap, minute.last_tick
    if gap is not None:
        what = 'No tick came' if gap.problem is None else f'Ticks failed ({gap.problem})'
        return f'{what}, {format_span(gap.first, gap.last, now, zone)}'
    if not minute.has_store or minute.error is not None or instant > now:
        return ''
    if last is None:
        return 'No tick has come yet'
    return f'No tick has come since {format_time(last, now, zone).text}' if instant > last else ''
