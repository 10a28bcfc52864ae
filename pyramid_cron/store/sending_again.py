"""Queued runs that no worker has begun: which a tick enqueues again, and what is recorded of that."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from pyramid_cron.claims import Delivery
from pyramid_cron.durations import duration
from pyramid_cron.errors import Unavailable
from pyramid_cron.history_entries import process_of
from pyramid_cron.printable import class_name, message
from pyramid_cron.queue_engine import Engine, MessageState
from pyramid_cron.store.acquire import NotSent, enqueue_within_claim
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.database import Database
from pyramid_cron.store.errors import Locked
from pyramid_cron.store.history import History
from pyramid_cron.store.run import StoredRun, handed_over_for
from pyramid_cron.store.storable import ascii_if_refused
from pyramid_cron.store.task_claims import TaskClaims
from pyramid_cron.store.task_rows import TaskStates
from pyramid_cron.store.task_state import TaskState

log = logging.getLogger(__name__)

# after these parts of the time for which it may wait for a worker
PARTS = (0.25, 0.5)
# the end of what is recorded of a run that was enqueued again
SENT_AGAIN = '; enqueued again'
# characters of the message of an exception that are recorded
MOST_CHARACTERS = 500


def sent_after(state: TaskState, timeout: timedelta, now: datetime) -> float | None:
    """Return the instant after which a queued run has to have been enqueued, ``None`` if it need not be again.

    A paused task is enqueued again when it is resumed.

    :param timeout: how long after its minute an enqueued run may begin.
    :param now: the time by the database's clock.
    :return: the instant in seconds by the database's clock.
    """
    waited = state.queued_seconds(now.timestamp())
    if waited is None or state.started_at is None or state.is_paused(now):
        return None
    seconds = state.patience(timeout).total_seconds()
    passed = [part for part in PARTS if waited >= part * seconds]
    if not passed:
        return None
    after = state.started_at + passed[-1] * seconds
    sent = state.sent_again_at
    return None if sent is not None and after <= sent <= now.timestamp() else after


def why_unbegun(state: TaskState, waited: timedelta, recorded: str | None) -> str:
    """Return why a queued run does not begin any more, for the record.

    :param waited: how long it has waited for a worker.
    :param recorded: what the last tick that looked at its message has recorded, ``None`` if none has.
    """
    how_long = duration(waited.total_seconds())
    if state.worker_failure is not None:
        return f'a worker failed before the task, and none began it in {how_long}: {state.worker_failure}'
    text = f'no worker began it in {how_long}'
    if not recorded:
        return text
    return f'{text}, though it was enqueued again' if recorded.endswith(SENT_AGAIN) else f'{text}: {recorded}'


class SendingAgain:
    """Records that queued runs are enqueued again.

    :param database: the database of the store.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def claim(self, runs: Sequence[StoredRun]) -> list[StoredRun]:
        """See :meth:`.SharedClaims.claim_again`."""
        try:
            return ascii_if_refused(partial(self._claim, runs))
        except NotSent as exc:
            if len(runs) > 1:
                # one that cannot be enqueued keeps no other from it
                return [claimed for run in runs for claimed in self.claim([run])]
            log.warning('task %s is not enqueued again: %s', runs[0].task.name, exc)
        except Unavailable as exc:
            log.warning('%d queued runs are not enqueued again: %s', len(runs), exc)
        return []

    def _claim(self, runs: Sequence[StoredRun]) -> list[StoredRun]:
        engine: Any = runs[0].engine
        with self._database.begin() as connection:
            claimed = [run for run in runs if self._is_claimed(connection, run)]
            if not claimed:
                return []
            states = _message_states(connection, engine, claimed)
            sent = [run for run in claimed if not _of(run, states).waits]
            for run in claimed:
                self._record(connection, run, _of(run, states))
            if sent and engine.within_claim:
                enqueue_within_claim(connection, engine, sent)
        for run in claimed:
            if run not in sent:
                log.info('task %s waits for a worker: %s', run.task.name, _of(run, states).text)
        return sent

    @staticmethod
    def _is_claimed(connection: StoreConnection, run: StoredRun) -> bool:
        after: Any = run.sent_after
        try:
            return TaskClaims(connection).send_again(run.task.name, run.run_id, after)
        except Locked:
            # a worker begins it, or another process records the same
            return False

    @staticmethod
    def _record(connection: StoreConnection, run: StoredRun, state: MessageState) -> None:
        """Record what is known of the message of a run, and that it is enqueued again unless it waits."""
        if state.is_failed:
            TaskClaims(connection).record_not_begun(run.task.name, run.run_id, state.text)
        failure = run.state and run.state.worker_failure
        text = f'a worker failed before the task: {failure}' if failure and not state.is_failed else state.text
        History(connection).record_wait(run.run_id, text if state.waits else f'{text}{SENT_AGAIN}')

    def give_back(self, failed: Mapping[StoredRun, str]) -> None:
        """See :meth:`.SharedClaims.send_again_later`."""
        with self._database.begin() as connection:
            for run, reason in failed.items():
                with suppress(Locked):
                    TaskClaims(connection).send_again_later(run.task.name, run.run_id)
                    History(connection).record_wait(run.run_id, f'it cannot be enqueued again: {reason}')


def _message_states(
    connection: StoreConnection, engine: Engine, runs: Sequence[StoredRun]
) -> Mapping[str, MessageState]:
    try:
        with connection.limited():
            return engine.message_states(runs, connection.driver_connection if engine.within_claim else None)
    except Exception as exc:
        raise NotSent(exc) from exc


def _of(run: StoredRun, states: Mapping[str, MessageState]) -> MessageState:
    """Return what the engine knows of the message of a run."""
    return states.get(run.run_id) or MessageState('no worker has begun it')


def record_worker_failure(database: Database, delivery: Delivery, exc: BaseException, pid: int, host: str) -> None:
    """Record that a worker has taken the message of a queued run and failed before it began the task.

    :raises Unavailable: if the database is not available.
    """
    with database.autocommit() as connection:
        state = TaskStates(connection).get(delivery.task)
    if state is None or state.run_id is None:
        return
    if state.handed_over_for != handed_over_for(delivery.minute, delivery.token or ''):
        return
    reason = f'{class_name(exc)}: {message(exc)}'[:MOST_CHARACTERS] + f', {process_of(pid, host)}'
    ascii_if_refused(partial(_record_worker_failure, database, state.task, state.run_id, reason))


def _record_worker_failure(database: Database, task: str, run_id: str, reason: str) -> None:
    with database.begin() as connection:
        if TaskClaims(connection).record_not_begun(task, run_id, reason):
            History(connection).record_wait(run_id, f'a worker failed before the task: {reason}')
