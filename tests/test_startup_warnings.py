"""What an application warns of when it starts."""

import pytest
from pyramid.config import Configurator

from pyramid_cron.settings import TABLE, Settings
from pyramid_cron.startup_warnings import warn_of_misspelt


def started(caplog, *tasks, **settings):
    """Return what an application with these tasks warns of when it starts."""
    config = Configurator(settings=settings)
    config.include('pyramid_cron')
    for number, options in enumerate(tasks):
        config.add_cron_task(print, name=f'task {number}', min=0, **options)
    config.make_wsgi_app()
    return caplog.messages


def test_without_a_store_tasks_that_need_one_are_named_once(caplog):
    needing = {'retries': 1}, {'catch_up': 60}, {'missed': 'each'}, {}, {'catch_up': 0}, {'store': False}
    assert started(caplog, *needing) == [
        'retries=, missed= and catch_up= do nothing until cron.store is set; tasks: task 0, task 1, task 2'
    ]


def test_with_a_store_or_without_need_nothing_is_logged(caplog, tmp_path):
    assert started(caplog, {}) == []
    assert started(caplog, {'retries': 1}, **{'cron.store': f'sqlite:///{tmp_path}/cron.sqlite'}) == []


@pytest.mark.parametrize('store', ['', 'sqlite:///{}/cron.sqlite'], ids=['no store', 'a store'])
def test_outside_of_the_store_tasks_that_need_it_are_named(caplog, tmp_path, store):
    needing = {'retries': 1}, {'catch_up': 60}, {'missed': 'each'}, {'was': 'old'}, {}, {'catch_up': 0}
    settings = {'cron.store': store.format(tmp_path)} if store else {}
    assert started(caplog, *[{'store': False, **options} for options in needing], **settings) == [
        'retries=, missed= and catch_up= do nothing with store=False, and was= takes over no row: leave them '
        'out, or leave out store=False; tasks: task 0, task 1, task 2, task 3'
    ]


def test_settings_of_what_is_not_included_are_named(caplog):
    settings = {'cron.healthchecks_tasks': 'task 0 = off', 'cron.sentry_monitors': 'task 0 = off'}
    named = [
        "cron.healthchecks does nothing until the application calls config.include('pyramid_cron.healthchecks')",
        "cron.sentry_monitors does nothing until the application calls config.include('pyramid_cron.sentry')",
    ]
    assert started(caplog, {}, **settings) == named
    caplog.clear()
    assert started(caplog, {}, **{'cron.healthchecks': 'https://hc.example/uuid'}) == named[:1]
    caplog.clear()
    includes = 'pyramid_cron pyramid_cron.healthchecks pyramid_cron.sentry'
    assert started(caplog, {}, **settings, **{'pyramid.includes': includes}) == []


@pytest.mark.parametrize(
    ('misspelt', 'meant'),
    [
        ('cron.secrets', 'cron.secret'),
        ('cron.allowed_ip', 'cron.allowed_ips'),
        ('cron.allowed-ips', 'cron.allowed_ips'),
        ('cron.pat', 'cron.path'),
        ('cron.windows', 'cron.window'),
        ('cron.Secret', 'cron.secret'),
    ],
)
def test_a_misspelt_setting_is_a_warning(misspelt, meant):
    with pytest.warns(UserWarning, match=rf'^{misspelt} is not a setting of pyramid_cron; is {meant} meant\?$'):
        warn_of_misspelt({misspelt: 'x' * 16})


def test_the_value_of_a_misspelt_setting_is_not_shown():
    with pytest.warns(UserWarning, match=r'is cron\.secret meant') as caught:
        warn_of_misspelt({'cron.secrets': 'sixteen chars 16'})
    assert 'sixteen' not in str([str(warning.message) for warning in caught])


@pytest.mark.parametrize('key', ['cron.dashboard_colour', 'cron.tz', 'cron.pa', 'cron.', 'cron.jobs.path'])
def test_a_setting_that_resembles_none_is_a_warning_that_lists_them(key):
    with pytest.warns(UserWarning, match=rf'^{key} is not a setting of pyramid_cron; there are cron\.path, ') as caught:
        warn_of_misspelt({key: 'red'})
    for name in TABLE:
        assert f'cron.{name}' in str(caught[0].message)
    assert Settings.parse({key: 'red'}) == Settings.parse({})


def test_a_key_that_is_no_text_and_those_of_others_are_no_warning():
    # a warning would be an error here
    warn_of_misspelt({5: 'five', 'crontab.path': '/', 'path': '/', 'cron': ''})


@pytest.mark.parametrize(
    ('settings', 'warned'), [({}, True), ({'cron.timezone': 'UTC'}, False)], ids=['local time', 'a time zone']
)
def test_a_local_zone_that_does_not_exist_is_a_warning(local_time, caplog, settings, warned):
    local_time('Europe/Berln')
    assert (
        started(caplog, {}, **settings)
        == ["TZ='Europe/Berln' names no time zone, and the machine takes it for UTC: correct it, or set cron.timezone"]
        * warned
    )
