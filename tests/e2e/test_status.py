"""The status page in a real browser: Debian's chromium, with axe-core looking for what people could not use.

``AXE_FOLDER`` names the folder of axe-core's npm package. ``SCREENSHOTS`` names one that pictures are put into:
``tasks-1280.png`` is that of the docs.
"""

import os
import re
import threading
from datetime import timedelta
from pathlib import Path
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIServer, make_server

import pytest
from pyramid.config import Configurator
from pyramid.csrf import CookieCSRFStoragePolicy
from pyramid.httpexceptions import HTTPNoContent
from pyramid.security import NO_PERMISSION_REQUIRED

from pyramid_cron.schedules.clock import MINUTE, current_minute
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
PAGES = {
    'tasks': '',
    'task': '/task?name=shop.stock.sync',
    'paused': '/task?name=shop.reports.weekly',
    'changing': '/task?name=shop.backup.verify_that_the_newest_archive_can_be_restored',
    'due': '/due?at=2026-11-24T02:00',
}


class Server(ThreadingMixIn, WSGIServer):
    """A browser opens connections ahead of time, for which one thread would wait."""

    daemon_threads = True


@pytest.fixture(scope='module')
def address(tmp_path_factory):
    """The address of a page about a shop with a warehouse that does not answer."""
    folder = tmp_path_factory.mktemp('status')
    config = Configurator(
        settings={
            'cron.store': f'sqlite:///{folder}/cron.sqlite',
            'cron.app': 'shop',
            'cron.timezone': 'Europe/Berlin',
        }
    )
    config.set_csrf_storage_policy(CookieCSRFStoragePolicy())
    config.include('pyramid_cron')
    config.include('pyramid_cron.status')
    config.add_cron_status('/admin/cron', permission=NO_PERMISSION_REQUIRED, write_permission=NO_PERMISSION_REQUIRED)
    # which a browser requests from the application
    config.add_route('icon', '/favicon.ico')
    config.add_view(lambda request: HTTPNoContent(), route_name='icon')
    for name, cron, docstring, options in TASKS:
        config.add_cron_task(task(docstring), name=name, cron=cron, **options)
    application = config.make_wsgi_app()
    remember(config.registry)
    with make_server('127.0.0.1', 0, application, Server) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f'http://127.0.0.1:{server.server_port}/admin/cron'
        server.shutdown()
        thread.join()
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
    record(
        registry,
        *(('shop.stock.sync', now - ago * MINUTE, failed) for ago in (60, 190)),
        ('shop.stock.sync', now, {**failed, 'started': soon}),
        ('shop.search.index', now, {'outcome': 'lost', 'reason': 'process 811 on web-2', 'started': soon}),
        ('shop.newsletter.queue', now - 3 * MINUTE, {'outcome': 'skipped', 'attempt': 0, 'reason': 'still running'}),
    )
    record_silence(registry, now - 200 * MINUTE, now - 191 * MINUTE, 'shop.invoices.send')
    registry['cron_store'].pause(
        ['shop.reports.weekly'], reason='the mail server moves', until=now + timedelta(days=2), requested_by='ada'
    )


@pytest.fixture
def visit(chromium, address):
    """Return a function that opens a page in a window of its own; requests to other hosts fail."""
    contexts, elsewhere = [], []
    origin = address.removesuffix('/admin/cron') + '/'

    def visit(path='', width=1280, scheme='light', **options):
        context = chromium.new_context(viewport={'width': width, 'height': 800}, color_scheme=scheme, **options)
        contexts.append(context)
        page = context.new_page()
        page.on('request', lambda request: request.url.startswith(origin) or elsewhere.append(request.url))
        page.on('console', lambda message: elsewhere.append(message.text))
        page.goto(address + path)
        return page

    yield visit
    for context in contexts:
        context.close()
    assert elsewhere == []


@pytest.fixture(scope='module')
def axe():
    """The text of axe-core's script."""
    folder = os.environ.get('AXE_FOLDER')
    if folder is None:
        lacking = pytest.fail if os.environ.get('CI') else pytest.skip
        lacking('AXE_FOLDER does not name the folder of axe-core: npm pack axe-core, and unpack it')
    return (Path(folder) / 'axe.min.js').read_text()


def opened(page):
    """Open everything that can be opened, where faults could hide."""
    page.evaluate("document.querySelectorAll('details').forEach(found => { found.open = true })")
    return page


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
    page = opened(visit(PAGES[name], width))
    assert page.evaluate('document.documentElement.scrollWidth') <= width
    if folder := os.environ.get('SCREENSHOTS'):
        page.screenshot(path=f'{folder}/{name}-{width}.png', full_page=True)


def test_dark_is_dark_and_light_is_light(visit):
    brightness = 'getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)'
    assert min(visit(scheme='light').evaluate(brightness)) > 230
    assert max(visit(scheme='dark').evaluate(brightness)) < 40


def test_the_keyboard_reaches_everything_and_shows_where_it_is(visit):
    page = visit(PAGES['task'])
    outline = "getComputedStyle(document.activeElement).outlineStyle + ' ' + document.activeElement.innerText"
    reached = []
    for _ in range(6):
        page.keyboard.press('Tab')
        reached.append(page.evaluate(outline))
    assert reached == [
        'solid Scheduled tasks',
        'solid What was due at …?',
        'solid Run now',
        'solid Pause …',
        'solid Only what failed, was lost or missed',
        'solid Traceback',
    ]


def test_a_task_is_run_paused_and_resumed_without_a_script(visit):
    page = visit('/task?name=shop.thumbnails.make', java_script_enabled=False)
    page.get_by_role('button', name='Run now').click()
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
