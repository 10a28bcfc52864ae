"""Requests of visitors that notice that ticks have stopped."""

import logging
import threading
from datetime import timedelta

import pytest
from pyramid.config import Configurator
from pyramid.interfaces import ITweens
from pyramid.request import Request
from pyramid.response import Response
from pyramid.threadlocal import get_current_registry
from sqlalchemy import delete, update
from webtest import TestApp

from pyramid_cron.events import ITicksResumed, ITicksStopped
from pyramid_cron.monitoring import watch
from pyramid_cron.monitoring.health import health_of
from pyramid_cron.orders import run_through
from pyramid_cron.schedules.clock import current_minute
from pyramid_cron.store.schema import ticks
from tests.support.requests import LOCAL
from tests.support.servers import Clock

MINUTE = timedelta(minutes=1)


class Site:
    """A site with visitors, by which it notices what happens to its ticks, and the events that it sends."""

    def __init__(self, servers, **settings):
        self.events = []
        self.registries = []
        self.servers = servers
        self.server = servers.start(include=self.include, **settings).add()
        self.server.ready()
        self.registry = self.server.registry
        self.clock = Clock()
        self.watch = watch.Watch(self.registry, self.clock)

    def include(self, config):
        config.add_subscriber(self.receive, ITicksStopped)
        config.add_subscriber(self.receive, ITicksResumed)

    def receive(self, event):
        self.events.append(event)
        self.registries.append(get_current_registry())

    def ticked(self, ago):
        """Let the last tick have come so many seconds ago."""
        minute = self.server.store.snapshot().now - timedelta(seconds=ago)
        self.servers.execute(update(ticks).values(last_minute=minute))

    def sent(self):
        found = [type(event).__name__ for event in self.events]
        self.events.clear()
        return found


@pytest.fixture
def site(servers):
    """A site that had its last tick in 2020."""
    site = Site(servers)
    site.server.tick(0)
    return site


def looks(site, number, seconds=60):
    """Look so many times, and return the events."""
    for _ in range(number):
        site.watch.run()
        site.clock.sleep(seconds)
    return site.sent()


@pytest.mark.each_database
def test_ticks_that_stay_away_are_reported_once(site, warnings):
    warnings()
    assert looks(site, 2) == []
    assert looks(site, 1) == ['TicksStopped']
    [message] = warnings()
    assert message.startswith('ticks have stopped: none has come since 2020-11-23 02:00+00:00 (')
    assert message.endswith('; look at what requests /cron each minute, for example with "pcron doctor"')
    assert looks(site, 5) == []


def test_the_log_is_at_error(site, caplog):
    looks(site, 3)
    assert [record.levelname for record in caplog.records if 'have stopped' in record.getMessage()] == ['ERROR']


def test_the_event_has_the_last_tick_and_its_age(site, servers):
    site.ticked(200)
    for _ in range(3):
        site.watch.run()
        site.clock.sleep(60)
    [event] = site.events
    assert event.last_tick == servers.rows(ticks)[0]['last_minute']
    assert event.seconds == pytest.approx(200, abs=5)
    # subscribers that look for the registry find it
    assert site.registries == [site.registry]


def test_what_is_reported_is_only_read(site):
    assert looks(site, 3) == ['TicksStopped']
    with site.server.executed() as statements:
        looks(site, 2)
    assert {statement.kind for statement in statements} == {'select'}


@pytest.mark.slow
@pytest.mark.each_database
def test_of_two_servers_one_reports(servers, site):
    other = Site(servers)
    for _ in range(3):
        looks(site, 1)
        looks(other, 1)
    site.watch.run()
    other.watch.run()
    assert servers.rows(ticks)[0]['stopped_after'] is not None
    assert site.sent() + other.sent() == []


