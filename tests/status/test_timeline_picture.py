"""The picture of a timeline."""

from datetime import date, datetime, timezone

import pytest

from pyramid_cron.outcomes import FAILED, LOST, MISSED, OK, PAUSED, QUEUED, RUNNING, SKIPPED, STOPPED, STUCK
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.status.timeline_picture import HEIGHT, NARROWEST, SHAPES, Label, Rect, draw_timeline
from pyramid_cron.timeline.bars import TO_COME, Bar
from pyramid_cron.timeline.build import NoTick, Row, Timeline
from pyramid_cron.timeline.window import day_window, night_window

UTC = timezone.utc
DAY = day_window(date(2026, 12, 1), UTC)


def at(hour, minute=0):
    return datetime(2026, 12, 1, hour, minute, tzinfo=UTC)


def bar(kind, begin, end=None, until=None, **values):
    end = begin if end is None else end
    return Bar('t', kind, begin, end, end if until is None else until, **values)


def draw(*bars, window=DAY, now=DAY.end, **values):
    rows = [Row('t', True, False, bars)] if bars else []
    return draw_timeline(Timeline(window, now, **({'rows': rows} | values)), UTC)


def test_a_bar_is_where_its_time_is():
    [row] = draw(bar(OK, at(6), at(18))).rows
    [shape] = row.shapes
    assert (shape.text, shape.css_class, shape.pale) == ('06:00 ok, 12 h 0 min', 'good', None)
    assert shape.rects == [Rect(25, 50, 8, 12)]


def test_a_short_run_is_wide_enough_to_be_seen():
    [row] = draw(bar(OK, at(6)), bar(OK, DAY.end - MINUTE / 60)).rows
    first, last = (shape.rects[0] for shape in row.shapes)
    assert (first.x, first.width) == (25, NARROWEST)
    assert last.x + last.width == 100


def test_a_run_that_began_before_is_cut():
    [row] = draw(bar(OK, at(0) - 60 * MINUTE, at(12))).rows
    assert row.shapes[0].rects == [Rect(0, 50, 8, 12)]


def test_what_is_to_come_is_pale():
    [row] = draw(bar(TO_COME, at(12), until=at(18))).rows
    assert (row.shapes[0].rects, row.shapes[0].pale) == ([], Rect(50, 25, 8, 12))
    [row] = draw(bar(TO_COME, at(12))).rows
    assert row.shapes[0].pale == Rect(50, NARROWEST, 8, 12)
    # a run in progress goes on
    [row] = draw(bar(RUNNING, at(6), at(12), at(18))).rows
    assert row.shapes[0].pale == Rect(50, 25, 8, 12)
    assert [rect.width for rect in row.shapes[0].rects] == [25, 25, 25]


def test_each_outcome_has_its_own_shape():
    kinds = [OK, FAILED, LOST, STUCK, MISSED, STOPPED, SKIPPED, PAUSED, RUNNING, QUEUED]
    assert len({tuple(SHAPES[kind]) for kind in kinds}) == len(kinds)
    for kind in [*kinds, 'strange']:
        [row] = draw(bar(kind, at(6))).rows
        assert all(rect.y >= 0 and rect.y + rect.height <= HEIGHT for rect in row.shapes[0].rects)


def test_a_row_is_a_text_too():
    [row] = draw(*(bar(OK, at(hour)) for hour in range(14))).rows
    assert row.text == '14 ok, 00:00 to 13:00'
    assert (row.task, row.registered, row.note) == ('t', True, '')
    notes = [
        draw(rows=[Row('t', registered, often, [bar(FAILED, at(1))])]).rows[0].note
        for registered, often in [(False, False), (True, True)]
    ]
    assert notes == ['not registered', 'only what went wrong: it runs often']


def test_hours_and_the_present_are_marked():
    picture = draw(bar(OK, at(6)), now=at(12))
    assert picture.labels[:3] == [Label(0, 'Tue'), Label(12.5, '03'), Label(25, '06')]
    assert picture.now == 50
    assert draw(bar(OK, at(6))).now is None
    night = draw(bar(OK, at(6)), window=night_window(date(2026, 12, 1), UTC))
    assert [label.text for label in night.labels] == ['12', '15', '18', '21', 'Tue', '03', '06', '09']


def test_minutes_without_a_tick_are_hatched():
    picture = draw(bar(OK, at(6)), no_ticks=[NoTick(at(6), at(12))])
    assert picture.hatched == [Rect(25, 25, 0, HEIGHT)]


@pytest.mark.parametrize(('kinds', 'legend'), [([], []), ([TO_COME, OK, 'strange'], [OK, TO_COME])])
def test_the_legend_has_what_is_there(kinds, legend):
    assert [kind for kind, _ in draw(*(bar(kind, at(6)) for kind in kinds)).legend] == legend
