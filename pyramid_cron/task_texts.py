"""Texts for people about the pause of a task, an acknowledged failure, retries and the next attempt."""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, Any

from pyramid_cron.alarm import Acknowledged
from pyramid_cron.claims import Pause
from pyramid_cron.durations import duration
from pyramid_cron.outcomes import MISSED
from pyramid_cron.schedules import clock
from pyramid_cron.stopping import StopRequest
from pyramid_cron.tasks import Task

if TYPE_CHECKING:
    from pyramid_cron.monitoring.problem import Problem
    from pyramid_cron.store.stops import Stop


def format_pause(pause: Pause, zone: tzinfo | None) -> str:
    """Return by which account, since and until when, and why a task is paused, or all tasks are."""
    by = f'by {pause.requested_by} ' if pause.requested_by else ''
    until = f'until {"they are" if pause.of_all else "it is"} resumed'
    if pause.until is not None:
        until = f'until {clock.to_zone(pause.until, zone):%a %Y-%m-%d %H:%M}'
    since = '' if pause.since is None else f'since {clock.to_zone(pause.since, zone):%a %Y-%m-%d %H:%M} '
    return f'{by}{since}{until}: {pause.reason}'


def pause_as_dict(pause: Pause) -> dict[str, Any]:
    """Return a pause for JSON, in UTC."""
    return {
        'since': pause.since and pause.since.isoformat(),
        'until': pause.until and pause.until.isoformat(),
        'reason': pause.reason,
        'requested_by': pause.requested_by,
        'all_tasks': pause.of_all,
    }


def format_acknowledged(acknowledged: Acknowledged, zone: tzinfo | None) -> str:
    """Return by which account, since when and why a failure is acknowledged."""
    by = f' by {acknowledged.requested_by}' if acknowledged.requested_by else ''
    since = acknowledged.since and f' since {clock.to_zone(acknowledged.since, zone):%a %Y-%m-%d %H:%M}'
    return f'acknowledged{by}{since or ""}: {acknowledged.reason}'


def format_stop(request: StopRequest, zone: tzinfo | None) -> str:
    """Return by which account and since when a run in progress is to end."""
    by = f' by {request.requested_by}' if request.requested_by else ''
    at = request.at and f' at {clock.to_zone(request.at, zone):%a %Y-%m-%d %H:%M}'
    return f'stop requested{by}{at or ""}'


def format_stopped(stop: Stop, lease: float, zone: tzinfo | None) -> str:
    """Return what became of the request that a run ends.

    :param lease: the setting ``cron.lease``, in seconds.
    """
    if stop.was_queued:
        return f'{stop.task} is stopped: it was queued, and no worker begins it any more'
    within = f'its process sees this within {duration(lease / 3)}; the run ends when the task next calls stopping()'
    if stop.lease_over:
        within = 'its process has not renewed its lease, and may be dead: then the next tick ends the run'
    already = '' if stop.is_new else f' already, {format_stop(stop.request, zone)}'
    return f'{stop.task} is to stop{already}: {within}'


def format_retries(task: Task) -> str:
    """Return how often a failed run is repeated, and after which waits, for people: ``2, after 60 s and 10 min``."""
    waits = [duration(wait.total_seconds()) for wait in task.retry_waits]
    if not waits:
        return str(task.retries or 'none')
    return f'{task.retries}, after {" and ".join(filter(None, [", ".join(waits[:-1]), waits[-1]]))}'


def format_attempt(at: datetime, now: datetime, zone: tzinfo | None) -> str:
    """Return the minute of the next attempt for people, with its date unless that is today."""
    return f'next attempt {_format_minute(at, now, zone, "at ", "on ")}'


def format_when(instant: datetime, now: datetime, zone: tzinfo | None) -> str:
    """Return an instant of the past for people: ``02:00``, ``yesterday 02:00``, ``Mon 2026-11-23 02:00``."""
    shown = clock.to_zone(instant, zone)
    days = (clock.to_zone(now, zone).date() - shown.date()).days
    return {0: f'{shown:%H:%M}', 1: f'yesterday {shown:%H:%M}'}.get(days, f'{shown:%a %Y-%m-%d %H:%M}')


def format_failing(problem: Problem, now: datetime, zone: tzinfo | None) -> str:
    """Return ``failing since 04:10, 12 in a row``: the failures up to the last result, empty for a single one."""
    if problem.runs < 2:
        return ''
    number, since, minute = f'{problem.runs} in a row', problem.failing_since, problem.minute
    # minutes that were missed together are recorded after the newest of them
    if since is None or (problem.kind == MISSED and minute is not None and minute <= since):
        return number
    return f'failing since {format_when(since, now, zone)}, {number}'


def format_waits(since: datetime, now: datetime, zone: tzinfo | None) -> str:
    """Return since which minute a run waits for room in its engine, with its date unless that is today."""
    return f'waits for a process since {_format_minute(since, now, zone)}'


def _format_minute(minute: datetime, now: datetime, zone: tzinfo | None, at: str = '', on: str = '') -> str:
    shown = clock.to_zone(minute, zone)
    is_today = shown.date() == clock.to_zone(now, zone).date()
    return f'{at}{shown:%H:%M}' if is_today else f'{on}{shown:%a %Y-%m-%d %H:%M}'