@pytest.mark.slow
@pytest.mark.each_database
def test_a_tick_reports_that_ticks_come_again(site):
    assert looks(site, 3) == ['TicksStopped']
    site.server.tick(1)
    assert site.sent() == ['TicksResumed']
    # and they stop again
    assert looks(site, 2) == []
    assert looks(site, 1) == ['TicksStopped']


def test_ticks_that_come_are_not_reported(site):
    for _ in range(9):
        site.ticked(70)
        assert looks(site, 1) == []


@pytest.mark.parametrize(('seconds', 'events'), [(170, []), (190, ['TicksStopped'])])
def test_ticks_have_stopped_after_three_minutes(site, seconds, events):
    site.ticked(seconds)
    assert looks(site, 3) == events


def test_a_late_tick_that_comes_is_not_reported(site):
    for ago in (300, 240, 180):
        # each time another one
        site.ticked(ago)
        assert looks(site, 1, 600) == []


def test_ticks_that_come_back_with_the_visitors_are_not_reported(site):
    """Both were gone for a night: the process was not suspended, and its first visitor comes before the first tick."""
    looks(site, 1)
    site.ticked(10)
    looks(site, 1)
    site.clock.sleep(8 * 3600)
    minute = site.server.store.snapshot().now - timedelta(hours=8)
    site.servers.execute(update(ticks).values(last_minute=minute))
    assert looks(site, 1) == []
    site.ticked(5)
    assert looks(site, 9) == []


def test_a_process_that_has_just_begun_waits_for_a_tick(servers, site):
    site.ticked(10**6)
    assert looks(Site(servers), 2) == []


def test_a_tick_of_a_clock_that_is_ahead_is_not_reported(site):
    site.ticked(-600)
    assert looks(site, 5) == []


def test_a_last_tick_that_is_never_known_is_not_reported(servers, site):
    servers.execute(delete(ticks))
    assert looks(site, 5) == []
    assert not health_of(site.registry).ok


def test_without_tables_nothing_is_reported(servers, tmp_path, warnings):
    site = Site(servers, store=f'sqlite:///{tmp_path}/none.sqlite')
    assert looks(site, 5) == []
    assert not (tmp_path / 'none.sqlite').exists()
    assert warnings() == []


def test_an_outage_is_logged_once_and_begins_anew(site, warnings):
    looks(site, 2)
    warnings()
    with site.server.outage():
        assert looks(site, 3) == []
    assert warnings() == ['it is not known whether ticks come: the store is not available: the database has gone']
    # ticks have two minutes to come back
    assert looks(site, 2) == []
    assert looks(site, 1) == ['TicksStopped']
    with site.server.outage():
        looks(site, 1)
    assert len(warnings()) == 2


def test_a_report_that_cannot_be_recorded_is_made_later(site, warnings):
    with site.server.outage(of=ticks, kind='update'):
        assert looks(site, 3) == []
    assert looks(site, 3) == ['TicksStopped']


def test_a_tick_that_comes_during_the_look_prevents_the_report(site):
    with site.server.overtaken(of=ticks, kind='update', by=lambda: site.ticked(0)):
        assert looks(site, 3) == []


def test_an_error_of_ours_is_logged_with_its_traceback(site, caplog):
    site.watch._registry = {}
    site.watch.run()
    [record] = [record for record in caplog.records if 'not known' in record.getMessage()]
    assert record.exc_info[0] is KeyError


def test_a_subscriber_that_fails_is_logged(servers, caplog):
    def fail(event):
        raise LookupError('no chat')

    site = Site(servers)
    site.server.config.add_subscriber(fail, ITicksStopped)
    site.server.config.commit()
    site.server.tick(0)
    looks(site, 3)
    assert 'a subscriber of TicksStopped failed' in caplog.text


# the tween


