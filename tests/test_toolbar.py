"""The panel, in the real toolbar."""

import re

import pytest
from pyramid.config import Configurator
from pyramid.response import Response
from webtest import TestApp

from pyramid_cron.schedules import clock
from pyramid_cron.status.task_filter import TaskFilter
from pyramid_cron.status.tasks_page import read_tasks_page

LOCAL = {'REMOTE_ADDR': '127.0.0.1', 'HTTP_HOST': 'localhost'}


def purge(system):
    """Delete what is old."""


def fail(system):
    raise LookupError('a detail')


@pytest.fixture
def make_app():
    made = []

    def make(include='pyramid_cron', **settings):
        toolbar = {'pyramid.includes': 'pyramid_debugtoolbar', 'debugtoolbar.includes': 'pyramid_cron.toolbar'}
        config = Configurator(settings={**toolbar, 'cron.timezone': 'UTC', **settings})
        if include:
            config.include(include)
            config.add_cron_task(purge, cron='30 2 * * mon-fri', name='purge<b>')
            config.add_cron_task(fail, min='*', name='fail', idle=True, timezone='Asia/Tokyo')
        config.add_view(lambda request: Response('<html><body>a page</body></html>'))
        made.append(config.registry)
        return TestApp(config.make_wsgi_app(), extra_environ=LOCAL)

    yield make
    for registry in made:
        if registry.get('cron_store') is not None:
            registry['cron_store'].database.engine.dispose()


def shown(app, number):
    """Return what the toolbar shows of a request, of which the last is number 0."""
    requests = list(app.app.registry.pdtb_history.last(10))
    page = app.get(f'/_debug_toolbar/{requests[number][0]}').text
    found = re.search(r'id="pDebugPanel-cron-content".*?(?=id="pDebugPanel-|\Z)', page, re.DOTALL)
    return None if found is None else found[0]


def test_a_page_shows_the_tasks(make_app):
    app = make_app()
    app.get('/')
    text = shown(app, 0)
    assert (
        '<td>purge&lt;b&gt;; Delete what is old.</td><td>at 02:30, from Monday to Friday; 30 2 * * mon-fri</td>' in text
    )
    assert '<td>fail</td><td>every minute; * * * * *; Asia/Tokyo; when idle</td>' in text
    assert 'This tick' not in text


@pytest.mark.slow
def test_a_tick_shows_its_report_and_last_runs(make_app, tmp_path):
    app = make_app(**{'cron.store': f'sqlite:///{tmp_path}/cron.sqlite'})
    assert app.get('/cron', status=500).text == 'fail: 1 of 1 tasks failed: fail'
    app.app.registry['cron_store'].pause(['purge<b>'], reason='why')
    text = shown(app, 0)
    assert 'This tick, for ' in text
    assert '<p>fail: 1 of 1 tasks failed: fail</p>' in text
    assert re.search(r'<td>fail</td><td>failed</td><td>0\.\d+ s</td><td>LookupError</td>', text)
    assert re.search('<p>paused: purge&lt;b&gt; paused since .{5} until it is resumed: why</p>', text)
    assert '<td>purge&lt;b&gt;; paused; Delete what is old.</td>' in text
    assert text.count('LookupError: a detail') == 2
    assert 'All tasks are paused' not in text


@pytest.mark.slow
def test_a_task_is_shown_as_on_the_status_page(make_app, tmp_path):
    app = make_app(**{'cron.store': f'sqlite:///{tmp_path}/cron.sqlite'})
    app.get('/cron', status=500)
    registry, now = app.app.registry, clock.now()
    page = read_tasks_page(registry, TaskFilter(), now, registry['cron_settings'].timezone)
    (row,) = (row for row in page.rows if row.name == 'fail')
    last = row.last_due
    run = f'<td>failed {last.when}; {last.took}; LookupError: a detail'
    strip = re.escape(f'</td><td>{row.strip.text}</td><td>{row.next_run.text}, ')
    text = shown(app, 0)
    assert (last.css_class, row.strip.text) == ('bad', 'Last run: failed')
    assert re.search(f'{run}[^<]*{strip}', text)
    assert re.search('<p>failed: fail failed at [^<]*\\d\\d:\\d\\d after 0.0[^<]* s: LookupError', text)
    assert f'<p>Last tick: {page.last_tick.text}, ' in text


@pytest.mark.slow
def test_a_pause_of_all_tasks_is_shown(make_app, tmp_path):
    app = make_app(**{'cron.store': f'sqlite:///{tmp_path}/cron.sqlite'})
    app.get('/')
    app.app.registry['cron_store'].pause(['*'], reason='<b>', requested_by='ada')
    text = shown(app, 0)
    assert '<p>paused: All tasks are paused by ada until they are resumed: &lt;b&gt;</p>' in text
    # before the first tick
    assert text.count('; paused') == 2


@pytest.mark.slow
def test_a_task_that_is_not_registered_is_shown(make_app, tmp_path):
    app = make_app(**{'cron.store': f'sqlite:///{tmp_path}/cron.sqlite'})
    app.get('/cron', status=500)
    with app.app.registry['cron_store'].database.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE cron_tasks SET task = '<gone>', last_seen = '2020-01-01' WHERE task = 'fail'"
        )
        connection.exec_driver_sql('UPDATE cron_ticks SET minute_before = last_minute')
    app.get('/')
    text = shown(app, 0)
    assert '<p>unregistered: &lt;gone&gt; no process with a tick has had it since ' in text
    assert '<td>&lt;gone&gt;</td><td>unregistered</td>' in text


def test_a_store_that_is_down_is_reported(make_app, tmp_path):
    path = tmp_path / 'cron.sqlite'
    path.write_text('no database, but long enough for a header of one' * 100)
    app = make_app(**{'cron.store': f'sqlite:///{path}'})
    app.get('/')
    assert '<p>store: the store is not available' in shown(app, 0)


def test_without_pyramid_cron_the_panel_has_nothing_to_show(make_app):
    app = make_app(include=None)
    app.get('/')
    assert shown(app, 0) is None


def test_a_schedule_of_the_setting_is_shown(make_app):
    app = make_app(**{'cron.schedules': {'fail': 'off'}})
    app.get('/')
    cells = '<td>fail</td><td>off, by cron.schedules; Asia/Tokyo; when idle</td><td></td><td></td><td>off</td>'
    assert cells in shown(app, 0)
