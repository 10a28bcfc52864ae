"""What killing processes has found, each as small as it can be."""

from datetime import datetime, timedelta, timezone

import pytest
from pyramid.config import Configurator
from sqlalchemy import create_engine, make_url, select, update
from sqlalchemy.dialects import mysql
from sqlalchemy.schema import CreateTable

from pyramid_cron.reports import OK, TaskReport
from pyramid_cron.store import history, task_state
from pyramid_cron.store.schema import metadata, processes, runs, tasks
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
        registry['cron_claims'].database.engine.dispose()


def connect(registry):
    return registry['cron_claims'].database.engine.begin()


def records(registry):
    with connect(registry) as connection:
        query = select(runs.c.scheduled_for, runs.c.outcome).order_by(runs.c.scheduled_for)
        return [
            ((scheduled_for - BEGIN) // timedelta(minutes=1), outcome)
            for scheduled_for, outcome in connection.execute(query)
        ]


def begin_and_die(registry):
    """Begin the task's run for minute 0 in a process whose lease then ends, and return its turn."""
    claims = registry['cron_claims']
    (turn,) = claims.turns(registry['cron_tasks'], BEGIN, 'test')
    assert claims.claim(turn) is None
    with connect(registry) as connection:
        connection.execute(update(processes).values(lease_until=0))
    return turn


def test_a_minute_is_recorded_whose_tick_died_before_it_could_say_that_the_task_still_ran(make_registry):
    dead, living = make_registry('* * * * *'), make_registry('* * * * *')
    turn = begin_and_die(dead)
    for number in (1, 2):
        # as far as that tick has come
        with connect(living) as connection:
            task_state.tick(connection, 'found', minute(number), 60)
    assert tick(living, minute(3)).names('ok') == ['task']
    assert records(living) == [(0, 'lost'), (1, 'skipped'), (2, 'skipped'), (3, 'ok')]
    assert dead['cron_claims'].release(turn, TaskReport('task', OK)).outcome == 'failed'


def test_what_was_due_after_a_process_died_and_nobody_asked_is_caught_up(make_registry):
    dead, living = make_registry('0,20,55 * * * *'), make_registry('0,20,55 * * * *')
    turn = begin_and_die(dead)
    assert tick(living, minute(58)).names('ok') == ['task']
    assert records(living) == [(0, 'lost'), (20, 'missed'), (55, 'ok')]
    dead['cron_claims'].release(turn, TaskReport('task', OK))


def test_two_processes_may_record_the_same_minute_at_once(tmp_path):
    engine = create_engine(f'sqlite:///{tmp_path / "store"}')
    metadata.create_all(engine)
    arguments = 'found', 'task', [BEGIN], 'skipped', 'still running', BEGIN
    others = create_engine(engine.url)

    def first():
        with others.begin() as other:
            history.record_unbegun(other, *arguments)

    with overtaken(engine, first, of=runs, kind='insert'), engine.begin() as connection:
        history.record_unbegun(connection, *arguments)
        assert connection.scalars(select(runs.c.scheduled_for)).all() == [BEGIN]
    engine.dispose()
    others.dispose()


@pytest.mark.parametrize('table', [tasks, processes])
def test_mysql_keeps_clocks_with_more_digits_than_a_float_has_there(table):
    made = str(CreateTable(table).compile(dialect=mysql.dialect()))
    assert 'DOUBLE' in made
    assert 'FLOAT' not in made


def test_connections_that_were_lost_between_ticks_cost_no_tick(make_registry, postgresql, postgresql_server):
    registry = make_registry('* * * * *', postgresql)
    assert tick(registry, minute(0)).names('ok') == ['task']
    database = make_url(postgresql).database
    # and wait until that is done
    ends = 'SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity'
    postgresql_server.execute(f"{ends} WHERE datname = '{database}'")
    assert str(tick(registry, minute(1))) == 'ok'
