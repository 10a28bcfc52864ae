"""The log of a run."""

import asyncio
import contextvars
import io
import json
import logging
import os
import signal
import subprocess
import sys
import threading
from zoneinfo import ZoneInfo

import pytest

from pyramid_cron.run_log import CUT, RunLog, end_of, kept_in

LOGGER = logging.getLogger('shop')


@pytest.fixture(autouse=True)
def level(caplog):
    caplog.set_level('INFO', 'shop')


@pytest.fixture
def log():
    return RunLog(1000, ZoneInfo('Europe/Berlin'))


def lines_of(log):
    """Return the lines without their times."""
    return [line.partition(' ')[2] for line in log.text().splitlines()]


def test_a_record_has_its_time_its_level_its_logger_and_its_message(log):
    record = logging.makeLogRecord(
        {'created': 1796000400.0, 'levelno': 30, 'levelname': 'WARNING', 'name': 'shop', 'msg': '%d rows', 'args': (3,)}
    )
    log.add(record)
    assert log.text() == '02:00:00 WARNING shop: 3 rows'
    assert log.count == 1


def test_what_is_logged_in_the_body_is_in_it(log):
    LOGGER.info('before')
    with kept_in(log):
        LOGGER.info('a %s', 'text')
        LOGGER.error('an error')
        with kept_in(None):
            LOGGER.info('not for the run')
    LOGGER.info('after')
    assert lines_of(log) == ['INFO shop: a text', 'ERROR shop: an error']


def test_without_a_record_it_is_empty(log):
    with kept_in(log):
        pass
    assert log.text() == ''


def test_what_loggers_leave_out_is_left_out(log, caplog):
    caplog.set_level('DEBUG', 'shop.debug')
    caplog.set_level('WARNING', 'shop.quiet')
    refusing = logging.getLogger('shop.refusing')
    refusing.addFilter(lambda record: 'secret' not in record.getMessage())
    with kept_in(log):
        logging.getLogger('shop.debug').debug('below INFO')
        logging.getLogger('shop.quiet').info('below the level of its logger')
        refusing.info('a secret')
        refusing.info('public')
    refusing.filters.clear()
    assert lines_of(log) == ['INFO shop.refusing: public']


def test_what_a_handlers_filter_removes_from_a_record_is_not_in_it(log):
    def redact(record):
        record.msg, record.args = 'redacted', ()
        return True

    handler = logging.StreamHandler(io.StringIO())
    handler.addFilter(redact)
    LOGGER.addHandler(handler)
    with kept_in(log):
        LOGGER.info('a secret')
    LOGGER.removeHandler(handler)
    assert lines_of(log) == ['INFO shop: redacted']


def test_a_logger_that_does_not_propagate_is_in_it(log):
    logger = logging.getLogger('shop.alone')
    logger.propagate = False
    with kept_in(log):
        logger.info('alone')
    logger.propagate = True
    assert lines_of(log) == ['INFO shop.alone: alone']


def test_notes_are_not_in_it(log, caplog):
    caplog.set_level('INFO', 'pyramid_cron')
    with kept_in(log):
        logging.getLogger('pyramid_cron.run_output').info('task shop.sync notes: 3 rows')
        logging.getLogger('pyramid_cron.other').info('about a task')
    assert lines_of(log) == ['INFO pyramid_cron.other: about a task']


def test_a_traceback_is_in_it():
    log = RunLog(100_000, None)
    with kept_in(log):
        try:
            raise LookupError('no row')
        except LookupError:
            LOGGER.exception('it failed')
        LOGGER.info('without one', exc_info=True)
        LOGGER.info('a stack', stack_info=True)
    text = log.text()
    assert 'ERROR shop: it failed\nTraceback (most recent call last):\n' in text
    assert '\nLookupError: no row\n' in text
    assert 'INFO shop: without one\n' in text
    assert '\nStack (most recent call last):\n' in text


def test_a_traceback_is_as_a_formatter_has_made_it(log):
    record = logging.makeLogRecord({'levelno': 40, 'msg': 'it failed', 'exc_text': 'redacted'})
    log.add(record)
    assert log.text().endswith('it failed\nredacted')


class Unprintable:
    def __str__(self):
        raise LookupError('no text')


class Unshowable(Exception):
    @property
    def __notes__(self):
        raise LookupError


