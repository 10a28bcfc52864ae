"""Enqueues runs with the engines of their tasks: one by itself, or all of a tick that go to one engine together."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from pyramid_cron.alarm import report_failure
from pyramid_cron.claims import Claimed, Run, SharedClaims
from pyramid_cron.enqueuing_again import by_broker
from pyramid_cron.isolation import ends_process
from pyramid_cron.orders import Order
from pyramid_cron.outcomes import QUEUED
from pyramid_cron.printable import log_error
from pyramid_cron.reports import TaskReport
from pyramid_cron.sending import Sender

log = logging.getLogger(__name__)


def batches(due: Iterable[Run]) -> list[tuple[SharedClaims, list[Run]]]:
    """Return the runs that are enqueued together, with their claims.

    Idle ones are none of them, because they are enqueued only while time is left, nor those of an engine that may have
    no room for them.
    """
    together = (run for run in due if run.not_claimed is None and not run.task.idle and not _is_limited(run))
    return [batch for batch in by_broker(together) if len(batch[1]) > 1]


def _is_limited(run: Run) -> bool:
    return run.engine is not None and run.engine.is_limited


class Enqueuing:
    """Enqueues the runs of one order.

    :param order: the order.
    :param release: releases a run with its report, and returns the corrected report.
    """

    def __init__(self, order: Order, release: Callable[[Run, TaskReport], TaskReport]) -> None:
        self._exits = order.exits
        self._monotonic = order.monotonic
        self._release = release
        #: passes runs to their engines
        self.sender = Sender(order.monotonic)

    def enqueue(self, run: Run) -> TaskReport:
        """Enqueue a run that is claimed and has an engine, unless its claim has done so."""
        began = self._monotonic()
        engine: Any = run.engine
        try:
            if not engine.within_claim:
                self.sender.send(run)
        except BaseException as exc:
            if ends_process(exc, self._exits):
                raise
            seconds = self._monotonic() - began
            return report_failure(run, exc, seconds, 'could not be enqueued after')._replace(engine=str(engine))
        return _enqueued(run, self._monotonic() - began)

    def enqueue_all(self, shared: SharedClaims, runs: Sequence[Run]) -> tuple[dict[Run, TaskReport], Claimed]:
        """Claim runs together, enqueue them, and return their reports and the result of the claim.

        A run that is neither claimed nor found not to be free has to be enqueued by itself.
        """
        began = self._monotonic()
        try:
            claimed = shared.claim_all(runs)
        except BaseException as exc:
            if ends_process(exc, self._exits):
                raise
            log_error(log, exc, '%d tasks cannot be enqueued together, and are one by one', len(runs))
            claimed = Claimed([], [])
        if runs[0].engine is not None and runs[0].engine.within_claim:
            seconds = self._monotonic() - began
            return {run: _enqueued(run, seconds) for run in claimed.runs}, claimed
        return self._send(shared, claimed.runs), claimed

    def _send(self, shared: SharedClaims, runs: Sequence[Run]) -> dict[Run, TaskReport]:
        """Enqueue runs that are claimed one after another, and record that together."""
        reports: dict[Run, TaskReport] = {}
        try:
            for run in runs:
                reports[run] = self.enqueue(run)
        except BaseException:
            for run in runs[len(reports) :]:
                run.interrupt()
            self._record(shared, reports)
            raise
        self._record(shared, reports)
        return reports

    def _record(self, shared: SharedClaims, reports: dict[Run, TaskReport]) -> None:
        sent = [run for run, report in reports.items() if report.outcome == QUEUED]
        left = [run for run, report in reports.items() if report.outcome != QUEUED]
        if sent:
            try:
                shared.mark_enqueued(sent)
            except Exception as exc:
                log.debug('the runs are recorded one by one: %s', exc)
                left = list(reports)
        for run in left:
            reports[run] = self._release(run, reports[run])


def _enqueued(run: Run, seconds: float) -> TaskReport:
    engine: Any = run.engine
    key = engine.key(run)
    log.info('task %s is enqueued with %s as %s', run.task.name, engine, key)
    return TaskReport(run.task.name, QUEUED, seconds, engine=str(engine), key=key)
