"""The values of the page of a day or a night."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime, tzinfo
from typing import Any, NamedTuple

from pyramid_cron.schedules import clock
from pyramid_cron.status.formatting import STYLES
from pyramid_cron.status.timeline_picture import Picture, draw_timeline
from pyramid_cron.timeline.bars import Bar
from pyramid_cron.timeline.build import build_timeline
from pyramid_cron.timeline.sentences import (
    At,
    describe_long_minutes,
    describe_no_ticks,
    describe_overlaps,
    describe_to_come,
    describe_window,
    time_format,
)
from pyramid_cron.timeline.window import ONE_DAY, day_window, night_window, present_night

NIGHT, DAY = 'night', 'day'
# of what went wrong, and of what is in progress
MOST_NAMED = 50


class NamedRun(NamedTuple):
    """A run that is named below the picture.

    :param task: the name of the task.
    :param registered: whether it has a page.
    :param kind: its outcome.
    :param symbol: the symbol beside that.
    :param css_class: the class in the stylesheet.
    :param text: when it was, how long it took, and why.
    """

    task: str
    registered: bool
    kind: str
    symbol: str
    css_class: str
    text: str


class TimelinePage(NamedTuple):
    """The values of the page.

    :param kind: ``'night'`` or ``'day'``.
    :param day: the day, or that at the end of the night.
    :param before: the day before.
    :param after: the day after.
    :param is_present: whether the present is in it.
    :param title: its ends.
    :param error: why the store cannot be read.
    :param picture: the picture.
    :param notes: sentences about all of it.
    :param no_ticks: sentences about minutes without a tick.
    :param wrong: what a person has to look at.
    :param more_wrong: how many of these are left out.
    :param in_progress: the runs in progress.
    :param overlaps: sentences about what overlaps.
    :param long_minutes: sentences about minutes that will take longer than their window.
    :param to_come: the tasks that are to run: the time, the name, and how long they take.
    """

    kind: str
    day: date
    before: date
    after: date
    is_present: bool
    title: str
    error: str | None
    picture: Picture
    notes: Sequence[str]
    no_ticks: Sequence[str]
    wrong: Sequence[NamedRun]
    more_wrong: int
    in_progress: Sequence[NamedRun]
    overlaps: Sequence[str]
    long_minutes: Sequence[str]
    to_come: Sequence[tuple[str, str, str]]


def build_timeline_page(registry: Any, kind: str, day: date | None, now: datetime, zone: tzinfo | None) -> TimelinePage:
    """Return the values of the page.

    :param kind: ``'night'`` or ``'day'``.
    :param day: the day, or that at the end of the night; ``None`` for the present one.
    :param zone: the time zone of its times and days, ``None`` for the machine's.
    """
    settings = registry['cron_settings']
    if day is None:
        day = present_night(now, zone) if kind == NIGHT else clock.to_wall(now, zone).date()
    window = night_window(day, zone) if kind == NIGHT else day_window(day, zone)
    timeline, at = build_timeline(registry, window, now), time_format(window, zone)
    registered = {row.task for row in timeline.rows if row.registered}
    return TimelinePage(
        kind=kind,
        day=day,
        before=day - ONE_DAY,
        after=day + ONE_DAY,
        is_present=window.has(now),
        title=window.title(zone),
        error=timeline.error,
        picture=draw_timeline(timeline, zone),
        notes=describe_window(timeline, zone, at),
        no_ticks=describe_no_ticks(timeline, at),
        wrong=[_name(bar, registered, at) for bar in timeline.wrong[:MOST_NAMED]],
        more_wrong=len(timeline.wrong[MOST_NAMED:]),
        in_progress=[_name(bar, registered, at) for bar in timeline.in_progress[:MOST_NAMED]],
        overlaps=describe_overlaps(timeline, at),
        long_minutes=describe_long_minutes(timeline, settings.window, at),
        to_come=[(at(minute), name, text) for minute, name, text in describe_to_come(timeline, at)],
    )


def _name(bar: Bar, registered: Collection[str], at: At) -> NamedRun:
    return NamedRun(bar.task, bar.task in registered, bar.kind, *STYLES[bar.kind][:2], bar.describe(at))
