"""What a store costs, and how often a minute runs when several processes ask for it."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

from apscheduler.jobstores.sqlalchemy import SQLAlchemyJobStore
from apscheduler.schedulers.background import BackgroundScheduler
from pyramid.config import Configurator

from benchmarks.application import PATHS, caller, not_now
from benchmarks.measure import Row, Size, WrongResult, medians
from benchmarks.together import finish, together
from pyramid_cron.testing import tick
from tests.support.databases import DATABASES
from tests.support.postgresql import find_postgresql

GROUP = 'A store'
PEERS = 'How often a due moment runs on four processes'
# _several counts it, and ends the benchmarks if it is anything else
ONCE = 1.0
SHOWN = {'sqlite': 'SQLite', 'postgresql': 'PostgreSQL'}
TASKS = 5
# some minutes ago, because a store believes no minute of the future
BEGIN = datetime(2026, 1, 1, tzinfo=timezone.utc)
SECONDS_OF_PEER = 6


def missing() -> str | None:
    """Return why there are no rows of a database, if there are none."""
    return None if find_postgresql() else 'PostgreSQL: not measured, it is not installed'


def rows(size: Size) -> Iterator[Row]:
    """Yield the rows; a database that is not installed has none."""
    for name, shown in SHOWN.items():
        if name == 'postgresql' and missing():
            continue
        with tempfile.TemporaryDirectory() as folder, DATABASES[name](Path(folder)) as url:
            yield from _nothing_due(shown, url, size)
            yield from _a_run(shown, url, size)
            for processes in (4, 8):
                yield from _several(shown, url, processes, size)
    yield _peer()


def configured(
    url: str | None, app: str = 'benchmarks', task: Any = lambda *given: None, due: int = TASKS, **more: Any
) -> Any:
    """Return the configurator of an application with tasks that are due each minute, and one that is not.

    :param task: is called with the name of the task and with ``system``, if any is due.
    :param more: more settings, without their prefix.
    """
    settings = {} if url is None else {'cron.store': url}
    settings |= {f'cron.{name}': value for name, value in {'app': app, **more}.items()}
    with Configurator(settings={**settings, 'cron.timezone': 'UTC'}) as config:
        config.include('pyramid_cron')
        for number in range(due):
            config.add_cron_task(partial(task, str(number)) if due else task, name=str(number), min='*')
        config.add_cron_task(_nothing, name='not due', **not_now())
    return config


def _nothing(system: Any) -> None: ...


def _with_name(name: str, system: Any) -> None: ...


def _dispose(registry: Any) -> None:
    registry['cron_store'].database.engine.dispose()


def _nothing_due(shown: str, url: str, size: Size) -> Iterator[Row]:
    configs = {'store': configured(url, due=0), 'none': configured(None, due=0)}
    functions = {name: caller(config.make_wsgi_app(), PATHS['tick']) for name, config in configs.items()}
    if {function() for function in functions.values()} != {b'ok'}:
        raise WrongResult('a tick with nothing due did not answer ok')
    seconds = medians(functions, size.rounds)
    _dispose(configs['store'].registry)
    yield Row(GROUP, f'nothing due, {shown}', 'no store', seconds['store'], seconds['none'])
    added = seconds['store'] - seconds['none']
    most = 1e-3 if shown == 'SQLite' else None
    yield Row(GROUP, f'what {shown} adds to it', 'no store', added, seconds['none'], most=most)


def _a_run(shown: str, url: str, size: Size) -> Iterator[Row]:
    urls = {'store': url, 'none': None}
    registries = {name: configured(urls[name], app='a run', task=_with_name).registry for name in urls}
    seconds: dict[str, list[float]] = {name: [] for name in registries}
    for number in range(size.rounds):
        for name, registry in registries.items():
            began = time.perf_counter()
            report = tick(registry, BEGIN + timedelta(minutes=number))
            seconds[name].append((time.perf_counter() - began) / TASKS)
            if len(report.names('ok')) != TASKS:
                raise WrongResult(f'not every task ran with {name}: {report}')
    _dispose(registries['store'])
    stored, free = (statistics.median(seconds[name]) for name in ('store', 'none'))
    yield Row(GROUP, f'claim, run, end: {shown}', 'no store', stored, free)


def _append(file: str, name: str, system: Any) -> None:
    with open(file, 'a', encoding='utf-8') as effects:
        effects.write(f'{name} {system["scheduled_for"]:%Y-%m-%dT%H:%M}\n')


def _walk(number: int, barrier: Any, url: str, app: str, file: str, minutes: int) -> None:
    """Tick minute by minute, each when all the others have come to it."""
    registry = configured(url, app=app, task=partial(_append, file)).registry
    for minute in range(minutes):
        barrier.wait()
        tick(registry, BEGIN + timedelta(minutes=minute))
    _dispose(registry)


def _several(shown: str, url: str, processes: int, size: Size) -> Iterator[Row]:
    minutes = 10 * max(size.counts[0], size.counts[1] // 10)
    with tempfile.NamedTemporaryFile('r') as effects:
        arguments = (url, f'{processes} processes', effects.name, minutes)
        with together(processes, _walk, *arguments) as (started, barrier):
            barrier.wait()
            began = time.perf_counter()
            for _ in range(minutes - 1):
                barrier.wait()
            finish(started)
        seconds = time.perf_counter() - began
        runs = Counter(effects.read().split('\n')[:-1])
    expected = minutes * TASKS
    if sum(runs.values()) != expected or len(runs) != expected:
        raise WrongResult(
            f'{processes} processes, {shown}: {expected} runs were due, '
            f'{expected - len(runs)} were lost and {sum(runs.values()) - len(runs)} were duplicates'
        )
    yield Row(GROUP, f'{processes} processes, {shown}', 'a minute', seconds / minutes, 60.0)


def _scheduler(url: str) -> Any:
    scheduler = BackgroundScheduler(jobstores={'default': SQLAlchemyJobStore(url)}, timezone=timezone.utc)
    scheduler.start(paused=True)
    return scheduler


def _add_jobs(url: str, file: str) -> None:
    """Make the job store before several share it, which cannot all do so at once."""
    scheduler = _scheduler(url)
    for job in range(TASKS):
        scheduler.add_job(_record, 'interval', [file, str(job)], seconds=1, id=str(job), start_date=BEGIN)
    scheduler.shutdown()


def _schedule(number: int, barrier: Any, url: str) -> None:
    scheduler = _scheduler(url)
    barrier.wait()
    scheduler.resume()
    time.sleep(SECONDS_OF_PEER)
    scheduler.shutdown()


def _record(file: str, name: str) -> None:
    with open(file, 'a', encoding='utf-8') as effects:
        effects.write(f'{name} {time.time():.0f}\n')


def _peer() -> Row:
    """Return how often APScheduler runs a job that is due once, in four processes that share a job store."""
    with tempfile.TemporaryDirectory() as folder:
        effects = Path(folder, 'effects')
        effects.touch()
        url = f'sqlite:///{folder}/jobs.sqlite?timeout=30'
        _add_jobs(url, str(effects))
        with together(4, _schedule, url) as (started, barrier):
            barrier.wait()
            finish(started)
        runs = effects.read_text(encoding='utf-8').split('\n')[:-1]
    if not runs:
        raise WrongResult('APScheduler ran nothing')
    return Row(PEERS, 'runs of a due moment', 'APScheduler job store', ONCE, len(runs) / len(set(runs)), unit='')
