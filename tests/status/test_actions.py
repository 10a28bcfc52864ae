"""The buttons of the page: run now, run for a past minute, pause and resume."""

import logging
import re
import sys
from datetime import datetime, timedelta
from html import unescape
from types import SimpleNamespace

import pytest
from pyramid.events import NewRequest
from pyramid.httpexceptions import HTTPFound

from pyramid_cron import perform
from pyramid_cron.schedules.clock import MINUTE, current_minute
from pyramid_cron.status.actions import acknowledge, stop
from pyramid_cron.store.history import History, WithoutRun
from pyramid_cron.store.schema import processes, runs, tasks
from pyramid_cron.testing import tick
from tests.support.enqueueing import Queue
from tests.support.filling import fill, record, record_silence
from tests.support.statements import outage
from tests.support.status import add_task, recording, token, user_header


@pytest.mark.slow
def test_a_run_by_hand_is_recorded_with_its_user(make_page, store, caplog):
    ran = []
    page = make_page(recording(ran), settings=store, policy=True, permission='read', write_permission='write')
    answer = page.press('run', user='ada')
    assert len(ran) == 1
    assert 'role="status">shop.task ran: ok in 0.0' in answer
    assert 'by hand, ada' in page.task(user='bob')
    assert 'task shop.task is run by hand by ada' in caplog.text
    # the message is only for the browser that pressed the button
    assert 'role="status"' not in page.task(user='ada')
    assert 'role="status"' not in page.get('/task?name=shop.task&flash=You+won&signature=0', 'ada')


def test_without_users_a_run_has_no_name(make_page, caplog):
    ran = []
    page = make_page(recording(ran))
    assert 'shop.task ran: ok' in page.press('run')
    assert 'task shop.task is run by hand\n' in caplog.text
    # without a store, the first run is not recorded
    page.press('run')
    assert len(ran) == 2


@pytest.mark.slow
def test_a_button_pressed_twice_runs_a_task_once(make_page, store):
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


def enqueuing(queue):
    def configure(config):
        config.add_cron_task(print, name='shop.task', min=0, via=queue)

    return configure


def test_a_task_with_an_engine_is_enqueued_at_once(make_page, store, capsys):
    queue = Queue()
    page = make_page(enqueuing(queue), settings=store)
    answer = page.press('run')
    [handover] = queue
    assert f'role="status">shop.task is enqueued with {Queue.__module__}.Queue; the key of its run is ' in answer
    assert handover.key in answer
    assert capsys.readouterr().out == ''
    history = answer.text.partition('<h2 id="history">')[2]
    assert '>queued<' in history
    assert 'by hand' in history
    assert perform(page.config.make_wsgi_app(), handover.key).outcome == 'ok'
    assert '>queued<' not in page.task()


@pytest.mark.slow
def test_a_run_that_waits_for_a_worker_is_not_enqueued_again(make_page, store):
    queue = Queue()
    page = make_page(enqueuing(queue), settings=store)
    shown = page.task()
    page.press_on(shown, 'run')
    assert 'was not run again: it has been run by hand since the page was loaded' in page.press_on(shown, 'run')
    assert 'shop.task was not run: skipped, still queued, since ' in page.press('run')
    assert len(queue) == 1


@pytest.mark.parametrize('stored', [{}, {'store': False}])
def test_a_task_outside_the_store_is_enqueued_too(make_page, store, stored):
    queue = Queue()

    def configure(config):
        config.add_cron_task(print, name='shop.task', min=0, via=queue, **stored)

    answer = make_page(configure, settings=store if stored else {}).press('run')
    assert f'the key of its run is {queue[0].key}.' in answer


@pytest.fixture
def start_processes(tmp_path, monkeypatch):
    """Return a function by which a shell script is put in the place of the interpreter of processes."""
    script, ini = tmp_path / 'python3', tmp_path / 'shop.ini'
    ini.touch()
    monkeypatch.setattr(sys, 'executable', str(script))
    monkeypatch.setattr(sys, 'argv', ['pserve', str(ini)])

    def start(text):
        script.write_text(f'#!/bin/sh\n{text}\n')
        script.chmod(0o755)

    return start


