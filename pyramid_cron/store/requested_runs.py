"""Runs that are requested otherwise than by a tick: by name, and by the delivery of a message of a queue."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping
from datetime import datetime

from pyramid_cron.claims import Backfill, Delivery
from pyramid_cron.not_claimed import NotClaimed, too_late
from pyramid_cron.outcomes import FAILED
from pyramid_cron.schedules import clock
from pyramid_cron.store.database import Database
from pyramid_cron.store.history import Enqueued, History
from pyramid_cron.store.options import Options
from pyramid_cron.store.past_minute import why_not_delivered
from pyramid_cron.store.reap import Reaper
from pyramid_cron.store.registration import Registration
from pyramid_cron.store.renames import Renames, load_renamed, names_of, under_other_names
from pyramid_cron.store.run import MakeRun, StoredRun, handed_over_for, minute_of_token
from pyramid_cron.store.task_rows import TaskStates
from pyramid_cron.store.task_state import TaskState
from pyramid_cron.tasks import Task, Tasks

NOT_ENQUEUED_HERE = NotClaimed(
    'it was not enqueued by way of this store: compare the cron.store of the worker with that of the web servers',
    level=logging.ERROR,
    outcome=FAILED,
)


class RequestedRuns:
    """Prepares the rows of tasks for such runs, and finds whether they may begin.

    :param database: the database of the store.
    :param options: the settings of the store.
    :param reaper: ends the runs of dead processes.
    :param make_run: makes a :class:`.StoredRun`.
    """

    def __init__(self, database: Database, options: Options, reaper: Reaper, make_run: MakeRun) -> None:
        self._database = database
        self._options = options
        self._reaper = reaper
        self._make_run = make_run
        self._registration = Registration(database, options)
        self._renames = Renames(database)

    def prepare(self, tasks: Tasks, wanted: Collection[Task]) -> None:
        """Prepare the rows of tasks for runs by name.

        :param wanted: these tasks, of all that are registered.
        """
        with self._database.autocommit() as connection:
            states: Mapping[str, TaskState] = TaskStates(connection).load(names_of(wanted))
            states = load_renamed(connection, wanted, states)
            # not the clock of this machine, which may be ahead
            now = connection.now()
        instant = clock.minute_of(now)
        others = under_other_names(tasks.stored(), states)
        states = self._registration.add_new(wanted, states, others, instant)
        for task in wanted:
            if task.name in others:
                self._renames.take_over(task, self._reaper.reap(others[task.name], None, instant, now.timestamp())[0])
            else:
                self._reaper.reap(states[task.name], task, instant, now.timestamp())

    def delivered(self, task: Task, delivery: Delivery, instant: datetime) -> StoredRun:
        """Return the run of a delivery, which is to begin in this process."""
        minute = delivery.minute
        with self._database.autocommit() as connection:
            state = TaskStates(connection).get(task.name)
        if state is None or (minute is not None and not state.has_begun(minute)):
            return self._make_run(task, minute, not_claimed=NOT_ENQUEUED_HERE)
        if state.handed_over_for != handed_over_for(minute, delivery.token or ''):
            # delivered for the second time, or expired
            why = why_not_delivered(self._database, state, delivery, self._options.zone)
            return self._make_run(task, minute, not_claimed=why)
        later = state.attempt > 1 or (minute is not None and state.has_waited(minute))
        enqueued = state.started if later else None
        late = too_late(task, minute, self._options.catch_up, clock.now(), enqueued)
        if late is not None:
            self._reaper.expire(state, task, instant, late.reason)
        # the attempts in the row are those of its last minute
        attempt = 1 if minute is None else state.attempt
        run = self._make_run(task, minute, attempt, late, state=state, enqueued_id=state.run_id)
        past = None if delivery.token is None else minute_of_token(delivery.token)
        if past is not None:
            run = self._backfill(task, past, state)
        # no other run of the task ends while this one holds the row
        run.since = state.last_success_for
        return run

    def _backfill(self, task: Task, minute: datetime, state: TaskState) -> StoredRun:
        """Return the run of a delivery that is a backfill. Whether the minute was ok was decided by its claim."""
        with self._database.autocommit() as connection:
            record = History(connection).enqueued(state.run_id or '') or Enqueued(None, 1)
        return self._make_run(
            task,
            minute,
            record.attempt,
            state=state,
            requested_by=record.requested_by,
            enqueued_id=state.run_id,
            backfill=Backfill(task.name, minute, again=True),
        )
