"""The record of one run, with all records of its task and its minute: for its page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from pyramid_cron.claims import Delivery
from pyramid_cron.history_entries import PastRun
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.history import IS_THIS_RUN
from pyramid_cron.store.live_outputs import NOTHING, outputs_of
from pyramid_cron.store.queries import Queries
from pyramid_cron.store.run import minute_of_token
from pyramid_cron.store.run_columns import JOINED, PAST_RUN
from pyramid_cron.store.schema import runs
from pyramid_cron.store.task_conditions import THIS_RUN

# built once: by the primary key, and so is each of its kind
SELECT_RUN = StoreConnection.select(runs, *PAST_RUN).select_from(JOINED).where(IS_THIS_RUN)


class RunRecord(NamedTuple):
    """The record of a run, or of a due minute without one.

    :param run: the record.
    :param attempts: all records of its task and its minute, the oldest first; of a run by name, only itself.
    :param note: its note, ``None`` without one.
    :param log: what it has logged, ``None`` if that was not kept.
    """

    run: PastRun
    attempts: Sequence[PastRun]
    note: str | None = None
    log: str | None = None


def find_record(connection: StoreConnection, delivery: Delivery, run_id: str | None) -> RunRecord | None:
    """Return the record of a run, ``None`` if there is none (any more).

    :param delivery: the task of the run, and its minute or its token.
    :param run_id: the id of one of the records of a minute. Without it, and if none has it, the newest one is meant.
    """
    minute, attempts = delivery.minute, list[PastRun]()
    if delivery.token is not None:
        by_token = _by_id(connection, delivery.token)
        if by_token is None:
            # a queued backfill that a worker has begun has another id since, and its minute in its token
            minute = _minute_of(delivery.token)
        elif by_token.task == delivery.task:
            attempts, minute, run_id = [by_token], by_token.scheduled_for, by_token.id
    if minute is not None:
        attempts = Queries(connection).became_of(delivery.task, minute)
    if not attempts:
        return None
    run = next((attempt for attempt in attempts if attempt.id == run_id), attempts[-1])
    note, log = outputs_of(connection, [run.id or '']).get(run.id or '', NOTHING)
    return RunRecord(run, attempts, note, log)


def _by_id(connection: StoreConnection, run_id: str) -> PastRun | None:
    return next((PastRun(*row) for row in connection.rows(SELECT_RUN, {THIS_RUN.key: run_id})), None)


def _minute_of(token: str) -> datetime | None:
    try:
        return minute_of_token(token)
    except OverflowError:
        return None