def test_records_that_cannot_be_shown_are_named(log, monkeypatch):
    # or else the handlers of the tests raise
    monkeypatch.setattr(logging, 'raiseExceptions', False)
    with kept_in(log), no_handlers():
        LOGGER.info('%s', Unprintable())
        LOGGER.info('%d', 'seven')
        LOGGER.info('', exc_info=Unshowable())
    first, second, third, traceback = lines_of(log)
    assert first.startswith('INFO shop: a record of test_run_log.py, line ')
    assert first.endswith(', cannot be shown: LookupError: no text')
    assert 'cannot be shown: TypeError: %d format' in second
    assert third == 'INFO shop: '
    assert traceback == 'which cannot be shown'


class no_handlers:
    """Keeps records from all handlers, some of which raise what an argument raises."""

    def __enter__(self):
        self.kept, LOGGER.propagate = LOGGER.propagate, False

    def __exit__(self, *args):
        LOGGER.propagate = self.kept


class Logs:
    """An argument that logs itself while it is converted to a text."""

    def __str__(self):
        LOGGER.info('I am %s', self)
        return 'converted'


def test_an_argument_that_logs_is_converted_once(log, monkeypatch):
    monkeypatch.setattr(logging, 'raiseExceptions', False)
    with kept_in(log), no_handlers():
        LOGGER.info('%s', Logs())
        LOGGER.info('afterwards')
    assert lines_of(log) == ['INFO shop: converted', 'INFO shop: afterwards']


class UnprintableName(Unprintable, str):
    pass


# names are texts: Sentry's SDK, which a test before may have set up, takes no others
@pytest.mark.parametrize('broken', [{'created': 'now'}, {'name': UnprintableName('shop')}])
def test_no_record_makes_its_caller_fail(log, broken):
    record = logging.makeLogRecord({'levelno': 20, 'name': 'shop', 'msg': 'text', **broken})
    with kept_in(log), no_handlers():
        LOGGER.handle(record)
        LOGGER.info('afterwards')
    assert lines_of(log)[-1:] == ['INFO shop: afterwards']


class Interrupting:
    def __str__(self):
        raise KeyboardInterrupt


def test_an_exit_passes_through(log):
    with kept_in(log), no_handlers(), pytest.raises(KeyboardInterrupt):
        LOGGER.info('%s', Interrupting())
    assert log.text() == ''


class Exiting:
    def __str__(self):
        raise GeneratorExit


def test_another_base_exception_does_not(log):
    with kept_in(log), no_handlers():
        LOGGER.info('%s', Exiting())
    assert log.text() == ''


def test_what_no_encoding_has_is_escaped(log):
    # the reports of tests cannot be sent with it either
    with kept_in(log), no_handlers():
        LOGGER.info('half of a pair: \ud83d')
    assert lines_of(log) == [r'INFO shop: half of a pair: \ud83d']
    log.text().encode()


@pytest.mark.parametrize(
    ('text', 'limit', 'end'),
    [
        ('short', 5, 'short'),
        ('too long', 7, '...long'),
        # of two, three and four bytes
        ('\xe9' * 5, 10, '\xe9' * 5),
        ('\xe9' * 6, 10, '...' + '\xe9' * 3),
        ('\u20ac' * 5, 10, '...' + '\u20ac' * 2),
        ('\U0001f600' * 5, 10, '...\U0001f600'),
    ],
)
def test_the_end_of_a_text_is_cut_at_a_character(text, limit, end):
    assert end_of(text, limit) == end
    assert len(end.encode()) <= limit


@pytest.mark.slow
def test_the_end_of_it_is_kept(log):
    with kept_in(log):
        for number in range(10_000):
            LOGGER.info('line %d', number)
    text = log.text()
    assert text.startswith(CUT)
    assert text.endswith('line 9999')
    # whole records, and little more than the limit
    assert 1000 <= len(text) < 1100
    assert log.count == 10_000
    assert len(end_of(text, log.limit)) == 1000


def test_of_ten_megabytes_the_end_is_kept(log):
    with kept_in(log):
        LOGGER.info('secret ' * 1_500_000 + 'the end')
    text = log.text()
    assert len(text) <= 2100
    # no part of a word is left at the cut
    assert text.startswith(f'{CUT} secret secret')
    assert text.endswith('the end')


def test_of_a_record_without_blanks_the_end_is_kept(log):
    record = logging.makeLogRecord({'levelno': 20, 'msg': 'x' * 10_000})
    log.add(record)
    assert log.text() == f'{CUT} {"x" * 2000}'


