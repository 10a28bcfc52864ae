"""With a real Redis, and Celery's own worker in a thread."""

import contextlib
import functools
import os
import signal
import socket
import sys
import threading
import time
import types
from datetime import timedelta

import celery
import pytest
import transaction
from celery.contrib.testing.worker import start_worker
from kombu.exceptions import OperationalError
from pyramid.exceptions import ConfigurationError
from pyramid.scripting import prepare
from pyramid.threadlocal import get_current_request
from sqlalchemy import select, text, update

from pyramid_cron.errors import EngineNotAnswering
from pyramid_cron.monitoring.health import health_of
from pyramid_cron.queues import Handover
from pyramid_cron.queues.celery import CeleryQueue, add_perform
from pyramid_cron.queues.worker import TASK_NAME
from pyramid_cron.schedules.clock import MINUTE, current_minute
from pyramid_cron.store.schema import runs, tasks
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


@contextlib.contextmanager
def connected(**receivers):
    """Connect receivers to the signals of Celery that are their names."""
    signals = [(getattr(celery.signals, name), receiver) for name, receiver in receivers.items()]
    for sent, receiver in signals:
        sent.connect(receiver, weak=False)
    try:
        yield
    finally:
        for sent, receiver in signals:
            sent.disconnect(receiver)


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
    # the name in Flower and in the worker's log
    assert message.headers['shadow'] == 'task'
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
    with connected(task_success=ended):
        work(broker, ended)
    assert [system['scheduled_for'] for system in seen] == [minute]
    assert statuses(app) == ['ok']


@pytest.mark.slow
def test_a_task_is_stopped_with_its_worker(made, broker):
    seen = []
    ended = Event()

    def body(system):
        seen.append(system['stopping']())
        # as the main process of a worker does at SIGTERM
        celery.signals.worker_shutting_down.send(sender='worker', sig='SIGTERM', how='Warm', exitcode=0)
        seen.append(system['stopping']())

    app = made(body)
    add_perform(broker, lambda: app)
    tick(app.registry, current_minute())
    with connected(task_postrun=ended):
        work(broker, ended)
    assert seen == [False, True]
    assert statuses(app) == ['stopped']


def flush(broker):
    with broker.connection_for_write() as connection:
        connection.default_channel.client.flushall()


def wait(registry):
    """Let a third of the time pass for which queued runs wait."""
    with registry['cron_store'].database.engine.begin() as connection:
        connection.execute(update(tasks).values(started_at=tasks.c.started_at - 86400 / 3))


@pytest.mark.slow
def test_a_run_whose_message_is_lost_is_sent_again(made, broker):
    seen = []
    ended = Event(2)
    app = made(seen.append, catch_up=86400)
    add_perform(broker, lambda: app)
    minute = current_minute() - 2 * MINUTE
    tick(app.registry, minute)
    flush(broker)
    wait(app.registry)
    tick(app.registry, minute + MINUTE)
    # and the first one has been late, and not lost
    broker.send_task(TASK_NAME, args=[f'shop:task@{minute:%Y-%m-%dT%H:%MZ}'])
    with connected(task_success=ended):
        work(broker, ended)
    assert [system['scheduled_for'] for system in seen] == [minute]
    assert sorted(statuses(app)) == ['ok', 'skipped']


