"""The status page in a real browser: Debian's chromium, with axe-core looking for what people could not use.

``AXE_FOLDER`` names the folder of axe-core's npm package. ``SCREENSHOTS`` names one that pictures are put into:
those of ``PICTURES`` have the names that they have in the docs.
"""

import os
import re
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from pyramid.config import Configurator
from pyramid.csrf import CookieCSRFStoragePolicy
from pyramid.security import NO_PERMISSION_REQUIRED

from pyramid_cron.schedules.clock import MINUTE, current_minute
from tests.support.browser import opened, serving, visits
from tests.support.filling import fill, record, record_silence

TASKS = [
    ('shop.invoices.send', '0 2 * * *', 'Send the invoices of yesterday.', {}),
    ('shop.stock.sync', '*/10 * * * *', 'Fetch the stock from the warehouse.\n\nIn pages of 500.', {}),
    ('shop.reports.weekly', '30 7 * * mon', 'Mail the figures of the week to the owners.', {}),
    ('shop.sessions.purge', '17 3,15 * * *', 'Forget the sessions that were not used for a day.', {}),
    ('shop.rates.fetch', '*/15 9-17 * * 1-5', 'Fetch the rates of the exchange.', {'timezone': 'America/New_York'}),
    ('shop.search.index', '5 * * * *', 'Bring the search index up to date.', {'idle': True}),
    ('shop.backup.verify_that_the_newest_archive_can_be_restored', '0 4 1 * *', 'Restore the newest archive.', {}),
    ('shop.newsletter.queue', '*/7 * * * *', '', {}),
    ('shop.thumbnails.make', '* * * * *', 'Make the thumbnails that pages need.', {}),
]
TRACEBACK = """\
Traceback (most recent call last):
  File "/srv/shop/stock.py", line 41, in sync
    answer = warehouse.get('/v2/stock', timeout=10, headers={'Accept': 'application/json'}, allow_redirects=False)
  File "/srv/shop/warehouse.py", line 118, in get
    raise Timeout(f'no answer from {self.host} within {timeout} s')
shop.warehouse.Timeout: no answer from warehouse.example within 10 s
"""
PAST = datetime(2026, 11, 24, 1, 0, tzinfo=timezone.utc)
PAGES = {
    'tasks': '',
    'found': '?name=shop&state=failed&sort=-last',
    'task': '/task?name=shop.stock.sync',
    'paused': '/task?name=shop.reports.weekly',
    'changing': '/task?name=shop.backup.verify_that_the_newest_archive_can_be_restored',
    'due': '/due?at=2026-11-24T02:00',
    'history': '/history',
    'people': '/history?trigger=people&name=shop',
    'run': '/history/run?key=shop:shop.stock.sync@2026-11-24T01:00Z',
    'night': '/timeline',
    'day': '/timeline?day=',
}
# of the docs: the page, the width, what begins near the top, and what they end with
# after noon the narrow night has fewer tasks than six
PICTURES = {
    'status': ('', 1000, '.notices', '.tasks tbody tr:nth-child(3)'),
    'status-narrow': ('', 390, '.notices', '.notices'),
    'night': ('/timeline', 1000, '.timeline', '.timeline'),
    'night-narrow': ('/timeline', 390, '.timeline', '.timeline li:nth-of-type(-n + 6)'),
}


@pytest.fixture(scope='module')
def address(tmp_path_factory):
    """The address of a page about a shop with a warehouse that does not answer."""
    folder = tmp_path_factory.mktemp('status')
    config = Configurator(
        settings={
            'cron.store': f'sqlite:///{folder}/cron.sqlite',
            'cron.app': 'shop',
            'cron.timezone': 'Europe/Berlin',
            'cron.environment': 'staging',
            'cron.log_url': 'https://logs.example/?q={key}',
        }
    )
    config.set_csrf_storage_policy(CookieCSRFStoragePolicy())
    config.include('pyramid_cron')
    config.include('pyramid_cron.status')
    config.add_cron_status('/admin/cron', permission=NO_PERMISSION_REQUIRED, write_permission=NO_PERMISSION_REQUIRED)
    for name, cron, docstring, options in TASKS:
        config.add_cron_task(task(docstring), name=name, cron=cron, **options)
    application = config.make_wsgi_app()
    remember(config.registry)
    with serving(application) as origin:
        yield f'{origin}/admin/cron'
    config.registry['cron_store'].database.engine.dispose()


