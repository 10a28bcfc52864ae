"""Reasons of the store as texts, for reports, the log and the history."""

from __future__ import annotations

from datetime import timezone, tzinfo

from pyramid_cron.claims import Pause
from pyramid_cron.history_entries import process_of
from pyramid_cron.printable import printable
from pyramid_cron.schedules import clock
from pyramid_cron.store.task_state import TaskState
from pyramid_cron.task_texts import format_stop

STILL_RUNNING = 'still running'
# characters of a reason that a user writes
LONGEST_REASON = 1000


def parse_reason(text: str) -> str:
    """Return the reason that a user writes in one line, and without control characters.

    :raises ValueError: if it is empty or too long.
    """
    reason = printable(' '.join(text.split()))
    if not reason:
        raise ValueError('the reason is empty: write why')
    if len(reason) > LONGEST_REASON:
        raise ValueError(f'the reason has {len(reason)} characters: write {LONGEST_REASON} at most')
    return reason


def running_process(state: TaskState, zone: tzinfo | None = timezone.utc) -> str:
    """Return the process that runs a task, and since when, in a time zone."""
    host, pid = (None, None) if state.process is None else (state.process.host, state.process.pid)
    return f'{process_of(pid, host)}, since {_started(state, zone)}'


def busy_reason(state: TaskState, zone: tzinfo | None) -> str:
    """Return why a claimed task cannot be claimed again."""
    if state.handed_over_for is not None:
        return f'still queued, since {_started(state, zone)}'
    request = state.stop_request
    stop = '' if request is None else f'; {format_stop(request, zone)}'
    return f'{STILL_RUNNING}: {running_process(state, zone)}{stop}'


def paused_reason(pause: Pause) -> str:
    """Return why a task is paused, and by which user."""
    others = ' with all tasks' if pause.of_all else ''
    by = f' by {pause.requested_by}' if pause.requested_by else ''
    return printable(f'paused{others}{by}: {pause.reason}')


def _started(state: TaskState, zone: tzinfo | None) -> str:
    started = state.started
    return '?' if started is None else clock.to_zone(started, zone).isoformat(' ', 'seconds')
