from datetime import datetime, timezone
from zoneinfo import ZoneInfo

import pytest

from pyramid_cron import RunReport, TaskReport

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
IDLE = TaskReport('import', 'skipped', 0.5, 'no new file', raised_skip=True)


@pytest.mark.parametrize(
    ('shown', 'tasks', 'problem'),
    [
        ('ok', [], None),
        ('ok', [OK], None),
        ('ok: 1 of 2 tasks already run for 09:08', [OK, AGAIN], None),
        ('ok: 1 of 2 tasks skipped: import (no new file)', [OK, IDLE], None),
        ('ok: 1 of 3 tasks skipped: import (no new file); 1 already run for 09:08', [OK, IDLE, AGAIN], None),
        ('fail: 1 of 2 tasks failed: bad', [IDLE, BAD], None),
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


@pytest.mark.parametrize(
    ('excuses', 'text'),
    [
        (['retrying', None, None], 'ok: 1 of 3 tasks failed and will be tried again: a'),
        (['tolerated', 'tolerated', None], 'ok: 2 of 3 tasks failed, which is tolerated: a, b'),
        (
            ['acknowledged', 'retrying', None],
            'ok: 1 of 3 tasks failed and will be tried again: b; 1 failed, which is acknowledged: a',
        ),
        (['paused', None, None], 'ok: 1 of 3 tasks failed, while paused: a'),
        (['retrying', 'alarm', None], 'fail: 1 of 3 tasks failed: b; 1 failed and will be tried again: a'),
    ],
)
def test_a_failure_that_is_no_alarm_is_named(excuses, text):
    def of(name, excuse):
        if excuse is None:
            return TaskReport(name, 'ok')
        return TaskReport(name, 'failed', excuse=None if excuse == 'alarm' else excuse)

    found = report(*map(of, 'abc', excuses))
    assert str(found) == text
    assert found.failed is ('alarm' in excuses)
    shown = [task.get('excuse') for task in found.as_dict()['tasks']]
    assert shown == [None if excuse == 'alarm' else excuse for excuse in excuses]
