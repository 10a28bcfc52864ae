"""Why a run may not begin."""

from __future__ import annotations

import logging
import math
from datetime import datetime, timedelta
from typing import NamedTuple

from pyramid_cron.durations import duration
from pyramid_cron.outcomes import FAILED, MISSED, SKIPPED
from pyramid_cron.tasks import Task


class NotClaimed(NamedTuple):
    """Why a run may not begin.

    :param reason: for reports and the log.
    :param running_seconds: how long a process has been running the previous run, if that is the reason.
    :param stuck_after: the seconds after which that run is stuck.
    :param level: the level of the log.
    :param outcome: the outcome of the report.
    :param excuse: why that is no alarm, as in the report.
    """

    reason: str
    running_seconds: float | None = None
    level: int = logging.WARNING
    outcome: str = SKIPPED
    excuse: str | None = None
    stuck_after: float = math.inf


# of a backfill: no other process would know that it has run
NEEDS_STORE = NotClaimed('a run for a past minute needs a task that cron.store keeps', outcome=FAILED)


def too_late(
    task: Task, minute: datetime | None, catch_up: timedelta, now: datetime, enqueued: datetime | None = None
) -> NotClaimed | None:
    """Return why an enqueued run does not begin any more, ``None`` if it does.

    :param enqueued: when a further attempt was enqueued, or a run that has waited for room in its engine: the minute of
        the run may be long past by then.
    """
    if minute is None:
        return None
    late = now - (enqueued or minute)
    if late <= task.queue_timeout(catch_up):
        return None
    since = 'its minute' if enqueued is None else 'it was enqueued'
    return NotClaimed(f'it came {duration(late.total_seconds())} after {since}', outcome=MISSED)
