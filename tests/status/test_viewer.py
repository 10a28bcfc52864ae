"""The choices of a viewer, in the URL and in the cookie."""

import re

import pytest
from pyramid.testing import DummyRequest

from pyramid_cron.status.viewer import Viewer, here, read_viewer
from tests.support.filling import fill
from tests.support.status import add_tasks


def viewer(cookie=None, **query):
    return read_viewer(DummyRequest(params=query, cookies={} if cookie is None else {'cron_tz': cookie}))


def zone_shown(page):
    return re.search(r'<a href="#view">([^<]*)</a>', page.text)[1]


def zone_cookie(page):
    """Return the header that sets the cookie of the time zone, empty if there is none, without its moment."""
    found = [header for header in page.headers.getall('Set-Cookie') if header.startswith('cron_tz=')]
    return re.sub(r'; expires=[^;]*', '', ''.join(found))


def test_a_viewer_without_choices_has_those_of_the_page():
    chosen = viewer()
    assert chosen == Viewer()
    assert (chosen.zone_or('the default'), chosen.zone_name) == ('the default', '')


def test_the_url_comes_before_the_cookie():
    assert viewer('Asia/Tokyo').zone_name == 'Asia/Tokyo'
    assert viewer('Asia/Tokyo', tz='Europe/Berlin').zone_name == 'Europe/Berlin'
    assert viewer('Asia/Tokyo', tz=' Europe/Berlin ').zone_or(None).key == 'Europe/Berlin'
    assert viewer('Asia/Tokyo', tz='').zone is None


@pytest.mark.parametrize('cookie', ['Asia/Tokio', '../../etc/passwd', 'x' * 5000, '\x00', '<b>', ''])
def test_a_cookie_without_a_time_zone_counts_as_none(cookie):
    assert viewer(cookie) == Viewer()


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('Europe/Berln', "tz: 'Europe/Berln' is not a time zone; is Europe/Berlin meant?"),
        ('../../etc/passwd', "tz: '../../etc/passwd' is not a time zone; write an IANA name such as Europe/Berlin"),
        ('x' * 65, f'tz: {"x" * 64!r}… is longer than the name of any time zone'),
        ('\x00', "tz: '\\x00' is not a time zone; write an IANA name such as Europe/Berlin"),
    ],
)
def test_an_unknown_time_zone_has_a_message(name, message):
    chosen = viewer('Asia/Tokyo', tz=name)
    assert chosen.errors == (message,)
    # and the one that is remembered stays
    assert chosen.zone_name == 'Asia/Tokyo'


@pytest.mark.parametrize(('text', 'seconds'), [('', None), ('0', None), ('10', 10), ('60', 60), ('3600', 3600)])
def test_a_page_is_loaded_again_only_on_request(text, seconds):
    assert (viewer(refresh=text).refresh, viewer(refresh=text).errors) == (seconds, ())


@pytest.mark.parametrize('text', ['9', '3601', '-60', '1.5', '6e1', '60; url=//x', '٦٠', '9' * 5000])
def test_a_bad_number_of_seconds_has_a_message(text):
    chosen = viewer(refresh=text)
    message = f'refresh: {text[:20]!r} is not a number of seconds from 10 to 3600, or 0 for never'
    assert (chosen.refresh, chosen.errors) == (None, (message,))


def test_a_link_to_the_same_page_has_its_query_without_the_message():
    query = {'name': 'a&b', 'flash': 'ran', 'signature': 'x', 'refresh': '30'}
    request = DummyRequest(params=query, path='/admin/cron/task')
    assert here(request) == '/admin/cron/task?name=a%26b&refresh=30'
    assert here(request, refresh=60) == '/admin/cron/task?name=a%26b&refresh=60'
    assert here(request, refresh=None, name=None) == '/admin/cron/task'


