"""Minutes without a tick, and due minutes for which a task does not run: recorded, logged, sent to subscribers."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial

from pyramid_cron.durations import duration
from pyramid_cron.errors import Unavailable
from pyramid_cron.events import TaskMissed
from pyramid_cron.outcomes import MISSED, PAUSED, SKIPPED
from pyramid_cron.schedules import clock
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.database import Database
from pyramid_cron.store.decision import Decision, busy_minutes, next_due
from pyramid_cron.store.failed_ticks import FailedTicks
from pyramid_cron.store.history import History, WithoutRun
from pyramid_cron.store.last_result import of_missed
from pyramid_cron.store.options import Options
from pyramid_cron.store.registered_tasks import RegisteredTasks
from pyramid_cron.store.storable import ascii_if_refused
from pyramid_cron.store.task_results import TaskResults
from pyramid_cron.store.task_state import TaskState
from pyramid_cron.store.texts import STILL_RUNNING, busy_reason, paused_reason
from pyramid_cron.store.ticks import Ticks
from pyramid_cron.tasks import Task

log = logging.getLogger(__name__)

NO_TICK_IN_TIME = 'no tick came in time'
# of a minute for which the task waited until a newer one came
WAITED = 'its engine had no room until the next minute was due'


def skipped_minutes(
    task: Task, decision: Decision, state: TaskState | None, failed_ticks: FailedTicks
) -> Iterator[WithoutRun]:
    """Yield the minutes that a decision skips, and those during the last run that no tick has recorded.

    :param state: the state that the decision was made by, ``None`` for a run by name, which skips none.
    :param failed_ticks: the ticks that failed in this process.
    """
    if state is None:
        return
    yield WithoutRun(task.name, busy_minutes(task, state), SKIPPED, STILL_RUNNING)
    if decision.missed:
        reason = failed_ticks.reason(decision.missed[0], decision.missed[-1])
        shown = NO_TICK_IN_TIME if reason is None else f'ticks failed: {reason}'
        # the ticks of such a run have recorded the minute as skipped, and the task still owed it
        overlaps = SKIPPED if state.may_have_run_on_request else None
        yield WithoutRun(task.name, decision.missed, MISSED, shown, overlaps)
    yield WithoutRun(task.name, decision.waited, SKIPPED, WAITED)
    if decision.paused:
        reason = paused_reason(state.pauses_at(decision.paused[-1])[0])
        yield WithoutRun(task.name, decision.paused, PAUSED, reason)


def skip_minutes(
    connection: StoreConnection,
    task: Task,
    minute: datetime,
    decision: Decision,
    state: TaskState | None,
    failed_ticks: FailedTicks,
) -> bool:
    """Record that a task does not run for a minute and for those before, and return whether no other process has."""
    result = of_missed(decision.missed[-1], len(decision.missed)) if decision.missed else {}
    new = TaskResults(connection).skip_to(task.name, minute, next_due=next_due(task, minute), **result)
    if new:
        History(connection).record_without_run(skipped_minutes(task, decision, state, failed_ticks))
    return new


def notify_missed(options: Options, task: Task, minutes: Sequence[datetime]) -> None:
    """Log, and send to subscribers once, that a task does not run for minutes, the earliest first."""
    if not minutes:
        return
    first, last = options.shown(minutes[0]), options.shown(minutes[-1])
    shown = first if len(minutes) == 1 else f'{len(minutes)} minutes from {first} to {last}'
    log.warning('task %s was missed and does not run for %s', task.name, shown)
    options.notify(TaskMissed(task.name, tuple(minutes)))


class MinutesWithoutRun:
    """Records, each in a transaction of its own, the minutes for which a tick finds that tasks do not run.

    :param database: the database of the store.
    :param options: the settings of the store.
    :param failed_ticks: the ticks that failed in this process.
    """

    def __init__(self, database: Database, options: Options, failed_ticks: FailedTicks) -> None:
        self._database = database
        self._options = options
        self._failed_ticks = failed_ticks
        # the first and the last minute of each gap that this process has found and not recorded yet
        self._gaps: set[tuple[datetime, datetime]] = set()

    def add_gap(self, first: datetime, last: datetime) -> None:
        """Add a gap between ticks to those that are to be recorded.

        :param first: the first minute without a tick.
        :param last: the last of them.
        """
        self._gaps.add((first, last))

    def record_gaps(self) -> None:
        """Record the gaps that were added, and log each once over all servers; keep those for which that fails."""
        for gap in sorted(self._gaps):
            try:
                self._record_gap(*gap)
            except Unavailable as exc:
                log.warning('a gap between ticks cannot be recorded yet: %s', exc)
                return
            self._gaps.discard(gap)

    def _record_gap(self, first: datetime, last: datetime) -> None:
        problem = self._failed_ticks.reason(first, last)

        def record() -> bool:
            with self._database.begin() as connection:
                new = Ticks(connection).record_gap(first, last, problem)
                if new:
                    RegisteredTasks(connection).see_after_gap(first, last)
                return new

        if ascii_if_refused(record):
            log.warning(
                '%s from %s to %s (%s)%s',
                'no tick came' if problem is None else 'ticks failed',
                self._options.shown(first),
                self._options.shown(last),
                duration((last - first + clock.MINUTE).total_seconds()),
                '' if problem is None else f': {problem}',
            )

    def record_overlap(self, task: Task, state: TaskState, minute: datetime) -> None:
        """Record that a task does not run for a minute at which its previous run is in progress."""
        with self._database.begin() as connection:
            reason = busy_reason(state, self._options.zone)
            History(connection).record_without_run([WithoutRun(task.name, [minute], SKIPPED, reason)])

    def skip(self, task: Task, state: TaskState, decision: Decision) -> None:
        """Record minutes for which a task does not run."""
        if decision.cancel_retry is not None:
            self._cancel_retry(task, decision.cancel_retry)
        if decision.minute is None:
            return
        if ascii_if_refused(partial(self._record_skipped, task, state, decision, decision.minute)):
            notify_missed(self._options, task, decision.missed)

    def cancel_old_retry(self, state: TaskState, instant: datetime) -> None:
        """Cancel an old retry of a task that is not registered here, or else every tick would read its row."""
        minute = state.last_minute
        if state.retry_reason is not None and minute is not None and instant - minute > self._options.catch_up:
            with self._database.begin() as connection:
                TaskResults(connection).cancel_retry(state.task, minute)

    def _record_skipped(self, task: Task, state: TaskState, decision: Decision, minute: datetime) -> bool:
        with self._database.begin() as connection:
            return skip_minutes(connection, task, minute, decision, state, self._failed_ticks)

    def _cancel_retry(self, task: Task, minute: datetime) -> None:
        with self._database.begin() as connection:
            new = TaskResults(connection).cancel_retry(task.name, minute)
        if new:
            notify_missed(self._options, task, (minute,))
