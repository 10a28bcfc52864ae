"""The page of one run."""

from datetime import datetime, timedelta, timezone
from urllib.parse import quote

import pytest
from sqlalchemy import insert, update

from pyramid_cron.progress import Progress
from pyramid_cron.run_keys import write_key
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.store.schema import processes, tasks
from pyramid_cron.testing import tick
from tests.support.filling import fill, record, record_progress
from tests.support.status import add_task, recording

FIRST, SECOND, THIRD = ('a1' * 16, 'b2' * 16, 'c3' * 16)
DUE = datetime(2026, 11, 24, 2, 0, tzinfo=timezone.utc)
TRACE = """\
Traceback (most recent call last):
  File "a.py", line 1, in f
    g()
  File "b.py", line 2, in g
    raise Timeout("<b>")
shop.Timeout: <b>
"""
FAILED = {'outcome': 'failed', 'error': 'Timeout', 'traceback': TRACE, 'id': FIRST}


def key(minute=DUE, task='shop.task', app='shop'):
    return f'{app}:{task}@{minute:%Y-%m-%dT%H:%MZ}'


def visit(page, name, status=200, user=None, **query):
    more = ''.join(f'&{name}={value}' for name, value in query.items())
    return page.get(f'/history/run?key={quote(name)}{more}', user, status)


@pytest.fixture
def shop(make_page, store, now):
    """A page with the store of a task, and a function that records its runs."""
    page = make_page(recording([]), settings=store)
    fill(page.registry, 1, now, most=1)
    page.record = lambda *rows: record(page.registry, *(('shop.task', *row) for row in rows))
    return page


def shown_facts(answer):
    rows = answer.text.partition('<h2 id="facts">')[2].partition('</dl>')[0].split('<dt>')[1:]
    return {name: value for name, _, value in (row.partition('</dd>')[0].partition('</dt><dd>') for row in rows)}


@pytest.mark.slow
def test_a_failed_run_shows_the_end_of_its_traceback_first(shop):
    shop.record((DUE, FAILED))
    answer = visit(shop, key())
    text = answer.text
    assert '<title>failed: shop.task, Tue 2026-11-24 02:00 +00:00 ' in text
    assert '<h1 dir="auto"><a href="/admin/cron/task?name=shop.task">shop.<wbr>task</a></h1>' in text
    assert '>failed</span>\n<span>for Tue 2026-11-24 02:00 +00:00, 0.200 s; times are in UTC</span>' in text
    order = ['>shop.Timeout: &lt;b&gt;</pre>', 'line 2, in g', 'line 1, in f', 'Traceback (most', 'line 1, in f']
    found = [text.index(order[0])]
    for part in order[1:]:
        found.append(text.index(part, found[-1]))
    assert found == sorted(found)
    assert shown_facts(answer) == {
        'Minute': 'Tue 2026-11-24 02:00 +00:00',
        'Attempt': '1',
        'Requested by': 'a tick over HTTP',
        'Where': 'process 4711 on web-1',
        'Began': 'Tue 2026-11-24 02:00:01 +00:00',
        'Ended': 'Tue 2026-11-24 02:00:01 +00:00',
        'Key': f'<code>{key()}</code>',
    }
    assert 'All records of this minute' not in text
    assert '<h2 id="log">' not in text


def test_a_run_by_hand_shows_which_user_has_requested_it(shop):
    shop.record(
        (None, {'trigger': 'manual', 'requested_by': 'ada', 'started': DUE, 'id': FIRST, 'scheduled_for': None})
    )
    answer = visit(shop, f'shop:shop.task@{FIRST}')
    assert '<span>by hand, 0.200 s' in answer
    shown = shown_facts(answer)
    assert shown['Requested by'] == 'by hand, by ada'
    assert 'Minute' not in shown
    assert 'Run again' not in answer
    assert '<title>ok: shop.task, Tue 2026-11-24 02:00 ' in answer


def test_the_attempts_of_a_minute_are_a_chain(shop):
    lost = {'outcome': 'lost', 'reason': 'process 4711 on web-1, since 02:00', 'id': FIRST}
    late = {'attempt': 2, 'started': DUE + 5 * MINUTE, 'id': SECOND, 'outcome': 'failed', 'error': 'Timeout'}
    shop.record((DUE, lost), (DUE, late))
    newest = visit(shop, key())
    chain = newest.text.partition('All records of this minute')[2].partition('</ol>')[0]
    assert [part.partition('</span>')[0] for part in chain.split('aria-hidden="true">')[1:]] == ['?', '✗']
    assert f'<a href="/admin/cron/history/run?key={key()}&amp;id={FIRST}">' in chain
    assert 'this run; <b>Timeout</b>; for Tue 2026-11-24 02:00, attempt 2, process 4711 on web-1' in chain
    first = newest.click(href=f'id={FIRST}')
    assert shown_facts(first)['Found lost'] == 'Tue 2026-11-24 02:00:01 +00:00'
    assert f'id={SECOND}' in first
    assert '<li aria-current="true"><span class="badge bad"><span class="symbol" aria-hidden="true">?' in first


