"""What became of the last due minute of a task, as rows and the words that they stand for."""

from datetime import datetime, timedelta, timezone

import pytest

from pyramid_cron.claims import Pause
from pyramid_cron.last_due import find_last_due
from pyramid_cron.monitoring.problem import Problem
from pyramid_cron.stopping import StopRequest
from pyramid_cron.store.liveness import ProcessState
from pyramid_cron.store.stop_requests import with_stop
from tests.support.states import in_progress, state

UTC = timezone.utc
NOW = datetime(2026, 11, 24, 18, 0, 30, tzinfo=UTC)
TEN_MINUTES_AGO = NOW - timedelta(minutes=10, seconds=30)


def ago(**length):
    return NOW - timedelta(**length)


RUNNING = in_progress(ago(minutes=4))
YESTERDAY = {'last_success_at': ago(hours=16 + 24)}
FAILED = state('t', 'failed', TEN_MINUTES_AGO, last_error='Timeout', last_message='no answer', **YESTERDAY)


def found(row, *problems, now=NOW):
    last = find_last_due(row, problems, now, UTC)
    return last and (str(last), last.took, last.lines)


@pytest.mark.parametrize(
    ('row', 'expected'),
    [
        (state('t', 'ok', TEN_MINUTES_AGO), ('ok 17:50', '2.0 s', [])),
        (FAILED, ('failed 17:50', '2.0 s', ['Timeout: no answer', 'last ok yesterday 02:00'])),
        (state('t', 'lost', TEN_MINUTES_AGO), ('lost 17:50', '', [])),
        # when the run before it ended is no news
        (
            state('t', 'missed', TEN_MINUTES_AGO, last_finished=ago(hours=40), last_seconds=2.0, **YESTERDAY),
            ('missed 17:50', '', ['last ok yesterday 02:00']),
        ),
        (state('t', 'skipped', ago(days=3)), ('skipped Sat 2026-11-21 18:00', '', [])),
        (
            state('t', 'stopped', TEN_MINUTES_AGO, last_finished=NOW, stop_requested_by='ada'),
            ('stopped 17:50', '', ['by ada']),
        ),
        # by hand: for no minute
        (state('t', 'ok', last_finished=TEN_MINUTES_AGO, last_seconds=2.0), ('ok 17:50, by hand', '2.0 s', [])),
        (state('t', **RUNNING), ('running 4 min', '', [])),
        (state('t', **RUNNING, handed_over_for='x'), ('queued 4 min', '', [])),
        (
            state('t', 'ok', TEN_MINUTES_AGO, **RUNNING, **YESTERDAY),
            ('running 4 min', '', ['the last good run took 2.0 s', 'last ok yesterday 02:00']),
        ),
        # what went wrong stays visible while the next run is in progress
        (
            state('t', 'failed', TEN_MINUTES_AGO, last_error='Timeout', **RUNNING),
            ('failed 17:50', '2.0 s', ['Timeout', 'running 4 min']),
        ),
        # beside what is usual
        (
            state('t', 'ok', TEN_MINUTES_AGO, **RUNNING, good_seconds='120 185'),
            ('running 4 min', '', ['usually 2 min to 3 min 5 s']),
        ),
        (
            state('t', 'ok', TEN_MINUTES_AGO, 240.0, good_seconds='2 2 2 2 2 240'),
            ('ok 17:50', '4 min', ['slower than usual (2.0 s)']),
        ),
        # the clock of another machine is ahead
        (state('t', **in_progress(ago(seconds=-5))), ('running', '', [])),
        (state('t', **in_progress(ago(seconds=75))), ('running 75 s', '', [])),
        (
            state('t', next_due=ago(minutes=2), waited_minute=ago(minutes=1)),
            ('waiting 2 min', '', []),
        ),
        (
            state('t', 'ok', ago(minutes=5), next_due=ago(minutes=2), waited_minute=ago(minutes=1)),
            ('ok 17:55', '2.0 s', ['waits for a process since 17:58']),
        ),
    ],
)
def test_the_row_of_a_task_is_a_word_and_what_is_known_of_it(row, expected):
    assert found(row) == expected


def test_nothing_is_known_of_a_task_that_was_not_due_yet():
    assert found(state('t')) is None
    # of a run by hand whose end is not known
    assert found(state('t', 'lost')) is None


def test_a_stuck_run_comes_before_the_last_result():
    stuck = Problem('stuck', 't', ago(minutes=4), seconds=240.0, excuse='paused')
    row = state('t', 'failed', TEN_MINUTES_AGO, last_error='Timeout', **RUNNING)
    assert found(row, stuck, Problem('failed', 't')) == ('stuck 4 min', '', ['before that failed 17:50', 'paused'])
    assert found(state('t', 'ok', TEN_MINUTES_AGO, **RUNNING), stuck) == ('stuck 4 min', '', ['paused'])
    assert find_last_due(row, [stuck], NOW, UTC).excuse == 'paused'


