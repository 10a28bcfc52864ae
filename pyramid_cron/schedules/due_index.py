"""An index of items by schedule, which finds those due in a minute without a look at the others."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Generic, TypeVar

from pyramid_cron.schedules.fields import bits
from pyramid_cron.schedules.schedule import Schedule

Item = TypeVar('Item')
Child = TypeVar('Child')


class Index(Generic[Item]):
    """Items by their schedules, on three levels: dates, hours, minutes.

    Schedules with an equal mask on one level share the level below. A look-up follows only the dates and hours that
    match and ends at the items that are due, so that items that are not due cost nothing. The matching dates are
    computed once a day, with a look at each distinct set of dates (such as ``dow='mon-fri'``).
    """

    def __init__(self) -> None:
        self._by_dates: dict[tuple[int, int, int, bool], tuple[Schedule, _Level[_Level[list[Item]]]]] = {}
        self._of_day: tuple[date | None, list[_Level[_Level[list[Item]]]]] = (None, [])

    def add(self, schedule: Schedule, item: Item) -> None:
        """Add an item after the others of the same schedule."""
        self._items(schedule).append(item)

    def remove(self, schedule: Schedule, item: Item) -> None:
        """Remove an item that was added with this schedule."""
        self._items(schedule).remove(item)

    def at(self, wall: datetime) -> list[list[Item]]:
        """Return lists of the items with a schedule that matches a wall-clock minute; callers must not change them."""
        today = wall.date()
        # read once, because another thread may replace it for another date
        day, matching = self._of_day
        if day != today:
            matching = [hours for schedule, hours in self._by_dates.values() if schedule.matches_date(today)]
            self._of_day = today, matching
        hour, minute = wall.hour, wall.minute
        found: list[list[Item]] = []
        for hours in matching:
            for minutes in hours.get(hour, ()):
                found += minutes.get(minute, ())
        return found

    def _items(self, schedule: Schedule) -> list[Item]:
        dates = schedule.day, schedule.month, schedule.dow, schedule.either_day
        if dates not in self._by_dates:
            self._by_dates[dates] = schedule, _Level()
            self._of_day = None, []
        minutes = self._by_dates[dates][1].child(schedule.hour, _Level[list[Item]])
        return minutes.child(schedule.min, list)


class _Level(dict[int, list[Child]]):
    """A dict from each value of a field to the children of the masks that contain it."""

    __slots__ = ('_by_mask',)

    def __init__(self) -> None:
        self._by_mask: dict[int, Child] = {}

    def child(self, mask: int, make: Callable[[], Child]) -> Child:
        """Return the child of a mask, made at the first use."""
        if mask not in self._by_mask:
            self._by_mask[mask] = child = make()
            alone = [child]
            for value in bits(mask):
                found = self.setdefault(value, alone)
                if len(found) > 1:
                    found.append(child)
                elif found is not alone:
                    # a list of one child is shared by all values of its mask, which saves a third of the memory
                    self[value] = [*found, child]
        return self._by_mask[mask]
