"""Processes that do something together, and end with the benchmarks whatever becomes of them."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.context import SpawnProcess
from threading import BrokenBarrierError
from typing import Any

from benchmarks.measure import WrongResult

# seconds that processes wait for one another
STALLED = 60

SPAWN = multiprocessing.get_context('spawn')


@contextmanager
def together(count: int, target: Callable[..., None], *arguments: Any) -> Iterator[tuple[list[SpawnProcess], Any]]:
    """Start processes, give them and the barrier that they share with the caller, and kill them at the end.

    :param target: is called in each with its number, that barrier, and the arguments.
    """
    barrier = SPAWN.Barrier(count + 1, timeout=STALLED)
    started = [
        SPAWN.Process(target=_run, args=(target, number, barrier, *arguments), daemon=True) for number in range(count)
    ]
    try:
        for process in started:
            process.start()
        yield started, barrier
    except BrokenBarrierError:
        raise WrongResult(f'one of {count} processes failed, or was not there within {STALLED} seconds') from None
    finally:
        for process in started:
            if process.pid is not None:
                process.kill()
                process.join()


def finish(processes: list[SpawnProcess]) -> None:
    """Wait until all have ended by themselves."""
    for process in processes:
        process.join(STALLED)
        if process.exitcode != 0:
            raise WrongResult(f'one of {len(processes)} processes did not end as it should: {process.exitcode}')


def _run(target: Callable[..., None], number: int, barrier: Any, *arguments: Any) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        target(number, barrier, *arguments)
    except BrokenBarrierError:
        raise SystemExit(1) from None
    except BaseException:
        # so that nobody waits for this one
        barrier.abort()
        raise


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    # returns when it has ended, even if it was killed and could not end this one
    parent.join()
    os._exit(1)
