"""Minutes that a task does not run for: recorded, logged, and told to subscribers."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from pyramid_cron.events import TaskMissed
from pyramid_cron.reports import MISSED, PAUSED, SKIPPED
from pyramid_cron.schedules import clock
from pyramid_cron.store import decision, history
from pyramid_cron.store.decision import Verdict
from pyramid_cron.store.turns import STILL_RUNNING, Options, paused_reason
from pyramid_cron.tasks import Task

log = logging.getLogger(__name__)

NOBODY_ASKED = 'nobody asked in time'


def record(connection: Connection, app: str, task: Task, verdict: Verdict, row: Mapping[str, Any]) -> None:
    """Record the minutes that a verdict passes over, and those of the last run that are not recorded yet."""
    now = clock.now()
    busy = decision.busy_minutes(task, row)
    history.record_unbegun(connection, app, task.name, busy, SKIPPED, STILL_RUNNING, now)
    if verdict.missed:
        history.record_unbegun(connection, app, task.name, verdict.missed, MISSED, NOBODY_ASKED, now)
    if verdict.paused:
        history.record_unbegun(connection, app, task.name, verdict.paused, PAUSED, paused_reason(row), now)


def tell(options: Options, task: Task, minutes: Sequence[datetime]) -> None:
    """Say once that a task does not run for minutes, the earliest first."""
    if not minutes:
        return
    first, last = options.shown(minutes[0]), options.shown(minutes[-1])
    shown = first if len(minutes) == 1 else f'{len(minutes)} minutes from {first} to {last}'
    log.warning('task %s was missed and does not run for %s', task.name, shown)
    options.tell(TaskMissed(task.name, tuple(minutes)))
