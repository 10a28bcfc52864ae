"""How often Celery's schedulers send what is due."""

from __future__ import annotations

import json
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from celery.beat import PersistentScheduler, Service
from redbeat import RedBeatScheduler

from benchmarks.measure import Row, Size, WrongResult
from benchmarks.redis import application, missing, redis
from benchmarks.scheduler import GROUP, ONCE
from benchmarks.together import together

BEATS = 4
# seconds between the due moments of the entries, and without a message until they are believed to be all
STEP = 0.1
QUIET = 1.0

# the class of the scheduler, and what has to be set for it
SCHEDULERS: dict[str, tuple[type, dict[str, Any]]] = {
    'Celery beat': (PersistentScheduler, {}),
    'RedBeat without lock': (RedBeatScheduler, {'redbeat_lock_key': None}),
    'RedBeat': (RedBeatScheduler, {}),
}
# how often a moment may be sent, at least and at most
EXPECTED = {'Celery beat': (BEATS, BEATS), 'RedBeat without lock': (1, BEATS), 'RedBeat': (1, 1)}


def rows(size: Size) -> Iterator[Row]:
    """Yield the rows; there are none where Redis is not installed."""
    if missing():
        return
    with tempfile.TemporaryDirectory(prefix='redis-') as folder, redis(Path(folder)) as (socket, broker):
        for name in SCHEDULERS:
            sent = _sent(name, folder, socket, broker, entries=min(30, size.counts[0] * size.rounds // 3))
            yield Row(GROUP, 'runs of a due moment', name, ONCE, sent, unit='')
            broker.flushall()


def _beat(number: int, barrier: Any, name: str, folder: str, socket: str, seconds: list[float]) -> None:
    """Do what the command ``celery beat`` does, until killed."""
    scheduler, settings = SCHEDULERS[name]
    app = application(socket, seconds, **settings)
    service = Service(app, scheduler_cls=scheduler, schedule_filename=str(Path(folder, f'{name} {number}')))
    barrier.wait()
    service.start()


def _sent(name: str, folder: str, socket: str, broker: Any, entries: int) -> float:
    """Return how often the beats send an entry that is due once."""
    first = entries * STEP + 2.5
    seconds = [first + STEP * number for number in range(entries)]
    with together(BEATS, _beat, name, folder, socket, seconds) as (_, barrier):
        barrier.wait()
        began = time.monotonic()
        time.sleep(seconds[-1])
        length = -1
        # before any entry is due for the second time
        while time.monotonic() - began < 2 * first - QUIET and length != broker.llen('celery'):
            length = broker.llen('celery')
            time.sleep(QUIET)
        messages = Counter(json.loads(message)['headers']['task'] for message in broker.lrange('celery', 0, -1))
    least, most = EXPECTED[name]
    if len(messages) != entries or not all(least <= sent <= most for sent in messages.values()):
        raise WrongResult(f'{name} did not send each of {entries} entries {least} to {most} times: {dict(messages)}')
    return messages.total() / entries
