"""The picture of a timeline: a row of SVG for each task, in percent of the width."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, NamedTuple

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
from pyramid_cron.status.formatting import OTHER_STYLE, STYLES
from pyramid_cron.timeline.bars import TO_COME, Bar
from pyramid_cron.timeline.sentences import describe_bars, time_format

if TYPE_CHECKING:
    from pyramid_cron.timeline.build import Row, Timeline

HEIGHT = 22
# a bar is at least so wide, in percent
NARROWEST = 0.22
# of the lines and labels of hours
EVERY = 3

# y and height of the parts of a bar: bars differ in their shape, so that they can be read without colours
SHAPES: dict[str, Sequence[tuple[float, float]]] = {
    OK: [(8, 12)],
    FAILED: [(1, 19)],
    LOST: [(12, 8), (1, 7)],
    STUCK: [(16, 4), (1, 12)],
    MISSED: [(17, 3), (10, 3)],
    OVERDUE: [(17, 3), (10, 3)],
    STOPPED: [(13, 7)],
    SKIPPED: [(17, 3)],
    PAUSED: [(18, 2), (14, 2)],
    MADE_GOOD: [(15, 5), (8, 4)],
    RUNNING: [(8, 3), (13, 3), (18, 2)],
    QUEUED: [(11, 2), (15, 2), (19, 1)],
}
OTHER_SHAPE = [(17, 3)]
PALE_SHAPE = (8, 12)
#: the kinds of the legend, in its order
LEGEND = (OK, FAILED, LOST, STUCK, MISSED, OVERDUE, SKIPPED, PAUSED, RUNNING, TO_COME)


class Rect(NamedTuple):
    """A part of a bar. ``x`` and ``width`` are in percent, the others in pixels."""

    x: float
    width: float
    y: float
    height: float


class Shape(NamedTuple):
    """A bar as it is drawn.

    :param text: its words.
    :param css_class: the class in the stylesheet.
    :param rects: its parts.
    :param pale: how long it is expected to take, ``None`` if it has ended.
    """

    text: str
    css_class: str
    rects: Sequence[Rect]
    pale: Rect | None = None


class PictureRow(NamedTuple):
    """The row of a task.

    :param task: its name.
    :param registered: whether it has a page.
    :param note: what a reader has to know of its bars; empty without that.
    :param text: the same in words.
    :param shapes: its bars.
    """

    task: str
    registered: bool
    note: str
    text: str
    shapes: Sequence[Shape]


class Label(NamedTuple):
    """The label of an hour, at ``x`` percent."""

    x: float
    text: str


class Picture(NamedTuple):
    """The picture.

    :param height: the height of a row in pixels.
    :param labels: the hours.
    :param hatched: the minutes without a tick, behind each row.
    :param now: where the present is in percent, ``None`` if it is outside.
    :param rows: the rows.
    :param legend: a sample of each kind that is there, with its word.
    """

    height: int
    labels: Sequence[Label]
    hatched: Sequence[Rect]
    now: float | None
    rows: Sequence[PictureRow]
    legend: Sequence[tuple[str, Shape]]


def draw_timeline(timeline: Timeline, zone: tzinfo | None) -> Picture:
    """Return the picture of a timeline.

    :param zone: the time zone of its hours.
    """
    window = timeline.window
    marks = window.hours(zone, EVERY)
    kinds = {bar.kind for row in timeline.rows for bar in row.bars}
    return Picture(
        HEIGHT,
        [
            Label(_percent(timeline, mark.instant), f'{mark.wall:%H}' if mark.wall.hour else f'{mark.wall:%a}')
            for mark in marks
        ],
        [_span(timeline, gap.first, gap.end, 0, HEIGHT) for gap in timeline.no_ticks],
        _percent(timeline, timeline.now) if window.has(timeline.now) else None,
        [_draw_row(timeline, row, zone) for row in timeline.rows],
        [(kind, _sample(kind)) for kind in LEGEND if kind in kinds],
    )


def _draw_row(timeline: Timeline, row: Row, zone: tzinfo | None) -> PictureRow:
    at = time_format(timeline.window, zone)
    texts = [bar.describe(at) for bar in row.bars]
    note = 'only what went wrong: it runs often' if row.often else '' if row.registered else 'not registered'
    shapes = [_draw_bar(timeline, bar, text) for bar, text in zip(row.bars, texts, strict=True)]
    return PictureRow(row.task, row.registered, note, describe_bars(row.bars, at), shapes)


def _draw_bar(timeline: Timeline, bar: Bar, text: str) -> Shape:
    pale = None
    if bar.until > bar.end or bar.kind == TO_COME:
        pale = _span(timeline, bar.end, bar.until, *PALE_SHAPE)
    if bar.kind == TO_COME:
        return Shape(text, 'quiet', [], pale)
    rects = [_span(timeline, bar.begin, bar.end, y, height) for y, height in SHAPES.get(bar.kind, OTHER_SHAPE)]
    return Shape(text, STYLES.get(bar.kind, OTHER_STYLE).css_class, rects, pale)


def _sample(kind: str) -> Shape:
    if kind == TO_COME:
        return Shape(kind, 'quiet', [], Rect(10, 80, *PALE_SHAPE))
    rects = [Rect(10, 80, y, height) for y, height in SHAPES[kind]]
    return Shape(kind, STYLES[kind].css_class, rects)


def _span(timeline: Timeline, begin: datetime, end: datetime, y: float, height: float) -> Rect:
    x = min(_percent(timeline, begin), 100 - NARROWEST)
    return Rect(round(x, 3), round(max(_percent(timeline, end) - x, NARROWEST), 3), y, height)


def _percent(timeline: Timeline, instant: datetime) -> float:
    return round(100 * timeline.window.share(instant), 3)
