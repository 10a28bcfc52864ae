"""Claims runs: one by itself, the first of several that is free, or all of several that are free."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from functools import partial
from itertools import islice, takewhile

from pyramid_cron.claims import Claimed, NotClaimed, Unavailable
from pyramid_cron.reports import FAILED, LOCKED, TaskReport
from pyramid_cron.schedules import clock
from pyramid_cron.store.acquire import (
    NotSent,
    acquire,
    acquire_first,
    enqueue_within_claim,
    is_plain,
    why_not_free,
)
from pyramid_cron.store.circuit_breaker import CircuitOpen
from pyramid_cron.store.complete import Completion
from pyramid_cron.store.database import Database
from pyramid_cron.store.errors import Locked, Refused
from pyramid_cron.store.failed_ticks import FailedTicks
from pyramid_cron.store.history import History
from pyramid_cron.store.last_result import of_unsent
from pyramid_cron.store.missed import notify_missed
from pyramid_cron.store.options import Options
from pyramid_cron.store.own_process import OwnProcess
from pyramid_cron.store.patience import Patience
from pyramid_cron.store.run import ALREADY_CLAIMED, StoredRun, new_token
from pyramid_cron.store.storable import ascii_if_refused
from pyramid_cron.store.task_rows import TaskStates

log = logging.getLogger(__name__)

# the claim of an interrupted or unanswered statement may stand all the same, although no run has begun
NOT_ANSWERED = 'the database did not answer whether it was to begin'
NO_HEARTBEAT = 'its heartbeat could not begin'
# runs at most that one statement looks at for one that is free
MOST_LOOKS = 128
# runs that one transaction enqueues
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
        except Locked as exc:
            run.work.add_problem(f'task {run.task.name}: {exc}')
            return NotClaimed(str(exc), level=logging.ERROR, outcome=LOCKED)
        except BaseException as exc:
            self._add_problem(run, exc)
            self._abandon([run], exc)
            raise
        self._begin(run)
        return None

    def claim_first(self, runs: Iterable[StoredRun]) -> Claimed:
        """See :meth:`.SharedClaims.claim_first`."""
        runs = iter(runs)
        first = next(runs)
        if not is_plain(first):
            return self._claim_only(first)
        wanted = [first, *takewhile(is_plain, islice(runs, first.work.looks - 1))]
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

    def _claim_only(self, run: StoredRun) -> Claimed:
        """Claim a run by itself, because its claim records more than the run."""
        run.not_claimed = self.claim(run)
        return Claimed([run], []) if run.not_claimed is None else Claimed([], [])

    def claim_all(self, runs: Sequence[StoredRun]) -> Claimed:
        """See :meth:`.SharedClaims.claim_all`."""
        claimed: list[StoredRun] = []
        not_free: list[StoredRun] = []
        plain = [run for run in runs if is_plain(run)]
        for start in range(0, len(plain), LARGEST_BATCH):
            self._claim_batch(plain[start : start + LARGEST_BATCH], claimed, not_free)
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
        if claimed and not _is_within_claim(runs[0]):
            try:
                self._own.heartbeat.begin(len(claimed))
            except BaseException:
                self._abandon_each(claimed, NO_HEARTBEAT)
                raise
        return claimed

    def _acquire_in_transaction(self, runs: Sequence[StoredRun], most: int) -> list[StoredRun]:
        engine = runs[0].engine
        one_statement = self._database.dialect.has_writing_ctes and not _is_within_claim(runs[0])
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
            return acquire(connection, self._own.process, run, self._failed_ticks)

    def _begin(self, run: StoredRun) -> None:
        """Begin the heartbeats of a run that is claimed, and report the minutes that it skips."""
        try:
            self._own.heartbeat.begin()
        except BaseException:
            self._completion.abandon(run, NO_HEARTBEAT, has_begun=False)
            raise
        try:
            notify_missed(self._options, run.task, run.decision.missed)
        except BaseException:
            self._completion.abandon(run, 'it was interrupted before it began', has_begun=False)
            self._own.heartbeat.end(after_beat=True)
            raise

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
                run.run_id = new_token()

    def _record_not_sent(self, run: StoredRun, exc: NotSent) -> None:
        """Record that a run could not be enqueued. Its claim is rolled back, and the next tick finds it as missed."""
        minute = run.minute
        if minute is None:
            return
        task, error = run.task.name, TaskReport(run.task.name, FAILED, exception=exc.__cause__).error

        def record() -> None:
            with self._database.begin() as connection:
                TaskStates(connection).record_outcome(task, **of_unsent(minute, clock.now(), error))
                History(connection).record_without_run(task, [minute], FAILED, str(exc))

        try:
            ascii_if_refused(record)
        except Unavailable as failure:
            log.warning('it cannot be recorded that task %s was not enqueued: %s', task, failure)


def _is_within_claim(run: StoredRun) -> bool:
    return run.engine is not None and run.engine.within_claim
