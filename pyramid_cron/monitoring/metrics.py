"""The state of tasks as metrics for Prometheus. ``prometheus_client`` is imported when somebody asks for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from pyramid_cron.reports import OK
from pyramid_cron.store import pauses, queries

PREFIX = 'pyramid_cron'
# over which runs are counted: the history is pruned, so that a counter of it would go backwards
COUNTED = timedelta(days=1)


def expose(connection: Connection, app: str, tasks: Any, now: datetime) -> tuple[str, bytes]:
    """Return the metrics of an application: their content type, and themselves.

    :param tasks: its registered tasks.
    :param now: the instant of the scrape.
    :raises ImportError: without ``prometheus_client``.
    """
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
    from prometheus_client.registry import Collector

    class State(Collector):
        def collect(self) -> Iterator[Any]:
            yield from _families(connection, app, tasks, now)

    registry = CollectorRegistry()
    registry.register(State())
    return CONTENT_TYPE_PLAIN_0_0_4, generate_latest(registry)


def _families(connection: Connection, app: str, tasks: Any, now: datetime) -> Iterator[Any]:
    names = [task.name for task in tasks]
    last_tick = queries.last_tick(connection, app)
    ticks: dict[tuple[str, ...], float] = {} if last_tick is None else {(): last_tick.timestamp()}
    yield _gauge('last_tick_timestamp_seconds', 'The newest minute that had a tick.', (), ticks)
    succeeded = queries.last_successes(connection, app)
    times = {name: succeeded[name].timestamp() for name in names if name in succeeded}
    yield _by_task('task_last_success_timestamp_seconds', 'When the task last succeeded.', times)
    lasts = queries.last_runs(connection, app)
    seconds = {name: lasts[name].seconds for name in names if name in lasts and lasts[name].seconds is not None}
    yield _by_task('task_last_duration_seconds', 'How long the last run of the task took.', seconds)
    outcomes = queries.outcomes(connection, app)
    failed = {name: int(outcomes[name] != OK) for name in names if name in outcomes}
    yield _by_task('task_failed', 'Whether the task failed, was lost or was missed the last time.', failed)
    coming = {name: run for name, run in ((task.name, next(task.runs(now), None)) for task in tasks) if run is not None}
    nexts = {name: run.timestamp() for name, run in coming.items()}
    yield _by_task('task_next_run_timestamp_seconds', 'When the task is due next.', nexts)
    paused = pauses.paused(connection, app, now)
    states = {name: int(name in paused) for name in names}
    yield _by_task('task_paused', 'Whether somebody has paused the task.', states)
    counts = queries.counts(connection, app, now - COUNTED)
    yield _gauge(
        'task_runs_last_day',
        'Runs of the last 24 hours by how they ended.',
        ('task', 'outcome'),
        {labels: count for labels, count in counts.items() if labels[0] in names},
    )


def _by_task(name: str, documentation: str, values: Mapping[str, Any]) -> Any:
    return _gauge(name, documentation, ('task',), {(task,): value for task, value in values.items()})


def _gauge(name: str, documentation: str, labels: tuple[str, ...], values: Mapping[tuple[str, ...], Any]) -> Any:
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(f'{PREFIX}_{name}', documentation, labels=labels)
    for key, value in values.items():
        family.add_metric(key, float(value))
    return family
