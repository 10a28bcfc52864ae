from datetime import datetime, timedelta, timezone

import pytest

from pyramid_cron import Task
from pyramid_cron.not_claimed import too_late

NOW = datetime(2026, 11, 23, 9, 8, 30, tzinfo=timezone.utc)
CATCH_UP = timedelta(minutes=5)


@pytest.mark.parametrize(
    ('own', 'late', 'reason'),
    [
        (None, 300, None),
        (None, 301, 'it came 5 min after its minute'),
        (timedelta(hours=1), 3600, None),
        (timedelta(hours=1), 3601, 'it came 1 h 0 min after its minute'),
        # an engine needs a minute at least
        (0, 60, None),
        (0, 61, 'it came 61 s after its minute'),
    ],
)
def test_an_enqueued_run_may_begin_until_catch_up(own, late, reason):
    found = too_late(Task(print, catch_up=own), NOW - timedelta(seconds=late), CATCH_UP, NOW)
    assert (found and found.reason) == reason
    assert found is None or found.outcome == 'missed'


def test_an_enqueued_run_by_name_is_never_late():
    assert too_late(Task(print), None, timedelta(0), NOW) is None


def test_a_further_attempt_is_late_by_the_time_that_it_waited():
    task, minute = Task(print), NOW - timedelta(hours=2)
    assert too_late(task, minute, CATCH_UP, NOW, NOW - CATCH_UP) is None
    found = too_late(task, minute, CATCH_UP, NOW, NOW - timedelta(minutes=6))
    assert found.reason == 'it came 6 min after it was enqueued'
