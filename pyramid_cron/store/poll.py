"""Polls the store at a tick: which tasks may run, which processes are dead, and which minutes were missed."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import datetime
from typing import NamedTuple

from pyramid_cron.claims import Delivery, NotClaimed, Unavailable, too_late
from pyramid_cron.reports import ALREADY_RUN, LOST, PAUSED, SKIPPED, duration
from pyramid_cron.schedules import clock
from pyramid_cron.store.acquire import still_claimed
from pyramid_cron.store.database import Database
from pyramid_cron.store.decision import NOTHING, Decision, decide
from pyramid_cron.store.history import History
from pyramid_cron.store.last_result import of_missed
from pyramid_cron.store.leases import PidNamespace
from pyramid_cron.store.missed import notify_missed, record_skipped
from pyramid_cron.store.options import Options
from pyramid_cron.store.reap import Lost, Reaper
from pyramid_cron.store.recently_due import RecentlyDue
from pyramid_cron.store.run import ALREADY_CLAIMED, MakeRun, StoredRun, handed_over_for
from pyramid_cron.store.schedule_text import is_schedule_of
from pyramid_cron.store.task_state import TaskState, TaskStates
from pyramid_cron.store.texts import busy_reason, paused_reason, running_process
from pyramid_cron.store.ticks import Tick, Ticks
from pyramid_cron.tasks import Task, Tasks

log = logging.getLogger(__name__)

NOT_ENQUEUED_HERE = NotClaimed(
    'it was not enqueued by way of this store: compare the cron.store of the worker with that of the web servers'
)

# seconds that the minute of a tick may be ahead of the database's clock
MOST_AHEAD = 60


class Polled(NamedTuple):
    """The rows that a tick has read.

    :param tick: the row of the ticks.
    :param states: the states of the tasks that may have to run, by their names.
    :param wanted: the registered tasks among them.
    """

    tick: Tick
    states: Mapping[str, TaskState]
    wanted: Mapping[str, Task]


class Poll:
    """Looks for runs in as few statements as possible.

    :param database: the database of the store.
    :param options: the settings of the store.
    :param namespace: returns the PID namespace of this process.
    :param make_run: makes a :class:`.StoredRun`.
    """

    def __init__(
        self, database: Database, options: Options, namespace: Callable[[], PidNamespace], make_run: MakeRun
    ) -> None:
        self._database = database
        self._options = options
        self._reaper = Reaper(database, options, namespace)
        self._make_run = make_run
        self._recently_due = RecentlyDue(options.grace)

    def due(self, tasks: Tasks, instant: datetime) -> list[StoredRun]:
        """Return the runs of a tick. With nothing due and nothing to catch up, that takes one statement.

        :raises Unavailable: if the minute is too far ahead of the database's clock.
        """
        stored = {task.name: task for task in tasks if task.store}
        polled = self._read(tasks, stored, instant)
        if polled is None:
            return []
        states = self._registered(polled.wanted.values(), polled.states, instant)
        runs: list[StoredRun] = []
        # the rows include those that are claimed or are to run once more
        for name in {**polled.wanted, **states} if polled.tick.attention else polled.wanted:
            state, lost = self._reaper.reap(states[name], stored.get(name), instant, polled.tick.clock)
            if name in stored:
                if lost is not None and not lost.will_retry:
                    runs.append(self._lost_run(stored[name], states[name], lost))
                runs += self._decided(stored[name], state, instant, polled.tick.clock)
            else:
                self._cancel_old_retry(state, instant)
        return runs

    def _lost_run(self, task: Task, state: TaskState, lost: Lost) -> StoredRun:
        """Return the run that was lost, for the report of the tick. Its loss is in the log already."""
        process = running_process(state, self._options.zone)
        not_claimed = NotClaimed(process, level=logging.DEBUG, outcome=LOST)
        return self._make_run(task, lost.minute, not_claimed=not_claimed)

    def _read(self, tasks: Tasks, stored: Mapping[str, Task], instant: datetime) -> Polled | None:
        """Record the tick, and read the rows that matter for it; return ``None`` if there are none."""
        recent = self._recently_due.at(tasks, instant)
        with self._database.autocommit() as connection:
            tick = Ticks(connection).record(instant, MOST_AHEAD)
            self._require_present(instant, tick)
            before = tick.before
            gap = tick.last == instant and before is not None and instant - before > clock.MINUTE
            if recent == [] and not gap and not tick.attention:
                return None
            everything = recent is None or gap
            names = None if recent is None or gap else [task.name for task in recent]
            states = TaskStates(connection).load(names)
        if gap and before is not None:
            self._record_gap(before + clock.MINUTE, instant - clock.MINUTE)
        return Polled(tick, states, stored if everything else {task.name: task for task in recent or ()})

    def _require_present(self, instant: datetime, tick: Tick) -> None:
        ahead = instant.timestamp() - tick.clock
        if ahead > MOST_AHEAD:
            raise Unavailable(
                f"the minute {self._options.shown(instant)} is {duration(ahead)} ahead of the database's clock: "
                'set the clock of this machine, or that of the database'
            )

    def named(self, wanted: Collection[Task], instant: datetime) -> None:
        """Prepare the rows of tasks for runs by name."""
        with self._database.autocommit() as connection:
            states: Mapping[str, TaskState] = TaskStates(connection).load([task.name for task in wanted])
            now = connection.clock()
        states = self._registered(wanted, states, instant)
        for task in wanted:
            self._reaper.reap(states[task.name], task, instant, now)

    def delivered(self, task: Task, delivery: Delivery, instant: datetime) -> StoredRun:
        """Return the run of a delivery, which is to begin in this process."""
        minute = delivery.minute
        with self._database.autocommit() as connection:
            state = TaskStates(connection).get(task.name)
        if state is None or (minute is not None and not state.has_begun(minute)):
            return self._make_run(task, minute, not_claimed=NOT_ENQUEUED_HERE)
        if state.handed_over_for != handed_over_for(minute, delivery.token or ''):
            # delivered for the second time, or expired
            return self._make_run(task, minute, not_claimed=NotClaimed(ALREADY_RUN, level=logging.INFO))
        late = too_late(task, minute, self._options.catch_up, clock.now())
        if late is not None:
            self._reaper.expire(state, task, instant, late.reason)
        return self._make_run(task, minute, state.attempt, late, enqueued_id=state.run_id)

    def _registered(
        self, wanted: Collection[Task], states: Mapping[str, TaskState], instant: datetime
    ) -> Mapping[str, TaskState]:
        """Return the states of tasks after tasks and schedules that are new in this process were registered."""
        if all(task.name in states and is_schedule_of(task, states[task.name].schedule) for task in wanted):
            return states
        with self._database.begin() as connection:
            of_tasks = TaskStates(connection)
            of_tasks.register(wanted, states, instant)
            return of_tasks.load()

    def _decided(self, task: Task, state: TaskState, instant: datetime, now: float) -> Iterator[StoredRun]:
        """Yield the run of a task, if it has one or is due, with the reason why it may not begin."""
        if state.is_claimed:
            if task.check(instant):
                yield self._overlap(task, state, instant, now)
            return
        decision = decide(task, state, instant, self._options.grace(task))
        if decision.attempt:
            yield self._make_run(
                task, decision.minute, decision.attempt, decision=decision, state=state, engine=task.engine
            )
            return
        if decision != NOTHING:
            self._skip(task, state, decision)
        if task.check(instant):
            paused = state.pause is not None and state.is_paused(instant)
            reason = paused_reason(state.pause) if state.pause is not None else ''
            not_claimed = NotClaimed(reason, level=logging.INFO, outcome=PAUSED) if paused else ALREADY_CLAIMED
            yield self._make_run(task, instant, not_claimed=not_claimed)

    def _overlap(self, task: Task, state: TaskState, instant: datetime, now: float) -> StoredRun:
        """Return the run of a task that is due while its previous run is in progress, perhaps for this very minute."""
        if state.has_begun(instant):
            return self._make_run(task, instant, not_claimed=ALREADY_CLAIMED)
        with self._database.begin() as connection:
            reason = busy_reason(state, self._options.zone)
            History(connection).record_without_run(task.name, [instant], SKIPPED, reason)
        return self._make_run(task, instant, not_claimed=still_claimed(state, self._options, now))

    def _record_gap(self, first: datetime, last: datetime) -> None:
        with self._database.begin() as connection:
            new = Ticks(connection).record_gap(first, last)
        if new:
            log.warning(
                'no tick came from %s to %s (%s)',
                self._options.shown(first),
                self._options.shown(last),
                duration((last - first + clock.MINUTE).total_seconds()),
            )

    def _skip(self, task: Task, state: TaskState, decision: Decision) -> None:
        """Record minutes for which a task does not run."""
        if decision.cancel_retry is not None:
            self._cancel_retry(task, decision.cancel_retry)
        if decision.minute is None:
            return
        with self._database.begin() as connection:
            result = of_missed(decision.missed[-1]) if decision.missed else {}
            new = TaskStates(connection).skip_to(task.name, decision.minute, **result)
            if new:
                record_skipped(connection, task, decision, state)
        if new:
            notify_missed(self._options, task, decision.missed)

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
