"""Handing tasks over to procrastinate: the job is written with the claim of its minute, in one transaction."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import procrastinate
from psycopg import errors

from pyramid_cron.claims import Unavailable
from pyramid_cron.queues.handover import Handover
from pyramid_cron.queues.worker import NAME, WAIT, Application

OPTIONS: dict[str, Callable[[str], Any]] = {'queue': str, 'priority': int}
WITHIN_CLAIM = True

# what PostgreSQL says of tables that are not there, and of what they need
NO_TABLES = errors.UndefinedTable, errors.UndefinedObject, errors.UndefinedFunction
# how often at most a run is tried again for which the store could not be asked
MOST_ATTEMPTS = 100


def make_send(options: dict[str, Any], registry: Any) -> Callable[[Handover, Any], None]:
    """Return what writes a job on the connection of the store.

    :param options: ``queue`` and ``priority`` of the job.
    :raises ValueError: if the store is not in PostgreSQL.
    """
    claims = registry['cron_claims']
    engine = claims.database.engine if registry['cron_settings'].store is not None else None
    if engine is None or engine.dialect.name != 'postgresql' or engine.driver != 'psycopg':
        raise ValueError(
            'procrastinate keeps its jobs in PostgreSQL, and they are written together with the claims of their '
            'minutes: set cron.store = postgresql+psycopg://…, the database that has its tables'
        )
    # never opened: it writes on connections that it is given
    app = procrastinate.App(connector=procrastinate.SyncPsycopgConnector())

    def send(handover: Handover, connection: Any) -> None:
        driver = connection.connection.driver_connection
        try:
            app.configure_task(NAME, allow_unknown=True, connection=driver, **options).defer(key=handover.key)
        except procrastinate.exceptions.ConnectorException as exc:
            if isinstance(exc.__cause__, NO_TABLES):
                raise LookupError(
                    'the database of the store has not the tables of procrastinate, or old ones: '
                    'procrastinate --app=… schema --apply makes them'
                ) from None
            raise

    return send


def add_perform(app: procrastinate.App, load: str | Callable[[], Any], *, wait: int = WAIT) -> None:
    """Let the workers of procrastinate run tasks that are handed over.

    :param app: the application of procrastinate, which ``procrastinate --app=…`` names.
    :param load: the configuration file of the Pyramid application, or a function that returns the application. It is
        loaded at the first job of each process.
    :param wait: seconds until a run is tried again for which the store could not be asked.
    """
    perform = functools.partial(_perform, Application.of(load))
    retry = procrastinate.RetryStrategy(max_attempts=MOST_ATTEMPTS, wait=wait, retry_exceptions=[Unavailable])
    app.task(name=NAME, retry=retry)(perform)


def _perform(application: Application, key: str) -> str:
    return application.perform(key).outcome
