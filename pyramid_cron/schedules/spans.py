"""Minutes one after another, such as those without a tick, and whether a schedule is due in one of them."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import datetime, timedelta, tzinfo

from pyramid_cron.schedules import clock
from pyramid_cron.schedules.schedule import ONE_DAY, Schedule

# the offsets around the first day and around the last one cover the days between them
MOST_DAYS = timedelta(days=2)
LAST_MINUTE = 24 * 60 - 1


class Span:
    """Minutes one after another. The wall-clock times are computed once for all schedules of a time zone.

    :param first: the first minute, aware.
    :param last: the last one.
    """

    def __init__(self, first: datetime, last: datetime) -> None:
        self._first = first
        self._last = last
        # most schedules are due before it
        self._near = min(last, first + MOST_DAYS)
        self._walls: dict[Hashable, tuple[datetime, datetime] | None] = {}

    def has_due(self, schedule: Schedule, zone: tzinfo | None) -> bool:
        """Return whether a schedule is due in one of the minutes.

        :param zone: its time zone, ``None`` for the machine's local time.
        """
        if zone not in self._walls:
            self._walls[zone] = self._wall_ends(zone)
        ends = self._walls[zone]
        if ends is not None:
            if _matches_between(schedule, *ends):
                return True
            if self._last == self._near:
                return False
        after = clock.to_wall(self._first - clock.MINUTE, zone).replace(tzinfo=zone)
        run = next(schedule.runs(after), None)
        return run is not None and clock.to_instant(run) <= self._last

    def _wall_ends(self, zone: tzinfo | None) -> tuple[datetime, datetime] | None:
        """Return the wall-clock times of the first minutes and their end, ``None`` if the clocks may change there."""
        first, last = (clock.to_wall(end, zone) for end in (self._first, self._near))
        offsets = {*clock.offsets_around(first.date(), zone), *clock.offsets_around(last.date(), zone)}
        return (first, last) if len(offsets) == 1 else None


def _matches_between(schedule: Schedule, first: datetime, last: datetime) -> bool:
    """Return whether a wall-clock minute from ``first`` to ``last`` matches, between which the clocks do not change."""
    day, end = first.date(), last.date()
    start = first.hour * 60 + first.minute
    while day <= end:
        if schedule.matches_date(day):
            minute = schedule.first_minute(start)
            if minute is not None and minute <= (last.hour * 60 + last.minute if day == end else LAST_MINUTE):
                return True
        day, start = day + ONE_DAY, 0
    return False