def test_note_and_log_are_shown_where_there_are_some(shop):
    shop.record((DUE, FAILED | {'outcome': 'ok', 'note': '1,204 rows, <3> refused', 'log': 'line 1\n<line> 2'}))
    answer = visit(shop, key())
    assert '<b>Note</b> 1,204 rows, &lt;3&gt; refused' in answer
    assert '<pre class="output" tabindex="0">line 1\n&lt;line&gt; 2</pre>' in answer


def test_a_run_in_progress_or_queued_has_no_end(shop, now):
    shop.record((DUE, {'outcome': 'running', 'id': FIRST, 'started': now - 3 * MINUTE}))
    assert shown_facts(visit(shop, key())).keys() == {'Minute', 'Attempt', 'Requested by', 'Where', 'Began', 'Key'}
    shop.record((DUE, {'outcome': 'queued', 'id': SECOND, 'started': now - 2 * MINUTE}))
    shown = shown_facts(visit(shop, key()))
    assert 'Enqueued' in shown
    assert 'Where' not in shown


def test_a_stuck_run_has_the_notice_of_its_task(shop, now):
    shop.record((now, {'outcome': 'running', 'id': FIRST, 'started': now - timedelta(hours=20)}))
    answer = visit(shop, key(now))
    assert '!</span>stuck</span>' in answer
    assert 'stuck, running for 20 h' in answer
    # not for another minute
    shop.record((DUE, {'id': SECOND}))
    assert 'stuck' not in visit(shop, key())


def test_a_run_in_progress_shows_how_much_is_done(shop, now):
    shop.record((now, {'outcome': 'running', 'id': FIRST}))
    record_progress(shop.registry, 'shop.task', Progress(42.0, 100.0, now))
    shop.record((DUE, {'id': SECOND}))
    assert '<progress max="100" value="42"></progress> 42 %' in visit(shop, key(now))
    assert '<progress' not in visit(shop, key())


def test_a_run_that_is_to_end_shows_by_which_user(make_page, store, now):
    minute = (now.minute + 30) % 60
    page = make_page(lambda config: config.add_cron_task(print, name='shop.task', min=minute), settings=store)
    fill(page.registry, 0, now)
    record(page.registry, ('shop.task', now, {'outcome': 'running', 'id': FIRST}), ('shop.task', DUE, {'id': SECOND}))
    with page.engine.begin() as connection:
        process = {'id': 'p', 'host': 'web-1', 'pid': 4711, 'lease_until': now.timestamp() + 600}
        connection.execute(insert(processes).values(process))
        connection.execute(update(tasks).values(process='p'))
    page.registry['cron_store'].stop('shop.task', requested_by='ada')
    assert '■</span>stopping</span> <span>stop requested by ada at ' in visit(page, key(now))
    assert 'stopping' not in visit(page, key())


def test_a_minute_without_a_run_has_a_page(shop):
    values = {'outcome': 'missed', 'attempt': 0, 'trigger': 'none', 'host': None, 'reason': 'no tick came in time'}
    shop.record((DUE, values))
    answer = visit(shop, key())
    assert '<pre class="output wrapped" tabindex="0">no tick came in time</pre>' in answer
    assert shown_facts(answer).keys() == {'Minute', 'Recorded'}


def test_the_last_failure_of_a_task_shows_what_comes_next(make_page, store, now):
    page = make_page(recording([], fails=True), settings=store)
    due = now.replace(minute=0)
    tick(page.registry, due - timedelta(hours=2))
    tick(page.registry, due)
    answer = visit(page, key(due))
    assert '; next attempt ' in answer.text.partition('<p class="notice bad">')[2].partition('</p>')[0]
    chain = answer.text.partition('All records of this minute')[2]
    assert '…</span>to come</span> <span class="about">next attempt ' in chain
    older = visit(page, key(due - timedelta(hours=2)))
    assert '<p class="notice' not in older
    assert 'to come' not in older


@pytest.mark.slow
def test_a_minute_can_be_run_again_from_its_page(make_page, store, now):
    ran = []
    page = make_page(recording(ran), settings=store, policy=True, permission='read', write_permission='write')
    fill(page.registry, 1, now, most=1)
    due = now.replace(minute=0) - timedelta(hours=2)
    record(page.registry, ('shop.task', due, FAILED))
    assert 'Run again for this minute' not in visit(page, key(due), user='bob')
    shown = visit(page, key(due), user='ada')
    assert '<p class="hint">The task runs in this web server' in shown
    answer = page.press_on(shown, 'backfill', 'ada')
    assert 'shop.task ran for ' in answer
    assert len(ran) == 1
    again = visit(page, key(due), user='ada')
    assert 'Run again' not in again
    assert shown_facts(again)['Requested by'] == 'backfill, by ada'
    assert 'made good by ada' in visit(page, key(due), user='ada', id=FIRST)


