"""The store: all of ``pcron store check``, the last tick, and what is wrong with tasks."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import tzinfo
from typing import Any

from pyramid_cron.doctor.findings import FAIL, OK, WARN, Finding
from pyramid_cron.monitoring.health import Health, health_of
from pyramid_cron.monitoring.problems import NO_TICK, TICK_FAILED, Problem
from pyramid_cron.reports import AHEAD, FAILED, LOST, MISSED, PAUSED, STUCK, UNREGISTERED, duration
from pyramid_cron.schedules import clock
from pyramid_cron.store.check import Through, check

REMEDIES = {
    NO_TICK: 'no trigger comes: see the request and the crontab lines above',
    TICK_FAILED: 'see "A tick fails" in docs/troubleshooting.rst',
    STUCK: 'find out what it waits for, and restart the server',
    AHEAD: 'see "A minute lies in the future" in docs/troubleshooting.rst',
    LOST: 'its process died; the log of that time has why',
    FAILED: 'the log has its traceback, and "pcron history -v" the end of it',
    MISSED: 'no tick came in time; "pcron run" runs it now',
    UNREGISTERED: 'if it was removed, "pcron forget" deletes its row; if it was renamed, use was=',
    PAUSED: '"pcron resume" ends the pause',
}


def examine_store(registry: Any, through: Through) -> Iterator[Finding]:
    """Yield what is found about the store and the ticks and tasks in it.

    :param through: calls a function with a request of the application.
    """
    store = registry['cron_store']
    for found in check(store, through):
        yield Finding(OK if found.ok else FAIL, found.subject, found.text)
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
    for problem in health.problems:
        status = FAIL if problem.is_fault or problem.kind in health.faults else WARN
        text = str(problem) if problem.task is None else f'{problem.task}: {_shown(problem, zone)}'
        yield Finding(status, 'ticks' if problem.task is None else 'tasks', text, REMEDIES[problem.kind])
    if not any(problem.task for problem in health.problems):
        yield Finding(OK, 'tasks', 'no task is paused, unregistered, stuck or failed')


def _shown(problem: Problem, zone: tzinfo | None) -> str:
    pause = problem.pause
    if pause is None:
        since = '' if problem.since is None else f', {clock.to_zone(problem.since, zone):%a %Y-%m-%d %H:%M}'
        return f'{problem}{since}'
    until = 'until it is resumed'
    if pause.until is not None:
        until = f'until {clock.to_zone(pause.until, zone):%a %Y-%m-%d %H:%M}'
    by = f' by {pause.requested_by}' if pause.requested_by else ''
    return f'paused{by} {until}: {pause.reason}'
