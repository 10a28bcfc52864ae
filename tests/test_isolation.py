import logging
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
def test_a_process_that_came_back_from_a_fork_is_ended_with_a_word(caplog, exc, status):
    ended = []
    isolation.Guard(process=0, end=ended.append).after('forking', exc)
    assert ended == [status]
    assert 'task forking ended in process' in caplog.text
    assert str(exc or '') in caplog.text


def test_it_is_ended_even_if_that_cannot_be_logged():
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


def test_levels_that_a_task_disabled_are_enabled_again_and_others_are_left_alone():
    try:
        for before, during, after in (
            (logging.NOTSET, logging.CRITICAL, logging.NOTSET),
            (logging.INFO, logging.ERROR, logging.INFO),
            (logging.INFO, logging.NOTSET, logging.NOTSET),
        ):
            logging.disable(before)
            guard = isolation.Guard()
            logging.disable(during)
            guard.after('task', None)
            assert logging.root.manager.disable == after
    finally:
        logging.disable(logging.NOTSET)


def test_what_was_off_before_a_task_stays_off():
    off, on = (logging.getLogger(f'pyramid_cron.{name}') for name in ('events', 'runner'))
    off.disabled = True
    try:
        guard = isolation.Guard()
        on.disabled = True
        guard.after('task', None)
        assert (off.disabled, on.disabled) == (True, False)
    finally:
        off.disabled = on.disabled = False


@pytest.mark.parametrize('exc', [SystemExit(), KeyboardInterrupt()])
def test_only_in_the_main_thread_an_exit_ends_the_process(exc):
    assert isolation.ends_process(exc, isolation.OF_SERVERS)
    answers = []
    thread = threading.Thread(target=lambda: answers.append(isolation.ends_process(exc, isolation.OF_SERVERS)))
    thread.start()
    thread.join()
    assert answers == [False]


def test_gevent_is_not_imported_to_ask_about_it():
    before = sys.modules.pop('greenlet', None)
    try:
        assert not isolation.ends_process(GeneratorExit(), isolation.OF_SERVERS)
        assert 'greenlet' not in sys.modules
    finally:
        if before is not None:
            sys.modules['greenlet'] = before
