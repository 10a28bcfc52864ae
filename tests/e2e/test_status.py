"""The status page in a real browser: what it shows, to whom, and whether it can be read.

With ``STATUS_SCREENSHOTS`` set to a folder they leave pictures there, of which docs/status.png is one.
"""

import os
import subprocess
import tarfile
import threading
from datetime import timedelta
from pathlib import Path

import filling
import pytest
from pyramid.config import Configurator
from pyramid.csrf import CookieCSRFStoragePolicy
from pyramid.security import NO_PERMISSION_REQUIRED
from waitress import create_server

from pyramid_cron.clock import MINUTE, current_minute

FLAGS = [
    *('--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'),
    *('--disable-background-networking', '--disable-component-update'),
]
# the package of npm
AXE = 'axe-core@4.14.1'

TRACEBACK = """Traceback (most recent call last):
  File "/srv/shop/lib/pyramid_cron/runner.py", line 214, in call
    result = task.f(system)
  File "/srv/shop/shop/tasks.py", line 88, in refresh_rates
    rates = fetch(RATES_URL, timeout=10)
  File "/srv/shop/shop/http.py", line 31, in fetch
    response.raise_for_status()
shop.http.GatewayTimeout: 504 for https://rates.example.com/latest
"""


def refresh_rates(system):
    """Fetch the exchange rates of the day."""


def invoices(system):
    """Send the invoices of yesterday.

    An order is invoiced once it has left the warehouse. What cannot be sent is tried again the next day.
    """


def reminders(system):
    """Remind customers of carts they have left."""


def report(system):
    """Write the report of the week for the board."""


def purge(system):
    """Forget the sessions that nobody has used for a day."""


def feed(system):
    """Import the feed of the supplier in Tokyo."""


def mail(system):
    """Send the mail that pages have left for later."""


def warm_cache(system):
    """Warm the cache of the front page."""


def search_index(system):
    """Rebuild the index of the search."""


TASKS = [
    (refresh_rates, {'cron': '*/15 * * * *', 'retries': 2}),
    (invoices, {'cron': '0 2 * * *', 'catch_up': 3600}),
    (reminders, {'cron': '30 9-18 * * mon-fri'}),
    (report, {'cron': '0 7 * * mon'}),
    (purge, {'cron': '17 * * * *'}),
    (feed, {'cron': '0 6 * * *', 'timezone': 'Asia/Tokyo'}),
    (mail, {'min': '*'}),
    (warm_cache, {'cron': '*/5 * * * *', 'idle': True}),
    (search_index, {'cron': '40 3 * * *'}),
]


@pytest.fixture
def shop(tmp_path):
    """Serve a shop whose night was not a good one, and give its registry and the address of its page."""
    settings = {'cron.store': f'sqlite:///{tmp_path}/shop.sqlite', 'cron.app': 'shop', 'cron.timezone': 'Europe/Berlin'}
    with Configurator(settings=settings) as config:
        config.include('pyramid_cron')
        config.include('pyramid_cron.status')
        config.set_csrf_storage_policy(CookieCSRFStoragePolicy())
        for task, options in TASKS:
            config.add_cron_task(task, name=f'shop.{task.__name__}', **options)
        config.add_cron_status('/admin/cron', permission=NO_PERMISSION_REQUIRED)
        app = config.make_wsgi_app()
    registry, now = app.registry, current_minute()
    filling.fill(registry, 60, now, most=30)
    failed = {'status': 'failed', 'error': 'GatewayTimeout', 'traceback': TRACEBACK, 'seconds': 10.2}
    night = now - timedelta(hours=6)
    rows = [('shop.refresh_rates', now - number * MINUTE, {**failed, 'attempt': 3 - number}) for number in range(3)]
    rows.append(('shop.purge', now - 17 * MINUTE, {'status': 'skipped', 'reason': 'still running', 'attempt': 0}))
    lost = {'status': 'lost', 'reason': 'process 4711 on web-1'}
    rows.append(('shop.search_index', now - 9 * MINUTE, lost))
    filling.record(registry, *rows)
    filling.record_silence(registry, night, night + 9 * MINUTE, 'shop.invoices')
    registry['cron_claims'].pause(['shop.feed'], reason='the supplier moves its servers', by='maria')
    server = create_server(app, host='127.0.0.1', port=0, _dispatcher=None)
    thread = threading.Thread(target=server.run)
    thread.start()
    yield registry, f'http://localhost:{server.effective_port}/admin/cron'
    server.close()
    thread.join(10)
    registry['cron_claims'].database.engine.dispose()