class Looks:
    """A watch of an application with a store that counts its looks and does nothing else."""

    def __init__(self, url, **settings):
        config = Configurator(settings={'cron.store': url, 'cron.app': 'app', **settings})
        config.include('pyramid_cron')
        config.add_route('page', '/page')
        config.add_view(lambda request: Response(str(self.number)), route_name='page')
        self.app = config.make_wsgi_app()
        self.clock = Clock()
        self.number = 0
        self.watch = watch.Watch(self.app.registry, self.clock, self.start)
        # a minute after the process began
        self.clock.sleep(60)

    def start(self, thread):
        self.number += 1

    def tween(self, handler=None):
        return watch.watched(handler or self.app.invoke_subrequest, self.watch, self.clock)


@pytest.fixture
def seen(url):
    looks = Looks(url)
    yield looks
    looks.app.registry['cron_store'].database.engine.dispose()


def test_a_look_begins_after_a_request_once_a_minute(seen):
    tween = seen.tween()
    found = []
    for seconds in (0, 30, 29.9, 0.2, 1):
        seen.clock.sleep(seconds)
        found.append(tween(Request.blank('/page')).text)
    assert found == ['0', '1', '1', '1', '2']
    assert seen.number == 2


def test_no_look_begins_in_the_first_minute(seen):
    seen.clock.sleep(-1)
    seen.tween()(Request.blank('/page'))
    assert seen.number == 0


def test_a_request_that_fails_begins_a_look_and_fails(seen):
    def fail(request):
        raise LookupError('lost')

    with pytest.raises(LookupError, match='lost'):
        seen.tween(fail)(Request.blank('/page'))
    assert seen.number == 1


def test_tests_and_commands_begin_no_look(seen):
    def environ_of(request):
        found.append(request.environ)
        return request.get_response(seen.app)

    found = []
    run_through(environ_of_order(environ_of), seen.app.registry, current_minute())
    TestApp(environ_of_order(environ_of), extra_environ=LOCAL).get('/page')
    assert len(found) == 2
    for environ in found:
        seen.watch.look(environ)
    assert seen.number == 0
    # the next visitor does
    seen.tween()(Request.blank('/page'))
    assert seen.number == 1


def environ_of_order(handle):
    """Return a WSGI application that passes each request to a function."""
    return lambda environ, start_response: handle(Request(environ))(environ, start_response)


def test_a_look_has_a_thread_of_its_own_and_is_the_only_one(seen):
    ended, threads = threading.Event(), []

    def start(thread):
        threads.append(thread)
        thread.start()

    found = watch.Watch(seen.app.registry, seen.clock, start)
    found.run = ended.wait
    found.look({})
    found.look({})
    [thread] = threads
    assert thread.daemon
    ended.set()
    thread.join()
    found.look({})
    assert len(threads) == 2
    threads[1].join()


def test_without_a_thread_the_request_goes_on(seen, caplog):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    caplog.set_level(logging.DEBUG, 'pyramid_cron')
    found = watch.Watch(seen.app.registry, seen.clock, refuse)
    for _ in range(2):
        found.look({})
    assert caplog.text.count("can't start new thread") == 2


def names_of_tweens(registry):
    return [name for name, _ in registry.getUtility(ITweens).implicit()]


def test_a_store_and_the_setting_decide_about_the_tween(url):
    assert watch.TWEEN in names_of_tweens(Looks(url).app.registry)
    assert watch.TWEEN not in names_of_tweens(Looks(url, **{'cron.watch': 'false'}).app.registry)
    with Configurator() as config:
        config.include('pyramid_cron')
    assert watch.TWEEN not in names_of_tweens(config.registry)


@pytest.mark.parametrize('later', ['cron.watch', 'cron.store'])
def test_what_is_turned_off_after_the_include_is_not_called(url, later):
    def handler(request):
        """Stand for the rest of the application."""

    with Configurator(settings={'cron.store': url, 'cron.app': 'app'}) as config:
        config.include('pyramid_cron')
        if later == 'cron.watch':
            config.add_settings({'cron.watch': 'false'})
        else:
            del config.get_settings()['cron.store']
    assert watch.tween_factory(handler, config.registry) is handler
