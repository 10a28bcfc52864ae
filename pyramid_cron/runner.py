"""Runs the tasks of an order: one after another, within a time budget, each in isolation."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from pyramid_cron.claims import Claims, Found, Run, SharedClaims
from pyramid_cron.enqueuing import batches
from pyramid_cron.enqueuing_again import enqueue_again
from pyramid_cron.events import (
    RunFinished,
    RunStarted,
    TaskFinished,
    TaskRecovered,
    TickFinished,
    has_subscribers,
    notify,
)
from pyramid_cron.isolation import enable_loggers, ends_process
from pyramid_cron.not_claimed import NotClaimed
from pyramid_cron.orders import Order
from pyramid_cron.outcomes import FAILED, NO_TIME_LEFT, OK, OUTCOMES, RETRYING, SKIPPED, STOPPING
from pyramid_cron.printable import class_name, log_error
from pyramid_cron.reports import RunReport, TaskReport
from pyramid_cron.schedules import clock
from pyramid_cron.sending import Sender
from pyramid_cron.task_runner import TaskRunner

log = logging.getLogger(__name__)

# outcomes that the summary of a run counts even if there are none
ALWAYS_COUNTED = (OK, FAILED, SKIPPED)


def run(request: Any, order: Order) -> RunReport:
    """Run the tasks of an order: the normal ones, then the idle ones, each in the order in which they are found.

    An exception of a task is logged and reported, and the next task runs. An exception that ends the process ends the
    run, and is raised again.

    :param request: the request that the tasks find in ``system``; its registry holds them.
    :raises LookupError: if there is no task of one of the names.
    """
    enable_loggers()
    started = order.monotonic()
    found = _find(request.registry, order)
    report = _run_found(request, order, started, found)
    if found.finish is not None:
        found.finish()
    if order.is_tick and has_subscribers(request.registry, TickFinished):
        notify(request.registry, TickFinished(request, report), order.exits)
    return report


def _run_found(request: Any, order: Order, started: float, found: Found) -> RunReport:
    registry, instant = request.registry, order.instant
    settings = registry['cron_settings']
    # a run in a worker has no time limit of ours
    window = settings.window if order.delivery is None else math.inf
    problem = None if found.problem is None else str(found.problem)
    if not found.runs and found.again and not order.stop():
        enqueue_again(found.again, Sender(order.monotonic), order.exits)
    if not found.runs and problem is None:
        # converting the instant is what costs most in a tick with nothing due, and is not done for a log that is off
        if log.isEnabledFor(logging.DEBUG):
            log.debug('run for %s: nothing is due', clock.to_zone(instant, settings.timezone))
        return RunReport(instant, settings.timezone, order.monotonic() - started, ())
    minute = clock.to_zone(instant, settings.timezone)
    if found.problem is not None:
        log_error(log, found.problem.__cause__, 'run for %s: %s', minute, found.problem)
    brief = None if found.problem is None else found.problem.brief
    if not found.runs:
        return RunReport(instant, settings.timezone, order.monotonic() - started, (), problem, brief)
    due = sorted(found.runs, key=lambda run: run.task.idle)
    log.info('run for %s begins, tasks due: %d', minute, len(due))
    notify(registry, RunStarted(request, minute, tuple(run.task for run in due)), order.exits)
    reports = _Loop(request, order, started, window).run_all(due, found.again)
    result = RunReport(instant, settings.timezone, order.monotonic() - started, tuple(reports), problem, brief)
    _log_end(result, window)
    notify(registry, RunFinished(request, result), order.exits)
    return result


def _find(registry: Any, order: Order) -> Found:
    """Return the runs that an order stands for."""
    claims: Claims = registry['cron_claims']
    tasks = registry['cron_tasks']
    if order.delivery is not None:
        return claims.delivered(tasks, order.delivery, registry['cron_settings'].catch_up)
    if order.backfill is not None:
        return claims.backfill(tasks, order.backfill, order.by_hand)
    if order.names is not None:
        return claims.named(tasks, order.names, order.by_hand)
    return claims.due(tasks, order.instant, order.trigger)


class _Loop:
    """Runs the tasks of one order, one after another.

    :param tasks: runs each of them.
    """

    def __init__(self, request: Any, order: Order, started: float, window: float) -> None:
        self.request = request
        self.order = order
        self.tasks = TaskRunner(request, order, started, window, lambda: not (self.left or self.not_free))
        self.sends_finished = has_subscribers(request.registry, TaskFinished)
        # the runs that are left, those that were not free, and the reports of the others
        self.left: list[Run] = []
        self.not_free: list[Run] = []
        self.reports: dict[Run, TaskReport] = {}

    def run_all(self, due: Sequence[Run], again: Sequence[Run]) -> list[TaskReport]:
        """Run the tasks, and leave the request's transaction as pyramid_tm expects it.

        :param again: queued runs that no worker has begun, and that are enqueued again.
        """
        self.left.extend(due)
        stop = self.order.stop
        try:
            for claims, runs in batches(due):
                if not stop():
                    self.enqueue_all(claims, runs)
            if again and not stop():
                enqueue_again(again, self.tasks.enqueuing.sender, self.order.exits)
            while self.left or self.not_free:
                if stop():
                    self.skip_all()
                elif not self.left:
                    self.explain()
                elif self.left[0].shared is not None and (shared := self.shared(self.left[0])) is not None:
                    self.run_first(shared)
                else:
                    self.run_alone(self.left.pop(0))
        except BaseException as exc:
            self.log_exit(exc, due)
            raise
        self.tasks.finish()
        return [self.reports[run] for run in due]

    def log_exit(self, exc: BaseException, due: Sequence[Run]) -> None:
        """Log which task an exception has interrupted, if it has one, and which do not run because of it."""
        waiting = {*self.left, *self.not_free}
        interrupted = [run.task.name for run in due if run not in self.reports and run not in waiting]
        # as in a subscriber of the end of a task
        where = f'task {", ".join(interrupted)}' if interrupted else 'outside of a task'
        left = ', '.join(run.task.name for run in due if run in waiting) or 'none'
        log.error('%s: %s ends the run; not run: %s', where, class_name(exc), left)

    def enqueue_all(self, shared: SharedClaims, runs: Sequence[Run]) -> None:
        """Enqueue runs that go to one engine together."""
        self.take(runs)
        reports, claimed = self.tasks.enqueuing.enqueue_all(shared, runs)
        self.not_free += claimed.not_free
        done = {*reports, *claimed.not_free}
        # each by itself
        self.left = [*(run for run in runs if run not in done), *self.left]
        # all of them before the first event, a subscriber of which may raise an exception that ends the run
        self.reports |= {run: self.tasks.described(run, report) for run, report in reports.items()}
        for run in reports:
            self.end(run, self.reports[run])

    def take(self, runs: Iterable[Run]) -> None:
        """Take runs from those that are left."""
        taken = set(runs)
        self.left = [run for run in self.left if run not in taken]

    def skip_all(self) -> None:
        """Report that the tasks that are left do not run."""
        for run in [*self.not_free, *self.left]:
            self.end(run, self.tasks.skip(run.task, STOPPING))
        self.left, self.not_free = [], []

    def shared(self, run: Run) -> SharedClaims | None:
        """Return the shared claims that claim a run as the first that is free, ``None`` to claim it by itself."""
        if run.not_claimed is not None or run.engine is not None or (run.task.idle and self.tasks.time_left() <= 0):
            return None
        return run.shared

    def run_first(self, shared: SharedClaims) -> None:
        """Run the first task that is free of those that are left, which other processes claim too."""
        first = self.left[0]
        same_kind = (run for run in self.left if run.task.idle == first.task.idle)
        try:
            claimed = shared.claim_first(run for run in same_kind if self.shared(run) is shared)
        except BaseException as exc:
            self.left.remove(first)
            if ends_process(exc, self.order.exits):
                raise
            self.end(first, self.tasks.claim_failed(first, exc))
            return
        self.not_free += claimed.not_free
        for run in (*claimed.not_free, *claimed.runs):
            self.left.remove(run)
        for run in claimed.runs:
            self.end(run, self.tasks.run_claimed(run))

    def explain(self) -> None:
        """Report why runs were not free, and claim those by themselves that are free now."""
        runs = self.not_free
        reasons: list[NotClaimed | None] = [None] * len(runs)
        shared: Any = runs[0].shared
        with suppress(Exception):
            # each claim finds out by itself what is wrong
            reasons = shared.why_not_free(runs)
        self.left = [run for run, reason in zip(runs, reasons, strict=True) if reason is None]
        for run, reason in zip(runs, reasons, strict=True):
            if reason is not None:
                self.end(run, self.tasks.report_not_claimed(run.task, reason))
        # not before: an exception that ends the run names them as not run
        self.not_free = []
        # after a stop, the caller skips those that are left
        while self.left and not self.order.stop():
            self.run_alone(self.left.pop(0))

    def run_alone(self, run: Run) -> None:
        """Run a task under a claim of its own, or report why it does not run."""
        task = run.task
        if run.not_claimed is not None:
            report = self.tasks.report_not_claimed(task, run.not_claimed)
        elif task.idle and self.tasks.time_left() <= 0:
            report = self.tasks.skip(task, NO_TIME_LEFT)
            run.skip(NO_TIME_LEFT)
        else:
            report = self.tasks.claim_and_run(run)
        self.end(run, report)

    def end(self, run: Run, report: TaskReport) -> None:
        """Keep the report of a run, and send the event of its end."""
        self.reports[run] = report
        if self.sends_finished:
            scheduled_for = self.tasks.scheduled_for(run)
            event = TaskFinished(
                self.request,
                run.task,
                scheduled_for,
                report.outcome,
                report.seconds,
                report.exception,
                report.reason,
                report.attempt,
                report.excuse == RETRYING,
                report.is_fault,
                self.tasks.key_of(run),
                report.raised_skip,
            )
            notify(self.request.registry, event, self.order.exits)
        if report.failed_since is not None:
            notify(self.request.registry, TaskRecovered(run.task.name, report.failed_since), self.order.exits)


def _log_end(report: RunReport, window: float) -> None:
    counts = [(outcome, len(report.names(outcome))) for outcome in OUTCOMES]
    log.info(
        'run for %s ended in %.3f s: %s',
        report.minute,
        report.seconds,
        ', '.join(f'{count} {outcome}' for outcome, count in counts if count or outcome in ALWAYS_COUNTED),
    )
    if report.seconds > window:
        log.warning(
            'run for %s took %.3f s, longer than its window of %g s: the next one may have begun before its end',
            report.minute,
            report.seconds,
            window,
        )
