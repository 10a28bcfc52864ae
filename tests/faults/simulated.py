"""The simulated time of a server: it goes on with the real time within a minute, and jumps to the next one."""

import time
from datetime import datetime, timedelta

# bound before it is replaced
real_monotonic = time.monotonic

# a minute that takes longer in reality does not reach the next one
LONGEST = timedelta(seconds=59)


class SimulatedTime:
    """The time of one process and of its SQLite database.

    :param begin: the first minute, aware.
    """

    def __init__(self, begin: datetime):
        self._begin = begin
        self.set(begin)

    def set(self, minute, ahead=0.0):
        """Begin a minute.

        :param ahead: seconds that the clock of this process is ahead of that minute.
        """
        self.minute = minute
        self._ahead = timedelta(seconds=ahead)
        self._set_at = real_monotonic()

    def of_database(self):
        return self.minute + min(timedelta(seconds=real_monotonic() - self._set_at), LONGEST)

    def now(self):
        return self.of_database() + self._ahead

    def monotonic(self):
        return (self.of_database() - self._begin).total_seconds()

    def install(self):
        """Replace the clocks of this process by this time, as far as pyramid_cron uses them."""
        # before pyramid_cron is imported, where it is the default of arguments, and after the drivers, which wait by it
        time.monotonic = self.monotonic
        from pyramid_cron.schedules import clock

        clock.now = self.now
