import os
import re
from datetime import date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from pyramid_cron.schedules.clock import (
    MINUTE,
    current_minute,
    format_offset,
    minute_of,
    now,
    offsets_around,
    parse_zone,
    tick_instants,
    unknown_local_zone,
    wall_minutes,
    wall_without_transition,
)


def utc(*args):
    return datetime(*args, tzinfo=timezone.utc)


def walls(instant, zone, *, interval=False):
    minutes = wall_minutes(instant, zone)
    return [f'{wall:%d %H:%M}' for wall in (minutes.interval if interval else minutes.fixed_time)]


@pytest.fixture(params=['zoneinfo', 'local time'])
def zone(request, local_time):
    """Return a function that makes a zone of both kinds: one of zoneinfo's and the machine's own."""

    def make(name):
        if request.param == 'zoneinfo':
            return ZoneInfo(name)
        local_time(name)
        return None

    return make


def test_the_current_minute_is_whole_and_in_utc():
    before = datetime.now(timezone.utc)
    minute = current_minute()
    assert minute.tzinfo is timezone.utc
    assert (minute.second, minute.microsecond) == (0, 0)
    assert before - MINUTE < minute <= datetime.now(timezone.utc)


def test_an_ordinary_minute_stands_for_itself(zone):
    berlin = zone('Europe/Berlin')
    for interval in (True, False):
        assert walls(utc(2026, 11, 23, 9, 8), berlin, interval=interval) == ['23 10:08']


def test_the_minute_after_a_gap_covers_skipped_ones(zone):
    # the clocks of Berlin went from 02:00 to 03:00 on 29 March 2026, which is 01:00 UTC
    berlin = zone('Europe/Berlin')
    after = utc(2026, 3, 29, 1, 0)
    assert walls(after - MINUTE, berlin) == ['29 01:59']
    caught_up = walls(after, berlin)
    assert caught_up[0] == '29 02:00'
    assert caught_up[-2:] == ['29 02:59', '29 03:00']
    assert len(caught_up) == 61
    assert walls(after + MINUTE, berlin) == ['29 03:01']
    assert walls(after, berlin, interval=True) == ['29 03:00']


def test_the_second_pass_covers_no_fixed_minute(zone):
    # the clocks of Berlin went from 03:00 to 02:00 on 25 October 2026, which is 01:00 UTC
    berlin = zone('Europe/Berlin')
    again = utc(2026, 10, 25, 1, 0)
    assert walls(again - MINUTE, berlin) == ['25 02:59']
    for minutes in range(60):
        moment = again + minutes * MINUTE
        assert walls(moment, berlin) == []
        assert walls(moment, berlin, interval=True) == [f'25 02:{minutes:02}']
    assert walls(again + 60 * MINUTE, berlin) == ['25 03:00']


def test_a_shift_of_half_an_hour_is_daylight_saving_time(zone):
    lord_howe = zone('Australia/Lord_Howe')
    # 02:00 became 02:30 on 4 October 2026, and 02:00 became 01:30 on 5 April 2026
    assert len(walls(utc(2026, 10, 3, 15, 30), lord_howe)) == 31
    assert walls(utc(2026, 4, 4, 15, 0), lord_howe) == []
    assert walls(utc(2026, 4, 4, 15, 30), lord_howe) == ['05 02:00']


def test_a_gap_over_midnight_keeps_the_date_of_each_minute(zone):
    # Sao Paulo had no midnight on 4 November 2018
    sao_paulo = zone('America/Sao_Paulo')
    caught_up = walls(utc(2018, 11, 4, 3, 0), sao_paulo)
    assert (caught_up[0], caught_up[-1]) == ('04 00:00', '04 01:00')


def test_a_longer_gap_is_a_change_of_clock(zone):
    # Apia went from the end of 29 December 2011 to the start of the 31st
    apia = zone('Pacific/Apia')
    assert walls(utc(2011, 12, 30, 9, 59), apia) == ['29 23:59']
    assert walls(utc(2011, 12, 30, 10, 0), apia) == ['31 00:00']


def test_a_repeat_of_three_hours_is_daylight_saving_time(zone):
    # the clocks of Casey station went back by three hours on 5 March 2010
    casey = zone('Antarctica/Casey')
    day = [utc(2010, 3, 4, 12) + minute * MINUTE for minute in range(1440)]
    assert sum(not walls(minute, casey) for minute in day) == 180


def test_a_gap_of_three_hours_is_a_change_of_clock(zone):
    # the clocks of Casey station went forward from 02:00 to 05:00 on 18 October 2009
    casey = zone('Antarctica/Casey')
    assert walls(utc(2009, 10, 17, 17, 59), casey) == ['18 01:59']
    assert walls(utc(2009, 10, 17, 18, 0), casey) == ['18 05:00']
    found = tick_instants(datetime(2009, 10, 18, 3), casey)
    assert (found.interval, found.fixed_time) == ((), ())


def test_a_minute_repeated_after_three_hours_has_one_fixed_tick(zone):
    found = tick_instants(datetime(2010, 3, 5, 0, 30), zone('Antarctica/Casey'))
    assert found.interval == (utc(2010, 3, 4, 13, 30), utc(2010, 3, 4, 16, 30))
    assert found.fixed_time == (utc(2010, 3, 4, 13, 30),)


def test_a_longer_repeat_is_a_change_of_clock(zone):
    # Kwajalein crossed the date line backwards on 30 September 1969: its day began again after 23 hours
    kwajalein = zone('Pacific/Kwajalein')
    assert walls(utc(1969, 9, 30, 12, 59), kwajalein) == ['30 23:59']
    assert walls(utc(1969, 9, 30, 13, 0), kwajalein) == ['30 01:00']


