import logging
import os
import sys
import threading

import pytest

from pyramid_cron import isolation


@pytest.mark.parametrize(
    ('exc', 'status'),
    [
        (None, 0),
        (LookupError('in the child'), 1),
        (KeyboardInterrupt(), 1),
        (SystemExit(), 0),
        (SystemExit(3), 3),
        (SystemExit(2**70), 0),
        (SystemExit('the child gives up'), 1),
    ],
    ids=repr,
)
def test_a_forked_process_ends_with_its_task_and_logs_it(caplog, exc, status):
    ended = []
    isolation.Guard(process=0, end=ended.append).after('forking', exc)
    assert ended == [status]
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert f'task forking ended in process {os.getpid()}, which it had forked' in record.getMessage()
    assert (record.exc_info or (None, None))[1] is exc


def test_the_process_of_the_run_goes_on_after_a_task(caplog):
    ended = []
    isolation.Guard(end=ended.append).after('task', SystemExit(3))
    assert ended == []
    assert caplog.records == []


def test_a_forked_process_ends_even_if_logging_fails():
    def refuse(record):
        raise LookupError('the log is broken')

    ended = []
    isolation.log.addFilter(refuse)
    try:
        with pytest.raises(LookupError):
            isolation.Guard(process=0, end=ended.append).after('forking', None)
    finally:
        isolation.log.removeFilter(refuse)
    assert ended == [0]


def test_only_levels_that_a_task_disabled_are_enabled_again():
    try:
        for before, during, after in (
            (logging.NOTSET, logging.CRITICAL, logging.NOTSET),
            (logging.INFO, logging.ERROR, logging.INFO),
            (logging.INFO, logging.NOTSET, logging.NOTSET),
        ):
            logging.disable(before)
            guard = isolation.Guard(end=pytest.fail)
            logging.disable(during)
            guard.after('task', None)
            assert logging.root.manager.disable == after
    finally:
        logging.disable(logging.NOTSET)


def test_a_logger_that_was_disabled_before_stays_disabled():
    off, on = (logging.getLogger(f'pyramid_cron.{name}') for name in ('events', 'runner'))
    off.disabled = True
    try:
        guard = isolation.Guard(end=pytest.fail)
        on.disabled = True
        guard.after('task', None)
        assert (off.disabled, on.disabled) == (True, False)
    finally:
        off.disabled = on.disabled = False


def test_loggers_disabled_before_the_first_tick_are_enabled(caplog):
    off = [logging.getLogger(f'pyramid_cron.{name}') for name in ('events', 'runner')]
    for logger in off:
        logger.disabled = True
    isolation.enable_loggers.cache_clear()
    try:
        for _ in range(2):
            isolation.enable_loggers()
    finally:
        for logger in off:
            logger.disabled = False
    assert caplog.messages == [
        '2 loggers of pyramid_cron were disabled, as logging.config.fileConfig() does, and are enabled again: '
        'pass disable_existing_loggers=False to it, in env.py of Alembic for example'
    ]


def test_only_the_first_tick_looks_at_the_loggers():
    off = logging.getLogger('pyramid_cron.runner')
    isolation.enable_loggers.cache_clear()
    isolation.enable_loggers()
    off.disabled = True
    try:
        isolation.enable_loggers()
        assert off.disabled
    finally:
        off.disabled = False


@pytest.mark.parametrize('exc', [SystemExit(), KeyboardInterrupt()])
def test_an_exit_ends_the_process_only_in_the_main_thread(exc):
    assert isolation.ends_process(exc, isolation.OF_SERVERS)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(isolation.ends_process(exc, isolation.OF_SERVERS)))
    thread.start()
    thread.join()
    assert answers == [False]


def test_gevent_is_not_imported():
    before = sys.modules.pop('greenlet', None)
    try:
        assert not isolation.ends_process(GeneratorExit(), isolation.OF_SERVERS)
        assert 'greenlet' not in sys.modules
    finally:
        if before is not None:
            sys.modules['greenlet'] = before
