"""How long the last runs of a task took, from the history."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.run_columns import JOINED, PAST_RUN
from pyramid_cron.store.schema import runs

BY_NAME = {column.name: column for column in PAST_RUN}


class RunLength(NamedTuple):
    """How long one run took.

    :param outcome: its outcome.
    :param started: when it began, in UTC.
    :param seconds: how long it took, ``None`` if that is not known or it has not ended.
    """

    outcome: str
    started: datetime
    seconds: float | None


def last_lengths(connection: StoreConnection, name: str, limit: int) -> list[RunLength]:
    """Return how long the last runs of a task took, the newest last.

    :param limit: how many records are read at most. Those of minutes without a run are among them, and left out.
    """
    columns = [BY_NAME[field] for field in (*RunLength._fields, 'attempt')]
    query = connection.select(runs, *columns).select_from(JOINED).where(runs.c.task == name)
    # both downwards: MySQL would read everything to sort it otherwise
    newest = query.order_by(runs.c.started.desc(), runs.c.id.desc()).limit(limit)
    return [RunLength(*values) for *values, attempt in reversed(connection.rows(newest)) if attempt]