def test_an_offset_with_seconds_is_no_gap(zone):
    # Monrovia was 44 minutes and 30 seconds behind UTC until 7 January 1972
    monrovia = zone('Africa/Monrovia')
    assert walls(utc(1970, 1, 1), monrovia) == ['31 23:15']
    assert walls(utc(1972, 1, 7, 0, 44), monrovia) == ['06 23:59']
    assert walls(utc(1972, 1, 7, 0, 45), monrovia)[-1] == '07 00:45'


@pytest.mark.parametrize(
    ('wall', 'instants'),
    [
        (datetime(2026, 11, 23, 10), ([utc(2026, 11, 23, 9)], [utc(2026, 11, 23, 9)])),
        (datetime(2026, 3, 29, 2, 30), ([], [utc(2026, 3, 29, 1)])),
        (
            datetime(2026, 10, 25, 2, 30),
            ([utc(2026, 10, 25, 0, 30), utc(2026, 10, 25, 1, 30)], [utc(2026, 10, 25, 0, 30)]),
        ),
    ],
    ids=str,
)
def test_the_ticks_of_a_wall_clock_minute_are_found(zone, wall, instants):
    found = tick_instants(wall, zone('Europe/Berlin'))
    assert (list(found.interval), list(found.fixed_time)) == instants


def test_a_minute_of_a_skipped_day_has_no_tick(zone):
    found = tick_instants(datetime(2011, 12, 30, 12), zone('Pacific/Apia'))
    assert (found.interval, found.fixed_time) == ((), ())


def test_a_change_of_clock_repeats_ticks_of_both_kinds(zone):
    found = tick_instants(datetime(1969, 9, 30, 12), zone('Pacific/Kwajalein'))
    assert found.interval == found.fixed_time
    assert len(found.interval) == 2


def test_offsets_around_a_day_include_both_of_a_change(zone):
    berlin = zone('Europe/Berlin')
    winter, summer = timedelta(hours=1), timedelta(hours=2)
    assert offsets_around(date(2026, 11, 23), berlin) == (winter, winter)
    for day in (24, 25, 26):
        assert offsets_around(date(2026, 10, day), berlin) == (winter, summer)


@pytest.mark.parametrize(
    ('moment', 'text'),
    [
        (datetime(2026, 7, 1, tzinfo=ZoneInfo('Europe/Berlin')), '+02:00'),
        (datetime(2026, 1, 1, tzinfo=ZoneInfo('America/St_Johns')), '-03:30'),
        (utc(2026, 7, 1), '+00:00'),
        # local mean time, 53 minutes and 28 seconds
        (datetime(1890, 1, 1, tzinfo=ZoneInfo('Europe/Berlin')), '+00:53'),
    ],
    ids=str,
)
def test_an_offset_is_written_with_a_colon(moment, text):
    assert format_offset(moment) == text


def test_a_minute_without_a_transition_near_is_found_directly(zone):
    berlin = zone('Europe/Berlin')
    assert wall_without_transition(utc(2026, 11, 23, 9, 8), berlin) == datetime(2026, 11, 23, 10, 8)
    assert wall_without_transition(utc(2026, 10, 25, 1, 30), berlin) is None


def test_a_time_zone_is_a_name_or_object():
    assert parse_zone('Europe/Berlin') is ZoneInfo('Europe/Berlin')
    assert parse_zone(ZoneInfo('UTC')) is ZoneInfo('UTC')


@pytest.mark.parametrize(
    ('value', 'why'),
    [
        ('Europe/Berln', 'is Europe/Berlin meant?'),
        ('europe', 'write an IANA name such as Europe/Berlin'),
        ('Europe', 'is not a time zone'),
        ('', 'is not a time zone'),
        ('/etc/passwd', 'is not a time zone'),
        ('../../etc/passwd', 'is not a time zone'),
        ('CET\0', 'is not a time zone'),
        (5, 'neither the name'),
        (None, 'neither the name'),
        (timezone.utc, 'neither the name'),
    ],
    ids=repr,
)
def test_a_value_that_is_no_time_zone_is_refused(value, why):
    with pytest.raises(ValueError, match=re.escape(why)):
        parse_zone(value)


def test_the_clock_agrees_with_itself():
    first, moment, last = current_minute(), now(), current_minute()
    assert moment.tzinfo is timezone.utc
    assert first <= moment < last + MINUTE
    assert first <= minute_of(moment) <= last


@pytest.mark.parametrize(
    ('zone', 'unknown'),
    [
        (None, False),
        ('', False),
        ('UTC', False),
        ('Europe/Berlin', False),
        (':Europe/Berlin', False),
        ('Africa/Abidjan', False),
        ('CET-1CEST,M3.5.0,M10.5.0/3', False),
        (':UTC0', False),
        ('<+00>-00:00', False),
        ('FOO0', False),
        ('Europe/Berln', True),
        (':Europe/Berln', True),
        ('Europe/Berlin ', True),
        ('Europe', True),
        ('CEST', True),
        ('/no/such/file', True),
    ],
)
def test_a_local_zone_that_does_not_exist_is_found(local_time, zone, unknown):
    local_time(zone)
    assert unknown_local_zone(os.environ) == (zone if unknown else None)


def test_the_folder_of_zones_may_be_another_one(local_time, tmp_path):
    (tmp_path / 'Own').write_bytes(b'')
    local_time('Own')
    assert unknown_local_zone(os.environ) == 'Own'
    assert unknown_local_zone({'TZ': 'Own', 'TZDIR': str(tmp_path)}) is None
