"""Pings to Healthchecks, or a service like it: ``config.include('pyramid_cron.healthchecks')``."""

from __future__ import annotations

from typing import Any

from pyramid.events import ApplicationCreated
from pyramid.exceptions import ConfigurationError
from pyramid.interfaces import PHASE3_CONFIG

from pyramid_cron.events import ITaskFinished, ITaskLost, ITaskStarted, ITickFinished
from pyramid_cron.healthchecks.checks import Checks
from pyramid_cron.healthchecks.pings import Pings
from pyramid_cron.healthchecks.sender import Sender

KEY = 'cron_healthchecks'


def includeme(config: Any) -> None:
    """Send pings about tasks and ticks, as the settings ``cron.healthchecks…`` define them.

    :raises pyramid.exceptions.ConfigurationError: for a bad setting, and if it comes before
        ``config.include('pyramid_cron')``.
    """
    registry = config.registry
    if 'cron_tasks' not in registry:
        raise ConfigurationError("pyramid_cron.healthchecks: call config.include('pyramid_cron') first")
    if KEY in registry:
        # a second include would send each ping twice
        return
    registry[KEY] = None

    def apply_settings() -> None:
        settings = registry['cron_settings']
        try:
            checks = Checks(settings)
        except ValueError as exc:
            raise ConfigurationError(str(exc)) from None
        registry[KEY] = Pings(registry, checks, Sender(settings.healthchecks_timeout))

    config.action('cron healthchecks', apply_settings, order=PHASE3_CONFIG + 1)
    config.add_subscriber(_check_tasks, ApplicationCreated)
    config.add_subscriber(lambda event: _on_task(registry[KEY], event), ITaskStarted)
    config.add_subscriber(lambda event: registry[KEY].lost(event), ITaskLost)
    config.add_subscriber(lambda event: registry[KEY].tick(event), ITickFinished)


def _on_task(pings: Pings, event: Any) -> None:
    # the interface of the end extends that of the start
    (pings.finished if ITaskFinished.providedBy(event) else pings.started)(event)


def _check_tasks(event: Any) -> None:
    # an earlier end of some of the configuration may lack tasks that are added later
    registry = event.app.registry
    try:
        registry[KEY].checks.check_tasks(registry['cron_tasks'])
    except ValueError as exc:
        raise ConfigurationError(str(exc)) from None
