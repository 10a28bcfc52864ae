"""The frame around each page."""

import re
import socket
from datetime import datetime
from urllib.parse import quote

import pytest

from pyramid_cron.schedules import clock
from tests.support.status import add_tasks

PATHS = ['', '/task?name=shop.daily', '/due']
IDENTITY = re.compile(rf'shop staging on {socket.gethostname()}, pyramid_cron [0-9]\S+')


@pytest.fixture
def page(make_page):
    return make_page(add_tasks, settings={'cron.environment': 'staging'})


@pytest.mark.parametrize('path', PATHS)
def test_the_title_and_the_header_name_the_application_and_where_it_runs(page, path):
    answer = page.get(path)
    assert IDENTITY.search(answer.html.title.text)
    header = ' '.join(answer.html.header.get_text().split())
    assert 'Scheduled tasks shop staging' in header
    assert f'on {socket.gethostname()}, pyramid_cron ' in header


@pytest.mark.parametrize('path', PATHS)
def test_a_page_has_the_time_at_which_it_was_made(page, path):
    before = clock.now().replace(microsecond=0)
    answer = page.get(path)
    shown = datetime.fromisoformat(answer.html.header.time['datetime'])
    assert before <= shown <= clock.now()
    assert answer.html.header.time.text == f'{shown:%a %Y-%m-%d %H:%M:%S} +00:00'
    assert 'As of' in answer.html.header.text


@pytest.mark.slow
@pytest.mark.parametrize('path', PATHS)
def test_a_page_is_loaded_again_if_its_address_has_that(page, path):
    answer = page.get(path)
    assert 'http-equiv' not in answer
    refreshed = answer.click('Reload this page every 60 s')
    meta = refreshed.html.find('meta', {'http-equiv': 'refresh'})['content']
    assert meta == f'60; url={refreshed.request.path_qs}'
    assert 'Updated at' in refreshed.html.header.text
    assert ', every 60 s' in refreshed.html.header.text
    assert 'http-equiv' not in refreshed.click('Stop reloading')


def test_a_page_that_is_loaded_again_does_not_repeat_its_message(make_page):
    page = make_page()
    answer = page.press('run')
    meta = page.browser.get(f'{answer.request.path_qs}&refresh=60').html.find('meta', {'http-equiv': 'refresh'})
    assert meta['content'] == '60; url=/admin/cron/task?name=shop.task&refresh=60'


def test_the_form_of_the_time_zone_keeps_the_rest_of_the_address(page):
    answer = page.get('/task?name=shop.daily&faults=1&refresh=60&tz=UTC')
    (form,) = (form for form in answer.forms.values() if 'tz' in form.fields)
    form['tz'] = 'Asia/Tokyo'
    assert form.submit().request.path_qs == '/admin/cron/task?name=shop.daily&faults=1&refresh=60&tz=Asia%2FTokyo'


def test_the_icon_is_a_file_of_the_page(page):
    icon = page.get().html.find('link', rel='icon')
    assert icon['href'].startswith('/admin/cron/static/icon.svg?v=')
    answer = page.browser.get(icon['href'])
    assert answer.content_type == icon['type'] == 'image/svg+xml'
    assert 'max-age=31536000' in answer.headers['Cache-Control']


@pytest.mark.slow
def test_texts_in_other_scripts_have_their_own_direction(make_page):
    def configure(config):
        def f(system):
            """שולח את החשבוניות. https://wiki.example/runbook"""

        config.add_cron_task(f, name='חשבוניות.שליחה', min=0)

    page = make_page(configure)
    html = page.get().html
    assert html.tbody.a['dir'] == html.tbody.p['dir'] == 'auto'
    html = page.task(quote('חשבוניות.שליחה')).html
    assert html.h1['dir'] == html.find(class_='docstring')['dir'] == 'auto'
    assert html.find(class_='docstring').a['rel'] == ['noopener', 'noreferrer']


def test_a_long_description_is_clamped_and_has_its_whole_text(make_page):
    text = f'Send {"very " * 100}long invoices.'

    def configure(config):
        def f(system): ...

        f.__doc__ = text
        config.add_cron_task(f, name='shop.task', min=0)

    clamped = make_page(configure).get().html.tbody.find(class_='clamped')
    assert (clamped['title'], clamped.text) == (text, text)
