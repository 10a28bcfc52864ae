"""The frame of the status page in Debian's chromium: small screens, other scripts, paper, time zones, loading again.

``SCREENSHOTS`` names a folder that pictures are put into.
"""

import os
import re

import pytest
from pyramid.config import Configurator
from pyramid.csrf import CookieCSRFStoragePolicy
from pyramid.security import NO_PERMISSION_REQUIRED

from pyramid_cron.schedules.clock import MINUTE, current_minute
from tests.support.browser import opened, serving, visits
from tests.support.filling import fill, record

LONG = 'Verify that the newest archive of each of the databases can be restored, and mail the result. ' * 8
RUNBOOK = f'Send the invoices.\n\nIf it fails: https://wiki.example/runbooks/invoices\n\n{LONG * 6}'
TASKS = {
    'shop.invoices.send': RUNBOOK,
    'shop.backup.verify_that_the_newest_archive_can_be_restored_on_another_machine': LONG,
    'shop.reports.weekly_for_the_owners': '',
    'חשבוניות.שליחה': 'שולח את החשבוניות של אתמול. ראו https://wiki.example/runbook.',
    'فواتير.إرسال': 'يرسل فواتير الأمس (٢ كل يوم).',
    'x' * 90: 'A name without a place to break it.',
    '<b>&"\'': '<script>alert(1)</script> https://x.example/"onmouseover="alert(1)',
}
PAGES = {
    'tasks': '',
    'task': '/task?name=shop.invoices.send',
    'hebrew': '/task?name=חשבוניות.שליחה',
    'long': f'/task?name={"x" * 90}',
    'running': '/task?name=shop.backup.verify_that_the_newest_archive_can_be_restored_on_another_machine',
    'due': '/due?at=2026-11-24T02:00',
    'history': '/history',
    'night': '/timeline',
}
# https://www.w3.org/TR/WCAG22/#text-spacing
TEXT_SPACING = """
* { line-height: 1.5 !important; letter-spacing: 0.12em !important; word-spacing: 0.16em !important; }
p { margin-bottom: 2em !important; }
"""
# what is wider than the window, and not in a part that scrolls by itself
STICKING_OUT = """
() => [...document.querySelectorAll('body *')].filter(found => {
    if (found.closest('pre, .hidden, thead, .clamped *')) return false;
    const box = found.getBoundingClientRect();
    return box.width && (box.right > innerWidth + 1 || box.left < -1);
}).map(found => found.outerHTML.slice(0, 150))
"""


@pytest.fixture(scope='module')
def address(tmp_path_factory):
    """The address of a page with names, texts and outcomes of all kinds."""
    folder = tmp_path_factory.mktemp('status')
    settings = {'cron.store': f'sqlite:///{folder}/cron.sqlite', 'cron.timezone': 'Europe/Berlin'}
    config = Configurator(settings={**settings, 'cron.app': 'shop', 'cron.environment': 'staging'})
    config.set_csrf_storage_policy(CookieCSRFStoragePolicy())
    config.include('pyramid_cron')
    config.include('pyramid_cron.status')
    config.add_cron_status('/admin/cron', permission=NO_PERMISSION_REQUIRED, write_permission=NO_PERMISSION_REQUIRED)
    for number, (name, docstring) in enumerate(TASKS.items()):
        config.add_cron_task(make_task(docstring), name=name, cron=f'{7 * number} * * * *', idle=number == 2)
    application = config.make_wsgi_app()
    remember(config.registry)
    with serving(application) as origin:
        yield f'{origin}/admin/cron'
    config.registry['cron_store'].database.engine.dispose()


def make_task(docstring):
    def f(system):
        pass

    f.__doc__ = docstring
    return f


def remember(registry):
    now, names = current_minute(), list(TASKS)
    fill(registry, 2, now)
    failed = {'outcome': 'failed', 'seconds': 10.2, 'error': 'A' + 'VeryLong' * 30 + 'Error', 'traceback': 'File "x"\n'}
    record(registry, (names[0], now, failed), (names[5], now - MINUTE, failed), (names[1], now, {'outcome': 'running'}))
    registry['cron_store'].pause([names[3]], reason='המכונה עוברת', requested_by='עדה')
    registry['cron_store'].pause([names[2]], reason=f'{LONG} https://tickets.example/{"1" * 80}', requested_by='ada')


@pytest.fixture
def visit(chromium, address):
    with visits(chromium, address) as visit:
        yield visit


def keep_picture(page, name):
    if folder := os.environ.get('SCREENSHOTS'):
        page.screenshot(path=f'{folder}/{name}.png', full_page=True)


@pytest.mark.parametrize('name', PAGES)
@pytest.mark.parametrize('width', [320, 390, 640, 861, 1280])
def test_nothing_sticks_out(visit, name, width):
    # 640 is 1280 at a zoom of 200 %
    page = opened(visit(PAGES[name], width, device_scale_factor=2 if width == 640 else 1))
    keep_picture(page, f'frame-{name}-{width}')
    assert page.evaluate(STICKING_OUT) == []
    assert page.evaluate('document.documentElement.scrollWidth') <= width