def test_a_task_without_an_engine_runs_in_a_process_of_its_own(make_page, store, start_processes):
    start_processes('echo pid 4711')
    ran = []
    page = make_page(recording(ran), settings=store)
    shown = page.task()
    assert 'The task runs in its own process.' in shown
    answer = page.press_on(shown, 'run')
    [key] = re.findall(r'shop\.task runs in process 4711; the key of its run is (\S+)\.</p>', answer.text)
    assert ran == []
    assert 'was not run again' in page.press_on(shown, 'run')
    assert perform(page.config.make_wsgi_app(), key).outcome == 'ok'
    assert len(ran) == 1


@pytest.mark.slow
def test_the_message_reports_a_process_that_does_not_start(make_page, store, start_processes):
    start_processes('echo error 11')
    page = make_page(recording([]), settings=store)
    answer = unescape(page.press('run').text)
    message = r'shop\.task could not be enqueued with process after 0\.\d+ s: NotStarted: no process could be started: '
    assert re.search(message, answer)
    assert '>failed<' in answer.partition('<h2 id="history">')[2]


@pytest.mark.slow
def test_the_message_reports_a_queue_that_is_away(make_page, store):
    queue = Queue()
    queue.broken = ConnectionError('no answer\nfrom amqp://shop:secret@queue.example')
    page = make_page(enqueuing(queue), settings=store)
    answer = unescape(page.press('run').text)
    assert re.search(r'shop\.task could not be enqueued with \S+\.Queue after 0\.\d+ s: ConnectionError: ', answer)
    assert 'ConnectionError: no answer from amqp://***@queue.example' in answer


@pytest.mark.slow
def test_a_task_runs_by_hand_while_it_is_paused(make_page, store):
    queue = Queue()
    page = make_page(enqueuing(queue), settings=store)
    page.press('run')
    perform(page.config.make_wsgi_app(), queue.pop().key)
    page.press('pause', reason='the disk is full')
    page.press('run')
    assert perform(page.config.make_wsgi_app(), queue.pop().key).outcome == 'ok'


def test_the_message_names_the_error_of_a_run(make_page):
    page = make_page(recording([], fails=True))
    assert 'shop.task failed after 0.0' in page.press('run')
    assert 's: ValueError.' in page.press('run')


def test_the_message_has_the_reason_of_a_skip(make_page):
    page = make_page(recording([], skips=True))
    assert 'shop.task ran and skipped: no new file' in page.press('run')


def test_a_running_task_is_not_run_beside_itself(make_page):
    inner = []

    def configure(config):
        def work(system):
            inner.append(page.press('run').text)

        config.add_cron_task(work, name='shop.task', min=0)

    page = make_page(configure)
    assert 'shop.task ran: ok' in page.press('run')
    assert 'shop.task was not run: skipped, still running' in inner[0]


def test_the_message_reports_an_application_that_answers_before(make_page):
    def configure(config):
        config.add_cron_task(print, name='shop.task', min=0)
        config.add_subscriber(logged_in, NewRequest)

    def logged_in(event):
        if event.request.path == '/cron':
            raise HTTPFound('https://login')

    answer = make_page(configure).press('run')
    assert 'shop.task was not run: the application answered 302 Found before its tasks could run' in answer


def test_the_message_reports_a_store_that_is_down(make_page, store, now):
    page = make_page(settings=store)
    fill(page.registry, 1, now, most=1)
    shown = page.task()
    # as a migration that is under way may leave it
    with page.engine.begin() as connection:
        connection.exec_driver_sql('DROP TABLE cron_tasks')
    assert 'shop.task was not run: the store is not available' in page.press_on(shown, 'run')


