from datetime import datetime, timedelta, timezone
from uuid import UUID

import pytest

from pyramid_cron import Task
from pyramid_cron.claims import Backfill
from pyramid_cron.store.run import StoredRun, handed_over_for, minute_of_token, new_token, token_of_minute
from pyramid_cron.store.tick_work import TickWork

INSTANT = datetime(2020, 11, 23, 2, 0, tzinfo=timezone.utc)


def test_each_run_has_its_own_token():
    first, second = (StoredRun(None, Task(print), INSTANT) for _ in range(2))
    assert first.token == first.run_id != second.run_id
    assert not first.is_committed


def test_an_enqueued_run_is_identified_by_its_minute():
    assert handed_over_for(INSTANT, 'token') == '2020-11-23T02:00+00:00'
    assert handed_over_for(INSTANT.astimezone(timezone(timedelta(hours=5))), 'token') == '2020-11-23T02:00+00:00'
    assert handed_over_for(None, 'token') == 'token'


@pytest.mark.parametrize('minute', [INSTANT, datetime(1, 1, 1, tzinfo=timezone.utc), datetime(9999, 12, 31, 23, 59)])
def test_the_token_of_an_enqueued_backfill_has_its_minute(minute):
    minute = minute.replace(tzinfo=timezone.utc)
    token, other = token_of_minute(minute), token_of_minute(minute.astimezone(timezone.utc))
    assert UUID(token).version == 8
    assert token != other
    assert minute_of_token(token) == minute_of_token(other) == minute
    assert UUID(new_token()).version == 4
    assert minute_of_token(new_token()) is None


def test_a_backfill_has_its_minute_in_the_token_only_if_it_is_enqueued():
    backfill = Backfill('task', INSTANT)
    here = StoredRun(None, Task(print), INSTANT, backfill=backfill)
    assert (minute_of_token(here.token), here.recorded_minute) == (None, INSTANT)
    enqueued = StoredRun(None, Task(print), None, backfill=backfill, engine='an engine')
    first = enqueued.token
    assert (minute_of_token(first), enqueued.recorded_minute) == (INSTANT, INSTANT)
    # for another claim
    enqueued.renew_token()
    assert enqueued.token != first
    assert minute_of_token(enqueued.token) == INSTANT


class StandingStill:
    """Claims with a clock that stands still."""

    @staticmethod
    def monotonic():
        return 0.0


def test_a_run_by_name_has_no_excuse():
    assert StoredRun(StandingStill, Task(print, tolerate=3), None).excuse('LookupError') is None


def test_a_run_without_a_row_has_no_excuse(servers):
    server = servers.start().add(tolerate=3)
    run = StoredRun(server.claims, server.task(), INSTANT)
    run.work, run.found_at = TickWork(INSTANT), server.clock.now
    assert run.excuse('LookupError') is None


@pytest.mark.parametrize(
    ('options', 'attempt', 'seconds', 'will_retry'),
    [
        ({'min': 0, 'retries': 2}, 1, 5, True),
        ({'min': 0, 'retries': 2}, 2, 5, True),
        ({'min': 0, 'retries': 2}, 3, 5, False),
        ({'min': 0}, 1, 5, False),
        # the next minute comes first
        ({'min': '*', 'retries': 2}, 1, 5, False),
        ({'min': '*/2', 'retries': 2}, 1, 5, True),
        ({'min': '*/2', 'retries': 2}, 1, 60, False),
        ({'cron': '0 2 23 11 *', 'retries': 2}, 1, 5, True),
        ({'min': '*/5', 'retries': (60, 600)}, 1, 5, True),
        ({'min': '*/5', 'retries': (60, 600)}, 2, 5, False),
    ],
)
def test_a_run_knows_whether_it_is_tried_again(options, attempt, seconds, will_retry):
    run = StoredRun(StandingStill, Task(print, **options), INSTANT, attempt)
    run.work, run.found_at = TickWork(INSTANT), 100.0
    assert run.will_retry(100.0 + seconds) is will_retry
    # the same later
    assert run.will_retry(99999.0) is will_retry
