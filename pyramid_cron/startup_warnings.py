"""Warnings when an application starts: of settings, and of tasks that need others."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Mapping
from typing import Any

from pyramid_cron.schedules import clock
from pyramid_cron.settings import PREFIX, TABLE, Settings
from pyramid_cron.tasks import Task

log = logging.getLogger(__name__)

NOT_INCLUDED = "cron.%s does nothing until the application calls config.include('pyramid_cron.%s')"


def warn_of_misspelt(settings: Mapping[str, Any]) -> None:
    """Warn of keys that begin with ``cron.`` and are not in the table."""
    for key in settings:
        name = str(key).removeprefix(PREFIX)
        if str(key).startswith(PREFIX) and name not in TABLE:
            # seldom needed, and slow to import
            import difflib

            near = difflib.get_close_matches(name.lower().replace('-', '_'), TABLE, n=1, cutoff=0.8)
            hint = f'is {PREFIX}{near[0]} meant?' if near else f'there are {", ".join(PREFIX + name for name in TABLE)}'
            warnings.warn(f'{key} is not a setting of pyramid_cron; {hint}', UserWarning, stacklevel=2)


def warn_of_unknown_local_zone(settings: Settings) -> None:
    """Log that ``TZ`` names no time zone, if schedules follow the machine's local time."""
    value = clock.unknown_local_zone(os.environ) if settings.timezone is None else None
    if value is not None:
        log.warning(
            'TZ=%r names no time zone, and the machine takes it for UTC: correct it, or set cron.timezone', value
        )


def warn_of_lacking_includes(registry: Any) -> None:
    """Log which settings do nothing because the part that they are for is not included."""
    settings = registry['cron_settings']
    if (settings.healthchecks or settings.healthchecks_tasks) and 'cron_healthchecks' not in registry:
        log.warning(NOT_INCLUDED, 'healthchecks', 'healthchecks')
    if settings.sentry_monitors and 'cron_sentry' not in registry:
        log.warning(NOT_INCLUDED, 'sentry_monitors', 'sentry')


def warn_of_lacking_store(registry: Any) -> None:
    """Log which tasks have options that do nothing without a store, if there is none or they are left out of it."""
    tasks = registry['cron_tasks']
    outside = [task.name for task in tasks if not task.store and (_needs_store(task) or task.was)]
    if outside:
        log.warning(
            'retries=, missed= and catch_up= do nothing with store=False, and was= takes over no row: leave them out, '
            'or leave out store=False; tasks: %s',
            ', '.join(outside),
        )
    if registry['cron_settings'].store is None:
        names = [task.name for task in tasks if task.store and _needs_store(task)]
        if names:
            log.warning(
                'retries=, missed= and catch_up= do nothing until cron.store is set; tasks: %s', ', '.join(names)
            )


def _needs_store(task: Task) -> bool:
    # an engine needs catch_up without a store as well
    return bool(task.retries or task.runs_each_minute or (task.catch_up and task.engine is None))