def test_the_message_reports_a_claim_that_fails(make_page, store, now):
    page = make_page(settings=store)
    fill(page.registry, 1, now, most=1)
    shown = page.task()
    with outage(page.registry['cron_store'].database.engine, of=tasks, kind='update', sets='run_id'):
        answer = page.press_on(shown, 'run')
    assert 'shop.task was not run: the store is not available: the database has gone' in answer


def test_a_run_is_apart_from_the_requests_transaction(make_page, caplog):
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


@pytest.mark.slow
def test_a_task_is_paused_with_a_reason_and_resumed(make_page, store, now):
    page = make_page(settings=store, policy=True, permission='read', write_permission='write')
    fill(page.registry, 1, now, most=1)
    until = now + timedelta(days=2)
    answer = page.press('pause', user='ada', reason=' the  disk\tis full ', until=f'{until:%Y-%m-%dT%H:%M}')
    assert f'shop.task is paused until {until:%a %Y-%m-%d %H:%M} +00:00 (UTC), in ' in answer
    (pause,) = page.registry['cron_store'].paused().values()
    assert pause == (until, 'the disk is full', 'ada', False, None)
    end = f'{until:%a %Y-%m-%d %H:%M}'
    assert re.search(
        rf'</span>paused</span> <span dir="auto">by ada since .{{20}} until {end}: the disk is full', answer.text
    )
    # the runs before the end of the pause are left out
    runs = re.findall('<li><time datetime="(.*?)">', answer.text)
    assert len(runs) == 10
    assert all(datetime.fromisoformat(run) >= until for run in runs)
    assert re.search('data-label="Next run"><div><time datetime="(.*?)"', page.get(user='ada').text)[1] == runs[0]
    assert 'shop.task is resumed.' in page.press('resume', user='ada')
    assert page.registry['cron_store'].paused() == {}


def test_a_pause_without_an_end_lasts_until_resumed(make_page, store, now):
    page = make_page(settings=store)
    fill(page.registry, 1, now, most=1)
    answer = page.press('pause', reason='why not')
    assert 'shop.task is paused until it is resumed.' in answer
    assert re.search(r'<span dir="auto">since .{20} until it is resumed: why not', answer.text)
    assert '<p class="calm">The task is paused.</p>' in answer
    assert '<span class="none">paused</span>' in page.get()
    page.registry['cron_store'].resume(['shop.task'])
    assert 'shop.task was not paused.' in page.press_on(answer, 'resume')


@pytest.mark.slow
@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'reason': ' '}, 'No pause of shop.task was set: the reason is empty: write why'),
        ({'reason': 'r', 'until': 'soon'}, 'No pause of shop.task was set: until &#39;soon&#39; is not a time'),
        (
            {'reason': 'r', 'until': '2020-01-01T00:00'},
            'No pause of shop.task was set: until &#39;2020-01-01T00:00&#39; is not in the',
        ),
        ({'reason': 'r'}, 'No pause of shop.task was set: the store has no task'),
        ({'reason': 'x' * 1001}, 'No pause of shop.task was set: the reason has 1001 characters: write 1000 at most'),
    ],
)
def test_the_message_explains_why_nothing_is_paused(make_page, store, now, fields, message):
    page = make_page(settings=store)
    assert message in page.press('pause', **fields)


def test_a_run_by_hand_uses_the_method_of_the_setting(make_page):
    methods = []

    def configure(config):
        config.add_cron_task(lambda system: methods.append(system['request'].method), name='shop.task', min=0)

    make_page(configure).press('run')
    make_page(configure, settings={'cron.method': 'POST'}).press('run')
    assert methods == ['GET', 'POST']


def backfills(answer):
    """Return the minutes and the texts of the buttons that run the task for a past minute."""
    pattern = r'name="minute" value="(.*?)">.*?<button>(Run it for .*?)</button>'
    return [(datetime.fromisoformat(minute), text) for minute, text in re.findall(pattern, answer.text, re.DOTALL)]