def test_two_runs_at_once_never_mix():
    logs = [RunLog(100_000, None) for _ in range(4)]
    barrier = threading.Barrier(len(logs))

    def run(number):
        with kept_in(logs[number]):
            for index in range(200):
                if index % 50 == 0:
                    barrier.wait(60)
                LOGGER.info('run %d', number)

    threads = [threading.Thread(target=run, args=[number]) for number in range(len(logs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, log in enumerate(logs):
        assert lines_of(log) == [f'INFO shop: run {number}'] * 200


def test_threads_with_its_context_count_and_others_do_not(log):
    with kept_in(log):
        threads = [
            threading.Thread(target=contextvars.copy_context().run, args=[LOGGER.info, 'with it']),
            threading.Thread(target=contextvars.Context().run, args=[LOGGER.info, 'without']),
        ]
        for thread in threads:
            thread.start()
            thread.join()
        asyncio.run(log_in_task())
    assert lines_of(log) == ['INFO shop: with it', 'INFO shop: in a task', 'INFO shop: in its thread']


async def log_in_task():
    async def inner():
        LOGGER.info('in a task')

    await asyncio.create_task(inner())
    await asyncio.to_thread(LOGGER.info, 'in its thread')


def test_greenlets_with_its_context_count(log):
    greenlet = pytest.importorskip('greenlet')
    with kept_in(log):
        with_it = greenlet.greenlet(LOGGER.info)
        with_it.gr_context = contextvars.copy_context()
        with_it.switch('with it')
        without = greenlet.greenlet(LOGGER.info)
        without.gr_context = contextvars.Context()
        without.switch('without')
    assert lines_of(log) == ['INFO shop: with it']


def test_a_thread_that_goes_on_after_the_run_adds_nothing(log):
    with kept_in(log):
        context = contextvars.copy_context()
        LOGGER.info('within')
    log.close()
    context.run(LOGGER.info, 'too late')
    assert log.text() == CUT
    assert not log._texts


def test_a_record_that_comes_while_the_run_ends_adds_nothing(log):
    class Closing:
        def __str__(self):
            log.close()
            return 'too late'

    log.add(logging.makeLogRecord({'levelno': 20, 'msg': Closing()}))
    assert not log._texts


def test_a_signals_handler_that_logs_waits_for_nothing(log):
    """It comes while the main thread holds the lock."""
    before = signal.signal(signal.SIGUSR1, lambda *args: LOGGER.info('signalled'))
    try:
        with kept_in(log), log._lock:
            signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert lines_of(log) == ['INFO shop: signalled']


def test_a_forked_child_has_no_part_in_it(log):
    """The lock is held in the child for ever."""
    with kept_in(log), log._lock:
        result = fork_and_log(log)
    assert result == 0
    assert log.text() == ''


def fork_and_log(log):
    held = threading.Event()
    done = threading.Event()

    def hold():
        with log._lock:
            held.set()
            done.wait(60)

    log._lock.release()
    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(60)
    pid = os.fork()
    if pid == 0:
        LOGGER.propagate = False
        LOGGER.info('in the child')
        os._exit(int(bool(log._texts)))
    done.set()
    thread.join()
    log._lock.acquire()
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


SCRIPT = """
import json, logging, sys
from pyramid_cron.run_log import RunLog, kept_in
log = RunLog(1000, None)
with kept_in(log):
    logging.warning  # as of a module that logs
    logging.getLogger('shop').warning('nothing is configured')
    logging.basicConfig(level='INFO', format='configured: %(message)s', stream=sys.stderr)
    logging.getLogger('shop').info('after basicConfig')
    assert logging.root.handlers and len(logging.root.handlers) == 1
    import logging.config
    logging.config.dictConfig({'version': 1, 'disable_existing_loggers': False})
    logging.getLogger('shop').warning('after dictConfig')
print(json.dumps([line.partition(' ')[2] for line in log.text().splitlines()]))
"""


@pytest.mark.slow
def test_the_logging_of_the_application_is_as_without_it():
    ran = subprocess.run([sys.executable, '-c', SCRIPT], check=True, capture_output=True, text=True)
    assert json.loads(ran.stdout) == [
        'WARNING shop: nothing is configured',
        'INFO shop: after basicConfig',
        'WARNING shop: after dictConfig',
    ]
    assert ran.stderr.splitlines()[:2] == ['nothing is configured', 'configured: after basicConfig']
