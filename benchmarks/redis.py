"""A Redis of the benchmarks, and Celery applications that use it."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

from celery import Celery
from redis import Redis
from redis.exceptions import ConnectionError as NoConnection

from benchmarks.measure import WrongResult
from benchmarks.together import STALLED

PROGRAM = 'redis-server'
# it ends with whoever holds its input, even if that is killed
UNTIL_INPUT_ENDS = '"$@" & read -r nothing; kill -9 $!; wait'


def missing() -> str | None:
    """Return why there are no rows, if there are none."""
    return None if shutil.which(PROGRAM) else f'Celery beat, RedBeat: not measured, {PROGRAM} is not installed'


@contextmanager
def redis(folder: Path) -> Iterator[tuple[str, Any]]:
    """Start a Redis that keeps nothing and listens on a socket in the folder; yield that, and a client."""
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


def application(socket: str, seconds: list[float], **settings: Any) -> Celery:
    """Return a Celery application with an entry of its schedule for each of these intervals."""
    app = Celery(broker=f'redis+socket://{socket}', set_as_current=False)
    app.conf.update(
        redbeat_redis_url=f'unix://{socket}',
        beat_schedule={
            f'entry {number}': {'task': f'task {number}', 'schedule': timedelta(seconds=every)}
            for number, every in enumerate(seconds)
        },
        **settings,
    )
    return app
