"""Results on the rows of tasks without a claim: minutes without a run, cancelled retries, acknowledged failures."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pyramid_cron.alarm import Acknowledged
from pyramid_cron.store.acknowledgement_columns import failure_key, write_acknowledged
from pyramid_cron.store.compare_and_set import CompareAndSet
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.task_conditions import (
    HAS_FAILED_SO,
    HAS_FAILED_SO_AND_IS_FREE,
    HAS_RECOVERED,
    IS_FREE,
    IS_FREE_AND_OLDER,
    IS_LESS_BUSY,
    KNOWN_ATTEMPT,
    KNOWN_ERROR,
    KNOWN_OUTCOME,
    THIS_MINUTE,
    THIS_TASK,
    WAITS_FOR_ATTEMPT,
    WAITS_FOR_RETRY,
)
from pyramid_cron.store.task_state import TaskState


class TaskResults:
    """The results on the rows of an application's tasks, except for those that the end of a run writes.

    The compare-and-set statements wait for locks as those of :class:`.TaskClaims`.

    :param connection: a connection of the application.
    """

    def __init__(self, connection: StoreConnection) -> None:
        self._row = CompareAndSet(connection)

    def skip_to(self, task: str, minute: datetime, **values: Any) -> bool:
        """Record that a task does not run for a minute and for those before, if no process has claimed it.

        :param values: the last result, and when the task is due next.
        """
        newer = {THIS_TASK.key: task, THIS_MINUTE.key: minute}
        values = {'last_minute': minute, 'retry_reason': None, 'will_retry': False} | values
        return self._row.change_unlocked(IS_FREE_AND_OLDER, newer, **values)

    def wait(self, task: str, minute: datetime, attempt: int, tick: datetime) -> bool:
        """Record that the run for a minute waits for room in its engine, if no process has claimed it.

        :param attempt: how many times it will have begun for this minute.
        :param tick: the minute of the tick.
        """
        known = {THIS_TASK.key: task, THIS_MINUTE.key: minute}
        if attempt == 1:
            return self._row.change_unlocked(IS_FREE_AND_OLDER, known, waited_minute=tick)
        known_attempt = known | {KNOWN_ATTEMPT.key: attempt - 1}
        return self._row.change_unlocked(WAITS_FOR_ATTEMPT, known_attempt, waited_minute=tick)

    def extend_busy(self, task: str, minute: datetime) -> None:
        """Record that a registered task still ran in a minute, so that it does not owe that minute."""
        older = {THIS_TASK.key: task, THIS_MINUTE.key: minute}
        self._row.change(IS_LESS_BUSY, older, busy_until=minute, last_seen=minute)

    def cancel_retry(self, task: str, minute: datetime, **values: Any) -> bool:
        """Cancel the retry of a minute, and return whether there was one."""
        waiting = {THIS_TASK.key: task, THIS_MINUTE.key: minute}
        return self._row.change_unlocked(WAITS_FOR_RETRY, waiting, retry_reason=None, will_retry=False, **values)

    def record_outcome(self, task: str, **values: Any) -> bool:
        """Record a result for which nothing was claimed, if no run is in progress."""
        return self._row.change_unlocked(IS_FREE, {THIS_TASK.key: task}, **values)

    def recover(self, task: str) -> bool:
        """Remove since when a task had failed, if its last run has succeeded, and return whether that was recorded."""
        recovered = {'failed_since': None, 'failed_runs': 0, 'will_retry': False}
        return self._row.change(HAS_RECOVERED, {THIS_TASK.key: task}, **recovered)

    def acknowledge(self, state: TaskState, acknowledged: Acknowledged, is_free: bool) -> bool:
        """Record that the last result of a task, which is bad, is acknowledged, if it is the same still.

        :param is_free: whether no run may be in progress: its own transaction may have to update the row.
        """
        known = {
            THIS_TASK.key: state.task,
            KNOWN_OUTCOME.key: state.last_outcome,
            KNOWN_ERROR.key: state.last_error,
        }
        return self._row.change_unlocked(
            HAS_FAILED_SO_AND_IS_FREE if is_free else HAS_FAILED_SO,
            known,
            acknowledged_for=failure_key(state.last_outcome, state.last_error),
            acknowledged=write_acknowledged(acknowledged),
        )
