"""Plain values for the templates: times, runs, and strips of runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, NamedTuple

from pyramid_cron.reports import (
    AHEAD,
    FAILED,
    LOST,
    MISSED,
    OK,
    PAUSED,
    QUEUED,
    RUNNING,
    SKIPPED,
    STUCK,
    UNREGISTERED,
    PastRun,
    duration,
    format_length,
    format_seconds,
)
from pyramid_cron.run_summary import summarize_run
from pyramid_cron.schedules import clock

if TYPE_CHECKING:
    from pyramid_cron.monitoring.problems import Problem
    from pyramid_cron.store.task_state import TaskState


class Style(NamedTuple):
    """The appearance of an outcome.

    :param symbol: the symbol beside its word.
    :param css_class: the class in the stylesheet.
    :param bar: the end of its path in a strip of 20 units' height. Bars differ in their shape, so that they can be
        read without colours.
    """

    symbol: str
    css_class: str
    bar: str


STYLES = {
    OK: Style('✓', 'good', 'V8'),
    FAILED: Style('✗', 'bad', 'V0'),
    LOST: Style('?', 'bad', 'v-7m0-6V0'),
    STUCK: Style('!', 'bad', 'v-3m0-3V0'),
    AHEAD: Style('!', 'bad', 'v-3m0-3V0'),
    MISSED: Style('○', 'warn', 'v-3m0-5v-3'),
    SKIPPED: Style('»', 'warn', 'v-4'),
    UNREGISTERED: Style('∅', 'warn', 'v-2'),
    PAUSED: Style('‖', 'quiet', 'v-2m0-2v-2'),
    RUNNING: Style('▸', 'quiet', 'v-2m0-2v-2m0-2v-2'),
    QUEUED: Style('…', 'quiet', 'v-1m0-2v-1m0-2v-1'),
}
OTHER_STYLE = Style('·', 'quiet', 'v-2')
# units from one bar to the next
PITCH = 6


class FormattedTime(NamedTuple):
    """A minute for display.

    :param text: the time, with the date unless that is today.
    :param iso: the same in ISO 8601.
    :param distance: the time until it, or since.
    """

    text: str
    iso: str
    distance: str


class FormattedRun(NamedTuple):
    """A run, or a missed one, for display.

    :param outcome: its outcome.
    :param symbol: the symbol beside that.
    :param css_class: the class in the stylesheet.
    :param when: when it began or was due.
    :param took: how long it took.
    :param why: what it raised, or why it did not run.
    :param about: by hand or for which minute, which attempt, and in which process.
    :param traceback: the end of the traceback.
    """

    outcome: str
    symbol: str
    css_class: str
    when: FormattedTime
    took: str
    why: str
    about: str
    traceback: str


class Strip(NamedTuple):
    """A picture of the last runs of a task.

    :param text: the same in words.
    :param width: its width in units.
    :param paths: for each class of the stylesheet, a path of SVG with its bars.
    """

    text: str
    width: int
    paths: Sequence[tuple[str, str]]


def format_time(instant: datetime, now: datetime, zone: tzinfo | None) -> FormattedTime:
    """Return an instant for display in a time zone, ``None`` for the machine's."""
    at, today = clock.to_zone(instant, zone), clock.to_zone(now, zone).date()
    text = f'{at:%H:%M}' if at.date() == today else f'{at:%a %Y-%m-%d %H:%M}'
    return FormattedTime(text, at.isoformat(timespec='minutes'), format_distance(instant, now))


def format_distance(instant: datetime, now: datetime) -> str:
    """Return the time until an instant, or since: ``in 5 min``, ``5 min ago``."""
    if instant > now:
        return f'in {format_length(clock.minute_of(now), instant)}'
    seconds = (now - instant).total_seconds()
    return f'{seconds:.0f} s ago' if seconds < 120 else f'{format_length(instant, now)} ago'


def format_span(first: datetime, last: datetime, now: datetime, zone: tzinfo | None) -> str:
    """Return two minutes as ``01:58 to 02:07``, with the second, or its date, only where it differs."""
    begin, end = format_time(first, now, zone), format_time(last, now, zone)
    if begin == end:
        return begin.text
    same_day = begin.iso[:10] == end.iso[:10]
    return f'{begin.text} to {end.text.rpartition(" ")[2] if same_day else end.text}'


def format_run(run: PastRun, now: datetime, stuck: bool, zone: tzinfo | None) -> FormattedRun:
    """Return a run for display.

    :param stuck: whether the run in progress of its task is stuck.
    """
    summary = summarize_run(run, now, stuck, lambda minute: format_time(minute, now, zone).text)
    style = STYLES.get(summary.outcome, OTHER_STYLE)
    return FormattedRun(
        outcome=summary.outcome,
        symbol=style.symbol,
        css_class=style.css_class,
        when=format_time(summary.when, now, zone),
        took=summary.took,
        why=summary.reason,
        about=', '.join(summary.about),
        traceback=run.traceback or '',
    )


def format_state(
    state: TaskState, problems: Sequence[Problem], now: datetime, zone: tzinfo | None
) -> FormattedRun | None:
    """Return the last result of a task for display, or its run in progress if that is stuck or the first one.

    :return: ``None`` if the task has not run yet.
    """
    in_progress = _in_progress(state, problems, now)
    outcome, at, took = state.last_outcome, state.last_at, ''
    if in_progress and (outcome is None or in_progress[0] == STUCK):
        outcome, took = in_progress
        at, in_progress = state.started, None
    elif outcome not in (LOST, MISSED) and state.last_seconds is not None:
        took = format_seconds(state.last_seconds)
    if outcome is None or at is None:
        return None
    style = STYLES.get(outcome, OTHER_STYLE)
    return FormattedRun(
        outcome=outcome,
        symbol=style.symbol,
        css_class=style.css_class,
        when=format_time(at, now, zone),
        took=took,
        why=(state.last_error or '') if outcome == FAILED else '',
        about=' for '.join(in_progress) if in_progress else '',
        traceback='',
    )


def _in_progress(state: TaskState, problems: Sequence[Problem], now: datetime) -> tuple[str, str] | None:
    """Return what the run in progress of a task is, and for how long; ``None`` if there is none."""
    word = state.in_progress(any(problem.kind == STUCK for problem in problems))
    if state.started is None or word is None:
        return None
    return word, duration(max((now - state.started).total_seconds(), 0.0))


def draw_strip(outcomes: Sequence[str]) -> Strip:
    """Return a picture of the outcomes of runs, the newest last and on the right."""
    bars: dict[str, list[str]] = {}
    for index, outcome in enumerate(outcomes):
        style = STYLES.get(outcome, OTHER_STYLE)
        bars.setdefault(style.css_class, []).append(f'M{PITCH * index + 3} 20{style.bar}')
    # the commonest first
    counts = ', '.join(f'{count} {outcome}' for outcome, count in Counter(outcomes).most_common())
    last = f'; the last is {outcomes[-1]}' if len(set(outcomes)) > 1 else ''
    text = f'Last run: {outcomes[0]}' if len(outcomes) == 1 else f'Last {len(outcomes)} runs: {counts}{last}'
    return Strip(text, PITCH * len(outcomes), [(css_class, ''.join(paths)) for css_class, paths in bars.items()])
