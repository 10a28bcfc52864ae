"""Which of many things with a schedule are due in a minute, without a look at the others."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Generic, TypeVar

from pyramid_cron.schedules.fields import bits
from pyramid_cron.schedules.schedule import Schedule

Item = TypeVar('Item')
Below = TypeVar('Below')


class Index(Generic[Item]):
    """Items by their schedules, on three levels: dates, hours, minutes.

    Schedules that agree on a level share what is below it. A look-up goes down only where the date and the hour match,
    and at its end are the items that are due: it meets no other, however many there are. Which dates match is found out
    once a day, with a look at each kind of dates (``dow='mon-fri'`` is one).
    """

    def __init__(self) -> None:
        self._by_dates: dict[tuple[int, int, int, bool], tuple[Schedule, _Level[_Level[list[Item]]]]] = {}
        self._of_day: tuple[date | None, list[_Level[_Level[list[Item]]]]] = (None, [])

    def add(self, schedule: Schedule, item: Item) -> None:
        """Add an item, behind those of the same schedule."""
        self._items(schedule).append(item)

    def remove(self, schedule: Schedule, item: Item) -> None:
        """Remove an item that was added with this schedule."""
        self._items(schedule).remove(item)

    def at(self, wall: datetime) -> list[list[Item]]:
        """Return the items whose schedules match a wall-clock minute, in lists that are the index's own."""
        today = wall.date()
        # read once, because another thread may be at another date
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
        minutes = self._by_dates[dates][1].below(schedule.hour, _Level[list[Item]])
        return minutes.below(schedule.min, list)


class _Level(dict[int, list[Below]]):
    """What is below the masks of a field, by each value of theirs."""

    __slots__ = ('_by_mask',)

    def __init__(self) -> None:
        self._by_mask: dict[int, Below] = {}

    def below(self, mask: int, make: Callable[[], Below]) -> Below:
        """Return what is below a mask; it is made on first use."""
        if mask not in self._by_mask:
            self._by_mask[mask] = below = make()
            alone = [below]
            for value in bits(mask):
                found = self.setdefault(value, alone)
                if len(found) > 1:
                    found.append(below)
                elif found is not alone:
                    # a list of one belongs to all values of its mask, which saves an index a third of its memory
                    self[value] = [*found, below]
        return self._by_mask[mask]
