"""Check-ins and events for Sentry: ``config.include('pyramid_cron.sentry')``."""

from __future__ import annotations

import importlib
import logging
from typing import Any

from pyramid.events import ApplicationCreated
from pyramid.exceptions import ConfigurationError
from pyramid.interfaces import PHASE3_CONFIG

from pyramid_cron.events import IRunStarted, ITaskFinished, ITaskLost, ITaskStarted
from pyramid_cron.sentry.monitors import Monitors

log = logging.getLogger(__name__)

KEY = 'cron_sentry'


def includeme(config: Any) -> None:
    """Send check-ins for each run, and an event for each failure that is an alarm.

    :raises pyramid.exceptions.ConfigurationError: if sentry_sdk is not installed or too old, for a bad setting, and
        before ``config.include('pyramid_cron')``.
    """
    registry = config.registry
    if 'cron_tasks' not in registry:
        raise ConfigurationError("pyramid_cron.sentry: call config.include('pyramid_cron') first")
    try:
        check_ins = importlib.import_module('pyramid_cron.sentry.check_ins')
    except ImportError as exc:
        raise ConfigurationError(f"pyramid_cron.sentry: {exc}; run: pip install 'pyramid_cron[sentry]'") from exc
    if KEY in registry:
        # a second include would send each check-in twice
        return
    registry[KEY] = None

    def apply_settings() -> None:
        try:
            monitors = Monitors(registry['cron_settings'])
        except ValueError as exc:
            raise ConfigurationError(str(exc)) from None
        registry[KEY] = check_ins.CheckIns(registry, monitors)

    config.action('cron sentry', apply_settings, order=PHASE3_CONFIG + 1)
    config.add_subscriber(_check_tasks, ApplicationCreated)
    config.add_subscriber(lambda event: registry[KEY].run_started(event), IRunStarted)
    config.add_subscriber(lambda event: _on_task(registry[KEY], event), ITaskStarted)
    config.add_subscriber(lambda event: registry[KEY].lost(event), ITaskLost)


def _on_task(check_ins: Any, event: Any) -> None:
    # the interface of the end extends that of the start
    (check_ins.finished if ITaskFinished.providedBy(event) else check_ins.started)(event)


def _check_tasks(event: Any) -> None:
    # an earlier end of some of the configuration may lack tasks that are added later
    registry = event.app.registry
    monitors = registry[KEY].monitors
    try:
        monitors.check_tasks(registry['cron_tasks'])
    except ValueError as exc:
        raise ConfigurationError(str(exc)) from None
    for level, note in monitors.notes(registry['cron_tasks']):
        log.log(level, '%s', note)
