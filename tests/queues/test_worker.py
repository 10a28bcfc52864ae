"""The run of a key, and the application of a worker."""

import math
import pickle
import threading
from datetime import timedelta, timezone

import pytest
from sqlalchemy import select

from pyramid_cron import Skip
from pyramid_cron.errors import Unavailable
from pyramid_cron.events import ITaskStarted
from pyramid_cron.orders import NotRun
from pyramid_cron.queues.worker import LazyApplication, TaskFailed, perform
from pyramid_cron.run_keys import write_key
from pyramid_cron.schedules.clock import current_minute
from pyramid_cron.store.schema import runs
from pyramid_cron.testing import tick
from tests.support.statements import outage

INI = """\
[app:main]
use = call:{module}:main
cron.app = shop
"""


@pytest.fixture
def seen():
    return []


@pytest.fixture
def app(configure, seen):
    def task(system):
        seen.append(system)

    def fail(system):
        raise LookupError('no')

    def interrupt(system):
        raise KeyboardInterrupt

    config = configure()
    config.add_cron_task(task, name='task', min=0)
    config.add_cron_task(fail, name='fail')
    config.add_cron_task(interrupt, name='interrupt')
    config.add_tween(f'{__name__}.tween_factory')
    return config.make_wsgi_app()


def tween_factory(handler, registry):
    def tween(request):
        request.seen_by_tween = True
        return handler(request)

    return tween


def key(name='task', ago=0):
    return write_key('shop', name, current_minute() - timedelta(minutes=ago), None)


def test_a_run_goes_through_the_whole_application(app, seen):
    minute = current_minute() - timedelta(minutes=2)
    report = perform(app, write_key('shop', 'task', minute, None))
    assert (report.name, report.outcome) == ('task', 'ok')
    [system] = seen
    assert system['request'].seen_by_tween
    assert system['time_left']() == math.inf
    assert system['scheduled_for'] == minute
    assert system['registry'] is app.registry


def test_the_request_has_the_method(configure, seen):
    config = configure(method='POST')
    config.add_cron_task(seen.append, name='task')
    assert perform(config.make_wsgi_app(), key()).outcome == 'ok'
    assert seen[0]['request'].method == 'POST'


def test_the_registry_may_be_that_of_a_part(app, seen):
    perform(lambda environ, start_response: app(environ, start_response), key(), registry=app.registry)
    assert seen[0]['registry'] is app.registry


def test_the_caller_chooses_what_ends_the_process(app):
    with pytest.raises(KeyboardInterrupt):
        perform(app, key('interrupt'))
    report = perform(app, key('interrupt'), exits=())
    assert (report.outcome, type(report.exception)) == ('failed', KeyboardInterrupt)


def test_without_a_store_each_delivery_runs(app, seen):
    for _ in range(2):
        perform(app, key())
    assert len(seen) == 2


def test_without_a_store_a_late_delivery_is_missed(app, seen, caplog):
    report = perform(app, key(ago=7))
    assert (report.outcome, report.seconds) == ('missed', 0)
    assert 'after its minute' in report.reason
    assert seen == []
    assert 'task task is missed: it came ' in caplog.text


def test_a_delivery_by_name_is_for_now(app, seen):
    before = current_minute()
    assert perform(app, write_key('shop', 'task', None, None)).outcome == 'ok'
    assert before <= seen[0]['scheduled_for'].astimezone(timezone.utc) <= current_minute()


@pytest.mark.parametrize('has_minute', [True, False])
def test_without_a_store_events_have_the_key_of_the_message(configure, has_minute):
    config, events = configure(), []
    config.add_cron_task(lambda system: None, name='task')
    config.add_subscriber(events.append, ITaskStarted)
    message = key() if has_minute else write_key('shop', 'task', None, None)
    perform(config.make_wsgi_app(), message)
    assert [event.key for event in events] == [message] * 2


def test_a_failure_is_reported(app):
    report = perform(app, key('fail'))
    assert (report.outcome, type(report.exception)) == ('failed', LookupError)


def test_an_unknown_task_is_an_error(app):
    with pytest.raises(LookupError, match="no cron task is named 'renamed'"):
        perform(app, key('renamed'))


def test_a_key_of_another_application_is_an_error(app):
    with pytest.raises(ValueError, match='is no key of shop'):
        perform(app, 'other:task@2026-11-24T02:00Z')


def test_an_answer_before_the_run_is_an_error(configure):
    config = configure()
    config.add_cron_task(print, name='task')
    config.add_tween(f'{__name__}.refusing_factory')
    with pytest.raises(NotRun, match='answered 403'):
        perform(config.make_wsgi_app(), key())


def history(app):
    with app.registry['cron_store'].database.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(select(runs.c.outcome, runs.c.reason))]


@pytest.fixture
def queued(make_app, tmp_path):
    """An application whose task is queued, and the key of its run."""
    sent = []
    app = make_app(settings={'store': f'sqlite:///{tmp_path}/cron.sqlite'}, via=sent.append)
    tick(app.registry, current_minute())
    return app, sent[0].key


def refuse(environ, start_response):
    start_response('403 Forbidden', [])
    return []


