"""The report of a run as lines."""

from datetime import datetime, timezone

from pyramid_cron import RunReport, TaskReport
from pyramid_cron.scripts.report_lines import format_report, format_task_report


def test_a_report_shows_why_a_failure_is_no_alarm():
    report = TaskReport('sync', 'failed', 1.0, exception=LookupError(), excuse='retrying')
    assert format_task_report(report) == 'failed   sync, 1.000 s and will be tried again: LookupError'


def test_the_problem_of_a_run_comes_before_its_tasks():
    instant = datetime(2026, 12, 24, tzinfo=timezone.utc)
    report = RunReport(instant, None, 1.0, (TaskReport('sync', 'acknowledged', 1.0),), 'the store is away')
    assert list(format_report(report)) == ['problem  the store is away', 'acknowledged sync, 1.000 s']
