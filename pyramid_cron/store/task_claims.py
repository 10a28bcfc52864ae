"""Claims on the rows of tasks, by compare-and-set: claim, release and reap of runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import Update

from pyramid_cron.store.compare_and_set import CompareAndSet
from pyramid_cron.store.connection import StoreConnection, lists, of_lists
from pyramid_cron.store.dialects import NOW
from pyramid_cron.store.schema import ID, NAME, tasks
from pyramid_cron.store.task_conditions import (
    HOLDS_AND_TRANSACTIONAL,
    HOLDS_BUT_NOT_TRANSACTIONAL,
    HOLDS_RUN,
    IS_FREE,
    IS_FREE_AND_OLDER,
    IS_FREE_AND_PAST,
    IS_FREE_AND_PAST_OF_EACH,
    KNOWN_ATTEMPT,
    OTHER_WILL_BE_REPEATED,
    REPEATED_IF_NOTHING_WAS_COMMITTED,
    SENT_AFTER,
    THIS_MINUTE,
    THIS_TASK,
    WAITS_AND_NOT_SENT_SINCE,
    WAITS_FOR_ATTEMPT,
    WAITS_FOR_WORKER,
    WAITS_IN_FUTURE,
    WILL_BE_REPEATED,
    of_run,
)

RELEASED: dict[str, Any] = {'run_id': None, 'process': None, 'handed_over_for': None}


class TaskClaims:
    """The claims on the rows of an application's tasks.

    The compare-and-set statements return whether the row was as expected, and was changed. They wait for another
    transaction that has locked it, or raise :exc:`.Locked` where the database can skip it.

    :param connection: a connection of the application.
    """

    def __init__(self, connection: StoreConnection) -> None:
        self._connection = connection
        self._row = CompareAndSet(connection)

    def claim(self, task: str, minute: datetime | None, attempt: int, **values: Any) -> bool:
        """Claim a task for a minute, or for a run by name, if no run is in progress.

        :param attempt: above 1 to claim a minute that has begun before and is to run once more.
        :param values: the fencing token, the process, when the task is due next, and what else describes the run.
        """
        free = IS_FREE
        known: dict[str, Any] = {THIS_TASK.key: task}
        if minute is not None:
            known[THIS_MINUTE.key] = minute
            free = IS_FREE_AND_OLDER
            if attempt > 1:
                free = WAITS_FOR_ATTEMPT
                known[KNOWN_ATTEMPT.key] = attempt - 1
            values |= {'last_minute': minute, 'attempt': attempt, 'retry_reason': None}
            # the run before it is not tried again
            values |= {'will_retry': False} if attempt == 1 else {}
        return self._row.change_unlocked(free, known, transactional=False, **values)

    def claim_past(self, task: str, minute: datetime, of_each: bool = False, **values: Any) -> bool:
        """Claim a task for a minute of the past, if no run is in progress and no tick runs the task for that minute.

        :param of_each: whether the task runs for each minute.
        :param values: the fencing token and what else describes the run.
        """
        known = {THIS_TASK.key: task, THIS_MINUTE.key: minute}
        is_past = IS_FREE_AND_PAST_OF_EACH if of_each else IS_FREE_AND_PAST
        return self._row.change_unlocked(is_past, known, transactional=False, **values)

    def claim_enqueued(self, task: str, enqueued_id: str, **values: Any) -> bool:
        """Claim a run that was enqueued, under a fencing token of its own.

        It waits for a lock on the row, which the process that enqueues may hold: the delivery comes only once.

        :param enqueued_id: the token under which the run was enqueued.
        :param values: the new fencing token and the process.
        """
        waits = of_run(task, enqueued_id)
        return self._row.change(WAITS_FOR_WORKER, waits, handed_over_for=None, **values)

    def release(self, task: str, run_id: str, wait: bool = True, **values: Any) -> bool:
        """Release the row if it still holds our fencing token.

        :param wait: whether to wait for another transaction that has locked it, also where that can be skipped.
        :param values: the new values of its columns, and the parameters of expressions among them.
        """
        change = self._row.change if wait else self._row.change_unlocked
        return change(HOLDS_RUN, of_run(task, run_id), **values, **RELEASED)

    def mark_enqueued(self, task: str, run_id: str) -> bool:
        """Record that an engine has a run now, unless a worker has begun it already."""
        return self._row.change(HOLDS_RUN, of_run(task, run_id), process=None)

    def mark_all_enqueued(self, run_ids: Mapping[str, str]) -> None:
        """Record the same of several runs.

        :param run_ids: their fencing tokens by the names of their tasks.
        """
        dialect, values = self._connection.dialect, {'process': None}
        if dialect.has_arrays:
            listed = of_lists({'task': list(run_ids), 'run_id': list(run_ids.values())})
            self._connection.execute(_mark_listed(), listed | values)
        else:
            in_list = tasks.c.run_id.in_(run_ids.values())
            self._connection.execute(self._connection.update(tasks).where(in_list), values)

    def expire_enqueued(self, task: str, enqueued_id: str, **values: Any) -> bool:
        """Release a run that was enqueued, if no worker has begun it."""
        return self._row.change_unlocked(WAITS_FOR_WORKER, of_run(task, enqueued_id), **values, **RELEASED)

    def send_again(self, task: str, enqueued_id: str, after: float) -> bool:
        """Claim to enqueue a queued run again, if it waits for a worker and was not enqueued again since an instant.

        :param after: that instant, in seconds by the database's clock.
        """
        known = of_run(task, enqueued_id) | {SENT_AFTER.key: after}
        return self._row.change_unlocked(WAITS_AND_NOT_SENT_SINCE, known, sent_again_at=NOW)

    def send_again_later(self, task: str, enqueued_id: str) -> bool:
        """Let the next tick enqueue a queued run again, because this one could not."""
        return self._row.change_unlocked(WAITS_FOR_WORKER, of_run(task, enqueued_id), sent_again_at=None)

    def record_not_begun(self, task: str, enqueued_id: str, reason: str) -> bool:
        """Record why a worker that took the message of a queued run did not begin it, unless another worker has."""
        waits = of_run(task, enqueued_id)
        return self._row.change(WAITS_FOR_WORKER, waits, not_begun=f'{enqueued_id} {reason}')

    def restart_wait(self, task: str, enqueued_id: str) -> bool:
        """Let the wait of an enqueued run for a worker begin now, if it begins in the future."""
        return self._row.change_unlocked(WAITS_IN_FUTURE, of_run(task, enqueued_id), started_at=NOW)

    def reap(self, task: str, run_id: str, may_repeat: bool = True, **values: Any) -> bool:
        """Release the row of a run that will not end, if it still holds its fencing token.

        Its minute is to run once more if it was about to be enqueued, or if nothing of it was committed and it has not
        begun too often. The condition is evaluated on the row as it is now, because the run may have committed since it
        was read. A run by name is never transactional here, and leaves the retry of the last minute as it is.

        :param may_repeat: whether the minute may run once more at all.
        """
        repeated: dict[str, Any] = {'will_retry': OTHER_WILL_BE_REPEATED}
        if may_repeat:
            repeated = {'retry_reason': REPEATED_IF_NOTHING_WAS_COMMITTED, 'will_retry': WILL_BE_REPEATED}
        return self._row.change_unlocked(HOLDS_RUN, of_run(task, run_id), **(values | repeated | RELEASED))

    def set_transactional(self, task: str, run_id: str, transactional: bool) -> bool:
        """Record whether a run commits with its record, and return whether the row still holds its fencing token."""
        mine = of_run(task, run_id)
        # no new version of the row for each savepoint of a task that has many
        changes = HOLDS_BUT_NOT_TRANSACTIONAL if transactional else HOLDS_AND_TRANSACTIONAL
        if self._row.change(changes, mine, transactional=transactional):
            return True
        # locked, because under REPEATABLE READ the task's transaction would see the row as it was at its beginning
        return self._row.lock(HOLDS_RUN, mine)


@cache
def _mark_listed() -> Update:
    # by the keys of the rows: to look for each token in a list takes the square of their number
    listed = lists({'task': NAME, 'run_id': ID})
    return StoreConnection.update(tasks).where(tasks.c.task == listed.c.task, tasks.c.run_id == listed.c.run_id)
