"""Taking a turn: to run it here, to hand it over, or to run what was handed over."""

from __future__ import annotations

import logging

from sqlalchemy import Connection, select

from pyramid_cron.claims import Held
from pyramid_cron.reports import ALREADY_RUN, QUEUED, RUNNING
from pyramid_cron.schedules import clock
from pyramid_cron.store import history, missed, task_state
from pyramid_cron.store.database import Database
from pyramid_cron.store.leases import Process
from pyramid_cron.store.schema import database_clock
from pyramid_cron.store.turns import ALREADY, Options, StoredTurn, in_a_line, queued_for, still_running


class NotSent(Exception):
    """A run could not be handed over on the connection of its claim, which is rolled back."""

    def __init__(self, exc: BaseException) -> None:
        # what an engine says of an error of the database is not what the database said
        while exc.__cause__ is not None:
            exc = exc.__cause__
        super().__init__(f'it cannot be handed over: {type(exc).__name__}: {in_a_line(exc)}')


def take(connection: Connection, app: str, process: Process, turn: StoredTurn) -> bool:
    """Take a turn, and tell whether it was to be had.

    :raises NotSent: if it is handed over within this, and that failed.
    """
    if turn.queued_id is None:
        return _begin(connection, app, process, turn)
    return _begin_queued(connection, app, process, turn, turn.queued_id)


def _begin(connection: Connection, app: str, process: Process, turn: StoredTurn) -> bool:
    """Take a turn, or the right to hand it over."""
    handing = turn.engine
    # whose sending nobody could take up again is nobody's from the start, as what is sent with its claim is
    waits = handing is not None and (handing.within_claim or turn.minute is None)
    taken = task_state.take(
        connection,
        app,
        turn.task.name,
        turn.minute,
        turn.attempt,
        run_id=turn.run_id,
        process=None if waits else process.id,
        began=database_clock(),
        queued=None if handing is None else queued_for(turn.minute, turn.run_id),
        transactional=False,
    )
    if not taken:
        return False
    process.renew(connection)
    missed.record(connection, app, turn.task, turn.passed, turn.row)
    history.begin(
        connection,
        RUNNING if handing is None else QUEUED,
        id=turn.run_id,
        app=app,
        task=turn.task.name,
        scheduled_for=turn.minute,
        attempt=turn.attempt,
        trigger=turn.trigger,
        requested_by=turn.requested_by,
        host=process.host,
        pid=process.pid,
        started=clock.now(),
    )
    if handing is not None and handing.within_claim:
        try:
            handing.enqueue(turn, connection)
        except Exception as exc:
            raise NotSent(exc) from exc
    return True


def _begin_queued(connection: Connection, app: str, process: Process, turn: StoredTurn, queued_id: str) -> bool:
    """Take a turn that was handed over."""
    taken = task_state.begin_queued(
        connection,
        app,
        turn.task.name,
        queued_id,
        run_id=turn.run_id,
        process=process.id,
        began=database_clock(),
        transactional=False,
    )
    if taken:
        process.renew(connection)
        history.begin_queued(
            connection, queued_id, id=turn.run_id, host=process.host, pid=process.pid, started=clock.now()
        )
    return taken


def why_not(database: Database, options: Options, turn: StoredTurn) -> Held:
    """Say why a turn was not to be had. Who is second to a minute says nothing."""
    if turn.queued_id is not None:
        return Held(ALREADY_RUN, level=logging.INFO)
    with database.autocommit() as connection:
        row = task_state.known(connection, options.app, [turn.task.name]).get(turn.task.name)
        now = connection.scalars(select(database_clock())).one()
    if row is None or row['run_id'] is None or (turn.minute is not None and row['last_minute'] >= turn.minute):
        return ALREADY
    return still_running(turn.task, row, options.zone, now)