@pytest.mark.parametrize('name', PAGES)
def test_nothing_sticks_out_with_wide_text_on_a_narrow_screen(visit, name):
    page = opened(visit(PAGES[name], 320, bypass_csp=True))
    page.add_style_tag(content=TEXT_SPACING)
    keep_picture(page, f'frame-{name}-320-spaced')
    assert page.evaluate(STICKING_OUT) == []
    assert page.evaluate('document.documentElement.scrollWidth') <= 320
    # nor is a line of the texts of a badge or a button cut
    cut = 'found => found.scrollWidth > found.clientWidth + 1'
    assert page.locator('.badge, button, summary').evaluate_all(f'all => all.filter({cut}).map(f => f.outerHTML)') == []


@pytest.mark.parametrize('width', [861, 961, 1024, 1280])
def test_a_name_is_not_squeezed(visit, width):
    page = visit(width=width)
    line = page.get_by_role('link', name='shop.invoices.send').last.bounding_box()
    assert line['height'] < 30
    keep_picture(page, f'frame-names-{width}')


def test_long_texts_are_clamped_to_three_lines(visit):
    clamped = visit().locator('.clamped')
    lines = 'found => found.clientHeight / parseFloat(getComputedStyle(found).lineHeight)'
    heights = clamped.evaluate_all(f'all => all.map({lines})')
    assert len(heights) >= 5
    assert max(heights) < 3.1


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_paper_has_the_table_of_a_desk_without_buttons(visit, scheme):
    # an A4 page without its margins
    page = opened(visit(width=700, scheme=scheme))
    page.emulate_media(media='print', color_scheme=scheme)
    assert page.locator('table').evaluate('found => getComputedStyle(found).display') == 'table'
    assert page.get_by_role('columnheader', name='Schedule').is_visible()
    assert page.locator('button:visible, form:visible, nav:visible, summary:visible').count() == 0
    black = page.locator('h2').first.evaluate('found => getComputedStyle(found).color')
    assert max(map(int, re.findall('[0-9]+', black))) < 60
    white = page.locator('body').evaluate('found => getComputedStyle(found).backgroundColor')
    assert min(map(int, re.findall('[0-9]+', white))) > 240
    assert page.evaluate(STICKING_OUT) == []
    if folder := os.environ.get('SCREENSHOTS'):
        page.pdf(path=f'{folder}/frame-print-{scheme}.pdf', format='A4', print_background=False)
        keep_picture(page, f'frame-print-{scheme}')


def test_a_name_in_another_script_has_its_direction(visit):
    direction = 'found => getComputedStyle(found).direction'
    page = visit()
    assert page.get_by_role('link', name='חשבוניות.שליחה').last.evaluate(direction) == 'rtl'
    assert page.get_by_role('link', name='shop.invoices.send').last.evaluate(direction) == 'ltr'
    assert page.get_by_text('يرسل فواتير').evaluate(direction) == 'rtl'


def test_a_run_in_progress_and_a_paused_task_differ(visit):
    colour = 'found => getComputedStyle(found).backgroundColor'
    running = visit(PAGES['running']).locator('.history .badge', has_text='running').first.evaluate(colour)
    paused = visit().locator('.tasks .badge', has_text='paused').first.evaluate(colour)
    assert running != paused


def test_an_address_in_a_docstring_is_a_link(visit):
    page = visit(PAGES['task'])
    link = page.get_by_role('link', name='https://wiki.example/runbooks/invoices')
    assert link.get_attribute('rel') == 'noopener noreferrer'
    # and no other text becomes an element or an attribute
    assert visit().locator('.tasks script, .tasks b, [onmouseover]').count() == 0


def test_the_viewer_chooses_a_time_zone_without_a_script(visit):
    page = visit('/task?name=shop.invoices.send', java_script_enabled=False)
    page.get_by_label('Time zone of all times').fill('Asia/Kathmandu')
    page.get_by_role('button', name='Use this time zone').click()
    assert 'History, in Asia/Kathmandu' in page.get_by_role('main').inner_text()
    page.get_by_role('link', name='Scheduled tasks').click()
    assert re.search(r'\+05:45 Asia/Kathmandu', page.get_by_role('banner').inner_text())
    (cookie,) = (cookie for cookie in page.context.cookies() if cookie['name'] == 'cron_tz')
    assert (cookie['value'], cookie['path'], cookie['sameSite']) == ('Asia/Kathmandu', '/admin/cron', 'Lax')
    page.get_by_label('Time zone of all times').fill('Asia/Katmandoo')
    page.get_by_role('button', name='Use this time zone').click()
    assert 'is not a time zone' in page.get_by_role('main').inner_text()


def test_a_page_is_loaded_again_by_itself(visit, address):
    page = visit()
    page.get_by_role('link', name='Reload this page').click()
    assert 'Updated at' in page.get_by_role('banner').inner_text()

    def sooner(route):
        answer = route.fetch()
        route.fulfill(response=answer, body=answer.text().replace('content="60; url=', 'content="1; url='))

    page.route('**/*refresh=60', sooner)
    with page.expect_navigation(url=f'{address}?refresh=60'):
        page.reload()
    # the page itself requests the next
    with page.expect_navigation(url=f'{address}?refresh=60', timeout=30_000):
        pass
    page.unroute('**/*refresh=60')
    page.get_by_role('link', name='Stop reloading').click()
    assert 'As of' in page.get_by_role('banner').inner_text()


def test_the_icon_is_a_picture_that_the_policy_of_the_page_allows(visit):
    load = """async () => {
        const picture = new Image();
        picture.src = document.querySelector('link[rel=icon]').href;
        await picture.decode();
        return picture.naturalWidth;
    }"""
    assert visit().evaluate(load) > 0
