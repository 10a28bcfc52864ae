"""A claim in one statement, where the database has one: of the first runs that are free, with lease and history."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Integer, and_, bindparam, func, null, or_

from pyramid_cron.outcomes import QUEUED, RUNNING
from pyramid_cron.schedules import clock
from pyramid_cron.store.connection import StoreConnection, lists, of_lists
from pyramid_cron.store.decision import next_due
from pyramid_cron.store.dialects import NOW, Dialect
from pyramid_cron.store.instants import Instant
from pyramid_cron.store.leases import LEASE, LEASE_UNTIL, THIS_PROCESS, Process
from pyramid_cron.store.run import StoredRun, handed_over_for
from pyramid_cron.store.schema import ID, NAME, processes, runs, tasks
from pyramid_cron.store.task_conditions import IS_CLAIMED, IS_TO_RETRY

# the columns of the runs that may be claimed, each a parameter that is a list
OF_PROCESS = 'id', 'host', 'pid', 'boot_and_pidns', 'process_started'
WANTED: dict[str, Any] = {
    'task': NAME,
    'minute': Instant(),
    'attempt': Integer(),
    'next_due': Instant(),
    'run_id': ID,
    'handed_over_for': ID,
}


def claim_first(
    connection: StoreConnection, process: Process, wanted: Sequence[StoredRun], limit: int
) -> dict[str, datetime | None]:
    """Claim the first runs that are free, and return the minutes of the last successes of their tasks by schedule.

    The keys are their fencing tokens.

    A row that another transaction has locked is passed over.

    :param wanted: runs for minutes of one tick, which skip none, and have the same engine or none.
    :param limit: how many are claimed at most.
    """
    engine = wanted[0].engine
    columns: dict[str, list[Any]] = {
        'task': [run.task.name for run in wanted],
        'minute': [run.minute for run in wanted],
        'attempt': [run.attempt for run in wanted],
        'next_due': [_next_due(run) for run in wanted],
        'run_id': [run.run_id for run in wanted],
        'handed_over_for': [engine and handed_over_for(run.minute, run.run_id) for run in wanted],
    }
    values = of_lists(columns) | {
        'most': limit,
        'new_last_seen': wanted[0].work.minute,
        # see acquire.py
        'new_process': None if engine is not None and engine.within_claim else process.id,
        'new_trigger': wanted[0].trigger,
        'new_outcome': RUNNING if engine is None else QUEUED,
        'new_started': clock.now(),
        THIS_PROCESS.key: process.id,
        LEASE.key: process.seconds,
        **{f'own_{name}': value for name, value in process.row.items()},
    }
    return dict(connection.rows(_claim_first(connection.dialect), values))


def _next_due(run: StoredRun) -> datetime | None:
    """Return when the task of a run is due next, ``None`` if its row has that already. It is looked at repeatedly."""
    if run.next_due is None and run.minute is not None and run.attempt == 1:
        run.next_due = next_due(run.task, run.minute)
    return run.next_due


@cache
def _claim_first(dialect: Dialect) -> Any:
    wanted = lists(WANTED)
    older = or_(tasks.c.last_minute.is_(None), tasks.c.last_minute < wanted.c.minute)
    again = and_(tasks.c.last_minute == wanted.c.minute, IS_TO_RETRY, tasks.c.attempt == wanted.c.attempt - 1)
    picked = (
        StoreConnection.select(tasks, *wanted.c)
        .join_from(wanted, tasks, tasks.c.task == wanted.c.task)
        .where(~IS_CLAIMED, or_(and_(wanted.c.attempt == 1, older), and_(wanted.c.attempt > 1, again)))
        .order_by(wanted.c.position)
        .limit(bindparam('most', type_=Integer()))
        .with_for_update(of=tasks, skip_locked=True)
        .cte('picked')
    )
    claimed = (
        StoreConnection.update(tasks)
        .where(tasks.c.task == picked.c.task, ~IS_CLAIMED)
        .values(
            last_seen=bindparam('new_last_seen', type_=Instant()),
            last_minute=picked.c.minute,
            attempt=picked.c.attempt,
            retry_reason=null(),
            # the run before a new one is not tried again
            will_retry=and_(picked.c.attempt > 1, tasks.c.will_retry),
            next_due=func.coalesce(picked.c.next_due, tasks.c.next_due),
            run_id=picked.c.run_id,
            process=bindparam('new_process', type_=ID),
            started_at=NOW,
            handed_over_for=picked.c.handed_over_for,
            transactional=False,
        )
        .returning(tasks.c.app, tasks.c.last_success_for, *(picked.c[name] for name in WANTED))
        .cte('claimed')
    )
    own = {name: bindparam(f'own_{name}', type_=processes.c[name].type) for name in OF_PROCESS}
    # one row, however many are claimed
    first = StoreConnection.select(claimed, claimed.c.app).limit(1).cte('first')
    renewed = (
        StoreConnection.insert_selected(dialect.insert(processes), first, own | {'lease_until': LEASE_UNTIL})
        .on_conflict_do_update(index_elements=['id'], set_={'lease_until': LEASE_UNTIL})
        .cte('renewed')
    )
    begun = StoreConnection.insert_selected(
        dialect.insert(runs),
        claimed,
        {
            'id': claimed.c.run_id,
            'task': claimed.c.task,
            'scheduled_for': claimed.c.minute,
            'attempt': claimed.c.attempt,
            'trigger': bindparam('new_trigger', type_=runs.c.trigger.type),
            'host': own['host'],
            'pid': own['pid'],
            'started': bindparam('new_started', type_=Instant()),
            'outcome': bindparam('new_outcome', type_=runs.c.outcome.type),
        },
    ).cte('begun')
    return StoreConnection.select(claimed, claimed.c.run_id, claimed.c.last_success_for).add_cte(renewed, begun)
