"""What it costs to hand a due task over to an engine, next to the periodic scheduler that the engine has itself."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import procrastinate
from celery.beat import PersistentScheduler
from procrastinate.periodic import PeriodicDeferrer
from redbeat import RedBeatScheduler
from sqlalchemy import Connection, make_url, text, update

from benchmarks import beat, store
from benchmarks.measure import Row, Size, WrongResult
from benchmarks.store import BEGIN, TASKS, configured
from pyramid_cron.store.schema import tasks
from pyramid_cron.testing import tick
from tests.support.databases import DATABASES

GROUP = 'Handing over a due task'
LONG = str(10 * 365 * 86400)
# calls in each round
CALLS = 10

Call = Callable[[], object]


def rows(size: Size) -> Iterator[Row]:
    """Yield the rows; there are none where Redis or PostgreSQL is not installed."""
    if beat.missing() or store.missing():
        return
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix='handing-'))
        url = stack.enter_context(DATABASES['postgresql'](Path(folder)))
        socket, broker = stack.enter_context(beat.redis(Path(folder)))
        yield from _of_celery(url, folder, socket, broker, size)
        yield from _of_procrastinate(url, size)


def _of_celery(url: str, folder: str, socket: str, broker: Any, size: Size) -> Iterator[Row]:
    apps = {name: beat.application(name, socket, [3600.0] * TASKS) for name in ('Celery beat', 'RedBeat')}
    scheduler = PersistentScheduler(apps['Celery beat'], schedule_filename=str(Path(folder, 'messages')))
    redbeat = RedBeatScheduler(apps['RedBeat'])
    entries = [redbeat.Entry.from_key(f'redbeat:entry {number}', app=apps['RedBeat']) for number in range(TASKS)]

    def by_beat() -> None:
        for number in range(TASKS):
            entry = scheduler.schedule[f'entry {number}']
            scheduler.reserve(entry)
            scheduler.apply_entry(entry, producer=scheduler.producer)

    def by_redbeat() -> None:
        for entry in entries:
            # this one writes to Redis that it ran
            redbeat.apply_async(entry, producer=redbeat.producer)

    def sent() -> int:
        number: int = broker.llen('celery')
        broker.delete('celery')
        return number

    handed = {
        'via celery, no store': _handing(None, 'celery', celery=apps['Celery beat']),
        'via celery, PostgreSQL': _handing(url, 'celery', celery=apps['Celery beat']),
    }
    calls: dict[str, Call] = {**{name: call for name, (call, _) in handed.items()}, 'Celery beat': by_beat}
    seconds = _medians({**calls, 'RedBeat': by_redbeat}, sent, size)
    scheduler.close()
    redbeat.close()
    for name, (_, end) in handed.items():
        end()
        for other in apps:
            yield Row(GROUP, name, other, seconds[name], seconds[other])


def _of_procrastinate(url: str, size: Size) -> Iterator[Row]:
    parsed = make_url(url)
    conninfo = f'host={parsed.query["host"]} user={parsed.username} dbname={parsed.database}'
    with procrastinate.App(connector=procrastinate.SyncPsycopgConnector(conninfo=conninfo)).open() as made:
        made.schema_manager.apply_schema()
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=conninfo))
    for number in range(TASKS):
        app.periodic(cron='* * * * *')(app.task(name=f'task {number}')(_nothing))
    deferrer = PeriodicDeferrer(registry=app.periodic_registry)
    call, end = _handing(url, 'procrastinate')
    moments = count(int(BEGIN.timestamp()), 60)
    connect = call.registry['cron_store'].database.engine.begin

    loop = asyncio.new_event_loop()

    def by_periodic() -> None:
        moment = next(moments)
        due = [(task, moment) for task in app.periodic_registry.periodic_tasks.values()]
        loop.run_until_complete(deferrer.defer_jobs(due))

    def sent() -> int:
        with connect() as connection:
            number = connection.scalar(text('SELECT count(*) FROM procrastinate_jobs'))
            connection.execute(text('TRUNCATE procrastinate_jobs CASCADE'))
        return int(number or 0)

    loop.run_until_complete(_opened(app))
    seconds = _medians({'via procrastinate': call, 'its periodic': by_periodic}, sent, size)
    loop.run_until_complete(app.close_async())
    loop.close()
    end()
    yield Row(GROUP, 'via procrastinate', 'its periodic', seconds['via procrastinate'], seconds['its periodic'])


def _nothing(timestamp: int) -> None: ...


async def _opened(app: procrastinate.App) -> None:
    await app.open_async()


class _Tick:
    """A tick at which all tasks are handed over, of another minute each time."""

    def __init__(self, registry: Any) -> None:
        self.registry = registry
        self._minutes = count()

    def __call__(self) -> None:
        tick(self.registry, BEGIN + timedelta(minutes=next(self._minutes)))

    def take(self) -> None:
        """Take what was handed over, as a worker does."""
        if self.registry['cron_settings'].store is not None:
            with self.registry['cron_store'].database.engine.begin() as connection:
                _take_all(connection)


def _take_all(connection: Connection) -> None:
    connection.execute(update(tasks).values(run_id=None, process=None, handed_over_for=None))


def _handing(url: str | None, via: str, **settings: Any) -> tuple[_Tick, Call]:
    """Return a tick that hands over, and what ends its connections."""
    config = configured(url, app=f'via {via}', catch_up=LONG, via=via, **settings)
    registry = config.registry
    if url is None:
        return _Tick(registry), lambda: None
    return _Tick(registry), registry['cron_store'].database.engine.dispose


def _medians(calls: dict[str, Call], sent: Callable[[], int], size: Size) -> dict[str, float]:
    """Return the median seconds that each call takes for a task; they have their turns one after another.

    :param sent: counts what was sent, and takes it away.
    """
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    sent()
    for _ in range(CALLS * size.rounds):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            seconds[name].append((time.perf_counter() - began) / TASKS)
            if sent() != TASKS:
                raise WrongResult(f'{name} did not send one message for each of {TASKS} tasks')
            if isinstance(call, _Tick):
                call.take()
    return {name: statistics.median(values) for name, values in seconds.items()}
