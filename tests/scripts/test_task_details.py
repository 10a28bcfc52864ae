"""Everything about one task as lines; ``tests/scripts/test_show.py`` has the command."""

from dataclasses import replace
from datetime import datetime, timedelta

from pyramid_cron import Task
from pyramid_cron.alarm import Acknowledged
from pyramid_cron.monitoring.problem import Problem
from pyramid_cron.scripts.task_details import format_problem, format_task
from pyramid_cron.task_summary import summarize
from tests.support.pcron import UTC


def test_a_problem_may_have_no_details():
    assert format_problem(Problem('lost', 'purge'), UTC, 'purge') == 'purge'


def test_a_failed_run_has_its_next_attempt():
    moment = datetime(2026, 12, 24, 2, 0, tzinfo=UTC)
    problem = Problem('failed', 'sync', moment, error='LookupError', next_attempt=moment.replace(minute=10))
    shown = 'sync, Thu 2026-12-24 02:00: LookupError; next attempt at 02:10'
    assert format_problem(problem, UTC, 'sync') == shown


def test_an_acknowledged_failure_is_shown_with_its_reason():
    moment = datetime(2026, 12, 24, 2, 0, tzinfo=UTC)
    acknowledged = Acknowledged('the supplier is down', 'ada', moment.replace(hour=9))
    problem = Problem('failed', 'sync', moment, error='LookupError', excuse='acknowledged', acknowledged=acknowledged)
    assert format_problem(problem, UTC, 'sync') == (
        'sync, Thu 2026-12-24 02:00, which is acknowledged: LookupError; '
        'acknowledged by ada since Thu 2026-12-24 09:00: the supplier is down'
    )
    unread = replace(problem, acknowledged=Acknowledged('why', None, None))
    assert format_problem(unread, UTC, 'sync').endswith('; acknowledged: why')


def test_a_task_shows_what_is_expected_and_tolerated():
    task = Task(print, name='sync', min=0, expect=134, tolerate=2)
    lines = '\n'.join(format_task(summarize(task, datetime(2026, 12, 24, tzinfo=UTC), 1), 200, [], timedelta(0)))
    assert '; expected to take 2 min 14 s; tolerated failures: 2' in lines
