"""The sentences below a timeline."""

from datetime import date, datetime, timezone
from zoneinfo import ZoneInfo

import pytest

from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.timeline.bars import TO_COME, Bar
from pyramid_cron.timeline.build import NoTick, Row, Timeline
from pyramid_cron.timeline.overlaps import Busy, LongMinutes, OwnOverlap
from pyramid_cron.timeline.sentences import (
    describe_bars,
    describe_long_minutes,
    describe_no_ticks,
    describe_overlaps,
    describe_to_come,
    describe_window,
    time_format,
)
from pyramid_cron.timeline.window import Window, day_window

UTC, BERLIN = timezone.utc, ZoneInfo('Europe/Berlin')
TWO = datetime(2026, 12, 1, 2, 0, tzinfo=UTC)
WINDOW = day_window(date(2026, 12, 1), UTC)
AT = time_format(WINDOW, UTC)


def minute(number):
    return TWO + number * MINUTE


def timeline(window=WINDOW, now=TWO, **values):
    return Timeline(window, now, **({'has_store': True} | values))


def test_a_time_has_a_day_where_there_are_several():
    assert time_format(Window(TWO, minute(26 * 60)), UTC)(TWO) == 'Tue 02:00'
    october = day_window(date(2026, 10, 25), BERLIN)
    at = time_format(october, BERLIN)
    assert [at(datetime(2026, 10, 25, hour, 30, tzinfo=UTC)) for hour in (0, 1)] == ['02:30', '02:30 again']


@pytest.mark.parametrize(
    ('values', 'sentences'),
    [
        ({}, []),
        ({'has_store': False}, ['The runs are not known: set cron.store.']),
        # nothing of it has been
        ({'has_store': False, 'now': WINDOW.first}, []),
        ({'cut': TWO}, ['There are too many runs: none that began before 02:00 is shown.']),
        ({'often': 1}, ['1 task runs more often than every 15 minutes, and has no row unless something fails.']),
        ({'often': 7}, ['7 tasks run more often than every 15 minutes, and have no row unless something fails.']),
        ({'more_rows': 3}, ['3 more tasks have a run in this time, and no row.']),
        ({'without_history': ['a']}, ['Runs are not recorded of a: store=False.']),
        ({'paused': ['a', 'b', 'c']}, ['Paused now: a, b and c.']),
        ({'paused': list('abcdefghi')}, ['Paused now: a, b, c, d, e, f and 3 more.']),
    ],
)
def test_what_concerns_all_of_it_is_named(values, sentences):
    assert describe_window(timeline(**values), UTC, AT) == sentences


def test_a_change_of_the_clocks_is_named():
    [sentence] = describe_window(timeline(day_window(date(2026, 3, 29), BERLIN)), BERLIN, AT)
    assert sentence == 'The clocks are put forward in this time, which has 23 hours.'


@pytest.mark.parametrize(
    ('gap', 'sentence'),
    [
        (NoTick(minute(-60), minute(-50)), 'No tick from 01:00 to 01:09, for 10 min'),
        (NoTick(minute(-60), minute(-59)), 'No tick at 01:00'),
        (NoTick(minute(-60), minute(-50), 'no disk'), 'Ticks failed from 01:00 to 01:09, for 10 min: no disk'),
        (NoTick(minute(-60), minute(-59), 'no disk'), 'Ticks failed at 01:00: no disk'),
        (NoTick(minute(-60), TWO), 'No tick since 00:59, for 1 h 1 min'),
    ],
)
def test_minutes_without_a_tick_are_named(gap, sentence):
    assert describe_no_ticks(timeline(no_ticks=[gap]), AT) == [sentence]


def test_no_more_than_some_sentences_are_shown():
    gaps = [NoTick(minute(-60), minute(-50))] * 15
    sentences = describe_no_ticks(timeline(no_ticks=gaps), AT)
    assert (len(sentences), sentences[-1]) == (13, 'and 3 more')


def test_what_overlaps_is_named():
    busy = [Busy(minute(-60), minute(-50), 2, ['a', 'b']), Busy(minute(0), minute(90), 2, ['a', 'b', 'c'])]
    own = [OwnOverlap('sync', minute(0), minute(5), 'usually 7 min')]
    assert describe_overlaps(timeline(busy=busy, own_overlaps=own), AT) == [
        '01:00 to 01:10 (10 min): a and b overlapped',
        '02:00 to 03:30 (1 h 30 min): a, b and c overlap, 2 at once at most',
        'sync (usually 7 min) is still running when it is due again, as at 02:05 after 02:00: that minute is skipped',
    ]


@pytest.mark.parametrize(
    ('long', 'sentence'),
    [
        (
            LongMinutes([TWO], 170.0, ['b', 'a'], []),
            '02:00: b and a usually take 2 min 50 s one after another, longer than cron.window of 60 s',
        ),
        (
            LongMinutes([minute(60 * hour) for hour in range(5)], 900.0, ['a'], ['c', 'd']),
            '02:00, 03:00, 04:00 and 2 more: a usually takes 15 min, longer than cron.window of 60 s; no time is left '
            'for c and d',
        ),
    ],
)
def test_minutes_that_take_long_are_named(long, sentence):
    assert describe_long_minutes(timeline(long_minutes=[long]), 60.0, AT) == [sentence]


def test_bars_that_are_alike_are_counted():
    def bar(kind, number):
        return Bar('a', kind, minute(number), minute(number), minute(number))

    bars = [bar('ok', number) for number in range(3)] + [bar('failed', number) for number in range(3, 6)]
    bars += [bar('skipped', 6), bar('skipped', 7)]
    assert describe_bars(bars, AT) == (
        '3 ok, 02:00 to 02:02; 02:03 failed, 0.000 s; 02:04 failed, 0.000 s; 02:05 failed, 0.000 s; '
        '02:06 skipped, 0.000 s; 02:07 skipped, 0.000 s'
    )
    many = describe_bars([bar('failed', number) for number in range(23)], AT)
    assert many.endswith('02:19 failed, 0.000 s; 3 more')


def test_what_is_to_come_is_named_once_for_each_task():
    def bar(task, number, usual=''):
        return Bar(task, TO_COME, minute(number), minute(number), minute(number), usual=usual)

    rows = [
        Row('a', True, False, [bar('a', 10, 'usually 2 min')]),
        Row('b', True, False, [bar('b', number) for number in range(0, 360, 60)]),
        Row('c', True, False, [bar('c', 5), bar('c', 65)]),
    ]
    assert list(describe_to_come(timeline(rows=rows), AT)) == [
        (minute(0), 'b', 'also at 03:00, 04:00, 05:00 and 2 more'),
        (minute(5), 'c', 'also at 03:05'),
        (minute(10), 'a', 'usually 2 min'),
    ]
