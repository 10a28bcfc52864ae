"""``config.include('pyramid_cron')``."""

import sys

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError
from webtest import TestApp

from pyramid_cron.settings import Settings
from tests.support.requests import request_cron


def purge(system): ...


def other(system): ...


def test_an_include_after_a_commit_loses_nothing():
    def first(config):
        config.include('pyramid_cron')
        config.add_cron_task(purge)
        config.commit()

    def second(config):
        config.include('pyramid_cron')
        config.add_cron_task(other)

    config = Configurator()
    config.include(first)
    config.include(second)
    config.commit()
    assert [task.f for task in config.registry['cron_tasks']] == [purge, other]


def test_a_bad_secret_added_later_is_not_shown_either():
    config = Configurator()
    config.include('pyramid_cron')
    config.add_settings({'cron.secret': 'too short'})
    with pytest.raises(ConfigurationError, match=r'cron\.secret') as caught:
        config.commit()
    assert 'too short' not in str(caught.value)


def test_a_store_that_cannot_be_imported_says_what_to_install(monkeypatch):
    # what a missing SQLAlchemy says is told by a test of the store, in a process of its own
    monkeypatch.setitem(sys.modules, 'pyramid_cron.monitoring.views', None)
    config = Configurator(settings={'cron.store': 'sqlite:////var/cron.sqlite'})
    with pytest.raises(ConfigurationError, match=r"cron\.store: .*; run: pip install 'pyramid_cron\[store\]'"):
        config.include('pyramid_cron')


def test_a_misspelt_setting_warns_when_the_application_starts():
    config = Configurator(settings={'cron.allowed_ip': '10.0.0.1'})
    config.include('pyramid_cron')
    with pytest.warns(UserWarning, match=r'is cron\.allowed_ips meant'):
        config.commit()


@pytest.mark.parametrize(
    'includes', ['pyramid_cron', 'pyramid_cron ', '\n pyramid_cron\n', ['pyramid_cron'], 'pyramid_cron pyramid_cron']
)
def test_it_is_included_by_the_setting_of_pyramid(includes):
    ran = []
    config = Configurator(settings={'pyramid.includes': includes, 'cron.path': '/tick'})
    config.add_cron_task(ran.append, min='*')
    assert request_cron(config.make_wsgi_app(), '/tick').text == 'ok'
    assert len(ran) == 1


def test_it_is_included_by_an_application():
    ran = []
    config = Configurator()
    config.include('pyramid_cron')
    config.add_cron_task(ran.append, min='*')
    app = config.make_wsgi_app()
    assert request_cron(app).text == 'ok'
    assert request_cron(app, REMOTE_ADDR='127.0.0.2').status_int == 403
    assert len(ran) == 1
    assert config.registry['cron_settings'] == Settings.parse({})


def test_including_it_twice_is_including_it_once():
    config = Configurator()
    config.include('pyramid_cron')
    config.include('pyramid_cron')
    assert request_cron(config.make_wsgi_app()).text == 'ok'


@pytest.mark.parametrize('prefix', ['jobs', '/jobs', '/jobs/'])
def test_a_route_prefix_is_honoured(prefix):
    config = Configurator(settings={'cron.path': '/tick'})
    config.include('pyramid_cron', route_prefix=prefix)
    app = config.make_wsgi_app()
    assert request_cron(app, '/jobs/tick').text == 'ok'
    assert request_cron(app, '/tick').status_int == 404
    assert request_cron(app, '/cron').status_int == 404


def test_the_route_prefix_of_an_include_around_it_is_honoured():
    def jobs(config):
        config.include('pyramid_cron', route_prefix='inner')

    config = Configurator()
    config.include(jobs, route_prefix='outer')
    assert request_cron(config.make_wsgi_app(), '/outer/inner/cron').text == 'ok'


def test_a_path_may_lack_its_slash():
    config = Configurator(settings={'cron.path': 'tick'})
    config.include('pyramid_cron')
    assert request_cron(config.make_wsgi_app(), '/tick').text == 'ok'


def test_the_path_is_that_of_the_route():
    config = Configurator(settings={'cron.path': '/tick'})
    config.include('pyramid_cron')
    config.add_route('link', '/link')
    config.add_view(lambda request: request.route_path('cron'), route_name='link', renderer='string')
    assert TestApp(config.make_wsgi_app()).get('/link').text == '/tick'


def test_settings_added_after_the_include_count():
    seen = []
    config = Configurator()
    config.include('pyramid_cron')
    config.add_cron_task(lambda system: seen.append(system['time_left']()), min='*')
    config.add_settings({'cron.allowed_ips': '10.1.2.3', 'cron.window': '5000'})
    app = config.make_wsgi_app()
    assert request_cron(app).status_int == 403
    assert request_cron(app, REMOTE_ADDR='10.1.2.3').text == 'ok'
    assert 4000 < seen[0] <= 5000


def test_a_secret_added_after_the_include_counts():
    config = Configurator()
    config.include('pyramid_cron')
    config.add_settings({'cron.secret': 'sixteen chars 16'})
    app = config.make_wsgi_app()
    assert request_cron(app).status_int == 401
    assert request_cron(app, HTTP_AUTHORIZATION='Bearer sixteen chars 16').text == 'ok'


def test_a_secret_added_by_a_later_include_counts():
    def add_secret(config):
        config.add_settings({'cron.secret': 'sixteen chars 16'})

    config = Configurator()
    config.include('pyramid_cron')
    config.include(add_secret)
    assert request_cron(config.make_wsgi_app()).status_int == 401


def test_a_bad_setting_added_after_the_include_is_an_error():
    config = Configurator()
    config.include('pyramid_cron')
    config.add_settings({'cron.window': '-1'})
    with pytest.raises(ConfigurationError, match=r"cron\.window = '-1'"):
        config.make_wsgi_app()


def test_a_path_changed_after_the_include_is_an_error():
    config = Configurator(settings={'cron.path': '/tick'})
    config.include('pyramid_cron')
    config.add_settings({'cron.path': '/tock'})
    with pytest.raises(ConfigurationError, match=r"cron\.path = '/tock' was set after"):
        config.make_wsgi_app()


def test_the_same_path_set_again_after_the_include_is_none():
    config = Configurator()
    config.include('pyramid_cron')
    config.add_settings({'cron.path': '/cron'})
    assert request_cron(config.make_wsgi_app()).text == 'ok'


def test_a_configurator_that_commits_at_once_has_the_settings_at_once():
    config = Configurator(autocommit=True, settings={'cron.window': '5'})
    config.include('pyramid_cron')
    assert config.registry['cron_settings'].window == 5
