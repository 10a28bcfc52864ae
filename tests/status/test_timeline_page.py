"""The page of a night, and of a day."""

import re
from datetime import date, datetime, timezone

import pytest
from sqlalchemy import event, update

from pyramid_cron.status import timeline_page
from pyramid_cron.status.timeline_page import build_timeline_page
from pyramid_cron.store.schema import tasks
from tests.support.clock import set_clock
from tests.support.filling import fill, record, record_silence
from tests.support.status import add_tasks

NOW = datetime(2024, 12, 3, 8, 0, 30, tzinfo=timezone.utc)


def at(hour, minute=0, day=3):
    return datetime(2024, 12, day, hour, minute, tzinfo=timezone.utc)


@pytest.fixture
def shop(make_page, store):
    """A page of tasks with a night behind them, in which the daily one failed."""

    def configure(config):
        add_tasks(config)
        config.add_cron_task(print, name='shop.late', cron='0 11 * * *', expect=120)

    page = make_page(configure, settings=store)
    set_clock(page.engine, lambda: NOW)
    fill(page.registry, 1, NOW.replace(second=0))
    failed = {'outcome': 'failed', 'seconds': 75.0, 'error': 'Timeout <b>'}
    record(page.registry, ('shop.daily', at(3), failed), ('shop.gone', at(4), {'outcome': 'lost'}))
    record_silence(page.registry, at(5), at(5, 9))
    with page.engine.begin() as connection:
        for name, lengths in {'shop.late': '120 180', 'shop.daily': '90 120'}.items():
            connection.execute(update(tasks).where(tasks.c.task == name).values(good_seconds=lengths))
    return page


@pytest.mark.slow
def test_a_page_has_a_night_or_a_day(shop):
    night = build_timeline_page(shop.registry, 'night', None, NOW, timezone.utc)
    assert (night.day, night.before, night.after) == (date(2024, 12, 3), date(2024, 12, 2), date(2024, 12, 4))
    assert night.is_present
    assert night.title == 'Mon 2024-12-02 12:00 to Tue 2024-12-03 12:00, UTC'
    assert build_timeline_page(shop.registry, 'night', None, at(12), timezone.utc).day == date(2024, 12, 4)
    day = build_timeline_page(shop.registry, 'day', None, at(12), timezone.utc)
    assert (day.day, day.title) == (date(2024, 12, 3), 'Tue 2024-12-03 00:00 to Wed 2024-12-04 00:00, UTC')
    past = build_timeline_page(shop.registry, 'day', date(2024, 10, 1), NOW, timezone.utc)
    assert (past.is_present, past.picture.rows) == (False, [])


@pytest.mark.slow
def test_a_page_has_what_went_wrong_and_what_is_to_come(shop):
    page = build_timeline_page(shop.registry, 'night', None, NOW, timezone.utc)
    assert [(run.task, run.registered, run.kind, run.symbol, run.text) for run in page.wrong] == [
        ('shop.daily', True, 'failed', '✗', '03:00 failed, 75 s: Timeout <b>'),
        ('shop.gone', False, 'lost', '?', '04:00 lost'),
    ]
    assert page.no_ticks == ['No tick from 05:00 to 05:09, for 10 min']
    assert page.to_come == [('11:00', 'shop.late', 'usually 2 to 3 min')]
    assert page.long_minutes == [
        '11:00: shop.late usually takes 2 min, longer than cron.window of 60 s; no time is left for shop.often'
    ]
    assert page.overlaps == []
    assert page.notes == ['1 task runs more often than every 15 minutes, and has no row unless something fails.']


@pytest.mark.slow
def test_a_run_in_progress_is_named(shop):
    record(shop.registry, ('shop.daily', at(7, 58), {'outcome': 'running'}))
    page = build_timeline_page(shop.registry, 'night', None, NOW, timezone.utc)
    assert [(run.task, run.symbol, run.text) for run in page.in_progress] == [
        ('shop.daily', '▸', '07:58 running for 2 min 29 s, usually 90 s to 2 min'),
    ]
    assert '<h2 id="progress">In progress</h2>' in shop.get('/timeline?night=2024-12-03')


@pytest.mark.slow
def test_no_more_than_some_faults_are_listed(shop, monkeypatch):
    monkeypatch.setattr(timeline_page, 'MOST_NAMED', 1)
    page = build_timeline_page(shop.registry, 'night', None, NOW, timezone.utc)
    assert (len(page.wrong), page.more_wrong) == (1, 1)


@pytest.mark.slow
def test_the_page_shows_a_chosen_night(shop):
    shown = shop.get('/timeline?night=2024-12-03')
    assert '<title>Night to 2024-12-03 ' in shown
    assert 'href="/admin/cron/timeline?night=2024-12-02"' in shown
    assert 'href="/admin/cron/timeline?night=2024-12-04"' in shown
    assert 'href="/admin/cron/timeline?day=2024-12-03"' in shown
    assert '<title>02:00 ok, 1.5 s; 03:00 failed, 75 s: Timeout &lt;b&gt;</title>' in shown
    assert shown.text.count('fill="url(#hatching)"') == len(re.findall('<li><div class="name">', shown.text)) + 1
    assert 'No tick from 05:00 to 05:09, for 10 min' in shown
    assert '<h2 id="wrong">What went wrong</h2>' in shown
    # no page of its own
    assert 'name=shop.gone' not in shown
    assert "default-src 'none'" in shown.headers['Content-Security-Policy']


@pytest.mark.slow
def test_the_page_shows_a_chosen_day(shop):
    shown = shop.get('/timeline?day=2024-12-03')
    assert '<title>2024-12-03 ' in shown
    assert 'night before this day' in shown
    assert '02:00 ok, ' in shown


@pytest.mark.slow
@pytest.mark.parametrize('query', ['', '?night=', '?day='])
def test_without_a_day_the_present_is_shown(shop, query):
    # a link that other nights and days have
    shown = shop.get(f'/timeline{query}')
    assert not re.search('present (night|day)', shown.text)
    assert 'present day' in shop.get('/timeline?day=2024-12-03')


@pytest.mark.slow
def test_a_text_that_is_no_day_is_an_error(shop):
    assert '&#39;soon&#39; is not a day such as 2026-12-24' in shop.get('/timeline?night=soon')


@pytest.mark.slow
def test_a_store_that_is_away_is_an_error(shop, tmp_path):
    shop.engine.dispose()
    (tmp_path / 'cron.sqlite').write_text('no database at all, but a text')
    shown = shop.get('/timeline')
    assert 'The runs are not known' in shown
    assert 'shop.late' in shown


def test_without_a_store_the_page_shows_what_is_to_come(make_page):
    shown = make_page().get('/timeline')
    assert 'shop.task' in shown
    assert 'The runs are not known: set cron.store.' in shown
    assert 'href="/admin/cron/timeline"' in make_page().get()


def test_a_day_without_a_run_has_no_picture(make_page):
    shown = make_page(lambda config: None).get('/timeline')
    assert 'No task has a run in this time.' in shown
    assert 'role="img"' not in shown


@pytest.mark.slow
def test_the_number_of_statements_does_not_grow_with_tasks(shop, make_page, tmp_path):
    def add(config):
        for number in range(60):
            config.add_cron_task(print, name=f'task {number}', min=number)

    large = make_page(add, settings={'cron.store': f'sqlite:///{tmp_path}/large.sqlite'})
    fill(large.registry, 1, most=2)
    assert statements(shop) == statements(large)


def statements(page):
    executed = []
    event.listen(page.engine, 'before_cursor_execute', lambda *arguments: executed.append(arguments[2]))
    page.get('/timeline')
    return len(executed)