def press_backfill(page, shown, minute, user=None):
    form = next(
        form
        for form in shown.forms.values()
        if form.action.endswith('/backfill') and datetime.fromisoformat(form['minute'].value) == minute
    )
    headers = {'User': user} if user else {}
    return form.submit(headers=headers).follow(headers=headers)


@pytest.fixture
def night(make_page, store):
    """A page of a task that failed, was lost and missed, the minutes at which it did, and what it has run for since."""
    ran = []
    page = make_page(recording(ran), settings=store, policy=True, permission='read', write_permission='write')
    hour = current_minute().replace(minute=0)
    fill(page.registry, 1, hour, most=1)
    failed, lost, repeated = (hour - timedelta(hours=hours) for hours in (2, 3, 4))
    record(
        page.registry,
        ('shop.task', repeated, {'outcome': 'failed'}),
        ('shop.task', repeated, {'attempt': 2}),
        ('shop.task', lost, {'outcome': 'lost'}),
        ('shop.task', failed, {'outcome': 'failed', 'error': 'Timeout'}),
    )
    return page, failed, lost, ran


@pytest.mark.slow
def test_what_went_wrong_has_a_button_that_makes_it_good(night, caplog):
    page, failed, lost, ran = night
    shown = page.task(user='ada')
    assert backfills(shown) == [(failed, 'Run it for this minute'), (lost, 'Run it for this minute')]
    # who may not write sees none
    assert backfills(page.task(user='bob')) == []
    answer = press_backfill(page, shown, failed, 'ada')
    assert 'role="status">shop.task ran for ' in answer
    assert ran == [failed]
    assert backfills(answer) == [(lost, 'Run it for this minute')]
    assert 'made good by ada' in answer
    assert '<span class="badge quiet"><span class="symbol" aria-hidden="true">✗</span>failed</span>' in answer
    assert '1 made good' in page.get(user='ada')
    assert re.search('backfill, ada, for .*, attempt 2', answer.text)
    assert re.search('task shop.task is run for .* by hand by ada', caplog.text)
    assert backfills(page.task(user='ada', faults=1)) == [(lost, 'Run it for this minute')]
    # pressed on the page as it was before
    assert 'shop.task was not run again for' in press_backfill(page, shown, failed, 'ada')
    assert ran == [failed]


@pytest.mark.slow
def test_the_message_names_the_error_of_a_past_minute(make_page, store):
    page = make_page(recording([], fails=True), settings=store)
    hour = current_minute().replace(minute=0)
    fill(page.registry, 1, hour, most=1)
    record(page.registry, ('shop.task', hour - timedelta(hours=2), {'outcome': 'failed'}))
    shown = page.task()
    answer = press_backfill(page, shown, hour - timedelta(hours=2))
    assert re.search(r'shop\.task failed for .* after 0\.\d+ s: ValueError', answer.text)


@pytest.mark.slow
def test_a_past_minute_of_a_task_with_an_engine_is_enqueued(make_page, store):
    queue, ran = Queue(), []

    def configure(config):
        config.add_cron_task(
            lambda system: ran.append(system['scheduled_for']), name='shop.task', min=0, catch_up=0, via=queue
        )

    page = make_page(configure, settings=store)
    hour = current_minute().replace(minute=0)
    minute = hour - timedelta(hours=2)
    fill(page.registry, 1, hour, most=1)
    record(page.registry, ('shop.task', minute, {'outcome': 'failed'}))
    shown = page.task()
    assert 'Queue, and a worker runs the task. The page returns at once.</p>\n<button>Run it for this minute' in shown
    answer = press_backfill(page, shown, minute)
    [handover] = queue
    assert re.search(
        rf'shop\.task is enqueued for .* with \S+Queue; the key of its run is {handover.key}\.', answer.text
    )
    assert 'was not run again' in press_backfill(page, shown, minute)
    assert ran == []
    assert perform(page.config.make_wsgi_app(), handover.key).outcome == 'ok'
    assert ran == [minute]
    assert 'made good' in page.task()


