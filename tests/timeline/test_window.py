"""The time that a timeline shows."""

from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from pyramid_cron.timeline.window import (
    Window,
    WindowError,
    day_window,
    night_window,
    parse_day,
    parse_window,
    present_night,
)
from pyramid_cron.times import TimeError

UTC, BERLIN = timezone.utc, ZoneInfo('Europe/Berlin')
NOW = datetime(2026, 11, 30, 22, 7, 30, tzinfo=UTC)


def hours(window, zone=BERLIN, every=1):
    return [mark.wall.hour for mark in window.hours(zone, every)]


@pytest.mark.parametrize(
    ('make', 'day', 'length', 'title'),
    [
        (day_window, '2026-12-01', 24, 'Tue 2026-12-01 00:00 to Wed 2026-12-02 00:00, Europe/Berlin'),
        (day_window, '2026-03-29', 23, 'Sun 2026-03-29 00:00 to Mon 2026-03-30 00:00, Europe/Berlin'),
        (day_window, '2026-10-25', 25, 'Sun 2026-10-25 00:00 to Mon 2026-10-26 00:00, Europe/Berlin'),
        (night_window, '2026-12-01', 24, 'Mon 2026-11-30 12:00 to Tue 2026-12-01 12:00, Europe/Berlin'),
        (night_window, '2026-03-29', 23, 'Sat 2026-03-28 12:00 to Sun 2026-03-29 12:00, Europe/Berlin'),
        (night_window, '2026-10-25', 25, 'Sat 2026-10-24 12:00 to Sun 2026-10-25 12:00, Europe/Berlin'),
    ],
)
def test_a_day_has_the_hours_of_its_time_zone(make, day, length, title):
    window = make(date.fromisoformat(day), BERLIN)
    assert window.length == timedelta(hours=length)
    assert window.title(BERLIN) == title
    assert len(hours(window)) == length


def test_an_hour_may_come_twice_or_not_at_all():
    assert hours(day_window(date(2026, 3, 29), BERLIN))[:4] == [0, 1, 3, 4]
    assert hours(day_window(date(2026, 10, 25), BERLIN))[:5] == [0, 1, 2, 2, 3]
    assert hours(day_window(date(2026, 3, 29), BERLIN), every=3) == [0, 3, 6, 9, 12, 15, 18, 21]


def test_the_clocks_may_change_by_half_an_hour():
    lord_howe = ZoneInfo('Australia/Lord_Howe')
    window = day_window(date(2026, 4, 5), lord_howe)
    assert window.length == timedelta(hours=24.5)
    assert hours(window, lord_howe) == list(range(24))
    assert window.clock_change(lord_howe) == 'The clocks are put back in this time, which has 24.5 hours.'


def test_a_day_begins_after_a_missing_midnight():
    # Sao Paulo had none on that day
    window = day_window(date(2018, 11, 4), ZoneInfo('America/Sao_Paulo'))
    assert (window.first, window.length) == (datetime(2018, 11, 4, 3, tzinfo=UTC), timedelta(hours=23))


def test_a_change_of_the_clocks_is_named():
    assert day_window(date(2026, 12, 1), BERLIN).clock_change(BERLIN) == ''
    change = day_window(date(2026, 3, 29), BERLIN).clock_change(BERLIN)
    assert change == 'The clocks are put forward in this time, which has 23 hours.'


def test_without_a_zone_it_is_local_time():
    window = day_window(date(2026, 12, 1), None)
    assert window.first == datetime(2026, 12, 1).astimezone(UTC)
    assert window.title(None).endswith(', local time')


def test_a_share_is_within_the_window():
    window = day_window(date(2026, 12, 1), UTC)
    instants = [window.first + timedelta(hours=hour) for hour in (-1, 0, 6, 24, 25)]
    assert [window.share(instant) for instant in instants] == [0.0, 0.0, 0.25, 1.0, 1.0]
    assert [window.has(instant) for instant in instants] == [False, True, True, False, False]


@pytest.mark.parametrize(
    ('now', 'day'), [('2026-11-30 11:59', '2026-11-30'), ('2026-11-30 12:00', '2026-12-01'), (None, '2026-12-01')]
)
def test_the_present_night_ends_at_the_next_noon(now, day):
    now = NOW if now is None else datetime.fromisoformat(now).replace(tzinfo=BERLIN)
    assert present_night(now, BERLIN) == date.fromisoformat(day)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('monday', "'monday' is not a day such as 2026-12-24"),
        ('2026-02-30', "'2026-02-30' is not a day such as 2026-12-24"),
        ('0001-01-01', "'0001-01-01' is not a day from 1971-01-01 to 9990-12-31"),
        ('9999-12-31', "'9999-12-31' is not a day from 1971-01-01 to 9990-12-31"),
    ],
)
def test_a_text_that_is_no_day_is_refused(text, message):
    with pytest.raises(WindowError) as caught:
        parse_day(text)
    assert str(caught.value) == message


def test_a_text_names_a_day():
    assert parse_day('2026-12-24') == date(2026, 12, 24)


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN)


@pytest.mark.parametrize(
    ('since', 'until', 'first', 'end'),
    [
        (None, None, '2026-11-30 12:00', '2026-12-01 12:00'),
        ('2h', None, '2026-11-30 21:07', '2026-12-01 21:07'),
        ('22:00', '06:00', '2026-11-30 22:00', '2026-12-01 06:00'),
        ('2026-11-27 22:00', '06:00', '2026-11-27 22:00', '2026-11-28 06:00'),
        ('2026-11-27 22:00', '2d', '2026-11-27 22:00', '2026-11-29 22:00'),
        ('2026-11-27 22:00', '2026-11-28 01:00', '2026-11-27 22:00', '2026-11-28 01:00'),
        (None, '06:00', '2026-11-30 06:00', '2026-12-01 06:00'),
        (None, 'now', '2026-11-29 23:07', '2026-11-30 23:07'),
        ('now', '8d', '2026-11-30 23:07', '2026-12-08 23:07'),
    ],
)
def test_two_texts_name_a_window(since, until, first, end):
    assert parse_window(since, until, NOW, BERLIN) == Window(at(first), at(end))


def test_a_window_of_a_few_hours_names_its_day_once():
    assert parse_window('20:00', '22:00', NOW, BERLIN).title(BERLIN) == 'Mon 2026-11-30 20:00 to 22:00, Europe/Berlin'


@pytest.mark.parametrize(
    ('since', 'until'), [('22:00', '2026-11-30 22:00'), ('22:00', '2026-11-01 22:00'), ('now', '9d'), ('23:30', 'now')]
)
def test_a_window_without_an_end_is_refused(since, until):
    with pytest.raises(WindowError) as caught:
        parse_window(since, until, NOW, BERLIN)
    assert str(caught.value) == f'--until {until!r} is not after --since {since!r}, or later than 8 days after it'


@pytest.mark.parametrize(('since', 'until'), [('soon', None), (None, 'soon'), ('22:00', '2026-13-01')])
def test_a_text_that_is_no_time_is_refused(since, until):
    with pytest.raises(TimeError, match='is not a time such as'):
        parse_window(since, until, NOW, BERLIN)
