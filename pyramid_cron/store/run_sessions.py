"""The sessions of runs: each run joins that of its request, and leaves it at its end."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import Connection

from pyramid_cron.errors import Unavailable
from pyramid_cron.memory_claims import NOT_JOINED
from pyramid_cron.outcomes import EXCUSED, FAILED
from pyramid_cron.printable import class_name, log_error
from pyramid_cron.reports import TaskReport
from pyramid_cron.run_log import kept_in
from pyramid_cron.store.complete import Completion, Fenced
from pyramid_cron.store.connection import StoreConnection
from pyramid_cron.store.database import Database
from pyramid_cron.store.errors import original_errors
from pyramid_cron.store.options import Options
from pyramid_cron.store.run import StoredRun
from pyramid_cron.store.session import Joined, require_same_database, session_of
from pyramid_cron.store.task_claims import TaskClaims
from pyramid_cron.transactions import manager_of

log = logging.getLogger(__name__)


class RunSessions:
    """Joins runs to the sessions of their requests.

    :param database: the database of the store.
    :param options: the settings of the store.
    :param completion: writes the ends of runs.
    :param monotonic: a monotonic clock in seconds.
    """

    def __init__(
        self, database: Database, options: Options, completion: Completion, monotonic: Callable[[], float]
    ) -> None:
        self._database = database
        self._options = options
        self._completion = completion
        self._monotonic = monotonic
        # the process in which the session was found to lead to the database of the store
        self._checked_process: str | None = None

    def join(self, run: StoredRun, request: Any, process_id: str) -> AbstractContextManager[None]:
        """Return a context manager around the task of a run, by which its end is written in the task's transaction.

        :param process_id: this process, as the store knows it.
        """
        name = self._options.session
        if name is None:
            return NOT_JOINED

        def scoped(connection: Connection) -> StoreConnection:
            scoped = self._database.scoped(connection)
            if self._checked_process != process_id:
                require_same_database(scoped, name, process_id)
                self._checked_process = process_id
            return scoped

        def at_end(connection: Connection, seconds: float) -> None:
            # an engine of the application that logs its statements would add that with the log itself
            with kept_in(None), original_errors():
                mine = self._completion.write_end(scoped(connection), run, seconds)
            if not mine:
                raise Fenced

        def before_end(connection: Connection) -> None:
            with kept_in(None), original_errors():
                mine = TaskClaims(scoped(connection)).set_transactional(run.task.name, run.run_id, False)
            if not mine:
                raise Fenced

        run.joined_session = Joined(
            session_of(request, name),
            manager_of(request),
            lambda: self._set_transactional(run),
            at_end,
            before_end,
            self._monotonic,
        )
        return run.joined_session

    def _set_transactional(self, run: StoredRun) -> None:
        """Record that a run works in the session, so that nothing of it remains if its process dies.

        That is not done in the transaction of the session, and before it has seen the row, which it updates at its end.
        """
        if run.owed_minute is None:
            return
        try:
            with kept_in(None), self._database.one_statement() as connection:
                mine = TaskClaims(connection).set_transactional(run.task.name, run.run_id, True)
        except Unavailable as exc:
            # if its process dies, the run is reported and not repeated
            log.warning('it cannot be recorded that task %s uses the session: %s', run.task.name, exc)
        else:
            if not mine:
                raise Fenced


def end_session(run: StoredRun, report: TaskReport) -> TaskReport:
    """Leave the session of a run, and return its report, as failed if a change in it was not committed."""
    if run.joined_session is None:
        return report
    try:
        checked = run.joined_session.check(report)
        if checked.exception is not None and checked is not report:
            excuse = run.excuse(class_name(checked.exception))
            level = logging.ERROR if excuse is None else logging.WARNING
            log.log(level, 'task %s failed%s: %s', run.task.name, EXCUSED.get(excuse, ''), checked.exception)
            return checked._replace(excuse=excuse)
        return checked
    except Exception as exc:
        log_error(log, exc, 'task %s: its session cannot be checked', run.task.name)
        return TaskReport(run.task.name, FAILED, report.seconds, exception=exc)
    finally:
        run.joined_session.leave()
