"""The store: all of ``pcron store check``, the last tick, and what is wrong with tasks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo
from typing import Any

from pyramid_cron.doctor.findings import FAIL, OK, WARN, Finding
from pyramid_cron.durations import duration
from pyramid_cron.monitoring.health import Health, health_of
from pyramid_cron.monitoring.problem import NO_TICK, TICK_FAILED, Problem
from pyramid_cron.outcomes import AHEAD, FAILED, LOST, MISSED, OVERDUE, PAUSED, SLOW, STOPPED, STUCK, UNREGISTERED
from pyramid_cron.schedules import clock
from pyramid_cron.store.check import Through, check
from pyramid_cron.task_texts import format_acknowledged, format_pause

REMEDIES = {
    NO_TICK: 'no trigger comes: see the request and the crontab lines above',
    TICK_FAILED: 'see "A tick fails" in docs/troubleshooting.rst',
    STUCK: 'find out what it waits for, and restart the server',
    AHEAD: 'see "A minute lies in the future" in docs/troubleshooting.rst',
    LOST: 'its process died; the log of that time has why',
    FAILED: 'the log has its traceback, and "pcron history -v" the end of it',
    MISSED: '"pcron show" shows why; "pcron run" runs it now',
    OVERDUE: 'see whether the workers of its queue are up, and their logs',
    STOPPED: 'its next run goes on, and "pcron run" runs it now',
    SLOW: 'see how long its runs take by "pcron history"; expect= is what they may',
    UNREGISTERED: 'if it was removed, "pcron forget" deletes its row; if it was renamed, use was=',
    PAUSED: '"pcron resume" ends the pause',
}


def examine_store(registry: Any, through: Through, config_uri: str) -> Iterator[Finding]:
    """Yield what is found about the store and the ticks and tasks in it.

    :param through: calls a function with a request of the application.
    :param config_uri: the configuration file of the application.
    """
    store = registry['cron_store']
    for found in check(store, through, config_uri):
        yield Finding(found.status, found.subject, found.text, ' and '.join(found.lines))
    health = health_of(registry)
    if health.unavailable is not None:
        # the check of the store has found the reason
        yield Finding(WARN, 'ticks', f'the last tick is not known: {health.unavailable}')
        return
    yield from _of_health(health, registry['cron_settings'].timezone)


def _of_health(health: Health, zone: tzinfo | None) -> Iterator[Finding]:
    if not any(problem.task is None for problem in health.problems):
        silence = 0.0 if health.silence is None else health.silence.total_seconds()
        yield Finding(OK, 'ticks', f'the last tick was {duration(silence)} ago')
    if health.pause_of_all is not None:
        text = f'all tasks are paused {format_pause(health.pause_of_all, zone)}'
        yield Finding(WARN, 'tasks', text, '"pcron resume --all" ends the pause')
    is_silent = any(problem.kind == NO_TICK for problem in health.problems)
    for problem in health.problems:
        if problem.is_of_all or (is_silent and problem.never_begun):
            # which each task has
            continue
        status = FAIL if problem.is_fault or problem.kind in health.faults else WARN
        text = str(problem) if problem.task is None else f'{problem.task}: {_shown(problem, zone)}'
        yield Finding(status, 'ticks' if problem.task is None else 'tasks', text, REMEDIES[problem.kind])
    if not any(problem.task and not (is_silent and problem.never_begun) for problem in health.problems):
        yield Finding(OK, 'tasks', 'no task is paused, unregistered, stuck or failed')


def _shown(problem: Problem, zone: tzinfo | None) -> str:
    pause = problem.pause
    if pause is None:
        since = '' if problem.since is None else f', {clock.to_zone(problem.since, zone):%a %Y-%m-%d %H:%M}'
        acknowledged = '' if problem.acknowledged is None else f'; {format_acknowledged(problem.acknowledged, zone)}'
        return f'{problem}{since}{acknowledged}'
    return f'paused {format_pause(pause, zone)}'
