"""With a real PostgreSQL, and procrastinate's own worker."""

import asyncio
import functools
import time

import procrastinate
import psycopg
import pytest
from pyramid.exceptions import ConfigurationError
from sqlalchemy import create_engine, make_url, select, text

from pyramid_cron.claims import ByHand
from pyramid_cron.errors import Unavailable
from pyramid_cron.queues.procrastinate import MAX_ATTEMPTS, add_perform, make_enqueue
from pyramid_cron.schedules.clock import current_minute
from pyramid_cron.store.schema import runs
from pyramid_cron.testing import tick
from tests.support.statements import GONE, outage


@pytest.fixture
def conninfo(postgresql):
    """How psycopg connects to an empty database that has procrastinate's tables."""
    url = make_url(postgresql)
    info = psycopg.conninfo.make_conninfo(dbname=url.database, host=url.query['host'], user=url.username)
    with procrastinate.App(connector=procrastinate.SyncPsycopgConnector(conninfo=info)).open() as app:
        app.schema_manager.apply_schema()
    return info


@pytest.fixture
def made(make_app, postgresql, conninfo):
    """Return a function that returns an application with one task that procrastinate runs."""
    return functools.partial(make_app, settings={'store': postgresql}, via='procrastinate')


@pytest.fixture
def rows(postgresql):
    """Return a function that returns the rows of a query."""
    engine = create_engine(postgresql)

    def fetch(query):
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query) if isinstance(query, str) else query)]

    yield fetch
    engine.dispose()


JOBS = 'SELECT task_name, queue_name, priority, status::text, attempts FROM procrastinate_jobs ORDER BY id'


async def work(conninfo, load, concurrency=1, **options):
    """Work off the jobs there are, as ``procrastinate worker`` does."""
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=conninfo))
    add_perform(app, load, **options)
    async with app.open_async():
        await app.run_worker_async(
            concurrency=concurrency,
            wait=False,
            install_signal_handlers=False,
            listen_notify=False,
            abort_job_polling_interval=0.1,
        )


def outcomes(rows):
    return [outcome for (outcome,) in rows(select(runs.c.outcome).order_by(runs.c.started))]


@pytest.mark.slow
def test_a_job_is_written_with_its_claim(made, rows, conninfo):
    seen = []
    app = made(seen.append, via='procrastinate:queue=slow,priority=7')
    minute = current_minute()
    [report] = tick(app.registry, minute).tasks
    assert report.outcome == 'queued'
    assert rows(JOBS) == [('pyramid_cron.perform', 'slow', 7, 'todo', 0)]
    assert rows('SELECT args FROM procrastinate_jobs') == [({'key': f'shop:task@{minute:%Y-%m-%dT%H:%MZ}'},)]
    assert outcomes(rows) == ['queued']
    asyncio.run(work(conninfo, lambda: app))
    assert [system['scheduled_for'] for system in seen] == [minute]
    assert outcomes(rows) == ['ok']
    assert [outcome for *_, outcome, _ in rows(JOBS)] == ['succeeded']


@pytest.mark.slow
def test_jobs_with_one_lock_run_one_after_another(configure, postgresql, conninfo, rows):
    config = configure(store=postgresql)
    for name in ('one', 'other'):
        config.add_cron_task(print, name=name, via='procrastinate:lock=reports')
    app = config.make_wsgi_app()
    tick(app.registry, current_minute())
    # a queueing_lock would refuse the second, and undo the claims of both
    assert rows('SELECT lock, queueing_lock FROM procrastinate_jobs') == [('reports', None)] * 2
    # a worker that does not wait ends when there is no job that it may take
    for done in (1, 2):
        asyncio.run(work(conninfo, lambda: app, concurrency=2))
        assert outcomes(rows).count('ok') == done
    app.registry['cron_store'].database.engine.dispose()


@pytest.mark.slow
def test_a_task_is_stopped_with_its_job(made, rows, conninfo):
    seen = []

    def body(system):
        seen.append(system['stopping']())
        with procrastinate.App(connector=procrastinate.SyncPsycopgConnector(conninfo=conninfo)).open() as jobs:
            jobs.job_manager.cancel_job_by_id(rows('SELECT id FROM procrastinate_jobs')[0][0], abort=True)
        while not system['stopping']():
            # the worker reads the request in another thread
            time.sleep(0.01)

    app = made(body)
    tick(app.registry, current_minute())
    asyncio.run(work(conninfo, lambda: app))
    assert seen == [False]
    assert rows(select(runs.c.outcome, runs.c.reason)) == [('stopped', 'by an abort of its job')]


def test_without_the_claim_there_is_no_job(made, rows):
    app, other = made(), made()
    minute = current_minute()
    assert [task.outcome for task in tick(app.registry, minute).tasks] == ['queued']
    assert [task.outcome for task in tick(other.registry, minute).tasks] == ['skipped']
    assert len(rows(JOBS)) == 1


