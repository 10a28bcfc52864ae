"""Minutes at which a task was due, and of which nothing is recorded."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from pyramid_cron import Task
from pyramid_cron.claims import Pause
from pyramid_cron.monitoring.problems import LONGEST_SILENCE, NO_TICK_SINCE, find_problems
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.snapshot import Snapshot
from pyramid_cron.store.task_state import TaskState
from pyramid_cron.store.ticks import TickState
from tests.support.states import in_progress

DUE = datetime(2026, 11, 24, 2, 0, tzinfo=timezone.utc)
DAY_BEFORE = DUE - timedelta(days=1)
ROW = TaskState(
    'task',
    '',
    DUE - timedelta(days=30),
    last_minute=DAY_BEFORE,
    next_due=DUE,
    last_outcome='ok',
    last_outcome_for=DAY_BEFORE,
)


def overdue(state=ROW, after=timedelta(hours=3), silent_for=timedelta(hours=3, minutes=1), **options):
    """Return the problems of a task at an instant after its due minute."""
    now = DUE + after
    last = now - silent_for
    snapshot = Snapshot({'task': state}, TickState(last, last, None, last - MINUTE), now)
    task = Task(print, name='task', timezone='UTC', **{'min': 0, 'hour': 2, **options})
    return [problem for problem in find_problems(snapshot, [task], 55.0) if problem.task]


def test_a_task_is_overdue_while_no_tick_comes():
    [problem] = overdue()
    assert (problem.kind, problem.since, problem.minute, problem.seconds) == ('overdue', DUE, DUE, 3 * 3600.0)
    assert (problem.error, problem.never_begun, problem.is_fault) == (NO_TICK_SINCE, True, False)
    assert str(problem) == 'overdue, due for 3 h: no tick has come since then'


def test_the_first_tick_has_time_to_come():
    assert overdue(after=LONGEST_SILENCE - timedelta(seconds=1), silent_for=3 * MINUTE) == []
    assert len(overdue(after=LONGEST_SILENCE, silent_for=3 * MINUTE)) == 1


def test_what_was_due_before_the_last_tick_is_the_matter_of_that_tick():
    assert overdue(silent_for=timedelta(0)) == []
    assert overdue(silent_for=timedelta(hours=3)) == []
    assert len(overdue(silent_for=timedelta(hours=3, minutes=1))) == 1


@pytest.mark.parametrize(
    'values',
    [
        # not due yet, or not known
        {'next_due': DUE + timedelta(days=1)},
        {'next_due': None},
        # it runs, is queued or waits for its engine
        in_progress(DUE),
        in_progress(DUE) | {'handed_over_for': 'token'},
        {'waited_minute': DUE},
        # it was due during its last run
        {'busy_until': DUE},
        {'pause': Pause(None, 'why', None)},
        # a schedule that is newer
        {'schedule_changed_at': DUE + MINUTE},
        # no process with a tick has it
        {'last_seen': DUE - timedelta(days=2)},
    ],
)
def test_what_is_known_otherwise_is_not_overdue(values):
    assert not any(problem.never_begun for problem in overdue(replace(ROW, **values)))


def test_what_a_task_owed_at_the_last_tick_hides_nothing():
    # which that tick left to a following one
    behind = replace(ROW, last_minute=DUE - timedelta(days=3), next_due=DUE - timedelta(days=2))
    [problem] = overdue(behind, missed='each', catch_up=7 * 86400)
    assert (problem.kind, problem.minute) == ('overdue', DUE)
    assert overdue(behind, silent_for=timedelta(0), missed='each', catch_up=7 * 86400) == []


def test_a_minute_that_a_pause_skips_is_not_overdue():
    over = replace(ROW, pause=Pause(DUE + MINUTE, 'why', None), paused_from=DUE - MINUTE)
    assert overdue(over) == []
    [problem] = overdue(replace(over, last_minute=DAY_BEFORE + timedelta(hours=1)), hour=(2, 3))
    assert problem.minute == DUE + timedelta(hours=1)


def test_nothing_is_overdue_before_the_first_tick():
    snapshot = Snapshot({'task': ROW}, None, DUE + timedelta(hours=3))
    task = Task(print, name='task', timezone='UTC', min=0, hour=2)
    assert [problem.kind for problem in find_problems(snapshot, [task], 55.0)] == ['no tick']