@pytest.mark.slow
def test_a_frozen_redis_is_waited_for_once_by_what_is_sent_again(configure, broker, redis_server, tmp_path, caplog):
    broker.conf.broker_transport_options = {'socket_timeout': 1.1, 'socket_connect_timeout': 1.1}
    config = configure(celery=broker, store=f'sqlite:///{tmp_path}/cron.sqlite', catch_up=86400)
    for number in range(3):
        config.add_cron_task(print, name=str(number), via='celery')
    config.commit()
    minute = current_minute() - 2 * MINUTE
    tick(config.registry, minute)
    flush(broker)
    wait(config.registry)
    os.kill(redis_server.pid, signal.SIGSTOP)
    try:
        tick(config.registry, minute + MINUTE)
    finally:
        os.kill(redis_server.pid, signal.SIGCONT)
    engine = config.registry['cron_store'].database.engine
    with engine.connect() as connection:
        reasons = list(connection.scalars(select(runs.c.reason).where(runs.c.outcome == 'queued')))
    begin = 'it cannot be enqueued again: '
    assert sorted(reason.removeprefix(begin).partition(':')[0] for reason in reasons) == [
        'EngineNotAnswering',
        'EngineNotAnswering',
        'OperationalError',
    ]
    flush(broker)
    tick(config.registry, minute + MINUTE)
    assert len(messages(broker)) == 3
    engine.dispose()


def test_a_check_sends_nothing(broker, redis_server):
    assert CeleryQueue(broker).check() == f'the broker answers, {redis_server.url}'
    with broker.connection_for_write() as connection:
        assert connection.default_channel.client.keys('celery') == []


def test_messages_are_acknowledged_before_their_tasks(broker):
    broker.conf.task_acks_late = True
    add_perform(broker, print)
    assert broker.tasks[TASK_NAME].acks_late is False
    assert broker.tasks[TASK_NAME].reject_on_worker_lost is False


def test_messages_can_be_acknowledged_after_their_tasks(broker):
    add_perform(broker, print, acks_late=True)
    task = broker.tasks[TASK_NAME]
    assert (task.acks_late, task.reject_on_worker_lost) == (True, True)


@pytest.mark.parametrize('value', [1, None, 'yes'])
def test_another_value_for_late_acknowledgements_is_refused(broker, value):
    with pytest.raises(ValueError, match=f'^acks_late={value!r} is neither True nor False$'):
        add_perform(broker, print, acks_late=value)


def test_no_result_is_stored(made, broker, redis_server):
    # without a claim, which this message has none of
    app, ended = made(store=False), Event()
    broker.conf.result_backend = redis_server.url
    add_perform(broker, lambda: app)
    # without the header that our own messages have
    broker.send_task(TASK_NAME, args=[f'shop:task@{current_minute():%Y-%m-%dT%H:%MZ}'])
    with connected(task_success=ended):
        work(broker, ended)
    assert broker.backend.client.keys('celery-task-meta-*') == []


@pytest.mark.slow
def test_a_run_that_hangs_in_a_worker_is_stuck(made, broker):
    def hang(system):
        began.set()
        assert may_end.wait(60)

    def problems():
        return [problem.kind for problem in health_of(app.registry).problems if problem.task == 'task']

    began, may_end, ended = threading.Event(), threading.Event(), Event()
    app, minute = made(hang, expect=0.01, min=list(range(60))), current_minute()
    add_perform(broker, lambda: app)
    tick(app.registry, minute - MINUTE)
    assert problems() == []
    with connected(task_success=ended), start_worker(broker, perform_ping_check=False, shutdown_timeout=30):
        assert began.wait(30)
        deadline = time.monotonic() + 30
        while problems() != ['stuck']:
            assert time.monotonic() < deadline
        assert [report.outcome for report in tick(app.registry, minute).tasks] == ['stuck']
        may_end.set()
        assert ended.wait(30)
    assert problems() == ['slow']


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
    with connected(task_failure=note):
        work(broker, ended)
    assert failures == ['task task failed: LookupError: no']
    # our own log has the error with its traceback
    assert [record.name for record in caplog.records if record.levelname == 'ERROR'] == ['pyramid_cron.alarm']
    assert statuses(app) == ['failed']


@pytest.mark.slow
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
    with connected(task_retry=mend, task_success=ended):
        work(broker, ended)
    assert retried.wait(0)
    assert statuses(app) == ['ok']


