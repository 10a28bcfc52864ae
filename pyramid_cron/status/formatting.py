"""Plain values for the templates: moments, runs, and strips of runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import NamedTuple

from pyramid_cron.reports import (
    FAILED,
    LOST,
    MISSED,
    OK,
    PAUSED,
    QUEUED,
    RUNNING,
    SKIPPED,
    STUCK,
    PastRun,
    duration,
)
from pyramid_cron.schedules import clock
from pyramid_cron.task_summary import distance

# of each outcome: the symbol beside its word, the class of the stylesheet, and its bar in a strip of 20 units' height.
# The bars differ in their shape, so that nobody has to tell colours apart
LOOKS = {
    OK: ('✓', 'good', 'V8'),
    FAILED: ('✗', 'bad', 'V0'),
    LOST: ('?', 'bad', 'v-7m0-6V0'),
    STUCK: ('!', 'bad', 'v-3m0-3V0'),
    MISSED: ('○', 'warn', 'v-3m0-5v-3'),
    SKIPPED: ('»', 'warn', 'v-4'),
    PAUSED: ('‖', 'quiet', 'v-2m0-2v-2'),
    RUNNING: ('▸', 'quiet', 'v-2m0-2v-2m0-2v-2'),
    QUEUED: ('…', 'quiet', 'v-1m0-2v-1m0-2v-1'),
}
OTHER = ('·', 'quiet', 'v-2')
PITCH = 6


class Moment(NamedTuple):
    """A minute for people.

    :param text: the time, with the date unless that is today.
    :param iso: the same for machines.
    :param distance: how far away it is.
    """

    text: str
    iso: str
    distance: str


class Strip(NamedTuple):
    """The last runs of a task in a picture.

    :param text: the same in words.
    :param width: its width in units.
    :param paths: the bars: for each class of the stylesheet, a path of SVG.
    """

    text: str
    width: int
    paths: Sequence[tuple[str, str]]


class Line(NamedTuple):
    """A run, or what was missed, for people.

    :param outcome: the word.
    :param symbol: the symbol beside it.
    :param look: the class of the stylesheet.
    :param when: when it began or was due.
    :param took: how long it took.
    :param why: why it was not run, or what it raised.
    :param about: what else there is to say.
    :param traceback: the end of the traceback.
    """

    outcome: str
    symbol: str
    look: str
    when: Moment
    took: str
    why: str
    about: str
    traceback: str


def moment(instant: datetime, now: datetime, zone: tzinfo | None) -> Moment:
    """Return an instant for people, at a time ``now`` and in a time zone, ``None`` for the machine's."""
    at, today = clock.to_zone(instant, zone), clock.to_zone(now, zone).date()
    text = f'{at:%H:%M}' if at.date() == today else f'{at:%a %Y-%m-%d %H:%M}'
    return Moment(text, at.isoformat(timespec='minutes'), away(instant, now))


def away(instant: datetime, now: datetime) -> str:
    """Return how far an instant is from another, as in ``in 5 min`` and ``5 min ago``."""
    if instant > now:
        return distance(clock.minute_of(now), instant)
    seconds = (now - instant).total_seconds()
    if seconds < 120:
        return f'{seconds:.0f} s ago'
    return f'{distance(instant, now).removeprefix("in ")} ago'


def span(first: datetime, last: datetime, now: datetime, zone: tzinfo | None) -> str:
    """Return two minutes as ``01:58 to 02:07``, with the second, or its date, only where that is another."""
    begin, end = moment(first, now, zone), moment(last, now, zone)
    if begin == end:
        return begin.text
    same_day = begin.iso[:10] == end.iso[:10]
    return f'{begin.text} to {end.text.rpartition(" ")[2] if same_day else end.text}'


def strip(statuses: Sequence[str]) -> Strip:
    """Return a picture of the statuses of runs, the newest last and on the right."""
    bars: dict[str, list[str]] = {}
    for index, outcome in enumerate(statuses):
        _, look, bar = LOOKS.get(outcome, OTHER)
        bars.setdefault(look, []).append(f'M{PITCH * index + 3} 20{bar}')
    # the commonest first
    counts = ', '.join(f'{count} {outcome}' for outcome, count in Counter(statuses).most_common())
    last = f'; the last is {statuses[-1]}' if len(set(statuses)) > 1 else ''
    text = f'Last run: {statuses[0]}' if len(statuses) == 1 else f'Last {len(statuses)} runs: {counts}{last}'
    return Strip(text, PITCH * len(statuses), [(look, ''.join(paths)) for look, paths in bars.items()])


def seconds(number: float) -> str:
    """Return how long a run took: to the millisecond where that is of interest."""
    return f'{number:.3f} s' if number < 1 else f'{number:.1f} s' if number < 60 else duration(number)


def line(run: PastRun, now: datetime, window: float, zone: tzinfo | None) -> Line:
    """Return a run for people.

    :param window: seconds after which a run that has not ended is stuck.
    """
    outcome, took = run.outcome, ''
    if outcome == RUNNING:
        lasts = (now - run.started).total_seconds()
        outcome, took = (STUCK if lasts > window else RUNNING), duration(lasts)
    elif outcome == QUEUED:
        took = duration((now - run.started).total_seconds())
    elif run.attempt and run.seconds is not None and outcome != LOST:
        took = seconds(run.seconds)
    at = run.started
    about = []
    if run.scheduled_for is None:
        about.append(f'by hand{f", {run.requested_by}" if run.requested_by else ""}')
    elif not run.attempt:
        at = run.scheduled_for
    elif run.scheduled_for != clock.minute_of(run.started):
        about.append(f'for {moment(run.scheduled_for, now, zone).text}')
    if run.attempt > 1:
        about.append(f'attempt {run.attempt}')
    if run.process:
        about.append(run.process)
    symbol, look, _ = LOOKS.get(outcome, OTHER)
    why = run.error or run.reason or ''
    return Line(outcome, symbol, look, moment(at, now, zone), took, why, ', '.join(about), run.traceback or '')
