"""What cron mails: the answer to ``/cron?quiet``."""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from pyramid import testing

from pyramid_cron import CronView, RunReport, TaskReport
from pyramid_cron.errors import Unavailable
from pyramid_cron.quiet import quiet_text
from pyramid_cron.reports import Failures

INSTANT = datetime(2026, 11, 23, 9, 8, tzinfo=timezone.utc)
DAY = timedelta(days=1)
LOCAL = {'REMOTE_ADDR': '127.0.0.1', 'HTTP_HOST': 'localhost'}

ERROR = LookupError('no user anna in /srv/users.txt')
AWAY = Unavailable('the store is not available: no role "anna"', brief='the store is not available: OperationalError')
FINE = TaskReport('fine', 'ok')


def noop(system): ...


def fail(system):
    raise ERROR


def text(*tasks, problem=None, brief=None, zone='UTC'):
    return quiet_text(RunReport(INSTANT, ZoneInfo(zone), 1.5, tasks, problem, brief))


def test_it_is_empty_when_all_is_well(make_app):
    response = make_app(noop).get('/cron?quiet', status=200)
    assert response.body == b''
    assert response.content_type == 'text/plain'
    assert response.headers['Content-Length'] == '0'
    assert 'no-store' in response.headers['Cache-Control']


def test_it_is_empty_when_all_has_already_run(make_app):
    app = make_app(noop)
    app.get('/cron', status=200)
    assert app.get('/cron?quiet', status=200).body == b''


@pytest.mark.parametrize('outcome', ['ok', 'skipped', 'paused', 'missed', 'queued'])
def test_what_is_no_failure_is_left_out(outcome):
    other = TaskReport('other', outcome, reason='why')
    assert text(FINE, other) == ''
    assert 'other' not in text(FINE, other, TaskReport('bad', 'failed', exception=ERROR))


def test_a_failure_shows_the_class_of_the_exception(make_app):
    response = make_app(noop, fail).get('/cron?quiet', status=500)
    first, second = response.text.splitlines()
    assert first.startswith('fail: 1 of 2 tasks due at 20')
    assert second == f'{__name__}.fail: failed with LookupError; failures in a row in this process: 1'
    assert response.text.endswith('\n')


@pytest.mark.parametrize(
    ('shown', 'task'),
    [
        ('failed with LookupError', TaskReport('task', 'failed', exception=ERROR)),
        (f'failed with Unavailable: {AWAY.brief}', TaskReport('task', 'failed', exception=AWAY)),
        ('failed before it began; the log has the reason', TaskReport('task', 'failed', reason='no role "anna"')),
        ('stuck: running for 12 min', TaskReport('task', 'stuck', reason='running for 12 min')),
        ('lost: the process that ran it has died', TaskReport('task', 'lost', reason='process 7 on web1')),
        ('locked: another transaction holds its row in the store', TaskReport('task', 'locked', reason='why')),
    ],
)
def test_each_outcome_has_a_phrase_of_its_own(shown, task):
    assert text(FINE, task) == f'fail: 1 of 2 tasks due at 2026-11-23 09:08+00:00\ntask: {shown}\n'


@pytest.mark.parametrize(
    ('shown', 'failures'),
    [
        ('failures in a row in this process: 1', Failures(1, INSTANT)),
        ('failures in a row in this process: 2 since 2026-11-22 10:08+01:00', Failures(2, INSTANT - DAY)),
        ('failures in a row: 1, last success: 2026-11-22 10:08+01:00', Failures(1, last_success=INSTANT - DAY)),
        ('failures in a row: 3, last success: none', Failures(3)),
    ],
)
def test_it_shows_since_when_a_task_fails(shown, failures):
    task = TaskReport('task', 'failed', exception=ERROR, failures=failures)
    assert text(task, zone='Europe/Berlin').splitlines()[1] == f'task: failed with LookupError; {shown}'


def test_it_shows_the_minute_and_attempt_of_a_late_run():
    task = TaskReport('task', 'failed', exception=ERROR, attempt=2, scheduled_for=INSTANT - DAY)
    assert text(task).splitlines()[1] == 'task: failed with LookupError, for 2026-11-22 09:08+00:00, attempt 2'


def test_a_problem_of_the_store_is_shown_without_its_message():
    brief = AWAY.brief
    assert text(problem=str(AWAY), brief=brief) == f'fail: {brief}\n'
    assert text(FINE, problem=str(AWAY)) == 'fail: the log has the reason\n'
    both = text(FINE, TaskReport('bad', 'failed', exception=ERROR), problem=str(AWAY), brief=brief)
    assert both.splitlines()[0] == f'fail: {brief}; 1 of 2 tasks due at 2026-11-23 09:08+00:00'


@pytest.mark.parametrize(
    ('query', 'quiet'),
    [
        ('quiet', True),
        ('quiet=', True),
        ('quiet=1', True),
        ('from=cron&quiet', True),
        ('%ff&quiet', True),
        ('', False),
        ('%ff', False),
        ('quietly', False),
        ('from=quiet', False),
    ],
)
def test_the_parameter_alone_makes_it_quiet(make_app, query, quiet):
    assert make_app(noop).get(f'/cron?{query}', status=200).text == ('' if quiet else 'ok')


def test_a_report_as_json_is_never_empty(make_app):
    response = make_app(noop).get('/cron?quiet', headers={'Accept': 'application/json'}, status=200)
    assert [task['outcome'] for task in response.json['tasks']] == ['ok']


def test_a_dummy_request_may_be_quiet():
    with testing.testConfig() as config:
        config.include('pyramid_cron')
        for params, answer in ({}, 'ok'), ({'quiet': ''}, ''):
            request = testing.DummyRequest(params, remote_addr='127.0.0.1')
            assert CronView(request)() == answer
