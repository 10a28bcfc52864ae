"""What procrastinate knows of jobs, with a real PostgreSQL; and which of them are written again."""

import asyncio

import procrastinate
import psycopg
import pytest
from sqlalchemy import make_url, select, text, update

from pyramid_cron.orders import run_through
from pyramid_cron.queues.procrastinate import add_perform
from pyramid_cron.queues.procrastinate_jobs import look
from pyramid_cron.schedules.clock import MINUTE, current_minute
from pyramid_cron.store.schema import runs, tasks
from pyramid_cron.testing import tick

DAY = '86400'


@pytest.fixture
def conninfo(postgresql):
    """How psycopg connects to an empty database that has procrastinate's tables."""
    url = make_url(postgresql)
    info = psycopg.conninfo.make_conninfo(dbname=url.database, host=url.query['host'], user=url.username)
    with procrastinate.App(connector=procrastinate.SyncPsycopgConnector(conninfo=info)).open() as app:
        app.schema_manager.apply_schema()
    return info


class Waiting:
    """An application whose run has waited for its job for a third of its time."""

    def __init__(self, app):
        self.app, self.registry = app, app.registry
        self.engine = app.registry['cron_store'].database.engine
        # a minute that is not over in the middle of the test
        self.minute = current_minute() - 10 * MINUTE
        self.tick(0)

    def tick(self, number):
        return tick(self.registry, self.minute + number * MINUTE)

    def execute(self, statement):
        with self.engine.begin() as connection:
            return connection.execute(text(statement) if isinstance(statement, str) else statement)

    def wait(self):
        self.execute(update(tasks).values(started_at=tasks.c.started_at - 30000))

    def jobs(self):
        rows = self.execute('SELECT status::text, args FROM procrastinate_jobs ORDER BY id').all()
        assert len({args['key'] for _, args in rows}) <= 1
        return [status for status, _ in rows]

    def history(self):
        return [tuple(row) for row in self.execute(select(runs.c.outcome, runs.c.reason))]


@pytest.fixture
def ran():
    return []


@pytest.fixture
def waiting(make_app, postgresql, conninfo, ran):
    app = make_app(ran.append, settings={'store': postgresql, 'catch_up': DAY}, via='procrastinate', cron='0 0 29 2 *')
    waiting = Waiting(app)
    # not due by its schedule, so that no tick of the test finds it due
    run_through(app, app.registry, waiting.minute, ['task'], enqueue=True)
    waiting.wait()
    return waiting


def become(waiting, status):
    # not in one step: a job does not end before a worker has it
    waiting.execute("UPDATE procrastinate_jobs SET status = 'doing'")
    waiting.execute(f"UPDATE procrastinate_jobs SET status = '{status}'")


@pytest.mark.slow
@pytest.mark.parametrize(
    ('status', 'reason'),
    [
        ('todo', 'its job waits for a worker'),
        ('cancelled', 'its job was cancelled in procrastinate'),
        ('aborted', 'its job was aborted in procrastinate'),
    ],
)
def test_a_job_that_waits_or_was_cancelled_is_not_written_again(waiting, status, reason):
    if status != 'todo':
        become(waiting, status)
    waiting.tick(1)
    assert waiting.jobs() == [status]
    assert waiting.history() == [('queued', reason)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ('status', 'reason'),
    [
        ('doing', 'a worker took its job, and has not begun the run'),
        ('failed', 'its job failed before the task; the log of the worker has why'),
        ('succeeded', 'its job is gone'),
    ],
)
def test_a_job_that_no_worker_runs_any_more_is_written_again(waiting, status, reason):
    become(waiting, status)
    waiting.tick(1)
    waiting.tick(2)
    assert waiting.jobs() == [status, 'todo']
    assert waiting.history() == [('queued', f'{reason}; enqueued again')]


@pytest.mark.slow
def test_a_job_that_was_deleted_is_written_again(waiting, ran, conninfo):
    waiting.execute('TRUNCATE procrastinate_jobs CASCADE')
    waiting.tick(1)
    assert waiting.jobs() == ['todo']
    assert waiting.history() == [('queued', 'its job is gone; enqueued again')]
    asyncio.run(work(conninfo, waiting.app))
    assert len(ran) == 1
    assert waiting.history() == [('ok', None)]


@pytest.mark.slow
def test_a_second_job_does_nothing(waiting, ran, conninfo):
    become(waiting, 'doing')
    waiting.tick(1)
    # as procrastinate repeats the job of a worker that was killed
    waiting.execute("UPDATE procrastinate_jobs SET status = 'todo'")
    asyncio.run(work(conninfo, waiting.app))
    assert waiting.jobs() == ['succeeded', 'succeeded']
    assert len(ran) == 1


async def work(conninfo, app):
    """Work off the jobs there are, as ``procrastinate worker`` does."""
    worker = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=conninfo))
    add_perform(worker, lambda: app)
    async with worker.open_async():
        await worker.run_worker_async(wait=False, install_signal_handlers=False, listen_notify=False)


def test_without_the_tables_the_run_stays_queued(waiting, caplog):
    waiting.execute('ALTER TABLE procrastinate_jobs RENAME TO elsewhere')
    waiting.tick(1)
    assert 'task task is not enqueued again: ' in caplog.text
    waiting.execute('ALTER TABLE elsewhere RENAME TO procrastinate_jobs')
    waiting.execute('TRUNCATE procrastinate_jobs CASCADE')
    waiting.tick(2)
    assert waiting.jobs() == ['todo']


def test_jobs_are_found_by_their_keys(conninfo):
    with psycopg.connect(conninfo) as connection:
        assert [state.text for state in look(['a', 'b'], connection).values()] == ['its job is gone'] * 2
