"""The include, and the errors at start-up."""

import configparser
import json
import logging
import sys

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationError

from pyramid_cron.sentry.monitors import Monitors
from pyramid_cron.settings import Settings
from pyramid_cron.testing import tick
from tests.sentry.test_check_ins import NOON
from tests.support.sentry import initialized
from tests.test_docs import block


def start(*includes, **settings):
    config = Configurator(settings={f'cron.{name}': value for name, value in settings.items()})
    for name in includes or ('pyramid_cron', 'pyramid_cron.sentry'):
        config.include(name)
    config.add_cron_task(print, name='task', min=0, hour=2, dow='mon#2', timezone='UTC')
    config.make_wsgi_app()


def test_it_is_included_after_the_package():
    with pytest.raises(ConfigurationError, match=r"sentry: call config\.include\('pyramid_cron'\) first"):
        start('pyramid_cron.sentry')


def test_without_the_sdk_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, 'sentry_sdk', None)
    monkeypatch.delitem(sys.modules, 'pyramid_cron.sentry.check_ins', raising=False)
    monkeypatch.delitem(sys.modules, 'pyramid_cron.sentry.failures', raising=False)
    with pytest.raises(ConfigurationError, match=r"run: pip install 'pyramid_cron\[sentry\]'"):
        start()


def test_a_second_include_sends_nothing_twice():
    with initialized() as sentry:
        config = Configurator()
        config.include('pyramid_cron')
        config.include('pyramid_cron.sentry')
        config.commit()
        config.include('pyramid_cron.sentry')
        config.add_cron_task(print, name='task', min=0, timezone='UTC')
        config.make_wsgi_app()
        tick(config.registry, NOON)
        assert sentry.statuses == [('task', 'in_progress'), ('task', 'ok')]


@pytest.mark.parametrize(
    ('lines', 'message'),
    [
        ('task = ', 'bad setting cron.sentry_monitors: line 1 cannot be read'),
        ('task = No', "bad setting cron.sentry_monitors: task = 'No': it has to have 1 to 50 of the characters"),
        ('tusk = off', "bad setting cron.sentry_monitors: 'tusk' names no cron task"),
    ],
)
def test_a_bad_setting_is_an_error_at_start_up(lines, message):
    with pytest.raises(ConfigurationError) as caught:
        start(sentry_monitors=lines)
    assert message in str(caught.value)


def test_a_schedule_that_sentry_cannot_express_is_logged_at_start_up(caplog):
    caplog.set_level(logging.INFO, 'pyramid_cron.sentry')
    start()
    assert 'task task: Sentry does not take 0 2 * * mon#2, and expects a run every 35 days' in caplog.messages


def test_the_monitor_of_the_page_is_that_of_its_example():
    found = {'__name__': __name__}
    exec(block('sentry', 'from datetime import timedelta'), found)
    with initialized():
        settings = {'cron.timezone': 'Europe/Berlin', 'cron.store': 'sqlite:////nowhere/cron.sqlite'}
        # the DSN of the page is not set, and nothing is sent
        registry = found['main']({}, **settings).registry
    [task] = registry['cron_tasks']
    monitors = registry['cron_sentry'].monitors
    assert monitors.config_of(task) == json.loads(block('sentry', '{'))
    assert monitors.slug_of(task.name) == 'shop-sync_stock'


def test_the_lines_of_the_page_are_understood():
    parser = configparser.ConfigParser()
    parser.read_string(block('sentry', '[app:main]'))
    monitors = Monitors(Settings.parse(parser['app:main']))
    assert [monitors.slug_of(name) for name in ('shop.sync_stock', 'shop.tidy')] == ['nightly-stock', None]
