"""The panel, in the real toolbar."""

import re

import pytest
from pyramid.config import Configurator
from pyramid.response import Response
from webtest import TestApp

LOCAL = {'REMOTE_ADDR': '127.0.0.1', 'HTTP_HOST': 'localhost'}


def purge(system): ...


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
            config.add_cron_task(fail, min='*', name='fail')
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
    assert '<td>purge&lt;b&gt;</td><td>30 2 * * mon-fri</td><td>UTC</td>' in text
    assert 'This tick' not in text


def test_a_tick_shows_its_report_and_last_runs(make_app, tmp_path):
    app = make_app(**{'cron.store': f'sqlite:///{tmp_path}/cron.sqlite'})
    assert app.get('/cron', status=500).text == 'fail: 1 of 1 tasks failed: fail'
    app.app.registry['cron_store'].pause(['purge<b>'], reason='why')
    text = shown(app, 0)
    assert 'This tick, for ' in text
    assert '<p>fail: 1 of 1 tasks failed: fail</p>' in text
    assert re.search(r'<td>fail</td><td>failed</td><td>0\.\d+ s</td><td>LookupError</td>', text)
    assert re.search(r'<td>failed (just now|\d min ago)</td>', text)
    assert '<td>until it is resumed: why</td>' in text
    assert 'a detail' not in text


def test_a_task_that_is_not_registered_is_shown(make_app, tmp_path):
    app = make_app(**{'cron.store': f'sqlite:///{tmp_path}/cron.sqlite'})
    app.get('/cron', status=500)
    with app.app.registry['cron_store'].database.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE cron_tasks SET task = '<gone>', last_seen = '2020-01-01' WHERE task = 'fail'"
        )
        connection.exec_driver_sql('UPDATE cron_ticks SET minute_before = last_minute')
    app.get('/')
    assert '<p>&lt;gone&gt; is unregistered</p>' in shown(app, 0)


def test_a_store_that_is_down_is_reported(make_app, tmp_path):
    path = tmp_path / 'cron.sqlite'
    path.write_text('no database, but long enough for a header of one' * 100)
    app = make_app(**{'cron.store': f'sqlite:///{path}'})
    app.get('/')
    assert 'Without last runs and pauses: the store is not available' in shown(app, 0)


def test_without_pyramid_cron_the_panel_has_nothing_to_show(make_app):
    app = make_app(include=None)
    app.get('/')
    assert shown(app, 0) is None
