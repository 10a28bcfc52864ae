"""The buttons of the page: run now, pause and resume."""

import logging
import re
from datetime import datetime, timedelta

import pytest
from pyramid.events import NewRequest
from pyramid.httpexceptions import HTTPFound

from pyramid_cron.schedules.clock import current_minute
from pyramid_cron.testing import tick
from tests.support.filling import fill
from tests.support.status import recording, token


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


def test_the_message_names_the_error_of_a_run(make_page):
    page = make_page(recording([], fails=True))
    assert 'shop.task failed after 0.0' in page.press('run')
    assert 's: ValueError.' in page.press('run')


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


def test_a_task_is_paused_with_a_reason_and_resumed(make_page, store, now):
    page = make_page(settings=store, policy=True, permission='read', write_permission='write')
    fill(page.registry, 1, now, most=1)
    until = now + timedelta(days=2)
    answer = page.press('pause', user='ada', reason=' the  disk\tis full ', until=f'{until:%Y-%m-%dT%H:%M}')
    assert f'shop.task is paused until {until:%a %Y-%m-%d %H:%M}.' in answer
    (pause,) = page.registry['cron_store'].paused().values()
    assert pause == (until, 'the disk is full', 'ada')
    assert f'</span>paused</span> <span>until {until:%a %Y-%m-%d %H:%M}, by ada: the disk is full' in answer
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
    assert '<span>until it is resumed: why not' in answer
    assert '<p class="calm">It is paused.</p>' in answer
    assert '<span class="none">paused</span>' in page.get()
    page.registry['cron_store'].resume(['shop.task'])
    assert 'shop.task was not paused.' in page.press_on(answer, 'resume')


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        ({'reason': ' '}, 'shop.task was not paused: the reason is empty: write why'),
        ({'reason': 'r', 'until': 'soon'}, 'shop.task was not paused: until &#39;soon&#39; is not a time'),
        (
            {'reason': 'r', 'until': '2020-01-01T00:00'},
            'shop.task was not paused: until &#39;2020-01-01T00:00&#39; is not in the',
        ),
        ({'reason': 'r'}, 'shop.task was not paused: the store has no task'),
        ({'reason': 'x' * 1001}, 'shop.task was not paused: the reason has 1001 characters: write 1000 at most'),
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


@pytest.mark.parametrize('action', ['pause', 'resume'])
def test_without_a_store_there_is_nothing_to_pause(make_page, action):
    page = make_page(recording([]))
    fields = {'name': 'shop.task', 'reason': 'r', 'csrf_token': token(page)}
    answer = page.browser.post(f'/admin/cron/{action}', fields).follow()
    assert f'shop.task was not {action}d: pausing a task needs a store: set cron.store' in answer
