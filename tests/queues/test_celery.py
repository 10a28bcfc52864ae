"""With a real Redis, and Celery's own worker in a thread."""

import contextlib
import os
import signal
import socket
import sys
import threading
import types
from datetime import timedelta

import celery
import pytest
from celery.contrib.testing.worker import start_worker
from kombu.exceptions import OperationalError
from pyramid.exceptions import ConfigurationError
from sqlalchemy import select, text

from pyramid_cron.claims import EngineNotAnswering
from pyramid_cron.queues import Handover
from pyramid_cron.queues.celery import CeleryQueue, add_perform
from pyramid_cron.queues.worker import TASK_NAME
from pyramid_cron.schedules.clock import MINUTE, current_minute
from pyramid_cron.store.schema import runs
from pyramid_cron.testing import tick


@pytest.fixture
def broker(redis_server):
    """An application of Celery with empty queues."""
    app = celery.Celery('shop', broker=redis_server.url, set_as_current=False)
    # or else a worker sets the level of the root logger, for all tests that follow
    celery.signals.setup_logging.connect(leave_logging, weak=False)
    with app.connection_for_write() as connection:
        connection.default_channel.client.flushall()
    yield app
    celery.signals.setup_logging.disconnect(leave_logging)
    app.close()


def leave_logging(**given):
    pass


@pytest.fixture
def made(make_app, broker, tmp_path):
    """Return a function that returns an application with one task that Celery runs, and a store."""
    settings = {'celery': broker, 'store': f'sqlite:///{tmp_path}/cron.sqlite'}

    def make(body=print, via='celery', more=None, **options):
        return make_app(body, settings | (more or {}), via=via, **options)

    return make


def messages(broker, queue='celery'):
    """Take the messages out of a queue."""
    with broker.connection_for_read() as connection:
        simple = connection.SimpleQueue(queue)
        found = [simple.get(block=False) for _ in range(simple.qsize())]
        for message in found:
            message.ack()
        simple.close()
    return found


def work(broker, until):
    """Run a worker until an event is set."""
    with start_worker(broker, perform_ping_check=False, shutdown_timeout=30):
        assert until.wait(30)


def statuses(app):
    with app.registry['cron_store'].database.engine.connect() as connection:
        return list(connection.scalars(select(runs.c.outcome).order_by(runs.c.started)))


class Event:
    """Counts down, and can be waited for."""

    def __init__(self, count=1):
        self._semaphore, self._count = threading.Semaphore(0), count

    def __call__(self, **given):
        self._semaphore.release()

    def wait(self, seconds):
        return all(self._semaphore.acquire(timeout=seconds) for _ in range(self._count))


def test_a_message_has_the_key_and_expires(made, broker):
    app = made(via='celery:queue=slow,priority=3', catch_up=600)
    minute = current_minute()
    assert [task.outcome for task in tick(app.registry, minute).tasks] == ['queued']
    [message] = messages(broker, 'slow')
    key = f'shop:task@{minute:%Y-%m-%dT%H:%MZ}'
    assert (message.headers['task'], message.headers['id']) == (TASK_NAME, key)
    assert message.payload[0] == [key]
    assert message.headers['expires'] == (minute + timedelta(minutes=10)).isoformat()
    assert message.properties['priority'] == 3
    assert message.headers['ignore_result'] is True
    assert statuses(app) == ['queued']


def test_the_worker_runs_a_message_delivered_twice_once(made, broker):
    seen = []
    ended = Event(2)
    app = made(seen.append)
    add_perform(broker, lambda: app)
    minute = current_minute()
    tick(app.registry, minute)
    broker.send_task(TASK_NAME, args=[f'shop:task@{minute:%Y-%m-%dT%H:%MZ}'])
    celery.signals.task_success.connect(ended, weak=False)
    try:
        work(broker, ended)
    finally:
        celery.signals.task_success.disconnect(ended)
    assert [system['scheduled_for'] for system in seen] == [minute]
    assert statuses(app) == ['ok']


def test_a_check_sends_nothing(broker, redis_server):
    assert CeleryQueue(broker).check() == f'the broker answers, {redis_server.url}'
    with broker.connection_for_write() as connection:
        assert connection.default_channel.client.keys('celery') == []


def test_messages_are_acknowledged_before_their_tasks(broker):
    broker.conf.task_acks_late = True
    add_perform(broker, print)
    assert broker.tasks[TASK_NAME].acks_late is False


def test_no_result_is_stored(made, broker, redis_server):
    # without a claim, which this message has none of
    app, ended = made(store=False), Event()
    broker.conf.result_backend = redis_server.url
    add_perform(broker, lambda: app)
    # without the header that our own messages have
    broker.send_task(TASK_NAME, args=[f'shop:task@{current_minute():%Y-%m-%dT%H:%MZ}'])
    celery.signals.task_success.connect(ended, weak=False)
    try:
        work(broker, ended)
    finally:
        celery.signals.task_success.disconnect(ended)
    assert broker.backend.client.keys('celery-task-meta-*') == []


def test_a_failing_task_fails_in_celery_too(made, broker, caplog):
    def fail(system):
        raise LookupError('no')

    failures = []
    ended = Event()

    def note(exception, **others):
        failures.append(str(exception))
        ended()

    app = made(fail)
    add_perform(broker, lambda: app)
    tick(app.registry, current_minute())
    celery.signals.task_failure.connect(note, weak=False)
    try:
        work(broker, ended)
    finally:
        celery.signals.task_failure.disconnect(note)
    assert failures == ['task task failed: LookupError: no']
    # our own log has the error with its traceback
    assert [record.name for record in caplog.records if record.levelname == 'ERROR'] == ['pyramid_cron.task_runner']
    assert statuses(app) == ['failed']