@pytest.mark.slow
def test_a_past_minute_of_another_task_runs_in_a_process_of_its_own(make_page, store, start_processes):
    start_processes('echo pid 4711')
    page = make_page(recording([]), settings=store)
    hour = current_minute().replace(minute=0)
    fill(page.registry, 1, hour, most=1)
    record(page.registry, ('shop.task', hour - timedelta(hours=2), {'outcome': 'failed'}))
    answer = press_backfill(page, page.task(), hour - timedelta(hours=2))
    assert re.search(r'shop\.task runs for .* in process 4711; the key of its run is \S+\.</p>', answer.text)


@pytest.mark.slow
def test_minutes_that_were_missed_together_are_made_good_one_by_one(make_page, store):
    ran = []
    page = make_page(recording(ran), settings=store)
    hour = current_minute().replace(minute=0)
    fill(page.registry, 1, hour, most=1)
    first, second = hour - timedelta(hours=3), hour - timedelta(hours=2)
    record_silence(page.registry, first, second + MINUTE, 'shop.task')
    with page.registry['cron_store'].database.begin() as connection:
        History(connection).record_without_run([WithoutRun('shop.task', [second], 'missed', 'no tick came in time')])
        connection.execute(connection.update(runs).where(runs.c.not_good == 'missed'), {'started': second + 2 * MINUTE})
    assert backfills(page.task()) == [(first, 'Run it for the oldest of these minutes')]
    answer = press_backfill(page, page.task(), first)
    assert backfills(answer) == [(second, 'Run it for this minute')]
    answer = press_backfill(page, answer, second)
    assert backfills(answer) == []
    assert answer.text.count('made good') == 2
    assert ran == [first, second]


@pytest.mark.slow
@pytest.mark.parametrize(
    ('minute', 'message'),
    [
        (lambda hour: hour + timedelta(hours=1), 'it was not due then'),
        (lambda hour: hour - 30 * MINUTE, 'it was not due then'),
        (lambda hour: hour - timedelta(hours=4), 'skipped, it was ok already'),
    ],
)
def test_a_minute_that_has_no_button_does_not_run(night, minute, message):
    page, *_, ran = night
    hour = current_minute().replace(minute=0)
    shown = page.task(user='ada')
    form = next(form for form in shown.forms.values() if form.action.endswith('/backfill'))
    form['minute'] = minute(hour).isoformat()
    answer = form.submit(headers={'User': 'ada'}).follow(headers={'User': 'ada'})
    assert re.search(f'shop.task was not run for .*: {message}', answer.text)
    assert ran == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ('field', 'value'), [('minute', 'soon'), ('minute', '0001-01-01T00:00+14:00'), ('loaded_at', 'x')]
)
def test_a_form_without_times_is_refused(night, field, value):
    page, *_ = night
    form = next(form for form in page.task(user='ada').forms.values() if form.action.endswith('/backfill'))
    form[field] = value
    form.submit(headers={'User': 'ada'}, status=400)


@pytest.mark.slow
def test_a_run_for_a_minute_reports_a_store_that_is_down(night):
    page, failed, *_ = night
    shown = page.task(user='ada')
    with page.engine.begin() as connection:
        connection.exec_driver_sql('DROP TABLE cron_tasks')
    assert 'the store is not available' in press_backfill(page, shown, failed, 'ada')


@pytest.mark.parametrize('settings', [{}, 'store'])
def test_without_the_store_no_past_minute_runs(make_page, store, settings):
    def configure(config):
        config.add_cron_task(print, name='shop.task', min=0, store=False)

    page = make_page(configure, settings=store if settings else {})
    fields = {'name': 'shop.task', 'minute': '2026-01-01T00:00+00:00', 'loaded_at': '0', 'csrf_token': token(page)}
    answer = page.browser.post('/admin/cron/backfill', fields).follow()
    assert 'a run for a past minute needs a task that cron.store keeps' in answer


