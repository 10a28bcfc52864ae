"""The page over HTTP: what is shown, with which headers, and what its buttons do."""

import logging
import re
from datetime import datetime, timedelta, timezone
from urllib.parse import quote

import pytest
from pyramid.config import Configurator
from pyramid.events import NewRequest
from pyramid.httpexceptions import HTTPFound
from pyramid.security import NO_PERMISSION_REQUIRED
from sqlalchemy import event

from pyramid_cron.schedules.clock import MINUTE, current_minute
from pyramid_cron.status.memory import TaskMemory
from pyramid_cron.status.task_page import detail_of
from pyramid_cron.testing import tick
from tests.support.filling import fill, record, record_silence

CSP = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'"


def add_tasks(config):
    def daily(system):
        """Send the invoices."""

    config.add_cron_task(lambda system: None, name='shop.often', min='*', timezone='Europe/Berlin', idle=True)
    config.add_cron_task(daily, name='shop.daily', cron='0 2 * * *')
    config.add_cron_task(print, name='shop.never', min=0, hour=0, day=29, month=2, dow='mon', timezone='UTC')


def recording(ran, fails=False):
    def configure(config):
        def work(system):
            ran.append(system['scheduled_for'])
            if fails:
                raise ValueError('no paper')

        config.add_cron_task(work, name='shop.task', min=0, catch_up=0, retries=2)

    return configure


@pytest.mark.parametrize('path', ['', '/task?name=shop.task', '/due', '/due?at=2026-11-24T02:00'])
def test_every_page_keeps_itself_private_and_strangers_out(make_page, path):
    headers = make_page().get(path).headers
    assert headers['Cache-Control'] == 'no-store'
    assert headers['Content-Security-Policy'] == CSP
    assert headers['X-Content-Type-Options'] == 'nosniff'
    assert headers['X-Frame-Options'] == 'DENY'
    assert headers['Referrer-Policy'] == 'same-origin'


@pytest.mark.parametrize('path', ['', '/task?name=shop.task', '/due?at=2026-11-24T02:00'])
def test_no_page_has_a_script_or_a_style_in_it_or_an_address_elsewhere(make_page, store, path):
    text = make_page(settings=store).get(path).text
    assert not re.search(r'<script|<style|<[^>]* (style|on\w+)=|https?:|//', text)


def test_the_stylesheet_may_be_kept_until_it_changes(make_page):
    page = make_page()
    address = page.get().text.partition('rel="stylesheet" href="')[2].partition('"')[0]
    assert '?v=' in address
    assert 'max-age=31536000' in page.browser.get(address).headers['Cache-Control']


def test_without_a_store_there_are_schedules_and_next_runs_and_what_the_rest_would_need(make_page):
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
    assert 'What ran is remembered only in a store' in task
    assert '3 tasks' in page.get('/due?at=2026-11-24T02:00')


def test_an_application_without_tasks_is_told_how_to_register_one(make_page):
    answer = make_page(lambda config: None).get()
    assert 'config.add_cron_task()' in answer
    assert '<b>none</b>' in answer


def test_a_store_without_tables_knows_nothing_yet(make_page, store):
    page = make_page(settings=store)
    answer = page.get()
    assert '<b>never</b>' in answer
    assert 'No tick has come yet' in answer
    assert 'none yet' in answer
    assert 'Nothing of that is remembered' in page.task()
    assert 'nothing is recorded of it' in page.get('/due?at=2020-11-24T02:00')


def test_a_store_that_cannot_be_asked_is_told_on_every_page(make_page, store, tmp_path):
    (tmp_path / 'cron.sqlite').write_text('this is no database')
    page = make_page(settings=store)
    for path in ('', '/task?name=shop.task', '/due?at=2026-11-24T02:00'):
        answer = page.get(path)
        assert 'the store cannot be asked' in answer
        assert 'What ran is not known' in answer
    for action, done in {'run': 'run', 'pause': 'paused', 'resume': 'resumed'}.items():
        answer = page.browser.post(
            f'/admin/cron/{action}', {'name': 'shop.task', 'reason': 'r', 'seen': '0', 'csrf_token': token(page)}
        ).follow()
        assert f'shop.task was not {done}: the store cannot be asked' in answer