class RequestTask(celery.Task):
    """A class of an application: its tasks have a request and a transaction, and are sent after a commit."""

    wrapped = None

    def __new__(cls, *args, **kwargs):
        task = super().__new__(cls, *args, **kwargs)
        body = task.run

        @functools.wraps(body)
        def run(*args, **kwargs):
            RequestTask.wrapped.append('run')
            with task.web_request().tm:
                return body(*args, **kwargs)

        task.run = run
        return task

    def web_request(self):
        if not hasattr(self.request, 'web'):
            self.request.update(web=prepare(registry=self.app.web_registry))
            self.request.web['request'].tm = transaction.TransactionManager(explicit=True)
        return self.request.web['request']

    def __call__(self, *args, **kwargs):
        RequestTask.wrapped.append('call')
        return super().__call__(self.web_request(), *args, **kwargs)

    def after_return(self, *given):
        RequestTask.wrapped.append('return')
        self.request.web['closer']()

    def apply_async(self, *args, **kwargs):
        RequestTask.wrapped.append('apply')
        send = super().apply_async
        get_current_request().tm.get().addAfterCommitHook(lambda committed: send(*args, **kwargs))


@pytest.fixture
def own_class(broker, redis_server):
    """An application of Celery whose tasks have a class of its own, set up within that of Pyramid."""
    RequestTask.wrapped = []
    app = celery.Celery('web', broker=redis_server.url, autofinalize=False, set_as_current=False)
    app.Task = RequestTask
    yield app
    app.close()


@pytest.mark.slow
@pytest.mark.parametrize('order', ['before', 'after'])
def test_a_class_of_the_application_does_not_wrap_a_run(made, own_class, order):
    seen, ended = [], Event()
    app = made(seen.append, more={'celery': own_class})
    own_class.web_registry = app.registry
    if order == 'after':
        own_class.finalize()
    add_perform(own_class, lambda: app, wait=0)
    own_class.finalize()
    engine = app.registry['cron_store'].database.engine

    def mend(**given):
        with engine.begin() as connection:
            connection.execute(text('ALTER TABLE elsewhere RENAME TO cron_tasks'))

    tick(app.registry, current_minute())
    # so that it is sent again once, by the task itself
    with engine.begin() as connection:
        connection.execute(text('ALTER TABLE cron_tasks RENAME TO elsewhere'))
    with connected(task_retry=mend, task_success=ended):
        work(own_class, ended)
    assert len(seen) == 1
    assert statuses(app) == ['ok']
    assert RequestTask.wrapped == []


def test_the_class_of_the_application_is_kept_for_its_own_tasks(made, own_class):
    def own(request, word):
        seen.append((request.registry, word))

    seen, ended = [], Event()
    own_class.web_registry = made(store=False).registry
    add_perform(own_class, print)
    own_class.task(name='own', shared=False, typing=False)(own)
    own_class.finalize()
    with prepare(registry=own_class.web_registry) as web:
        web['request'].tm = transaction.TransactionManager(explicit=True)
        with web['request'].tm:
            own_class.tasks['own'].apply_async(['a word'])
    with connected(task_success=ended):
        work(own_class, ended)
    assert seen == [(own_class.web_registry, 'a word')]
    assert RequestTask.wrapped == ['apply', 'call', 'run', 'return']


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


@pytest.mark.slow
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