@pytest.mark.parametrize(
    ('action', 'failed'), [('pause', 'No pause of shop.task was set'), ('resume', 'shop.task was not resumed')]
)
def test_without_a_store_there_is_nothing_to_pause(make_page, action, failed):
    page = make_page(recording([]))
    fields = {'name': 'shop.task', 'reason': 'r', 'csrf_token': token(page)}
    answer = page.browser.post(f'/admin/cron/{action}', fields).follow()
    assert f'{failed}: pausing a task needs a store: set cron.store' in answer


@pytest.mark.slow
def test_a_known_failure_is_acknowledged_by_a_button(make_page, store, now):
    page = make_page(settings=store, policy=True, permission='read', write_permission='write')
    fill(page.registry, 1, now, most=1)
    # nothing has failed
    assert 'Acknowledge' not in page.task(user='ada')
    answer = page.press('run', user='ada')
    assert 'Acknowledge' not in answer
    failed = {'last_outcome': 'failed', 'last_error': 'LookupError'}
    with page.registry['cron_store'].database.engine.begin() as connection:
        connection.execute(tasks.update().values(**failed))
    answer = page.press('acknowledge', user='ada', reason='the supplier is down')
    assert 'shop.task: its failure is acknowledged, and is no alarm until' in answer
    assert re.search(
        r'<p class="notice quiet">.*, which is acknowledged: LookupError; acknowledged by ada since .*: the supplier',
        answer.text,
    )
    assert '<summary>Acknowledge' not in answer


def test_the_message_explains_why_nothing_is_acknowledged(make_page, store, now):
    page = make_page(settings=store)
    fill(page.registry, 1, now, most=1)
    request = SimpleNamespace(registry=page.registry, authenticated_userid=None)
    [task] = page.registry['cron_tasks']
    text = acknowledge(request, task, 'why')
    assert text.startswith('shop.task: its failure was not acknowledged: task shop.task has no failure')
    request.registry = {'cron_store': None}
    assert acknowledge(request, task, 'why') == 'shop.task: acknowledging a failure needs a store: set cron.store'


def hold(page, minute, **values):
    """Let a process of another machine run the task."""
    with page.engine.begin() as connection:
        lease = {'host': 'elsewhere', 'pid': 7, 'boot_and_pidns': 'other', 'lease_until': 1e11}
        connection.execute(processes.insert().values(id='stranger', **lease))
        held = {'run_id': 'held', 'process': 'stranger', 'started_at': minute.timestamp(), **values}
        connection.execute(tasks.update().values(**held))


@pytest.mark.slow
def test_a_run_in_progress_is_stopped_by_a_button(make_page, store, now):
    page = make_page(settings=store, policy=True, permission='read', write_permission='write')
    fill(page.registry, 1, now, most=1)
    assert '>Stop the run</button>' not in page.task(user='ada')
    hold(page, now)
    assert '>Stop the run</button>' not in page.task(user='bob')
    answer = page.press('stop', user='ada')
    assert 'shop.task is to stop: its process sees this within 30 s' in answer
    assert re.search(r'stopping</span> <span dir="auto">stop requested by ada at ', answer.text)
    assert '>Stop the run</button>' not in answer
    assert 'stop requested by ada at ' in page.get(user='ada')
    assert 'stop requested by ada' in answer
    assert re.search(r'<code class="key">\S+:shop\.task@20\S+Z</code>', answer.text)


def test_an_old_page_does_not_stop_the_next_run(make_page, store, now):
    page = make_page(settings=store, policy=True, permission='read', write_permission='write')
    fill(page.registry, 1, now, most=1)
    hold(page, now)
    old = page.task(user='ada')
    with page.engine.begin() as connection:
        connection.execute(tasks.update().values(run_id='next'))
    answer = page.press_on(old, 'stop', user='ada')
    assert 'shop.task was not stopped: that run of task shop.task is not in progress: another one is' in answer


