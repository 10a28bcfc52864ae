"""Ticks that hand all due tasks over to an engine, and the worker that takes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing
from datetime import timedelta
from itertools import count
from typing import Any

from sqlalchemy import update

from benchmarks.measure import Call, Row, Seconds, WrongResult, turns
from benchmarks.stored import BEGIN, configured, dispose
from pyramid_cron.store.schema import tasks
from pyramid_cron.testing import tick

# until an enqueued run expires, in seconds
LONG = str(10 * 365 * 86400)
FREE = update(tasks).where(tasks.c.run_id.is_not(None)).values(run_id=None, process=None, handed_over_for=None)
# fewer tasks are measured more often, and more tasks less often
FEW, MANY = 100, 2_000
# the ratio at most of the times that a task takes among the most and among many
LINEAR = 1.25


class HandingTicks:
    """Ticks at which all tasks are handed over, of another minute each time.

    :param registry: of the application.
    """

    def __init__(self, registry: Any) -> None:
        self._registry = registry
        self._minutes = count()

    def __call__(self) -> None:
        """Send the next tick."""
        tick(self._registry, BEGIN + timedelta(minutes=next(self._minutes)))

    def take(self) -> None:
        """Take what was handed over, as a worker does."""
        if self._registry['cron_settings'].store is not None:
            with self._registry['cron_store'].database.engine.begin() as connection:
                connection.execute(FREE)

    def close(self) -> None:
        """Close the connections."""
        dispose(self._registry)


def handing(url: str | None, via: str, due: int, **settings: Any) -> AbstractContextManager[HandingTicks]:
    """Return a context that yields the ticks of an application whose tasks have an engine."""
    config = configured(url, f'{due} via {via}', due=due, not_due=0, catch_up=LONG, via=via, **settings)
    return closing(HandingTicks(config.registry))


def handed(due: int, calls: Mapping[str, Call], sent: Callable[[], int], rounds: int) -> Seconds:
    """Return the median seconds that each call takes for a task.

    :param due: the number of tasks that each call hands over.
    :param sent: counts what was sent, and takes it away.
    """

    def check(name: str, result: object) -> None:
        if sent() != due:
            raise WrongResult(f'{name} did not send one message for each of {due} tasks')
        call = calls[name]
        if isinstance(call, HandingTicks):
            call.take()

    sent()
    for name, call in calls.items():
        # the first tick registers the tasks
        if isinstance(call, HandingTicks):
            check(name, call())
    often = 5 * rounds if due < FEW else (rounds + 1) // 2 if due > MANY else rounds
    seconds, _ = turns(calls, often, check)
    return {name: taken / due for name, taken in seconds.items()}


def linear(group: str, what: str, each: Mapping[int, float]) -> Row:
    """Return the row that compares a task among the most with one among fewer.

    :param each: the seconds of a task by the number of tasks, ascending.
    """
    *_, many, most = each
    return Row(group, f'{what}: each of {most:,}', f'each of {many:,}', each[most], each[many], most_ratio=LINEAR)
