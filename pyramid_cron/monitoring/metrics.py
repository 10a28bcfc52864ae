"""Metrics of an application's tasks for Prometheus. ``prometheus_client`` is imported with the first scrape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from pyramid_cron.monitoring.problem import NO_TICK, OF_TICKS, TICK_FAILED, WORDS
from pyramid_cron.monitoring.problems import find_problems
from pyramid_cron.outcomes import SKIPPED
from pyramid_cron.tasks import Tasks

if TYPE_CHECKING:
    from pyramid_cron.store.snapshot import Snapshot
    from pyramid_cron.store.task_state import TaskState

PREFIX = 'pyramid_cron'


def expose(snapshot: Snapshot, tasks: Tasks, window: float, now: datetime) -> tuple[str, bytes]:
    """Return the metrics of an application: their content type, and their text.

    :param tasks: its registered tasks; of others and of those with ``store=False``, the last success and the problems
        of their rows are exposed.
    :param window: the setting ``cron.window``, the seconds after which a run is stuck.
    :param now: the instant of the scrape.
    :raises ImportError: without ``prometheus_client``.
    """
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
    from prometheus_client.registry import Collector

    class State(Collector):
        def collect(self) -> Iterator[Any]:
            yield from _of_ticks(snapshot, tasks, window)
            yield from _of_schedules(tasks, now)
            yield _of_successes(snapshot.states.values())
            states = [state for state in map(snapshot.state_of, tasks) if state is not None]
            yield from _of_states(states)
            yield _of_runs_in_progress(states, snapshot.now)

    registry = CollectorRegistry()
    registry.register(State())
    return CONTENT_TYPE_PLAIN_0_0_4, generate_latest(registry)


def _of_ticks(snapshot: Snapshot, tasks: Tasks, window: float) -> Iterator[Any]:
    ticks = {} if snapshot.last_tick is None else {(): snapshot.last_tick.timestamp()}
    yield _gauge('last_tick_timestamp_seconds', 'The newest minute that had a tick.', (), ticks)
    found = {(problem.task, problem.word) for problem in find_problems(snapshot, tasks, window)}
    of_ticks = {kind: {(): int((None, kind) in found)} for kind in OF_TICKS}
    yield _gauge('no_tick', 'Whether ticks do not come.', (), of_ticks[NO_TICK])
    yield _gauge('tick_failed', 'Whether the last tick could not do its work.', (), of_ticks[TICK_FAILED])
    names = dict.fromkeys([*(task.name for task in tasks), *snapshot.states])
    problems = {(name, word): int((name, word) in found) for name in names for word in WORDS}
    labels = 'task', 'problem'
    yield _gauge('task_problem', 'Whether the task has the problem: the same as health shows.', labels, problems)


def _of_schedules(tasks: Tasks, now: datetime) -> Iterator[Any]:
    nexts = {task.name: next(task.runs(now), None) for task in tasks}
    values = {name: run.timestamp() for name, run in nexts.items() if run is not None}
    yield _by_task('next_run_timestamp_seconds', 'When the task is due next.', values)


def _of_successes(states: Iterable[TaskState]) -> Any:
    succeeded = {state.task: state.last_success_at.timestamp() for state in states if state.last_success_at}
    return _by_task('last_success_timestamp_seconds', 'When a run of the task last succeeded.', succeeded)


def _of_states(states: list[TaskState]) -> Iterator[Any]:
    seconds = {state.task: state.last_seconds for state in states if state.last_seconds is not None}
    yield _by_task('last_duration_seconds', 'How long the last run of the task took.', seconds)
    failures = {state.task: state.bad_runs for state in states}
    described = 'How many runs of the task have failed, were lost or missed in a row. The attempts of a run count once.'
    yield _by_task('failures_in_a_row', described, failures)
    skipped = {state.task: int(state.last_outcome == SKIPPED) for state in states}
    yield _by_task('skipped', 'Whether the task found nothing to do in its last run, and skipped it.', skipped)


def _of_runs_in_progress(states: list[TaskState], now: datetime) -> Any:
    running = {state.task: state.running_seconds(now.timestamp()) for state in states}
    values = {task: seconds for task, seconds in running.items() if seconds is not None}
    return _by_task('running_seconds', 'How long the run in progress has been running.', values)


def _by_task(name: str, documentation: str, values: Mapping[str, Any]) -> Any:
    return _gauge(f'task_{name}', documentation, ('task',), {(task,): value for task, value in values.items()})


def _gauge(name: str, documentation: str, labels: tuple[str, ...], values: Mapping[Any, float]) -> Any:
    from prometheus_client.core import GaugeMetricFamily

    family = GaugeMetricFamily(f'{PREFIX}_{name}', documentation, labels=labels)
    for key, value in values.items():
        family.add_metric(key, float(value))
    return family
