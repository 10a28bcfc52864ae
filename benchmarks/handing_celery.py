"""What it costs to hand due tasks over to Celery, next to Celery's own schedulers."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from celery.beat import PersistentScheduler
from redbeat import RedBeatScheduler

from benchmarks import databases
from benchmarks.handing import handed, handing, linear
from benchmarks.measure import Call, Row, Size
from benchmarks.redis import application, missing, redis

GROUP = 'Handing tasks over to Celery, each'
HOUR = 3600.0
MOST = 1.2


def rows(size: Size) -> Iterator[Row]:
    """Yield the rows; there are none where Redis or PostgreSQL is not installed."""
    if missing() or databases.missing():
        return
    each = {}
    with (
        tempfile.TemporaryDirectory(prefix='celery-') as folder,
        databases.database('postgresql') as url,
        redis(Path(folder)) as (socket, broker),
    ):
        for due in size.handed:
            seconds = _seconds(url, Path(folder), socket, broker, due, size)
            few = due == size.handed[0]
            for store in ('no store', 'PostgreSQL'):
                for other in ('Celery beat', 'RedBeat'):
                    # the claim of a single task is not spread over many
                    most = None if (few and store == 'PostgreSQL') or other == 'RedBeat' else MOST
                    here = seconds[store]
                    yield Row(GROUP, f'{due:,} at once, {store}', other, here, seconds[other], most_ratio=most)
            each[due] = seconds['PostgreSQL']
    yield linear(GROUP, 'PostgreSQL', each)


def _seconds(url: str, folder: Path, socket: str, broker: Any, due: int, size: Size) -> dict[str, float]:
    def sent() -> int:
        number: int = broker.llen('celery')
        broker.delete('celery')
        return number

    app = application(socket, [HOUR] * due)
    with ExitStack() as stack:
        calls: dict[str, Call] = {
            'no store': stack.enter_context(handing(None, 'celery', due, celery=app)),
            'PostgreSQL': stack.enter_context(handing(url, 'celery', due, celery=app)),
            'Celery beat': _beat(stack, folder, socket, due),
            'RedBeat': _redbeat(stack, socket, due),
        }
        seconds = handed(due, calls, sent, size.slow_rounds)
    broker.flushall()
    return seconds


def _beat(stack: ExitStack, folder: Path, socket: str, due: int) -> Call:
    scheduler = PersistentScheduler(application(socket, [HOUR] * due), schedule_filename=str(folder / f'beat {due}'))
    stack.callback(scheduler.close)

    def call() -> None:
        for number in range(due):
            entry = scheduler.schedule[f'entry {number}']
            scheduler.reserve(entry)
            scheduler.apply_entry(entry, producer=scheduler.producer)

    return call


def _redbeat(stack: ExitStack, socket: str, due: int) -> Call:
    app = application(socket, [HOUR] * due)
    scheduler = RedBeatScheduler(app)
    stack.callback(scheduler.close)
    entries = [scheduler.Entry.from_key(f'redbeat:entry {number}', app=app) for number in range(due)]

    def call() -> None:
        for entry in entries:
            # this one writes to Redis that it ran
            scheduler.apply_async(entry, producer=scheduler.producer)

    return call
