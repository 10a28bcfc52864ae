"""Errors of the store in the log of a command."""

import logging
import sys

import pytest

from pyramid_cron.errors import Unavailable
from pyramid_cron.scripts.store_errors import brief_store_errors, connection_errors


class Lines(logging.StreamHandler):
    """Keeps what it formats, as a handler of a file does unless its stream is that of a terminal."""

    def __init__(self, stream=None):
        super().__init__(stream)
        self.stream = stream
        self.lines = []

    def emit(self, record):
        self.lines.append(self.format(record))


@pytest.fixture
def log():
    logger = logging.getLogger('pyramid_cron.test_store_errors')
    logger.propagate = False
    yield logger
    logger.handlers.clear()


@pytest.fixture
def terminal(log):
    handler = Lines(sys.stderr)
    log.addHandler(handler)
    return handler


@pytest.fixture
def file(log):
    handler = Lines()
    log.addHandler(handler)
    return handler


def log_outage(log):
    try:
        raise OSError('no route')
    except OSError as exc:
        log.error('the run %s: %s', 1, Unavailable('the store is away'), exc_info=exc)


def test_a_terminal_has_one_line_and_a_file_the_traceback(log, terminal, file):
    with brief_store_errors(holds=False):
        log_outage(log)
        assert terminal.lines == ['the run 1: the store is away']
    assert 'Traceback' in file.lines[0]
    log_outage(log)
    assert 'Traceback' in terminal.lines[1]


def test_an_outage_is_held_back_until_the_command_ends(log, terminal):
    with brief_store_errors(holds=True):
        log_outage(log)
        log.warning('something else: %s', 'a detail')
        log.warning('of a mapping: %(what)s', {'what': 'a detail'})
        assert terminal.lines == ['something else: a detail', 'of a mapping: a detail']
    assert terminal.lines[2:] == ['the run 1: the store is away']


def test_an_outage_that_the_command_reports_is_left_out(log, terminal, file):
    def command():
        with brief_store_errors(holds=True):
            log_outage(log)
            raise Unavailable('the store is away')

    with pytest.raises(Unavailable):
        command()
    assert terminal.lines == []
    assert 'Traceback' in file.lines[0]


def test_an_outage_may_be_the_exception_of_a_record(log, terminal):
    with brief_store_errors(holds=False):
        try:
            raise Unavailable('the store is away')
        except Unavailable:
            log.exception('the end of %s cannot be recorded', 'task')
    assert terminal.lines == ['the end of task cannot be recorded']


def test_errors_of_tasks_keep_their_tracebacks(log, terminal):
    with brief_store_errors(holds=True):
        try:
            raise ValueError('of a task')
        except ValueError:
            log.exception('task failed')
        assert 'ValueError: of a task' in terminal.lines[0]


class OperationalError(Exception):
    """As that of a driver."""


class WrappedError(OperationalError):
    """As that of SQLAlchemy."""

    orig = OperationalError('no route\n to it')


@pytest.mark.parametrize(
    ('exc', 'text'),
    [
        (OperationalError('no route'), 'OperationalError: no route'),
        (WrappedError('(Background …)'), 'WrappedError: no route to it'),
        (ConnectionRefusedError('refused'), 'ConnectionRefusedError: refused'),
    ],
)
def test_an_application_that_finds_no_database_is_not_loaded(exc, text):
    with pytest.raises(Unavailable) as caught, connection_errors():
        raise exc
    assert str(caught.value) == f'the application cannot be loaded: {text}'


def test_what_else_an_application_raises_passes():
    with pytest.raises(LookupError), connection_errors():
        raise LookupError
