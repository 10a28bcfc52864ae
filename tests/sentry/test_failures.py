"""One event for each failure, whatever integrations the SDK has."""

import subprocess
import sys
from contextvars import Context
from datetime import datetime, timezone

import pytest
import sentry_sdk
from sentry_sdk.integrations.dedupe import DedupeIntegration
from sentry_sdk.integrations.logging import LoggingIntegration

from pyramid_cron.sentry.failures import scrub
from pyramid_cron.store.schema import tasks
from pyramid_cron.testing import tick
from tests.support.sentry import application, configured, initialized

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=timezone.utc)
SET_UPS = {
    'as by default': (LoggingIntegration, DedupeIntegration),
    'without dedupe': (LoggingIntegration,),
    'without logging': (DedupeIntegration,),
    'without events of the log': (lambda: LoggingIntegration(event_level=None),),
    'none': (),
}


def fail(system):
    raise LookupError('the card 4711 is unknown')


def end(system):
    sys.exit('enough')


@pytest.fixture(params=SET_UPS.values(), ids=SET_UPS)
def sentry(request):
    with initialized(*(make() for make in request.param)) as sentry:
        yield sentry


def including(config):
    config.include('pyramid_cron')
    config.include('pyramid_cron.sentry')


def values(sentry):
    return [event['exception']['values'][-1]['value'] for event in sentry.events]


@pytest.mark.slow
def test_a_failure_is_one_event_with_its_monitor(sentry):
    registry = application(print, fail).registry
    tick(registry, NOON)
    tick(registry, NOON.replace(hour=13))
    assert values(sentry) == 2 * ['the card 4711 is unknown']
    for event in sentry.events:
        assert event['tags']['cron.task'] == 'task 1'
        assert event['contexts']['monitor']['slug'] == 'task-1'
    sentry_sdk.capture_message('later')
    assert 'monitor' not in sentry.events[-1]['contexts']
    assert 'cron.task' not in sentry.events[-1].get('tags', {})


@pytest.mark.slow
def test_the_failures_of_one_run_are_an_event_each(sentry):
    tick(application(fail, end, fail).registry, NOON)
    assert values(sentry) == ['the card 4711 is unknown', 'enough', 'the card 4711 is unknown']


def test_the_message_is_scrubbed(sentry):
    settings = {'cron.scrub': lambda text: text.replace('4711', '***')}
    tick(application(fail, **settings).registry, NOON)
    assert values(sentry) == ['the card *** is unknown']


@pytest.mark.slow
def test_a_failure_that_is_no_alarm_is_no_event(sentry):
    config = configured()
    config.add_cron_task(fail, name='tolerated', min=0, timezone='UTC', tolerate=1)
    registry = config.make_wsgi_app().registry
    tick(registry, NOON)
    assert sentry.events == []
    tick(registry, NOON.replace(hour=13))
    assert len(sentry.events) == 1


@pytest.mark.slow
def test_a_claim_that_fails_is_one_event(sentry, servers):
    server = servers.start(include=including).add()
    server.tick(0)
    with server.outage(of=tasks, kind='update', sets='run_id'):
        report = server.tick(5)
    assert report.names('failed') == ['task']
    assert len(sentry.events) == 1


PROGRAM = """
import sentry_sdk
from pyramid.config import Configurator
from pyramid.view import exception_view_config
from webtest import TestApp
from tests.support.sentry import DSN, Kept

kept = Kept()
sentry_sdk.init(DSN, transport=kept)

def fail(system):
    raise LookupError('bad')

def page(exc, request):
    request.response.status = 500
    return request.response

for requests in 'one', 'each':
    config = Configurator(settings={'cron.requests': requests})
    config.include('pyramid_cron')
    config.include('pyramid_cron.sentry')
    config.add_cron_task(fail, min='*', timezone='UTC')
    config.add_exception_view(page, context=Exception)
    TestApp(config.make_wsgi_app(), extra_environ={'REMOTE_ADDR': '127.0.0.1', 'HTTP_HOST': 'localhost'}).get(
        '/cron', status=500
    )
print(len(kept.events), [item['status'] for item in kept.check_ins])
"""


@pytest.mark.slow
def test_with_all_that_the_sdk_does_by_default_it_is_one_event():
    done = subprocess.run([sys.executable, '-c', PROGRAM], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "2 ['in_progress', 'error', 'in_progress', 'error']"


@pytest.mark.parametrize('value', [{'type': 'KeyError', 'value': '4711'}, {'type': 'KeyError', 'value': None}])
def test_outside_of_a_run_an_event_stays_as_it_is(value):
    event = {'exception': {'values': [dict(value)]}}
    assert Context().run(scrub, event) == {'exception': {'values': [value]}}


def test_an_exception_without_a_message_is_sent(sentry):
    def fail_silently(system):
        raise LookupError

    tick(application(fail_silently).registry, NOON)
    assert values(sentry) == ['']
