"""Commands at a fixed time, and tasks for them."""

import itertools
import signal
from datetime import datetime, timedelta, timezone

from pyramid_cron.scripts.pcron import PCronCommand
from tests.support.clock import set_clock

UTC = timezone.utc

#: 00:07:30 in Berlin
NOW = datetime(2026, 12, 23, 23, 7, 30, tzinfo=UTC)


class FixedCommand(PCronCommand):
    """Runs at a fixed time, by the clock of its machine and by that of the database."""

    now = staticmethod(lambda: NOW)

    def load(self):
        super().load()
        if self.registry['cron_store'] is not None:
            set_clock(self.registry['cron_store'].database.engine, self.now)


PURGE = "purge, min=0, hour='2', name='purge'"
REPORT = "Report(), cron='*/30 7 * * mon', name='report', idle=True, timezone='America/New_York'"

END = '\n\nTimes are in Europe/Berlin. Path of the tick: /cron\n'

NOON = datetime(2026, 12, 24, 12, 0, tzinfo=UTC)


def noon(minutes=0, seconds=0.0):
    return NOON + timedelta(minutes=minutes, seconds=seconds)


class WorkingCommand(PCronCommand):
    """Starts a moment before noon."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        # by the time it waits it is noon, so that the wait is over at once
        self.now = iter([noon(seconds=-1), NOON, NOON, noon(seconds=59)]).__next__


class EndingCommand(WorkingCommand):
    """Receives SIGTERM while nothing is due."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        instants = self.now
        calls = itertools.count()

        def now():
            if next(calls) == 3:
                signal.raise_signal(signal.SIGTERM)
            return instants()

        self.now = now


class TerminalCommand(FixedCommand):
    """Prints to a terminal, and is typed at one."""

    is_terminal = staticmethod(lambda: True)
    is_typed = staticmethod(lambda: True)
