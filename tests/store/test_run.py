from datetime import datetime, timedelta, timezone

from pyramid_cron import Task
from pyramid_cron.store.run import StoredRun, handed_over_for

INSTANT = datetime(2020, 11, 23, 2, 0, tzinfo=timezone.utc)


def test_each_run_has_its_own_token():
    first, second = (StoredRun(None, Task(print), INSTANT) for _ in range(2))
    assert first.token == first.run_id != second.run_id
    assert not first.is_committed


def test_an_enqueued_run_is_identified_by_its_minute():
    assert handed_over_for(INSTANT, 'token') == '2020-11-23T02:00+00:00'
    assert handed_over_for(INSTANT.astimezone(timezone(timedelta(hours=5))), 'token') == '2020-11-23T02:00+00:00'
    assert handed_over_for(None, 'token') == 'token'
