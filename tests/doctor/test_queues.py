import os
import signal

import celery
import procrastinate
import psycopg
import pytest
from pyramid.config import Configurator
from sqlalchemy import create_engine, make_url, text

from pyramid_cron.doctor.queues import examine_queues
from pyramid_cron.queues.celery import CeleryQueue


class Queue:
    """A queue of the application that can be tried."""

    def __call__(self, handover):
        raise AssertionError

    def check(self):
        return 'it is there'


@pytest.fixture
def examined(engines):
    """Return a function that returns the findings about tasks with these values of ``via=``."""

    def run(*vias, **settings):
        config = Configurator(settings={f'cron.{name}': value for name, value in settings.items()})
        config.include('pyramid_cron')
        for number, via in enumerate(vias):
            config.add_cron_task(print, name=str(number), via=via)
        config.commit()
        store = config.registry['cron_store']
        if store is not None:
            engines(store.database.engine)
        return list(examine_queues(config.registry))

    return run


def test_without_a_queue_nothing_is_found(examined):
    assert examined(None, False) == []


def test_a_function_is_not_called(examined):
    [found] = examined(print, print)
    assert (found.status, found.topic) == ('warn', 'queue')
    assert found.text.startswith('builtins.print: a function of the application')


def test_a_queue_with_a_check_is_tried(examined):
    [found] = examined(Queue())
    assert found.status == 'ok'
    assert found.text.endswith(': it is there')


def test_each_engine_is_tried_once(examined):
    app = celery.Celery('shop', broker='memory://', set_as_current=False)
    app.conf.worker_prefetch_multiplier = 1
    found = examined('celery', 'celery', 'celery:queue=slow', celery=app)
    assert [finding.text.partition(' memory:')[0] for finding in found] == [
        'celery: the broker answers,',
        'celery:queue=slow: the broker answers,',
    ]
    app.close()


def test_settings_that_need_a_change_are_found_once(examined):
    app = celery.Celery('shop', broker='memory://', set_as_current=False)
    [fast, advice, slow] = examined('celery', 'celery:queue=slow', celery=app)
    assert [fast.status, advice.status, slow.status] == ['ok', 'warn', 'ok']
    assert advice.text.startswith('celery: worker_prefetch_multiplier = 4: each process of a busy worker takes 4 ')
    assert advice.remedy == 'set app.conf.worker_prefetch_multiplier = 1, see docs/celery.rst'
    app.close()


@pytest.mark.slow
def test_a_frozen_broker_is_found_in_time(examined, redis_server):
    app = celery.Celery('shop', broker=redis_server.url, set_as_current=False)
    app.conf.worker_prefetch_multiplier = 1
    app.conf.broker_transport_options = {'socket_timeout': 0.5, 'socket_connect_timeout': 0.5}
    os.kill(redis_server.pid, signal.SIGSTOP)
    try:
        [found] = examined('celery', celery=app)
    finally:
        os.kill(redis_server.pid, signal.SIGCONT)
    assert (found.status, found.topic) == ('fail', 'queue')
    assert 'start the broker' in found.remedy
    app.close()


def test_a_broker_that_is_away_is_found(examined, tmp_path):
    app = celery.Celery('shop', broker=f'redis+socket://{tmp_path}/none', set_as_current=False)
    app.conf.worker_prefetch_multiplier = 1
    [found] = examined(CeleryQueue(app))
    assert found.status == 'fail'
    assert 'OperationalError' in found.text
    assert 'start the broker' in found.remedy
    app.close()


def test_the_tables_of_procrastinate_are_needed(examined, postgresql):
    [found] = examined('procrastinate', store=postgresql)
    assert (found.status, found.remedy) == ('fail', '')
    assert 'run procrastinate --app=… schema --apply' in found.text
    url = make_url(postgresql)
    info = psycopg.conninfo.make_conninfo(dbname=url.database, host=url.query['host'], user=url.username)
    with procrastinate.App(connector=procrastinate.SyncPsycopgConnector(conninfo=info)).open() as app:
        app.schema_manager.apply_schema()
    [found] = examined('procrastinate', store=postgresql)
    assert (found.status, found.text) == ('ok', 'procrastinate: a job can be written, and was rolled back')
    engine = create_engine(postgresql)
    with engine.connect() as connection:
        assert connection.scalar(text('SELECT count(*) FROM procrastinate_jobs')) == 0
        # nor those of the store
        assert connection.scalar(text("SELECT to_regclass('cron_tasks')")) is None
    engine.dispose()


def test_a_database_that_is_away_is_found(examined, tmp_path):
    [found] = examined('procrastinate', store=f'postgresql+psycopg://me@/x?host={tmp_path}')
    assert (found.status, 'OperationalError' in found.text) == ('fail', True)