def token(page):
    return page.task().forms[0]['csrf_token'].value


def test_all_is_well_with_ticks_and_good_runs(make_page, store, now):
    page = make_page(add_tasks, settings=store)
    fill(page.registry, 2, now, most=40)
    answer = page.get()
    assert 'Ticks come, and the last run of every task was good' in answer
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
    page.registry['cron_claims'].pause(['shop.never'], reason='the mail server moves', requested_by='ada')
    text = page.get().text
    told = text.partition('Needs attention')[2].partition('</section>')[0]
    order = ['10 minutes without a tick', 'lost', 'failed', 'paused by ada until somebody resumes it: the mail server']
    assert [told.find(words) for words in order] == sorted(told.find(words) for words in order)
    assert -1 not in map(told.find, order)
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
    page.registry['cron_claims'].pause(['shop.often'], reason='r')
    facts = page.get().text.partition('<dl class="facts">')[2].partition('</dl>')[0]
    assert 'shop.daily' in facts
    assert 'shop.often' not in facts


def test_the_page_asks_few_questions_however_many_tasks_there_are(make_page, store, now):
    def add(config):
        for number in range(60):
            config.add_cron_task(print, name=f'shop.task{number}', min=number)

    page = make_page(add, settings=store)
    fill(page.registry, 1, now)
    statements = []
    event.listen(page.engine, 'before_cursor_execute', lambda *args: statements.append(args[2]))
    page.get()
    assert len([statement for statement in statements if statement.startswith('SELECT')]) == 6


def test_the_page_of_a_task_shows_what_is_known_of_it(make_page, store, now):
    page = make_page(recording([]), settings=store)
    fill(page.registry, 1, now, most=2)
    trace = {'error': 'Timeout', 'traceback': 'Traceback\n  File "x"\nTimeout: <b>'}
    record(page.registry, ('shop.task', now, {'outcome': 'failed', **trace}))
    record_silence(page.registry, now - 3 * MINUTE, now - 2 * MINUTE, 'shop.task')
    answer = page.task()
    for words in ('every hour', '0 * * * *', 'UTC', 'test_views.recording.', 'never late', '<dt>Store', '+00:00'):
        assert words in answer
    assert answer.text.count('class="offset"') == 10
    assert '<b>Timeout</b>; process 4711 on web-1' in answer
    assert '<pre tabindex="0">Traceback\n  File &#34;x&#34;\nTimeout: &lt;b&gt;</pre>' in answer
    assert '<b>nobody asked in time</b>' in answer
    faults = page.task(faults=1)
    history = faults.text.partition('<ol class="history">')[2]
    assert history.count('<li>') == 2
    assert '>ok<' not in history
    assert '<b>Only what failed, was lost or missed</b>' in faults


def test_a_task_that_is_not_in_the_store_has_no_history_and_cannot_be_paused(make_page, store):
    answer = make_page(
        lambda config: config.add_cron_task(print, name='shop.task', min=0, store=False), settings=store
    ).task()
    assert 'no: each process is on its own' in answer
    assert 'Pause' not in answer
    assert 'of tasks that are durable' in answer


@pytest.mark.parametrize('path', ['/task', '/task?name=other'])
def test_a_task_that_there_is_not_is_not_found(make_page, path):
    make_page().get(path, status=404)


def test_names_of_all_kinds_have_a_page(make_page):
    name = 'a&b=c/d "<é>" +%20.run_it'
    page = make_page(lambda config: config.add_cron_task(print, name=name, min=0))
    link = page.get().text.partition('<th role="rowheader" scope="row"><a href="')[2].partition('"')[0]
    assert '>a&amp;b=c/d &#34;&lt;é&gt;&#34; +%20.<wbr>run_<wbr>it</a>' in page.get()
    assert '<h1>a&amp;b=c/d &#34;&lt;é&gt;&#34; +%20.run_it</h1>' in page.browser.get(link)
    assert '"status">a&amp;b=c/d &#34;&lt;é&gt;&#34; +%20.run_it ran: ok' in page.press('run', quote(name))


