"""The page of all tasks."""

import re
from datetime import datetime, timedelta, timezone
from urllib.parse import quote

import pytest
from pyramid.config import Configurator
from sqlalchemy import update

from pyramid_cron.progress import Progress
from pyramid_cron.schedules.clock import MINUTE
from pyramid_cron.status.queries import TasksState
from pyramid_cron.status.task_filter import PAGE_LENGTH, TaskFilter, choose
from pyramid_cron.status.tasks_page import build_tasks_page, list_entries
from pyramid_cron.store.schema import tasks
from tests.support.filling import fill, record, record_progress, record_silence
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


def test_a_run_in_progress_has_a_bar(make_page, store, now):
    page = make_page(add_tasks, settings=store)
    fill(page.registry, 1, now, most=1)
    record(page.registry, ('shop.daily', now, {'outcome': 'running'}))
    record_progress(page.registry, 'shop.daily', Progress(42.0, 100.0, now))
    assert page.get().text.count('<label class="progress"><progress max="100" value="42"></progress> 42 %</label>') == 1


def test_an_application_without_tasks_shows_how_to_register_one(make_page):
    answer = make_page(lambda config: None).get()
    assert 'config.add_cron_task()' in answer
    assert '<b>none</b>' in answer


def test_a_row_of_another_name_is_that_of_a_renamed_task(make_page, store, now):
    def rename(config):
        config.add_cron_task(print, name='shop.new', min=0, was='shop.task')

    fill(make_page(settings=store).registry, 2, now, most=3)
    page = make_page(rename, settings=store)
    minute = now.replace(minute=0)
    record(page.registry, ('shop.task', minute, {'outcome': 'failed', 'error': 'Timeout'}))
    answer = page.get()
    assert 'nothing is wrong' not in answer
    assert 'unregistered' not in answer
    assert re.search('<title>Last 4 runs: .*1 failed', answer.text)
    task = page.task('shop.new')
    assert task.text.count('>failed</span>') == 2
    run = page.get(f'/history/run?key={quote(f"shop:shop.new@{minute:%Y-%m-%dT%H:%MZ}")}')
    assert '<a href="/admin/cron/task?name=shop.new">' in run
    timeline = page.get('/timeline').text
    assert 'shop.new' in timeline
    assert 'shop.task' not in timeline


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
    failed, lost = (
        {'outcome': 'failed', 'seconds': 10.0, 'error': 'Timeout', 'reason': 'no answer'},
        {'outcome': 'lost', 'reason': 'gone'},
    )
    record(page.registry, ('shop.daily', now, failed | last), ('shop.often', now, lost | last))
    page.registry['cron_store'].pause(['shop.never'], reason='the mail server moves', requested_by='ada')
    text = page.get().text
    notices = text.partition('Needs attention')[2].partition('</section>')[0]
    order = ['10 minutes without a tick', 'lost', 'failed', 'until it is resumed: the mail server']
    assert [notices.find(words) for words in order] == sorted(notices.find(words) for words in order)
    assert -1 not in map(notices.find, order)
    assert text.index('Needs attention') < text.index('<dl class="facts">') < text.index('<table')
    # word, symbol, reason and seconds
    (row,) = (row for row in text.split('<tr role="row">')[2:] if 'name=shop.daily"' in row)
    assert '✗</span>failed <a href="/admin/cron/history/run?key=shop:shop.daily@' in row
    assert f'<time datetime="{now.isoformat(timespec="minutes")}">{now:%H:%M}</time></a></span>' in row
    assert '10.0 s' in row
    assert '<p class="clamped" dir="auto">Timeout: no answer</p>' in row
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
    assert '<h1 dir="auto">a&amp;b=c/d &#34;&lt;é&gt;&#34; +%20.<wbr>run_<wbr>it</h1>' in page.browser.get(link)
    assert '"status">a&amp;b=c/d &#34;&lt;é&gt;&#34; +%20.run_it ran: ok' in page.press('run', quote(name))


def test_the_next_task_is_the_first_in_time():
    config = Configurator(settings={'cron.timezone': 'UTC'})
    config.include('pyramid_cron')
    for name, cron in {'never': '0 0 29 2 mon', 'evening': '0 20 * * *', 'noon': '0 12 * * *'}.items():
        config.add_cron_task(print, name=name, cron=cron)
    config.commit()
    now = datetime(2026, 11, 24, 11, 0, tzinfo=timezone.utc)
    entries = list_entries(config.registry, TasksState(), now)
    choice = choose(entries, TaskFilter(), now)
    page = build_tasks_page(config.registry, TasksState(), entries, choice, {}, now, timezone.utc)
    assert [row.name for row in page.rows] == ['noon', 'evening', 'never']
    assert (page.next_task.name, page.next_task.at.text) == ('noon', '12:00')


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
    # of its last run only
    assert re.findall('<a href="(.*?)[?]', rows[-1].partition('</table>')[0]) == ['/admin/cron/history/run']
    assert 'shop.new' not in answer
    assert 'no process with a tick has had it since Wed 2020-01-01 00:00' in answer


def test_schedules_of_the_setting_are_shown(make_page):
    overrides = {'cron.schedules': {'shop.daily': '30 3 * * *', 'shop.often': 'off'}}
    answer = make_page(add_tasks, settings=overrides).get()
    assert '<div>every day at 03:30<p>by cron.schedules</p><p><code>30 3 * * *</code>' in answer
    assert '<div>off<p>by cron.schedules</p>' in answer
    assert '<span class="none">off</span>' in answer
    assert answer.text.count('by cron.schedules') == 2


