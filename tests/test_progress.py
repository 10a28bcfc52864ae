"""The progress of a run."""

import math
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction

import pytest

from pyramid_cron.progress import Progress, ProgressMeter
from tests.support.servers import Clock

AT = datetime(2026, 11, 30, 2, 0, tzinfo=timezone.utc)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def meter(clock):
    return ProgressMeter(clock, lambda: AT)


@pytest.mark.parametrize(
    ('done', 'total', 'percent'),
    [(0, 10, 0), (42, 100, 42), (999, 1000, 99), (10, 10, 100), (11, 10, 100), (0, 0, 100), (1, 3, 33)],
)
def test_the_part_that_is_done_is_in_full_percent(done, total, percent):
    assert Progress(done, total, AT).percent == percent


@pytest.mark.parametrize(
    ('left', 'later', 'shown'),
    [
        (None, 0, '42 %'),
        (360, 0, '42 %, about 6 min left'),
        (360, 60, '42 %, about 5 min left'),
        (360, 300, '42 %, about 60 s left'),
        # which is no promise
        (360, 360, '42 %'),
        (360, 3600, '42 %'),
        # by a clock that is behind that of the run
        (360, -60, '42 %, about 6 min left'),
        (0.5, 0, '42 %'),
    ],
)
def test_what_is_left_is_shown_as_of_now(left, later, shown):
    assert Progress(42, 100, AT, left).describe(AT + timedelta(seconds=later)) == shown


def test_progress_for_json():
    assert Progress(1, 3, AT, 2.5).as_dict() == {
        'done': 1,
        'total': 3,
        'percent': 33,
        'at': '2026-11-30T02:00:00+00:00',
        'seconds_left': 2.5,
    }


def test_a_meter_without_a_report_has_no_progress(meter):
    assert meter.latest() is None
    assert not meter.is_done


def test_the_pace_is_measured_from_the_first_report_on(clock, meter):
    clock.sleep(500)
    meter.report(5000, 10_000)
    assert meter.latest().left is None
    clock.sleep(60)
    meter.report(6000, 10_000)
    assert meter.latest()[:2] == (6000, 10_000)
    assert meter.latest().left == pytest.approx(240)
    assert not meter.is_done
    meter.report(10_000, 10_000)
    assert meter.latest().left == 0
    assert meter.is_done


def test_it_is_that_of_the_last_report_however_late_it_is_read(clock, meter):
    meter.report(1, 4)
    clock.sleep(10)
    meter.report(2, 4)
    clock.sleep(3600)
    latest = meter.latest()
    assert latest.at == AT - timedelta(hours=1)
    assert latest.left == pytest.approx(20)
    assert meter.latest() is latest


def test_work_that_begins_again_has_a_pace_of_its_own(clock, meter):
    for done in (0, 100, 10):
        meter.report(done, 100)
        clock.sleep(10)
    assert meter.latest().left is None
    meter.report(20, 100)
    assert meter.latest().left == pytest.approx(80)


def test_more_than_there_is_leaves_nothing(clock, meter):
    meter.report(0, 10)
    clock.sleep(10)
    meter.report(12, 10)
    assert meter.latest().left == 0


def test_what_takes_for_ever_is_not_shown(clock, meter):
    meter.report(0, 1e308)
    clock.sleep(1e10)
    meter.report(1e-300, 1e308)
    assert meter.latest().describe(AT) == '0 %'


@pytest.mark.parametrize('number', [7, 7.0, Decimal(7), Fraction(7)])
def test_any_number_will_do(meter, number):
    meter.report(number, number)
    assert meter.latest()[:2] == (7.0, 7.0)


@pytest.mark.parametrize(
    ('done', 'total', 'error', 'shown'),
    [
        ('7', 9, TypeError, "done='7'"),
        (b'7', 9, TypeError, "done=b'7'"),
        (True, 9, TypeError, 'done=True'),
        (None, 9, TypeError, 'done=None'),
        (1, [9], TypeError, r'total=\[9\]'),
        (10**400, 9, TypeError, 'done=1000'),
        (-1, 9, ValueError, 'done=-1'),
        (1, math.inf, ValueError, 'total=inf'),
        (1, math.nan, ValueError, 'total=nan'),
    ],
)
def test_anything_else_is_refused(meter, done, total, error, shown):
    with pytest.raises(error, match=f'{shown}0* is not a number from 0 on'):
        meter.report(done, total)
    assert meter.latest() is None
