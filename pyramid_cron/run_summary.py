"""One past run, or one action of a user, in plain values for the page and the command line, and for JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any, NamedTuple

from pyramid_cron.durations import format_seconds, run_duration
from pyramid_cron.history_entries import BACKFILL, BY_HAND, ActionEntry, PastRun
from pyramid_cron.outcomes import LOST, QUEUED, RUNNING, STUCK
from pyramid_cron.schedules import clock

# what has requested a run, by its trigger in the history
TRIGGERS = {
    'request': 'a tick over HTTP',
    'command': 'a tick by pcron',
    'queue': 'a message of a queue',
    'manual': BY_HAND,
    BACKFILL: BACKFILL,
}


class RunSummary(NamedTuple):
    """One past run in plain values.

    :param outcome: its outcome, ``'stuck'`` if it has been running for too long.
    :param when: the instant at which it began, or the minute that it was for if it did not begin.
    :param took: how long it took, or has been running or queued; empty if that is not known.
    :param reason: what it raised, or why it did not run.
    :param about: by hand or for which minute, which attempt, in which process, and by which user its minute was made
        good, where these are not plain.
    """

    outcome: str
    when: datetime
    took: str
    reason: str
    about: Sequence[str]


def summarize_run(run: PastRun, now: datetime, stuck: bool, format_time: Callable[[datetime], str]) -> RunSummary:
    """Return a past run in plain values.

    :param stuck: whether the run in progress of its task is stuck.
    :param format_time: returns the text of a minute.
    """
    outcome, took = run.outcome, ''
    if outcome in (RUNNING, QUEUED):
        # not below 0 where the clocks of two machines differ
        took = run_duration(max((now - run.started).total_seconds(), 0.0))
        if outcome == RUNNING and stuck:
            outcome = STUCK
    elif run.attempt and run.seconds is not None and outcome != LOST:
        took = format_seconds(run.seconds)
    when, about = run.started, []
    requested_by = f', {run.requested_by}' if run.requested_by else ''
    if run.trigger == BACKFILL:
        about.append(f'{BACKFILL}{requested_by}')
    if run.scheduled_for is None:
        about.append(f'{BY_HAND}{requested_by}')
    elif not run.attempt:
        when = run.scheduled_for
    elif run.scheduled_for != clock.minute_of(run.started):
        about.append(f'for {format_time(run.scheduled_for)}')
    if run.attempt > 1:
        about.append(f'attempt {run.attempt}')
    if run.process:
        about.append(run.process)
    if run.made_good:
        about.append(run.made_good)
    return RunSummary(outcome, when, took, run.why, about)


def describe_trigger(run: PastRun) -> str:
    """Return what has requested a run, and which user if that is known; empty for what did not begin."""
    by = f', by {run.requested_by}' if run.requested_by else ''
    return f'{TRIGGERS.get(run.trigger, run.trigger)}{by}' if run.attempt else ''


def describe_action(entry: ActionEntry, format_time: Callable[[datetime], str]) -> list[str]:
    """Return what was done, by which user and until when, as parts of a line.

    :param format_time: returns the text of a minute.
    """
    parts = [f'{entry.action}{f" by {entry.requested_by}" if entry.requested_by else ""}']
    return [*parts, f'until {format_time(entry.until)}'] if entry.until is not None else parts


def run_as_dict(run: PastRun, zone: tzinfo | None) -> dict[str, Any]:
    """Return a past run for JSON, with its instants in a time zone; its key is made of its id."""
    return in_zone({name: value for name, value in run._asdict().items() if name != 'id'}, zone)


def in_zone(values: Mapping[str, Any], zone: tzinfo | None) -> dict[str, Any]:
    """Return values for JSON, with the instants among them in a time zone."""
    return {
        name: clock.to_zone(value, zone).isoformat() if isinstance(value, datetime) else value
        for name, value in values.items()
    }
