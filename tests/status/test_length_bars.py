"""The picture of how long the last runs of a task took."""

import re
from datetime import datetime, timedelta, timezone

import pytest

from pyramid_cron.status.length_bars import HEIGHT, draw_lengths
from pyramid_cron.store.run_lengths import RunLength
from pyramid_cron.usual_length import usual_length
from tests.support.filling import fill, record

UTC = timezone.utc
NOW = datetime(2026, 11, 24, 18, 0, 30, tzinfo=UTC)


def length(outcome, seconds, minutes=10):
    return RunLength(outcome, NOW - timedelta(minutes=minutes), seconds)


def draw(*lengths, good=(), stuck=False):
    return draw_lengths(lengths, usual_length(good), stuck, NOW, UTC)


def heights(picture):
    return [round(HEIGHT - float(re.match(r'M\d+ 96V([\d.]+)', bar.path)[1])) for bar in picture.bars]


def test_the_height_of_a_bar_is_its_length():
    picture = draw(length('ok', 10.0), length('failed', 40.0), length('ok', 20.0, 5), good=[10.0, 20.0])
    assert heights(picture) == [22, 86, 43]
    assert [bar.css_class for bar in picture.bars] == ['good', 'bad', 'good']
    assert [bar.text for bar in picture.bars] == ['17:50 ok, 10.0 s', '17:50 failed, 40.0 s', '17:55 ok, 20.0 s']
    assert picture.text == 'How long the last 3 runs took. The last: 17:55 ok, 20.0 s; the longest: 40.0 s'
    # at the median, and at what 19 of 20 do not exceed
    assert picture.lines == [74.5, 53.0]
    assert (picture.width, picture.height) == (36, HEIGHT)


def test_what_is_not_ok_has_a_foot():
    good, bad = draw(length('ok', 10.0), length('failed', 10.0)).bars
    assert (good.path, bad.path) == ('M6 96V10.0', 'M18 96V10.0M12 96h12')


def test_a_bar_far_above_what_is_usual_is_cut():
    picture = draw(length('ok', 10.0), length('ok', 4000.0), good=[10.0])
    assert heights(picture) == [22, 86]
    assert picture.bars[1].path == 'M18 96V10.0m0-3V3'
    assert picture.text.endswith('the longest: 1 h 6 min 40 s')
    # without that, the longest is the measure
    assert heights(draw(length('ok', 10.0), length('ok', 4000.0))) == [2, 86]


def test_a_run_in_progress_has_a_bar_too():
    picture = draw(length('ok', 60.0), length('running', None, 2))
    assert heights(picture) == [43, 86]
    assert (picture.bars[1].css_class, picture.bars[1].text) == ('active', '17:58 running for 2 min')
    stuck = draw(length('ok', 60.0), length('running', None, 2), stuck=True).bars[1]
    assert (stuck.css_class, stuck.text) == ('bad', '17:58 stuck for 2 min')
    # the clock of another machine is ahead
    assert heights(draw(length('ok', 60.0), length('running', None, -1))) == [86, 2]


@pytest.mark.parametrize('lengths', [[], [('ok', 1.0)], [('ok', 1.0), ('lost', 9.0)], [('ok', None), ('queued', None)]])
def test_one_length_makes_no_picture(lengths):
    assert draw(*(length(*one) for one in lengths)) is None


def test_runs_may_take_no_time():
    assert heights(draw(length('ok', 0.0), length('strange', 0.0), good=[0.0])) == [2, 2]


def test_the_page_of_a_task_has_the_picture(make_page, store, now):
    page = make_page(settings=store)
    assert 'id="lengths"' not in page.task()
    fill(page.registry, 1, now, most=3)
    record(page.registry, ('shop.task', now, {'outcome': 'failed', 'seconds': 75.0}))
    shown = page.task().text.partition('id="lengths"')[2].partition('</section>')[0]
    assert '<title>How long the last 4 runs took. The last: ' in shown
    assert shown.count('<g><title>') == 4
    assert 'The last 4 runs, the newest on the right.' in shown
    with page.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE cron_tasks SET good_seconds = '1.2 1.4'")
    shown = page.task().text.partition('id="lengths"')[2].partition('</section>')[0]
    assert 'It usually takes 1.2 s; the longest of its last 2 good runs took 1.4 s.' in shown
    assert shown.count('class="line"') == 2