@pytest.mark.slow
def test_frozen_brokers_are_waited_for_once_each(configure, broker, redis_server, tmp_path):
    def queue(url):
        app = celery.Celery('another', broker=url, set_as_current=False)
        apps.append(app)
        app.conf.broker_transport_options = {'socket_timeout': 1.1, 'socket_connect_timeout': 1.1}
        return CeleryQueue(app)

    apps = [broker]
    broker.conf.broker_transport_options = {'socket_timeout': 1.1, 'socket_connect_timeout': 1.1}
    away = queue(f'redis+socket://{tmp_path}/nothing')
    vias = ['celery', queue(redis_server.url), 'celery:queue=slow', away, queue(f'{redis_server.url}?virtual_host=1')]
    config = configure(celery=broker)
    for number in range(20):
        config.add_cron_task(print, name=f'{number:02}', via=vias[number % 5])
    config.commit()
    broker.send_task('another task', queue='slow')
    os.kill(redis_server.pid, signal.SIGSTOP)
    try:
        reports = tick(config.registry, current_minute()).tasks
    finally:
        os.kill(redis_server.pid, signal.SIGCONT)
        for app in apps:
            app.close()
    assert [report.outcome for report in reports] == ['failed'] * 20
    waits = [report.name for report in reports if not isinstance(report.exception, EngineNotAnswering)]
    # one wait for each address, and all tries of the one that refuses at once
    assert [name for name in waits if vias[int(name) % 5] is not away] == ['00', '04']


@pytest.mark.parametrize(
    ('settings', 'advice'),
    [
        ({}, ['worker_prefetch_multiplier = 4: each process of a busy worker takes 4 messages ahead']),
        ({'worker_prefetch_multiplier': 0}, ['each process of a busy worker takes all messages ahead']),
        ({'worker_prefetch_multiplier': 1}, []),
        ({'worker_disable_prefetch': True}, []),
    ],
)
def test_the_messages_that_a_worker_takes_ahead_are_advised_about(broker, settings, advice):
    broker.conf.update(settings)
    found = list(CeleryQueue(broker).advice())
    assert len(found) == len(advice)
    for (problem, remedy), part in zip(found, advice, strict=True):
        assert part in problem
        assert 'app.conf.worker_prefetch_multiplier = 1' in remedy


def test_a_queue_takes_a_celery_application_itself(made, broker):
    app = made(more={'celery': 'nothing.that.is'}, via=CeleryQueue(broker, queue='slow'))
    [report] = tick(app.registry, current_minute()).tasks
    assert report.outcome == 'queued'
    assert len(messages(broker, 'slow')) == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ('options', 'limits'),
    [
        ('', [None, None]),
        (':time_limit=660', [660, None]),
        (':soft_time_limit=600', [None, 600]),
        (':soft_time_limit=600,time_limit=660', [660, 600]),
    ],
)
def test_a_message_has_the_time_limits_of_its_task(made, broker, options, limits):
    app = made(via=f'celery{options}')
    tick(app.registry, current_minute())
    [message] = messages(broker)
    assert message.headers['timelimit'] == limits


def test_a_queue_takes_time_limits_as_numbers(made, broker):
    app = made(via=CeleryQueue(broker, time_limit=660, soft_time_limit=600))
    tick(app.registry, current_minute())
    [message] = messages(broker)
    assert message.headers['timelimit'] == [660, 600]


@pytest.mark.parametrize('limit', [0, -1, 1.5, True, '', '1e3', '²'])
@pytest.mark.parametrize('name', ['time_limit', 'soft_time_limit'])
def test_a_time_limit_is_a_whole_number_of_seconds(broker, name, limit):
    with pytest.raises(ValueError, match='a time limit has to be a whole number of seconds above 0, not') as caught:
        CeleryQueue(broker, **{name: limit})
    assert str(caught.value).endswith(f'not {limit!r}')


@pytest.mark.parametrize(
    ('options', 'why'),
    [
        ('time_limit=soon', "a time limit has to be a whole number of seconds above 0, not 'soon'"),
        (
            'time_limit=60,soft_time_limit=60',
            'soft_time_limit=60 is never reached: it has to be less than time_limit=60',
        ),
    ],
)
def test_an_application_with_an_unusable_time_limit_does_not_start(configure, options, why):
    config = configure(celery=celery.Celery('shop', set_as_current=False))
    config.add_cron_task(print, name='task', via=f'celery:{options}')
    with pytest.raises(ConfigurationError) as caught:
        config.commit()
    assert f"cron task task, via='celery:{options}': {why}" in str(caught.value)


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