@pytest.mark.slow
@pytest.mark.parametrize('outcome', ['ok', 'running', 'queued'])
def test_a_minute_that_is_no_failure_is_not_run_again(shop, outcome):
    shop.record((DUE, {'outcome': outcome}))
    assert 'Run again' not in visit(shop, key())


def test_of_a_task_that_is_gone_the_runs_are_shown(make_page, store, now):
    page = make_page(settings=store)
    fill(page.registry, 1, now, most=1)
    record(page.registry, ('old.task', DUE, FAILED))
    answer = visit(page, key(task='old.task'))
    assert '<h1 dir="auto">old.<wbr>task</h1>' in answer
    assert 'Run again' not in answer


def test_times_are_in_the_time_zone_of_the_task(make_page, store):
    page = make_page(
        lambda config: config.add_cron_task(print, name='shop.task', min=0, timezone='Asia/Tokyo'), settings=store
    )
    fill(page.registry, 1, most=1)
    record(page.registry, ('shop.task', DUE, FAILED))
    assert 'for Tue 2026-11-24 11:00 +09:00, 0.200 s; times are in Asia/Tokyo' in visit(page, key())


def test_the_log_system_is_a_link(make_page, store):
    page = make_page(settings=store | {'cron.log_url': 'https://logs.example/?q={key}&from={started}'})
    fill(page.registry, 1, most=1)
    record(page.registry, ('shop.task', DUE, FAILED))
    query = 'q=shop%3Ashop.task%402026-11-24T02%3A00Z&amp;from=2026-11-24T02%3A00%3A01Z'
    assert f'<a href="https://logs.example/?{query}" rel="noopener noreferrer">' in visit(page, key())


def test_what_is_not_recorded_is_not_found(shop):
    answer = visit(shop, key(), status=404)
    kept = 'it has not run, or its record was deleted after 30 days.'
    assert f'Nothing is recorded of {key()}: {kept}</p>' in answer
    assert '<a href="/admin/cron/task?name=shop.task">The page of shop.task</a>' in answer
    by_hand = visit(shop, f'shop:other@{FIRST}', status=404)
    assert f'shop:other@{FIRST}: {kept}</p>' in by_hand
    assert 'The page of' not in by_hand


@pytest.mark.slow
@pytest.mark.parametrize(
    'name', ['', 'shop', 'shop.task', key(app='other'), 'shop:shop.task@2026-02-30T02:00Z', 'shop:shop.task@x', '\0<b>']
)
def test_a_text_that_is_no_key_is_not_found(shop, name):
    shop.record((DUE, FAILED))
    answer = visit(shop, name, status=404)
    assert ' is no key of shop, such as shop:task@' in answer or ' names a minute that does not exist.' in answer
    assert '<b>' not in answer.text.partition('<main')[2]
    assert answer.headers['Cache-Control'] == 'no-store'


@pytest.mark.parametrize('minute', ['0001-01-01T00:00Z', '9999-12-31T23:59Z'])
def test_a_minute_at_the_end_of_the_calendar_is_not_found(shop, minute):
    visit(shop, f'shop:shop.task@{minute}', status=404)


def test_without_a_store_no_run_is_found(make_page):
    assert 'Runs are recorded only in a store: set cron.store.' in visit(make_page(add_task), key(), status=404)


def test_a_store_that_is_down_is_an_error(make_page, store, tmp_path):
    (tmp_path / 'cron.sqlite').write_text('this is no database')
    answer = visit(make_page(settings=store), key())
    assert 'the store is not available' in answer
    assert 'The runs are not known' in answer


def test_every_page_links_to_the_runs_it_shows(shop, now):
    due = now.replace(minute=0)
    shop.record((due, FAILED | {'started': now + timedelta(seconds=5)}))
    address = f'/admin/cron/history/run?key={key(due)}'
    assert shop.get().text.count(f'<a href="{address}">') == 2
    task = shop.task().text
    assert f'<a href="{address}&amp;id={FIRST}">' in task
    assert f'<a href="{address}">failed' in task
    assert f'<a href="{address}&amp;id={FIRST}">' in shop.get(f'/due?at={due:%Y-%m-%dT%H:%M}')


def test_the_first_run_of_a_task_and_a_stuck_one_are_links(make_page, store, now):
    minute = (now.minute + 30) % 60
    page = make_page(lambda config: config.add_cron_task(print, name='shop.task', min=minute), settings=store)
    fill(page.registry, 0, now)
    record(page.registry, ('shop.task', now - MINUTE, {'outcome': 'running', 'id': FIRST}))
    shown = write_key('shop', 'shop.task', None, FIRST)
    assert f'<a href="/admin/cron/history/run?key={shown}">' in page.get()
    assert visit(page, shown).status_int == 200


def test_the_page_needs_the_permission_to_read(make_page, store):
    page = make_page(settings=store, policy=True, permission='read', write_permission='write')
    visit(page, key(), status=403)
    page.get(f'/history/run?key={key()}', 'bob', 404)
