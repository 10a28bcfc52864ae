"""Polls the store at a tick: which tasks may run, which processes are dead, and which minutes were missed."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import NamedTuple

from pyramid_cron.claims import NotClaimed, Unavailable
from pyramid_cron.errors import CronError
from pyramid_cron.reports import FAILED, LOCKED, LOST, PAUSED, SKIPPED, duration
from pyramid_cron.schedules import clock
from pyramid_cron.store.acquire import still_claimed
from pyramid_cron.store.database import Database
from pyramid_cron.store.decision import NOTHING, Decision, decide
from pyramid_cron.store.errors import Locked, one_line
from pyramid_cron.store.failed_ticks import FailedTicks
from pyramid_cron.store.history import History
from pyramid_cron.store.late import Late
from pyramid_cron.store.missed import notify_missed, skip_minutes
from pyramid_cron.store.options import Options
from pyramid_cron.store.past_minute import why_not_again
from pyramid_cron.store.patience import Patience
from pyramid_cron.store.pruning import is_time
from pyramid_cron.store.reap import Lost, Reaper
from pyramid_cron.store.registration import Registration
from pyramid_cron.store.renames import Renames, load_renamed, names_of, under_other_names
from pyramid_cron.store.run import MakeRun, StoredRun
from pyramid_cron.store.storable import ascii_if_refused
from pyramid_cron.store.task_rows import TaskStates, next_due
from pyramid_cron.store.task_state import SEEN_INTERVAL, TaskState
from pyramid_cron.store.texts import busy_reason, paused_reason, running_process
from pyramid_cron.store.tick_statement import record_and_load
from pyramid_cron.store.tick_work import TickWork
from pyramid_cron.store.ticks import Tick, Ticks
from pyramid_cron.store.wrong_clock import MOST_AHEAD, WrongClock
from pyramid_cron.tasks import Task, Tasks

log = logging.getLogger(__name__)


class Polled(NamedTuple):
    """The rows that a tick has read.

    :param tick: the row of the ticks.
    :param states: the states of the tasks that may have to run, by their names.
    :param wanted: the registered tasks that are due, or all if all are looked at.
    :param before: the newest minute that had a tick before the present one, ``None`` if that is not known for sure.
    """

    tick: Tick
    states: Mapping[str, TaskState]
    wanted: Collection[Task]
    before: datetime | None


class Poll:
    """Looks for runs in as few statements as possible.

    :param database: the database of the store.
    :param options: the settings of the store.
    :param reaper: ends the runs of dead processes.
    :param make_run: makes a :class:`.StoredRun`.
    :param patience: waits for locked rows.
    :param failed_ticks: the ticks that failed in this process.
    :param late: the ends of runs of this process that cannot be written yet.
    """

    def __init__(
        self,
        database: Database,
        options: Options,
        reaper: Reaper,
        make_run: MakeRun,
        patience: Patience,
        failed_ticks: FailedTicks,
        late: Late,
    ) -> None:
        self._database = database
        self._options = options
        self._reaper = reaper
        self._wrong_clock = WrongClock(database, options)
        self._make_run = make_run
        self._patience = patience
        self._failed_ticks = failed_ticks
        self._late = late
        self._registration = Registration(database, options)
        self._renames = Renames(database)
        # the minute at which this process has looked at all of its tasks
        self._looked_at_all: datetime | None = None

    def due(self, tasks: Tasks, work: TickWork) -> list[StoredRun]:
        """Return the runs of a tick. With nothing due and nothing to catch up, that takes one statement.

        An error that concerns one task is reported as the failure of that task.

        :raises Unavailable: if the minute is too far ahead of the database's clock, and without the database.
        """
        stored = tasks.stored()
        polled = self._read(tasks, stored, work)
        if polled is None:
            work.is_recorded = True
            return []
        others = under_other_names(stored, polled.states, polled.tick.before)
        states = self._registration.add_new(polled.wanted, polled.states, others, work.minute)
        renamed = {other.task for other in others.values()}
        runs: list[StoredRun] = []
        for name in dict.fromkeys([*(task.name for task in polled.wanted), *others, *states]):
            if name in renamed:
                continue
            task, rows = stored.get(name), (states.get(name), others.get(name))
            try:
                runs += self._patience.call(partial(self._of_task, task, *rows, work.minute, polled))
            except Exception as exc:
                not_claimed = _not_claimed(name, exc)
                if task is None:
                    work.add_problem(f'task {name}: {not_claimed.reason}')
                else:
                    runs.append(self._make_run(task, work.minute, not_claimed=not_claimed))
        seen = {task.name: states[task.name] for task in polled.wanted if task.name in states}
        self._registration.see(seen, work.minute, polled.tick.future)
        if self._looked_at_all == work.minute:
            self._renames.take_over_history(polled.wanted)
        return runs

    def _of_task(
        self, task: Task | None, state: TaskState | None, other: TaskState | None, instant: datetime, polled: Polled
    ) -> list[StoredRun]:
        """Return the runs of a task for the report of a tick, after its run was reaped if its process is dead.

        :param other: its row under another name.
        """
        tick = polled.tick
        runs: list[StoredRun] = []
        if task is not None and other is not None:
            left, lost = self._reaper.reap(other, None, instant, tick.clock)
            runs += self._lost_runs(task, other, lost)
            state = self._renames.take_over(task, left)
        if state is None:
            raise CronError('its row was inserted and is not found: run "pcron store check"')
        if task is not None and state.task != task.name:
            return [*runs, *([self._overlap(task, state, instant, tick.clock)] if task.check(instant) else [])]
        left, lost = self._reaper.reap(state, task, instant, tick.clock)
        left = self._wrong_clock.correct_task(left, tick, is_registered=task is not None)
        if task is None:
            self._cancel_old_retry(left, instant)
            if left is state and left.is_unregistered(tick.before) and not left.is_reported:
                self._registration.report_unregistered(left, instant)
            return []
        left = self._registration.update(task, left, instant, polled.before)
        runs += self._lost_runs(task, state, lost)
        return [*runs, *self._decided(task, left, instant, tick.clock)]

    def _lost_runs(self, task: Task, state: TaskState, lost: Lost | None) -> Iterator[StoredRun]:
        """Yield the run that was lost for good, for the report of the tick. Its loss is in the log already."""
        if lost is None or lost.will_retry:
            return
        process = running_process(state, self._options.zone)
        not_claimed = NotClaimed(process, level=logging.DEBUG, outcome=LOST)
        yield self._make_run(task, lost.minute, not_claimed=not_claimed)

    def _read(self, tasks: Tasks, stored: Mapping[str, Task], work: TickWork) -> Polled | None:
        """Record the tick, and read the rows that matter for it; return ``None`` if there are none."""
        instant = work.minute
        due = [task for task in tasks.due(instant) if task.store]
        looked = self._looked_at_all
        all_in_turn = looked is None or abs(instant - looked) >= SEEN_INTERVAL
        with self._database.autocommit() as connection:
            nothing_due = not due and not all_in_turn
            tick, read = record_and_load(connection, instant, MOST_AHEAD, names_of(due), nothing_due)
            self._wrong_clock.require_present(work, tick)
            was_wrong = self._wrong_clock.correct_ticks(connection, tick)
            if was_wrong:
                tick = Ticks(connection).record(instant, MOST_AHEAD)
            work.prunes = is_time(tick.pruned, instant)
            before = tick.before
            gap = tick.last == instant and before is not None and instant - before > clock.MINUTE
            everything = all_in_turn or gap or was_wrong
            if not (due or everything or tick.attention):
                return None
            wanted = list(stored.values()) if everything else due
            states = None if everything else read
            if states is None:
                states = TaskStates(connection).load(None if everything else names_of(due), instant)
            found = load_renamed(connection, wanted, states)
        if gap and before is not None:
            self._record_gap(before + clock.MINUTE, instant - clock.MINUTE)
        if everything:
            self._looked_at_all = instant
        return Polled(tick, found, wanted, None if was_wrong else before)

    def _decided(self, task: Task, state: TaskState, instant: datetime, now: float) -> Iterator[StoredRun]:
        """Yield the run of a task, if it has one or is due, with the reason why it may not begin."""
        if state.is_claimed:
            if task.check(instant):
                yield self._overlap(task, state, instant, now)
            return
        decision = decide(task, state, instant, self._options.grace(task))
        if decision == NOTHING and state.owes_from(instant):
            with self._database.begin() as connection:
                TaskStates(connection).postpone(state, next_due(task, instant))
        if decision.attempt:
            yield self._make_run(
                task, decision.minute, decision.attempt, decision=decision, state=state, engine=task.engine
            )
            return
        if decision != NOTHING:
            self._skip(task, state, decision)
        if task.check(instant):
            if state.pause is not None and state.is_paused(instant):
                why = NotClaimed(paused_reason(state.pause), level=logging.INFO, outcome=PAUSED)
            else:
                why = why_not_again(self._database, state, instant, self._options.zone)
            yield self._make_run(task, instant, not_claimed=why)

    def _overlap(self, task: Task, state: TaskState, instant: datetime, now: float) -> StoredRun:
        """Return the run of a task that is due while its previous run is in progress, perhaps for this very minute."""
        has_ended = self._late.problem_of(state.run_id) is not None
        if state.has_begun(instant) and not has_ended:
            why = why_not_again(self._database, state, instant, self._options.zone)
            return self._make_run(task, instant, not_claimed=why)
        if not has_ended:
            # a run that has ended keeps the task from no minute: it owes this one
            with self._database.begin() as connection:
                reason = busy_reason(state, self._options.zone)
                History(connection).record_without_run(task.name, [instant], SKIPPED, reason)
        return self._make_run(task, instant, not_claimed=still_claimed(state, self._options, self._late, now))

    def _record_gap(self, first: datetime, last: datetime) -> None:
        problem = self._failed_ticks.reason(first, last)

        def record() -> bool:
            with self._database.begin() as connection:
                new = Ticks(connection).record_gap(first, last, problem)
                if new:
                    TaskStates(connection).see_after_gap(first, last)
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

    def _skip(self, task: Task, state: TaskState, decision: Decision) -> None:
        """Record minutes for which a task does not run."""
        if decision.cancel_retry is not None:
            self._cancel_retry(task, decision.cancel_retry)
        if decision.minute is None:
            return
        if ascii_if_refused(partial(self._record_skipped, task, state, decision, decision.minute)):
            notify_missed(self._options, task, decision.missed)

    def _record_skipped(self, task: Task, state: TaskState, decision: Decision, minute: datetime) -> bool:
        with self._database.begin() as connection:
            return skip_minutes(connection, task, minute, decision, state, self._failed_ticks)

    def _cancel_retry(self, task: Task, minute: datetime) -> None:
        with self._database.begin() as connection:
            new = TaskStates(connection).cancel_retry(task.name, minute)
        if new:
            notify_missed(self._options, task, (minute,))

    def _cancel_old_retry(self, state: TaskState, instant: datetime) -> None:
        """Cancel an old retry of a task that is not registered here, or else every tick would read its row."""
        minute = state.last_minute
        if state.retry_reason is not None and minute is not None and instant - minute > self._options.catch_up:
            with self._database.begin() as connection:
                TaskStates(connection).cancel_retry(state.task, minute)


def _not_claimed(name: str, exc: Exception) -> NotClaimed:
    """Return why a task does not run, after an error about its row.

    :raises Exception: the error itself, if the connection is lost.
    """
    if isinstance(exc, Locked):
        return NotClaimed(str(exc), level=logging.ERROR, outcome=LOCKED)
    if isinstance(exc, Unavailable) and exc.disconnected:
        raise exc
    log.error('task %s: its row cannot be handled', name, exc_info=exc)
    reason = str(exc) if isinstance(exc, CronError) else f'{type(exc).__name__}: {one_line(exc)}'
    return NotClaimed(reason, level=logging.ERROR, outcome=FAILED)
