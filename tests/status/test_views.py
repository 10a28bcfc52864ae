"""The views over HTTP: permissions and forms."""

import io
import re
from dataclasses import replace

import pytest
from pyramid.httpexceptions import HTTPBadRequest
from pyramid.security import NO_PERMISSION_REQUIRED
from pyramid.testing import DummyRequest

from pyramid_cron.status.security_headers import HEADERS
from pyramid_cron.status.views import StatusViews
from tests.support.filling import fill
from tests.support.status import FOR_EVERYBODY, recording, token


@pytest.mark.parametrize('path', ['', '/task?name=shop.task', '/due?at=2026-11-24T02:00', '/history'])
def test_no_page_has_scripts_styles_or_foreign_links(make_page, store, path):
    text = make_page(settings=store).get(path).text
    assert not re.search(r'<script|<style|<[^>]* (style|on\w+)=|https?:|//', text)


def test_the_stylesheet_may_be_cached_until_it_changes(make_page):
    page = make_page()
    address = page.get().text.partition('rel="stylesheet" href="')[2].partition('"')[0]
    assert '?v=' in address
    assert 'max-age=31536000' in page.browser.get(address).headers['Cache-Control']


REFUSED = [
    ('/task', 404, 'No such task', "no cron task is named ''."),
    ('/task?name=other', 404, 'No such task', "no cron task is named 'other'."),
    ('?state=broken&tz=Asia/Tokyo', 400, 'This address cannot be shown', "state='broken' is none of failed, missed,"),
    ('/due?at=02:00&zone=Mars', 400, 'This address cannot be shown', "zone: 'Mars' is not a time zone"),
    ('?x=%ff', 400, 'This address cannot be shown', 'the query is not in UTF-8.'),
    ('/task?name=shop.task&flash=%ff&tz=UTC', 400, 'This address cannot be shown', 'the query is not in UTF-8.'),
]


@pytest.mark.slow
@pytest.mark.parametrize(('path', 'status', 'heading', 'reason'), REFUSED)
def test_an_address_that_cannot_be_shown_has_a_page_with_the_reason(make_page, path, status, heading, reason):
    answer = make_page().get(path, status=status)
    assert (answer.html.h1.text, heading in answer.html.title.text) == (heading, True)
    assert reason in answer.html.find(class_='notice').text
    assert answer.headers['Cache-Control'] == 'no-store'
    # and a way back
    assert 'shop.task' in answer.click('All tasks')


def test_the_refusal_of_an_address_needs_the_permission(make_page):
    page = make_page(policy=True, permission='read', write_permission='write')
    page.get('?state=broken', status=403)
    page.get('?state=broken', user='bob', status=400)
    page.get('?x=%ff', status=403)


@pytest.mark.parametrize(
    ('query', 'name', 'status', 'heading', 'reason'),
    [
        ('?x=%ff', 'shop.task', 400, 'Nothing was done', 'the query is not in UTF-8.'),
        ('', 'shop.task', 400, 'Nothing was done', 'loaded_at is not a time.'),
        # as of a page that was made before a deploy
        ('', 'shop.removed', 404, 'No such task', "no cron task is named 'shop.removed'."),
    ],
)
def test_a_button_that_does_nothing_has_a_page_with_the_reason(make_page, query, name, status, heading, reason):
    page = make_page()
    fields = {'name': name, 'loaded_at': 'x', 'csrf_token': token(page)}
    answer = page.browser.post(f'/admin/cron/run{query}', fields, status=status)
    assert answer.html.h1.text == heading
    assert reason in answer.html.find(class_='notice').text
    assert 'shop.task' in answer.click('All tasks')


def test_without_the_write_permission_there_are_no_buttons(make_page, store, now):
    ran = []
    page = make_page(recording(ran), settings=store, policy=True, permission='read', write_permission='write')
    fill(page.registry, 1, now, most=1)
    page.get(status=403)
    page.get('/due', status=403)
    assert 'method="post"' not in page.task(user='bob')
    form = page.task(user='ada').forms[0]
    fields = {'name': 'shop.task', 'loaded_at': '0', 'reason': 'r', 'csrf_token': form['csrf_token'].value}
    for action in ('run', 'pause', 'resume', 'acknowledge', 'stop'):
        page.browser.post(f'/admin/cron/{action}', fields, headers={'User': 'bob'}, status=403)
        # the CSRF token of the browser
        page.browser.post(f'/admin/cron/{action}', fields | {'csrf_token': 'x'}, headers={'User': 'ada'}, status=400)
        page.browser.get(f'/admin/cron/{action}', fields, headers={'User': 'ada'}, status=404)
    assert ran == []
    assert page.registry['cron_store'].paused() == {}