def test_the_process_of_a_run_that_was_lost_is_told_once(make_page, store, now):
    page = make_page(settings=store)
    fill(page.registry, 1, now, most=0)
    lost = {'outcome': 'lost', 'reason': 'process 4711 on web-1, since 02:00', 'attempt': 2}
    record(page.registry, ('shop.task', now, lost))
    history = page.task().text.partition('<h2 id="history">')[2]
    assert '<span class="about">attempt 2, process 4711 on web-1</span>' in history
    # where nothing else tells it
    assert '<p>process 4711 on web-1, since 02:00</p>' in page.get()


def test_what_was_due_is_told_with_the_reason_for_each_task(make_page, store, now):
    page = make_page(add_tasks, settings=store)
    fill(page.registry, 2, now)
    day = now - timedelta(days=1)
    answer = page.get(f'/due?at={day:%Y-%m-%d}T02:00')
    assert f'{day:%Y-%m-%d} 02:00 UTC: 2 of 3 tasks were due' in answer
    assert answer.text.count('all fields match') == 2
    assert 'Not due: 1, and why' in answer
    assert 'hour is 2, not 0' in answer
    assert answer.text.count('✓</span>ok</span>') == 2
    assert f'value="{day:%Y-%m-%d}T02:00"' in answer
    assert 'nothing is recorded of it' not in answer
    coming = page.get('/due?at=2190-01-01T02:01')
    assert '1 of 3 tasks will be due' in coming
    assert 'nothing is recorded' not in coming
    # nothing is due
    assert '<ul class="verdicts">' in make_page().get('/due?at=2026-11-24T02:01')
    assert '<details' not in make_page().get('/due?at=2026-11-24T02:00')


def test_before_a_minute_is_asked_for_the_form_has_the_present_one(make_page, now):
    answer = make_page().get('/due')
    assert f'value="{now:%Y-%m-%d}T' in answer
    assert 'tasks were due' not in answer


@pytest.mark.parametrize(
    ('at', 'problem'), [('x', 'is not a time such as'), ('2026-03-29T02:30', 'is a time that the clocks skip')]
)
def test_what_is_no_time_is_told(make_page, at, problem):
    answer = make_page(settings={'cron.timezone': 'Europe/Berlin'}).get(f'/due?at={at}')
    assert problem in answer
    assert 'tasks were due' not in answer


def test_a_run_by_hand_goes_through_the_application_and_is_recorded(make_page, store, caplog):
    ran = []
    page = make_page(recording(ran), settings=store, policy=True, permission='read', write_permission='write')
    answer = page.press('run', user='ada')
    assert len(ran) == 1
    assert 'role="status">shop.task ran: ok in 0.0' in answer
    assert 'by hand, ada' in page.task(user='bob')
    assert 'task shop.task is run by hand by ada' in caplog.text
    # the sentence is only for the browser that pressed
    assert 'role="status"' not in page.task(user='ada')
    assert 'role="status"' not in page.get('/task?name=shop.task&said=You+won&signed=0', 'ada')


def test_who_runs_it_is_not_told_where_that_is_not_known(make_page, caplog):
    ran = []
    page = make_page(recording(ran))
    assert 'shop.task ran: ok' in page.press('run')
    assert 'task shop.task is run by hand\n' in caplog.text
    # without a store, nothing remembers the first press
    page.press('run')
    assert len(ran) == 2


def test_a_button_that_is_pressed_twice_runs_a_task_once(make_page, store):
    ran = []
    page = make_page(recording(ran), settings=store)
    # makes the tables
    tick(page.registry, current_minute())
    before = len(ran)
    shown = page.task()
    assert 'ran: ok' in page.press_on(shown, 'run')
    again = page.press_on(shown, 'run')
    assert 'shop.task was not run again: it has been run by hand since the page was loaded' in again
    assert len(ran) == before + 1
    assert 'ran: ok' in page.press('run')