def test_a_stopped_run_shows_by_which_user(make_page, store, now):
    page = make_page(settings=store, policy=True, permission='read', write_permission='write')
    fill(page.registry, 1, now, most=1)
    hold(page, now, handed_over_for='2026-12-24T02:00+00:00', last_minute=now)
    assert 'shop.task is stopped: it was queued, and no worker begins it any more' in page.press('stop', user='ada')
    assert re.search(r'stopped</span>.*by ada', page.get(user='ada').text, re.DOTALL)


def test_stopping_needs_a_store(make_page):
    page = make_page()
    request = SimpleNamespace(registry=page.registry, authenticated_userid=None)
    [task] = page.registry['cron_tasks']
    assert stop(request, task, 'run', None) == 'shop.task: stopping a run needs a store: set cron.store'


@pytest.mark.slow
def test_a_run_by_a_button_that_was_stopped_is_reported_as_such(make_page, store):
    def add(config):
        def work(system):
            config.registry['cron_store'].stop('shop.task', requested_by='bob')
            config.registry['cron_claims'].in_store.own.heartbeat.beat()
            system['stopping']()

        config.add_cron_task(work, name='shop.task', min=0)

    page = make_page(add, settings=store, policy=True, permission='read', write_permission='write')
    assert 'shop.task was stopped after 0.' in page.press('run', user='ada')


@pytest.mark.slow
def test_a_second_pause_shows_what_it_replaces(make_page, store, now):
    page = make_page(settings=store, policy=True, permission='read', write_permission='write')
    fill(page.registry, 1, now, most=1)
    page.press('pause', user='ada', reason='the disk is full')
    assert 'Change the pause …' in page.task(user='ada')
    answer = page.press('pause', user='ada', reason='maintenance', until=' 2D ')
    assert re.search(r'shop\.task is paused until ... [0-9 :-]* \+00:00 \(UTC\), in ', answer.text)
    assert '; that replaces the pause by ada until it is resumed: the disk is full.' in answer
    (pause,) = page.registry['cron_store'].paused().values()
    assert now + timedelta(days=2) <= pause.until <= current_minute() + timedelta(days=2)


@pytest.mark.slow
def test_all_tasks_are_paused_and_resumed(make_page, store, now):
    def configure(config):
        add_task(config)
        config.add_cron_task(print, name='shop.other', min=0)
        config.add_cron_task(print, name='shop.own', min=0, store=False)

    page = make_page(configure, settings=store, policy=True, permission='read', write_permission='write')
    fill(page.registry, 1, now, most=1)
    overview = page.get(user='ada')
    assert 'Pause all tasks …' in overview
    assert 'The pause does not apply to shop.own: store=False.' in overview
    assert 'Resume all tasks' not in overview
    until = now + timedelta(days=2)
    answer = page.press_on(overview, 'pause-all', 'ada', reason='the database moves', until=f'{until:%Y-%m-%d %H:%M}')
    end = f'{until:%a %Y-%m-%d %H:%M}'
    assert f'role="status">All tasks are paused until {end} +00:00 (UTC), in ' in answer
    assert re.search(rf'All tasks are paused by ada since .{{5}} until {end}: the database moves', answer.text)
    assert 'Change the pause of all tasks …' in answer
    # the others are marked, and have no notice each
    assert answer.text.count('</span>paused</span>') == 3
    shown = page.task('shop.other', user='ada')
    assert re.search(
        rf'<span dir="auto">with all tasks by ada since .{{20}} until {end}: the database moves', shown.text
    )
    buttons = [form.action.rpartition('/')[2] for form in shown.forms.values() if form.method == 'post']
    assert buttons == ['run', 'pause']
    page.press('pause', user='ada', reason='it fails')
    answer = page.press('resume', user='ada')
    assert f'shop.task is resumed; all tasks are still paused by ada until {end}: the database moves.' in answer
    page.press('pause', user='ada', reason='it fails')
    overview = page.get(user='ada')
    assert 'role="status">All tasks are resumed; still paused by themselves: shop.task.' in (
        page.press_on(overview, 'resume-all', 'ada')
    )
    assert 'role="status">There was no pause of all tasks.' in page.press_on(overview, 'resume-all', 'ada')
    assert list(page.registry['cron_store'].paused()) == ['shop.task']


