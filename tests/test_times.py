"""Reading times that people type."""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from pyramid_cron.errors import CronError
from pyramid_cron.times import TimeError, format_until, parse_minute, parse_past, parse_since, parse_until

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
        ('yesterday 23:00', '2026-12-23 22:00'),
        (' Today  2:00', '2026-12-24 01:00'),
        ('tomorrow 02:00', '2026-12-25 01:00'),
    ],
)
def test_a_text_names_a_minute(text, minute):
    assert parse_minute(text, NOW, BERLIN) == utc(minute)


def test_a_time_without_offset_may_be_local(local_time):
    local_time('Asia/Tokyo')
    assert parse_minute('2026-12-24 08:08', NOW, None) == utc('2026-12-23 23:08')


# NOW is a Thursday
@pytest.mark.parametrize(
    ('text', 'minute'),
    [
        ('00:08', '2026-12-23 23:08'),
        # a time of day that is over, or the present minute, is that of tomorrow
        ('00:07', '2026-12-24 23:07'),
        ('0:06', '2026-12-24 23:06'),
        ('2026-12-24 00:08', '2026-12-23 23:08'),
        (' 2026-12-24T00:08Z ', '2026-12-24 00:08'),
        ('2027-01-01', '2026-12-31 23:00'),
        ('tomorrow', '2026-12-24 23:00'),
        ('tomorrow 06:00', '2026-12-25 05:00'),
        ('  Tomorrow   6:00 ', '2026-12-25 05:00'),
        ('today 18:00', '2026-12-24 17:00'),
        ('friday', '2026-12-24 23:00'),
        ('MON', '2026-12-27 23:00'),
        ('monday 06:30', '2026-12-28 05:30'),
        ('wed 00:06', '2026-12-29 23:06'),
        # that weekday in a week, because midnight is over; later on the same day, if the time is still to come
        ('thursday', '2026-12-30 23:00'),
        ('thursday 00:07', '2026-12-30 23:07'),
        ('thu 00:08', '2026-12-23 23:08'),
        ('45m', '2026-12-23 23:52'),
        ('45 min', '2026-12-23 23:52'),
        ('3h', '2026-12-24 02:07'),
        ('2d', '2026-12-25 23:07'),
        ('2 W', '2027-01-06 23:07'),
        ('99999w', '3943-06-30 22:07'),
    ],
)
def test_a_text_names_a_coming_minute(text, minute):
    assert parse_until(text, NOW, BERLIN) == utc(minute)


def test_days_are_those_of_the_calendar_when_the_clocks_change():
    # 02:30 in Berlin on the day before the clocks go forward, and at noon on the day before they go back
    spring, autumn = utc('2026-03-28 01:30'), utc('2026-10-24 10:00')
    assert parse_until('2d', spring, BERLIN) == utc('2026-03-30 00:30')
    # 02:30 does not come on the next day: 03:30, which is one day of 24 hours later
    assert parse_until('1d', spring, BERLIN) == utc('2026-03-29 01:30')
    assert parse_until('1d', autumn, BERLIN) == utc('2026-10-25 11:00')
    assert parse_until('24h', autumn, BERLIN) == utc('2026-10-25 10:00')


def test_a_day_begins_after_a_midnight_that_the_clocks_skip():
    # at 00:00 the clocks of Beirut go to 01:00
    beirut, before = ZoneInfo('Asia/Beirut'), utc('2026-03-28 12:00')
    assert parse_until('tomorrow', before, beirut) == utc('2026-03-28 22:00')
    assert parse_until('sunday', before, beirut) == utc('2026-03-28 22:00')
    with pytest.raises(TimeError, match="'2026-03-29 00:30' is a time that the clocks skip in Asia/Beirut"):
        parse_until('tomorrow 00:30', before, beirut)


def test_a_coming_time_may_be_local(local_time):
    local_time('Asia/Tokyo')
    assert parse_until('tomorrow 06:00', NOW, None) == utc('2026-12-24 21:00')
    assert parse_until('1d', NOW, None) == NOW.replace(second=0) + timedelta(days=1)
    with pytest.raises(TimeError, match=r'not in the future: it is Thu 2026-12-24 08:07 in local time$'):
        parse_until('today', NOW, None)


@pytest.mark.parametrize(
    'text',
    ['', 'mondy', 'monday6:00', 'mon 24:00', 'monday tomorrow', 'in 2d', '2y', '-2d', '1.5h', '123456d', '2d 3h'],
)
def test_a_text_that_is_no_coming_time_is_refused(text):
    with pytest.raises(TimeError) as caught:
        parse_until(text, NOW, BERLIN)
    assert str(caught.value) == (
        f"{text!r} is not a time such as '2026-12-24 00:00', 06:00, monday, 'tomorrow 06:00', 2d or 45m"
    )


