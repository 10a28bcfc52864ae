"""The pages of the history."""

from datetime import datetime, timedelta, timezone

import pytest

from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.status.formatting import FormattedRun, FormattedTime
from pyramid_cron.status.history_page import by_day
from tests.support.filling import fill, record, record_silence
from tests.support.status import add_task, recording

DUE = datetime(2026, 11, 24, 2, 0, tzinfo=timezone.utc)
FIRST = 'a1' * 16


@pytest.fixture
def shop(make_page, store, now):
    """A page with a store, and a function that records runs of its task."""
    page = make_page(add_task, settings=store)
    fill(page.registry, 1, now, most=1)
    page.record = lambda *rows: record(page.registry, *(('shop.task', *row) for row in rows))
    return page


def words(answer):
    """Return the days, and the entries as words, in their order."""
    found = []
    for part in answer.text.partition('<main')[2].split('<h2 id="day')[1:]:
        found.append(part.partition('>')[2].partition('</h2>')[0].partition(' <')[0])
        for entry in part.split('<li>')[1:]:
            outcome = entry.partition('</span>')[2].partition('</span>')[0]
            time = entry.partition('<time')[2].partition('>')[2].partition('<')[0]
            found.append(f'{time} {outcome}')
    return found


def about(answer, number=0):
    return answer.text.split('<span class="about">')[number + 1].partition('</span></li>')[0]


def test_entries_stand_below_their_days(shop):
    before = DUE - timedelta(days=1)
    shop.record((DUE, {}), (DUE + 60 * MINUTE, {'outcome': 'failed', 'error': 'Timeout<', 'id': FIRST}), (before, {}))
    answer = shop.get('/history?day=2026-11-24')
    assert words(answer) == ['Tue 2026-11-24', '03:00 failed', '02:00 ok', 'Mon 2026-11-23', '02:00 ok']
    assert about(answer) == (
        '<a href="/admin/cron/task?name=shop.task" dir="auto">shop.task</a>, process 4711 on web-1: <b>Timeout&lt;</b>'
    )
    assert f'<a href="/admin/cron/history/run?key=shop:shop.task@2026-11-24T03:00Z&amp;id={FIRST}"><time' in answer
    assert '<span class="hint">times are in UTC</span>' in answer
    assert '<a href="/admin/cron/history?name=shop.task">' not in answer
    assert '<a href="/admin/cron/history?">Newest</a>' in answer
    assert words(shop.get('/history?day=2026-11-23')) == ['Mon 2026-11-23', '02:00 ok']


@pytest.mark.slow
def test_the_pages_follow_each_other(shop):
    shop.record(*((DUE + number * MINUTE, {}) for number in range(250)))
    page, entries = shop.get('/history?day=2026-11-24&name=shop.task'), []
    while True:
        found = [entry for entry in words(page) if ' ok' in entry]
        entries += found
        if '>Older<' not in page:
            break
        assert len(found) == 100
        page = page.click('Older')
        assert 'name="name" value="shop.task"' in page
    minutes = [DUE + number * MINUTE for number in range(250)]
    assert entries == [f'{minute:%H:%M} ok' for minute in reversed(minutes)]
    assert words(page.click('Newest')) == words(shop.get('/history?name=shop.task'))


def test_what_people_did_and_when_no_tick_came_is_shown(shop, now):
    store = shop.registry['cron_store']
    record_silence(shop.registry, now - 300 * MINUTE, now - 200 * MINUTE, 'shop.task')
    record_silence(shop.registry, now - 500 * MINUTE, now - 500 * MINUTE)
    store.pause(['shop.task'], reason='the <disk>', requested_by='ada')
    store.resume(['*'])
    store.pause(['*'], reason='all', requested_by='bob')
    answer = shop.get('/history?trigger=people')
    assert [entry for entry in words(answer) if ':' in entry[:3]] == [
        f'{entry[:5]} by hand' for entry in words(answer)[1:]
    ]
    assert about(answer) == 'all tasks, paused by bob: <b>all</b>'
    linked = '<a href="/admin/cron/task?name=shop.task" dir="auto">shop.task</a>'
    assert about(answer, 1) == f'{linked}, paused by ada: <b>the &lt;disk&gt;</b>'
    text = shop.get('/history').text
    assert 'no tick</span>' in text
    assert 'due then: shop.task</span>' in text
    assert '1 minute without a tick, ' in text
    assert f'>{linked}: <b>no tick came in time</b></span>' in text


def test_many_names_of_a_gap_are_cut(make_page, store, now):
    def add(config):
        for number in range(9):
            config.add_cron_task(print, name=f'shop.task{number}', min='*')

    page = make_page(add, settings=store)
    record_silence(page.registry, now - 20 * MINUTE, now - 10 * MINUTE)
    answer = page.get('/history')
    assert 'shop.task4, shop.task5, 3 more</span>' in answer
    assert 'badge warn' in answer


