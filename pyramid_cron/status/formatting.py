"""Plain values for the templates: times, runs, and strips of runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, NamedTuple

from pyramid_cron.durations import format_length
from pyramid_cron.history_entries import BY_HAND, MADE_GOOD, ActionEntry, PastRun
from pyramid_cron.names import ALL_TASKS
from pyramid_cron.outcomes import (
    AHEAD,
    FAILED,
    LOST,
    MISSED,
    OK,
    OVERDUE,
    PAUSED,
    QUEUED,
    RUNNING,
    SKIPPED,
    SLOW,
    STOPPED,
    STUCK,
    UNREGISTERED,
    WAITING,
)
from pyramid_cron.run_addresses import RunLink, link_of
from pyramid_cron.run_summary import describe_action, summarize_run
from pyramid_cron.schedules import clock

if TYPE_CHECKING:
    from pyramid_cron.last_due import LastDue
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
    OVERDUE: Style('…', 'warn', 'v-3'),
    SLOW: Style('~', 'warn', 'V4'),
    STOPPED: Style('■', 'warn', 'v-7'),
    SKIPPED: Style('»', 'warn', 'v-4'),
    UNREGISTERED: Style('∅', 'warn', 'v-2'),
    MADE_GOOD: Style('✓', 'quiet', 'v-4m0-2V8'),
    PAUSED: Style('‖', 'quiet', 'v-2m0-2v-2'),
    RUNNING: Style('▸', 'active', 'v-2m0-2v-2m0-2v-2'),
    QUEUED: Style('…', 'active', 'v-1m0-2v-1m0-2v-1'),
    WAITING: Style('⋯', 'active', 'v-1m0-2v-1'),
    BY_HAND: Style('•', 'quiet', 'v-2'),
}
OTHER_STYLE = Style('·', 'quiet', 'v-2')
# the class of a failure that is no alarm
CALM = 'quiet'
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


class FormattedProgress(NamedTuple):
    """The progress of a run for display.

    :param percent: the part that is done.
    :param text: the same in words, with how long the rest takes.
    """

    percent: int
    text: str


class FormattedRun(NamedTuple):
    """A run, a missed one, or an action of a user, for display.

    :param outcome: its outcome.
    :param symbol: the symbol beside that.
    :param css_class: the class in the stylesheet.
    :param when: when it began or was due.
    :param took: how long it took.
    :param why: what it raised, or why it did not run.
    :param about: by hand or for which minute, which attempt, and in which process.
    :param traceback: the end of the traceback.
    :param key: the key of the run; empty for what did not begin.
    :param minute: the minute that a button makes good, in ISO 8601 and UTC; empty for one without a button.
    :param others: whether the entry has other minutes beside that one.
    :param link: what its page is found by; ``None`` for what has none.
    :param progress: the progress of the run in progress of its task; ``None`` if it reports none.
    """

    outcome: str
    symbol: str
    css_class: str
    when: FormattedTime
    took: str
    why: str
    about: str
    traceback: str
    key: str = ''
    minute: str = ''
    others: bool = False
    link: RunLink | None = None
    progress: FormattedProgress | None = None


class FormattedDue(NamedTuple):
    """What became of the last due minute of a task, for display.

    :param word: the outcome, or what the run in progress is.
    :param symbol: the symbol beside that.
    :param css_class: the class in the stylesheet.
    :param when: the minute, or how long ago.
    :param iso: the minute in ISO 8601.
    :param took: how long the run took.
    :param lines: what else is known.
    :param link: what the page of the run is found by, ``None`` if there is no record of one.
    :param progress: the progress of the run in progress, ``None`` without one.
    """

    word: str
    symbol: str
    css_class: str
    when: str
    iso: str
    took: str
    lines: Sequence[str]
    link: RunLink | None = None
    progress: FormattedProgress | None = None


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


def format_present(now: datetime, zone: tzinfo | None) -> FormattedTime:
    """Return the instant at which a page was made, with its date, its seconds and its UTC offset."""
    at = clock.to_zone(now, zone)
    text = f'{at:%a %Y-%m-%d %H:%M:%S} {clock.format_offset(at)}'
    return FormattedTime(text, at.isoformat(timespec='seconds'), '')


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
        css_class=STYLES[MADE_GOOD].css_class if run.made_good else style.css_class,
        when=format_time(summary.when, now, zone),
        took=summary.took,
        why=summary.reason,
        about=', '.join(summary.about),
        traceback=run.traceback or '',
        link=link_of(run),
    )


def format_action(entry: ActionEntry, now: datetime, zone: tzinfo | None) -> FormattedRun:
    """Return an action of a user for display."""
    about = describe_action(entry, lambda minute: format_time(minute, now, zone).text)
    style = STYLES[BY_HAND]
    return FormattedRun(
        outcome=BY_HAND,
        symbol=style.symbol,
        css_class=style.css_class,
        when=format_time(entry.at, now, zone),
        took='',
        why=entry.reason or '',
        about=', '.join([*(['all tasks'] if entry.task == ALL_TASKS else []), *about]),
        traceback='',
    )


def format_last_due(last: LastDue, state: TaskState, now: datetime, zone: tzinfo | None) -> FormattedDue:
    """Return what became of the last due minute of a task for display.

    :param state: the row of the task.
    """
    style, progress = STYLES.get(last.word, OTHER_STYLE), format_progress(state, now)
    return FormattedDue(
        word=last.word,
        symbol=style.symbol,
        css_class=style.css_class if last.excuse is None else CALM,
        when=last.when,
        iso=clock.to_zone(last.at, zone).isoformat(timespec='minutes'),
        took=last.took,
        # the bar has the text of the progress
        lines=[line for line in last.lines if progress is None or line != progress.text],
        link=_link_of_due(last, state),
        progress=progress,
    )


def format_progress(state: TaskState | None, now: datetime) -> FormattedProgress | None:
    """Return the progress of the run in progress of a task for display, ``None`` if there is none."""
    progress = None if state is None else state.progress
    return None if progress is None else FormattedProgress(progress.percent, progress.describe(now))


def _link_of_due(last: LastDue, state: TaskState) -> RunLink | None:
    """Return the link to the run in progress or the last result, ``None`` of what has no record or no minute."""
    if last.word in (RUNNING, QUEUED, STUCK):
        return RunLink(state.task, None, state.run_id)
    is_result = last.word == state.last_outcome and state.last_outcome_for is not None
    return RunLink(state.task, state.last_outcome_for) if is_result else None


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