def test_the_time_zone_is_kept_in_a_cookie_of_the_page_alone(make_page):
    page = make_page(add_tasks)
    answer = page.get('?tz=Asia/Tokyo')
    assert zone_cookie(answer) == 'cron_tz=Asia/Tokyo; Max-Age=31536000; Path=/admin/cron; HttpOnly; SameSite=Lax'
    assert zone_shown(answer) == 'Asia/Tokyo'
    later = page.get('/task?name=shop.daily')
    assert (zone_shown(later), zone_cookie(later)) == ('Asia/Tokyo', '')
    # a link at the end of each page ends that
    assert zone_shown(later.click(r'Use the time zone of the application again \(UTC\)')) == 'UTC'
    assert 'cron_tz' not in page.browser.cookies
    assert 'again (UTC)' not in page.get()
    page.get('?tz=Asia/Tokyo')
    # an error changes nothing
    assert zone_shown(page.get('?tz=nowhere')) == 'Asia/Tokyo'
    assert zone_shown(page.get('?tz=')) == 'UTC'
    assert 'cron_tz' not in page.browser.cookies
    assert zone_shown(page.get()) == 'UTC'


def test_over_https_the_cookie_needs_https(make_page):
    page = make_page()
    answer = page.browser.get('/admin/cron?tz=UTC', extra_environ={'wsgi.url_scheme': 'https'})
    assert '; secure; ' in zone_cookie(answer)


@pytest.mark.slow
@pytest.mark.parametrize('path', ['?tz=Mars', '/task?name=shop.daily&tz=Mars', '/due?tz=Mars'])
def test_an_unknown_time_zone_is_a_notice_on_each_page(make_page, path):
    answer = make_page(add_tasks).get(path)
    assert '<span>tz: &#39;Mars&#39; is not a time zone' in answer
    assert zone_cookie(answer) == ''


@pytest.mark.slow
def test_all_times_are_in_the_time_zone_of_the_viewer(make_page, store, now):
    page = make_page(add_tasks, settings=store)
    fill(page.registry, 3, now)
    run = page.get('/history').html.find('ol', class_='history').a['href'].removeprefix('/admin/cron')
    minute = f'{now:%Y-%m-%dT%H:%M}%2B00:00'
    for path in ('', '/task?name=shop.often', f'/due?at={minute}', '/history', run, '/timeline'):
        text = page.get(f'{path}{"&" if "?" in path else "?"}tz=Asia/Kathmandu').text
        times = re.findall(r'<time datetime="([^"]*)"', text)
        assert times
        assert {time[-6:] for time in times} == {'+05:45'}, path


@pytest.mark.slow
def test_a_time_is_read_in_the_time_zone_beside_its_input(make_page, store, now):
    page = make_page(settings=store)
    fill(page.registry, 1, now, most=1)
    form_page = page.task(tz='Asia/Tokyo')
    assert 'Until <span class="hint">(Asia/Tokyo)' in form_page
    answer = page.press_on(form_page, 'pause', reason='why', until='2100-01-01 12:00')
    assert 'until Fri 2100-01-01 12:00 +09:00 (Asia/Tokyo)' in answer
    pause = page.registry['cron_store'].paused()['shop.task']
    assert f'{pause.until:%H:%M}' == '03:00'
    # on the next page, without the cookie, in that of the application
    page.browser.reset()
    assert 'until Fri 2100-01-01 03:00' in page.task()


def test_a_minute_that_was_typed_is_shown_in_another_time_zone(make_page):
    page = make_page()
    answer = page.get('/due?at=2026-11-24T02:00&zone=Asia/Tokyo&tz=Europe/Berlin')
    assert 'Mon 2026-11-23 18:00 Europe/Berlin' in answer
    assert 'name="at" value="2026-11-23T18:00"' in answer
    # a link without a time zone is read in that of the application, whatever the viewer's is
    assert 'Tue 2026-11-24 03:00 Europe/Berlin' in page.get('/due?at=2026-11-24T02:00')


def test_a_form_with_an_unknown_time_zone_is_a_bad_request(make_page):
    assert "zone: 'Mars' is not a time zone" in make_page().get('/due?at=02:00&zone=Mars', status=400).html.main.text