@pytest.mark.slow
def test_a_page_can_be_filtered(shop, make_page):
    shop.record(
        (DUE, {'outcome': 'failed', 'error': 'Timeout'}),
        (DUE + MINUTE, {'outcome': 'skipped', 'attempt': 0, 'reason': 'why'}),
        (None, {'trigger': 'manual', 'requested_by': 'ada', 'started': DUE + 2 * MINUTE, 'scheduled_for': None}),
    )
    day = 'day=2026-11-24'
    assert words(shop.get(f'/history?{day}&outcome=faults')) == ['Tue 2026-11-24', '02:00 failed']
    assert words(shop.get(f'/history?{day}&outcome=skipped')) == ['Tue 2026-11-24', '02:01 skipped']
    by_hand = shop.get(f'/history?{day}&trigger=people')
    assert words(by_hand) == ['Tue 2026-11-24', '02:02 ok']
    assert '<option value="people" selected>' in by_hand
    assert '<option value="" selected>any outcome</option>' in by_hand
    assert 'value="2026-11-24"' in by_hand


@pytest.mark.slow
def test_a_part_of_a_name_is_enough(make_page, store):
    def add(config):
        for number in range(25):
            config.add_cron_task(print, name=f'shop.mail{number:02}', min=0)
        config.add_cron_task(print, name='shop.invoices', min=0)

    page = make_page(add, settings=store)
    fill(page.registry, 1, most=1)
    answer = page.get('/history?name=MAIL')
    assert '25 tasks have MAIL in their names:' in answer
    assert '<a href="/admin/cron/history?name=shop.mail19" dir="auto">shop.mail19</a> and 5 more</p>' in answer
    assert 'invoices' not in answer
    assert answer.text.count('<li>') == 25
    one = page.get('/history?name=+inv+')
    assert 'in their names' not in one
    assert '<title>inv: History ' in one


def test_what_is_not_understood_is_an_error(shop):
    for query, error in {
        'outcome=good': 'outcome &#39;good&#39; is not one of faults, failed',
        'trigger=x': 'trigger &#39;x&#39; is not one of people',
        'day=tomorrow': 'day &#39;tomorrow&#39; is not a day such as 2026-11-24',
        'before=x': 'before &#39;x&#39; is not a place in the history',
    }.items():
        answer = shop.get(f'/history?{query}')
        assert error in answer
        assert words(answer) == []
        assert 'Nothing of that' not in answer


def test_nothing_may_be_recorded(shop):
    answer = shop.get('/history?day=2020-01-01')
    assert 'Nothing that matches is recorded.' in answer
    assert '>Newest<' in answer
    assert '>Older<' not in answer


def test_a_search_that_has_not_come_to_the_end_goes_on(shop, monkeypatch):
    from pyramid_cron.store import history_pages

    monkeypatch.setattr(history_pages, 'MOST_READ', 100)
    shop.record(*((DUE + number * MINUTE, {}) for number in range(250)))
    answer = shop.get('/history?outcome=stopped&day=2026-11-24')
    assert 'Nothing that matches is recorded back to Tue 2026-11-24 04:30; “Older” searches further back.' in answer
    assert '>Older<' in answer


@pytest.mark.slow
def test_without_a_store_there_is_no_history(make_page):
    answer = make_page().get('/history')
    assert 'Runs are recorded only in a store: see the setting <code>cron.store</code>.' in answer
    assert 'class="choose" method="get" action="/admin/cron/history"' not in answer.text.partition('</main>')[0]


def test_a_store_that_is_empty_or_down_is_shown(make_page, store, tmp_path):
    assert 'Nothing that matches is recorded.' in make_page(settings=store).get('/history')
    (tmp_path / 'cron.sqlite').write_text('this is no database')
    answer = make_page(settings=store).get('/history')
    assert 'the store is not available' in answer
    assert 'The runs are not known' in answer


@pytest.mark.slow
def test_the_page_of_a_task_goes_on_in_the_history(shop):
    shop.record(*((DUE + number * MINUTE, {'outcome': 'failed'}) for number in range(60)))
    task = shop.task(faults=1)
    assert '<h3>Tue 2026-11-24</h3>' in task
    older = task.click('Older entries')
    assert [entry for entry in words(older) if 'failed' in entry] == [
        f'{DUE + number * MINUTE:%H:%M} failed' for number in reversed(range(10))
    ]
    assert '<option value="faults" selected>' in older
    assert 'Older entries' not in shop.task(by_hand=1)


def test_tasks_that_are_gone_have_no_link(shop):
    record(shop.registry, ('old.task', DUE, {}))
    assert about(shop.get('/history?name=old.task')) == '<bdi>old.task</bdi>, process 4711 on web-1'


def test_the_history_needs_the_permission_to_read(make_page, store):
    page = make_page(recording([]), settings=store, policy=True, permission='read', write_permission='write')
    page.get('/history', status=403)
    page.get('/history', 'bob')


def test_days_that_are_not_one_after_another_are_apart():
    def run(iso):
        return 'task', FormattedRun('ok', '', '', FormattedTime('', iso, ''), '', '', '', '')

    days = by_day(map(run, ['2026-11-24T02:00+01:00', '2026-11-23T23:59+01:00', '2026-11-24T01:00+01:00']))
    assert [(day.text, [entry.time for entry in day.entries]) for day in days] == [
        ('Tue 2026-11-24', ['02:00']),
        ('Mon 2026-11-23', ['23:59']),
        ('Tue 2026-11-24', ['01:00']),
    ]
