from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest

from pyramid_cron import RunReport, TaskReport
from pyramid_cron.reports import PastRun, format_seconds

INSTANT = datetime(2026, 11, 23, 9, 8, tzinfo=timezone.utc)


def report(*tasks, problem=None):
    return RunReport(INSTANT, ZoneInfo('UTC'), 1.5, tasks, problem)


OK = TaskReport('fine', 'ok')
BAD = TaskReport('bad', 'failed', exception=ValueError('the message stays in the log'))
WORSE = TaskReport('worse', 'failed')
STUCK = TaskReport('slow', 'stuck', reason='running for 12 min')
GONE = TaskReport('gone', 'lost', reason='process 7 on web1')
AWAY = TaskReport('away', 'lost', reason='process 8 on web2')
AGAIN = TaskReport('fine', 'skipped', reason='already run')


@pytest.mark.parametrize(
    ('shown', 'tasks', 'problem'),
    [
        ('ok', [], None),
        ('ok', [OK], None),
        ('ok: 1 of 2 tasks already run for 09:08', [OK, AGAIN], None),
        ('fail: 1 of 2 tasks failed: bad', [OK, BAD], None),
        ('fail: 2 of 2 tasks failed: bad, worse', [BAD, WORSE], None),
        ('fail: 1 of 1 tasks is stuck: slow (running for 12 min)', [STUCK], None),
        ('fail: 1 of 1 tasks was lost: gone (process 7 on web1)', [GONE], None),
        ('fail: 2 of 2 tasks were lost: gone (process 7 on web1), away (process 8 on web2)', [GONE, AWAY], None),
        (
            'fail: 1 of 4 tasks failed: bad; 1 is stuck: slow (running for 12 min); '
            '1 was lost: gone (process 7 on web1)',
            [OK, GONE, STUCK, BAD],
            None,
        ),
        ('fail: the store is not available: gone', [], 'the store is not available: gone'),
        ('fail: the store is not available: gone', [OK, AGAIN], 'the store is not available: gone'),
        ('fail: why; 1 of 1 tasks failed: bad', [BAD], 'why'),
    ],
)
def test_faults_come_first_in_a_report(shown, tasks, problem):
    made = report(*tasks, problem=problem)
    assert str(made) == shown
    assert made.failed is shown.startswith('fail')


def test_json_of_a_report_has_problem_and_exceptions():
    assert report(BAD, GONE, problem='why').as_dict() == {
        'minute': '2026-11-23T09:08:00+00:00',
        'seconds': 1.5,
        'tasks': [
            {'name': 'bad', 'outcome': 'failed', 'seconds': 0.0, 'exception': 'ValueError'},
            {'name': 'gone', 'outcome': 'lost', 'seconds': 0.0, 'reason': 'process 7 on web1'},
        ],
        'problem': 'why',
    }
    assert 'problem' not in report(OK).as_dict()


def test_tasks_are_found_by_their_outcome():
    assert report(OK, GONE, AWAY).names('lost') == ['gone', 'away']


def test_json_of_a_late_retry_has_attempt_and_minute():
    late = TaskReport('late', 'ok', attempt=2, scheduled_for=INSTANT)
    assert late.as_dict() == {
        'name': 'late',
        'outcome': 'ok',
        'seconds': 0.0,
        'attempt': 2,
        'scheduled_for': '2026-11-23T09:08:00+00:00',
    }


def past(**values):
    fields = dict.fromkeys(PastRun._fields)
    return PastRun(**{**fields, 'task': 'task', 'outcome': 'lost', 'host': 'web1', 'pid': 7, **values})


@pytest.mark.parametrize(
    ('run', 'process', 'why'),
    [
        (past(), 'process 7 on web1', ''),
        (past(host=None, pid=None), '', ''),
        (past(host=None, pid=None, reason='no tick came in time'), '', 'no tick came in time'),
        # only the process, which is shown anyway
        (past(reason='process 7 on web1, since 09:08'), 'process 7 on web1', ''),
        (past(reason='its process was ended'), 'process 7 on web1', 'its process was ended'),
        (past(error='LookupError', reason='a reason'), 'process 7 on web1', 'LookupError'),
    ],
)
def test_a_past_run_shows_its_process_and_reason(run, process, why):
    assert (run.process, run.why) == (process, why)


@pytest.mark.parametrize(
    ('number', 'text'),
    [
        (0.05, '0.050 s'),
        (0.999, '0.999 s'),
        (1, '1.0 s'),
        (1.26, '1.3 s'),
        (60, '60 s'),
        (75, '75 s'),
        (3720, '1 h 2 min'),
    ],
)
def test_short_runs_have_their_milliseconds(number, text):
    assert format_seconds(number) == text
