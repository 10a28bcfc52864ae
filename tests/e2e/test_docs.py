"""The pages of the documentation in a real browser: Debian's chromium, on a phone and on a desk.

``SCREENSHOTS`` names a folder that pictures are put into.
"""

import functools
import importlib.util
import os
import subprocess
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

# what sticks out of the window, but for what can be scrolled by itself, such as a table or an example
OVERFLOW = """() => {
    const width = document.documentElement.clientWidth;
    const scrolls = e => ['auto', 'scroll'].includes(getComputedStyle(e).overflowX);
    const boxed = e => e.tagName !== 'ARTICLE' && (scrolls(e) || boxed(e.parentElement));
    const wide = [...document.querySelectorAll('article *')].filter(e => e.getBoundingClientRect().right > width + 1);
    const found = wide.filter(e => !boxed(e.parentElement)).slice(0, 5).map(e => e.outerHTML.slice(0, 90));
    return document.documentElement.scrollWidth > width ? ['page', ...found] : found;
}"""

# A4 with margins of a centimetre, in pixels of CSS
PAPER = 718

INDEXED = [
    'add_cron_status() (in module pyramid_cron.status)',
    'add_cron_task() (in module pyramid_cron)',
    'add_perform() (in module pyramid_cron.queues.celery)',
    'CeleryQueue (class in pyramid_cron.queues.celery)',
    'command (pyramid_cron.queues.Handover property)',
    'ITaskFinished (interface in pyramid_cron.events)',
    'Fenced',
    'metadata (in module pyramid_cron.store)',
    'perform() (in module pyramid_cron)',
    'Skip',
    'TaskFinished (class in pyramid_cron.events)',
]
MODULES = ['pyramid_cron', 'pyramid_cron.events', 'pyramid_cron.queues.procrastinate', 'pyramid_cron.testing']


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture(scope='module')
def pages(root, tmp_path_factory):
    """The folder of the built pages."""
    if importlib.util.find_spec('furo') is None:
        lacking = pytest.fail if os.environ.get('CI') else pytest.skip
        lacking("what makes the pages is not installed: pip install -e '.[docs]'")
    folder = tmp_path_factory.mktemp('docs')
    command = [sys.executable, '-m', 'sphinx', '-W', '-n', '-q', '-b', 'html', root / 'docs', folder / 'html']
    done = subprocess.run([*command, '-d', folder / 'doctrees'], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / 'html'


@pytest.fixture(scope='module')
def address(pages):
    handler = functools.partial(Quiet, directory=pages)
    with ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f'http://127.0.0.1:{server.server_port}/'
        server.shutdown()
        thread.join()


@pytest.fixture
def window(chromium, address):
    """Return a function that makes a window; what is requested from another host, or not found, fails at its end."""
    contexts, elsewhere, missing = [], [], []

    def window(width, scheme='light', media='screen'):
        context = chromium.new_context(viewport={'width': width, 'height': 900}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.emulate_media(media=media, color_scheme=scheme)
        local = (address, 'data:', 'blob:')
        page.on('request', lambda request: request.url.startswith(local) or elsewhere.append(request.url))
        page.on('response', lambda answer: answer.ok or answer.status == 304 or missing.append(answer.url))
        return page

    yield window
    for context in contexts:
        context.close()
    assert elsewhere == []
    assert [url for url in missing if not url.endswith('/favicon.ico')] == []


def names(root):
    return sorted(path.stem for path in (root / 'docs').glob('*.rst'))


@pytest.mark.parametrize('width', [390, 1280])
@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_no_page_is_too_wide_or_requests_another_host(window, address, root, width, scheme):
    page, wide = window(width, scheme), {}
    for name in names(root):
        page.goto(f'{address}{name}.html')
        if found := page.evaluate(OVERFLOW):
            wide[name] = found
        if folder := os.environ.get('SCREENSHOTS'):
            page.screenshot(path=f'{folder}/{name}-{width}-{scheme}.png', full_page=True)
    assert wide == {}


@pytest.mark.parametrize('width', [390, 1280])
def test_dark_is_dark_and_light_is_light(window, address, width):
    brightness = 'getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).slice(0, 3).map(Number)'
    for scheme, fits in (('light', lambda rgb: min(rgb) > 230), ('dark', lambda rgb: max(rgb) < 50)):
        page = window(width, scheme)
        page.goto(f'{address}index.html')
        assert fits(page.evaluate(brightness)), scheme


@pytest.mark.parametrize(
    ('width', 'kind', 'media'), [(390, '.crontab', 'screen'), (1280, '', 'screen'), (PAPER, '', 'print')]
)
def test_no_line_that_is_copied_is_cut_off(window, address, root, width, kind, media):
    page, cut = window(width, media=media), {}
    for name in names(root):
        page.goto(f'{address}{name}.html')
        lines = f"[...document.querySelectorAll('div[class*=highlight-]{kind} pre')]"
        if found := page.evaluate(
            f'{lines}.filter(e => e.scrollWidth > e.clientWidth).map(e => e.innerText.slice(0, 90))'
        ):
            cut[name] = found
    assert cut == {}


# of each row of the comparison: the left edges of its cells, and the words that do not fit into them
COMPARED = """() => [...document.querySelectorAll('table.compare tr')].map(row => {
    const cells = [...row.children].slice(1);
    const range = document.createRange();
    const right = e => (range.selectNodeContents(e), range.getBoundingClientRect().right);
    const out = cells.filter(e => right(e) > e.getBoundingClientRect().right + 0.5);
    return [cells.map(e => Math.round(e.getBoundingClientRect().left)), out.map(e => e.innerText)];
})"""


@pytest.mark.parametrize('width', [390, 1280])
def test_the_comparison_has_all_columns_in_the_window(window, address, width):
    page = window(width)
    page.goto(f'{address}index.html')
    header, *lines = page.evaluate(COMPARED)
    assert len(set(header[0])) == 5
    assert 0 <= header[0][0] < header[0][-1] < width - 40
    assert lines == [header] * 13
    smallest = (
        "[...document.querySelectorAll('table.compare :is(td, th)')].map(e => parseFloat(getComputedStyle(e).fontSize))"
    )
    assert min(page.evaluate(smallest)) > 8


def test_a_page_on_paper_has_its_own_text_alone(window, address):
    page = window(PAPER, media='print')
    page.goto(f'{address}index.html')
    header, *lines = page.evaluate(COMPARED)
    assert lines == [header] * 13
    for name in ('.skip-to-content', '.mobile-header', '.related-pages'):
        assert page.locator(name).first.is_hidden(), name
    assert not page.locator('button:visible').count()


@pytest.mark.parametrize(('name', 'picture'), [('index', 'status'), ('status', 'status'), ('night', 'night')])
@pytest.mark.parametrize(('width', 'kind'), [(390, '-narrow'), (1280, '')])
@pytest.mark.parametrize(('scheme', 'suffix'), [('light', ''), ('dark', '-dark')])
def test_one_picture_is_shown_and_can_be_read(window, address, name, picture, width, kind, scheme, suffix):
    page = window(width, scheme)
    page.goto(f'{address}{name}.html')
    # one that is loaded late has no size before that
    pictures = page.locator('article img').locator('visible=true')
    page.evaluate("document.querySelectorAll('article img').forEach(e => { e.loading = 'eager' })")
    pictures.first.wait_for()
    assert pictures.count() == 1
    src, full, wide = pictures.evaluate('e => e.decode().then(() => [e.src, e.naturalWidth, e.clientWidth])')
    assert src.endswith(f'/{picture}{kind}{suffix}.png')
    # those for phones have two pixels for each of theirs
    assert wide / (full / 2 if width == 390 else full) > 0.7


def test_the_title_of_the_sidebar_is_one_line(window, address):
    page = window(1280)
    page.goto(f'{address}index.html')
    title = page.evaluate(
        "(e => [e.innerText, e.getClientRects().length])(document.querySelector('.sidebar-brand-text'))"
    )
    assert title == ['pyramid_cron', 1]


def test_every_page_is_in_the_navigation(window, address, root):
    page = window(1280)
    page.goto(f'{address}index.html')
    linked = page.evaluate("[...document.querySelectorAll('.sidebar-tree a')].map(a => a.getAttribute('href'))")
    assert {f'{name}.html' for name in names(root)} - {'index.html'} <= {link.split('#')[0] for link in linked}


def test_the_indexes_have_the_public_names(window, address):
    page = window(1280)
    for link, expected in (('Index of names', INDEXED), ('Index of modules', MODULES)):
        page.goto(f'{address}api.html')
        page.click(f'.sidebar-tree a:has-text("{link}")')
        page.wait_for_load_state()
        entries = page.evaluate("[...document.querySelectorAll('article table a')].map(a => a.innerText)")
        assert set(expected) - set(entries) == set()


def test_the_search_finds_a_setting_without_another_host(window, address):
    page = window(390)
    page.goto(f'{address}search.html?q=cron.lease')
    page.wait_for_selector('#search-results li a')
    found = page.evaluate("[...document.querySelectorAll('#search-results li a')].map(a => a.getAttribute('href'))")
    assert any('settings.html' in link for link in found)
