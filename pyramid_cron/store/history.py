"""What happened: a row for each run, and for each minute that had none. Nothing is ever decided by it."""

from __future__ import annotations

import traceback
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from pyramid_cron.reports import RUNNING, TaskReport
from pyramid_cron.store.schema import gaps, insert_new, runs

# of a traceback, its end
MOST_CHARACTERS = 8000
# rows that are pruned at once
MOST_PRUNED = 500

NAMESPACE = UUID('6f3c1f0e-5b1f-4a1e-9d0a-3f6a4f0c9c53')


def begin(connection: Connection, outcome: str = RUNNING, **values: Any) -> None:
    """Record that a run begins, or is handed over."""
    connection.execute(insert(runs).values(outcome=outcome, **values))


def begin_queued(connection: Connection, queued_id: str, **values: Any) -> None:
    """Record that a run begins that was handed over.

    :param queued_id: the token that it was handed over under.
    :param values: its own token, and where and when it begins.
    """
    connection.execute(update(runs).where(runs.c.id == queued_id).values(outcome=RUNNING, **values))


def end(connection: Connection, run_id: str, report: TaskReport, now: datetime) -> None:
    """Record what became of a run."""
    connection.execute(update(runs).where(runs.c.id == run_id).values(finished=now, **_result(report)))


def _result(report: TaskReport) -> dict[str, Any]:
    exc = report.exception
    shown = None if exc is None else _storable(_traceback(exc))
    return {
        'outcome': report.outcome,
        'seconds': report.seconds,
        'reason': report.reason,
        'error': None if exc is None else type(exc).__qualname__[:255],
        'traceback': shown and shown[-MOST_CHARACTERS:],
    }


def _traceback(exc: BaseException) -> str:
    try:
        return ''.join(traceback.format_exception(exc))
    except Exception:
        # it is asked for a lot, and lets pass what that raises
        return f'{type(exc).__qualname__}, which cannot be shown'


def _storable(text: str) -> str:
    """Return a text without what a database may not take: it must not keep the end of a run from being written."""
    return text.replace('\x00', r'\x00').encode(errors='backslashreplace').decode()


def record_unbegun(
    connection: Connection, app: str, task: str, minutes: Iterable[datetime], outcome: str, reason: str, now: datetime
) -> None:
    """Record minutes for which a task was due and did not begin, each once, whoever else records them too."""
    values = [
        {
            'id': _unbegun_id(app, task, minute, outcome),
            'app': app,
            'task': task,
            'scheduled_for': minute,
            'attempt': 0,
            'trigger': 'none',
            'started': now,
            'finished': now,
            'outcome': outcome,
            'reason': reason,
        }
        for minute in minutes
    ]
    if values:
        connection.execute(insert_new(connection, runs), values)


def _unbegun_id(app: str, task: str, minute: datetime, outcome: str) -> str:
    return uuid5(NAMESPACE, '\n'.join([app, task, minute.isoformat(), outcome])).hex


def record_gap(connection: Connection, app: str, first: datetime, last: datetime) -> bool:
    """Record minutes without a tick, and tell whether nobody else has."""
    try:
        with connection.begin_nested():
            connection.execute(insert(gaps).values(app=app, first=first, last=last))
    except IntegrityError:
        return False
    return True


def prune(connection: Connection, app: str, before: datetime) -> int:
    """Remove some of what is older than ``before``, and return how many runs that were."""
    old = select(runs.c.id).where(runs.c.finished < before).limit(MOST_PRUNED)
    # a list, because MySQL has no limit in a subquery
    keys = list(connection.scalars(old))
    connection.execute(delete(runs).where(runs.c.id.in_(keys)))
    connection.execute(delete(gaps).where(gaps.c.app == app, gaps.c.last < before))
    return len(keys)