def test_a_run_that_fails_is_told(make_page):
    page = make_page(recording([], fails=True))
    assert 'shop.task failed after 0.0' in page.press('run')
    assert 's: ValueError.' in page.press('run')


def test_a_task_that_is_running_is_not_run_beside_itself(make_page):
    inner = []

    def configure(config):
        def work(system):
            inner.append(page.press('run').text)

        config.add_cron_task(work, name='shop.task', min=0)

    page = make_page(configure)
    assert 'shop.task ran: ok' in page.press('run')
    assert 'shop.task was not run: skipped, still running' in inner[0]


def test_what_a_task_is_handed_over_to_is_shown_and_what_is_queued_is_no_fault(make_page, store, now):
    def configure(config):
        config.add_cron_task(print, name='shop.task', min=0, via=hand_over)

    page = make_page(configure, settings=store)
    record(page.registry, ('shop.task', now - 90 * MINUTE, {'outcome': 'running'}))
    assert '>running<' in page.task()
    assert 'stuck' not in page.task()
    record(page.registry, ('shop.task', now - 3 * MINUTE, {'outcome': 'queued'}))
    answer = page.task()
    assert 'Handed over to' in answer
    assert 'test_views.hand_over' in answer
    assert '>queued<' in answer


def hand_over(handover):
    pass


def test_an_application_that_answers_before_the_task_runs_is_told(make_page):
    def configure(config):
        config.add_cron_task(print, name='shop.task', min=0)
        config.add_subscriber(logged_in, NewRequest)

    def logged_in(event):
        if event.request.path == '/cron':
            raise HTTPFound('https://login')

    answer = make_page(configure).press('run')
    assert 'shop.task was not run: the application answered 302 Found before its tasks could run' in answer


def test_a_task_is_paused_with_a_reason_and_resumed(make_page, store, now):
    page = make_page(settings=store, policy=True, permission='read', write_permission='write')
    fill(page.registry, 1, now, most=1)
    until = now + timedelta(days=2)
    answer = page.press('pause', user='ada', reason=' the  disk\tis full ', until=f'{until:%Y-%m-%dT%H:%M}')
    assert f'shop.task is paused until {until:%a %Y-%m-%d %H:%M}.' in answer
    (pause,) = page.registry['cron_claims'].paused().values()
    assert pause == (until, 'the disk is full', 'ada')
    assert f'</span>paused</span> <span>until {until:%a %Y-%m-%d %H:%M}, by ada: the disk is full' in answer
    # what it is due at until then does not run
    runs = re.findall('<li><time datetime="(.*?)">', answer.text)
    assert len(runs) == 10
    assert all(datetime.fromisoformat(run) >= until for run in runs)
    assert re.search('data-label="Next run"><div><time datetime="(.*?)"', page.get(user='ada').text)[1] == runs[0]
    assert 'shop.task is resumed.' in page.press('resume', user='ada')
    assert page.registry['cron_claims'].paused() == {}


def test_a_pause_without_an_end_lasts_until_it_is_resumed(make_page, store, now):
    page = make_page(settings=store)
    fill(page.registry, 1, now, most=1)
    answer = page.press('pause', reason='why not')
    assert 'shop.task is paused until somebody resumes it.' in answer
    assert '<span>until it is resumed: why not' in answer
    assert '<p class="calm">It is paused.</p>' in answer
    assert '<span class="none">paused</span>' in page.get()
    page.registry['cron_claims'].resume(['shop.task'])
    assert 'shop.task was not paused.' in page.press_on(answer, 'resume')


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'reason': ' '}, 'shop.task was not paused: say why, for those who wonder'),
        ({'reason': 'r', 'until': 'soon'}, 'shop.task was not paused: until &#39;soon&#39; is not a time'),
        ({'reason': 'r', 'until': '2020-01-01T00:00'}, 'shop.task was not paused: Wed 2020-01-01 00:00 is over'),
        ({'reason': 'r'}, 'shop.task was not paused: the store knows no task'),
    ],
)
def test_what_cannot_be_paused_is_told(make_page, store, now, fields, message):
    page = make_page(settings=store)
    assert message in page.press('pause', **fields)


