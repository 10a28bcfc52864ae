"""The record of one run, with all records of its task and its minute: for its page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import bindparam

from pyramid_cron.claims import Delivery
from pyramid_cron.history_entries import PastRun
from pyramid_cron.run_keys import KEY_DIGITS, TOKEN_DIGITS, key_token, same_run
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.live_outputs import NOTHING, outputs_of
from pyramid_cron.store.queries import Queries
from pyramid_cron.store.run_columns import JOINED, PAST_RUN
from pyramid_cron.store.schema import ID, runs

# the least and the greatest of the tokens with one key
FIRST, LAST = (bindparam(name, type_=ID) for name in ('first', 'last'))
# built once: by the primary key, and so is each of its kind
SELECT_RUN = StoreConnection.select_by_key(runs, *PAST_RUN).select_from(JOINED).where(runs.c.id.between(FIRST, LAST))


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
        by_token = _by_token(connection, delivery.token)
        if by_token is not None and by_token.task == delivery.task:
            attempts, minute, run_id = [by_token], by_token.scheduled_for, by_token.id
    if minute is not None:
        attempts = Queries(connection).became_of(delivery.task, minute)
    if not attempts:
        return None
    # the link to a run that was queued then has its token of that time
    run = next((one for one in attempts if run_id and same_run(one.id or '', run_id)), attempts[-1])
    note, log = outputs_of(connection, [run.id or '']).get(run.id or '', NOTHING)
    return RunRecord(run, attempts, note, log)


def _by_token(connection: StoreConnection, token: str) -> PastRun | None:
    first = key_token(token)
    last = first[:KEY_DIGITS].ljust(TOKEN_DIGITS, 'f')
    return next((PastRun(*row) for row in connection.rows(SELECT_RUN, {FIRST.key: first, LAST.key: last})), None)
