from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from pyramid.config import Configurator
from pyramid.response import Response
from pyramid.threadlocal import get_current_request
from webtest import TestApp

from pyramid_cron.orders import ENVIRON_KEY
from pyramid_cron.testing import due_between, tick

INSTANT = datetime(2026, 11, 23, 2, 0, tzinfo=timezone.utc)


class Nightly:
    """A task that remembers what it was called with."""

    def __init__(self):
        self.systems = []

    def __call__(self, system):
        assert system['request'] is get_current_request()
        self.systems.append(system)


@pytest.fixture
def nightly():
    return Nightly()


@pytest.fixture
def config(nightly):
    config = Configurator(settings={'cron.timezone': 'UTC', 'cron.window': '30'})
    config.include('pyramid_cron', route_prefix='internal')
    config.add_cron_task(nightly, cron='0 2 * * *', name='nightly')
    config.add_cron_task(lambda system: None, cron='0 */12 * * *', timezone='Europe/Berlin', name='noon')
    return config


@pytest.fixture(params=['registry', 'application'])
def target(request, config):
    app = config.make_wsgi_app()
    return config.registry if request.param == 'registry' else TestApp(app, extra_environ={'test.user': 'someone'})


def test_a_tick_runs_what_is_due_at_its_instant(target, nightly):
    report = tick(target, INSTANT)
    assert report.names('ok') == ['nightly']
    assert report.minute == INSTANT
    assert tick(target, INSTANT + timedelta(minutes=1)).tasks == ()
    [system] = nightly.systems
    assert system['scheduled_for'] == INSTANT
    assert 0 < system['time_left']() <= 30


def test_a_tick_runs_tasks_by_name(target, nightly):
    assert tick(target, INSTANT, ['noon']).names('ok') == ['noon']
    assert nightly.systems == []
    with pytest.raises(LookupError, match="'purge'"):
        tick(target, INSTANT, ['purge'])


def test_a_tick_needs_an_aware_instant(target):
    with pytest.raises(ValueError, match='has no time zone'):
        tick(target, INSTANT.replace(tzinfo=None))


def closed(handler, registry):
    """A tween of an application that is closed for the night."""
    return lambda request: Response(status=503)


def test_a_tick_of_an_application_goes_through_its_tweens(config, nightly):
    config.add_tween(f'{__name__}.closed')
    app = TestApp(config.make_wsgi_app())
    with pytest.raises(RuntimeError, match='answered 503 Service Unavailable before its tasks could run'):
        tick(app, INSTANT)
    assert nightly.systems == []


def test_the_environ_of_the_test_reaches_the_tasks(config, nightly):
    tick(TestApp(config.make_wsgi_app(), extra_environ={'test.user': 'someone'}), INSTANT)
    assert nightly.systems[0]['request'].environ['test.user'] == 'someone'


@pytest.mark.parametrize('name', [ENVIRON_KEY, ENVIRON_KEY.replace('.', '-')])
def test_no_header_makes_an_order(config, name):
    app = TestApp(config.make_wsgi_app(), extra_environ={'REMOTE_ADDR': '10.0.0.1'})
    app.get('/internal/cron', headers={name: 'x'}, status=403)
    # a value of a server is not the object that the process itself makes
    app.get('/internal/cron', extra_environ={ENVIRON_KEY: 'x'}, status=403)


def test_runs_between_two_instants_are_listed(config):
    config.commit()
    start = datetime(2026, 11, 23, tzinfo=timezone.utc)
    berlin = ZoneInfo('Europe/Berlin')
    assert due_between(config.registry, start, start + timedelta(days=1)) == [
        (datetime(2026, 11, 23, 2, tzinfo=timezone.utc), 'nightly'),
        (datetime(2026, 11, 23, 12, tzinfo=berlin), 'noon'),
        (datetime(2026, 11, 24, 0, tzinfo=berlin), 'noon'),
    ]
    assert due_between(config.registry, INSTANT, INSTANT) == []
    assert due_between(config.registry, INSTANT, INSTANT + timedelta(minutes=1)) == [(INSTANT, 'nightly')]


def test_an_instant_without_a_time_zone_is_refused(config):
    config.commit()
    with pytest.raises(ValueError, match='has no time zone'):
        due_between(config.registry, datetime(2026, 11, 23), INSTANT)


def test_runs_are_listed_across_a_clock_change():
    berlin = ZoneInfo('Europe/Berlin')
    config = Configurator(settings={'cron.timezone': 'Europe/Berlin'})
    config.include('pyramid_cron')
    config.add_cron_task(lambda system: None, cron='30 2 * * *', name='nightly')
    config.add_cron_task(lambda system: None, cron='30 * * * *', name='hourly')
    config.commit()
    after_the_gap = datetime(2026, 3, 29, 3, 0, tzinfo=berlin)
    due = due_between(config.registry, after_the_gap, after_the_gap + timedelta(minutes=1))
    assert due == [(after_the_gap, 'nightly')]
    second_pass = datetime(2026, 10, 25, 2, 0, tzinfo=berlin, fold=1)
    due = due_between(config.registry, second_pass - timedelta(hours=1), second_pass)
    assert [(f'{run:%H:%M %z}', name) for run, name in due] == [
        ('01:30 +0200', 'hourly'),
        ('02:30 +0200', 'nightly'),
        ('02:30 +0200', 'hourly'),
    ]
