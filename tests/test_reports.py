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
        ('fail: the store cannot be asked: gone', [], 'the store cannot be asked: gone'),
        ('fail: the store cannot be asked: gone', [OK, AGAIN], 'the store cannot be asked: gone'),
        ('fail: why; 1 of 1 tasks failed: bad', [BAD], 'why'),
    ],
)
def test_what_somebody_has_to_hear_comes_first(shown, tasks, problem):
    made = report(*tasks, problem=problem)
    assert str(made) == shown
    assert made.failed is shown.startswith('fail')


def test_a_report_for_json_tells_the_problem_and_of_an_exception_the_class():
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


def test_tasks_are_found_by_their_status():
    assert report(OK, GONE, AWAY).names('lost') == ['gone', 'away']
