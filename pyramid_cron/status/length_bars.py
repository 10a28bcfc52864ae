"""A picture of how long the last runs of a task took: a bar for each, and lines at what is usual."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import TYPE_CHECKING, NamedTuple

from pyramid_cron.durations import format_seconds, run_duration
from pyramid_cron.outcomes import LOST, OK, RUNNING, STUCK
from pyramid_cron.status.formatting import OTHER_STYLE, STYLES, format_time

if TYPE_CHECKING:
    from pyramid_cron.store.run_lengths import RunLength
    from pyramid_cron.usual_length import UsualLength

# units of the picture: from one bar to the next, its height, the room above bars for the break in one that is cut,
# and the lowest bar
PITCH, HEIGHT, ROOM, LOWEST = 12, 96, 10, 1.5
# beyond this many times of what nearly all runs take, a bar is cut
MOST_TIMES = 4
# bars that make a picture
FEWEST = 2


class LengthBar(NamedTuple):
    """The bar of one run.

    :param css_class: the class in the stylesheet.
    :param path: its path.
    :param text: when the run began, its outcome, and how long it took.
    """

    css_class: str
    path: str
    text: str


class LengthBars(NamedTuple):
    """The picture.

    :param text: the same in words.
    :param width: its width in units.
    :param height: its height.
    :param bars: the bars, the newest on the right.
    :param lines: the heights of the lines at the median and at what 19 of 20 good runs took.
    """

    text: str
    width: int
    height: int
    bars: Sequence[LengthBar]
    lines: Sequence[float]


def draw_lengths(
    lengths: Sequence[RunLength], usual: UsualLength | None, stuck: bool, now: datetime, zone: tzinfo | None
) -> LengthBars | None:
    """Return the picture, ``None`` if too few lengths are known.

    :param lengths: the last runs, the newest last.
    :param usual: how long good runs usually take.
    :param stuck: whether the run in progress is stuck.
    """
    known = [(length, seconds) for length in lengths if (seconds := _seconds(length, now)) is not None]
    if len(known) < FEWEST:
        return None
    longest = max(seconds for _, seconds in known)
    top = longest if usual is None else min(max(longest, usual.long), MOST_TIMES * usual.long)
    # all of them may have taken no time that could be measured
    top = top or 1.0
    bars = [
        _draw(index, length, seconds, top, stuck, f'{format_time(length.started, now, zone).text}')
        for index, (length, seconds) in enumerate(known)
    ]
    lines = [] if usual is None else [_height(usual.median, top), _height(usual.long, top)]
    text = (
        f'How long the last {len(known)} runs took. The last: {bars[-1].text}; the longest: {format_seconds(longest)}'
    )
    return LengthBars(text, PITCH * len(known), HEIGHT, bars, [round(HEIGHT - line, 1) for line in lines])


def _seconds(length: RunLength, now: datetime) -> float | None:
    if length.outcome == RUNNING:
        # not below 0 where the clocks of two machines differ
        return max((now - length.started).total_seconds(), 0.0)
    # the end of a lost run is when it was found
    return None if length.outcome == LOST else length.seconds


def _height(seconds: float, top: float) -> float:
    return seconds / top * (HEIGHT - ROOM)


def _draw(index: int, length: RunLength, seconds: float, top: float, stuck: bool, when: str) -> LengthBar:
    in_progress = length.outcome == RUNNING
    outcome = STUCK if in_progress and stuck else length.outcome
    x = PITCH * index + PITCH // 2
    path = f'M{x} {HEIGHT}V{HEIGHT - max(_height(min(seconds, top), top), LOWEST):.1f}'
    if seconds > top:
        # what is cut goes on above a break
        path += f'm0-3V{ROOM // 2 - 2}'
    took = f'{outcome} for {run_duration(seconds)}' if in_progress else f'{outcome}, {format_seconds(seconds)}'
    # bars of another shape would not show their length: what is not ok has a foot
    foot = '' if outcome == OK else f'M{x - PITCH // 2} {HEIGHT}h{PITCH}'
    return LengthBar(STYLES.get(outcome, OTHER_STYLE).css_class, path + foot, f'{when} {took}')
