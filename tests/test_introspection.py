import re

import pytest
from pyramid.config import Configurator
from pyramid.response import Response
from webtest import TestApp

from pyramid_cron import Schedule


def purge(system):
    """Remove what is old."""


@pytest.fixture
def config():
    config = Configurator(settings={'pyramid.includes': 'pyramid_debugtoolbar', 'cron.timezone': 'UTC'})
    config.include('pyramid_cron')
    config.add_cron_task(purge, cron='30 2 * * mon-fri', idle=True, was='old.purge')
    config.add_view(lambda request: Response('<html><body>a page</body></html>'))
    return config


def test_everything_known_about_a_task_can_be_introspected(config):
    config.commit()
    [task] = config.introspector.get_category('cron tasks')
    assert dict(task['introspectable']) == {
        'callable': purge,
        'name': f'{__name__}.purge',
        'schedule': Schedule.from_line('30 2 * * mon-fri'),
        'crontab': '30 2 * * mon-fri',
        'schedule_by': None,
        'schedule_in_code': None,
        'timezone': 'UTC',
        'idle': True,
        'was': ('old.purge',),
    }
    assert task['related'] == []


def test_the_debug_toolbar_shows_the_tasks(config):
    app = TestApp(config.make_wsgi_app(), extra_environ={'REMOTE_ADDR': '127.0.0.1', 'HTTP_HOST': 'localhost'})
    page = app.get('/')
    toolbar = app.get(re.search(r'href="([^"]*/_debug_toolbar/\d+)"', page.text)[1])
    assert 'cron tasks' in toolbar.text.lower()
    assert f'{__name__}.purge' in toolbar.text
    assert '30 2 * * mon-fri' in toolbar.text
