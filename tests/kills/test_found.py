"""What killing processes has found, each as small as it can be."""

from datetime import datetime, timedelta, timezone

import pytest
from pyramid.config import Configurator
from sqlalchemy import make_url, select, update
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import CreateTable

from pyramid_cron.outcomes import OK
from pyramid_cron.reports import TaskReport
from pyramid_cron.store.history import History, WithoutRun
from pyramid_cron.store.schema import processes, runs, tasks
from pyramid_cron.store.ticks import Ticks
from pyramid_cron.testing import tick
from tests.support.statements import overtaken

BEGIN = datetime(2020, 11, 2, 2, tzinfo=timezone.utc)


def minute(number):
    return BEGIN + timedelta(minutes=number)


@pytest.fixture
def make_registry(tmp_path):
    registries = []

    def make(schedule, url=None):
        settings = {'cron.store': url or f'sqlite:///{tmp_path / "store"}', 'cron.app': 'found', 'cron.timezone': 'UTC'}
        with Configurator(settings=settings) as config:
            config.include('pyramid_cron')
            config.add_cron_task(lambda system: None, cron=schedule, name='task')
        registries.append(config.registry)
        return config.registry

    yield make
    for registry in registries:
        registry['cron_store'].database.engine.dispose()


def connect(registry):
    return registry['cron_store'].database.engine.begin()


def records(registry):
    with connect(registry) as connection:
        query = select(runs.c.scheduled_for, runs.c.outcome).order_by(runs.c.scheduled_for)
        return [
            ((scheduled_for - BEGIN) // timedelta(minutes=1), outcome)
            for scheduled_for, outcome in connection.execute(query)
        ]


def begin_and_die(registry):
    """Begin the task's run for minute 0 in a process that another machine lost, and return the run."""
    (run,) = registry['cron_claims'].due(registry['cron_tasks'], BEGIN, 'test').runs
    assert run.claim() is None
    with connect(registry) as connection:
        connection.execute(update(processes).values(boot_and_pidns='another boot', lease_until=0))
    return run


def test_a_minute_whose_tick_died_is_recorded(make_registry):
    dead, living = make_registry('* * * * *'), make_registry('* * * * *')
    run = begin_and_die(dead)
    for number in (1, 2):
        # as far as that tick has come
        with living['cron_store'].database.begin() as connection:
            Ticks(connection).record(minute(number), 60)
    assert tick(living, minute(3)).names('ok') == ['task']
    assert records(living) == [(0, 'lost'), (1, 'skipped'), (2, 'skipped'), (3, 'ok')]
    assert run.release(TaskReport('task', OK)).outcome == 'failed'


@pytest.mark.slow
def test_minutes_after_a_dead_process_are_caught_up(make_registry):
    dead, living = make_registry('0,20,55 * * * *'), make_registry('0,20,55 * * * *')
    run = begin_and_die(dead)
    assert tick(living, minute(58)).names('ok') == ['task']
    assert records(living) == [(0, 'lost'), (20, 'missed'), (55, 'ok')]
    run.release(TaskReport('task', OK))


def test_two_processes_record_a_minute_once(make_registry):
    one, other = (make_registry('* * * * *')['cron_store'].database for _ in range(2))

    def record(database):
        with database.begin() as connection:
            History(connection).record_without_run([WithoutRun('task', [BEGIN], 'skipped', 'still running')])

    with one.begin():
        pass
    with overtaken(one.engine, lambda: record(other), of=runs, kind='insert'):
        record(one)
    with one.begin() as connection:
        assert connection.scalars(connection.select(runs, runs.c.scheduled_for)) == [BEGIN]


@pytest.mark.parametrize('table', [tasks, processes])
def test_mysql_keeps_clocks_with_enough_digits(table):
    made = str(CreateTable(table).compile(dialect=mysql.dialect()))
    assert 'DOUBLE' in made
    assert 'FLOAT' not in made


def test_connections_lost_between_ticks_cost_no_tick(make_registry, postgresql, postgresql_server):
    registry = make_registry('* * * * *', postgresql)
    assert tick(registry, minute(0)).names('ok') == ['task']
    database = make_url(postgresql).database
    # and wait until that is done
    ends = 'SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity'
    postgresql_server.execute(f"{ends} WHERE datname = '{database}'")
    assert str(tick(registry, minute(1))) == 'ok'