def silence(page, now, hours):
    """Let the last tick, and what it has left in the rows of the tasks, be some hours ago."""
    last = now - timedelta(hours=hours)
    values = {'last_minute': last, 'next_due': last + MINUTE}
    with page.engine.begin() as connection:
        connection.execute(update(tasks).where(tasks.c.task == 'shop.often').values(**values))


@pytest.mark.slow
def test_without_ticks_tasks_are_overdue_and_next_runs_in_doubt(make_page, store, now):
    page = make_page(add_tasks, settings=store)
    fill(page.registry, 2, now - timedelta(hours=3))
    silence(page, now, 3)
    answer = page.get()
    row = next(row for row in answer.text.split('<tr role="row">')[2:] if 'name=shop.often"' in row)
    assert 'overdue <time' in row
    assert '>2 h 59 min' in row or '>3 h<' in row
    assert 'no tick has come since then</p>' in row
    assert '<p>if ticks come</p>' in row
    assert 'in 1 min' not in answer
    facts = answer.text.partition('<dl class="facts">')[2].partition('</dl>')[0]
    assert '<b>none</b> <span>before a tick comes</span>' in facts
    # the notice of the ticks names the tasks, and each of them has none of its own
    notices = answer.text.partition('Needs attention')[2].partition('</section>')[0]
    assert notices.count('shop.often</a>') == 1
    assert 'if ticks come' in page.task('shop.often')
    assert 'due for' in page.task('shop.often')


def add_many(config):
    for number in range(PAGE_LENGTH + 10):
        config.add_cron_task(print, name=f'shop.task{number:02}', min=number % 60)


def names(answer):
    """Return the names of the tasks in the table, in their order."""
    return [
        row.partition('name=')[2].partition('"')[0]
        for row in answer.text.partition('<tbody')[2].split('<tr role="row">')[1:]
    ]


@pytest.mark.slow
def test_tasks_are_found_by_state_and_name(make_page, store, now):
    page = make_page(add_many, settings=store)
    fill(page.registry, 1, now, most=2)
    failed = {'outcome': 'failed', 'error': 'OperationalError', 'reason': 'could not connect to db-1'}
    three = [f'shop.task{number}' for number in (11, 22, 33)]
    record(page.registry, *((name, now, failed | {'started': now + timedelta(seconds=2)}) for name in three))
    answer = page.get()
    assert sorted(names(answer)[:3]) == three
    assert f'{PAGE_LENGTH + 10} of {PAGE_LENGTH + 10} tasks, {PAGE_LENGTH} on this page' in answer
    # three failures with one reason are one notice
    notices = answer.text.partition('Needs attention')[2].partition('</section>')[0]
    assert notices.count('<li') == 1
    assert 'OperationalError \N{MULTIPLICATION SIGN} 3: could not connect to db-1;' in notices
    assert len(names(answer.click('^2$'))) == 10
    chosen = answer.click('failed <b>3</b>')
    assert sorted(names(chosen)) == three
    assert '3 of 60 tasks · <a href="/admin/cron">Show all</a>' in chosen
    form = next(form for form in chosen.forms.values() if 'name' in form.fields)
    form['name'] = 'TASK2'
    narrow = form.submit()
    assert names(narrow) == ['shop.task22']
    assert narrow.request.query_string == 'name=TASK2&state=failed'
    form['name'] = 'nothing'
    nothing = form.submit()
    assert 'No task matches.' in nothing
    assert sorted(names(nothing.click('Show all', index=0))[:3]) == three


@pytest.mark.slow
def test_headings_sort_and_keep_the_filter(make_page, store, now):
    page = make_page(add_many, settings=store)
    fill(page.registry, 1, now, most=2)
    answer = page.get('?name=task1').click('^Task$')
    assert answer.request.query_string == 'name=task1&sort=name'
    assert names(answer) == [f'shop.task1{digit}' for digit in range(10)]
    assert '<th role="columnheader" scope="col" aria-sort="ascending">' in answer
    assert names(answer.click('^Task '))[0] == 'shop.task19'
    assert len(names(answer.click('What needs attention first'))) == 10
    by_duration = page.get('?sort=duration')
    assert by_duration.text.count('aria-sort="descending"') == 1


@pytest.mark.parametrize('query', ['state=broken', 'sort=size', 'page=0', f'name={"x" * 256}'])
def test_a_bad_parameter_is_refused(make_page, query):
    assert query.partition('=')[0] in page_error(make_page(), query)


def page_error(page, query):
    return page.get(f'?{query}', status=400).text


def test_few_tasks_have_no_filters(make_page):
    answer = make_page(add_tasks).get()
    assert 'role="search"' not in answer
    assert '<th role="columnheader" scope="col">Task</th>' in answer
    # unless a bookmark leaves some out
    assert 'role="search"' in make_page(add_tasks).get('?name=daily')


def test_without_a_store_tasks_are_found_by_name(make_page):
    answer = make_page(add_many).get('?name=task05')
    assert names(answer) == ['shop.task05']
    assert 'class="chips"' not in answer
    assert 'Last due' not in answer


def test_a_query_of_another_encoding_is_refused(make_page):
    make_page().get('?name=%ff', status=400)
