"""The work of one tick, and what of it could not be done."""

from __future__ import annotations

from datetime import datetime

# problems that are recorded; when the database is away, each task has one
MOST_PROBLEMS = 3
# without other processes the first run is free
FEWEST_LOOKS = 1


class TickWork:
    """The work of a tick.

    :param minute: its minute, aware.
    """

    def __init__(self, minute: datetime) -> None:
        self.minute = minute
        #: the database's minute if its clock had not reached that of the tick
        self.minute_by_database: datetime | None = None
        #: whether the row of the ticks shows it as done already
        self.is_recorded = False
        #: whether old records are deleted after it
        self.prunes = False
        #: how many runs a claim looks at for one that is free
        self.looks = FEWEST_LOOKS
        self._problems: list[str] = []

    def add_problem(self, text: str) -> None:
        """Add something that could not be done."""
        self._problems.append(text)

    @property
    def problem(self) -> str | None:
        """What could not be done, ``None`` if all is done."""
        more = len(self._problems) - MOST_PROBLEMS
        shown = '; '.join(self._problems[:MOST_PROBLEMS])
        return (f'{shown}; and {more} more' if more > 0 else shown) or None