@pytest.mark.parametrize(
    ('until', 'text'),
    [
        (None, 'until it is resumed'),
        ('2026-12-24 05:00', 'until Thu 2026-12-24 06:00 +01:00 (Europe/Berlin), in 5 h 53 min'),
        ('2027-07-01 00:00', 'until Thu 2027-07-01 02:00 +02:00 (Europe/Berlin), in 189 d'),
    ],
)
def test_an_end_is_shown_with_its_zone_and_its_distance(until, text):
    assert format_until(until and utc(until), NOW, BERLIN) == text
    assert format_until(None, NOW, BERLIN, several=True) == 'until they are resumed'


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('tomorrow', "'tomorrow' is not a time such as '2026-12-24 00:00' or 02:00"),
        ('24:00', "'24:00' is not a time such as '2026-12-24 00:00' or 02:00"),
        # the next one or the last one
        ('monday 02:00', "'monday 02:00' is not a time such as '2026-12-24 00:00' or 02:00"),
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


@pytest.mark.parametrize('text', ['2026-12-24 00:07', '2020-01-01', 'today', 'today 00:07', '0d', '0m'])
def test_a_time_that_has_to_come_is_not_over(text):
    with pytest.raises(TimeError) as caught:
        parse_until(text, NOW, BERLIN)
    assert str(caught.value) == f'{text!r} is not in the future: it is Thu 2026-12-24 00:07 in Europe/Berlin'


# NOW is a Thursday
@pytest.mark.parametrize(
    ('text', 'minute'),
    [
        ('now', '2026-12-23 23:07'),
        # a time of day that is not over is that of yesterday
        ('0:00', '2026-12-23 23:00'),
        ('00:07', '2026-12-23 23:07'),
        ('00:08', '2026-12-22 23:08'),
        ('23:00', '2026-12-23 22:00'),
        ('2026-12-24 00:00', '2026-12-23 23:00'),
        (' 2026-12-23T23:07Z ', '2026-12-23 23:07'),
        ('today', '2026-12-23 23:00'),
        ('Today  0:05', '2026-12-23 23:05'),
        ('yesterday', '2026-12-22 23:00'),
        ('yesterday 22:00', '2026-12-23 21:00'),
        ('thursday', '2026-12-23 23:00'),
        ('thu 00:07', '2026-12-23 23:07'),
        ('thu 00:08', '2026-12-16 23:08'),
        ('wed', '2026-12-22 23:00'),
        ('MON', '2026-12-20 23:00'),
        ('friday', '2026-12-17 23:00'),
        ('friday 06:30', '2026-12-18 05:30'),
        ('5m', '2026-12-23 23:02'),
        ('90min', '2026-12-23 21:37'),
        ('2 h', '2026-12-23 21:07'),
        ('3d', '2026-12-20 23:07'),
        ('1w', '2026-12-16 23:07'),
        # no database has to know older instants
        ('99999w', '1970-01-01 00:00'),
    ],
)
def test_a_text_names_a_minute_that_is_over(text, minute):
    assert parse_past(text, NOW, BERLIN) == utc(minute)


def test_past_days_are_those_of_the_calendar_when_the_clocks_change():
    # noon in Berlin on the day on which the clocks have gone back
    assert parse_past('1d', utc('2026-10-25 11:00'), BERLIN) == utc('2026-10-24 10:00')
    assert parse_past('24h', utc('2026-10-25 11:00'), BERLIN) == utc('2026-10-24 11:00')
    assert parse_past('yesterday', utc('2026-10-25 11:00'), BERLIN) == utc('2026-10-23 22:00')


def test_a_past_time_may_be_local(local_time):
    local_time('Asia/Tokyo')
    assert parse_past('08:08', NOW, None) == utc('2026-12-22 23:08')


@pytest.mark.parametrize('text', ['', '5parsecs', 'h', '-1h', '123456d', 'mondy', '2d ago', 'yesterday 24:00'])
def test_a_text_that_is_no_past_time_is_refused(text):
    with pytest.raises(TimeError) as caught:
        parse_past(text, NOW, BERLIN)
    assert str(caught.value) == (
        f"{text!r} is not a time such as '2026-12-24 00:00', 22:00, yesterday, monday, 'yesterday 22:00', 2d or 45m"
    )


@pytest.mark.parametrize('text', ['tomorrow', 'today 00:08', '2026-12-24 00:08', '2027-01-01'])
def test_a_time_that_has_to_be_over_is_not_to_come(text):
    with pytest.raises(TimeError) as caught:
        parse_past(text, NOW, BERLIN)
    assert str(caught.value) == f'{text!r} is in the future: it is Thu 2026-12-24 00:07 in Europe/Berlin'


@pytest.mark.parametrize(
    ('text', 'minute'),
    [
        # of today, also where it is to come
        ('22:00', '2026-12-24 21:00'),
        ('tomorrow 22:00', '2026-12-25 21:00'),
        ('2027-01-01', '2026-12-31 23:00'),
        ('yesterday', '2026-12-22 23:00'),
        ('2h', '2026-12-23 21:07'),
    ],
)
def test_a_beginning_may_be_to_come(text, minute):
    assert parse_since(text, NOW, BERLIN) == utc(minute)


def test_what_is_no_beginning_is_refused():
    with pytest.raises(TimeError, match=r"'soon' is not a time such as .* yesterday"):
        parse_since('soon', NOW, BERLIN)
