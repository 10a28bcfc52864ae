"""The engines of ``via=``: whether their brokers answer, and whether procrastinate has its tables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import uuid4

from pyramid_cron.doctor.findings import FAIL, OK, WARN, Finding
from pyramid_cron.printable import class_name, message
from pyramid_cron.queue_engine import Engine
from pyramid_cron.tasks import Task

TOPIC = 'queue'


class Trial(NamedTuple):
    """A run that is enqueued and rolled back.

    :param task: the task.
    :param token: identifies it.
    :param engine: the engine of the task.
    :param minute: always ``None``: the run is for no minute.
    """

    task: Task
    token: str
    engine: Engine
    minute: None = None
    attempt: int = 1


def examine_queues(registry: Any) -> Iterator[Finding]:
    """Yield a finding for each engine of the application's tasks, and for settings of it that need a change."""
    advised: set[str] = set()
    engines = {str(task.engine): (task, task.engine) for task in registry['cron_tasks'] if task.engine is not None}
    for name, (task, engine) in engines.items():
        check = getattr(engine.call, 'check', None)
        if not engine.within_claim and check is None:
            yield Finding(WARN, TOPIC, f'{name}: a function of the application, which is not called to try it')
            continue
        try:
            answered = _enqueue_and_roll_back(registry, task, engine) if check is None else check()
        except Exception as exc:
            yield Finding(FAIL, TOPIC, f'{name}: {class_name(exc)}: {message(exc)}', _remedy(exc))
        else:
            yield Finding(OK, TOPIC, f'{name}: {answered}')
        # of the settings, which engines of one application share
        for text, remedy in getattr(engine.call, 'advice', lambda: ())():
            if text not in advised:
                advised.add(text)
                yield Finding(WARN, TOPIC, f'{name}: {text}', remedy)


def _remedy(exc: Exception) -> str:
    if isinstance(exc, LookupError):
        return ''
    return 'start the broker or the database of the queue, or correct its URL; no run is enqueued until then'


def _enqueue_and_roll_back(registry: Any, task: Task, engine: Engine) -> str:
    """Enqueue a run in the database of the store, and take it back."""
    database = registry['cron_store'].database
    with database.engine.connect() as connection, connection.begin() as transaction:
        try:
            engine.enqueue_all([Trial(task, uuid4().hex, engine)], connection.connection.driver_connection)
        finally:
            transaction.rollback()
    return 'a job can be written, and was rolled back'
