import logging
import threading
from datetime import datetime, timedelta, timezone

import pytest

from pyramid_cron import Task, TaskReport
from pyramid_cron.claims import Claims, Held, Turn
from pyramid_cron.schedules.clock import MINUTE

OK = TaskReport('task', 'ok')
INSTANT = datetime(2026, 11, 23, 9, 8, tzinfo=timezone.utc)


@pytest.fixture
def task():
    return Task(lambda system: None, name='task')


def test_a_running_task_is_held_until_it_is_released(task):
    seconds = iter([100.0, 101.5, 200.0])
    claims = Claims(lambda: next(seconds))
    assert claims.claim(Turn(task, INSTANT)) is None
    assert claims.claim(Turn(task, INSTANT + MINUTE)) == Held('still running', 1.5)
    claims.release(Turn(task, None), OK)
    assert claims.claim(Turn(task, INSTANT + MINUTE)) is None


def test_a_minute_is_taken_once_and_a_later_one_takes_those_before(task):
    claims = Claims()
    for earlier in (0, 1, 179):
        assert (claims.claim(Turn(task, INSTANT - earlier * MINUTE)) is None) == (earlier == 0)
        if earlier == 0:
            claims.release(Turn(task, None), OK)
    assert claims.claim(Turn(task, INSTANT)) == Held('already run', level=logging.INFO)
    assert claims.claim(Turn(task, INSTANT + MINUTE)) is None


def test_a_run_for_no_minute_takes_none(task):
    claims = Claims()
    assert claims.claim(Turn(task, None)) is None
    assert claims.claim(Turn(task, None)).reason == 'still running'
    claims.release(Turn(task, None), OK)
    assert claims.claim(Turn(task, INSTANT)) is None


def test_an_interrupted_run_leaves_its_minute_to_be_had_and_those_before_taken(task):
    claims = Claims()
    for instant in (INSTANT, INSTANT + MINUTE):
        assert claims.claim(Turn(task, instant)) is None
        claims.interrupt(Turn(task, None))
        assert claims.claim(Turn(task, instant)) is None
        claims.release(Turn(task, None), OK)
    assert claims.claim(Turn(task, INSTANT)).reason == 'already run'
    assert claims.claim(Turn(task, None)) is None
    claims.interrupt(Turn(task, None))
    assert claims.claim(Turn(task, INSTANT)).reason == 'already run'


def test_tasks_do_not_hold_one_another(task):
    claims = Claims()
    assert claims.claim(Turn(task, INSTANT)) is None
    assert claims.claim(Turn(Task(lambda system: None, name='task'), INSTANT)) is None


def test_a_clock_that_ran_ahead_is_not_believed_for_ever(task, caplog):
    claims = Claims()
    claims.claim(Turn(task, INSTANT + timedelta(days=4000)))
    claims.release(Turn(task, None), OK)
    assert claims.claim(Turn(task, INSTANT)) is None
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert 'the clock was set back' in caplog.text
    claims.release(Turn(task, None), OK)
    assert claims.claim(Turn(task, INSTANT + MINUTE)) is None


def test_others_have_their_turn_while_the_log_is_written(task):
    claims, other, asked = Claims(), Task(lambda system: None, name='other'), []

    class Slow(logging.Handler):
        def emit(self, record):
            thread = threading.Thread(target=lambda: asked.append(claims.claim(Turn(other, INSTANT))), daemon=True)
            thread.start()
            thread.join(5)

    claims.claim(Turn(task, INSTANT + timedelta(days=1)))
    claims.release(Turn(task, None), OK)
    logger, handler = logging.getLogger('pyramid_cron.claims'), Slow()
    logger.addHandler(handler)
    try:
        assert claims.claim(Turn(task, INSTANT)) is None
        assert asked == [None]
    finally:
        logger.removeHandler(handler)
