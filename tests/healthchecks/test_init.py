"""The include, and the errors at start-up."""

import configparser
import subprocess
import sys

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError

from pyramid_cron.healthchecks.checks import SUCCESS, Checks
from pyramid_cron.settings import Settings
from pyramid_cron.testing import tick
from tests.healthchecks.test_pings import NOON
from tests.support.http_service import running
from tests.test_docs import block


def start(*includes, tasks=('task',), **settings):
    config = Configurator(settings={f'cron.{name}': value for name, value in settings.items()})
    for name in includes or ('pyramid_cron', 'pyramid_cron.healthchecks'):
        config.include(name)
    for name in tasks:
        config.add_cron_task(print, name=name, min=0)
    config.make_wsgi_app()
    return config.registry


def test_it_is_included_after_the_package():
    with pytest.raises(ConfigurationError, match=r"healthchecks: call config\.include\('pyramid_cron'\) first"):
        start('pyramid_cron.healthchecks')


def test_a_second_include_sends_nothing_twice():
    with running() as service:
        config = Configurator(settings={'cron.healthchecks': f'{service.url}/all'})
        config.include('pyramid_cron')
        config.include('pyramid_cron.healthchecks')
        config.commit()
        config.include('pyramid_cron.healthchecks')
        config.make_wsgi_app()
        tick(config.registry, NOON)
        config.registry['cron_healthchecks'].sender.flush()
        assert service.paths == ['/all']


def test_without_a_setting_nothing_is_sent():
    registry = start()
    assert tick(registry, NOON).names('ok') == ['task']
    assert registry['cron_healthchecks'].sender._thread is None


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'healthchecks': ''}, 'bad setting cron.healthchecks: it has to be a text that is not empty'),
        ({'healthchecks': 'SECRET'}, 'bad setting cron.healthchecks: it has to be a URL such as'),
        ({'healthchecks_tasks': 'task = SECRET'}, "bad setting cron.healthchecks_tasks: the line of 'task': it is"),
        ({'healthchecks_tasks': 'SECRET'}, 'bad setting cron.healthchecks_tasks: line 1 cannot be read'),
        ({'healthchecks_tasks': 'tusk = off'}, "bad setting cron.healthchecks_tasks: 'tusk' names no cron task"),
        (
            {'healthchecks_timeout': '0'},
            "bad setting cron.healthchecks_timeout = '0': it has to be a number of seconds",
        ),
    ],
)
def test_a_bad_setting_is_an_error_at_start_up(settings, message):
    with pytest.raises(ConfigurationError) as caught:
        start(**settings)
    assert message in str(caught.value)
    assert 'SECRET' not in str(caught.value)


@pytest.mark.slow
def test_the_package_alone_does_not_import_it():
    program = (
        'import sys, pyramid_cron; print([name for name in sys.modules if "healthchecks" in name or "sentry" in name])'
    )
    done = subprocess.run([sys.executable, '-c', program], check=True, stdout=subprocess.PIPE, text=True)
    assert done.stdout.strip() == '[]'


def test_the_lines_of_the_page_are_understood():
    parser = configparser.ConfigParser()
    parser.read_string(block('healthchecks', '[app:main]\nuse = call:shop:main'))
    checks = Checks(Settings.parse(parser['app:main']))
    found = [checks.of_task(name) for name in ('shop.sync_stock', 'shop.invoices', 'shop.backup', 'shop.tidy')]
    assert [check and check.url(SUCCESS) for check in found] == [
        'https://hc-ping.com/YOUR-PING-KEY/shop-sync_stock?create=1',
        'https://hc-ping.com/YOUR-PING-KEY/nightly-invoices?create=1',
        'https://hc-ping.com/5c0f2a34-91d5-4c79-8e0b-2d6a7b8c9d01',
        None,
    ]
