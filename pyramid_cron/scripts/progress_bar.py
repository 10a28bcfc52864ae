"""The progress of runs in the output of ``pcron run``: a bar on a terminal, plain lines in a pipe or a file."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from pyramid_cron.printable import encodable, printable
from pyramid_cron.progress import Progress, ProgressMeter
from pyramid_cron.schedules import clock

# seconds from one drawing of the bar to the next at least, and from one line to the next
BAR_INTERVAL, LINE_INTERVAL = 0.1, 30.0
# characters of the bar between its brackets
BAR_WIDTH = 20
# carriage return, and the escape sequence that erases from there to the end of the line
ERASE = '\r\x1b[K'


class ProgressBar:
    """Shows the progress of one run after another.

    :param out: prints a line.
    :param width: returns how many columns the terminal has.
    :param now: the clock, in UTC.
    :param quiet: whether nothing is shown on a terminal.
    :param monotonic: a monotonic clock in seconds.
    """

    def __init__(
        self,
        out: Callable[[str], None],
        width: Callable[[], int],
        now: Callable[[], datetime],
        quiet: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._out = out
        self._width = width
        self._now = now
        self._monotonic = monotonic
        self._stream: Any = sys.stdout
        self._is_terminal = not quiet and _is_terminal(self._stream)
        # what is shown, and whether that is the end of it
        self._shown = ('', False)
        self._shown_at = -LINE_INTERVAL
        self._is_drawn = False

    def wait(self) -> None:
        """Let a line come no earlier than an interval from now, because others come anyway."""
        self._shown_at = self._monotonic()

    @contextmanager
    def on_screen(self) -> Iterator[None]:
        """Erase the bar before each line of the log, and at the end of the ``with``."""
        handlers = [*logging.root.handlers, *filter(None, [logging.lastResort])] if self._is_terminal else []
        for handler in handlers:
            handler.addFilter(self._erase_before)
        try:
            yield
        finally:
            for handler in handlers:
                handler.removeFilter(self._erase_before)
            self.erase()

    def show(self, name: str, meter: ProgressMeter) -> None:
        """Show the progress of a run, if it is time for that: the first, from time to time, and the last.

        :param name: the task, or several runs of it.
        """
        self._show(name, meter, self._shown[0] != name or (meter.is_done and not self._shown[1]))

    def show_now_and_then(self, name: str, meter: ProgressMeter) -> None:
        """Show the progress of several runs, which print lines of their own, from time to time."""
        self._show(name, meter, self._is_terminal and self._shown[0] != name)

    def _show(self, name: str, meter: ProgressMeter, is_wanted: bool) -> None:
        now = self._monotonic()
        is_time = now - self._shown_at >= (BAR_INTERVAL if self._is_terminal else LINE_INTERVAL)
        progress = meter.latest() if is_wanted or (is_time and not self._shown[1]) else None
        if progress is None:
            return
        self._shown, self._shown_at = (name, meter.is_done), now
        if self._is_terminal:
            self._draw(f'{_bar(progress)} {progress.describe(self._now())}, {name}')
        else:
            self._out(f'{name}: {progress.describe(self._now())}')

    def erase(self) -> None:
        """Erase the bar."""
        if self._is_drawn:
            self._is_drawn = False
            self._write(ERASE)

    def _erase_before(self, record: logging.LogRecord) -> bool:
        self.erase()
        return True

    def _draw(self, text: str) -> None:
        # not in the last column, after which some terminals begin a new line
        text = printable(text)[: self._width() - 1]
        self._is_drawn = True
        self._write(f'{ERASE}{encodable(text, self._stream.encoding)}')

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):
            # the terminal has gone, which is no failure of the task
            self._is_terminal = self._is_drawn = False
            self._out = _nothing


class SpanProgress:
    """The progress of a task that runs for several minutes one after another, with that of its run in progress.

    :param bar: shows it.
    :param task: the name of the task.
    :param number: how many minutes they are.
    :param monotonic: a monotonic clock in seconds.
    :param now: the clock, in UTC.
    """

    def __init__(
        self,
        bar: ProgressBar,
        task: str,
        number: int,
        monotonic: Callable[[], float],
        now: Callable[[], datetime] = clock.now,
    ) -> None:
        self._bar = bar
        self._name = f'{task}, {number} minutes'
        self._number = number
        self._meter = ProgressMeter(monotonic, now)
        self._index = 0
        bar.wait()

    def begin(self, index: int) -> None:
        """Show that the run for one of the minutes begins, after those before it."""
        self._index = index
        if self._number > 1:
            self._report(0.0)

    def listen(self, task: str, meter: ProgressMeter) -> None:
        """Show the progress of that run."""
        if self._number == 1:
            self._bar.show(task, meter)
        elif (progress := meter.latest()) is not None:
            self._report(progress.part)

    def _report(self, part: float) -> None:
        self._meter.report(self._index + part, self._number)
        self._bar.show_now_and_then(self._name, self._meter)


def _bar(progress: Progress) -> str:
    done = BAR_WIDTH * progress.percent // 100
    return f'[{"#" * done}{"-" * (BAR_WIDTH - done)}]'


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        # no output, or one that is closed
        return False


def _nothing(text: str) -> None:
    """Print nothing."""
