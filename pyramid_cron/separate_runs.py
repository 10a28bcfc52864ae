"""Runs by hand of tasks without an engine, each in a process of its own, so that no request waits for them."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyramid_cron.config_uri import Configuration, configuration
from pyramid_cron.queue_engine import Engine
from pyramid_cron.separate_processes import start_run
from pyramid_cron.settings import app_name
from pyramid_cron.tasks import Task

# the engine in logs and records
NAME = 'process'


@dataclass
class SeparateRun:
    """An engine for one run, which starts a process of its own for it.

    :param configuration: the configuration file that the process loads.
    :param pid: the id of the process, once it is started.
    """

    configuration: Configuration
    pid: int | None = field(default=None, init=False)

    def __call__(self, handover: Any) -> None:
        """Start the process that executes a run."""
        self.pid = start_run(self.configuration.uri, handover.key, self.configuration.variables)

    def engine(self, registry: Any) -> Engine:
        """Return it as the engine of a run."""
        settings = registry['cron_settings']
        # only an application with a store needs what is in there
        made: Engine = importlib.import_module('pyramid_cron.queues.handover').EngineAdapter(
            self,
            name=NAME,
            app=app_name(settings, registry),
            catch_up=settings.catch_up,
            config_uri=self.configuration.uri,
            within_claim=False,
            broker=NAME,
        )
        return made


def may_be_separate(registry: Any, task: Task) -> bool:
    """Return whether a run by hand of a task may be in a process of its own.

    That process claims the run in the store. Idle tasks, and those with ``via=False``, are for that of the server.
    """
    return registry['cron_store'] is not None and task.store and not task.idle and task.via is not False


def separate_run(registry: Any, task: Task) -> SeparateRun | None:
    """Return the process of its own for a run by hand of a task without an engine, ``None`` if there is none."""
    if task.engine is not None or not may_be_separate(registry, task):
        return None
    found = configuration(registry['cron_settings'])
    return None if found is None or not _is_here(found.uri) else SeparateRun(found)


def _is_here(uri: str) -> bool:
    """Return whether a configuration file is on this machine: ``cron.config_uri`` may be for a worker elsewhere."""
    name = uri.partition('#')[0]
    return ':' in name or Path(name).is_file()