def task(docstring):
    def f(system):
        pass

    f.__doc__ = docstring
    return f


def remember(registry):
    now = current_minute()
    fill(registry, 4, now)
    # after what the history has of this minute
    soon = now + timedelta(seconds=5)
    failed = {'outcome': 'failed', 'seconds': 10.2, 'error': 'Timeout', 'traceback': TRACEBACK}
    kept = {'note': '1,204 rows, 3 refused', 'log': 'INFO shop.stock page 1 of 3\n' * 40}
    record(
        registry,
        *(('shop.stock.sync', now - ago * MINUTE, failed) for ago in (60, 190)),
        ('shop.stock.sync', PAST, failed),
        ('shop.stock.sync', now, {**failed, 'started': soon}),
        ('shop.search.index', now, {'outcome': 'lost', 'reason': 'process 811 on web-2', 'started': soon}),
        ('shop.newsletter.queue', now - 3 * MINUTE, {'outcome': 'skipped', 'attempt': 0, 'reason': 'still running'}),
    )
    record(registry, ('shop.stock.sync', PAST, {**failed, **kept, 'attempt': 2, 'started': PAST + 3 * MINUTE}))
    record_silence(registry, now - 200 * MINUTE, now - 191 * MINUTE, 'shop.invoices.send')
    registry['cron_store'].pause(
        ['shop.reports.weekly'], reason='the mail server moves', until=now + timedelta(days=2), requested_by='ada'
    )


@pytest.fixture
def visit(chromium, address):
    with visits(chromium, address) as visit:
        yield visit


@pytest.fixture(scope='module')
def axe():
    """The text of axe-core's script."""
    folder = os.environ.get('AXE_FOLDER')
    if folder is None:
        lacking = pytest.fail if os.environ.get('CI') else pytest.skip
        lacking('AXE_FOLDER does not name the folder of axe-core: npm pack axe-core, and unpack it')
    return (Path(folder) / 'axe.min.js').read_text()


@pytest.mark.parametrize('name', PAGES)
@pytest.mark.parametrize('width', [390, 1280])
@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_everybody_can_use_the_page(visit, axe, name, width, scheme):
    page = opened(visit(PAGES[name], width, scheme))
    page.evaluate(axe)
    found = page.evaluate('axe.run()')
    serious = [fault for fault in found['violations'] if fault['impact'] in ('serious', 'critical')]
    assert [(fault['id'], [node['html'] for node in fault['nodes']]) for fault in serious] == []
    # it did look at the colours
    assert 'color-contrast' in [rule['id'] for rule in found['passes']]


@pytest.mark.parametrize('name', PAGES)
@pytest.mark.parametrize('width', [320, 390, 861, 1280])
def test_nothing_is_wider_than_the_window(visit, name, width):
    page = visit(PAGES[name], width)
    if folder := os.environ.get('SCREENSHOTS'):
        for scheme in ('light', 'dark'):
            page.emulate_media(color_scheme=scheme)
            page.screenshot(path=f'{folder}/{name}-{width}-{scheme}.png', full_page=True)
    opened(page)
    assert page.evaluate('document.documentElement.scrollWidth') <= width


@pytest.mark.parametrize('name', PICTURES)
@pytest.mark.parametrize(('scheme', 'suffix'), [('light', ''), ('dark', '-dark')])
def test_a_picture_of_the_docs_begins_with_what_it_is_about(visit, name, scheme, suffix):
    path, width, first, last = PICTURES[name]
    page = visit(path, width, scheme, device_scale_factor=2 if width < 480 else 1)
    box = page.locator(last).last.bounding_box()
    height = box['y'] + box['height']
    about = page.locator(first).bounding_box()
    assert (about['y'] < 500, about['y'] <= box['y'], height < 1100) == (True, True, True), (about, height)
    if folder := os.environ.get('SCREENSHOTS'):
        clip = {'x': 0, 'y': 0, 'width': width, 'height': height + 1}
        page.screenshot(path=f'{folder}/{name}{suffix}.png', full_page=True, clip=clip)


def test_dark_is_dark_and_light_is_light(visit):
    brightness = 'getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)'
    assert min(visit(scheme='light').evaluate(brightness)) > 230
    assert max(visit(scheme='dark').evaluate(brightness)) < 40


