"""The progress of runs on a terminal, and in a pipe."""

import io
import logging
import sys

import pytest

from pyramid_cron.progress import ProgressMeter
from pyramid_cron.scripts.progress_bar import ERASE, ProgressBar, SpanProgress
from tests.support.pcron import NOW
from tests.support.servers import Clock


class Terminal(io.StringIO):
    encoding = 'ascii'

    def isatty(self):
        return True

    def take(self):
        """Return what was written since the last call."""
        written = self.getvalue()
        self.seek(0)
        self.truncate()
        return written


class Screen:
    """A bar, with what it prints and the clock that it goes by."""

    def __init__(self, stream, monkeypatch, **options):
        monkeypatch.setattr(sys, 'stdout', stream)
        self.stream, self.lines, self.clock = stream, [], Clock()
        self.bar = ProgressBar(self.lines.append, lambda: 80, lambda: NOW, monotonic=self.clock, **options)
        self.meter = ProgressMeter(self.clock, lambda: NOW)

    def report(self, done, total=100, name='shop.sync'):
        self.meter.report(done, total)
        self.bar.show(name, self.meter)


@pytest.fixture
def terminal(monkeypatch):
    return Screen(Terminal(), monkeypatch)


@pytest.fixture
def pipe(monkeypatch):
    return Screen(io.StringIO(), monkeypatch)


def test_a_terminal_has_a_bar(terminal):
    terminal.report(0)
    assert terminal.stream.take() == f'{ERASE}[--------------------] 0 %, shop.sync'
    terminal.clock.sleep(42)
    terminal.report(42)
    assert terminal.stream.take() == f'{ERASE}[########------------] 42 %, about 58 s left, shop.sync'
    terminal.report(100)
    assert terminal.stream.take() == f'{ERASE}[####################] 100 %, shop.sync'
    assert terminal.lines == []


def test_a_bar_is_drawn_now_and_then(terminal):
    for done in range(100):
        terminal.report(done)
    assert terminal.stream.take().count(ERASE) == 1
    terminal.clock.sleep(0.1)
    terminal.report(99)
    assert '99 %' in terminal.stream.take()
    # the end always, and once
    terminal.report(100)
    terminal.clock.sleep(1)
    terminal.report(100)
    assert terminal.stream.take().count('100 %') == 1


def test_a_bar_is_as_wide_as_the_terminal_and_in_its_encoding(terminal):
    terminal.report(50, name='caf\xe9\x1b[2J' + 'x' * 100)
    written = terminal.stream.take().removeprefix(ERASE)
    assert written.startswith(r'[##########----------] 50 %, caf\xe9\x1b[2Jxxx')
    # less the characters that the encoding lacks
    assert len(written) == 79 + len(r'\xe9') - 1


def test_the_next_run_has_a_bar_of_its_own(terminal):
    terminal.report(1)
    terminal.stream.take()
    terminal.report(1, name='shop.mails')
    assert terminal.stream.take().endswith('1 %, shop.mails')


def test_a_line_of_the_log_erases_the_bar(terminal, monkeypatch):
    handler = logging.StreamHandler(terminal.stream)
    monkeypatch.setattr(logging.root, 'handlers', [handler])
    monkeypatch.setattr(logging, 'lastResort', None)
    with terminal.bar.on_screen():
        terminal.report(50)
        terminal.stream.take()
        logging.getLogger('shop').warning('a line')
        assert terminal.stream.take() == f'{ERASE}a line\n'
        logging.getLogger('shop').warning('another')
        assert terminal.stream.take() == 'another\n'
        terminal.clock.sleep(1)
        terminal.report(51)
        assert '51 %' in terminal.stream.take()
    assert terminal.stream.take() == ERASE
    assert handler.filters == []


def test_the_end_leaves_no_bar_after_an_exception_either(terminal):
    terminal.report(50)
    with pytest.raises(KeyboardInterrupt), terminal.bar.on_screen():
        raise KeyboardInterrupt
    assert terminal.stream.take().endswith(ERASE)


def test_a_pipe_has_lines(pipe):
    with pipe.bar.on_screen():
        for done in range(101):
            pipe.report(done)
            pipe.clock.sleep(7)
    assert pipe.lines == [
        'shop.sync: 0 %',
        *(f'shop.sync: {done} %, about {left} left' for done, left in LINES),
        'shop.sync: 100 %',
    ]
    assert pipe.stream.getvalue() == ''


# every five reports of seven seconds
LINES = [
    (done, f'{7 * (100 - done)} s' if 7 * (100 - done) < 120 else f'{7 * (100 - done) // 60} min')
    for done in range(5, 100, 5)
]


def test_a_run_without_progress_shows_none(pipe, terminal):
    for screen in (pipe, terminal):
        screen.bar.show('shop.sync', screen.meter)
    assert pipe.lines == []
    assert terminal.stream.getvalue() == ''


def test_a_quiet_command_shows_no_bar(monkeypatch):
    screen = Screen(Terminal(), monkeypatch, quiet=True)
    screen.report(50)
    assert screen.stream.getvalue() == ''


@pytest.mark.parametrize('error', [OSError, ValueError])
def test_a_terminal_that_has_gone_is_no_failure_of_the_task(terminal, monkeypatch, error):
    def fail(text):
        raise error

    monkeypatch.setattr(terminal.stream, 'write', fail)
    with terminal.bar.on_screen():
        terminal.report(50)
        terminal.clock.sleep(60)
        terminal.report(60)
    assert terminal.lines == []


def closed():
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize('make', [lambda: None, closed])
def test_without_an_output_lines_go_nowhere_in_particular(monkeypatch, make):
    screen = Screen(make(), monkeypatch)
    screen.report(50)
    assert screen.lines == ['shop.sync: 50 %']


def span(screen, number):
    return SpanProgress(screen.bar, 'shop.sync', number, screen.clock, lambda: NOW)


def test_several_minutes_have_one_bar(terminal):
    progress, shown = span(terminal, 4), []
    for index in range(4):
        terminal.clock.sleep(10)
        progress.begin(index)
        shown.append(terminal.stream.take())
        terminal.clock.sleep(10)
        terminal.meter.report(1, 2)
        progress.listen('shop.sync', terminal.meter)
        shown.append(terminal.stream.take())
    assert [text.partition('] ')[2] for text in shown[:4]] == [
        '0 %, shop.sync, 4 minutes',
        '12 %, about 70 s left, shop.sync, 4 minutes',
        '25 %, about 60 s left, shop.sync, 4 minutes',
        '37 %, about 50 s left, shop.sync, 4 minutes',
    ]


def test_several_minutes_print_lines_of_their_own_in_a_pipe(pipe):
    progress = span(pipe, 100)
    for index in range(100):
        progress.begin(index)
        pipe.clock.sleep(1)
    assert pipe.lines == [
        'shop.sync, 100 minutes: 30 %, about 70 s left',
        'shop.sync, 100 minutes: 60 %, about 40 s left',
        'shop.sync, 100 minutes: 90 %, about 10 s left',
    ]


def test_a_single_minute_has_the_progress_of_its_task(pipe):
    progress = span(pipe, 1)
    progress.begin(0)
    assert pipe.lines == []
    progress.listen('shop.sync', pipe.meter)
    pipe.meter.report(1, 2)
    progress.listen('shop.sync', pipe.meter)
    assert pipe.lines == ['shop.sync: 50 %']


def test_a_run_without_progress_leaves_that_of_the_minutes(terminal):
    progress = span(terminal, 2)
    progress.begin(1)
    terminal.stream.take()
    progress.listen('shop.sync', terminal.meter)
    assert terminal.stream.take() == ''