def test_a_refused_pause_of_all_tasks_pauses_none(make_page, store, now):
    page = make_page(settings=store)
    fill(page.registry, 1, now, most=1)
    overview = page.get()
    answer = page.press_on(overview, 'pause-all', reason='why', until='2020-01-01')
    assert 'role="status">No pause of all tasks was set: until &#39;2020-01-01&#39; is not in the future' in answer
    assert 'role="status">No pause of all tasks was set: the reason is empty' in page.press_on(
        overview, 'pause-all', reason=' ', until=''
    )
    with page.engine.begin() as connection:
        connection.exec_driver_sql('DROP TABLE cron_audit')
    answer = page.press_on(overview, 'pause-all', reason='why')
    assert 'role="status">No pause of all tasks was set: the store is not available' in answer
    assert page.registry['cron_store'].paused() == {}


def test_without_a_store_there_is_no_pause_of_all_tasks(make_page):
    page = make_page()
    assert 'Pause all tasks' not in page.get()
    fields = {'reason': 'why', 'csrf_token': token(page)}
    for action, message in {
        'pause-all': 'No pause of all tasks was set',
        'resume-all': 'The tasks were not resumed',
    }.items():
        answer = page.browser.post(f'/admin/cron/{action}', fields).follow()
        assert f'{message}: pausing a task needs a store: set cron.store' in answer


def test_all_tasks_are_paused_with_the_permission_and_the_token(make_page, store, now):
    page = make_page(settings=store, policy=True, permission='read', write_permission='write')
    fill(page.registry, 1, now, most=1)
    assert 'Pause all tasks' not in page.get(user='bob')
    fields = {'reason': 'why', 'csrf_token': page.get(user='ada').forms[0]['csrf_token'].value}
    for action in ('pause-all', 'resume-all'):
        page.browser.post(f'/admin/cron/{action}', fields, headers=user_header('bob'), status=403)
        page.browser.post(f'/admin/cron/{action}', {'reason': 'why'}, headers=user_header('ada'), status=400)
    assert page.registry['cron_store'].paused() == {}


@pytest.mark.slow
def test_what_people_did_is_in_the_history_of_the_task(make_page, store, now):
    page = make_page(settings=store, policy=True, permission='read', write_permission='write')
    fill(page.registry, 1, now, most=3)
    until = now + timedelta(days=2)
    page.press('pause', user='ada', reason='the disk is full', until=f'{until:%Y-%m-%d %H:%M}')
    page.press_on(page.get(user='ada'), 'pause-all', 'ada', reason='the database moves')
    page.press('run', user='ada')
    end = f'{until:%a %Y-%m-%d %H:%M}'
    actions = [
        f'<b>the disk is full</b>; paused by ada, until {end}',
        '<b>the database moves</b>; all tasks, paused by ada',
    ]
    for path, has_actions, has_run, has_others in [
        ('', True, True, True),
        ('&by_hand=1', True, True, False),
        ('&faults=1', False, False, False),
    ]:
        shown = page.get(f'/task?name=shop.task{path}', user='bob').text
        assert [text in shown for text in actions] == [has_actions] * 2
        assert ('by hand, ada' in shown) is has_run
        assert (shown.count('</span>ok</span>') > 1) is has_others
    # it is no run, and has no bar of the strip: three runs by schedule, and one by hand
    assert '<title>Last 4 runs: 4 ok</title>' in page.get(user='bob')
