"""Acquires the claim of a run: to run it here, to enqueue it, or to run what was enqueued."""

from __future__ import annotations

import logging
from typing import Any

from pyramid_cron.claims import NotClaimed
from pyramid_cron.errors import CronError
from pyramid_cron.printable import class_name
from pyramid_cron.reports import ALREADY_RUN, FAILED, QUEUED, RUNNING
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.dialects import NOW
from pyramid_cron.store.errors import one_line
from pyramid_cron.store.failed_ticks import FailedTicks
from pyramid_cron.store.history import History
from pyramid_cron.store.late import Late
from pyramid_cron.store.leases import Process
from pyramid_cron.store.missed import record_skipped
from pyramid_cron.store.options import Options
from pyramid_cron.store.renames import load_renamed, names_of, under_other_names
from pyramid_cron.store.run import ALREADY_CLAIMED, StoredRun, handed_over_for
from pyramid_cron.store.task_rows import TaskStates, next_due
from pyramid_cron.store.task_state import TaskState
from pyramid_cron.store.texts import busy_reason


class NotSent(CronError):
    """A run could not be enqueued on the connection of its claim, which is rolled back."""

    def __init__(self, exc: BaseException) -> None:
        # engines wrap the error of the database, and only the innermost message helps
        while exc.__cause__ is not None:
            exc = exc.__cause__
        self.brief = f'it cannot be enqueued: {class_name(exc)}'
        super().__init__(f'{self.brief}: {one_line(exc)}')


def acquire(connection: StoreConnection, process: Process, run: StoredRun, failed_ticks: FailedTicks) -> bool:
    """Claim a run, and return whether it was free.

    :param failed_ticks: the ticks that failed in this process.
    :raises NotSent: if it is enqueued on this connection, and that failed.
    """
    if run.enqueued_id is None:
        return _claim(connection, process, run, failed_ticks)
    return _claim_enqueued(connection, process, run, run.enqueued_id)


def _claim(connection: StoreConnection, process: Process, run: StoredRun, failed_ticks: FailedTicks) -> bool:
    """Claim a run, or the right to enqueue it."""
    engine = run.engine
    # the process is recorded, so that its death is noticed and the run enqueued again; not if the claim itself enqueues
    # the run, nor for a run without a minute, which is not repeated
    without_process = engine is not None and (engine.within_claim or run.minute is None)
    claimed = TaskStates(connection).claim(
        run.task.name,
        run.minute,
        run.attempt,
        run_id=run.run_id,
        process=None if without_process else process.id,
        started_at=NOW,
        handed_over_for=None if engine is None else handed_over_for(run.minute, run.run_id),
        **_of_minute(run),
    )
    if not claimed:
        return False
    process.renew(connection)
    record_skipped(connection, run.task, run.decision, run.state, failed_ticks)
    History(connection).begin(
        RUNNING if engine is None else QUEUED,
        id=run.run_id,
        task=run.task.name,
        scheduled_for=run.minute,
        attempt=run.attempt,
        trigger=run.trigger,
        requested_by=run.requested_by,
        host=process.host,
        pid=process.pid,
    )
    if engine is not None and engine.within_claim:
        try:
            with connection.limited():
                engine.enqueue(run, connection.driver_connection)
        except Exception as exc:
            raise NotSent(exc) from exc
    return True


def _of_minute(run: StoredRun) -> dict[str, Any]:
    """Return the values of a claim for a minute, which may be long before that of the tick."""
    if run.minute is None:
        return {}
    next_minute = {'next_due': next_due(run.task, run.minute)} if run.attempt == 1 else {}
    return {'last_seen': run.work.minute, **next_minute}


def _claim_enqueued(connection: StoreConnection, process: Process, run: StoredRun, enqueued_id: str) -> bool:
    """Claim a run that was enqueued."""
    claimed = TaskStates(connection).claim_enqueued(
        run.task.name, enqueued_id, run_id=run.run_id, process=process.id, started_at=NOW
    )
    if claimed:
        process.renew(connection)
        History(connection).begin_enqueued(enqueued_id, id=run.run_id, host=process.host, pid=process.pid)
    return claimed


def why_not_free(connection: StoreConnection, options: Options, run: StoredRun, late: Late) -> NotClaimed:
    """Return why a run was not free. Losing a race for a minute is worth a line of the log at DEBUG only."""
    if run.enqueued_id is not None:
        return NotClaimed(ALREADY_RUN, level=logging.INFO)
    names = names_of([run.task])
    states = load_renamed(connection, [run.task], TaskStates(connection).load(names))
    state = states.get(run.task.name) or under_other_names({run.task.name: run.task}, states).get(run.task.name)
    begun = state is not None and run.attempt == 1 and run.minute is not None and state.has_begun(run.minute)
    if state is None or begun or not state.is_claimed:
        return ALREADY_CLAIMED
    return still_claimed(state, options, late, connection.clock())


def still_claimed(state: TaskState, options: Options, late: Late, now: float) -> NotClaimed:
    """Return why a task that is claimed for its previous run cannot begin.

    :param late: the ends of runs of this process that cannot be written yet.
    :param now: the time by the database's clock.
    """
    problem = late.problem_of(state.run_id)
    if problem is None:
        return NotClaimed(busy_reason(state, options.zone), state.running_seconds(now))
    return NotClaimed(f'the end of its last run cannot be recorded: {problem}', level=logging.ERROR, outcome=FAILED)