def test_without_the_job_there_is_no_claim(made, rows, postgresql, caplog):
    app = made()
    engine = app.registry['cron_store'].database.engine
    with engine.begin() as connection:
        connection.execute(text('ALTER TABLE procrastinate_jobs RENAME TO elsewhere'))
    minute = current_minute()
    report = tick(app.registry, minute)
    assert report.failed
    assert 'it cannot be enqueued: LookupError: the tables of procrastinate are missing' in caplog.text
    assert rows(select(runs.c.outcome, runs.c.attempt)) == [('failed', 0)]
    with engine.begin() as connection:
        connection.execute(text('ALTER TABLE elsewhere RENAME TO procrastinate_jobs'))
    assert [task.outcome for task in tick(app.registry, minute).tasks] == ['queued']


@pytest.mark.slow
@pytest.mark.parametrize(
    'old',
    ['TABLE procrastinate_jobs', 'TYPE procrastinate_job_to_defer_v1', 'FUNCTION procrastinate_defer_jobs_v1'],
)
def test_an_old_schema_names_the_command_to_apply(made, caplog, old):
    app = made()
    with app.registry['cron_store'].database.engine.begin() as connection:
        connection.execute(text(f'ALTER {old} RENAME TO elsewhere'))
    assert tick(app.registry, current_minute()).failed
    assert 'run procrastinate --app=… schema --apply' in caplog.text


def test_other_errors_of_the_database_are_logged_unchanged(made, caplog):
    app = made()
    with app.registry['cron_store'].database.engine.begin() as connection:
        connection.execute(text('ALTER TABLE procrastinate_jobs ADD CHECK (false)'))
    assert tick(app.registry, current_minute()).failed
    assert 'it cannot be enqueued: CheckViolation: new row for relation "procrastinate_jobs"' in caplog.text


def test_without_job_and_store_the_task_still_fails(made, rows, caplog):
    app = made()
    claims, engine = app.registry['cron_claims'], app.registry['cron_store'].database.engine
    [run] = claims.due(app.registry['cron_tasks'], current_minute(), 'request').runs
    [by_name] = claims.named(app.registry['cron_tasks'], ['task'], ByHand(enqueue=True)).runs
    with engine.begin() as connection:
        connection.execute(text('ALTER TABLE procrastinate_jobs RENAME TO elsewhere'))
    with pytest.raises(Unavailable, match='it cannot be enqueued'):
        by_name.claim()
    assert outcomes(rows) == []

    with (
        outage(engine, of=runs, kind='insert', sets='reason'),
        pytest.raises(Unavailable, match='it cannot be enqueued'),
    ):
        run.claim()
    assert f'it cannot be recorded that task task was not enqueued: {GONE}' in caplog.text


def test_a_failing_task_fails_its_job_for_good(made, rows, conninfo):
    def fail(system):
        raise LookupError('no')

    app = made(fail)
    tick(app.registry, current_minute())
    asyncio.run(work(conninfo, lambda: app))
    assert [row[3:] for row in rows(JOBS)] == [('failed', 1)]
    assert outcomes(rows) == ['failed']


@pytest.mark.slow
def test_a_job_waits_for_an_unavailable_store(made, rows, conninfo):
    app = made()
    tick(app.registry, current_minute())
    with app.registry['cron_store'].database.engine.begin() as connection:
        connection.execute(text('ALTER TABLE cron_tasks RENAME TO elsewhere'))
    asyncio.run(work(conninfo, lambda: app))
    assert [row[3:] for row in rows(JOBS)] == [('todo', 1)]


@pytest.mark.slow
def test_a_job_is_given_up_in_the_end(made, rows, conninfo):
    app = made()
    tick(app.registry, current_minute())
    with app.registry['cron_store'].database.engine.begin() as connection:
        connection.execute(text('ALTER TABLE cron_tasks RENAME TO elsewhere'))
    asyncio.run(work(conninfo, lambda: app, wait=0))
    assert [row[3:] for row in rows(JOBS)] == [('failed', MAX_ATTEMPTS + 1)]


@pytest.mark.parametrize('settings', [{}, {'store': 'sqlite:///{folder}/cron.sqlite'}])
def test_it_needs_a_store_in_postgresql(configure, tmp_path, settings):
    config = configure(**{name: value.format(folder=tmp_path) for name, value in settings.items()})
    config.add_cron_task(print, via='procrastinate')
    with pytest.raises(ConfigurationError, match=r'set cron\.store = postgresql\+psycopg://'):
        config.commit()


@pytest.mark.slow
@pytest.mark.parametrize(('name', 'driver'), [('postgresql', 'psycopg2'), ('cockroachdb', 'psycopg')])
def test_it_needs_postgresql_and_psycopg(configure, name, driver):
    config = configure(store='postgresql+psycopg://')
    config.commit()
    dialect = config.registry['cron_store'].database.engine.dialect
    dialect.name, dialect.driver = name, driver
    with pytest.raises(ValueError, match=r'set cron\.store = postgresql\+psycopg://'):
        make_enqueue({}, config.registry)


def test_a_task_without_the_store_is_refused(configure, postgresql):
    config = configure(store=postgresql)
    config.add_cron_task(print, via='procrastinate', store=False)
    with pytest.raises(ConfigurationError, match='store=False leaves the task out of the store'):
        config.commit()
