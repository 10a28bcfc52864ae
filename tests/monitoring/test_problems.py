"""The definition of what is wrong, as tables of rows and the problems that they stand for."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from pyramid_cron import Schedule, Task
from pyramid_cron.claims import Pause
from pyramid_cron.monitoring.problem import Problem
from pyramid_cron.monitoring.problems import LONGEST_SILENCE, LONGEST_TICK, find_problems
from pyramid_cron.store.decision import decide
from pyramid_cron.store.liveness import ProcessState
from pyramid_cron.store.snapshot import Snapshot
from pyramid_cron.store.task_state import TaskState
from pyramid_cron.store.ticks import TickState

NOW = datetime(2020, 11, 23, 2, 0, tzinfo=timezone.utc)
WEEKS_AGO = NOW - timedelta(weeks=3)
MINUTE = timedelta(minutes=1)
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
        (running(61), [replace(STUCK, since=NOW - timedelta(seconds=61), seconds=61.0)]),
        (running(7200), [STUCK]),
        # waits for a worker, or is being enqueued
        (running(7200, handed_over_for='a minute'), []),
        (replace(running(7200), run_id=None), []),
        (replace(IDLE, pause=PAUSE), [Problem('paused', 'task', pause=PAUSE)]),
        (
            replace(FAILED, pause=PAUSE),
            [replace(FAILURE, excuse='paused'), Problem('paused', 'task', pause=PAUSE)],
        ),
        (
            running(7200, replace(IDLE, pause=PAUSE)),
            [replace(STUCK, excuse='paused'), Problem('paused', 'task', pause=PAUSE)],
        ),
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
        replace(running(61), task='e'),
        replace(running(61), task='f'),
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


def test_a_task_with_an_engine_is_stuck_as_any_other():
    snapshot = Snapshot({'task': running(7200)}, TickState(NOW, NOW, None), NOW)
    task = Task(print, name='task')
    task.engine = 'an engine'
    assert find_problems(snapshot, [task], 55.0) == [STUCK]


def slow(since, text):
    return Problem('slow', 'task', since, error=text)


@pytest.mark.parametrize(
    ('state', 'found'),
    [
        (running(299), []),
        (running(301), [slow(NOW - timedelta(seconds=301), 'running for 5 min 1 s, expected 5 min')]),
        (running(601), [replace(STUCK, since=NOW - timedelta(seconds=601), seconds=601.0)]),
        (replace(IDLE, last_outcome='ok', last_finished=NOW, last_seconds=299.0), []),
        (
            replace(IDLE, last_outcome='ok', last_finished=NOW, last_seconds=301.0),
            [slow(NOW, 'took 5 min 1 s, expected 5 min')],
        ),
        (replace(IDLE, last_outcome='ok', last_finished=NOW), []),
    ],
)
def test_a_run_that_takes_longer_than_expected_is_no_fault(state, found):
    assert problems(state, expect=300) == found
    assert all(problem.is_fault is (problem.kind == 'stuck') for problem in found)


@pytest.mark.parametrize(
    ('state', 'seconds'),
    [(IDLE, None), (running(90), 90.0), (running(-1), 0.0), (running(90, handed_over_for='a minute'), None)],
)
def test_a_run_in_progress_has_seconds(state, seconds):
    assert state.running_seconds(NOW.timestamp()) == seconds


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


def failed(**values):
    return replace(FAILED, failures_in_a_row=4, **values)


@pytest.mark.parametrize(
    ('state', 'tolerate', 'excuse'),
    [
        (failed(failed_runs=1), 0, None),
        (failed(failed_runs=1), 1, 'tolerated'),
        (failed(failed_runs=2), 1, None),
        (failed(failed_runs=1, will_retry=True), 0, 'retrying'),
        (failed(failed_runs=2, will_retry=True), 0, None),
        # of a server that counts attempts only, or has counted none
        (failed(), 3, None),
        (failed(), 4, 'tolerated'),
        (failed(failed_runs=0), 0, None),
        (replace(FAILED), 0, None),
        (replace(FAILED, last_outcome='lost', failed_runs=1), 1, 'tolerated'),
        (replace(FAILED, last_outcome='missed', failed_runs=1), 1, 'tolerated'),
    ],
)
def test_failures_that_are_tolerated_or_tried_again_are_no_fault(state, tolerate, excuse):
    (problem,) = problems(state, tolerate=tolerate)
    assert (problem.kind, problem.excuse, problem.is_fault) == (state.last_outcome, excuse, excuse is None)
    assert problem.word == (excuse or problem.kind)


def test_an_excuse_is_a_part_of_the_text():
    (problem,) = problems(failed(failed_runs=1), tolerate=1)
    assert problem.as_sentence() == 'Failed, which is tolerated: LookupError'


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


@pytest.mark.parametrize('last', ['failed', 'lost', 'missed'])
def test_the_last_result_of_a_task_that_is_off_is_no_problem(last):
    task = Task(print, name='task')
    state = replace(IDLE, last_outcome=last, last_outcome_for=WEEKS_AGO, last_finished=WEEKS_AGO)
    snapshot = Snapshot({'task': running(7200, state)}, TickState(NOW, NOW, None, NOW - timedelta(minutes=1)), NOW)
    assert [problem.kind for problem in find_problems(snapshot, [task], 55.0)] == ['stuck', last]
    task.schedule = Schedule.off()
    # a run in progress can still be ended
    assert [problem.kind for problem in find_problems(snapshot, [task], 55.0)] == ['stuck']


@pytest.mark.parametrize(
    ('values', 'schedule', 'minutes'),
    [
        ({}, {'min': 0}, None),
        ({'retry_reason': 'failed', 'retry_wait': 600.0}, {'min': 0}, 10),
        ({'retry_reason': 'failed'}, {'min': 0}, 1),
        # the next minute comes first
        ({'retry_reason': 'failed', 'retry_wait': 600.0}, {'min': '*/10'}, None),
        # of a run that has lasted over it, one of those after its end does
        ({'retry_reason': 'failed', 'busy_until': NOW + timedelta(minutes=7)}, {'min': '*/5'}, 8),
        ({'retry_reason': 'failed', 'busy_until': NOW + timedelta(minutes=9)}, {'min': '*/5'}, None),
        ({'retry_reason': 'failed', 'pause': Pause(None, 'why', None)}, {'min': 0}, None),
        ({'retry_reason': 'failed', 'last_minute': None}, {'min': 0}, None),
    ],
)
def test_a_failed_run_has_its_next_attempt(values, schedule, minutes):
    state = replace(FAILED, **({'last_minute': NOW, 'busy_until': NOW} | values))
    found = next(problem for problem in problems(state, timezone='UTC', **schedule) if problem.kind == 'failed')
    assert found.next_attempt == (minutes and NOW + timedelta(minutes=minutes))


@pytest.mark.parametrize('missed', ['newest', 'each'])
@pytest.mark.parametrize('wait', [None, 180.0])
@pytest.mark.parametrize('lasted', range(12))
def test_the_next_attempt_is_that_of_the_decision(lasted, wait, missed):
    task = Task(print, name='task', min='*/5', timezone='UTC', missed=missed)
    busy_until = NOW + lasted * MINUTE
    state = replace(FAILED, last_minute=NOW, busy_until=busy_until, attempt=1, retry_reason='failed', retry_wait=wait)
    minutes = [busy_until + number * MINUTE for number in range(1, 9)]
    decisions = {minute: decide(task, state, minute, timedelta(minutes=30)) for minute in minutes}
    minute, first = next((minute, found) for minute, found in decisions.items() if found.attempt)
    found = next(problem for problem in problems(state, missed=missed, min='*/5') if problem.kind == 'failed')
    assert found.next_attempt == (minute if first.attempt == 2 else None)


OF_ALL = Pause(None, 'the database moves', 'root', of_all=True)


@pytest.mark.parametrize(
    ('own', 'pauses'),
    [
        (None, [OF_ALL]),
        (Pause(NOW, 'over', None), [OF_ALL]),
        (Pause(NOW + timedelta(days=1), 'why', None), [OF_ALL, Pause(NOW + timedelta(days=1), 'why', None)]),
        # of two that end together that of the task itself is shown first
        (PAUSE, [PAUSE, OF_ALL]),
    ],
)
def test_a_task_has_its_pause_and_that_of_all(own, pauses):
    [found] = problems(replace(IDLE, pause=own, pause_of_all=OF_ALL))
    assert (found.kind, found.pause, found.shorter_pause) == ('paused', pauses[0], next(iter(pauses[1:]), None))
    assert found.is_of_all is (pauses[0] is OF_ALL)
    assert not found.is_fault


def paused_with_all(*states, **options):
    snapshot = Snapshot({state.task: state for state in states}, TickState(NOW, NOW, None), NOW, OF_ALL)
    tasks = [Task(print, name=name, **options) for name in ('new', 'task')]
    return [(problem.task, problem.pause) for problem in find_problems(snapshot, tasks, 55.0)]


def test_a_task_that_had_no_tick_yet_is_paused_with_all():
    assert paused_with_all(replace(IDLE, pause_of_all=OF_ALL)) == [('new', OF_ALL), ('task', OF_ALL)]


def test_a_task_that_is_not_in_the_store_is_not_paused_with_all():
    # a row may be left from before it got store=False
    left, gone = (replace(IDLE, task=name, pause_of_all=OF_ALL) for name in ('task', 'gone'))
    assert paused_with_all(left, gone, store=False) == []
    # nor one that is not registered here, unless it is paused by itself
    assert paused_with_all(replace(gone, pause=PAUSE), store=False) == [('gone', PAUSE)]


@pytest.mark.parametrize(
    'row',
    [
        FAILED,
        replace(FAILED, next_due=WEEKS_AGO, last_minute=WEEKS_AGO),
        running(7200),
        replace(running(7200), handed_over_for='token', process=None),
        replace(IDLE, last_minute=NOW + timedelta(days=1)),
    ],
)
def test_a_row_from_before_store_false_is_not_judged(row):
    row = replace(row, last_seen=NOW - timedelta(minutes=1))
    assert problems(row) != []
    assert problems(row, store=False) == []


def test_a_row_from_before_store_false_is_unregistered():
    seen = NOW - timedelta(hours=2)
    assert problems(replace(FAILED, last_seen=seen), store=False) == [Problem('unregistered', 'task', seen)]


def queued(seconds, **values):
    """Return the state of a task whose run has been waiting for a worker for so many seconds."""
    started = NOW.timestamp() - seconds
    known = {'run_id': 'token', 'handed_over_for': 'a minute', 'started_at': started, 'last_minute': NOW}
    return replace(IDLE, **known | values)


@pytest.mark.parametrize('seconds', [0, 149])
def test_a_run_that_waits_for_a_worker_is_no_problem_at_first(seconds):
    assert problems(queued(seconds), catch_up=300) == []


@pytest.mark.parametrize(
    ('values', 'minute', 'error'),
    [
        ({}, NOW, 'no worker has begun it'),
        ({'handed_over_for': 'token'}, None, 'no worker has begun it'),
        ({'not_begun': 'token LookupError: x'}, NOW, 'a worker failed before the task: LookupError: x'),
        # of an earlier run
        ({'not_begun': 'other LookupError: x'}, NOW, 'no worker has begun it'),
    ],
)
def test_a_run_is_overdue_after_half_of_its_time(values, minute, error):
    [problem] = problems(queued(150, **values), catch_up=300)
    since = NOW - timedelta(seconds=150)
    assert problem == Problem('overdue', 'task', since, minute, 150.0, error)
    assert (problem.is_fault, problem.word) == (False, 'overdue')
    assert str(problem) == f'overdue, queued for 2 min 30 s: {error}'


def test_a_run_in_a_process_is_not_overdue():
    assert problems(queued(299, process=PROCESS), catch_up=300) == []


def test_an_overdue_run_of_a_paused_task_counts_as_paused():
    overdue, paused = problems(queued(299, pause=PAUSE), catch_up=300)
    assert (overdue.kind, overdue.word, paused.kind) == ('overdue', 'paused', 'paused')
    assert str(overdue) == 'overdue, queued for 4 min 59 s, while paused: no worker has begun it'


def test_the_setting_counts_for_a_task_without_a_time_of_its_own():
    task, state = Task(print, name='task'), queued(150)
    ticks = TickState(NOW, NOW, None, NOW)
    for catch_up, kinds in ((300, ['overdue']), (301, [])):
        snapshot = Snapshot({'task': state}, ticks, NOW, catch_up=timedelta(seconds=catch_up))
        assert [problem.kind for problem in find_problems(snapshot, [task], 55.0)] == kinds


def test_a_run_that_waits_for_its_engine_is_overdue_after_half_of_its_time():
    since = NOW - timedelta(minutes=3)
    row = replace(IDLE, next_due=since, waited_minute=NOW - timedelta(minutes=1))
    [problem] = problems(row, catch_up=300)
    assert problem == Problem('overdue', 'task', since, since, 180.0, 'its engine has no room for it')
    assert str(problem) == 'overdue, queued for 3 min: its engine has no room for it'
    assert problem.is_fault is False
    assert problems(row, catch_up=600) == []
