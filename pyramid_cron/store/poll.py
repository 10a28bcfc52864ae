"""What a tick finds in the store: whose turn it is, who has died, and which minutes nobody asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from pyramid_cron.claims import Delivery, Held, Unavailable, too_late
from pyramid_cron.events import TaskLost, TaskMissed
from pyramid_cron.reports import ALREADY_RUN, LOST, MISSED, SKIPPED, TaskReport, duration
from pyramid_cron.schedules import clock
from pyramid_cron.store import decision, history, missed, task_state
from pyramid_cron.store.database import Database
from pyramid_cron.store.due import RecentlyDue
from pyramid_cron.store.leases import Place
from pyramid_cron.store.schema import database_clock
from pyramid_cron.store.task_state import Row, Rows
from pyramid_cron.store.turns import (
    ALREADY,
    Options,
    StoredTurn,
    busy_reason,
    is_waiting,
    paused_reason,
    queued_for,
    still_running,
    whose,
)
from pyramid_cron.tasks import Task, Tasks

log = logging.getLogger(__name__)

UNKNOWN = Held('nobody has handed it over in this store: has the worker the cron.store of the web servers?')

# seconds that the minute of a tick may be ahead of the database's clock
MOST_AHEAD = 60


class Look:
    """Looks at the store, as briefly as can be.

    :param database: the store's.
    :param options: what the settings say.
    :param place: where this process is.
    """

    def __init__(self, database: Database, options: Options, place: Callable[[], Place]) -> None:
        self._database = database
        self._options = options
        self._place = place
        self._recently_due = RecentlyDue(options.grace)

    def at(self, tasks: Tasks, instant: datetime) -> list[StoredTurn]:
        """Return the turns at a tick. With nothing due, and nothing to catch up, that takes one statement.

        :raises Unavailable: if the minute is not to be believed.
        """
        recent = self._recently_due.at(tasks, instant)
        app = self._options.app
        with self._database.autocommit() as connection:
            tick = task_state.tick(connection, app, instant, MOST_AHEAD)
            ahead = instant.timestamp() - tick.clock
            if ahead > MOST_AHEAD:
                raise Unavailable(
                    f"the minute {self._options.shown(instant)} is {duration(ahead)} ahead of the database's clock: "
                    'set the clock of this machine, or that of the database'
                )
            before = tick.before
            gap = tick.last == instant and before is not None and instant - before > clock.MINUTE
            if recent == [] and not gap and not tick.attention:
                return []
            everything = recent is None or gap
            known = task_state.known(connection, app, None if everything else [task.name for task in recent or ()])
        if gap and before is not None:
            self._record_gap(before + clock.MINUTE, instant - clock.MINUTE)
        durable = {task.name: task for task in tasks if task.store}
        wanted = durable if everything else {task.name: task for task in recent or ()}
        known = self.deployed(wanted.values(), known, instant)
        turns: list[StoredTurn] = []
        # with those that are running, or are to be run once more
        for name in {**wanted, **known} if tick.attention else wanted:
            row, lost = self.released(known[name], durable.get(name), instant, tick.clock)
            if name in durable:
                if lost and row['again'] is None:
                    held = Held(whose(known[name], self._options.zone), None, logging.DEBUG, LOST)
                    turns.append(StoredTurn(durable[name], row['last_minute'], held=held))
                turns += self._judged(durable[name], row, instant, tick.clock)
            elif row['again'] is not None and instant - row['last_minute'] > self._options.catch_up:
                # nobody knows it any more, and every tick would look at it
                with self._database.begin() as connection:
                    task_state.give_up(connection, app, name, row['last_minute'])
        return turns

    def named(self, wanted: Collection[Task], instant: datetime) -> None:
        """Prepare tasks for a run that somebody asked for by name."""
        with self._database.autocommit() as connection:
            known = task_state.known(connection, self._options.app, [task.name for task in wanted])
            now = connection.scalars(select(database_clock())).one()
        known = self.deployed(wanted, known, instant)
        for task in wanted:
            self.released(known[task.name], task, instant, now)

    def delivered(self, task: Task, delivery: Delivery, instant: datetime) -> StoredTurn:
        """Return the turn of a task that was handed over, and is to begin in this process."""
        minute = delivery.minute
        with self._database.autocommit() as connection:
            row = task_state.known(connection, self._options.app, [task.name]).get(task.name)
        if row is None or (minute is not None and (row['last_minute'] is None or row['last_minute'] < minute)):
            return StoredTurn(task, minute, held=UNKNOWN)
        if row['queued'] != queued_for(minute, delivery.token or ''):
            # delivered for the second time, or given up
            return StoredTurn(task, minute, held=Held(ALREADY_RUN, level=logging.INFO))
        held = too_late(task, minute, self._options.catch_up)
        if held is not None:
            self._give_up_queued(row, task, instant, held.reason)
        return StoredTurn(task, minute, row['attempt'], held, queued_id=row['run_id'])

    def deployed(self, wanted: Collection[Task], known: Rows, instant: datetime) -> Rows:
        """Return the rows of tasks, after what is new in this process was made known."""
        if not task_state.differ(wanted, known):
            return known
        with self._database.begin() as connection:
            task_state.deploy(connection, self._options.app, wanted, known, instant)
            return task_state.known(connection, self._options.app, None)

    def _judged(self, task: Task, row: Row, instant: datetime, now: float) -> Iterator[StoredTurn]:
        """Yield the turn of a task, with the reason if it has none although it is due."""
        if row['run_id'] is not None:
            if task.check(instant):
                yield self._held(task, row, instant, now)
            return
        verdict = decision.judge(task, row, instant, self._options.grace(task))
        if verdict.attempt:
            yield StoredTurn(task, verdict.minute, verdict.attempt, passed=verdict, row=row, engine=task.engine)
            return
        if verdict != decision.NOTHING:
            self._pass_over(task, row, verdict)
        if task.check(instant):
            paused = row['paused_until'] is not None and instant < row['paused_until']
            held = Held(paused_reason(row), level=logging.INFO) if paused else ALREADY
            yield StoredTurn(task, instant, held=held)

    def _held(self, task: Task, row: Row, instant: datetime, now: float) -> StoredTurn:
        """Return the turn of a task that is due and that somebody is running, perhaps for this very minute."""
        if row['last_minute'] is not None and row['last_minute'] >= instant:
            return StoredTurn(task, instant, held=ALREADY)
        with self._database.begin() as connection:
            self._record_skipped(connection, task, row, [instant])
        return StoredTurn(task, instant, held=still_running(task, row, self._options.zone, now))

    def _record_skipped(self, connection: Connection, task: Task, row: Row, minutes: Collection[datetime]) -> None:
        """Record minutes at which a task was still running."""
        reason = busy_reason(row, self._options.zone)
        history.record_unbegun(connection, self._options.app, task.name, minutes, SKIPPED, reason, clock.now())

    def released(self, row: Row, task: Task | None, instant: datetime, now: float) -> tuple[Row, bool]:
        """Release a task whose process has ended, and return its row as it is then, and whether that was done here.

        Minutes that had a tick while it seemed to be running are skipped. Those that had none are missed: it may have
        ended long ago.

        :param task: the task, ``None`` if this process has none of that name.
        :param now: what the database's clock says.
        """
        if row['run_id'] is None:
            return row, False
        if is_waiting(row):
            waits = timedelta(seconds=now - row['began'])
            if waits <= self._options.patience(task):
                return row, False
            return self._give_up_queued(
                row, task, instant, f'nobody took it in {duration(waits.total_seconds())}'
            ), False
        if not self._place().has_ended(row):
            return row, False
        app, name = self._options.app, row['task']
        with self._database.begin() as connection:
            # first, for SQLite
            lost = task_state.lose(connection, app, name, row['run_id'])
            if lost:
                history.end(
                    connection,
                    row['run_id'],
                    TaskReport(name, LOST, reason=whose(row, self._options.zone)),
                    clock.now(),
                )
                self._skip_until_last_tick(connection, row, task, instant)
            left = task_state.known(connection, app, [name])[name]
        if lost:
            log.log(
                logging.WARNING if left['again'] else logging.ERROR,
                'task %s was lost: its process has ended or says nothing any more: %s%s',
                name,
                whose(row, self._options.zone),
                '; nothing of it was committed, and it is to run once more' if left['again'] else '',
            )
            event = TaskLost(name, row['last_minute'], row['host'], row['pid'], left['again'] is not None)
            self._options.tell(event)
        return left, lost

    def _give_up_queued(self, row: Row, task: Task | None, instant: datetime, reason: str) -> Row:
        """End a run that was handed over and that nobody has begun in time, and return the row as it is then."""
        app, name = self._options.app, row['task']
        minute = None if row['queued'] == row['run_id'] else row['last_minute']
        with self._database.begin() as connection:
            given_up = task_state.give_up_queued(connection, app, name, row['run_id'])
            if given_up:
                report = TaskReport(name, LOST if minute is None else MISSED, reason=reason)
                history.end(connection, row['run_id'], report, clock.now())
                self._skip_until_last_tick(connection, row, task, instant)
            left = task_state.known(connection, app, [name])[name]
        if given_up:
            log.warning('task %s was handed over, and does not run: %s', name, reason)
            if minute is not None:
                self._options.tell(TaskMissed(name, (minute,)))
        return left

    def _skip_until_last_tick(self, connection: Connection, row: Row, task: Task | None, instant: datetime) -> None:
        until = task_state.last_tick_before(connection, self._options.app, instant)
        if until is not None and task is not None:
            # by those ticks, unless they were killed before they could
            self._record_skipped(connection, task, row, decision.owed_minutes(task, row, until))
            task_state.skip_until(connection, self._options.app, task.name, until)

    def _record_gap(self, first: datetime, last: datetime) -> None:
        with self._database.begin() as connection:
            new = history.record_gap(connection, self._options.app, first, last)
        if new:
            log.warning(
                'no tick came from %s to %s (%s)',
                self._options.shown(first),
                self._options.shown(last),
                duration((last - first + clock.MINUTE).total_seconds()),
            )

    def _pass_over(self, task: Task, row: Row, verdict: decision.Verdict) -> None:
        """Keep that a task does not run for minutes."""
        app, minutes = self._options.app, verdict.missed
        with self._database.begin() as connection:
            if verdict.minute is None:
                minutes = (row['last_minute'],)
                new = task_state.give_up(connection, app, task.name, minutes[-1])
            else:
                new = task_state.pass_over(connection, app, task.name, verdict.minute)
                if new:
                    missed.record(connection, app, task, verdict, row)
        if new:
            missed.tell(self._options, task, minutes)
