"""Reading times that people type."""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from pyramid_cron.errors import CronError
from pyramid_cron.times import TimeError, parse_minute, parse_since

UTC = timezone.utc
BERLIN = ZoneInfo('Europe/Berlin')
#: 00:07:30 in Berlin
NOW = datetime(2026, 12, 23, 23, 7, 30, tzinfo=UTC)


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ('text', 'minute'),
    [
        ('now', '2026-12-23 23:07'),
        ('02:00', '2026-12-24 01:00'),
        ('2:00', '2026-12-24 01:00'),
        ('0:00', '2026-12-23 23:00'),
        ('2026-12-24 00:00', '2026-12-23 23:00'),
        ('2026-12-24T00:00:59.900', '2026-12-23 23:00'),
        ('2026-12-24', '2026-12-23 23:00'),
        ('2026-12-24 00:00Z', '2026-12-24 00:00'),
        ('2026-12-24 00:00+09:00', '2026-12-23 15:00'),
        ('2026-10-25 02:30+01:00', '2026-10-25 01:30'),
    ],
)
def test_a_text_names_a_minute(text, minute):
    assert parse_minute(text, NOW, BERLIN) == utc(minute)


def test_a_time_without_offset_may_be_local(local_time):
    local_time('Asia/Tokyo')
    assert parse_minute('2026-12-24 08:08', NOW, None) == utc('2026-12-23 23:08')


@pytest.mark.parametrize(
    ('text', 'minute'),
    [
        ('00:08', '2026-12-23 23:08'),
        ('00:07', '2026-12-24 23:07'),
        ('0:06', '2026-12-24 23:06'),
        ('2026-12-24 00:08', '2026-12-23 23:08'),
    ],
)
def test_a_future_time_may_be_one_of_tomorrow(text, minute):
    assert parse_minute(text, NOW, BERLIN, future=True) == utc(minute)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('tomorrow', "'tomorrow' is not a time such as '2026-12-24 00:00' or 02:00"),
        ('24:00', "'24:00' is not a time such as '2026-12-24 00:00' or 02:00"),
        ('', "'' is not a time such as '2026-12-24 00:00' or 02:00"),
        ('Z', "'Z' is not a time such as '2026-12-24 00:00' or 02:00"),
        ('2026-02-30 00:00', "'2026-02-30 00:00' is not a time such as '2026-12-24 00:00' or 02:00"),
        ('1969-12-31 23:59', "'1969-12-31 23:59' is not in the years 1970 to 9998"),
        ('9999-12-31 23:59', "'9999-12-31 23:59' is not in the years 1970 to 9998"),
        ('2026-03-29 02:30', "'2026-03-29 02:30' is a time that the clocks skip in Europe/Berlin"),
    ],
)
def test_a_text_that_is_no_time_is_refused(text, message):
    with pytest.raises(TimeError) as caught:
        parse_minute(text, NOW, BERLIN)
    assert str(caught.value) == message
    assert isinstance(caught.value, CronError)
    assert isinstance(caught.value, ValueError)


def test_a_skipped_time_of_today_is_shown_with_its_date():
    spring = utc('2026-03-29 12:00')
    with pytest.raises(TimeError, match="'2026-03-29 02:30' is a time that the clocks skip"):
        parse_minute('2:30', spring, BERLIN)


def test_local_clocks_skip_times_too(local_time):
    local_time('Europe/Berlin')
    with pytest.raises(TimeError, match='the clocks skip in local time'):
        parse_minute('2026-03-29 02:30', NOW, None)


@pytest.mark.parametrize('text', ['now', '2026-12-24 00:07', '2020-01-01'])
def test_a_time_that_has_to_come_is_not_over(text):
    with pytest.raises(TimeError, match='is not in the future'):
        parse_minute(text, NOW, BERLIN, future=True)


@pytest.mark.parametrize(
    ('text', 'length'),
    [('5min', timedelta(minutes=5)), ('2 h', timedelta(hours=2)), ('99999d', timedelta(days=99999))],
)
def test_a_length_is_taken_from_now(text, length):
    assert parse_since(text, NOW, BERLIN) == NOW - length


def test_since_takes_a_time_too():
    assert parse_since('0:00', NOW, BERLIN) == utc('2026-12-23 23:00')
    assert parse_since('now', NOW, BERLIN) == utc('2026-12-23 23:07')


@pytest.mark.parametrize('text', ['5parsecs', 'h', '-1h', '123456d'])
def test_what_is_neither_length_nor_time_is_refused(text):
    with pytest.raises(TimeError, match='is not a time such as'):
        parse_since(text, NOW, BERLIN)
