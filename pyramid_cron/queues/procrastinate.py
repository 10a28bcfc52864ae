"""Handing tasks over to procrastinate: the job is written with the claim of its minute, in one transaction."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import procrastinate

from pyramid_cron.claims import Unavailable
from pyramid_cron.queues.contract import Handover
from pyramid_cron.queues.performing import Application
from pyramid_cron.tasks import Task

NAME = 'pyramid_cron.perform'
OPTIONS: dict[str, Callable[[str], Any]] = {'queue': str, 'priority': int}
WITHIN_CLAIM = True

# seconds until a run is tried again for which the store could not be asked, and how often at most
WAIT, MOST_ATTEMPTS = 10, 100


def make_send(options: dict[str, Any], registry: Any, task: Task) -> Callable[[Handover, Any], None]:
    """Return what writes a job on the connection of the store.

    :param options: ``queue`` and ``priority`` of the job.
    :raises ValueError: if the store is not in PostgreSQL, or does not hold the task.
    """
    claims = registry['cron_claims']
    engine = claims.database.engine if registry['cron_settings'].store is not None else None
    if engine is None or engine.dialect.name != 'postgresql' or engine.driver != 'psycopg':
        raise ValueError(
            'procrastinate keeps its jobs in PostgreSQL, and they are written together with the claims of their '
            'minutes: set cron.store = postgresql+psycopg://…, the database that has its tables'
        )
    if not task.durable:
        raise ValueError('durable=False leaves the task out of the store, whose connection the job is written on')
    # never opened: it writes on connections that it is given
    app = procrastinate.App(connector=procrastinate.SyncPsycopgConnector())

    def send(handover: Handover, connection: Any) -> None:
        driver = connection.connection.driver_connection
        app.configure_task(NAME, allow_unknown=True, connection=driver, **options).defer(key=handover.key)

    return send


def add_perform(app: procrastinate.App, load: str | Callable[[], Any]) -> None:
    """Let the workers of procrastinate run tasks that are handed over.

    :param app: the application of procrastinate, which ``procrastinate --app=…`` names.
    :param load: the configuration file of the Pyramid application, or a function that returns the application. It is
        loaded at the first job of each process.
    """
    perform = functools.partial(_perform, Application.of(load))
    retry = procrastinate.RetryStrategy(max_attempts=MOST_ATTEMPTS, wait=WAIT, retry_exceptions=[Unavailable])
    app.task(name=NAME, retry=retry)(perform)


def _perform(application: Application, key: str) -> str:
    return application.perform(key).status
