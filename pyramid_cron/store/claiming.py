"""Claims runs: one by itself, the first of several that is free, or all of several that are free."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice

from pyramid_cron.claims import Claimed
from pyramid_cron.errors import Unavailable
from pyramid_cron.not_claimed import NotClaimed
from pyramid_cron.outcomes import FAILED, LOCKED
from pyramid_cron.reports import TaskReport
from pyramid_cron.schedules import clock
from pyramid_cron.store.acquire import (
    NotSent,
    acquire,
    acquire_first,
    enqueue_within_claim,
    skips,
    why_not_free,
)
from pyramid_cron.store.backfill import LeftAlone
from pyramid_cron.store.circuit_breaker import CircuitOpen
from pyramid_cron.store.complete import Completion
from pyramid_cron.store.database import Database
from pyramid_cron.store.errors import Locked, Refused
from pyramid_cron.store.failed_ticks import FailedTicks
from pyramid_cron.store.history import History, WithoutRun
from pyramid_cron.store.last_result import of_unsent
from pyramid_cron.store.missed import notify_missed
from pyramid_cron.store.options import Options
from pyramid_cron.store.own_process import OwnProcess
from pyramid_cron.store.patience import Patience
from pyramid_cron.store.run import ALREADY_CLAIMED, StoredRun
from pyramid_cron.store.run_end import RunEnd
from pyramid_cron.store.storable import ascii_if_refused
from pyramid_cron.store.task_results import TaskResults
from pyramid_cron.store.task_rows import TaskStates

log = logging.getLogger(__name__)

# the claim of an interrupted or unanswered statement may stand all the same, although no run has begun
NOT_ANSWERED = 'the database did not answer whether it was to begin'
NO_HEARTBEAT = 'its heartbeat could not begin'
# runs at most that one statement looks at for one that is free
MOST_LOOKS = 128
# runs that one transaction enqueues, with the minutes that they skip
LARGEST_BATCH = 500


class Claiming:
    """Claims runs for this process.

    :param database: the database of the store.
    :param options: the settings of the store.
    :param own: this process.
    :param completion: writes the ends of runs that do not begin.
    :param failed_ticks: the ticks that failed in this process.
    :param patience: waits for locked rows.
    """

    def __init__(
        self,
        database: Database,
        options: Options,
        own: OwnProcess,
        completion: Completion,
        failed_ticks: FailedTicks,
        patience: Patience,
    ) -> None:
        self._database = database
        self._options = options
        self._own = own
        self._completion = completion
        self._failed_ticks = failed_ticks
        self._patience = patience

    def claim(self, run: StoredRun) -> NotClaimed | None:
        """See :meth:`.Run.claim`."""
        try:
            if not self._patience.call(partial(ascii_if_refused, partial(self._acquire, run))):
                [why] = self.why_not_free([run])
                return why or ALREADY_CLAIMED
        except NotSent as exc:
            self._record_not_sent(run, exc)
            raise Unavailable(str(exc), brief=exc.brief) from exc.__cause__
        except LeftAlone as exc:
            return exc.not_claimed
        except Locked as exc:
            run.work.add_problem(f'task {run.task.name}: {exc}')
            return NotClaimed(str(exc), level=logging.ERROR, outcome=LOCKED)
        except BaseException as exc:
            self._add_problem(run, exc)
            self._abandon([run], exc)
            raise
        self._begin([run], with_since=run.enqueued_id is None and run.backfill is None)
        return None

    def claim_first(self, runs: Iterable[StoredRun]) -> Claimed:
        """See :meth:`.SharedClaims.claim_first`."""
        runs = iter(runs)
        first = next(runs)
        wanted = [first, *islice(runs, first.work.looks - 1)]
        try:
            claimed = self._acquire_first(wanted, 1)
        except Exception as exc:
            self._add_problem(first, exc)
            raise
        not_free = wanted[: wanted.index(claimed[0])] if claimed else wanted
        # as many as other processes claim meanwhile, and more
        looks = 2 * len(not_free) + 1 if claimed else 4 * len(wanted)
        first.work.looks = min(looks, MOST_LOOKS)
        return Claimed(claimed, not_free)

    def claim_all(self, runs: Sequence[StoredRun]) -> Claimed:
        """See :meth:`.SharedClaims.claim_all`."""
        claimed: list[StoredRun] = []
        not_free: list[StoredRun] = []
        for batch in _batches(runs):
            self._claim_batch(batch, claimed, not_free)
        return Claimed(claimed, not_free)

    def _claim_batch(self, runs: list[StoredRun], claimed: list[StoredRun], not_free: list[StoredRun]) -> None:
        """Claim runs together, and add them to two lists; one that keeps the others from it is left out of both."""
        if len(runs) < 2:
            return
        try:
            found = self._acquire_first(runs, len(runs))
        except (NotSent, Refused):
            half = len(runs) // 2
            self._claim_batch(runs[:half], claimed, not_free)
            self._claim_batch(runs[half:], claimed, not_free)
        except Unavailable as exc:
            log.warning('%d tasks cannot be enqueued together, and are one by one: %s', len(runs), exc)
        else:
            claimed += found
            tokens = {run.run_id for run in found}
            not_free += [run for run in runs if run.run_id not in tokens]

    def _acquire_first(self, runs: Sequence[StoredRun], most: int) -> list[StoredRun]:
        try:
            claimed = ascii_if_refused(partial(self._acquire_in_transaction, runs, most))
        except BaseException as exc:
            self._abandon(runs, exc)
            raise
        if _is_within_claim(runs[0]):
            # they are enqueued, and end in another process
            self._notify_missed(claimed)
        elif claimed:
            # one statement has returned it
            self._begin(claimed, with_since=not self._database.dialect.has_writing_ctes)
        return claimed

    def _acquire_in_transaction(self, runs: Sequence[StoredRun], most: int) -> list[StoredRun]:
        engine = runs[0].engine
        only_claims = not _is_within_claim(runs[0]) and not any(map(skips, runs))
        one_statement = self._database.dialect.has_writing_ctes and only_claims
        with self._database.autocommit() if one_statement else self._database.begin() as connection:
            claimed = acquire_first(connection, self._own.process, runs, most, self._failed_ticks)
            if claimed and engine is not None and engine.within_claim:
                enqueue_within_claim(connection, engine, claimed)
        return claimed

    def why_not_free(self, runs: Collection[StoredRun]) -> list[NotClaimed | None]:
        """See :meth:`.SharedClaims.why_not_free`."""
        with self._database.autocommit() as connection:
            return why_not_free(connection, self._options, runs, self._completion.late)

    def _acquire(self, run: StoredRun) -> bool:
        with self._database.begin() as connection:
            return acquire(connection, self._own.process, run, self._failed_ticks, self._options)

    def _begin(self, claimed: Sequence[StoredRun], with_since: bool) -> None:
        """Begin the heartbeats of runs that are claimed, and report the minutes that they skip.

        :param with_since: whether to read the last successes of their tasks.
        """
        heartbeat = self._own.heartbeat
        try:
            heartbeat.begin(len(claimed))
        except BaseException:
            self._abandon_each(claimed, NO_HEARTBEAT)
            raise
        try:
            if with_since:
                self._read_since(claimed)
            self._notify_missed(claimed)
        except BaseException:
            self._abandon_each(claimed, 'it was interrupted before it began')
            heartbeat.end(len(claimed), after_beat=True)
            raise

    def _read_since(self, claimed: Sequence[StoredRun]) -> None:
        """Read the last successes of tasks that run here.

        Not before the claim, when another process may run them. Nor in its transaction: a SELECT that is interrupted
        there keeps SQLite's lock until its cursor is collected.
        """
        here = [run for run in claimed if run.engine is None]
        if here:
            with self._database.autocommit() as connection:
                for run in here:
                    run.since = TaskStates(connection).last_success_for(run.task.name)

    def _notify_missed(self, claimed: Sequence[StoredRun]) -> None:
        for run in claimed:
            notify_missed(self._options, run.task, run.decision.missed)

    def _add_problem(self, run: StoredRun, exc: BaseException) -> None:
        if isinstance(exc, Unavailable):
            run.work.add_problem(f'task {run.task.name}: {exc}')

    def _abandon(self, runs: Sequence[StoredRun], exc: BaseException) -> None:
        """Abandon the claims of runs after an error, because they may have been committed all the same."""
        if isinstance(exc, (CircuitOpen, NotSent, Refused)):
            return
        self._abandon_each(runs, NOT_ANSWERED)
        heartbeat = self._own.heartbeat
        heartbeat.begin()
        heartbeat.end(after_beat=True)

    def _abandon_each(self, runs: Sequence[StoredRun], reason: str) -> None:
        for run in runs:
            self._completion.abandon(run, reason, has_begun=False)
            if run.enqueued_id is None:
                # for another claim: this one is released under its token
                run.renew_token()

    def _record_not_sent(self, run: StoredRun, exc: NotSent) -> None:
        """Record that a run could not be enqueued. Its claim is rolled back, and the next tick finds it as missed."""
        minute = run.minute
        if minute is None:
            return
        task = run.task.name
        end = RunEnd.of(TaskReport(task, FAILED, exception=exc.__cause__)).scrubbed(self._database.scrub)

        def record() -> None:
            with self._database.begin() as connection:
                TaskResults(connection).record_outcome(task, **of_unsent(minute, clock.now(), end.error, end.reason))
                History(connection).record_without_run([WithoutRun(task, [minute], FAILED, str(exc))])

        try:
            ascii_if_refused(record)
        except Unavailable as failure:
            log.warning('it cannot be recorded that task %s was not enqueued: %s', task, failure)


def _is_within_claim(run: StoredRun) -> bool:
    return run.engine is not None and run.engine.within_claim


def _batches(runs: Sequence[StoredRun]) -> Iterator[list[StoredRun]]:
    """Yield runs, at least one, in lists that one transaction each enqueues: fewer where they skip many minutes."""
    batch: list[StoredRun] = []
    rows = 0
    for run in runs:
        own = 1 + skips(run)
        if batch and rows + own > LARGEST_BATCH:
            yield batch
            batch, rows = [], 0
        batch.append(run)
        rows += own
    yield batch
