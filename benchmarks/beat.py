"""How often Celery's schedulers send what is due."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from celery import Celery
from celery.beat import PersistentScheduler, Service
from redbeat import RedBeatScheduler
from redis import Redis
from redis.exceptions import ConnectionError as NoConnection

from benchmarks.measure import Row, Size, WrongResult
from benchmarks.store import ONCE, PEERS
from benchmarks.together import STALLED, together

PROGRAM = 'redis-server'
# it ends with whoever holds its input, even if that is killed
UNTIL_INPUT_ENDS = '"$@" & read -r nothing; kill -9 $!; wait'
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


def missing() -> str | None:
    """Return why there are no rows, if there are none."""
    return None if shutil.which(PROGRAM) else f'Celery beat, RedBeat: not measured, {PROGRAM} is not installed'


def rows(size: Size) -> Iterator[Row]:
    """Yield the rows; there are none where Redis is not installed."""
    if missing():
        return
    with tempfile.TemporaryDirectory(prefix='redis-') as folder, redis(Path(folder)) as (socket, broker):
        for name in SCHEDULERS:
            sent = _sent(name, folder, socket, broker, entries=min(30, size.counts[0] * size.rounds // 3))
            yield Row(PEERS, 'runs of a due moment', name, ONCE, sent, unit='')
            broker.flushall()


@contextmanager
def redis(folder: Path) -> Iterator[tuple[str, Any]]:
    """Start a Redis that keeps nothing and listens on a socket in the folder; give that, and a client."""
    socket = str(folder / 'socket')
    options = ['--port', '0', '--unixsocket', socket, '--dir', str(folder), '--save', '', '--appendonly', 'no']
    command = ['sh', '-c', UNTIL_INPUT_ENDS, 'sh', PROGRAM, *options]
    with (
        # a session of its own, because the shell must not end by Ctrl-C before it has ended the server
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True),
        Redis(unix_socket_path=socket, socket_timeout=STALLED) as client,
    ):
        _wait_for(client)
        yield socket, client


def _wait_for(client: Any) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            client.ping()
            return
        except NoConnection:
            if time.monotonic() > deadline:
                raise WrongResult(f'{PROGRAM} does not answer') from None
            time.sleep(0.05)


def application(name: str, socket: str, seconds: list[float]) -> Celery:
    """Return a Celery application with an entry for each of these intervals."""
    app = Celery(broker=f'redis+socket://{socket}', set_as_current=False)
    app.conf.update(
        redbeat_redis_url=f'unix://{socket}',
        beat_schedule={
            f'entry {number}': {'task': f'task {number}', 'schedule': timedelta(seconds=every)}
            for number, every in enumerate(seconds)
        },
        **SCHEDULERS[name][1],
    )
    return app


def _beat(number: int, barrier: Any, name: str, folder: str, socket: str, seconds: list[float]) -> None:
    """Do what the command ``celery beat`` does, until killed."""
    app = application(name, socket, seconds)
    schedule = str(Path(folder, f'{name} {number}'))
    service = Service(app, scheduler_cls=SCHEDULERS[name][0], schedule_filename=schedule)
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