def test_an_overdue_task_comes_before_the_last_result():
    known = {'error': 'no tick has come since then', 'never_begun': True}
    overdue = Problem('overdue', 't', ago(hours=3, seconds=30), seconds=3 * 3600.0 + 30, **known)
    assert found(FAILED, Problem('failed', 't'), overdue, now=ago(seconds=30)) == (
        'overdue 3 h',
        '',
        ['no tick has come since then', 'before that failed 17:50', 'last ok yesterday 02:00'],
    )
    waits = Problem('overdue', 't', ago(minutes=20), seconds=1200.0, error='no worker has begun it')
    queued = state('t', 'ok', ago(minutes=30), **in_progress(ago(minutes=20)), handed_over_for='x')
    assert found(queued, waits) == ('overdue 20 min', '', ['no worker has begun it'])


@pytest.mark.parametrize(
    ('options', 'lines'),
    [
        ({'runs': 1, 'failing_since': NOW}, []),
        ({'runs': 12, 'failing_since': ago(hours=13, minutes=50)}, ['failing since 04:10, 12 in a row']),
        ({'runs': 12, 'failing_since': ago(hours=40)}, ['failing since yesterday 02:00, 12 in a row']),
        ({'runs': 12}, ['12 in a row']),
        ({'runs': 2, 'excuse': 'tolerated'}, ['2 in a row', 'tolerated']),
        ({'next_attempt': ago(minutes=-10)}, ['next attempt at 18:10']),
    ],
)
def test_a_failure_has_since_when_and_why_it_is_no_alarm(options, lines):
    problem = Problem('failed', 't', NOW, TEN_MINUTES_AGO, **options)
    shown = find_last_due(FAILED, [problem], NOW, UTC)
    assert shown.lines == ['Timeout: no answer', *lines, 'last ok yesterday 02:00']
    assert shown.excuse == options.get('excuse')


def test_minutes_that_were_missed_together_have_no_beginning():
    row = state('t', 'missed', TEN_MINUTES_AGO)
    # recorded by the first tick after the newest of them
    together = Problem('missed', 't', TEN_MINUTES_AGO, TEN_MINUTES_AGO, runs=3, failing_since=ago(minutes=1))
    assert found(row, together) == ('missed 17:50', '', ['3 in a row'])
    after_failures = Problem('missed', 't', TEN_MINUTES_AGO, TEN_MINUTES_AGO, runs=3, failing_since=ago(minutes=30))
    assert found(row, after_failures) == ('missed 17:50', '', ['failing since 17:30, 3 in a row'])


def test_the_last_due_minute_is_one_that_a_pause_has_skipped():
    paused = {'pause': Pause(ago(minutes=9), 'the disk is full', None), 'last_minute': TEN_MINUTES_AGO}
    good = {'last_success_at': ago(hours=2)}
    shown = ('paused 17:50', '', ['last ok 16:00'])
    assert found(state('t', 'ok', ago(hours=2)), now=NOW) == ('ok 16:00', '2.0 s', [])
    assert found(state('t', 'ok', ago(hours=2), **(paused | good))) == shown
    assert found(state('t', **paused)) == ('paused 17:50', '', [])
    # it has run for that minute all the same, or a failure before it stays visible
    assert found(state('t', 'ok', TEN_MINUTES_AGO, **paused)) == ('ok 17:50', '2.0 s', [])
    assert found(state('t', 'failed', ago(hours=2), **paused))[0] == 'failed 16:00'
    # it was resumed since
    assert found(state('t', 'ok', ago(hours=2), last_minute=TEN_MINUTES_AGO))[0] == 'ok 16:00'


def test_a_run_that_is_to_stop_is_shown():
    stops = with_stop(None, 'token', StopRequest('ada', ago(minutes=5)))
    process = ProcessState('web1', 7, None, None, False, stops=stops)
    assert found(state('t', **RUNNING, process=process)) == (
        'running 4 min',
        '',
        ['stop requested by ada at Tue 2026-11-24 17:55'],
    )


def test_at_a_whole_minute_lengths_are_without_seconds():
    minute = NOW.replace(second=0)
    assert found(state('t', **in_progress(ago(seconds=130))), now=minute)[0] == 'running 2 min'
    assert found(state('t', **in_progress(ago(seconds=20))), now=minute)[0] == 'running'
