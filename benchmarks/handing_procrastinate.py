"""What it costs to hand due tasks over to procrastinate, next to its own ways of writing jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count

import procrastinate
from procrastinate.periodic import PeriodicDeferrer
from procrastinate.types import JSONDict
from sqlalchemy import Engine, create_engine, make_url, text

from benchmarks.databases import database, missing
from benchmarks.handing import handed, handing, linear
from benchmarks.measure import Call, Row, Size
from benchmarks.stored import BEGIN

GROUP = 'Handing tasks over to procrastinate, each'
PERIODIC, BATCH, INSERT = 'its periodic', 'its batch_defer', 'one INSERT of all'
# of the time of its periodic deferrer
MOST = 0.1
BULK = text(
    'INSERT INTO procrastinate_jobs (queue_name, task_name, args) '
    """SELECT 'default', 'bulk', jsonb_build_object('key', number) FROM generate_series(1, :due) AS number"""
)


def rows(size: Size) -> Iterator[Row]:
    """Yield the rows; there are none where PostgreSQL is not installed."""
    if missing():
        return
    each = {}
    with database('postgresql') as url:
        engine = create_engine(url)
        parsed = make_url(url)
        conninfo = f'host={parsed.query["host"]} user={parsed.username} dbname={parsed.database}'
        with procrastinate.App(connector=procrastinate.SyncPsycopgConnector(conninfo=conninfo)).open() as app:
            app.schema_manager.apply_schema()
            for due in size.handed:
                seconds = _seconds(url, conninfo, engine, app, due, size)
                here = each[due] = seconds['here']
                for other in (PERIODIC, BATCH, INSERT):
                    # the claim of a single task is not spread over many
                    most = MOST if other == PERIODIC and due != size.handed[0] else None
                    yield Row(GROUP, f'{due:,} at once', other, here, seconds[other], most_ratio=most)
        engine.dispose()
    yield linear(GROUP, 'all', each)


def _seconds(url: str, conninfo: str, engine: Engine, app: procrastinate.App, due: int, size: Size) -> dict[str, float]:
    def sent() -> int:
        with engine.begin() as connection:
            number = connection.scalar(text('SELECT count(*) FROM procrastinate_jobs'))
            connection.execute(text('TRUNCATE procrastinate_jobs CASCADE'))
        return int(number or 0)

    def by_insert() -> None:
        with engine.begin() as connection:
            connection.execute(BULK, {'due': due})

    batch = app.configure_task('batch', allow_unknown=True)
    jobs: list[JSONDict] = [{'key': number} for number in range(due)]
    with ExitStack() as stack:
        calls: dict[str, Call] = {
            'here': stack.enter_context(handing(url, 'procrastinate', due)),
            PERIODIC: _periodic(stack, conninfo, due),
            BATCH: lambda: batch.batch_defer(*jobs),
            INSERT: by_insert,
        }
        return handed(due, calls, sent, size.slow_rounds)


def _periodic(stack: ExitStack, conninfo: str, due: int) -> Call:
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=conninfo))
    for number in range(due):
        # of other names for each number, because a moment is deferred once
        app.periodic(cron='* * * * *')(app.task(name=f'task {number} of {due}')(_nothing))
    deferrer = PeriodicDeferrer(registry=app.periodic_registry)
    moments = count(int(BEGIN.timestamp()), 60)
    loop = asyncio.new_event_loop()
    stack.callback(loop.close)
    loop.run_until_complete(app.open_async())
    stack.callback(lambda: loop.run_until_complete(app.close_async()))

    def call() -> None:
        moment = next(moments)
        jobs = [(task, moment) for task in app.periodic_registry.periodic_tasks.values()]
        loop.run_until_complete(deferrer.defer_jobs(jobs))

    return call


def _nothing(timestamp: int) -> None: ...
