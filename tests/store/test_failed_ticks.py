from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.failed_ticks import MOST_MINUTES, FailedTicks
from tests.support.servers import INSTANT


def at(minute):
    return INSTANT + minute * MINUTE


def test_the_last_reason_in_a_time_counts():
    failed = FailedTicks()
    for minute, reason in ((5, 'away'), (3, 'locked')):
        failed.add(at(minute), reason)
    assert failed.reason(at(0), at(4)) == 'locked'
    assert failed.reason(at(3), at(5)) == 'away'
    assert failed.reason(at(6), at(9)) is None
    assert failed.reason(at(4), at(4)) is None


def test_only_the_newest_minutes_are_kept():
    failed = FailedTicks()
    for minute in range(MOST_MINUTES + 1):
        failed.add(at(minute), str(minute))
    assert failed.reason(at(0), at(0)) is None
    assert failed.reason(at(1), at(1)) == '1'


def test_a_minute_ahead_counts_where_it_is_wanted():
    failed = FailedTicks()
    failed.add(at(5), 'ahead', ahead=True)
    assert failed.reason(at(0), at(9)) == 'ahead'
    assert failed.reason(at(0), at(9), ahead=False) is None
    failed.add(at(5), 'away')
    assert failed.reason(at(0), at(9), ahead=False) == 'away'


def test_minutes_far_ahead_do_not_stay_for_ever():
    failed = FailedTicks()
    failed.add(at(10**6), 'ahead', ahead=True)
    for minute in range(MOST_MINUTES):
        failed.add(at(minute), 'away')
    assert failed.reason(at(0), at(10**6)) == 'away'