def test_a_failure_before_the_task_is_recorded(queued):
    app, run_key = queued
    with pytest.raises(NotRun):
        perform(refuse, run_key, registry=app.registry)
    [(outcome, reason)] = history(app)
    assert outcome == 'queued'
    text = 'a worker failed before the task: NotRun: the application answered 403 Forbidden before its tasks could run'
    assert reason.startswith(f'{text}, process ')
    assert perform(app, run_key).outcome == 'ok'
    assert history(app) == [('ok', None)]


def test_a_failure_that_cannot_be_recorded_is_raised_all_the_same(queued, caplog):
    app, run_key = queued
    with outage(app.registry['cron_store'].database.engine), pytest.raises(NotRun):
        perform(refuse, run_key, registry=app.registry)
    assert 'it cannot be recorded why task task did not begin: ' in caplog.text


def test_a_store_that_is_away_is_no_failure_of_the_worker(queued):
    app, run_key = queued
    with outage(app.registry['cron_store'].database.engine), pytest.raises(Unavailable):
        perform(app, run_key)
    assert history(app) == [('queued', None)]


def refusing_factory(handler, registry):
    from pyramid.httpexceptions import HTTPForbidden

    return lambda request: HTTPForbidden()


def test_the_application_is_loaded_once_at_first_use(app, caplog):
    caplog.set_level('INFO', 'pyramid_cron.queues')
    loaded, run_key = [], key()

    def load():
        loaded.append(app)
        return app

    application = LazyApplication.of(load)
    assert loaded == []
    for _ in range(2):
        assert application.perform(run_key).outcome == 'ok'
    assert loaded == [app]
    assert f'task task, queued as {run_key}: ok' in caplog.messages


class ObservedLock:
    """A lock that reports each attempt to acquire it before it waits."""

    def __init__(self, attempted):
        self._attempted, self._lock = attempted, threading.Lock()

    def __enter__(self):
        self._attempted()
        self._lock.acquire()

    def __exit__(self, *raised):
        self._lock.release()


def test_two_threads_load_the_application_once(app):
    loaded, outcomes, attempts = [], [], []
    second_is_in_the_way = threading.Event()

    def attempted():
        attempts.append(None)
        if len(attempts) == 2:
            second_is_in_the_way.set()

    def load():
        loaded.append(app)
        if len(loaded) == 1:
            second.start()
            # without the lock the second thread comes to load, too
            assert second_is_in_the_way.wait(30)
        else:
            second_is_in_the_way.set()
        return app

    def perform_one():
        outcomes.append(application.perform(key()).outcome)

    application = LazyApplication.of(load)
    application._lock = ObservedLock(attempted)
    second = threading.Thread(target=perform_one)
    perform_one()
    second.join(30)
    assert len(loaded) == 1
    assert len(outcomes) == 2


def test_the_application_can_be_a_configuration_file(tmp_path, monkeypatch):
    (tmp_path / 'worker_of_test.py').write_text(
        'from pyramid.config import Configurator\n'
        'def main(global_config, **settings):\n'
        '    config = Configurator(settings=settings)\n'
        "    config.include('pyramid_cron')\n"
        "    config.add_cron_task(print, name='task')\n"
        '    return config.make_wsgi_app()\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / 'app.ini'
    file.write_text(INI.format(module='worker_of_test'))
    assert LazyApplication.of(str(file)).perform(key()).outcome == 'ok'


def test_another_source_of_the_application_is_refused():
    with pytest.raises(TypeError, match='5 is neither a configuration file nor a function'):
        LazyApplication.of(5)


def test_a_failure_names_its_task_and_is_pickled(app):
    with pytest.raises(TaskFailed, match=r'^task fail failed: LookupError: no$') as caught:
        LazyApplication.of(lambda: app).perform(key('fail'))
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_message_from_another_store_fails_in_its_queue(make_app, tmp_path):
    app = make_app(settings={'store': f'sqlite:///{tmp_path}/cron.sqlite'})
    with pytest.raises(TaskFailed, match=r'^task task failed: it was not enqueued by way of this store'):
        LazyApplication.of(lambda: app).perform(key())


def test_a_failure_is_scrubbed_for_the_engine(configure):
    def insert(system):
        raise RuntimeError("s3cr3t\n[SQL: INSERT]\n[parameters: ('bob@example.com',)]")

    def fail(**settings):
        config = configure(**settings)
        config.add_cron_task(insert, name='insert')
        app = config.make_wsgi_app()
        with pytest.raises(TaskFailed) as caught:
            LazyApplication.of(lambda: app).perform(key('insert'))
        (text,) = caught.value.args
        assert type(text) is str
        return text.removeprefix('task insert failed: RuntimeError: ')

    assert fail() == 's3cr3t [SQL: INSERT] [parameters: left out]'
    assert fail(keep_parameters=True) == "s3cr3t [SQL: INSERT] [parameters: ('bob@example.com',)]"
    assert fail(scrub=lambda text: text.replace('s3cr3t', '***')) == '*** [SQL: INSERT] [parameters: left out]'


def test_a_run_that_skips_ends_the_job_well(configure):
    def skip(system):
        raise Skip('no new file')

    config = configure()
    config.add_cron_task(skip, name='skip')
    report = LazyApplication.of(config.make_wsgi_app).perform(key('skip'))
    assert (report.outcome, report.reason) == ('skipped', 'no new file')
