"""Writing how a run ended, also when the database is away at that time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.exc import SQLAlchemyError

from pyramid_cron.reports import FAILED, HANDED_OVER, LOST, OK, TaskReport
from pyramid_cron.schedules import clock
from pyramid_cron.store import decision, history, task_state
from pyramid_cron.store.database import Database
from pyramid_cron.store.schema import runs
from pyramid_cron.store.turns import StoredTurn, in_a_line

log = logging.getLogger(__name__)

# seconds for which the end of a run is written again, and between two attempts
WRITING, PAUSE = 4.0, 0.3

Write = Callable[[Connection], Any]


class Fenced(RuntimeError):
    """The run was taken over by another process, which took this one for dead: its work may not be committed."""

    def __init__(self) -> None:
        super().__init__('the run was taken over by another process, which took this one for dead')


class Ends:
    """Writes the ends of runs.

    :param database: the store's.
    :param app: the application.
    :param monotonic: a clock in seconds that nobody sets.
    :param sleep: waits for so many seconds.
    """

    def __init__(
        self,
        database: Database,
        app: str,
        monotonic: Callable[[], float],
        sleep: Callable[[float], object],
    ) -> None:
        self._database = database
        self._app = app
        self._monotonic = monotonic
        self._sleep = sleep
        # what could not be written, in the order in which it has to be
        self._late: list[Write] = []

    def write(self, turn: StoredTurn, report: TaskReport) -> TaskReport:
        """Write the end of a run in a transaction of its own, again and again for a while.

        :return: the report, or one that is truer.
        """
        ended = self._monotonic()
        while True:
            try:
                with self._database.begin() as connection:
                    if self.end(connection, turn, report, ended):
                        return report
                    outcome = connection.scalar(select(runs.c.outcome).where(runs.c.id == turn.run_id))
                break
            except SQLAlchemyError as exc:
                if self._monotonic() - ended > WRITING:
                    log.error('the store cannot be told the end of task %s: %s', turn.task.name, in_a_line(exc))
                    self._late.append(lambda connection: self.end(connection, turn, report, ended))
                    return report
                self._sleep(PAUSE)
        if outcome == report.outcome:
            # an attempt before this one was kept, and only the answer was lost
            return report
        if outcome == OK and turn.is_committed():
            log.warning('task %s was committed, although the answer to that was lost', turn.task.name)
            return TaskReport(turn.task.name, OK, report.seconds)
        if isinstance(report.exception, Fenced):
            return report
        fenced = Fenced()
        log.error('task %s: %s', turn.task.name, fenced)
        return TaskReport(turn.task.name, FAILED, report.seconds, exception=fenced)

    def end(self, connection: Connection, turn: StoredTurn, report: TaskReport, ended: float) -> bool:
        """Write the end of a run, and tell whether the run was still this process's.

        :param ended: when it ended, on the monotonic clock.
        """
        values = self._busy(turn, ended)
        if turn.engine is not None:
            self._end_handing(connection, turn, report, values)
            return True
        if turn.minute is not None:
            retry = report.outcome == FAILED and turn.attempt <= turn.task.retries
            values['again'] = decision.FAILED if retry else None
        if not task_state.give_back(connection, self._app, turn.task.name, turn.run_id, **values):
            return False
        history.end(connection, turn.run_id, report, clock.now())
        return True

    def _busy(self, turn: StoredTurn, ended: float) -> dict[str, Any]:
        """Return until which minute a task was running, if it was for one: minutes that came meanwhile are not owed."""
        if turn.minute is None:
            return {}
        if turn.queued_id is not None:
            # the clock of who runs it is not that of who asks, and it may have waited for long
            return {'busy_until': task_state.last_tick(self._app)}
        # by the clock that the tick was told
        return {'busy_until': clock.minute_of(turn.instant + timedelta(seconds=ended - turn.began))}

    def _end_handing(
        self, connection: Connection, turn: StoredTurn, report: TaskReport, values: dict[str, Any]
    ) -> None:
        """Write whether a run was handed over, unless somebody has begun it already: then that is whose it is."""
        name, run_id = turn.task.name, turn.run_id
        if report.outcome == HANDED_OVER:
            task_state.sent(connection, self._app, name, run_id)
            return
        if turn.minute is not None:
            values['again'] = decision.UNSENT
        if task_state.give_back(connection, self._app, name, run_id, **values):
            history.end(connection, run_id, report, clock.now())

    def give_back(self, turn: StoredTurn, reason: str, has_begun: bool = True) -> None:
        """Write soon that a run has not come to its end.

        :param has_begun: without that it is to be run once more whatever it might have done.
        """

        ended = self._monotonic()

        def write(connection: Connection) -> None:
            task, run_id = turn.task.name, turn.run_id
            if turn.minute is None:
                written = task_state.give_back(connection, self._app, task, run_id)
            elif has_begun:
                written = task_state.lose(connection, self._app, task, run_id, **self._busy(turn, ended))
            else:
                written = task_state.give_back(connection, self._app, task, run_id, again=decision.LOST)
            if written:
                report = TaskReport(task, LOST, ended - turn.began, reason)
                history.end(connection, turn.run_id, report, clock.now())

        self._late.append(write)

    def write_late(self) -> None:
        """Write what could not be written when it happened."""
        while self._late:
            write = self._late[0]
            with self._database.begin() as connection:
                write(connection)
            # another thread may have written it too, which changes nothing
            with suppress(ValueError):
                self._late.remove(write)
