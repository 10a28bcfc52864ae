"""One past run in plain values, for the page and the command line, and for JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, tzinfo
from typing import Any, NamedTuple

from pyramid_cron.reports import LOST, QUEUED, RUNNING, STUCK, PastRun, duration, format_seconds
from pyramid_cron.schedules import clock


class RunSummary(NamedTuple):
    """One past run in plain values.

    :param outcome: its outcome, ``'stuck'`` if it has been running for too long.
    :param when: the instant at which it began, or the minute that it was for if it did not begin.
    :param took: how long it took, or has been running or queued; empty if that is not known.
    :param reason: what it raised, or why it did not run.
    :param about: by hand or for which minute, which attempt, and in which process, where these are not plain.
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
        took = duration(max((now - run.started).total_seconds(), 0.0))
        if outcome == RUNNING and stuck:
            outcome = STUCK
    elif run.attempt and run.seconds is not None and outcome != LOST:
        took = format_seconds(run.seconds)
    when, about = run.started, []
    if run.scheduled_for is None:
        about.append(f'by hand{f", {run.requested_by}" if run.requested_by else ""}')
    elif not run.attempt:
        when = run.scheduled_for
    elif run.scheduled_for != clock.minute_of(run.started):
        about.append(f'for {format_time(run.scheduled_for)}')
    if run.attempt > 1:
        about.append(f'attempt {run.attempt}')
    if run.process:
        about.append(run.process)
    return RunSummary(outcome, when, took, run.why, about)


def run_as_dict(run: PastRun, zone: tzinfo | None) -> dict[str, Any]:
    """Return a past run for JSON, with its instants in a time zone."""
    return in_zone(run._asdict(), zone)


def in_zone(values: Mapping[str, Any], zone: tzinfo | None) -> dict[str, Any]:
    """Return values for JSON, with the instants among them in a time zone."""
    return {
        name: clock.to_zone(value, zone).isoformat() if isinstance(value, datetime) else value
        for name, value in values.items()
    }