def test_the_write_permission_may_be_the_other(make_page):
    page = make_page(policy=True, permission='read')
    assert 'ran: ok' in page.press('run', user='bob')


@pytest.mark.slow
@pytest.mark.parametrize('policy', [False, True])
def test_a_page_for_everybody_has_no_buttons(make_page, store, now, policy):
    ran = []
    page = make_page(recording(ran), settings=store, policy=policy, permission=NO_PERMISSION_REQUIRED)
    fill(page.registry, 1, now, most=1)
    with_buttons = make_page(settings=store)
    assert 'method="post"' in with_buttons.task()
    assert 'method="post"' not in page.task(user='ada')
    page.browser.set_cookie('csrf_token', 'x' * 40)
    fields = {'name': 'shop.task', 'loaded_at': '0', 'reason': 'r', 'csrf_token': 'x' * 40}
    for action in ('run', 'pause', 'resume', 'acknowledge', 'stop'):
        refused = page.browser.post(f'/admin/cron/{action}', fields, headers={'User': 'ada'}, status=403)
        assert 'add_cron_status has no write_permission' in refused
        assert refused.headers['Content-Security-Policy'] == HEADERS['Content-Security-Policy']
    assert ran == []
    assert page.registry['cron_store'].paused() == {}
    # and none of their messages
    assert 'role="status"' not in page.task(flash='You+won', signature='0')


def test_everybody_has_buttons_where_the_page_allows_it(make_page):
    assert 'Run now' in make_page(policy=True, **FOR_EVERYBODY).task()


@pytest.mark.slow
@pytest.mark.parametrize('loaded_at', ['', 'x', '1e18', '-1e18', '1e99', 'nan', 'inf', '-62135596801', '9' * 5000])
def test_a_form_with_a_bad_time_is_refused(make_page, loaded_at):
    page = make_page()
    page.browser.post(
        '/admin/cron/run', {'name': 'shop.task', 'loaded_at': loaded_at, 'csrf_token': token(page)}, status=400
    )


def test_the_time_zone_stands_beside_every_input_of_a_time(make_page, store, now):
    page = make_page(settings={**store, 'cron.timezone': 'Asia/Tokyo'})
    fill(page.registry, 1, now, most=1)
    assert 'Date and time <span class="hint">(Asia/Tokyo)</span> <input type="datetime-local"' in page.get('/due')
    assert 'Until <span class="hint">(Asia/Tokyo): 06:00, tomorrow 06:00, ' in page.task()
    assert 'Until <span class="hint">(Asia/Tokyo): 06:00, tomorrow 06:00, ' in page.get()


def test_without_a_time_zone_inputs_are_in_local_time(make_page):
    page = make_page()
    page.registry['cron_settings'] = replace(page.registry['cron_settings'], timezone=None)
    assert '<span class="hint">(local time)</span>' in page.get('/due')


@pytest.mark.parametrize('path', ['?x=%ff', '/task?name=%ff', '/due?at=%ed%a0%80', '/task?name=shop.task&flash=%ff'])
def test_a_query_that_is_not_utf8_is_a_bad_request(make_page, path):
    assert 'the query is not in UTF-8' in make_page().get(path, status=400)


@pytest.mark.parametrize(
    ('action', 'field'), [('run', 'name'), ('run', 'loaded_at'), ('pause', 'reason'), ('pause', 'until')]
)
def test_a_file_in_place_of_a_text_is_a_bad_request(make_page, action, field):
    request = DummyRequest(post={'name': 'shop.task', 'loaded_at': '0', 'reason': 'r', field: io.BytesIO()})
    request.registry = make_page().registry
    with pytest.raises(HTTPBadRequest, match=f'{field} is not a text'):
        getattr(StatusViews(None), action)(request)
