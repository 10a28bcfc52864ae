"""The runs of one task at a tick by its row: one that begins, one that was lost, or why none begins."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from datetime import datetime, timezone

from pyramid_cron.not_claimed import NotClaimed
from pyramid_cron.outcomes import LOST, PAUSED
from pyramid_cron.store.acquire import still_claimed
from pyramid_cron.store.database import Database
from pyramid_cron.store.decision import NOTHING, decide, next_due
from pyramid_cron.store.late import Late
from pyramid_cron.store.missed import MinutesWithoutRun
from pyramid_cron.store.options import Options
from pyramid_cron.store.past_minute import why_not_again
from pyramid_cron.store.reap import Lost
from pyramid_cron.store.registered_tasks import RegisteredTasks
from pyramid_cron.store.run import MakeRun, StoredRun
from pyramid_cron.store.sending_again import sent_after
from pyramid_cron.store.task_state import TaskState
from pyramid_cron.store.texts import paused_reason, running_process
from pyramid_cron.tasks import Task

EARLIER_FIRST = NotClaimed('earlier minutes come first, one a minute', level=logging.DEBUG)


class DueRuns:
    """Finds the runs of tasks for the report of a tick.

    :param database: the database of the store.
    :param options: the settings of the store.
    :param make_run: makes a :class:`.StoredRun`.
    :param without_run: records the minutes for which tasks do not run.
    :param late: the ends of runs of this process that cannot be written yet.
    """

    def __init__(
        self, database: Database, options: Options, make_run: MakeRun, without_run: MinutesWithoutRun, late: Late
    ) -> None:
        self._database = database
        self._options = options
        self._make_run = make_run
        self._without_run = without_run
        self._late = late

    def lost_run(self, task: Task, state: TaskState, lost: Lost | None) -> Iterator[StoredRun]:
        """Yield the run that was lost for good, for the report of the tick. Its loss is in the log already."""
        if lost is None or lost.will_retry:
            return
        process = running_process(state, self._options.zone)
        not_claimed = NotClaimed(process, level=logging.DEBUG, outcome=LOST, excuse=lost.excuse)
        yield self._make_run(task, lost.minute, not_claimed=not_claimed)

    def decided(self, task: Task, state: TaskState, instant: datetime, now: float) -> Iterator[StoredRun]:
        """Yield the run of a task, if it has one or is due, with the reason why it may not begin."""
        if state.is_claimed:
            yield from self._sent_again(task, state, now)
            if task.check(instant):
                yield self.overlap(task, state, instant, now)
            elif self._is_stuck(task, state, instant, now):
                why = still_claimed(task, state, self._options, self._late, now)
                yield self._make_run(task, instant, not_claimed=why)
            return
        decision = decide(task, state, instant, self._options.grace(task))
        if decision == NOTHING and state.owes_from(instant):
            with self._database.begin() as connection:
                RegisteredTasks(connection).postpone(state, next_due(task, instant))
        if decision.attempt:
            yield self._make_run(
                task, decision.minute, decision.attempt, decision=decision, state=state, engine=task.engine
            )
            return
        if decision != NOTHING:
            self._without_run.skip(task, state, decision)
        if task.check(instant):
            pauses = state.pauses_at(instant)
            # a pause that began after a minute has not kept the task from running for it
            if pauses and (decision != NOTHING or state.is_paused_for(instant)):
                why = NotClaimed(paused_reason(pauses[0]), level=logging.INFO, outcome=PAUSED)
            elif task.runs_each_minute and decision != NOTHING:
                why = EARLIER_FIRST
            else:
                why = why_not_again(self._database, state, instant, self._options.zone)
            yield self._make_run(task, instant, not_claimed=why)

    def _sent_again(self, task: Task, state: TaskState, now: float) -> Iterator[StoredRun]:
        """Yield the queued run of a task if it is to be enqueued again, because no worker has begun it."""
        at = datetime.fromtimestamp(now, timezone.utc)
        after = sent_after(state, self._options.queue_timeout(task), at)
        if after is None or task.engine is None:
            return
        # of a run by name, handed_over_for is its token
        minute = None if state.handed_over_for == state.run_id else state.last_minute
        attempt = 1 if minute is None else state.attempt
        yield self._make_run(task, minute, attempt, state=state, engine=task.engine, sent_after=after)

    def overlap(self, task: Task, state: TaskState, instant: datetime, now: float) -> StoredRun:
        """Return the run of a task that is due while its previous run is in progress, perhaps for this very minute."""
        has_ended = self._late.problem_of(state.run_id) is not None
        if state.has_begun(instant) and not has_ended:
            why = why_not_again(self._database, state, instant, self._options.zone)
            return self._make_run(task, instant, not_claimed=why)
        if not (has_ended or task.runs_each_minute):
            # a run that has ended keeps the task from no minute: it owes this one
            self._without_run.record_overlap(task, state, instant)
        not_claimed = still_claimed(task, state, self._options, self._late, now)
        pauses = state.pauses_at(instant)
        if pauses and not has_ended:
            not_claimed = NotClaimed(paused_reason(pauses[0]), level=logging.INFO, outcome=PAUSED)
        return self._make_run(task, instant, not_claimed=not_claimed)

    def _is_stuck(self, task: Task, state: TaskState, instant: datetime, now: float) -> bool:
        """Return whether a run is stuck in a process that lives, so that each tick reports it until it ends."""
        running = state.running_seconds(now)
        if running is None or state.is_paused(instant) or self._late.problem_of(state.run_id) is not None:
            return False
        return running > state.limits(task, self._options.window).stuck