def test_the_keyboard_reaches_everything_and_shows_where_it_is(visit):
    page = visit(PAGES['task'])
    outline = "getComputedStyle(document.activeElement).outlineStyle + ' ' + document.activeElement.innerText"
    reached = []
    for _ in range(15):
        page.keyboard.press('Tab')
        reached.append(page.evaluate(outline))
    # the minute of the failed run is also that of a good one, each ten minutes
    # and the times of the entries are links
    reached = [text for text in reached if not re.search(r' for |\d\d:\d\d$', text)]
    assert [re.sub('(?<=^solid failed) .*', '', text) for text in reached][:12] == [
        'solid Scheduled tasks',
        'solid The night at a glance',
        'solid History',
        'solid What was due at …?',
        'solid Europe/Berlin',
        'solid failed',
        'solid Run now …',
        'solid Acknowledge …',
        'solid Pause …',
        'solid Only failed, lost and missed runs',
        'solid Only actions of people',
        'solid Traceback',
    ]


def test_a_task_is_run_paused_and_resumed_without_a_script(visit):
    page = visit('/task?name=shop.thumbnails.make', java_script_enabled=False)
    page.get_by_text('Run now …').click()
    assert 'Application shop, environment staging' in page.locator('form', has_text='Run it now').inner_text()
    page.get_by_role('button', name='Run it now').click()
    assert 'shop.thumbnails.make ran: ok' in page.get_by_role('status').inner_text()
    # reloaded, the browser requests a page, and does not send the form once more
    assert page.reload().request.method == 'GET'
    page.get_by_text('Pause …').click()
    page.get_by_label('Reason').fill('the disk is full')
    page.get_by_role('button', name='Pause', exact=True).click()
    assert 'is paused until it is resumed' in page.get_by_role('status').inner_text()
    page.get_by_role('link', name='Scheduled tasks').click()
    assert 'the disk is full' in page.locator('.notices').inner_text()
    page.get_by_role('link', name='shop.thumbnails.make').first.click()
    page.get_by_role('button', name='Resume').click()
    assert 'shop.thumbnails.make is resumed' in page.get_by_role('status').inner_text()


def test_tasks_are_found_and_sorted_without_a_script(visit):
    page = visit(java_script_enabled=False)
    page.get_by_label('Name contains').fill('STOCK')
    page.get_by_role('button', name='Find').click()
    assert page.get_by_role('row').count() == 2
    page.get_by_role('link', name='Show all').click()
    page.get_by_role('link', name=re.compile('^failed [1-9]')).click()
    assert 'shop.stock.sync' in page.get_by_role('table').inner_text()
    assert page.url.endswith('?state=failed')
    page.get_by_role('link', name='Task', exact=True).click()
    assert page.url.endswith('?state=failed&sort=name')
    assert page.get_by_role('columnheader', name='Task').get_attribute('aria-sort') == 'ascending'
    # a bookmark
    again = visit('?state=failed&sort=name', java_script_enabled=False)
    assert again.get_by_role('table').inner_text() == page.get_by_role('table').inner_text()


def test_the_form_explains_a_minute(visit):
    page = visit('/due', java_script_enabled=False)
    page.get_by_label('Date and time').fill('2026-11-24T02:00')
    page.get_by_role('button', name='Show').click()
    assert 'Tue 2026-11-24 02:00 Europe/Berlin: 4 of 9 tasks were due' in page.get_by_role('main').inner_text()


def test_a_screen_reader_has_a_text_for_a_strip(visit):
    strip = re.compile(r'^Last 30 runs: 2\d ok, \d failed; the last is failed$')
    assert visit().get_by_role('img', name=strip).count() == 1
    # narrow, it is a table for them all the same
    page = visit(width=390)
    assert page.get_by_role('columnheader', name='Last 30 runs').count() == 1
    assert page.get_by_role('row').count() == 10


def test_a_screen_reader_has_a_text_for_each_row_of_a_day(visit):
    page = visit('/timeline?day=')
    rows = page.locator('.timeline li')
    assert rows.count() > 2
    assert rows.get_by_role('img').count() == rows.count()
    assert rows.filter(has_text='shop.search.index').get_by_role('img', name=re.compile(r'\d\d:\d\d lost')).count() == 1


def test_a_picture_shows_how_long_runs_took(visit):
    picture = visit(PAGES['task']).get_by_role('img', name=re.compile('^How long the last 60 runs took'))
    assert picture.count() == 1
    assert picture.bounding_box()['height'] > 60