def test_a_run_waits_for_an_unavailable_store(made, broker):
    app = made()
    engine = app.registry['cron_store'].database.engine
    # more than the three that Celery has as its default
    retried, ended = Event(5), Event()
    retries = []

    def mend(**others):
        retries.append(None)
        if len(retries) == 5:
            with engine.begin() as connection:
                connection.execute(text('ALTER TABLE elsewhere RENAME TO cron_tasks'))
        retried()

    add_perform(broker, lambda: app, wait=0)
    tick(app.registry, current_minute())
    with engine.begin() as connection:
        connection.execute(text('ALTER TABLE cron_tasks RENAME TO elsewhere'))
    celery.signals.task_retry.connect(mend, weak=False)
    celery.signals.task_success.connect(ended, weak=False)
    try:
        work(broker, ended)
    finally:
        celery.signals.task_retry.disconnect(mend)
        celery.signals.task_success.disconnect(ended)
    assert retried.wait(0)
    assert statuses(app) == ['ok']


def test_a_broker_without_an_answer_fails_the_task(configure, redis_server, tmp_path):
    away = celery.Celery('shop', broker=f'redis+socket://{tmp_path}/nothing', set_as_current=False)
    config = configure(celery=away, store=f'sqlite:///{tmp_path}/cron.sqlite')
    config.add_cron_task(print, name='task', via='celery', min=list(range(60)))
    app = config.make_wsgi_app()
    minute = current_minute() - 2 * MINUTE
    [report] = tick(app.registry, minute).tasks
    assert (report.outcome, type(report.exception)) == ('failed', OperationalError)
    away.close()
    app.registry['cron_store'].database.engine.dispose()


def test_a_broken_broker_is_tried_twice(tmp_path):
    def serve():
        with contextlib.suppress(OSError):
            while True:
                connection, _ = server.accept()
                connections.append(None)
                connection.close()

    connections = []
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / 'broker'))
    server.listen()
    thread = threading.Thread(target=serve)
    thread.start()
    broken = celery.Celery('shop', broker=f'redis+socket://{tmp_path}/broker', set_as_current=False)
    now = current_minute()
    with pytest.raises(OperationalError):
        CeleryQueue(broken)(Handover('shop:task@2026-11-24T02:00Z', 'task', now, now, None))
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()
    broken.close()
    assert len(connections) == 2


def test_a_message_goes_where_the_application_routes_it(made, broker):
    broker.conf.task_routes = {TASK_NAME: {'queue': 'routed', 'priority': 4}}
    app = made()
    tick(app.registry, current_minute())
    [message] = messages(broker, 'routed')
    assert message.properties['priority'] == 4


@pytest.mark.parametrize(
    ('broker_url', 'own', 'seconds'),
    [
        ('redis://localhost', None, 2),
        ('rediss://localhost', {'socket_timeout': 1}, 1),
        ('sentinel://localhost', {'other': 1}, 2),
        ('amqp://localhost', None, None),
    ],
)
def test_a_silent_redis_has_a_timeout(configure, broker_url, own, seconds):
    app = celery.Celery('shop', broker=broker_url, set_as_current=False)
    if own is not None:
        app.conf.broker_transport_options = own
    config = configure(celery=app)
    config.add_cron_task(print, via='celery')
    config.commit()
    assert (app.conf.broker_transport_options or {}).get('socket_timeout') == seconds


def test_a_frozen_redis_is_waited_for_once(configure, broker, redis_server):
    broker.conf.broker_transport_options = {'socket_timeout': 1.1, 'socket_connect_timeout': 1.1}
    broker.send_task('another task', queue='slow')
    config = configure(celery=broker)
    for number, via in enumerate(['celery', 'celery', 'celery:queue=slow']):
        config.add_cron_task(print, name=str(number), via=via)
    config.commit()
    os.kill(redis_server.pid, signal.SIGSTOP)
    try:
        reports = tick(config.registry, current_minute()).tasks
    finally:
        os.kill(redis_server.pid, signal.SIGCONT)
    assert [report.outcome for report in reports] == ['failed'] * 3
    assert [type(report.exception) for report in reports] == [OperationalError, *[EngineNotAnswering] * 2]


def test_a_queue_takes_a_celery_application_itself(made, broker):
    app = made(more={'celery': 'nothing.that.is'}, via=CeleryQueue(broker, queue='slow'))
    [report] = tick(app.registry, current_minute()).tasks
    assert report.outcome == 'queued'
    assert len(messages(broker, 'slow')) == 1


def test_the_application_of_celery_can_be_named(made, broker, monkeypatch):
    shop = types.ModuleType('shop_of_test')
    shop.worker = broker
    monkeypatch.setitem(sys.modules, 'shop_of_test', shop)
    app = made(more={'celery': 'shop_of_test.worker'})
    tick(app.registry, current_minute())
    assert len(messages(broker)) == 1


@pytest.mark.parametrize(
    ('settings', 'why'),
    [
        ({}, 'set cron.celery to the dotted name of the Celery application'),
        ({'celery': 'shop_without.worker'}, "No module named 'shop_without'"),
        ({'celery': 'datetime.datetime'}, "cron.celery = 'datetime.datetime': a type is no application of Celery"),
    ],
)
def test_without_an_application_of_celery_nothing_starts(configure, settings, why):
    config = configure(**settings)
    config.add_cron_task(print, via='celery')
    with pytest.raises(ConfigurationError) as caught:
        config.commit()
    assert why in str(caught.value)