def test_who_may_only_read_sees_no_buttons_and_cannot_press_them(make_page, store, now):
    ran = []
    page = make_page(recording(ran), settings=store, policy=True, permission='read', write_permission='write')
    fill(page.registry, 1, now, most=1)
    page.get(status=403)
    page.get('/due', status=403)
    assert '<form' not in page.task(user='bob')
    form = page.task(user='ada').forms[0]
    fields = {'name': 'shop.task', 'seen': '0', 'reason': 'r', 'csrf_token': form['csrf_token'].value}
    for action in ('run', 'pause', 'resume'):
        page.browser.post(f'/admin/cron/{action}', fields, headers={'User': 'bob'}, status=403)
        # the CSRF token of the browser
        page.browser.post(f'/admin/cron/{action}', fields | {'csrf_token': 'x'}, headers={'User': 'ada'}, status=400)
        page.browser.get(f'/admin/cron/{action}', fields, headers={'User': 'ada'}, status=404)
    assert ran == []
    assert page.registry['cron_claims'].paused() == {}


def test_without_a_write_permission_of_its_own_who_may_read_may_press(make_page):
    page = make_page(policy=True, permission='read')
    assert 'ran: ok' in page.press('run', user='bob')


def test_a_page_for_everybody_has_buttons_whatever_the_policy_says(make_page):
    assert 'Run now' in make_page(policy=True, permission=NO_PERMISSION_REQUIRED).task()


@pytest.mark.parametrize('seen', ['', 'x', '1e99', 'nan'])
def test_a_form_that_was_not_made_here_is_refused(make_page, seen):
    page = make_page()
    page.browser.post('/admin/cron/run', {'name': 'shop.task', 'seen': seen, 'csrf_token': token(page)}, status=400)


def test_a_run_is_apart_from_the_transaction_of_the_request(make_page, caplog):
    def configure(config):
        config.include('pyramid_tm')
        config.add_settings({'tm.manager_hook': 'pyramid_tm.explicit_manager'})

        def work(system):
            managers.append(system['request'].tm)

        config.add_cron_task(work, name='shop.task', min=0)

    managers = []
    caplog.set_level(logging.ERROR)
    page = make_page(configure)
    assert 'shop.task ran: ok' in page.press('run')
    assert len(managers) == 1
    assert caplog.records == []


def test_a_schedule_without_words_is_shown_once(make_page):
    page = make_page(lambda config: config.add_cron_task(print, name='shop.task', cron='*/7 * * * *'))
    assert page.get().text.count('*/7 * * * *') == 1
    task = page.task()
    assert task.text.count('*/7 * * * *') == 1
    assert 'As written' not in task


def test_next_runs_show_both_sides_of_a_change_of_the_clocks():
    config = Configurator(settings={'cron.timezone': 'Europe/Berlin'})
    config.include('pyramid_cron')
    config.add_cron_task(print, name='shop.task', cron='30 1,3 * * *')
    config.commit()
    (task,) = config.registry['cron_tasks']
    before = datetime(2026, 3, 28, 12, 0, tzinfo=timezone.utc)
    shown = detail_of(config.registry, task, TaskMemory(), before).next
    assert [(run.at.text, run.offset, run.changed) for run in shown[:4]] == [
        ('Sun 2026-03-29 01:30', '+01:00', False),
        ('Sun 2026-03-29 03:30', '+02:00', True),
        ('Mon 2026-03-30 01:30', '+02:00', False),
        ('Mon 2026-03-30 03:30', '+02:00', False),
    ]
    assert len(shown) == 10


def test_a_store_that_fails_before_the_run_is_told(make_page, store, now):
    page = make_page(settings=store)
    fill(page.registry, 1, now, most=1)
    shown = page.task()
    # as a migration that is under way may leave it
    with page.engine.begin() as connection:
        connection.exec_driver_sql('DROP TABLE cron_tasks')
    assert 'shop.task was not run: the store cannot be asked' in page.press_on(shown, 'run')
