"""Enqueue runs with procrastinate: each job is written in the transaction that claims the minute."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import procrastinate
from procrastinate.job_context import AbortReason
from psycopg import errors

from pyramid_cron.errors import Unavailable
from pyramid_cron.queues.handover import Handover
from pyramid_cron.queues.procrastinate_jobs import look
from pyramid_cron.queues.worker import RETRY_DELAY, TASK_NAME, WORKER_ENDS, LazyApplication

__all__ = ['OPTIONS', 'WITHIN_CLAIM', 'add_perform', 'look', 'make_enqueue']

OPTIONS: dict[str, Callable[[str], Any]] = {'queue': str, 'priority': int, 'lock': str}
WITHIN_CLAIM = True

# errors of PostgreSQL for tables, types and functions that do not exist
NO_TABLES = errors.UndefinedTable, errors.UndefinedObject, errors.UndefinedFunction
# further attempts of a job while the store is not available
MAX_ATTEMPTS = 100
# what stops a run of which a person has aborted the job
JOB_ABORTED = 'an abort of its job'


def make_enqueue(options: dict[str, Any], registry: Any) -> Callable[[Sequence[Handover], Any], None]:
    """Return a function that writes the jobs of runs on a connection of the store.

    :param options: ``queue``, ``priority`` and ``lock`` of the jobs. There is no ``queueing_lock``: the store enqueues
        no second run of a task, and procrastinate's error for one would undo the claims with it.
    :raises ValueError: if the store is not in PostgreSQL, or has another driver than psycopg.
    """
    store = registry['cron_store']
    engine = None if store is None else store.database.engine
    if engine is None or engine.dialect.name != 'postgresql' or engine.driver != 'psycopg':
        raise ValueError(
            'procrastinate keeps its jobs in PostgreSQL, and each job is written together with the claim of its '
            'minute: set cron.store = postgresql+psycopg://…, the database that has the tables of procrastinate'
        )
    # never opened: each job is written on the connection of a claim
    app = procrastinate.App(connector=procrastinate.SyncPsycopgConnector())

    def enqueue(handovers: Sequence[Handover], connection: Any) -> None:
        deferrer = app.configure_task(TASK_NAME, allow_unknown=True, connection=connection, **options)
        try:
            jobs: list[dict[str, Any]] = [{'key': handover.key} for handover in handovers]
            deferrer.batch_defer(*jobs)
        except procrastinate.exceptions.ConnectorException as exc:
            if isinstance(exc.__cause__, NO_TABLES):
                raise LookupError(
                    'the tables of procrastinate are missing in the database of the store, or are old: run '
                    'procrastinate --app=… schema --apply'
                ) from None
            raise

    return enqueue


def add_perform(app: procrastinate.App, load: str | Callable[[], Any], *, wait: int = RETRY_DELAY) -> None:
    """Add the task that executes runs to a procrastinate application.

    :param app: the procrastinate application, which ``procrastinate --app=…`` names.
    :param load: the configuration file of the Pyramid application, or a function that returns the application. Each
        process of the worker loads it at its first job.
    :param wait: seconds until a run is tried again if the store was not available.
    :raises TypeError: if ``load`` is neither a text nor a function.
    """
    perform = functools.partial(_perform, LazyApplication.of(load))
    retry = procrastinate.RetryStrategy(max_attempts=MAX_ATTEMPTS, wait=wait, retry_exceptions=[Unavailable])
    app.task(name=TASK_NAME, retry=retry, pass_context=True)(perform)


def _perform(application: LazyApplication, context: procrastinate.JobContext, key: str) -> str:
    def shutdown() -> str | None:
        # of a worker that ends, once its --shutdown-graceful-timeout is over
        reason = context.abort_reason()
        if reason is None:
            return None
        return WORKER_ENDS if reason == AbortReason.SHUTDOWN else JOB_ABORTED

    return application.perform(key, shutdown).outcome
