"""Acquires the claim of a run: to run it here, to enqueue it, or to run what was enqueued."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from itertools import chain
from typing import Any

from pyramid_cron.errors import CronError
from pyramid_cron.not_claimed import NotClaimed
from pyramid_cron.outcomes import ALREADY_RUN, FAILED, LOST, QUEUED, RUNNING
from pyramid_cron.printable import class_name
from pyramid_cron.queue_engine import Engine
from pyramid_cron.schedules import clock
from pyramid_cron.store.backfill import claim_past, why_not_past
from pyramid_cron.store.claim_statement import claim_first
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.decision import busy_minutes, next_due
from pyramid_cron.store.dialects import NOW
from pyramid_cron.store.errors import Locked, one_line
from pyramid_cron.store.failed_ticks import FailedTicks
from pyramid_cron.store.history import History
from pyramid_cron.store.late import Late
from pyramid_cron.store.leases import Process
from pyramid_cron.store.missed import skipped_minutes
from pyramid_cron.store.options import Options
from pyramid_cron.store.renames import load_renamed, names_of, under_other_names
from pyramid_cron.store.run import ALREADY_CLAIMED, StoredRun, handed_over_for
from pyramid_cron.store.task_claims import TaskClaims
from pyramid_cron.store.task_rows import TaskStates
from pyramid_cron.store.task_state import TaskState
from pyramid_cron.store.texts import busy_reason
from pyramid_cron.tasks import Task

LOST_BEFORE_BEGIN = NotClaimed('a process was lost that had claimed it, and the next tick repeats it', outcome=LOST)


class NotSent(CronError):
    """A run could not be enqueued on the connection of its claim, which is rolled back."""

    def __init__(self, exc: BaseException) -> None:
        # engines wrap the error of the database, and only the innermost message helps
        while exc.__cause__ is not None:
            exc = exc.__cause__
        self.brief = f'it cannot be enqueued: {class_name(exc)}'
        super().__init__(f'{self.brief}: {one_line(exc)}')


def acquire(
    connection: StoreConnection, process: Process, run: StoredRun, failed_ticks: FailedTicks, options: Options
) -> bool:
    """Claim a run, and return whether it was free.

    :param failed_ticks: the ticks that failed in this process.
    :raises NotSent: if it is enqueued on this connection, and that failed.
    :raises LeftAlone: if it is for a past minute that was ok.
    """
    if run.enqueued_id is not None:
        return _claim_enqueued(connection, process, run, run.enqueued_id)
    if run.backfill is not None:
        claimed = claim_past(connection, process, run, options.keep_history)
        if claimed:
            _record_begin(connection, process, run)
    else:
        began = clock.now()
        claimed = _claim(connection, process, run)
        if claimed:
            _record_skipped(connection, [run], failed_ticks, began)
    if claimed and run.engine is not None and run.engine.within_claim:
        enqueue_within_claim(connection, run.engine, [run])
    return claimed


def _claim(connection: StoreConnection, process: Process, run: StoredRun) -> bool:
    """Claim a run, or the right to enqueue it."""
    engine = run.engine
    # the process is recorded, so that its death is noticed and the run enqueued again; not if the claim itself enqueues
    # the run, nor for a run without a minute, which is not repeated
    without_process = engine is not None and (engine.within_claim or run.minute is None)
    claimed = TaskClaims(connection).claim(
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
    _record_begin(connection, process, run)
    return True


def _record_begin(connection: StoreConnection, process: Process, run: StoredRun) -> None:
    process.renew(connection)
    History(connection).begin(
        RUNNING if run.engine is None else QUEUED,
        id=run.run_id,
        task=run.task.name,
        scheduled_for=run.recorded_minute,
        attempt=run.attempt,
        trigger=run.trigger,
        requested_by=run.requested_by,
        host=process.host,
        pid=process.pid,
    )


def _record_skipped(
    connection: StoreConnection, claimed: Sequence[StoredRun], failed_ticks: FailedTicks, at: datetime
) -> None:
    """Record the minutes that runs skip which are claimed.

    :param at: when, before the claim, so that the history shows them before the runs.
    """
    skipped = (skipped_minutes(run.task, run.decision, run.state, failed_ticks) for run in claimed)
    History(connection).record_without_run(chain.from_iterable(skipped), at)


def enqueue_within_claim(connection: StoreConnection, engine: Engine, runs: Sequence[StoredRun]) -> None:
    """Enqueue runs on the connection of their claim, in its transaction.

    :raises NotSent: if that failed; the transaction has to be rolled back.
    """
    try:
        with connection.limited():
            engine.enqueue_all(runs, connection.driver_connection)
    except Exception as exc:
        raise NotSent(exc) from exc


def _of_minute(run: StoredRun) -> dict[str, Any]:
    """Return the values of a claim for a minute, which may be long before that of the tick."""
    if run.minute is None:
        return {}
    next_minute = {'next_due': next_due(run.task, run.minute)} if run.attempt == 1 else {}
    return {'last_seen': run.work.minute, **next_minute}


def _claim_enqueued(connection: StoreConnection, process: Process, run: StoredRun, enqueued_id: str) -> bool:
    """Claim a run that was enqueued."""
    claimed = TaskClaims(connection).claim_enqueued(
        run.task.name, enqueued_id, run_id=run.run_id, process=process.id, started_at=NOW
    )
    if claimed:
        process.renew(connection)
        History(connection).begin_enqueued(enqueued_id, id=run.run_id, host=process.host, pid=process.pid)
    return claimed


def acquire_first(
    connection: StoreConnection, process: Process, runs: Sequence[StoredRun], most: int, failed_ticks: FailedTicks
) -> list[StoredRun]:
    """Claim the first runs that are free, in the transaction of the connection, and return them.

    A run is passed over if another transaction has locked its row.

    :param runs: runs of one tick, with the same engine or none. They are not enqueued.
    :param most: how many are claimed at most.
    """
    began = clock.now()
    claimed: list[StoredRun] = []
    if connection.dialect.has_writing_ctes:
        found = claim_first(connection, process, runs, most)
        claimed += (run for run in runs if run.run_id in found)
        for run in claimed:
            run.since = found[run.run_id]
    else:
        for run in runs:
            if len(claimed) == most:
                break
            with suppress(Locked):
                if _claim(connection, process, run):
                    claimed.append(run)
    _record_skipped(connection, claimed, failed_ticks, began)
    return claimed


def skips(run: StoredRun) -> int:
    """Return how many minutes the claim of a run records beside the run, because it skips them."""
    during_last = () if run.state is None else busy_minutes(run.task, run.state)
    return len(run.decision.skipped) + len(during_last)


def why_not_free(
    connection: StoreConnection, options: Options, runs: Collection[StoredRun], late: Late
) -> list[NotClaimed | None]:
    """Return why each of some runs was not free, ``None`` for one that is free now.

    :param late: the ends of runs of this process that cannot be written yet.
    """
    wanted, of_tasks = [run.task for run in runs], TaskStates(connection)
    minutes = [run.minute for run in runs if run.minute is not None and run.attempt == 1]
    if len(minutes) == len(runs) > 1:
        # of a tick: most have run, in other processes
        states: Mapping[str, TaskState] = of_tasks.load_behind([task.name for task in wanted], max(minutes))
    else:
        states = load_renamed(connection, wanted, of_tasks.load(names_of(wanted)))
    others = under_other_names({task.name: task for task in wanted}, states)
    now = connection.clock() if any(state.is_claimed for state in states.values()) else 0.0
    return [_why(run, states.get(run.task.name) or others.get(run.task.name), options, late, now) for run in runs]


def _why(run: StoredRun, state: TaskState | None, options: Options, late: Late, now: float) -> NotClaimed | None:
    if run.enqueued_id is not None:
        return NotClaimed(ALREADY_RUN, level=logging.INFO)
    if state is None:
        # losing a race for a minute is worth a line of the log at DEBUG only
        return ALREADY_CLAIMED
    if run.backfill is not None:
        is_claimed = state.is_claimed
        return (
            still_claimed(run.task, state, options, late, now)
            if is_claimed
            else why_not_past(run.task, state, run.backfill.minute)
        )
    begun = run.attempt == 1 and run.minute is not None and state.has_begun(run.minute)
    if state.is_claimed:
        return ALREADY_CLAIMED if begun else still_claimed(run.task, state, options, late, now)
    if begun:
        return LOST_BEFORE_BEGIN if state.retry_reason == LOST and state.last_minute == run.minute else ALREADY_CLAIMED
    return None if run.attempt == 1 or state.attempt == run.attempt - 1 else ALREADY_CLAIMED


def still_claimed(task: Task, state: TaskState, options: Options, late: Late, now: float) -> NotClaimed:
    """Return why a task that is claimed for its previous run cannot begin.

    :param late: the ends of runs of this process that cannot be written yet.
    :param now: the time by the database's clock.
    """
    problem = late.problem_of(state.run_id)
    if problem is None:
        stuck_after = state.limits(task, options.window).stuck
        return NotClaimed(busy_reason(state, options.zone), state.running_seconds(now), stuck_after=stuck_after)
    return NotClaimed(f'the end of its last run cannot be recorded: {problem}', level=logging.ERROR, outcome=FAILED)
