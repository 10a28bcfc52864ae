"""Runs that a tick has found and does not claim: skipped, or waiting for room in their engines."""

from __future__ import annotations

import logging
from datetime import datetime
from functools import partial

from pyramid_cron.errors import Unavailable
from pyramid_cron.not_claimed import NotClaimed
from pyramid_cron.outcomes import SKIPPED
from pyramid_cron.store.claiming import Claiming
from pyramid_cron.store.database import Database
from pyramid_cron.store.failed_ticks import FailedTicks
from pyramid_cron.store.history import History, WithoutRun
from pyramid_cron.store.missed import notify_missed, skip_minutes
from pyramid_cron.store.options import Options
from pyramid_cron.store.run import ALREADY_CLAIMED, StoredRun
from pyramid_cron.store.storable import ascii_if_refused
from pyramid_cron.store.task_results import TaskResults

log = logging.getLogger(__name__)


class UnclaimedRuns:
    """Records what becomes of such runs.

    :param database: the database of the store.
    :param options: the settings of the store.
    :param failed_ticks: the ticks that failed in this process.
    :param claiming: finds why a run is not free.
    """

    def __init__(self, database: Database, options: Options, failed_ticks: FailedTicks, claiming: Claiming) -> None:
        self._database = database
        self._options = options
        self._failed_ticks = failed_ticks
        self._claiming = claiming

    def skip(self, run: StoredRun, reason: str) -> None:
        """See :meth:`.Run.skip`."""
        if run.owed_minute is None or run.task.runs_each_minute:
            # it owes the minute, and a later tick may have time for it
            return
        try:
            skipped = ascii_if_refused(partial(self._record_skipped, run, run.owed_minute, reason))
        except Unavailable as exc:
            log.warning('it cannot be recorded that task %s is skipped: %s', run.task.name, exc)
        else:
            if skipped:
                notify_missed(self._options, run.task, run.decision.missed)

    def _record_skipped(self, run: StoredRun, minute: datetime, reason: str) -> bool:
        with self._database.begin() as connection:
            skipped = skip_minutes(connection, run.task, minute, run.decision, run.state, self._failed_ticks)
            if skipped:
                History(connection).record_without_run([WithoutRun(run.task.name, [minute], SKIPPED, reason)])
        return skipped

    def wait(self, run: StoredRun, minute: datetime) -> NotClaimed | None:
        """See :meth:`.Run.wait`.

        :param minute: the minute of the run.
        """
        try:
            if ascii_if_refused(partial(self._record_wait, run, minute)):
                notify_missed(self._options, run.task, run.decision.missed)
                return None
            [why] = self._claiming.why_not_free([run])
        except Unavailable as exc:
            # without that record it is missed if it waits longer than catch_up
            log.warning('it cannot be recorded that task %s waits for room in its engine: %s', run.task.name, exc)
            return None
        return why or ALREADY_CLAIMED

    def _record_wait(self, run: StoredRun, minute: datetime) -> bool:
        task, decision = run.task, run.decision
        with self._database.begin() as connection:
            waits = TaskResults(connection).wait(task.name, minute, run.attempt, run.work.minute)
            if waits and decision.skipped:
                newest = max(decision.skipped)
                skip_minutes(connection, task, newest, decision, run.state, self._failed_ticks)
        return waits
