"""The definition of what is wrong, as tables of rows and the problems that they stand for."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from pyramid_cron import Task
from pyramid_cron.claims import Pause
from pyramid_cron.monitoring.problems import LONGEST_SILENCE, LONGEST_TICK, Problem, find_problems
from pyramid_cron.store.admin import Snapshot
from pyramid_cron.store.task_state import ProcessState, TaskState
from pyramid_cron.store.ticks import TickState

NOW = datetime(2020, 11, 23, 2, 0, tzinfo=timezone.utc)
WEEKS_AGO = NOW - timedelta(weeks=3)
YEARS_AGO = NOW - timedelta(days=3000)
IDLE = TaskState('task', '', YEARS_AGO)
PROCESS = ProcessState('web1', 7, None, None, False)


def running(seconds, state=IDLE, **values):
    """Return the state of a task that has been running for so many seconds."""
    started = NOW.timestamp() - seconds
    return replace(state, run_id='token', process=PROCESS, started_at=started, last_minute=NOW, **values)


def problems(*states, names=('task',), window=55.0, last_tick=NOW, **options):
    ticks = last_tick and TickState(last_tick, last_tick, None, last_tick - timedelta(minutes=1))
    snapshot = Snapshot({state.task: state for state in states}, ticks, NOW)
    return find_problems(snapshot, [Task(print, name=name, **options) for name in names], window)


FAILED = replace(
    IDLE,
    last_outcome='failed',
    last_outcome_for=WEEKS_AGO,
    last_finished=WEEKS_AGO + timedelta(seconds=2),
    last_seconds=2.0,
    last_error='LookupError',
)
PAUSE = Pause(None, 'why', 'root')
FAILURE = Problem('failed', 'task', WEEKS_AGO + timedelta(seconds=2), WEEKS_AGO, 2.0, 'LookupError')
STUCK = Problem('stuck', 'task', NOW - timedelta(seconds=7200), seconds=7200.0)


@pytest.mark.parametrize(
    ('state', 'found'),
    [
        (IDLE, []),
        (replace(IDLE, last_outcome='ok', last_outcome_for=NOW), []),
        # written by a later version
        (replace(IDLE, last_outcome='deferred', last_outcome_for=NOW), []),
        (FAILED, [FAILURE]),
        (
            replace(IDLE, last_outcome='lost', last_outcome_for=NOW, last_finished=NOW),
            [Problem('lost', 'task', NOW, NOW)],
        ),
        (
            replace(IDLE, last_outcome='missed', last_outcome_for=WEEKS_AGO),
            [Problem('missed', 'task', WEEKS_AGO, WEEKS_AGO)],
        ),
        # the next run is in progress
        (running(1, FAILED), [FAILURE]),
        (running(7200, FAILED), [STUCK, FAILURE]),
        (running(55), []),
        (running(56), [replace(STUCK, since=NOW - timedelta(seconds=56), seconds=56.0)]),
        (running(7200), [STUCK]),
        # waits for a worker, or is being enqueued
        (running(7200, handed_over_for='a minute'), []),
        (replace(running(7200), run_id=None), []),
        (replace(IDLE, pause=PAUSE), [Problem('paused', 'task', pause=PAUSE)]),
        (replace(FAILED, pause=PAUSE), [FAILURE, Problem('paused', 'task', pause=PAUSE)]),
        (replace(IDLE, pause=Pause(NOW, 'why', None)), []),
        (
            replace(IDLE, pause=Pause(NOW + timedelta(seconds=1), 'why', None)),
            [Problem('paused', 'task', pause=Pause(NOW + timedelta(seconds=1), 'why', None))],
        ),
    ],
)
def test_a_row_has_these_problems(state, found):
    assert problems(state) == found


@pytest.mark.parametrize(
    ('last_tick', 'found'),
    [
        (None, [Problem('no tick')]),
        (NOW + timedelta(seconds=30), []),
        (NOW - LONGEST_SILENCE, []),
        (
            NOW - LONGEST_SILENCE - timedelta(seconds=1),
            [Problem('no tick', since=NOW - LONGEST_SILENCE - timedelta(seconds=1), seconds=121.0)],
        ),
    ],
)
def test_silence_has_one_limit(last_tick, found):
    assert problems(IDLE, last_tick=last_tick) == found


def test_the_most_urgent_problem_comes_first():
    states = [
        replace(IDLE, task='a', pause=PAUSE),
        replace(IDLE, task='b', last_outcome='missed'),
        replace(IDLE, task='c', last_outcome='failed'),
        replace(IDLE, task='d', last_outcome='lost'),
        replace(running(60), task='e'),
        replace(running(60), task='f'),
    ]
    found = problems(*states, names='fedcba', last_tick=None)
    assert [(problem.kind, problem.task) for problem in found] == [
        ('no tick', None),
        ('stuck', 'e'),
        ('stuck', 'f'),
        ('lost', 'd'),
        ('failed', 'c'),
        ('missed', 'b'),
        ('paused', 'a'),
    ]
    assert [problem.is_fault for problem in found] == [True] * 6 + [False]


def test_a_task_that_is_not_registered_here_may_be_paused():
    assert problems(replace(FAILED, pause=PAUSE), names=['other']) == [Problem('paused', 'task', pause=PAUSE)]
    assert problems(FAILED, names=['other']) == []
    assert problems(names=['new']) == []


@pytest.mark.parametrize('names', [['task'], ['other']])
def test_an_hour_of_ticks_makes_a_task_unregistered(names):
    hour = NOW - timedelta(minutes=61)
    assert problems(replace(IDLE, last_seen=hour), names=names) == []
    seen = replace(IDLE, last_seen=hour - timedelta(minutes=1))
    unregistered = Problem('unregistered', 'task', hour - timedelta(minutes=1))
    assert problems(seen, names=names) == [unregistered]
    assert not unregistered.is_fault
    assert problems(replace(seen, pause=PAUSE), names=names) == [unregistered, Problem('paused', 'task', pause=PAUSE)]
    # it is registered where it runs
    assert problems(running(1, seen), names=names) == []
    assert problems(seen, names=names, last_tick=None) == [Problem('no tick')]


def test_a_task_with_an_engine_is_never_stuck():
    snapshot = Snapshot({'task': running(7200)}, TickState(NOW, NOW, None), NOW)
    task = Task(print, name='task')
    task.engine = 'an engine'
    assert find_problems(snapshot, [task], 55.0) == []


@pytest.mark.parametrize(
    ('state', 'seconds'),
    [(IDLE, None), (running(90), 90.0), (running(-1), 0.0), (running(90, handed_over_for='a minute'), None)],
)
def test_a_run_in_progress_has_seconds(state, seconds):
    assert state.running_seconds(NOW.timestamp()) == seconds


@pytest.mark.parametrize(
    ('problem', 'text'),
    [
        (Problem('no tick'), 'no tick has come yet'),
        (Problem('no tick', seconds=180.0), 'no tick for 3 min'),
        (STUCK, 'stuck, running for 2 h 0 min'),
        (Problem('stuck', 'task'), 'stuck'),
        (FAILURE, 'failed: LookupError'),
        (Problem('lost', 'task'), 'lost'),
    ],
)
def test_a_problem_has_a_text(problem, text):
    assert str(problem) == text


MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ('last', 'done', 'problem', 'found'),
    [
        (NOW, NOW, None, []),
        (NOW, NOW - MINUTE, None, []),
        # made by an earlier version, or the first
        (NOW, None, None, []),
        (NOW, NOW - MINUTE, 'locked', [Problem('tick failed', since=NOW - MINUTE, error='locked')]),
        (NOW, None, 'locked', [Problem('tick failed', error='locked')]),
        (NOW, NOW - LONGEST_TICK, None, []),
        (
            NOW,
            NOW - LONGEST_TICK - MINUTE,
            None,
            [Problem('tick failed', since=NOW - LONGEST_TICK - MINUTE, error='no tick has come to its end for 11 min')],
        ),
        (NOW - 3 * MINUTE, NOW - 20 * MINUTE, None, [Problem('no tick', since=NOW - 3 * MINUTE, seconds=180.0)]),
        (
            NOW - 3 * MINUTE,
            NOW - 4 * MINUTE,
            'locked',
            [
                Problem('no tick', since=NOW - 3 * MINUTE, seconds=180.0),
                Problem('tick failed', since=NOW - 4 * MINUTE, error='locked'),
            ],
        ),
    ],
)
def test_ticks_that_fail_are_a_problem(last, done, problem, found):
    assert find_problems(Snapshot({}, TickState(last, done, problem), NOW), [], 55.0) == found


def test_a_problem_begins_a_sentence():
    assert Problem('tick failed', error='the Row is locked').as_sentence() == 'Tick failed: the Row is locked'


@pytest.mark.parametrize(('lead', 'is_ahead'), [(120, False), (121, True), (9e7, True)])
def test_a_minute_of_the_future_is_a_fault(lead, is_ahead):
    future = NOW + timedelta(seconds=lead)
    (tick,) = problems(last_tick=future) or [None]
    assert (tick is not None and tick.kind == 'tick failed') is is_ahead
    for name in ('first_seen', 'last_seen', 'last_minute', 'busy_until', 'schedule_changed_at'):
        found = problems(replace(IDLE, **{name: future}))
        assert [(problem.kind, problem.since) for problem in found] == ([('ahead', future)] if is_ahead else [])
    assert [problem.kind for problem in problems(running(-lead))] == (['ahead'] if is_ahead else [])
    # that of the last run while none is in progress
    assert problems(replace(running(-lead), run_id=None)) == []


def test_how_far_a_minute_is_ahead_is_shown():
    (tick,) = problems(last_tick=NOW + timedelta(hours=1))
    assert str(tick) == "tick failed: the last tick is 1 h 0 min ahead of the database's clock"
    (task,) = problems(replace(IDLE, last_minute=NOW + timedelta(hours=1)))
    assert str(task) == "ahead: its row is 1 h 0 min ahead of the database's clock"
