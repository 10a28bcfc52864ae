"""The sentences below the picture of a timeline: for the page and for ``pcron timeline``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta, tzinfo
from itertools import groupby
from typing import TYPE_CHECKING

from pyramid_cron.durations import duration, format_length, format_seconds
from pyramid_cron.schedules import clock
from pyramid_cron.timeline.bars import WRONG

if TYPE_CHECKING:
    from pyramid_cron.timeline.bars import Bar
    from pyramid_cron.timeline.build import NoTick, Timeline
    from pyramid_cron.timeline.overlaps import Busy, LongMinutes, OwnOverlap
    from pyramid_cron.timeline.window import Window

#: returns the text of an instant
At = Callable[[datetime], str]
# a day on which the clocks are put back
ONE_DAY_AT_MOST = timedelta(hours=25)
# names, minutes and sentences of a kind
MOST_NAMES, MOST_MINUTES, MOST_SENTENCES = 6, 3, 12
# bars one after another that are counted and not named, and parts of the text of a row
ALIKE, MOST_PARTS = 3, 20


def time_format(window: Window, zone: tzinfo | None) -> At:
    """Return a function that returns the time of an instant as a text, with the day of the week where days differ."""
    with_day = window.length > ONE_DAY_AT_MOST

    def at(instant: datetime) -> str:
        wall = clock.to_wall(instant, zone)
        # the hour that comes twice when the clocks are put back
        again = ' again' if wall.fold else ''
        return f'{wall:%a %H:%M}{again}' if with_day else f'{wall:%H:%M}{again}'

    return at


def describe_window(timeline: Timeline, zone: tzinfo | None, at: At) -> list[str]:
    """Return sentences about the time as a whole: what is left out, the clocks, and the ticks."""
    found = [timeline.window.clock_change(zone)]
    if not timeline.has_store and timeline.window.first < timeline.now:
        found.append('The runs are not known: set cron.store.')
    if timeline.cut is not None:
        found.append(f'There are too many runs: none that began before {at(timeline.cut)} is shown.')
    if timeline.often:
        run, have = ('task runs', 'has') if timeline.often == 1 else ('tasks run', 'have')
        found.append(
            f'{timeline.often} {run} more often than every 15 minutes, and {have} no row unless something fails.'
        )
    if timeline.more_rows:
        found.append(f'{timeline.more_rows} more tasks have a run in this time, and no row.')
    if timeline.without_history:
        found.append(f'Runs are not recorded of {_names(timeline.without_history)}: store=False.')
    if timeline.paused:
        found.append(f'Paused now: {_names(timeline.paused)}.')
    return list(filter(None, found))


def describe_no_ticks(timeline: Timeline, at: At) -> list[str]:
    """Return a sentence for each time without a tick."""
    return _shorten([_describe_no_tick(gap, timeline.now, at) for gap in timeline.no_ticks])


def _describe_no_tick(gap: NoTick, now: datetime, at: At) -> str:
    what = 'No tick' if gap.problem is None else 'Ticks failed'
    why = f': {gap.problem}' if gap.problem else ''
    if gap.end >= now:
        # as health and the other pages have it, since the last tick
        since = gap.first - clock.MINUTE
        return f'{what} since {at(since)}, for {duration((gap.end - since).total_seconds())}{why}'
    last, length = gap.end - clock.MINUTE, duration((gap.end - gap.first).total_seconds())
    if last <= gap.first:
        return f'{what} at {at(gap.first)}{why}'
    return f'{what} from {at(gap.first)} to {at(last)}, for {length}{why}'


def describe_overlaps(timeline: Timeline, at: At) -> list[str]:
    """Return sentences about runs that go on at once, and about tasks that are due again before they usually end."""
    return [
        *_shorten([_describe_busy(busy, timeline.now, at) for busy in timeline.busy]),
        *_shorten([_describe_own(overlap, at) for overlap in timeline.own_overlaps]),
    ]


def _describe_busy(busy: Busy, now: datetime, at: At) -> str:
    length = format_length(busy.first, busy.end)
    tense = 'overlapped' if busy.end <= now else 'overlap'
    most = '' if len(busy.tasks) == busy.most else f', {busy.most} at once at most'
    return f'{at(busy.first)} to {at(busy.end)} ({length}): {_names(busy.tasks)} {tense}{most}'


def _describe_own(overlap: OwnOverlap, at: At) -> str:
    return (
        f'{overlap.task} ({overlap.usual}) is still running when it is due again, as at {at(overlap.next)} '
        f'after {at(overlap.minute)}: that minute is skipped'
    )


def describe_long_minutes(timeline: Timeline, window: float, at: At) -> list[str]:
    """Return a sentence for each group of minutes that usually take longer than their window.

    :param window: the setting ``cron.window``.
    """
    return _shorten([_describe_long(minutes, window, at) for minutes in timeline.long_minutes])


def _describe_long(long: LongMinutes, window: float, at: At) -> str:
    idle = f'; no time is left for {_names(long.idle)}' if long.idle else ''
    together = '' if len(long.tasks) == 1 else ' one after another'
    return (
        f'{_minutes(long.minutes, at)}: {_names(long.tasks)} usually {"takes" if len(long.tasks) == 1 else "take"} '
        f'{format_seconds(long.seconds)}{together}, longer than cron.window of {duration(window)}{idle}'
    )


def describe_bars(bars: Sequence[Bar], at: At) -> str:
    """Return the bars of a task in words: ``13 ok, 12:05 to 00:05; 01:05 failed, 3.0 s: Timeout; 9 to come, …``."""
    parts: list[str] = []
    for kind, group in groupby(bars, key=lambda bar: bar.kind):
        alike = list(group)
        if len(alike) < ALIKE or kind in WRONG:
            parts += [bar.describe(at) for bar in alike]
        else:
            parts.append(f'{len(alike)} {kind}, {at(alike[0].begin)} to {at(alike[-1].begin)}')
    more = len(parts) - MOST_PARTS
    return '; '.join([*parts[:MOST_PARTS], *([f'{more} more'] if more > 0 else [])])


def describe_to_come(timeline: Timeline, at: At) -> Iterator[tuple[datetime, str, str]]:
    """Yield each task with runs to come: the first of them, its name, and how long they take and how many follow."""
    following: dict[str, list[datetime]] = {}
    first: dict[str, Bar] = {}
    for bar in timeline.to_come:
        first.setdefault(bar.task, bar)
        following.setdefault(bar.task, []).append(bar.begin)
    for name, bar in first.items():
        later = following[name][1:]
        also = f'also at {_minutes(later, at)}' if later else ''
        yield bar.begin, name, '; '.join(filter(None, [bar.usual, also]))


def _minutes(minutes: Sequence[datetime], at: At) -> str:
    more = len(minutes) - MOST_MINUTES
    return ', '.join(map(at, minutes[:MOST_MINUTES])) + (f' and {more} more' if more > 0 else '')


def _names(names: Sequence[str]) -> str:
    """Return names for a sentence: ``a, b and c``, or ``a, b and 7 more``."""
    shown = list(names) if len(names) <= MOST_NAMES else [*names[:MOST_NAMES], f'{len(names) - MOST_NAMES} more']
    return ' and '.join(filter(None, [', '.join(shown[:-1]), shown[-1]]))


def _shorten(sentences: list[str]) -> list[str]:
    if len(sentences) <= MOST_SENTENCES:
        return sentences
    return [*sentences[:MOST_SENTENCES], f'and {len(sentences) - MOST_SENTENCES} more']
