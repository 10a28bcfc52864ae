"""The command ``timeline``: what ran, what did not, and what is to come, as a picture of characters and in words."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Any

from pyramid_cron.history_entries import MADE_GOOD
from pyramid_cron.outcomes import (
    FAILED,
    LOST,
    MISSED,
    OK,
    OVERDUE,
    PAUSED,
    QUEUED,
    RUNNING,
    SKIPPED,
    STOPPED,
    STUCK,
)
from pyramid_cron.schedules import clock
from pyramid_cron.scripts.columns import wrap
from pyramid_cron.scripts.command import Command
from pyramid_cron.scripts.loading import UsageError
from pyramid_cron.timeline.bars import TO_COME, Bar
from pyramid_cron.timeline.build import Row, Timeline, build_timeline
from pyramid_cron.timeline.sentences import (
    At,
    describe_long_minutes,
    describe_no_ticks,
    describe_overlaps,
    describe_to_come,
    describe_window,
    time_format,
)
from pyramid_cron.timeline.window import ONE_DAY, Mark, WindowError, parse_window
from pyramid_cron.times import TimeError

# the characters of bars; of several in one place the first of these is shown
CHARACTERS = {
    FAILED: 'x',
    LOST: '?',
    STUCK: '!',
    MISSED: 'o',
    OVERDUE: '-',
    RUNNING: '>',
    QUEUED: ':',
    STOPPED: 's',
    MADE_GOOD: '+',
    OK: '#',
    TO_COME: '=',
    SKIPPED: ',',
    PAUSED: '"',
}
OTHER, NO_TICK, HOUR, NOW = '*', '/', '.', '|'
RANKS = [*CHARACTERS.values(), OTHER]
# columns of a name; longer ones have a line of their own
MAX_NAME = 26
# hours from one label to the next: in a few hours, on a day and in a longer time
FEW_HOURS = timedelta(hours=8)
OF_HOURS, EVERY, OF_DAYS = 1, 3, 24
# of what went wrong, and of what is in progress
MOST_LINES = 30
HOURS = timedelta(hours=1)


class TimelineCommand(Command):
    """The command that shows a night, a day, or another time."""

    def show_timeline(self) -> int:
        """Show what ran, and what is to come."""
        now = self.now()
        try:
            window = parse_window(self.args.since, self.args.until, now, self.zone)
        except WindowError as exc:
            raise UsageError(exc) from None
        except TimeError as exc:
            raise UsageError(f'--since or --until {exc}') from None
        timeline = build_timeline(self.registry, window, now)
        if timeline.error is not None:
            self.warn(f'without what ran: {timeline.error}')
        if self.args.json:
            self.out(json.dumps(_as_dict(timeline, self.zone), indent=2))
        else:
            self.out('\n'.join(_lines(timeline, self.settings.window, self.zone, self.width())))
        return 0 if timeline.error is None else 1


def _lines(timeline: Timeline, window: float, zone: tzinfo | None, width: int) -> Iterator[str]:
    at = time_format(timeline.window, zone)
    present = f', now {at(timeline.now)}' if timeline.window.has(timeline.now) else ''
    yield from wrap('', f'{timeline.window.title(zone)}{present}', width)
    yield ''
    yield from _picture(timeline, zone, width)
    sections = {
        'No tick': describe_no_ticks(timeline, at),
        'What went wrong': _lines_of(timeline.wrong, at),
        'In progress': _lines_of(timeline.in_progress, at),
        'To come': [
            f'{at(minute)}  {name}{f", {text}" if text else ""}'
            for minute, name, text in describe_to_come(timeline, at)
        ],
        'Minutes that will take longer than their window': describe_long_minutes(timeline, window, at),
        'What overlaps': describe_overlaps(timeline, at),
        'Notes': describe_window(timeline, zone, at),
    }
    for heading, sentences in sections.items():
        if sentences:
            yield ''
            yield heading
            for sentence in sentences:
                first, *others = wrap('  ', sentence, width)
                yield first
                yield from (f'    {line.strip()}' for line in others)


def _lines_of(bars: Sequence[Bar], at: At) -> list[str]:
    """Return a line for each bar, the time first; no more than some of them."""
    lines = [f'{at(bar.begin)}  {bar.task}, {bar.describe(at).removeprefix(at(bar.begin)).strip()}' for bar in bars]
    more = len(lines) - MOST_LINES
    return [*lines[:MOST_LINES], f'and {more} more'] if more > 0 else lines


def _picture(timeline: Timeline, zone: tzinfo | None, width: int) -> Iterator[str]:
    if not timeline.rows:
        yield 'No task has a run in this time.'
        return
    name_width = min(MAX_NAME, max(len(row.task) for row in timeline.rows))
    columns = _columns(timeline, width - name_width - 2)
    yield f'{"":{name_width}}  {_header(timeline, zone, columns)}'.rstrip()
    background = _background(timeline, zone, columns)
    for row in timeline.rows:
        name = row.task
        if len(name) > name_width:
            yield name
            name = ''
        yield f'{name:{name_width}}  {_row(timeline, row, background)}'.rstrip()
    used = {bar.kind for row in timeline.rows for bar in row.bars}
    legend = [f'{character} {kind}' for kind, character in CHARACTERS.items() if kind in used]
    legend += [f'{OTHER} other'] if used - CHARACTERS.keys() else []
    legend += [f'{NO_TICK} no tick'] if timeline.no_ticks else []
    legend += [f'{NOW} now'] if timeline.window.has(timeline.now) else []
    yield from wrap(' ' * (name_width + 2), ', '.join(legend), width)


def _columns(timeline: Timeline, room: int) -> int:
    """Return how many columns the time has: as many for each hour, if each has one."""
    hours = timeline.window.length / HOURS
    return math.ceil(hours * max(room // math.ceil(hours), 1)) if hours <= room else max(room, 1)


def _header(timeline: Timeline, zone: tzinfo | None, columns: int) -> str:
    cells = [' '] * (columns + 3)
    end = 0
    for mark in _marks(timeline, zone):
        label = f'{mark.wall:%H}' if mark.wall.hour else f'{mark.wall:%a}'
        column = _column(timeline, mark.instant, columns)
        if column >= end:
            cells[column : column + len(label)] = label
            end = column + len(label) + 1
    return ''.join(cells)


def _marks(timeline: Timeline, zone: tzinfo | None) -> list[Mark]:
    length = timeline.window.length
    return timeline.window.hours(zone, OF_HOURS if length <= FEW_HOURS else EVERY if length < 2 * ONE_DAY else OF_DAYS)


def _column(timeline: Timeline, instant: datetime, columns: int) -> int:
    return min(int(timeline.window.share(instant) * columns), columns - 1)


def _background(timeline: Timeline, zone: tzinfo | None, columns: int) -> list[str]:
    cells = [' '] * columns
    for mark in _marks(timeline, zone):
        cells[_column(timeline, mark.instant, columns)] = HOUR
    for gap in timeline.no_ticks:
        begin, end = _column(timeline, gap.first, columns), _column(timeline, gap.end - clock.MINUTE, columns)
        cells[begin : end + 1] = NO_TICK * (end + 1 - begin)
    if timeline.window.has(timeline.now):
        cells[_column(timeline, timeline.now, columns)] = NOW
    return cells


def _row(timeline: Timeline, row: Row, background: list[str]) -> str:
    cells, columns = list(background), len(background)
    for bar in row.bars:
        character = CHARACTERS.get(bar.kind, OTHER)
        _fill(cells, character, _column(timeline, bar.begin, columns), _last(timeline, bar.begin, bar.end, columns))
        if bar.until > bar.end:
            first = _column(timeline, max(bar.begin, bar.end), columns)
            _fill(cells, CHARACTERS[TO_COME], first, _last(timeline, bar.end, bar.until, columns))
    return ''.join(cells)


def _last(timeline: Timeline, begin: datetime, end: datetime, columns: int) -> int:
    """Return the column in which a bar ends: not the one that begins with its end."""
    return _column(timeline, max(begin, end - timedelta(seconds=1)), columns)


def _fill(cells: list[str], character: str, first: int, last: int) -> None:
    for column in range(first, last + 1):
        there = cells[column]
        if there not in RANKS or RANKS.index(character) < RANKS.index(there):
            cells[column] = character


def _as_dict(timeline: Timeline, zone: tzinfo | None) -> dict[str, Any]:
    def iso(instant: datetime) -> str:
        return clock.to_zone(instant, zone).isoformat()

    at = time_format(timeline.window, zone)
    return {
        'since': iso(timeline.window.first),
        'until': iso(timeline.window.end),
        'now': iso(timeline.now),
        'error': timeline.error,
        'cut_before': timeline.cut and iso(timeline.cut),
        'no_ticks': [
            {'first': iso(gap.first), 'end': iso(gap.end), 'problem': gap.problem} for gap in timeline.no_ticks
        ],
        'tasks': [
            {'name': row.task, 'registered': row.registered, 'bars': [bar.as_dict(zone) for bar in row.bars]}
            for row in timeline.rows
        ],
        'overlaps': [
            {'first': iso(busy.first), 'end': iso(busy.end), 'most': busy.most, 'tasks': list(busy.tasks)}
            for busy in timeline.busy
        ],
        'due_while_running': [
            {'name': own.task, 'minute': iso(own.minute), 'next': iso(own.next)} for own in timeline.own_overlaps
        ],
        'long_minutes': [
            {'minutes': [*map(iso, long.minutes)], 'seconds': long.seconds, 'tasks': list(long.tasks)}
            for long in timeline.long_minutes
        ],
        'notes': describe_window(timeline, zone, at),
    }
