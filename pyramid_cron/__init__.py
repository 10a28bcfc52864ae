"""Scheduled tasks for Pyramid applications, triggered by a request a minute."""

from __future__ import annotations

import importlib
import logging
from typing import Any

from pyramid.events import ApplicationCreated
from pyramid.exceptions import ConfigurationError
from pyramid.interfaces import PHASE3_CONFIG
from pyramid.security import NO_PERMISSION_REQUIRED

from pyramid_cron.access.log import RefusalLog
from pyramid_cron.directives import add_cron_task, cron_task
from pyramid_cron.errors import CronError, Skip
from pyramid_cron.memory_claims import MemoryClaims
from pyramid_cron.names import check_former_names
from pyramid_cron.reports import RunReport, TaskReport
from pyramid_cron.schedule_overrides import check_schedules
from pyramid_cron.schedules.fields import ScheduleWarning
from pyramid_cron.schedules.schedule import Schedule
from pyramid_cron.settings import Settings
from pyramid_cron.startup_warnings import (
    warn_of_lacking_includes,
    warn_of_lacking_store,
    warn_of_misspelt,
    warn_of_unknown_local_zone,
)
from pyramid_cron.tasks import Task, Tasks
from pyramid_cron.views import PATH_INFO, CronView

log = logging.getLogger(__name__)

__all__ = [
    'CronError',
    'CronView',
    'RunReport',
    'Schedule',
    'ScheduleWarning',
    'Skip',
    'Task',
    'TaskReport',
    'add_cron_task',
    'cron_task',
    'includeme',
    'perform',
]


def perform(app: Any, key: str) -> TaskReport:
    """Run an enqueued run with a request through the whole application, and return its report.

    The run has no time limit: ``system['time_left']()`` is infinite. With a store, a second delivery of the same run
    does nothing, and its outcome is ``'skipped'``. The outcome of a delivery that is later than ``catch_up`` is
    ``'missed'``.

    :param app: the WSGI application. The Pyramid application with the tasks is found in it, behind filters too.
    :param key: the key of the :class:`.Handover`.
    :raises ValueError: if the key is not one of this application.
    :raises LookupError: if no task of that name is registered any more.
    :raises pyramid_cron.errors.Unavailable: if the store is not available; the message has to be delivered once more.
    :raises RuntimeError: if something in the application answers before the run, such as a tween or a filter.
    :raises pyramid_cron.loading.NotLoaded: if not exactly one registry with tasks is found in ``app``.
    """
    report: TaskReport = _queues('worker').perform(app, key)
    return report


def includeme(config: Any) -> None:
    """Add the directive ``add_cron_task`` and the route ``cron`` with its view.

    :raises pyramid.exceptions.ConfigurationError: for a bad ``cron.*`` setting, see :class:`.Settings`.
    """
    settings = Settings.parse(config.get_settings())
    path, has_store = settings.path, settings.store is not None

    def apply_settings() -> None:
        # parsed once more, because what is included later may add settings
        settings = Settings.parse(config.get_settings())
        if settings.path != path:
            raise ConfigurationError(f"cron.path = {settings.path!r} was set after config.include('pyramid_cron')")
        warn_of_misspelt(config.get_settings())
        warn_of_unknown_local_zone(settings)
        config.registry['cron_settings'] = settings
        if settings.store is not None:
            use_store(config, settings)
            if not has_store:
                log.warning(
                    "cron.store was set after config.include('pyramid_cron'): there are no routes cron_health and "
                    'cron_metrics, and nothing notices that ticks have stopped; set it before'
                )
        else:
            config.registry['cron_claims'].window = settings.window

    def look_over_tasks() -> None:
        # all of them are there now
        try:
            check_former_names({task.name: task.was for task in config.registry['cron_tasks']})
        except ValueError as exc:
            raise ConfigurationError(str(exc)) from exc
        use_queues(config.registry)
        warn_of_lacking_store(config.registry)
        warn_of_lacking_includes(config.registry)

    # an include after a commit is a second one, and must not lose what the first has registered
    config.registry.setdefault('cron_tasks', Tasks())
    config.registry.setdefault('cron_claims', MemoryClaims())
    config.registry.setdefault('cron_store', None)
    config.registry.setdefault('cron_refusals', RefusalLog())
    config.action('cron settings', apply_settings)
    config.add_subscriber(check_schedules, ApplicationCreated)
    config.action('cron tasks', look_over_tasks, order=PHASE3_CONFIG + 1)
    config.add_directive('add_cron_task', add_cron_task)
    config.add_route('cron', path, path_info=PATH_INFO)
    config.add_view(CronView, attr='answer', route_name='cron', permission=NO_PERMISSION_REQUIRED, require_csrf=False)
    if has_store:
        config.include(_with_store('monitoring.views'))
        if settings.watch:
            config.include(_with_store('monitoring.watch'))


def use_store(config: Any, settings: Settings) -> None:
    """Replace the claims of this process by those of the store.

    :raises pyramid.exceptions.ConfigurationError: if what the store needs is not installed.
    """
    _with_store('store.setup').use_store(config.registry, settings)


def use_queues(registry: Any) -> None:
    """Assign engines to the tasks with ``via=``, or to which ``cron.via`` applies.

    :raises pyramid.exceptions.ConfigurationError: if an engine is not installed, or not set up.
    """
    if registry['cron_settings'].via is not None or any(task.via is not None for task in registry['cron_tasks']):
        _queues('engines').assign_engines(registry)


def _queues(module: str) -> Any:
    return importlib.import_module(f'pyramid_cron.queues.{module}')


def _with_store(module: str) -> Any:
    try:
        importlib.import_module('pyramid_cron.store.sqlalchemy_version').require_sqlalchemy()
        return importlib.import_module(f'pyramid_cron.{module}')
    except ImportError as exc:
        raise ConfigurationError(f"cron.store: {exc}; run: pip install 'pyramid_cron[store]'") from exc
