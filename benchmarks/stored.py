"""Applications with a store, and their ticks for one minute after another."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from datetime import datetime, timedelta, timezone
from functools import partial
from itertools import count
from typing import Any

from pyramid.config import Configurator

from benchmarks.application import not_now
from benchmarks.measure import WrongResult
from pyramid_cron.testing import tick

# in the past, because a store believes no minute of the future
BEGIN = datetime(2026, 1, 1, tzinfo=timezone.utc)


def configured(
    url: str | None,
    app: str = 'benchmarks',
    *,
    due: int = 0,
    not_due: int = 1,
    task: Callable[[str, Any], object] = lambda name, system: None,
    setup: Callable[[Any], None] = lambda config: None,
    **more: Any,
) -> Any:
    """Return the configurator of an application.

    :param url: of the store, ``None`` for an application without one.
    :param app: its name in the store.
    :param due: the number of tasks that are due each minute.
    :param not_due: the number of tasks that are never due.
    :param task: is called with the name of the task and with ``system``, if any is due.
    :param setup: is called with the configurator before the tasks are added.
    :param more: more settings, without their prefix.
    """
    settings = {} if url is None else {'cron.store': url}
    settings |= {f'cron.{name}': value for name, value in {'app': app, 'timezone': 'UTC', **more}.items()}
    # introspection doubles the time that 100,000 tasks take
    with Configurator(settings=settings, introspection=False) as config:
        setup(config)
        config.include('pyramid_cron')
        for number in range(due):
            config.add_cron_task(partial(task, str(number)), name=str(number), min='*')
        for number in range(not_due):
            config.add_cron_task(_nothing, name=f'not due {number}', **not_now())
    return config


def _nothing(system: Any) -> None: ...


def dispose(registry: Any) -> None:
    """Close the connections of an application's store, if it has one."""
    if registry['cron_settings'].store is not None:
        registry['cron_store'].database.engine.dispose()


class Ticks:
    """Ticks for one minute after another.

    :param target: a registry, or an application in a WebTest ``TestApp``.
    :param due: the number of tasks that have to run in each.
    :param close: closes the connections of the application until its next tick.
    """

    def __init__(self, target: Any, due: int, close: Callable[[], None]) -> None:
        self._target = target
        self._due = due
        self._minutes = count()
        self.close = close

    def __call__(self) -> None:
        """Send the next tick."""
        minute = next(self._minutes)
        report = tick(self._target, BEGIN + timedelta(minutes=minute))
        if len(report.names('ok')) != self._due:
            raise WrongResult(f'{self._due} tasks were due in minute {minute}: {report}')


def ticks(url: str | None, app: str, due: int, **more: Any) -> AbstractContextManager[Ticks]:
    """Return a context with the ticks of an application as of :func:`configured`, which closes its connections."""
    registry = configured(url, app, due=due, **more).registry
    return closing(Ticks(registry, due, partial(dispose, registry)))