@pytest.fixture(scope='session')
def chromium(program):
    playwright = pytest.importorskip('playwright.sync_api')
    executable = program('chromium')
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=executable, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(params=['light', 'dark'])
def scheme(request):
    return request.param


@pytest.fixture(params=[390, 1280])
def width(request):
    return request.param


@pytest.fixture
def open_page(chromium):
    """Open a page of a size and a colour scheme, and note which hosts it asks for anything."""
    contexts = []

    def open_at(url, width=1280, scheme='light'):
        context = chromium.new_context(viewport={'width': width, 'height': 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.asked, page.said = set(), []
        page.on('request', lambda request: page.asked.add(request.url.split('/')[2]))
        page.on('console', lambda message: page.said.append(message.text))
        page.goto(url)
        return page

    yield open_at
    for context in contexts:
        context.close()


@pytest.fixture(scope='session')
def axe(program, tmp_path_factory):
    """The text of axe-core."""
    folder = tmp_path_factory.mktemp('axe')
    subprocess.run([program('npm'), 'pack', '--silent', AXE], cwd=folder, check=True)
    [archive] = folder.glob('*.tgz')
    with tarfile.open(archive) as packed:
        return packed.extractfile('package/axe.min.js').read().decode()


def pages(url):
    return {
        'tasks': url,
        'task': f'{url}/task?name=shop.refresh_rates',
        'paused': f'{url}/task?name=shop.feed',
        'due': f'{url}/due?at=2026-10-25T02:00',
    }


def keep(page, name, width, scheme, **options):
    folder = os.environ.get('STATUS_SCREENSHOTS')
    if folder:
        page.screenshot(path=Path(folder) / f'{name}-{width}-{scheme}.png', full_page=True, **options)


def test_every_page_fits_and_asks_nobody_else(shop, open_page, width, scheme):
    _, url = shop
    for name, address in pages(url).items():
        page = open_page(address, width, scheme)
        keep(page, name, width, scheme)
        assert page.evaluate('document.documentElement.scrollWidth') == width, name
        assert page.asked == {url.split('/')[2]}, name
        assert not [text for text in page.said if 'Content Security Policy' in text], name
        # the stylesheet came
        assert page.evaluate("getComputedStyle(document.querySelector('.top')).borderBottomWidth") == '1px', name


def test_nothing_keeps_people_with_disabilities_out(shop, open_page, axe, width, scheme):
    _, url = shop
    for name, address in pages(url).items():
        page = open_page(address, width, scheme)
        for details in page.query_selector_all('summary'):
            details.click()
        page.evaluate(axe)
        result = page.evaluate('axe.run()')
        found = [
            (violation['id'], node['html'])
            for violation in result['violations']
            if violation['impact'] in ('serious', 'critical')
            for node in violation['nodes']
        ]
        assert found == [], name
        assert len(result['passes']) > 10, name


def test_the_keyboard_reaches_everything_and_shows_where_it_is(shop, open_page):
    _, url = shop
    page = open_page(f'{url}/task?name=shop.refresh_rates')
    reached = []
    for _ in range(8):
        page.keyboard.press('Tab')
        reached.append(page.evaluate('document.activeElement.textContent'))
        style = page.evaluate(
            '(({outlineStyle, outlineWidth}) => [outlineStyle, outlineWidth])(getComputedStyle(document.activeElement))'
        )
        assert style == ['solid', '3px'], reached
    assert [text for text in reached if text in ('Run now', 'Pause …')] == ['Run now', 'Pause …']


def test_a_task_is_run_paused_and_resumed_with_the_buttons(shop, open_page):
    registry, url = shop
    page = open_page(f'{url}/task?name=shop.mail')
    page.get_by_role('button', name='Run now').click()
    assert page.locator('.said').inner_text().startswith('shop.mail ran: ok in ')
    page.get_by_text('Pause …').click()
    page.get_by_label('Reason').fill('the mail server moves')
    page.get_by_role('button', name='Pause').click()
    assert page.locator('.said').inner_text() == 'shop.mail is paused until somebody resumes it.'
    page.reload()
    assert 'the mail server moves' in page.locator('main').inner_text()
    assert registry['cron_claims'].paused()['shop.mail'].reason == 'the mail server moves'
    page.get_by_role('button', name='Resume').click()
    assert page.locator('.said').inner_text() == 'shop.mail is resumed.'
    assert 'shop.mail' not in registry['cron_claims'].paused()


def test_what_needs_attention_comes_first_in_words(shop, open_page):
    _, url = shop
    text = open_page(url).locator('.notices').inner_text()
    for expected in [
        '10 minutes without a tick',
        'due then and not run: shop.invoices',
        'shop.refresh_rates failed at',
    ]:
        assert expected in ' '.join(text.split())
