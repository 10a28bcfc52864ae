"""The page of all tasks."""

from datetime import datetime, timedelta, timezone
from urllib.parse import quote

from pyramid.config import Configurator

from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.status.queries import TasksState
from pyramid_cron.status.tasks_page import build_tasks_page
from tests.support.filling import fill, record, record_silence
from tests.support.status import add_tasks


def test_without_a_store_there_are_schedules_and_next_runs(make_page):
    page = make_page(add_tasks)
    answer = page.get()
    assert 'There is no store' in answer
    assert 'cron.store' in answer
    assert 'every day at 02:00' in answer
    assert '<code>0 2 * * *</code>' in answer
    assert 'Send the invoices.' in answer
    assert 'Europe/Berlin when idle' in answer
    assert '<b>not known</b>' in answer
    assert 'Last run' not in answer
    assert 'Needs attention' not in answer
    task = page.task('shop.daily')
    assert 'Run now' in task
    assert 'Pause' not in task
    assert '<dt>Store' not in task
    assert 'Runs are recorded only in a store' in task
    assert '3 tasks' in page.get('/due?at=2026-11-24T02:00')


def test_an_application_without_tasks_shows_how_to_register_one(make_page):
    answer = make_page(lambda config: None).get()
    assert 'config.add_cron_task()' in answer
    assert '<b>none</b>' in answer


def test_all_is_well_with_ticks_and_good_runs(make_page, store, now):
    page = make_page(add_tasks, settings=store)
    fill(page.registry, 2, now, most=40)
    answer = page.get()
    assert 'Ticks come, and nothing is wrong with any task.' in answer
    assert '<title>Last 30 runs: 30 ok</title>' in answer
    rows = answer.text.split('<tr role="row">')[2:]
    # the next to run first
    assert [name in row for name, row in zip(('shop.often', 'shop.daily', 'shop.never'), rows, strict=True)] == [
        True
    ] * 3


def test_what_needs_attention_comes_first(make_page, store, now):
    page = make_page(add_tasks, settings=store)
    fill(page.registry, 2, now, most=3)
    record_silence(page.registry, now - 20 * MINUTE, now - 11 * MINUTE, 'shop.often')
    # later than what the history has of this minute
    last = {'started': now + timedelta(seconds=2)}
    failed, lost = {'outcome': 'failed', 'seconds': 10.0, 'error': 'Timeout'}, {'outcome': 'lost', 'reason': 'gone'}
    record(page.registry, ('shop.daily', now, failed | last), ('shop.often', now, lost | last))
    page.registry['cron_store'].pause(['shop.never'], reason='the mail server moves', requested_by='ada')
    text = page.get().text
    notices = text.partition('Needs attention')[2].partition('</section>')[0]
    order = ['10 minutes without a tick', 'lost', 'failed', 'paused by ada until it is resumed: the mail server']
    assert [notices.find(words) for words in order] == sorted(notices.find(words) for words in order)
    assert -1 not in map(notices.find, order)
    assert text.index('Needs attention') < text.index('<dl class="facts">') < text.index('<table')
    # word, symbol, reason and seconds
    (row,) = (row for row in text.split('<tr role="row">')[2:] if 'name=shop.daily"' in row)
    assert '✗</span>failed</span>' in row
    assert '10.0 s' in row
    assert '<p>Timeout</p>' in row
    assert '‖</span>paused</span>' in text


def test_the_next_task_is_one_that_is_not_paused(make_page, store, now):
    page = make_page(add_tasks, settings=store)
    fill(page.registry, 2, now, most=3)
    page.registry['cron_store'].pause(['shop.often'], reason='r')
    facts = page.get().text.partition('<dl class="facts">')[2].partition('</dl>')[0]
    assert 'shop.daily' in facts
    assert 'shop.often' not in facts


def test_names_of_all_kinds_have_a_page(make_page):
    name = 'a&b=c/d "<é>" +%20.run_it'
    page = make_page(lambda config: config.add_cron_task(print, name=name, min=0))
    link = page.get().text.partition('<th role="rowheader" scope="row"><a href="')[2].partition('"')[0]
    assert '>a&amp;b=c/d &#34;&lt;é&gt;&#34; +%20.<wbr>run_<wbr>it</a>' in page.get()
    assert '<h1>a&amp;b=c/d &#34;&lt;é&gt;&#34; +%20.run_it</h1>' in page.browser.get(link)
    assert '"status">a&amp;b=c/d &#34;&lt;é&gt;&#34; +%20.run_it ran: ok' in page.press('run', quote(name))


def test_the_next_task_is_the_first_in_time():
    config = Configurator(settings={'cron.timezone': 'UTC'})
    config.include('pyramid_cron')
    for name, cron in {'never': '0 0 29 2 mon', 'evening': '0 20 * * *', 'noon': '0 12 * * *'}.items():
        config.add_cron_task(print, name=name, cron=cron)
    config.commit()
    page = build_tasks_page(config.registry, TasksState(), datetime(2026, 11, 24, 11, 0, tzinfo=timezone.utc))
    assert [row.name for row in page.rows] == ['noon', 'evening', 'never']
    assert (page.next_row.name, page.next_row.next_run.text) == ('noon', '12:00')


def test_an_unregistered_task_has_a_row_without_a_page(make_page, store, now):
    page = make_page(add_tasks, settings=store)
    fill(page.registry, 2, now, most=3)
    with page.engine.begin() as connection:
        for table in ('cron_tasks', 'cron_runs'):
            connection.exec_driver_sql(f"UPDATE {table} SET task = 'shop.gone' WHERE task = 'shop.often'")
        connection.exec_driver_sql("UPDATE cron_tasks SET task = 'shop.new' WHERE task = 'shop.never'")
        connection.exec_driver_sql("UPDATE cron_tasks SET last_seen = '2020-01-01' WHERE task = 'shop.gone'")
    answer = page.get()
    rows = answer.text.split('<tr role="row">')[2:]
    assert 'shop.<wbr>gone' in rows[-1]
    assert 'unregistered' in rows[-1]
    assert 'Last 3 runs: 3 ok' in rows[-1]
    assert '<a href' not in rows[-1]
    assert 'shop.new' not in answer
    assert 'no process with a tick has had it since Wed 2020-01-01 00:00' in answer
