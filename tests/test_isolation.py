import logging
import sys
import threading

import pytest

from pyramid_cron import isolation


def test_a_process_that_came_back_from_a_fork_is_ended_with_a_word(caplog):
    ended = []
    guard = isolation.Guard(process=0, end=ended.append)
    guard.after('forking', None)
    guard.after('forking', LookupError('in the child'))
    assert ended == [0, 1]
    assert 'task forking came back in process' in caplog.text
    assert 'LookupError: in the child' in caplog.text


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
