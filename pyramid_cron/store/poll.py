"""Polls the store at a tick: which tasks may run, which processes are dead, and which minutes were missed."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import NamedTuple

from pyramid_cron.errors import CronError, Unavailable
from pyramid_cron.not_claimed import NotClaimed
from pyramid_cron.outcomes import FAILED, LOCKED
from pyramid_cron.schedules import clock
from pyramid_cron.store.database import Database
from pyramid_cron.store.due_runs import DueRuns
from pyramid_cron.store.errors import Locked, one_line
from pyramid_cron.store.failed_ticks import FailedTicks
from pyramid_cron.store.late import Late
from pyramid_cron.store.missed import MinutesWithoutRun
from pyramid_cron.store.options import Options
from pyramid_cron.store.patience import Patience
from pyramid_cron.store.pruning import is_time
from pyramid_cron.store.reap import Reaper
from pyramid_cron.store.registration import Registration
from pyramid_cron.store.renames import Renames, load_renamed, names_of, under_other_names
from pyramid_cron.store.run import MakeRun, StoredRun
from pyramid_cron.store.stopped_ticks import report_resumed
from pyramid_cron.store.task_rows import TaskStates
from pyramid_cron.store.task_state import SEEN_INTERVAL, TaskState
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
    :param everything: whether all tasks are looked at.
    :param before: the newest minute that had a tick before the present one, ``None`` if that is not known for sure.
    """

    tick: Tick
    states: Mapping[str, TaskState]
    wanted: Collection[Task]
    everything: bool
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
        self._without_run = MinutesWithoutRun(database, options, failed_ticks)
        self._due_runs = DueRuns(database, options, make_run, self._without_run, late)
        self._registration = Registration(database, options)
        self._renames = Renames(database)
        # the minute at which this process has last looked at all of its tasks, without an error
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
        all_handled = True
        for name in dict.fromkeys([*(task.name for task in polled.wanted), *others, *states]):
            if name in renamed:
                continue
            task, rows = stored.get(name), (states.get(name), others.get(name))
            try:
                # one by one: an error leaves those before it
                for run in self._of_task(task, *rows, work.minute, polled):
                    runs.append(run)
            except Exception as exc:
                all_handled = False
                not_claimed = _not_claimed(name, exc)
                if task is None:
                    work.add_problem(f'task {name}: {not_claimed.reason}')
                else:
                    runs.append(self._make_run(task, work.minute, not_claimed=not_claimed))
        seen = {task.name: states[task.name] for task in polled.wanted if task.name in states}
        self._registration.see(seen, work.minute, polled.tick.future)
        self._registration.record_callables(polled.wanted, states, work.minute, polled.tick.future)
        if polled.everything:
            self._renames.take_over_history(polled.wanted)
            if all_handled:
                self._looked_at_all = work.minute
        return runs

    def _of_task(
        self, task: Task | None, state: TaskState | None, other: TaskState | None, instant: datetime, polled: Polled
    ) -> Iterator[StoredRun]:
        """Yield the runs of a task for the report of a tick, after its run was reaped if its process is dead.

        Each step waits for a locked row by itself. A lost run is yielded before the next step: no later look at the row
        finds it, whatever keeps the tick from the other steps.

        :param other: its row under another name.
        """
        tick = polled.tick
        if task is not None and other is not None:
            left, lost = self._patience.call(partial(self._reaper.reap, other, None, instant, tick.clock))
            yield from self._due_runs.lost_run(task, other, lost)
            state = self._patience.call(partial(self._renames.take_over, task, left))
        if state is None:
            raise CronError('its row was inserted and is not found: run "pcron store check"')
        if task is not None and state.task != task.name:
            if task.check(instant):
                yield self._due_runs.overlap(task, state, instant, tick.clock)
            return
        left, lost = self._patience.call(partial(self._reaper.reap, state, task, instant, tick.clock))
        if task is None:
            self._patience.call(partial(self._update_unregistered, state, left, instant, tick))
            return
        yield from self._due_runs.lost_run(task, state, lost)
        yield from self._patience.call(partial(self._decided, task, left, instant, polled))

    def _update_unregistered(self, state: TaskState, left: TaskState, instant: datetime, tick: Tick) -> None:
        """Correct the row of a task that is not registered here, and report that no process has it if that is so.

        :param left: its state after its run was reaped.
        """
        left = self._wrong_clock.correct_task(left, tick, is_registered=False)
        self._without_run.cancel_old_retry(left, instant)
        if left is state and left.is_unregistered(tick.before) and not left.is_reported:
            self._registration.report_unregistered(left, instant)

    def _decided(self, task: Task, left: TaskState, instant: datetime, polled: Polled) -> list[StoredRun]:
        """Return the runs of a task that is registered here, after its row was corrected and brought up to date."""
        left = self._wrong_clock.correct_task(left, polled.tick, is_registered=True)
        left = self._registration.update(task, left, instant, polled.before)
        return list(self._due_runs.decided(task, left, instant, polled.tick.clock))

    def _read(self, tasks: Tasks, stored: Mapping[str, Task], work: TickWork) -> Polled | None:
        """Record the tick, and read the rows that matter for it; return ``None`` if there are none."""
        instant = work.minute
        due = [task for task in tasks.due(instant) if task.store]
        looked = self._looked_at_all
        all_in_turn = looked is None or abs(instant - looked) >= SEEN_INTERVAL
        # those that a tick could not record, before rows are read: the times at which tasks were seen depend on them
        self._without_run.record_gaps()
        with self._database.autocommit() as connection:
            nothing_due = not due and not all_in_turn
            try:
                tick, read = record_and_load(connection, instant, MOST_AHEAD, names_of(due), nothing_due)
            except Exception:
                # MariaDB may have recorded the tick, and no later tick then finds the gap before it
                self._looked_at_all = None
                raise
            self._wrong_clock.require_present(work, tick)
            was_wrong = self._wrong_clock.correct_ticks(connection, tick)
            if was_wrong:
                tick = Ticks(connection).record(instant, MOST_AHEAD)
            report_resumed(connection, tick, self._options)
            work.prunes = is_time(tick.pruned, instant)
            before = tick.before
            gap = tick.last == instant and before is not None and instant - before > clock.MINUTE
            if gap and before is not None:
                self._without_run.add_gap(before + clock.MINUTE, instant - clock.MINUTE)
            everything = all_in_turn or gap or was_wrong
            if not (due or everything or tick.attention):
                return None
            if everything:
                # after an error, the next tick looks at all of them again
                self._looked_at_all = None
            wanted = list(stored.values()) if everything else due
            states = None if everything else read
            if states is None:
                states = TaskStates(connection).load(None if everything else names_of(due), instant)
            found = load_renamed(connection, wanted, states)
        self._without_run.record_gaps()
        return Polled(tick, found, wanted, everything, None if was_wrong else before)


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
