"""Helpers for the tests of applications: runs at any instant, and the runs that would be due."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from pyramid.scripting import prepare

from pyramid_cron.loading import registry_of
from pyramid_cron.orders import Order, run_through
from pyramid_cron.reports import RunReport
from pyramid_cron.schedules.clock import MINUTE, minute_of, to_instant
from pyramid_cron.views import CronView


def tick(target: Any, instant: datetime, names: Iterable[str] | None = None) -> RunReport:
    """Run what is due at ``instant`` and return the report.

    Without ``names``, a task is skipped if it has run for this minute already, or for a later minute that is less than
    three hours after this one. A task in ``names`` runs in any case.

    :param target: a WSGI application or a WebTest ``TestApp``, which gets a request through all of its filters and
        tweens, or a Pyramid registry: its tasks are run with a request that no tween has seen.
    :param instant: the minute to run for, aware.
    :param names: the tasks to run, due or not; ``None`` for those that are due.
    :raises ValueError: if ``instant`` has no time zone.
    :raises LookupError: if there is no task of that name.
    :raises RuntimeError: if something in the application answers before the run.
    :raises pyramid_cron.loading.NotLoaded: if not exactly one registry with tasks is found in ``target``.
    """
    if not isinstance(target, dict):
        app, environ = _application(target), getattr(target, 'extra_environ', None)
        return run_through(app, registry_of(app), _instant(instant), names, environ)
    order = Order(target, _instant(instant), None if names is None else tuple(names))
    with prepare(registry=target) as env:
        return CronView(env['request']).execute(order)


def due_between(target: Any, start: datetime, end: datetime) -> list[tuple[datetime, str]]:
    """Return (instant, task name), in order, for each run from ``start`` to ``end`` if a tick comes in each minute.

    The instants are aware, each in the time zone of its task.

    :param target: an application or a registry, as for :func:`tick`.
    :param start: the first instant, aware.
    :param end: the instant after the last one, aware.
    :raises ValueError: if ``start`` or ``end`` has no time zone.
    :raises pyramid_cron.loading.NotLoaded: if not exactly one registry with tasks is found in ``target``.
    """
    registry = target if isinstance(target, dict) else registry_of(_application(target))
    begin, stop = _instant(start) - MINUTE, _instant(end)
    due = [
        (instant, task.name)
        for task in registry['cron_tasks']
        for instant in itertools.takewhile(lambda instant: instant < stop, task.runs(begin))
    ]
    # stable: tasks of the same minute stay in the order of registration
    return sorted(due, key=lambda run: run[0].astimezone(timezone.utc))


def _application(target: Any) -> Any:
    # middleware has an attribute app, too
    return target.app if hasattr(target, 'extra_environ') else target


def _instant(moment: datetime) -> datetime:
    if moment.tzinfo is None:
        raise ValueError(f'{moment!r} has no time zone: give it one, as in datetime(..., tzinfo=timezone.utc)')
    # within one time zone arithmetic and comparison are those of the wall clock
    return minute_of(to_instant(moment))
